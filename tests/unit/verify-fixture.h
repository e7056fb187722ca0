/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence of a made-up machine with two hops, and a judge of it. */
#pragma once

#include <errno.h>

#include "base/cleanup.h"
#include "policy/verify.h"
#include "tests/unit/hop-log.h"
#include "tests/unit/soft-ak.h"

#define NONCE    TEXT("nonce of sixteen")
#define QUOTED   0xffffu /* PCRs 0-15 */
#define NOW      1800000000
#define LONG_AGO 1000000000

DEFINE_CLEANUP(struct ak_trust *, ak_trust_free)
DEFINE_CLEANUP(struct ak_cache *, ak_cache_free)

/* ---- a machine with two hops ---- */

struct machine {
        struct soft_ak ak;
        struct list list;
        struct buf log;
        struct replay pcrs;
        struct soft_evidence soft;
};

static inline void machine_release(struct machine *m)
{
        soft_ak_release(&m->ak);
        release(&m->list);
        buf_release(&m->log);
        soft_evidence_release(&m->soft);
}
#define _cleanup_machine_ __attribute__((cleanup(machine_release)))

/* Quotes again what the TPM reads, in the banks that are quoted. */
static inline struct evidence *quote(struct machine *m, uint32_t sha256, uint32_t sha1)
{
        m->pcrs.measured[0] = sha256;
        m->pcrs.measured[1] = sha1;
        soft_evidence_release(&m->soft);
        soft_evidence(&m->ak, buf_span(&m->log), &m->pcrs, NONCE, &m->soft);
        return &m->soft.evidence;
}

/* Writes the list as the log; the TPM stays as it is. */
static inline struct evidence *rewrite(struct machine *m)
{
        m->log.size = 0;
        write_log(&m->list, &m->log);
        return quote(m, QUOTED, 0);
}

static inline struct evidence *machine_new(struct machine *m)
{
        *m = (struct machine){0};
        soft_ak_new(&m->ak, false);
        honest(&m->list);
        tpm_after(&m->list, &m->pcrs);
        return rewrite(m);
}

/* ---- the judge ---- */

struct rules {
        struct ak_trust *trust;
        struct ak_cache *keys;
        struct verify_policy policy;
        struct verify_input input;
};

static inline void rules_release(struct rules *r)
{
        ak_cache_free(r->keys);
        ak_trust_free(r->trust);
        verify_policy_release(&r->policy);
}
#define _cleanup_rules_ __attribute__((cleanup(rules_release)))

static inline void start_rules(struct rules *r)
{
        *r = (struct rules){0};
        CHECK_EQ(ak_trust_new(&r->trust), 0);
        CHECK_EQ(ak_cache_new(r->trust, 4, &r->keys), 0);
        verify_policy_default(&r->policy);
        r->input = (struct verify_input){
                        .nonce = NONCE, .keys = r->keys, .policy = &r->policy, .now = NOW};
}

static inline void rules_new(struct rules *r, const struct machine *m)
{
        start_rules(r);
        CHECK_EQ(ak_trust_add_keys(r->trust, buf_span(&m->ak.public), NULL), 0);
}

static inline void judge(
                const struct rules *r, const struct evidence *evidence, struct verdict *ret)
{
        struct error error = {{0}};

        CHECK_EQ(verify_evidence(&r->input, evidence, ret, &error), 0);
        CHECK((ret->kind == VERDICT_TRUSTED) == (ret->word == WORD_NONE));
        CHECK((ret->kind == VERDICT_TRUSTED) == (ret->reason.text[0] == '\0'));
        for (size_t i = 0; i < ret->n_boots; i++)
                CHECK(ret->kind != VERDICT_TRUSTED || verdict_boot_trusted(ret, i));
}

/* word: why; text: a part of the reason. */
static inline void expect(const struct rules *r, const struct evidence *evidence,
                enum verdict_kind kind, enum verdict_word word, const char *text)
{
        _cleanup_verdict_ struct verdict verdict = {0};

        judge(r, evidence, &verdict);
        if (verdict.kind != kind || verdict.word != word || !strstr(verdict.reason.text, text))
                printf("# %s (%s): %s\n", verdict_kind_text(verdict.kind),
                                verdict_word_text(verdict.word), verdict.reason.text);
        CHECK_EQ(verdict.kind, kind);
        CHECK_EQ(verdict.word, word);
        CHECK(strstr(verdict.reason.text, text));
}

static inline void refused(const struct rules *r, const struct evidence *evidence,
                enum verdict_word word, const char *text)
{
        expect(r, evidence, VERDICT_NOT_TRUSTED, word, text);
}

/* With MKEXEC_WRITE_CORPUS=DIR: so tests/corpus/verify/ was made. */
static inline void save_evidence(const char *name, const struct evidence *evidence)
{
        _cleanup_buf_ struct buf text = {0};
        struct evidence e = *evidence;
        const char *folder = getenv("MKEXEC_WRITE_CORPUS");
        char path[4096];
        FILE *f;

        if (!folder)
                return;
        while (e.pcrs.banks.n > 0 && e.pcrs.measured[e.pcrs.banks.n - 1] == 0)
                e.pcrs.banks.n--; /* a bank that isn't quoted isn't written */
        CHECK_EQ(evidence_write(&e, &text, NULL), 0);
        snprintf(path, sizeof(path), "%s/%s.json", folder, name);
        f = fopen(path, "w");
        CHECK(f && fwrite(text.data, 1, text.size, f) == text.size && fclose(f) == 0);
}
