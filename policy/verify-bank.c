/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bank decides. A log has digests for several; one that was quoted, that is strong, and of
 * which all was quoted that matters. */
#include "eventlog/hop.h"
#include "policy/verify-parts.h"

/* PCR 8, and the first boot's: without trust in the first kernel PCR 8 proves nothing. */
#define NEEDED 0x9ffu

static int missing(struct verify *v, uint32_t mask, const char *why)
{
        return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_COVERAGE,
                        "PCR %d, bank %s: the quote doesn't cover it%s", __builtin_ctz(mask),
                        v->verdict->bank->name, why);
}

static int rank(const struct quote *quote, const struct alg *alg)
{
        uint32_t covers = quote_covers(quote, alg->id);

        if (covers == 0)
                return 0;
        if (alg->id == TPM_ALG_SHA1)
                return 1;
        return (covers & NEEDED) == NEEDED ? 3 : 2;
}

int verify_bank(struct verify *v)
{
        const struct quote *quote = &v->verdict->quote;
        struct error reason;
        uint32_t lacking;
        int best = 0;

        if (v->evidence->firmware_log.size == 0)
                return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_LOG,
                                "there is no event log of firmware's: nothing says what was "
                                "measured");
        if (event_log_open(&v->log, v->evidence->firmware_log, &reason) < 0)
                return verdict_refuse(v->verdict, VERDICT_MALFORMED, WORD_LOG, "%s", reason.text);
        if (v->log.cc) /* no digest binds the header; hops aren't looked for in such a log */
                return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_LOG,
                                "the header of a confidential-computing log, not of a TPM's");
        for (size_t b = 0; b < v->log.banks.n; b++)
                if (rank(quote, v->log.banks.alg[b]) > best) {
                        best = rank(quote, v->log.banks.alg[b]);
                        v->verdict->bank = v->log.banks.alg[b];
                }
        if (best == 0)
                return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_BANK,
                                "the quote covers no bank of the event log");
        v->verdict->weak = best == 1;
        if (v->verdict->weak && !v->input->policy->weak_banks)
                return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_WEAK,
                                "SHA-1 is the only bank that both quote and event log have");
        lacking = NEEDED & ~quote_covers(quote, v->verdict->bank->id);
        return lacking ? missing(v, lacking, "") : 0;
}

int verify_registers(struct verify *v)
{
        uint32_t lacking = v->verdict->logs.hops.registers &
                           ~quote_covers(&v->verdict->quote, v->verdict->bank->id);

        return lacking ? missing(v, lacking, ", but a hop went there") : 0;
}
