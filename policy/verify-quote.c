/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was signed, by whom, and that the values are those. */
#include <errno.h>

#include "policy/verify-parts.h"

/* -EBADMSG is malformed, -EPERM is untrue, all else is no verdict. */
static int end(struct verify *v, int r, enum verdict_word word, const struct error *reason)
{
        if (r == -EBADMSG)
                return verdict_refuse(v->verdict, VERDICT_MALFORMED, word, "%s", reason->text);
        if (r == -EPERM)
                return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, word, "%s", reason->text);
        return error_set(v->error, -r, "%s", reason->text);
}

static int read_quote(struct verify *v)
{
        struct verdict *verdict = v->verdict;
        struct error reason;
        int r = quote_read(v->evidence->attest, &verdict->quote, &reason);

        if (r == 0)
                r = quote_signature_read(v->evidence->signature, &verdict->signature, &reason);
        if (r < 0)
                return end(v, r, WORD_QUOTE, &reason);
        if (!span_equal(verdict->quote.nonce, v->input->nonce))
                return verdict_refuse(verdict, VERDICT_NOT_TRUSTED, WORD_NONCE,
                                "the quote is for another nonce: an old one, or somebody else's");
        return 0;
}

static int check_signature(struct verify *v)
{
        const struct evidence *e = v->evidence;
        struct error reason;
        const struct ak *ak;
        int r = ak_cache_get(v->input->keys, e->ak_public, e->certificate, e->n_certificates,
                        v->input->now, &ak, &reason);

        if (r < 0)
                return end(v, r, WORD_KEY, &reason);
        r = ak_key_verify(ak->key, &v->verdict->signature, e->attest, &reason);
        if (r < 0)
                return end(v, r, WORD_SIGNATURE, &reason);
        v->verdict->ak = ak;
        v->verdict->quoted = true;
        return 0;
}

/* Where no key was given the policy may still name some: verify_policy_check asks. */
static int check_trust(struct verify *v)
{
        const struct verify_policy *policy = v->input->policy;
        const struct ak *ak = v->verdict->ak;

        if (ak->trusted != AK_NOT_TRUSTED)
                return 0;
        if (ak_trust_is_empty(ak_cache_trust(v->input->keys)) &&
                        (policy->n_ak_names > 0 || policy->n_issuers > 0))
                return 0;
        return verdict_refuse(v->verdict, VERDICT_NOT_TRUSTED, WORD_TRUST, "%s", ak->reason.text);
}

static int check_values(struct verify *v)
{
        struct error reason;
        int r = quote_check_values(&v->verdict->quote, &v->evidence->pcrs,
                        v->verdict->signature.hash, &reason);

        if (r == -EPERM)
                return end(v, r, WORD_SELECTION, &reason);
        if (r == -EBADMSG)
                return end(v, -EPERM, WORD_VALUES, &reason);
        if (r < 0)
                return end(v, r, WORD_VALUES, &reason);
        v->verdict->pcrs = &v->evidence->pcrs;
        return 0;
}

int verify_quote(struct verify *v)
{
        int r = read_quote(v);

        if (r == 0)
                r = check_signature(v);
        if (r == 0)
                r = check_trust(v);
        return r == 0 ? check_values(v) : r;
}
