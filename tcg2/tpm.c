/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PCRs that a hop, its close list and the first boot's measurements are in. */
#define STATIC_PCRS 0xffffu

/* Appends "; bank ... why" to the text. */
static void name_unusable(struct error *e, const struct tpm_bank *bank)
{
        const struct alg *alg = alg_by_id(bank->alg_id);
        size_t n = strlen(e->text);
        const char *separator = n ? "; " : "";

        if (!alg)
                snprintf(e->text + n, sizeof(e->text) - n,
                                "%sbank 0x%04x is active, but mkexec can't compute it", separator,
                                bank->alg_id);
        else if (bank->unsendable)
                snprintf(e->text + n, sizeof(e->text) - n,
                                "%sbank %s is active, but this version of tpm2-tss can't extend it",
                                separator, alg->name);
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
                if (!alg || list[i].unsendable || (list[i].pcrs & STATIC_PCRS) != STATIC_PCRS)
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

bool tpm_reconnects(const char *tcti)
{
        if (!tcti)
                tcti = getenv("TPM2TOOLS_TCTI");
        return tcti && tcti[0] && strncmp(tcti, "device", strlen("device")) != 0;
}
