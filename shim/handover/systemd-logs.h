/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's measurement logs of the boots since firmware ran, as they travel into the next kernel:
 * in a variable of the runtime overlay, or in the carried log's file (docs/architecture.md,
 * "systemd's logs on the way"). Each is in its own format, untouched. Nobody measured this form:
 * what is read back is proved by nothing but a replay that gives what the TPM reads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "eventlog/chain.h"

#define SYSTEMD_LOGS_MAX_BYTES (512u * 1024) /* the kernel reads the variable into one kmalloc */

struct systemd_boot {
        uint32_t boot;     /* from 1; at most CHAIN_BOOTS_MAX */
        bool incomplete;   /* a measurement that isn't in it may have been made */
        bool continued;    /* the hop that ended it was aborted: the next boot's is the rest of the
                              same file */
        bool lost;         /* there may have been one: it didn't come along */
        uint64_t left_out; /* bytes of its oldest records that didn't fit */
        struct span log;   /* whole records */
};

struct systemd_logs {
        uint32_t for_boot; /* the boot that they are handed to */
        size_t n;
        struct systemd_boot boot[CHAIN_BOOTS_MAX]; /* ascending; a boot that measured nothing has no
                                                      record */
};

uint64_t systemd_logs_bytes(const struct systemd_logs *logs);
void systemd_logs_put(const struct systemd_logs *logs, struct buf *ret);
/* *ret points into bytes. One encoding per value. -EBADMSG: malformed. */
int systemd_logs_parse(struct span bytes, struct systemd_logs *ret, struct error *error);
/* Leaves out the oldest records, of the oldest boots first, until all fits; each boot then says how
 * much of it. -ENOSPC: not even without any record. */
int systemd_logs_cut(struct systemd_logs *logs, uint64_t room, struct error *error);
