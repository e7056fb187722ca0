/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The logs, by the rules of check.h and against the quoted values. PCR 10 apart: several kernels
 * may have extended it, of which only the last one's list is there, so plain-kexec.h judges it. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/verify-parts.h"

#define IMA_PCR 10

DEFINE_CLEANUP(struct boots *, boots_free)

/* ---- why the logs aren't right ---- */

static bool has_refused_note(const struct check_result *logs)
{
        for (unsigned note = 0; note < CHECK_NOTES; note++)
                if (logs->notes[note].n > 0 && check_note_refused((enum check_note)note))
                        return true;
        return false;
}

static enum verdict_word word_of(const struct check_result *logs)
{
        if (!logs->hops.hops_ok && strcmp(logs->reason.text, logs->hops.reason.text) == 0)
                return WORD_HOP;
        return has_refused_note(logs) ? WORD_EVENT : WORD_PCR;
}

static int judge(struct verify *v)
{
        const struct check_result *logs = &v->verdict->logs;
        int r = 0;

        if (logs->result == HOP_RESULT_MALFORMED)
                return verdict_refuse(
                                v->verdict, VERDICT_MALFORMED, WORD_LOG, "%s", logs->reason.text);
        if (logs->hops.hops_ok && !has_refused_note(logs))
                r = verify_registers(v);
        if (r == 0 && logs->result != HOP_RESULT_OK)
                r = verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, word_of(logs), "%s",
                                logs->reason.text);
        return r;
}

/* An event without a digest of this bank isn't in it; that another bank proves the PCR is nothing
 * where that one is weaker. */
static int check_lacking(struct verify *v)
{
        size_t b = (size_t)replay_bank(&v->verdict->logs.chain.replay, v->verdict->bank->id);

        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                if (v->verdict->logs.pcr[b][pcr] == CHECK_PCR_LACKING)
                        return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_PCR,
                                        "PCR %u, bank %s: an event has no digest for it", pcr,
                                        v->verdict->bank->name);
        return 0;
}

/* ---- PCR 10 ---- */

static bool reads_zero(const struct digest *value)
{
        static const uint8_t zeros[DIGEST_MAX_BYTES];

        return memcmp(value->bytes, zeros, value->alg->size) == 0;
}

static enum check_pcr pcr10_of(const struct verify *v, size_t k)
{
        const struct plain_kexec_verdict *plain = &v->verdict->plain_kexec;

        if (plain->pcr10 || reads_zero(&v->verdict->pcrs->pcr[k][IMA_PCR]))
                return CHECK_PCR_PROVED;
        return v->evidence->ima.size > 0 && v->verdict->logs.chain.n_boots == 1 &&
                                               plain->kind != PLAIN_KEXEC_SEEN
                               ? CHECK_PCR_DIFFERS
                               : CHECK_PCR_OPAQUE;
}

static int judge_pcr10(struct verify *v)
{
        struct check_result *logs = &v->verdict->logs;
        const struct plain_kexec_verdict *plain = &v->verdict->plain_kexec;
        int r = plain_kexec_check(&v->chain, v->verdict->pcrs, &v->verdict->plain_kexec, v->error);
        bool differs = false;

        if (r < 0)
                return r;
        for (size_t b = 0; b < logs->chain.replay.banks.n; b++) {
                int k = replay_bank(v->verdict->pcrs, logs->chain.replay.banks.alg[b]->id);

                if (k < 0 || !(v->verdict->pcrs->measured[k] & 1u << IMA_PCR))
                        continue;
                logs->pcr[b][IMA_PCR] = pcr10_of(v, (size_t)k);
                differs |= logs->pcr[b][IMA_PCR] == CHECK_PCR_DIFFERS;
        }
        if (differs)
                return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_IMA,
                                "PCR %d, bank %s: isn't what IMA's list gives at any of its "
                                "records",
                                IMA_PCR, v->verdict->bank->name);
        if (plain->kind == PLAIN_KEXEC_SEEN && !v->input->policy->unknown_kernels)
                return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_PLAIN_KEXEC, "%s",
                                plain->text.text);
        return 0;
}

/* ---- all of it ---- */

static uint32_t unexplained_pcrs(const struct verify *v)
{
        const struct check_result *logs = &v->verdict->logs;
        size_t b = (size_t)replay_bank(&logs->chain.replay, v->verdict->bank->id);
        uint32_t mask = quote_covers(&v->verdict->quote, v->verdict->bank->id);

        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                if (logs->pcr[b][pcr] == CHECK_PCR_PROVED)
                        mask &= ~(1u << pcr);
        return mask;
}

static bool systemd_lacks(const struct evidence *e)
{
        for (size_t i = 0; i < e->n_systemd; i++)
                if (e->systemd[i].incomplete || e->systemd[i].cut || e->systemd[i].lost)
                        return true;
        return false;
}

int verify_logs(struct verify *v)
{
        _cleanup_(boots_freep) struct boots *boots = NULL;
        struct replay values = *v->verdict->pcrs;
        struct check_input input = {.chain = v->chain,
                        .pcrs = &values,
                        .systemd_lacks = systemd_lacks(v->evidence),
                        .no_bodies = true,
                        .event = boots_event};
        int r = boots_new(v, &boots), end;

        for (size_t b = 0; b < values.banks.n; b++)
                values.measured[b] &= ~(1u << IMA_PCR);
        input.context = boots;
        if (r == 0)
                r = check_logs(&input, &v->verdict->logs, v->error);
        if (r < 0)
                return r;
        v->verdict->judged = true;
        r = judge(v);
        if (r == 0)
                r = check_lacking(v);
        if (r == 0)
                r = judge_pcr10(v);
        v->verdict->unexplained = unexplained_pcrs(v);
        end = r == 0 || r == -EPERM ? boots_end(boots, r == 0) : 0;
        return end < 0 ? end : r;
}
