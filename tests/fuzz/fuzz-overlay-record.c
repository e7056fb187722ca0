/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record that an earlier hop's overlay shows (variable MkexecOverlay): taken or refused, and
 * what is taken comes out the same when written again. */
#include <stdlib.h>
#include <string.h>

#include "shim/handover/overlay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct overlay_record record = {0}, again = {0};
        struct buf b = {0};

        if (overlay_record_parse(SPAN(data, size), &record, NULL) < 0)
                return 0;
        overlay_record_put(&record, &b);
        if (buf_failed(&b) || overlay_record_parse(buf_span(&b), &again, NULL) < 0 ||
                        again.n_hidden != record.n_hidden || again.n_regions != record.n_regions ||
                        memcmp(again.regions, record.regions, sizeof(record.regions)) != 0)
                abort();
        buf_release(&b);
        overlay_record_release(&record);
        overlay_record_release(&again);
        return 0;
}
