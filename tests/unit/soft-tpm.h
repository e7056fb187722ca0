/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TPM of a few PCRs in memory, whose extends fail on demand. */
#pragma once

#include <errno.h>

#include "eventlog/replay.h"
#include "tcg2/tpm.h"

struct soft_tpm {
        struct tpm tpm;
        struct replay pcrs;
        int fail_at;       /* the extend with this number (from 0) fails; -1: none */
        bool fail_forever; /* and all after it */
        bool done_though;  /* it happened, only the answer was lost */
        int n_extends;
        int wrong_reads; /* so many readings have a wrong bit in every PCR */
};

static int soft_banks(struct tpm *tpm, struct tpm_bank ret[TPM_BANKS_MAX], size_t *ret_n,
                struct error *error)
{
        const struct banks *banks = &((struct soft_tpm *)tpm)->pcrs.banks;

        for (size_t b = 0; b < banks->n; b++)
                ret[b] = (struct tpm_bank){banks->alg[b]->id, TPM_ALL_PCRS};
        *ret_n = banks->n;
        return 0;
}

static int soft_read(struct tpm *tpm, const struct banks *banks, uint32_t mask, struct replay *ret,
                struct error *error)
{
        struct soft_tpm *t = (struct soft_tpm *)tpm;
        const struct replay *pcrs = &t->pcrs;
        uint8_t wrong = t->wrong_reads > 0 && t->wrong_reads--;

        replay_start_zero(ret, banks);
        for (size_t b = 0; b < banks->n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (mask & 1u << pcr) {
                                ret->pcr[b][pcr] = pcrs->pcr[b][pcr];
                                ret->pcr[b][pcr].bytes[0] ^= wrong;
                                ret->measured[b] |= 1u << pcr;
                        }
        return 0;
}

static int soft_extend(
                struct tpm *tpm, unsigned pcr, const struct digests *digests, struct error *error)
{
        struct soft_tpm *t = (struct soft_tpm *)tpm;
        int n = t->n_extends++;
        bool fails = n == t->fail_at || (t->fail_forever && t->fail_at >= 0 && n > t->fail_at);

        if (!fails || (n == t->fail_at && t->done_though))
                for (size_t b = 0; b < digests->n; b++)
                        digest_extend(&t->pcrs.pcr[b][pcr], &digests->d[b]);
        return fails ? error_set(error, EIO, "the TPM doesn't answer") : 0;
}

static void soft_free(struct tpm *tpm)
{
}

static const struct tpm_ops soft_ops = {.bank_list = soft_banks,
                .pcr_read = soft_read,
                .pcr_extend = soft_extend,
                .free = soft_free};
