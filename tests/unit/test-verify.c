/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The judge of evidence, rule by rule: what it takes, and for each rule a twin that it refuses, by
 * the word that is the rule's. */
#include "policy/verify.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"
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

static void machine_release(struct machine *m)
{
        soft_ak_release(&m->ak);
        release(&m->list);
        buf_release(&m->log);
        soft_evidence_release(&m->soft);
}
#define _cleanup_machine_ __attribute__((cleanup(machine_release)))

/* Quotes again what the TPM reads, in the banks that are quoted. */
static struct evidence *quote(struct machine *m, uint32_t sha256, uint32_t sha1)
{
        m->pcrs.measured[0] = sha256;
        m->pcrs.measured[1] = sha1;
        soft_evidence_release(&m->soft);
        soft_evidence(&m->ak, buf_span(&m->log), &m->pcrs, NONCE, &m->soft);
        return &m->soft.evidence;
}

/* Writes the list as the log; the TPM stays as it is. */
static struct evidence *rewrite(struct machine *m)
{
        m->log.size = 0;
        write_log(&m->list, &m->log);
        return quote(m, QUOTED, 0);
}

static struct evidence *machine_new(struct machine *m)
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

static void rules_release(struct rules *r)
{
        ak_cache_free(r->keys);
        ak_trust_free(r->trust);
        verify_policy_release(&r->policy);
}
#define _cleanup_rules_ __attribute__((cleanup(rules_release)))

static void start_rules(struct rules *r)
{
        *r = (struct rules){0};
        CHECK_EQ(ak_trust_new(&r->trust), 0);
        CHECK_EQ(ak_cache_new(r->trust, 4, &r->keys), 0);
        verify_policy_default(&r->policy);
        r->input = (struct verify_input){
                        .nonce = NONCE, .keys = r->keys, .policy = &r->policy, .now = NOW};
}

static void rules_new(struct rules *r, const struct machine *m)
{
        start_rules(r);
        CHECK_EQ(ak_trust_add_keys(r->trust, buf_span(&m->ak.public), NULL), 0);
}

static void judge(const struct rules *r, const struct evidence *evidence, struct verdict *ret)
{
        struct error error = {{0}};

        CHECK_EQ(verify_evidence(&r->input, evidence, ret, &error), 0);
        CHECK((ret->kind == VERDICT_TRUSTED) == (ret->word == WORD_NONE));
        CHECK((ret->kind == VERDICT_TRUSTED) == (ret->reason.text[0] == '\0'));
        for (size_t i = 0; i < ret->n_boots; i++)
                CHECK(ret->kind != VERDICT_TRUSTED || verdict_boot_trusted(ret, i));
}

/* word: why; text: a part of the reason. */
static void expect(const struct rules *r, const struct evidence *evidence, enum verdict_kind kind,
                enum verdict_word word, const char *text)
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

static void refused(const struct rules *r, const struct evidence *evidence, enum verdict_word word,
                const char *text)
{
        expect(r, evidence, VERDICT_NOT_TRUSTED, word, text);
}

/* With MKEXEC_WRITE_CORPUS=DIR: so tests/corpus/verify/ was made. */
static void save_evidence(const char *name, const struct evidence *evidence)
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

/* ---- what is true ---- */

static void test_trusted(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};
        struct evidence *e = machine_new(&m);

        rules_new(&r, &m);
        save_evidence("two-hops", e);
        judge(&r, e, &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        CHECK_EQ(v.ak->trusted, AK_GIVEN_AREA);
        CHECK(strcmp(v.bank->name, "sha256") == 0 && !v.weak);
        CHECK_EQ(v.quote.reset_count, 3);
        CHECK_EQ(v.unexplained, 0);
        REQUIRE(v.n_boots == 3);
        CHECK(!v.boots[0].hop && v.boots[0].reported_by == 0);
        CHECK(v.boots[1].hop->hop == 1 && v.boots[1].reported_by == 1);
        CHECK(v.boots[2].hop->hop == 2 && v.boots[2].reported_by == 2);
        CHECK_EQ(v.boots[2].hop->payload_sha256[0], 0xa2);
        CHECK(!v.boots[0].known && !v.boots[1].found_known);
        CHECK_EQ(v.plain_kexec.kind, PLAIN_KEXEC_POSSIBLE);
}

static void test_pristine(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};

        machine_new(&m);
        rules_new(&r, &m);
        release(&m.list);
        firmware(&m.list, "sha1");
        tpm_after(&m.list, &m.pcrs);
        judge(&r, rewrite(&m), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        save_evidence("pristine", &m.soft.evidence);
        CHECK_EQ(v.n_boots, 1);
        CHECK(v.logs.hops.pristine);
}

/* The kernel that made hop 2 is the first one: hop 1 started nothing. */
static void test_aborted(void)
{
        struct hop_ledger_entry entries[N_EVENTS];
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};
        struct hop_open open;

        machine_new(&m);
        rules_new(&r, &m);
        release(&m.list);
        firmware(&m.list, "sha1");
        fill_open(&open, entries, 1);
        add_hop(&m.list, &open, 5);
        add_end(&m.list, true, HOP_PCR, 1, 5);
        fill_open(&open, entries, 2);
        add_hop(&m.list, &open, N_SEQUENCE);
        tpm_after(&m.list, &m.pcrs);
        judge(&r, rewrite(&m), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        REQUIRE(v.n_boots == 3);
        CHECK(v.boots[1].hop->aborted && v.boots[1].reported_by == 1);
        CHECK(!v.boots[2].hop->aborted && v.boots[2].reported_by == 1);
        save_evidence("aborted", &m.soft.evidence);
        r.policy.aborted_hops = false;
        refused(&r, &m.soft.evidence, WORD_POLICY, "aborted");
}

/* Two banks quoted, both true; and one that no log has. */
static void test_banks(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e;

        machine_new(&m);
        rules_new(&r, &m);
        expect(&r, quote(&m, QUOTED, QUOTED), VERDICT_TRUSTED, WORD_NONE, "");
        e = quote(&m, QUOTED, 0x301);
        expect(&r, e, VERDICT_TRUSTED, WORD_NONE, "");
        save_evidence("two-banks", e);
        refused(&r, quote(&m, 0, QUOTED), WORD_WEAK, "SHA-1 is the only bank");
        refused(&r, quote(&m, 0x0ff, QUOTED), WORD_COVERAGE, "PCR 8, bank sha256");
        banks_add(&m.pcrs.banks, alg_by_name("sha384"));
        m.pcrs.measured[2] = QUOTED;
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                m.pcrs.pcr[2][pcr].alg = alg_by_name("sha384");
        refused(&r, quote(&m, 0, 0), WORD_BANK, "no bank of the event log");
        expect(&r, quote(&m, QUOTED, 0), VERDICT_TRUSTED, WORD_NONE, "");
}

/* ---- quotes ---- */

static void test_quote(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);
        struct evidence twin = *e;

        rules_new(&r, &m);
        r.input.nonce = TEXT("nonce of sixteem");
        refused(&r, e, WORD_NONCE, "another nonce");
        r.input.nonce = TEXT("nonce of sixteen.");
        refused(&r, e, WORD_NONCE, "another nonce");
        r.input.nonce = NONCE;
        twin.attest.size--;
        expect(&r, &twin, VERDICT_MALFORMED, WORD_QUOTE, "cut off");
        twin = *e;
        twin.signature.size--;
        expect(&r, &twin, VERDICT_MALFORMED, WORD_QUOTE, "cut off");
        twin = *e;
        twin.ak_public.size--;
        expect(&r, &twin, VERDICT_MALFORMED, WORD_KEY, "cut off");
        m.soft.signature.data[m.soft.signature.size - 1] ^= 1;
        refused(&r, e, WORD_SIGNATURE, "isn't the key's");
        m.soft.signature.data[m.soft.signature.size - 1] ^= 1;
        m.soft.attest.data[m.soft.attest.size - 1] ^= 1;
        refused(&r, e, WORD_SIGNATURE, "isn't the key's");
}

static void test_values(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);

        rules_new(&r, &m);
        e->pcrs.pcr[0][8].bytes[0] ^= 1;
        refused(&r, e, WORD_VALUES, "aren't those that were quoted");
        e->pcrs.pcr[0][8].bytes[0] ^= 1;
        e->pcrs.measured[0] |= 1u << 16;
        refused(&r, e, WORD_SELECTION, "PCR 16, bank sha256: a value is claimed");
        e->pcrs.measured[0] = QUOTED & ~(1u << 5);
        refused(&r, e, WORD_SELECTION, "PCR 5, bank sha256: the quote covers it");
        e->pcrs.measured[0] = QUOTED;
        e->pcrs.measured[1] = 1;
        refused(&r, e, WORD_SELECTION, "PCR 0, bank sha1: a value is claimed");
        for (unsigned pcr = 0; pcr < 16; pcr++) {
                char text[64];

                if (pcr == 10 || pcr > 11)
                        continue;
                snprintf(text, sizeof(text), "PCR %u, bank sha256: the quote doesn't cover it",
                                pcr);
                refused(&r, quote(&m, QUOTED & ~(1u << pcr), 0), WORD_COVERAGE, text);
        }
}

/* ---- keys ---- */

static void test_keys(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);
        struct soft_ak good = m.ak;

        rules_new(&r, &m);
        soft_ak_new(&m.ak, false);
        refused(&r, quote(&m, QUOTED, 0), WORD_TRUST, "isn't one that was given");
        soft_ak_release(&m.ak);
        soft_ak_new(&m.ak, true);
        refused(&r, quote(&m, QUOTED, 0), WORD_TRUST, "isn't one that was given");
        ak_trust_take_anybodys(r.trust);
        ak_cache_free(r.keys);
        CHECK_EQ(ak_cache_new(r.trust, 4, &r.keys), 0);
        r.input.keys = r.keys;
        expect(&r, quote(&m, QUOTED, 0), VERDICT_TRUSTED, WORD_NONE, "");
        soft_ak_release(&m.ak);
        m.ak = good;
        e = quote(&m, QUOTED, 0);
        expect(&r, e, VERDICT_TRUSTED, WORD_NONE, "");
        m.ak.public.size = 0;
        put_public(&m.ak.public, m.ak.key, SOFT_AK_ATTRIBUTES & ~0x10000u);
        refused(&r, quote(&m, QUOTED, 0), WORD_KEY, "isn't restricted");
}

static void test_no_trust(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);

        start_rules(&r);
        refused(&r, e, WORD_TRUST, "whoever's");
        CHECK_EQ(ak_trust_add_keys(r.trust, TEXT("no key"), NULL), -EBADMSG);
        CHECK_EQ(ak_trust_add_authorities(r.trust, TEXT("no certificate"), NULL), -EBADMSG);
        CHECK(ak_trust_is_empty(r.trust));
}

/* A key that was given without what it says of itself. */
static void test_pem(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};
        struct evidence *e = machine_new(&m);
        BIO *pem = BIO_new(BIO_s_mem());
        char *text;
        long size;

        start_rules(&r);
        CHECK_EQ(PEM_write_bio_PUBKEY(pem, m.ak.key), 1);
        size = BIO_get_mem_data(pem, &text);
        CHECK_EQ(ak_trust_add_keys(r.trust, SPAN(text, (size_t)size), NULL), 0);
        BIO_free(pem);
        judge(&r, e, &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        CHECK_EQ(v.ak->trusted, AK_GIVEN_KEY);
}

/* ---- certificates ---- */

struct certificate {
        X509 *x;
        uint8_t *der;
        struct span bytes;
};

static void certificate_release(struct certificate *c)
{
        X509_free(c->x);
        OPENSSL_free(c->der);
}
#define _cleanup_certificate_ __attribute__((cleanup(certificate_release)))

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
        X509V3_CTX ctx;
        X509_EXTENSION *extension;

        X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
        extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
        CHECK(extension && X509_add_ext(x, extension, -1) == 1);
        X509_EXTENSION_free(extension);
}

/* issuer NULL: by itself. usage: an extended key usage, NULL for none; ca for "CA:TRUE". */
static void certify(struct certificate *ret, const char *name, EVP_PKEY *key,
                const struct certificate *issuer, EVP_PKEY *issuer_key, const char *usage,
                time_t until)
{
        X509 *x = X509_new();

        *ret = (struct certificate){.x = x};
        CHECK_EQ(X509_set_version(x, 2), 1);
        CHECK_EQ(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
        CHECK(ASN1_TIME_set(X509_getm_notBefore(x), LONG_AGO - 1000));
        CHECK(ASN1_TIME_set(X509_getm_notAfter(x), until));
        CHECK_EQ(X509_set_pubkey(x, key), 1);
        CHECK_EQ(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                 (const uint8_t *)name, -1, -1, 0),
                        1);
        CHECK_EQ(X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->x : x)), 1);
        if (usage)
                add_extension(x, issuer ? issuer->x : x, NID_ext_key_usage, usage);
        else if (!issuer || strstr(name, "CA"))
                add_extension(x, issuer ? issuer->x : x, NID_basic_constraints, "critical,CA:TRUE");
        CHECK(X509_sign(x, issuer_key, EVP_sha256()) > 0);
        ret->bytes.size = (size_t)i2d_X509(x, &ret->der);
        ret->bytes.data = ret->der;
}

#define AK_USAGE "2.23.133.8.3"

static void test_certificates(void)
{
        _cleanup_soft_ak_ struct soft_ak root_key, ca_key, other;
        _cleanup_certificate_ struct certificate root, ca, good, plain, web, old, others, foreign;
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};
        struct evidence *e = machine_new(&m);

        soft_ak_new(&root_key, false);
        soft_ak_new(&ca_key, false);
        soft_ak_new(&other, false);
        certify(&root, "root CA", root_key.key, NULL, root_key.key, NULL, NOW + 1000);
        certify(&ca, "CA", ca_key.key, &root, root_key.key, NULL, NOW + 1000);
        certify(&good, "AK", m.ak.key, &ca, ca_key.key, AK_USAGE, NOW + 1000);
        certify(&plain, "AK", m.ak.key, &ca, ca_key.key, NULL, NOW + 1000);
        certify(&web, "AK", m.ak.key, &ca, ca_key.key, "serverAuth", NOW + 1000);
        certify(&old, "AK", m.ak.key, &ca, ca_key.key, AK_USAGE, LONG_AGO);
        certify(&others, "AK", other.key, &ca, ca_key.key, AK_USAGE, NOW + 1000);
        certify(&foreign, "AK", m.ak.key, &ca, other.key, AK_USAGE, NOW + 1000);

        start_rules(&r);
        CHECK_EQ(ak_trust_add_authorities(r.trust, root.bytes, NULL), 0);
        refused(&r, e, WORD_TRUST, "no certificate");
        e->certificate[1] = ca.bytes;
        e->n_certificates = 2;
        e->certificate[0] = good.bytes;
        judge(&r, e, &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        CHECK_EQ(v.ak->trusted, AK_CERTIFIED);
        save_evidence("certified", e);
        e->certificate[0] = plain.bytes;
        expect(&r, e, VERDICT_TRUSTED, WORD_NONE, "");
        e->certificate[0] = web.bytes;
        refused(&r, e, WORD_TRUST, "isn't for attestation keys");
        e->certificate[0] = old.bytes;
        refused(&r, e, WORD_TRUST, "expired");
        e->certificate[0] = others.bytes;
        refused(&r, e, WORD_TRUST, "is of another key");
        e->certificate[0] = foreign.bytes;
        refused(&r, e, WORD_TRUST, "doesn't lead to an authority");
        e->certificate[0] = good.bytes;
        e->n_certificates = 1;
        refused(&r, e, WORD_TRUST, "doesn't lead to an authority");
        e->certificate[0].size--;
        refused(&r, e, WORD_TRUST, "can't be read");
        /* what was judged a minute ago is judged again */
        e->certificate[0] = good.bytes;
        e->n_certificates = 2;
        expect(&r, e, VERDICT_TRUSTED, WORD_NONE, "");
        r.input.now = NOW + 2000;
        refused(&r, e, WORD_TRUST, "expired");
}

/* ---- logs ---- */

static void test_no_log(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);

        rules_new(&r, &m);
        for (size_t size = 1; size < m.log.size; size++) {
                _cleanup_verdict_ struct verdict v = {0};

                e->firmware_log.size = size;
                judge(&r, e, &v);
                CHECK(v.kind != VERDICT_TRUSTED);
                CHECK(v.word == WORD_LOG || v.word == WORD_HOP || v.word == WORD_PCR);
        }
        e->firmware_log = SPAN(NULL, 0);
        refused(&r, e, WORD_LOG, "no event log of firmware's");
}

static void set_text(struct list *l, size_t index, const char *text)
{
        set_data(l, index, SPAN(text, strlen(text)));
}

static void test_logs(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;

        machine_new(&m);
        rules_new(&r, &m);
        set_text(&m.list, FOREIGN_IPL, "grub_cmd: set y");
        refused(&r, rewrite(&m), WORD_HOP, "doesn't explain its digest");
        machine_release(&m);

        machine_new(&m);
        rules_release(&r);
        rules_new(&r, &m);
        set_text(&m.list, LEDGER1 + 1, "another section");
        refused(&r, rewrite(&m), WORD_HOP, "isn't that of the ledger");
        machine_release(&m);

        machine_new(&m);
        rules_release(&r);
        rules_new(&r, &m);
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        refused(&r, rewrite(&m), WORD_PCR, "PCR 8, bank sha256");
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        at(&m.list, HOP1 - 1)->event.digests.d[0].bytes[0] ^= 1;
        refused(&r, rewrite(&m), WORD_EVENT, "isn't the hash of its data");
        at(&m.list, HOP1 - 1)->event.digests.d[0].bytes[0] ^= 1;
        cut(&m.list, HOP2, END - HOP2);
        refused(&r, rewrite(&m), WORD_PCR, "PCR 8, bank sha256: isn't what the log's 1 hops");
        cut(&m.list, HOP1, HOP2 - HOP1);
        refused(&r, rewrite(&m), WORD_PCR, "PCR 8, bank sha256: isn't what the log's 0 hops");
}

/* A hop that went to PCR 9, which isn't quoted. */
static void test_registers(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;

        machine_new(&m);
        rules_new(&r, &m);
        refused(&r, quote(&m, QUOTED & ~(1u << 9), 0), WORD_COVERAGE,
                        "PCR 9, bank sha256: the quote doesn't cover it, but a hop went there");
}

/* Somebody extended PCR 15: no log explains it. */
static void test_unexplained(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};

        machine_new(&m);
        rules_new(&r, &m);
        m.pcrs.pcr[0][15].bytes[0] = 1;
        refused(&r, quote(&m, QUOTED, 0), WORD_POLICY, "15");
        m.pcrs.pcr[0][15].bytes[0] = 0;
        m.pcrs.pcr[0][10].bytes[0] = 1;
        judge(&r, quote(&m, QUOTED, 0), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        CHECK_EQ(v.unexplained, 1u << 10);
        CHECK_EQ(v.logs.pcr[0][10], CHECK_PCR_OPAQUE);
}

/* ---- what is told ---- */

static void add_text16(struct list *l, uint32_t pcr, const char *text)
{
        _cleanup_buf_ struct buf data = {0};

        for (const char *p = text; *p; p++)
                buf_put_u16(&data, (uint8_t)*p);
        buf_put_u16(&data, 0);
        add(l, pcr, EV_IPL, buf_span(&data), buf_span(&data));
}

static void test_lines(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};

        machine_new(&m);
        rules_new(&r, &m);
        release(&m.list);
        firmware(&m.list, "sha1");
        add_text16(&m.list, 12, "quiet splash");
        add(&m.list, 8, EV_IPL, TEXT("kernel_cmdline: /vmlinuz ro\0"), TEXT("/vmlinuz ro"));
        add(&m.list, 12, EV_IPL, TEXT("never measured so\0"), TEXT("something else"));
        tpm_after(&m.list, &m.pcrs);
        judge(&r, rewrite(&m), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        save_evidence("command-lines", &m.soft.evidence);
        REQUIRE(v.n_boots == 1 && v.boots[0].n_lines == 2);
        CHECK(v.boots[0].lines[0].encoding == TEXT_UTF16 && v.boots[0].lines[0].text.size == 24);
        CHECK(span_equal(v.boots[0].lines[1].text, TEXT("/vmlinuz ro")));
}

/* ---- logs that are known ---- */

static void same_facts(const struct verdict *a, const struct verdict *b)
{
        CHECK_EQ(a->kind, b->kind);
        CHECK_EQ(a->word, b->word);
        CHECK(strcmp(a->reason.text, b->reason.text) == 0);
        CHECK_EQ(a->judged, b->judged);
        CHECK_EQ(a->unexplained, b->unexplained);
        CHECK(a->bank == b->bank && a->logs.result == b->logs.result);
        CHECK(memcmp(a->logs.pcr, b->logs.pcr, sizeof(a->logs.pcr)) == 0);
        REQUIRE(a->n_boots == b->n_boots);
        for (size_t i = 0; i < a->n_boots; i++) {
                const struct verdict_boot *x = &a->boots[i], *y = &b->boots[i];

                CHECK_EQ(verdict_boot_trusted(a, i), verdict_boot_trusted(b, i));
                CHECK_EQ(x->reported_by, y->reported_by);
                CHECK(!x->hop == !y->hop && (!x->hop || x->hop->hop == y->hop->hop));
                REQUIRE(x->n_lines == y->n_lines);
                for (size_t k = 0; k < x->n_lines; k++)
                        CHECK(span_equal(x->lines[k].text, y->lines[k].text));
        }
}

/* Judged anew, kept, and found again: the same each time. */
static void known_same(struct rules *r, struct known *known, struct machine *m, bool is_known)
{
        _cleanup_verdict_ struct verdict fresh = {0}, kept = {0}, again = {0};
        struct evidence *e = &m->soft.evidence;

        judge(r, e, &fresh);
        r->input.known = known;
        judge(r, e, &kept);
        CHECK_EQ(kept.borrowed, is_known);
        same_facts(&fresh, &kept);
        judge(r, e, &again);
        CHECK_EQ(again.borrowed, is_known);
        if (is_known)
                CHECK(again.boots == kept.boots);
        same_facts(&fresh, &again);
        r->input.known = NULL;
}

static void test_known(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct known *known = NULL, *small = NULL;

        machine_new(&m);
        rules_new(&r, &m);
        CHECK_EQ(known_new(8, 1 << 16, &known), 0);
        CHECK_EQ(known_new(8, 16, &small), 0);
        known_same(&r, known, &m, true);
        known_same(&r, small, &m, false);
        /* other values, other logs: each judged for itself */
        m.pcrs.pcr[0][15].bytes[0] = 1;
        quote(&m, QUOTED, 0);
        known_same(&r, known, &m, true);
        m.pcrs.pcr[0][15].bytes[0] = 0;
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        rewrite(&m);
        known_same(&r, known, &m, true);
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        rewrite(&m);
        known_same(&r, known, &m, true);
        quote(&m, QUOTED & ~1u, 0);
        known_same(&r, known, &m, true);
        /* what the policy says is asked each time */
        quote(&m, QUOTED, 0);
        r.input.known = known;
        expect(&r, &m.soft.evidence, VERDICT_TRUSTED, WORD_NONE, "");
        r.policy.kexec = false;
        refused(&r, &m.soft.evidence, WORD_POLICY, "policy");
        r.policy.kexec = true;
        r.input.nonce = TEXT("another nonce...");
        refused(&r, &m.soft.evidence, WORD_NONCE, "nonce");
        known_free(known);
        known_free(small);
}

/* ---- documents ---- */

static void test_document(void)
{
        _cleanup_evidence_ struct evidence scratch = {0};
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_buf_ struct buf text = {0};
        struct evidence *e = machine_new(&m);
        struct error error = {{0}};
        size_t n = 0;

        rules_new(&r, &m);
        e->pcrs.banks.n = 1; /* a bank that isn't quoted isn't written */
        CHECK_EQ(evidence_write(e, &text, &error), 0);
        for (size_t size = text.size; size > 0; size -= size > 97 ? 97 : size) {
                _cleanup_verdict_ struct verdict v = {0};

                CHECK_EQ(verify_document(&r.input, SPAN(text.data, size), &scratch, &v, &error), 0);
                CHECK_EQ(v.kind, size == text.size ? VERDICT_TRUSTED : VERDICT_MALFORMED);
                CHECK_EQ(v.word, size == text.size ? WORD_NONE : WORD_EVIDENCE);
                n++;
        }
        CHECK(n > 20);
}

static const struct tap_test tests[] = {
                {"two hops", test_trusted},
                {"a boot by firmware alone", test_pristine},
                {"an aborted hop", test_aborted},
                {"banks", test_banks},
                {"nonce, quote, signature", test_quote},
                {"PCR values and what the quote covers", test_values},
                {"attestation keys", test_keys},
                {"no key to trust", test_no_trust},
                {"a key in PEM", test_pem},
                {"certificates", test_certificates},
                {"no log, logs cut anywhere", test_no_log},
                {"events of logs", test_logs},
                {"registers of hops", test_registers},
                {"PCRs that no log explains", test_unexplained},
                {"command lines", test_lines},
                {"logs that were judged before", test_known},
                {"documents, cut anywhere", test_document},
};
TAP_MAIN(tests)
