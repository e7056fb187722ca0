/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file that the boot before left in the initrd: taken or refused; what is taken makes the same
 * file when it is written again. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/handover/carried-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buf_ struct buf archive = {0};
        struct carried_log log;
        uint64_t room;

        if (carried_log_parse(SPAN(data, size), &log, NULL) < 0)
                return 0;
        room = carried_log_room(log.log.size, log.systemd_logs.size);
        if (carried_log_put_archive(&log, room, &archive, NULL) < 0 || archive.size != room ||
                        !memmem(archive.data, archive.size, data, size))
                abort();
        return 0;
}
