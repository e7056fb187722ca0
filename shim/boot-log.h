/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This boot's event log: what the kernel shows of firmware's log (with the hops before this kernel)
 * and behind it what aborted hops of this boot left in the TPM, which only /run/mkexec remembers.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/hop-check.h"
#include "shim/state.h"
#include "tcg2/tpm.h"

#define BOOT_LOG_MAX_BYTES (64u * 1024 * 1024)

/* Whether the kernel shows a log at all; without, aborted.log begins with a header of its own. */
bool boot_log_of_kernel(void);

/* Appends the log to *ret, without padding. An empty result: the kernel has no log. state may be
 * NULL. */
int boot_log_read(const struct state_dir *state, struct buf *ret, struct error *error);

/* Whether PCR 8, the registers of earlier hops and those of the next one (mask) are explained by
 * the log, compared with the TPM: 0, -EBADMSG with the reason. verdict: release it, also on
 * -EBADMSG. */
int boot_log_check(struct span log, struct tpm *tpm, const struct banks *banks, uint32_t registers,
                struct hop_verdict *verdict, struct error *error);

/* What the log of the next kernel can carry: the banks of the header, which must be the TPM's
 * active ones, in a crypto-agile log. -EPROTO with the reason: a SHA-1 log, a bank of the header
 * that isn't active, or (unless accepted; then *left_out names them) an active bank that isn't in
 * the header. */
int boot_log_check_banks(struct span log, const struct banks *active, bool accept,
                struct banks *ret, struct error *left_out, struct error *error);
