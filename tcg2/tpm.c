/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* PCRs that a hop, its close list and the first boot's measurements are in. */
#define STATIC_PCRS 0xffffu

/* Algorithms that TPMs have banks for and we can't serve, for the message only (TCG Algorithm
 * Registry). */
static const struct {
        uint16_t id;
        const char *name;
} foreign_algs[] = {
                {0x0027, "sha3_256"},
                {0x0028, "sha3_384"},
                {0x0029, "sha3_512"},
};

static const char *foreign_name(uint16_t id)
{
        for (size_t i = 0; i < ARRAY_SIZE(foreign_algs); i++)
                if (foreign_algs[i].id == id)
                        return foreign_algs[i].name;
        return "unknown algorithm";
}

/* Appends "; bank ... why" to the text. */
static void name_unusable(struct error *e, const struct tpm_bank *bank)
{
        const struct alg *alg = alg_by_id(bank->alg_id);
        size_t n = strlen(e->text);
        const char *separator = n ? "; " : "";

        if (!alg)
                snprintf(e->text + n, sizeof(e->text) - n,
                                "%sbank 0x%04x (%s) is active, but mkexec can't compute it",
                                separator, bank->alg_id, foreign_name(bank->alg_id));
        else
                snprintf(e->text + n, sizeof(e->text) - n,
                                "%sbank %s has only some of PCR 0-15 (mask 0x%x)", separator,
                                alg->name, bank->pcrs);
}

int tpm_usable_banks(
                struct tpm *tpm, struct banks *ret, struct error *left_out, struct error *error)
{
        struct tpm_bank list[TPM_BANKS_MAX];
        struct banks banks = {};
        struct error unusable = {};
        size_t n;
        int r;

        r = tpm->ops->bank_list(tpm, list, &n, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                const struct alg *alg = alg_by_id(list[i].alg_id);

                if (!(list[i].pcrs & STATIC_PCRS))
                        continue;
                if (!alg || (list[i].pcrs & STATIC_PCRS) != STATIC_PCRS)
                        name_unusable(&unusable, &list[i]);
                else
                        banks_add(&banks, alg);
        }
        if (banks.n == 0)
                return error_set(error, ENODEV, "the TPM has no usable PCR bank%s%s",
                                unusable.text[0] ? ": " : "", unusable.text);
        *ret = banks;
        *left_out = unusable;
        return 0;
}

int tpm_active_banks(struct tpm *tpm, struct banks *ret, struct error *error)
{
        struct error left_out = {};
        struct banks banks;
        int r;

        r = tpm_usable_banks(tpm, &banks, &left_out, error);
        if (r < 0)
                return r;
        if (left_out.text[0])
                return error_set(error, EOPNOTSUPP, "%s", left_out.text);
        *ret = banks;
        return 0;
}
