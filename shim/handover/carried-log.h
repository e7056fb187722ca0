/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event log's way into a second kernel that was started by kexec_file_load, which shows the
 * first boot's log only: one data file in a cpio archive before the payload's initrd. The archive
 * is the first, so whatever is in the measured archives behind it replaces it and never the other
 * way round. Not measured itself: a reader believes it only where replaying it gives what the TPM
 * reads. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define CARRIED_LOG_PATH "/.mkexec/log" /* in the initrd's root */

struct carried_log {
        uint64_t base_bytes; /* of the log that the kernel shows, whose continuation this is */
        uint8_t base_sha256[32];
        struct span log;          /* records of the continuation */
        struct span systemd_logs; /* as systemd-logs.h has them; not looked into here */
};

/* Bytes of the largest archive with these contents, a multiple of the page size. */
uint64_t carried_log_room(uint64_t log_bytes, uint64_t systemd_logs_bytes);
/* Puts the whole archive into an empty *ret, filled up with zeros to room bytes (zeros between
 * archives are skipped by the kernel, both when it unpacks and when it looks for microcode).
 * -ENOSPC: it doesn't fit. */
int carried_log_put_archive(
                const struct carried_log *log, uint64_t room, struct buf *ret, struct error *error);
/* Reads the data file; *ret points into it. -EBADMSG: malformed. */
int carried_log_parse(struct span file, struct carried_log *ret, struct error *error);
/* Whether it continues this log. */
bool carried_log_continues(const struct carried_log *log, struct span base);
