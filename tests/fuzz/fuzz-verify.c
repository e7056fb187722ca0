/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The judge of evidence on any document, as it is, and then as if a trusted TPM had quoted what the
 * document claims, so that more than signatures is tried. A verdict has a reason or none is needed;
 * what is trusted has proved what it must; both writers write what can be read. Corpus:
 * tests/corpus/verify/. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "shim/verdict-writers.h"
#include "shim/verify-line.h"
#include "tests/unit/soft-ak.h"

#define NEEDED 0x9ffu

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

/* ---- what a verdict must be ---- */

static void check_trusted(const struct verdict *v)
{
        int b = v->bank ? replay_bank(&v->logs.chain.replay, v->bank->id) : -1;

        require(v->quoted && v->judged && v->pcrs && b >= 0 &&
                        v->n_boots == v->logs.hops.n_hops + 1);
        require(v->logs.result == HOP_RESULT_OK && v->logs.hops.hops_ok);
        for (unsigned pcr = 0; pcr < 16; pcr++) {
                enum check_pcr status = v->logs.pcr[b][pcr];

                require(status != CHECK_PCR_DIFFERS && status != CHECK_PCR_LACKING);
                if ((NEEDED | v->logs.hops.registers) & 1u << pcr)
                        require(status == CHECK_PCR_PROVED);
        }
        for (size_t i = 0; i < v->n_boots; i++) {
                require(verdict_boot_trusted(v, i) && (v->boots[i].hop != NULL) == (i > 0));
                require(v->boots[i].reported_by <= i);
        }
}

static void check_writers(const struct verdict *v)
{
        _cleanup_buf_ struct buf out = {0};
        struct json_writer w = {.out = &out, .first = true};
        struct json document, kind;
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        json_put(&w, "{");
        verdict_json(v, &w);
        json_put(&w, "}");
        require(json_parse(buf_span(&out), &document, NULL) == 0);
        require(json_get(&document, "verdict", &kind, NULL) == 1);
        require(json_is(&kind, verdict_kind_text(v->kind)));
        verdict_text(v, f);
        require(fclose(f) == 0 && size > 0);
        for (size_t i = 0; i < size; i++)
                require(text[i] == '\n' || (uint8_t)text[i] >= 0x20);
        free(text);
}

static void judge(const struct verify_input *input, const struct evidence *evidence)
{
        _cleanup_verdict_ struct verdict verdict = {0};

        require(verify_evidence(input, evidence, &verdict, NULL) == 0);
        require((verdict.kind == VERDICT_TRUSTED) == (verdict.word == WORD_NONE));
        require((verdict.kind == VERDICT_TRUSTED) == (verdict.reason.text[0] == '\0'));
        if (verdict.kind == VERDICT_TRUSTED)
                check_trusted(&verdict);
        check_writers(&verdict);
}

/* ---- the rules ---- */

static struct soft_ak ak;
static struct ak_trust *trust;
static struct ak_cache *keys;
static struct verify_policy policy;

static void start(void)
{
        if (trust)
                return;
        soft_ak_new(&ak, false);
        require(ak_trust_new(&trust) == 0);
        ak_trust_take_anybodys(trust);
        require(ak_cache_new(trust, 4, &keys) == 0);
        verify_policy_default(&policy);
        policy.weak_banks = true;
}

static void judge_line(struct span text)
{
        struct verify_rules rules = {.trust = trust, .policy = policy};
        _cleanup_buf_ struct buf out = {0};
        struct verify_line *line;
        enum verdict_kind kind;
        struct json document;

        require(verify_line_new(&rules, SPAN("nonce", 5), &line) == 0);
        require(verify_line_judge(line, text, 1, &out, &kind) == 0);
        require(kind != VERDICT_TRUSTED && out.size > 0 && out.data[out.size - 1] == '\n');
        require(memchr(out.data, '\n', out.size) == out.data + out.size - 1);
        require(json_parse(buf_span(&out), &document, NULL) == 0);
        verify_line_free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_soft_evidence_ struct soft_evidence soft = {0};
        _cleanup_evidence_ struct evidence evidence = {0};
        struct verify_input input = {.nonce = SPAN("nonce", 5), .policy = &policy};
        struct quote quote;

        if (size > 1 << 18)
                return 0;
        start();
        input.keys = keys;
        judge_line(SPAN(data, size));
        if (evidence_read(SPAN(data, size), &evidence, NULL) < 0)
                return 0;
        if (quote_read(evidence.attest, &quote, NULL) == 0 && quote.nonce.size > 0)
                input.nonce = quote.nonce;
        judge(&input, &evidence);
        input.nonce = SPAN("nonce", 5);
        soft_evidence(&ak, evidence.firmware_log, &evidence.pcrs, input.nonce, &soft);
        evidence.attest = soft.evidence.attest;
        evidence.signature = soft.evidence.signature;
        evidence.ak_public = soft.evidence.ak_public;
        judge(&input, &evidence);
        return 0;
}
