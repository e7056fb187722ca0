/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The judge of evidence: by whose key, and who vouches for that. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/unit/verify-fixture.h"

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

/* A policy that names an issuer, where nobody gave a key: by the same rules. */
static void test_issuers_of_a_policy(void)
{
        _cleanup_soft_ak_ struct soft_ak root_key, other;
        _cleanup_certificate_ struct certificate root, good, web, others, self;
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);
        _cleanup_free_ struct span *issuers = calloc(1, sizeof(*issuers));

        soft_ak_new(&root_key, false);
        soft_ak_new(&other, false);
        certify(&root, "root CA", root_key.key, NULL, root_key.key, NULL, NOW + 1000);
        certify(&good, "AK", m.ak.key, &root, root_key.key, AK_USAGE, NOW + 1000);
        certify(&web, "AK", m.ak.key, &root, root_key.key, "serverAuth", NOW + 1000);
        certify(&others, "AK", other.key, &root, root_key.key, AK_USAGE, NOW + 1000);
        certify(&self, "AK", m.ak.key, NULL, m.ak.key, AK_USAGE, NOW + 1000);
        REQUIRE(issuers);
        start_rules(&r);
        issuers[0] = root.bytes;
        r.policy.issuers = TAKE_PTR(issuers);
        r.policy.n_issuers = 1;
        refused(&r, e, WORD_POLICY, "without a certificate");
        e->n_certificates = 1;
        e->certificate[0] = good.bytes;
        expect(&r, e, VERDICT_TRUSTED, WORD_NONE, "");
        e->certificate[0] = web.bytes;
        refused(&r, e, WORD_POLICY, "isn't for attestation keys");
        e->certificate[0] = others.bytes;
        refused(&r, e, WORD_POLICY, "is of another key");
        e->certificate[0] = self.bytes;
        refused(&r, e, WORD_POLICY, "doesn't lead to an authority");
}

static const struct tap_test tests[] = {
                {"attestation keys", test_keys},
                {"no key to trust", test_no_trust},
                {"a key in PEM", test_pem},
                {"certificates", test_certificates},
                {"issuers of a policy", test_issuers_of_a_policy},
};
TAP_MAIN(tests)
