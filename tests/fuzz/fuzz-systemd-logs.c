/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's logs as the boot before handed them on, in EFI's variables or in the initrd: taken or
 * refused; what is taken makes the same bytes when it is written again, and stays whole records
 * wherever it is cut. The byte in the middle says how much room there is. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "shim/handover/systemd-logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

/* Only the front goes, and only up to the start of a record. */
static void require_cut(const struct systemd_boot *before, const struct systemd_boot *after)
{
        uint64_t gone = after->left_out - before->left_out;

        require(gone <= before->log.size && after->log.size == before->log.size - gone);
        if (gone == 0 || after->log.size == 0)
                return;
        require(after->log.data == before->log.data + gone);
        require(before->log.data[0] == 0x1e ? after->log.data[0] == 0x1e
                                            : after->log.data[-1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buf_ struct buf again = {0};
        struct systemd_logs logs, cut;
        uint64_t room = size > 0 ? data[size / 2] : 0;

        if (systemd_logs_parse(SPAN(data, size), &logs, NULL) < 0)
                return 0;
        require(systemd_logs_bytes(&logs) == size);
        systemd_logs_put(&logs, &again);
        require(span_equal(buf_span(&again), SPAN(data, size)));
        cut = logs;
        if (systemd_logs_cut(&cut, room, NULL) == 0)
                require(systemd_logs_bytes(&cut) <= room || room >= size);
        for (size_t i = 0; i < logs.n; i++)
                require_cut(&logs.boot[i], &cut.boot[i]);
        return 0;
}
