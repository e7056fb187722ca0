/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/verify.h"

#include <errno.h>

#include "base/cleanup.h"
#include "policy/verify-parts.h"

/* All of the evidence is true: whether that is what is wanted. */
static int check_policy(struct verify *v)
{
        struct verdict *verdict = v->verdict;
        _cleanup_free_ struct reference_found *found = calloc(verdict->n_boots, sizeof(*found));
        const struct policy_facts facts = {
                        .references = v->input->references,
                        .hops = &verdict->logs.hops,
                        .boots = found,
                        .quoted = verdict->pcrs,
                        .unexplained = verdict->unexplained,
                        .plain_kexec = &verdict->plain_kexec,
                        .ak_name = verdict->ak->name,
                        .ak_key = ak_key_evp(verdict->ak->key),
                        .certificates = v->evidence->certificate,
                        .n_certificates = v->evidence->n_certificates,
                        .now = v->input->now,
        };
        struct error reason;
        int r;

        if (!found)
                return error_set(v->error, ENOMEM, "out of memory");
        for (size_t i = 0; i < verdict->n_boots; i++)
                found[i] = verdict->boots[i].found;
        r = verify_policy_check(v->input->policy, &facts, &reason);
        if (r == -EPERM)
                return verdict_refuse(verdict, VERDICT_NOT_TRUSTED, WORD_POLICY, "%s", reason.text);
        if (r < 0)
                return error_set(v->error, -r, "%s", reason.text);
        return 0;
}

/* The logs, unless the same ones were judged before. */
static int judge_logs(struct verify *v)
{
        struct known *known = v->input->known;
        int r;

        if (known && known_find(known, v->evidence, v->verdict, &r))
                return r;
        r = verify_bank(v);
        if (r == 0)
                r = verify_logs(v);
        if (known)
                known_put(known, v->evidence, v->verdict, r);
        return r;
}

int verify_evidence(const struct verify_input *input, const struct evidence *evidence,
                struct verdict *ret, struct error *error)
{
        static int (*const steps[])(struct verify * v) = {verify_quote, judge_logs, check_policy};
        struct verify v = {.input = input, .evidence = evidence, .verdict = ret, .error = error};
        int r = 0;

        *ret = (struct verdict){.kind = VERDICT_NOT_TRUSTED};
        evidence_chain(evidence, &v.chain);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
                r = steps[i](&v);
        if (r < 0 && (r != -EPERM || ret->word == WORD_NONE)) {
                verdict_release(ret);
                return r;
        }
        if (r == 0)
                ret->kind = VERDICT_TRUSTED;
        return 0;
}

int verify_document(const struct verify_input *input, struct span text, struct evidence *scratch,
                struct verdict *ret, struct error *error)
{
        struct error reason;
        int r = evidence_read(text, scratch, &reason);

        if (r == 0)
                return verify_evidence(input, scratch, ret, error);
        if (r != -EBADMSG && r != -E2BIG)
                return error_set(error, -r, "%s", reason.text);
        *ret = (struct verdict){0};
        (void)verdict_refuse(ret, VERDICT_MALFORMED, WORD_EVIDENCE, "%s", reason.text);
        return 0;
}
