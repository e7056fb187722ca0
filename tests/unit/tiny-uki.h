/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The smallest thing that has the sections of a UKI: tiny-pe.h's file with sections behind it. */
#pragma once

#include "base/buf.h"
#include "tests/unit/tiny-pe.h"

#define TINY_STUB(version) "#### LoaderInfo: systemd-stub " version " ####"

/* Room for 14 sections besides the file's own three; virtual size is size, whatever is in the file.
 */
static inline void tiny_uki_add(struct buf *uki, const char *name, const void *data, uint32_t size)
{
        unsigned n;
        uint32_t offset;

        if (uki->size == 0) {
                uint8_t file[TINY_BYTES];

                tiny_pe(file);
                buf_put(uki, file, sizeof(file));
        }
        n = uki->data[TINY_PE + 6];
        offset = (uint32_t)uki->size;
        buf_put(uki, data, size);
        buf_put_zeros(uki, -uki->size & 0x1ff);
        tiny_section(uki->data, n, name, TINY_IMAGE_BYTES + 0x100000 * (n - 3), size, offset,
                        (uint32_t)uki->size - offset);
        uki->data[TINY_PE + 6] = (uint8_t)(n + 1);
}

static inline void tiny_uki_add_text(struct buf *uki, const char *name, const char *text)
{
        tiny_uki_add(uki, name, text, (uint32_t)strlen(text));
}
