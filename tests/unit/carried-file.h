/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data file in the archive that carried_log_put_archive writes, found by the archive's format
 * (two entries with names of 8 and 12 bytes, the second's size in its seventh field). */
#pragma once

#include <stdlib.h>

#include "shim/handover/carried-log.h"
#include "tests/unit/tap.h"

static inline struct span carried_file(const struct buf *archive)
{
        size_t header = 110 + 8 + 2;
        char digits[9] = {0};
        struct span file = {0};

        memcpy(digits, archive->data + header + 6 + 8 * 6, 8);
        CHECK(span_sub(buf_span(archive), header + 110 + 12 + 2, strtoul(digits, NULL, 16), &file));
        return file;
}
