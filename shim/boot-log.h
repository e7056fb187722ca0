/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This boot's event log: what the kernel shows of firmware's log (with the hops before this kernel) and
 * behind it what aborted hops of this boot left in the TPM, which only /run/mkexec remembers. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/hop-check.h"
#include "shim/state.h"
#include "tcg2/tpm.h"

#define BOOT_LOG_MAX_BYTES (64u * 1024 * 1024)

/* Appends the log to *ret, without padding. An empty result: the kernel has no log. state may be NULL. */
int boot_log_read(const struct state_dir *state, struct buf *ret, struct error *error);

/* Whether PCR 8 and the registers are explained by the log, compared with the TPM: 0, -EBADMSG with the
 * reason. verdict: release it, also on -EBADMSG. */
int boot_log_check(struct span log, struct tpm *tpm, const struct banks *banks, struct hop_verdict *verdict,
                struct error *error);

/* What design.md asks of the header: exactly the TPM's active banks, crypto-agile. -EPROTO with the
 * reason: which bank is active but not in the header, or that it is a SHA-1 log. */
int boot_log_check_banks(struct span log, const struct banks *active, struct error *error);
