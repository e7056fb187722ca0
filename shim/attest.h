/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence of this machine: its logs, a quote, and what belongs to the key. Refuses nothing: a
 * machine without logs or with hops that were aborted has evidence, too, and what of it can be
 * trusted is the verifier's business. */
#pragma once

#include "policy/evidence.h"
#include "shim/log-sources.h"
#include "tcg2/tpm-ak.h"

#define ATTEST_PCRS      0xffffu /* 0-15: all that only a reset of the machine resets */
#define ATTEST_NONCE_MIN 8
#define ATTEST_NONCE_MAX TPM_QUOTE_NONCE_MAX

struct attest {
        struct evidence evidence; /* points into these */
        struct tpm_quote quote;
        struct log_sources logs;
};

void attest_release(struct attest *attest);
#define _cleanup_attest_ __attribute__((cleanup(attest_release)))

/* wanted: banks to quote; NULL: those of the event log that the TPM has, of a machine without a log
 * all that the TPM has. Logs and quote are of one moment: what was extended in between lets all be
 * done again, but for IMA, whose list then is the later one. Errors are those of tpm_quote, and
 * -EINVAL for a bank that the TPM hasn't got. */
int attest_make(struct tpm *tpm, struct tpm_ak *ak, struct span nonce, const struct banks *wanted,
                struct attest *ret, struct error *error);
