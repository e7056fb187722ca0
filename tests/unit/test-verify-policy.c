/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files: what is read, what is refused, and what facts meet them. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "policy/ak-certificate.h"
#include "policy/verify-policy.h"
#include "tests/unit/made-corpus.h"

#define HEAD "{\"version\": 1, \"kind\": \"mkexec-policy\""
#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME "000b" A64

static int read_text(const char *text, struct verify_policy *ret, struct error *error)
{
        return verify_policy_read(SPAN(text, strlen(text)), ret, error);
}

static void whole_policy(void)
{
        static const char text[] = HEAD
                        ", \"kexec\": true, \"most_hops\": 3, \"aborted_hops\": false, "
                        "\"unknown_kernels\": true, \"first_boot_pcrs\": [4, 11], \"kernels\": "
                        "[\"" A64 "\"], \"ak_names\": [\"" NAME "\", \"000b" A64 "\"], "
                        "\"issuers\": [\"AQID\"], \"plain_kexec\": \"excluded\", \"pcrs\": "
                        "{\"sha256\": {\"7\": [\"" A64 "\", \"" A64 "\"], \"0\": [\"" A64 "\"]}}, "
                        "\"weak_banks\": true, \"unknown_banks\": true, \"unexplained_pcrs\": []}";
        _cleanup_verify_policy_ struct verify_policy p = {0};
        struct error error;

        REQUIRE(read_text(text, &p, &error) == 0);
        CHECK(p.kexec && p.most_hops == 3 && !p.aborted_hops && p.unknown_kernels);
        CHECK_EQ(p.first_boot_pcrs, 1u << 4 | 1u << 11);
        CHECK(p.n_kernels == 1 && p.kernels[0][31] == 0xaa);
        CHECK(p.n_ak_names == 2 && p.ak_names[1].size == 34 && p.ak_names[1].data[1] == 0x0b);
        CHECK(p.n_issuers == 1 && span_equal(p.issuers[0], SPAN("\1\2\3", 3)));
        CHECK(!p.plain_kexec && p.n_pcrs == 3 && p.pcrs[2].pcr == 0 && p.pcrs[1].pcr == 7);
        CHECK(p.weak_banks && p.unknown_banks && p.unexplained_pcrs == 0);
}

static void default_policy(void)
{
        _cleanup_verify_policy_ struct verify_policy p = {0};

        REQUIRE(read_text(HEAD "}", &p, NULL) == 0);
        CHECK(p.kexec && p.aborted_hops && !p.unknown_kernels && p.plain_kexec);
        CHECK(!p.weak_banks && !p.unknown_banks && p.unexplained_pcrs == 1u << 10);
        CHECK_EQ(p.first_boot_pcrs, REFERENCE_VIEW);
}

static void malformed_policies(void)
{
        static const struct {
                const char *text, *reason;
        } rows[] = {
                        {"", "malformed JSON"},
                        {"[]", "a policy is a JSON object"},
                        {"{\"kind\": \"mkexec-policy\"}", "\"version\" is missing"},
                        {"{\"version\": 1}", "\"kind\" is missing"},
                        {"{\"version\": 2, \"kind\": \"mkexec-policy\"}", "\"version\""},
                        {"{\"version\": 1, \"kind\": \"mkexec-evidence\"}", "\"kind\""},
                        {HEAD ", \"version\": 1}", "\"version\" is there twice"},
                        {HEAD ", \"kexec\": true, \"kexec\": true}", "\"kexec\" is there twice"},
                        {HEAD ", \"\\u006bexec\": true, \"kexec\": false}", "is there twice"},
                        {HEAD ", \"kexecs\": true}", "unknown member \"kexecs\""},
                        {HEAD ", \"kexec\": 1}", "isn't true or false"},
                        {HEAD ", \"kexec\": null}", "isn't true or false"},
                        {HEAD ", \"most_hops\": -1}", "\"most_hops\""},
                        {HEAD ", \"most_hops\": 1.0}", "\"most_hops\""},
                        {HEAD ", \"most_hops\": 99999999999999999999}", "\"most_hops\""},
                        {HEAD ", \"first_boot_pcrs\": [7]}", "\"first_boot_pcrs\""},
                        {HEAD ", \"first_boot_pcrs\": [4, 4]}", "has 4 twice"},
                        {HEAD ", \"first_boot_pcrs\": 4}", "a list of PCRs"},
                        {HEAD ", \"unexplained_pcrs\": [8]}", "\"unexplained_pcrs\""},
                        {HEAD ", \"unexplained_pcrs\": [16]}", "\"unexplained_pcrs\""},
                        {HEAD ", \"kernels\": []}", "is empty"},
                        {HEAD ", \"kernels\": [\"aa\"]}", "isn't a SHA-256"},
                        {HEAD ", \"kernels\": \"" A64 "\"}", "isn't a list"},
                        {HEAD ", \"ak_names\": []}", "is empty"},
                        {HEAD ", \"ak_names\": [\"" A64 "\"]}", "\"ak_names\""},
                        {HEAD ", \"ak_names\": [\"000c" A64 "\"]}", "\"ak_names\""},
                        {HEAD ", \"ak_names\": [5]}", "\"ak_names\""},
                        {HEAD ", \"issuers\": [\"AQI\"]}", "\"issuers\""},
                        {HEAD ", \"issuers\": [\"\"]}", "\"issuers\""},
                        {HEAD ", \"plain_kexec\": true}", "\"plain_kexec\""},
                        {HEAD ", \"plain_kexec\": \"never\"}", "\"plain_kexec\""},
                        {HEAD ", \"pcrs\": []}", "an object of banks"},
                        {HEAD ", \"pcrs\": {\"md5\": {}}}", "a bank that isn't known"},
                        {HEAD ", \"pcrs\": {\"sha256\": {\"24\": [\"" A64 "\"]}}}", "isn't one"},
                        {HEAD ", \"pcrs\": {\"sha256\": {\"07\": [\"" A64 "\"]}}}", "isn't one"},
                        {HEAD ", \"pcrs\": {\"sha256\": {\"7\": []}}}", "PCR 7 has no values"},
                        {HEAD ", \"pcrs\": {\"sha256\": {\"7\": [\"aa\"]}}}", "not a sha256 value"},
                        {HEAD ", \"pcrs\": {\"sha256\": {\"7\": [\"" A64 "\"], \"7\": [\"" A64
                              "\"]}}}",
                                        "is there twice"},
                        {HEAD ", \"pcrs\": {\"sha256\": {\"7\": [\"" A64
                              "\"]}, \"sha256\": {\"7\": [\"" A64 "\"]}}}",
                                        "is there twice"},
                        {HEAD "} {}", "more than one"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct verify_policy p = {0};
                struct error error = {{0}};

                CHECK_EQ(read_text(rows[i].text, &p, &error), -EBADMSG);
                CHECK(strstr(error.text, rows[i].reason));
                if (!strstr(error.text, rows[i].reason))
                        printf("# row %zu: %s\n", i, error.text);
        }
}

/* ---- facts ---- */

struct scene {
        struct hop_info hops[2];
        struct hop_verdict verdict;
        struct reference references[3];
        struct reference_found boots[3];
        struct replay quoted;
        struct plain_kexec_verdict plain;
        struct policy_facts facts;
        uint8_t name[34];
};

/* Two hops, all known, nothing odd. */
static void make_scene(struct scene *s)
{
        struct banks banks = {.n = 1, .alg = {alg_by_id(TPM_ALG_SHA256)}};

        *s = (struct scene){.plain = {.kind = PLAIN_KEXEC_EXCLUDED}};
        for (unsigned i = 0; i < 3; i++) {
                memset(s->references[i].payload_sha256, 0xa0 + (int)i, 32);
                s->boots[i] = (struct reference_found){
                                REFERENCE_WHOLE, &s->references[i], REFERENCE_VIEW, {{0}}};
        }
        for (unsigned i = 0; i < 2; i++) {
                s->hops[i].hop = i + 1;
                memset(s->hops[i].payload_sha256, 0xa1 + (int)i, 32);
        }
        s->verdict = (struct hop_verdict){
                        .n_hops = 2, .hops = s->hops, .registers = 1u << 8 | 1u << 12};
        replay_start(&s->quoted, &banks);
        s->quoted.measured[0] = 0xffff;
        memset(s->quoted.pcr[0][7].bytes, 0xaa, 32);
        s->name[1] = 0x0b;
        memset(s->name + 2, 0xaa, 32);
        s->facts = (struct policy_facts){.references = true,
                        .hops = &s->verdict,
                        .boots = s->boots,
                        .quoted = &s->quoted,
                        .plain_kexec = &s->plain,
                        .ak_name = SPAN(s->name, 34)};
}

static void unlike(struct reference_found *found, const char *why)
{
        found->match = REFERENCE_PART;
        found->equal = 1u << 11;
        error_set(&found->reason, ENOENT, "%s", why);
}

enum change {
        NOTHING,
        ABORT_2,
        UNKNOWN_1,
        UNKNOWN_2,
        FIRST_PCR_4,
        FIRST_NONE,
        NO_HOPS,
        NO_LOG,
        NO_REFERENCES,
        SEEN,
        WEAK,
        WEAK_QUOTE,
        UNKNOWN_BANK,
        UNEXPLAINED_10,
        UNEXPLAINED_8,
        UNEXPLAINED_12,
        OTHER_AK,
        OTHER_PCR_7,
        UNQUOTED_7,
};

static void change_scene(struct scene *s, enum change change)
{
        switch (change) {
        case NOTHING:
                break;
        case ABORT_2:
                s->hops[1].aborted = true;
                break;
        case UNKNOWN_1:
        case UNKNOWN_2:
                unlike(&s->boots[change - UNKNOWN_1 + 1], "other initrds");
                break;
        case FIRST_PCR_4:
                unlike(&s->boots[0], "PCR 4 isn't as in a.json");
                break;
        case FIRST_NONE:
                s->boots[0] = (struct reference_found){.reason = {"no reference"}};
                break;
        case NO_HOPS:
                s->verdict.n_hops = 0;
                break;
        case NO_LOG:
                s->facts.hops = NULL;
                break;
        case NO_REFERENCES:
                s->facts.references = false;
                break;
        case SEEN:
                s->plain.kind = PLAIN_KEXEC_SEEN;
                error_set(&s->plain.text, EPERM, "seen: 1 more");
                break;
        case WEAK:
                s->verdict.weak = true;
                break;
        case WEAK_QUOTE:
                s->quoted.banks.alg[0] = alg_by_id(TPM_ALG_SHA1);
                break;
        case UNKNOWN_BANK:
                s->verdict.unknown_bank = true;
                break;
        case UNEXPLAINED_10:
        case UNEXPLAINED_8:
        case UNEXPLAINED_12:
                s->facts.unexplained = 1u << (change == UNEXPLAINED_10           ? 10
                                                       : change == UNEXPLAINED_8 ? 8
                                                                                 : 12);
                break;
        case OTHER_AK:
                s->name[9] ^= 1;
                break;
        case OTHER_PCR_7:
                s->quoted.pcr[0][7].bytes[9] ^= 1;
                break;
        case UNQUOTED_7:
                s->quoted.measured[0] &= ~(1u << 7);
                break;
        }
}

#define HASH(digit)                                                                              \
        "\"" digit digit digit digit digit digit digit digit digit digit digit digit digit digit \
                        digit digit digit digit digit digit digit digit digit digit digit digit  \
                                        digit digit digit digit digit digit "\""

static const struct {
        const char *policy;
        enum change change;
        const char *reason; /* NULL: met */
} judged[] = {
                {"", NOTHING, NULL},
                {"", ABORT_2, NULL},
                {"", SEEN, NULL},
                {"", UNEXPLAINED_10, NULL},
                {"", NO_REFERENCES, NULL},
                {"", NO_LOG, "boot 1 (by firmware) isn't known"},
                {"", UNKNOWN_1, "boot 2: other initrds"},
                {"", UNKNOWN_2, "boot 3: other initrds"},
                {"", FIRST_PCR_4, "boot 1 (by firmware): PCR 4"},
                {"", FIRST_NONE, "boot 1 (by firmware) isn't known"},
                {"", WEAK, "SHA-1"},
                {"", WEAK_QUOTE, "SHA-1"},
                {"", UNKNOWN_BANK, "can't be computed"},
                {"", UNEXPLAINED_8, "PCR 8"},
                {"", UNEXPLAINED_12, "PCR 12"},
                {", \"weak_banks\": true", WEAK, NULL},
                {", \"weak_banks\": true", WEAK_QUOTE, NULL},
                {", \"unknown_banks\": true", UNKNOWN_BANK, NULL},
                {", \"unexplained_pcrs\": []", UNEXPLAINED_10, "PCR 10"},
                {", \"unexplained_pcrs\": [12]", UNEXPLAINED_12, "PCR 12"}, /* it's a register */
                {", \"unknown_kernels\": true", UNKNOWN_2, NULL},
                {", \"first_boot_pcrs\": [11]", FIRST_PCR_4, NULL},
                {", \"first_boot_pcrs\": [4]", FIRST_PCR_4, "PCR 4"},
                {", \"first_boot_pcrs\": []", FIRST_NONE, NULL},
                {", \"kexec\": false", NOTHING, "no kexec"},
                {", \"kexec\": false", NO_HOPS, NULL},
                {", \"most_hops\": 2", NOTHING, NULL},
                {", \"most_hops\": 1", NOTHING, "2 hops, at most 1"},
                {", \"most_hops\": 1", ABORT_2, "2 hops, at most 1"},
                {", \"aborted_hops\": false", NOTHING, NULL},
                {", \"aborted_hops\": false", ABORT_2, "hop 2 was aborted"},
                {", \"kernels\": [" HASH("a0") ", " HASH("a1") ", " HASH("a2") "]", NOTHING, NULL},
                {", \"kernels\": [" HASH("a0") ", " HASH("a1") "]", NOTHING,
                                "hop 2 is of a kernel"},
                {", \"kernels\": [" HASH("a1") ", " HASH("a2") "]", NOTHING,
                                "boot 1 (by firmware) is of"},
                {", \"kernels\": [" HASH("a1") ", " HASH("a2") "]", NO_REFERENCES, "isn't known"},
                {", \"kernels\": [" HASH("a1") ", " HASH("a2") "], \"first_boot_pcrs\": []",
                                NO_REFERENCES, NULL},
                {", \"plain_kexec\": \"excluded\"", NOTHING, NULL},
                {", \"plain_kexec\": \"excluded\"", SEEN, "a plain kexec isn't excluded: seen"},
                {", \"ak_names\": [\"" NAME "\"]", NOTHING, NULL},
                {", \"ak_names\": [\"" NAME "\"]", OTHER_AK, "none of those that are named"},
                {", \"pcrs\": {\"sha256\": {\"7\": [" HASH("bb") ", " HASH("aa") "]}}", NOTHING,
                                NULL},
                {", \"pcrs\": {\"sha256\": {\"7\": [" HASH("bb") ", " HASH("aa") "]}}", OTHER_PCR_7,
                                "PCR 7 has none"},
                {", \"pcrs\": {\"sha256\": {\"7\": [" HASH("aa") "]}}", UNQUOTED_7, "isn't quoted"},
                {", \"pcrs\": {\"sha384\": {\"7\": [\"" A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}}",
                                NOTHING, "isn't quoted"},
                {", \"issuers\": [\"AQID\"]", NOTHING, "issuer 0 is no certificate"},
};

static void facts_are_judged(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(judged); i++) {
                _cleanup_verify_policy_ struct verify_policy p = {0};
                _cleanup_buf_ struct buf text = {0};
                struct error error = {{0}};
                struct scene s;
                int r;

                make_scene(&s);
                change_scene(&s, judged[i].change);
                buf_format(&text, HEAD "%s}", judged[i].policy);
                r = verify_policy_read(buf_span(&text), &p, &error);
                CHECK_EQ(r, 0);
                if (r < 0)
                        printf("# row %zu: %s\n", i, error.text);
                if (r < 0)
                        continue;
                r = verify_policy_check(&p, &s.facts, &error);
                CHECK_EQ(r, judged[i].reason ? -EPERM : 0);
                CHECK(!judged[i].reason || strstr(error.text, judged[i].reason));
                if (error.text[0] && (!judged[i].reason || !strstr(error.text, judged[i].reason)))
                        printf("# row %zu: %s\n", i, error.text);
        }
}

/* ---- issuers ---- */

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

/* usage: an extended key usage; NULL: none. */
static void certificate(EVP_PKEY *key, const char *subject, EVP_PKEY *by, const char *issuer,
                const char *usage, long days, struct buf *ret)
{
        X509 *x = X509_new();
        unsigned char *der = NULL;
        int n;

        X509_set_version(x, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 5);
        X509_gmtime_adj(X509_getm_notBefore(x), -86400);
        X509_gmtime_adj(X509_getm_notAfter(x), days * 86400);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                        (const unsigned char *)subject, -1, -1, 0);
        X509_NAME_add_entry_by_txt(X509_get_issuer_name(x), "CN", MBSTRING_ASC,
                        (const unsigned char *)issuer, -1, -1, 0);
        X509_set_pubkey(x, key);
        for (int i = 0; i < 5; i++) {
                const struct {
                        int nid;
                        const char *value;
                } rows[] = {{NID_basic_constraints, "critical,CA:TRUE"},
                                {NID_key_usage, "critical,keyCertSign,digitalSignature"},
                                {NID_subject_key_identifier, "hash"},
                                {NID_authority_key_identifier, key == by ? "keyid" : NULL},
                                {NID_ext_key_usage, usage}};
                X509V3_CTX context;
                X509_EXTENSION *extension;

                if (!rows[i].value)
                        continue;
                X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
                extension = X509V3_EXT_conf_nid(NULL, &context, rows[i].nid, rows[i].value);
                X509_add_ext(x, extension, -1);
                X509_EXTENSION_free(extension);
        }
        X509_sign(x, by, EVP_sha256());
        n = i2d_X509(x, &der);
        buf_put(ret, der, (size_t)n);
        OPENSSL_free(der);
        X509_free(x);
}

/* The AK's certificate, then those of whoever is above it, as far as sent. */
static int check_issuers(const struct buf *leaf, const struct buf *middle, const struct buf *issuer,
                EVP_PKEY *ak, time_t now, struct error *error)
{
        const struct span chain[] = {buf_span(leaf), middle ? buf_span(middle) : SPAN(NULL, 0)};
        const struct span issuers[] = {buf_span(issuer)};

        return ak_certificate_check_issuers(issuers, 1, ak, chain,
                        !leaf->size ? 0
                        : middle    ? 2
                                    : 1,
                        now, error);
}

static void issuers_are_believed_by_signature(void)
{
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *root = EVP_EC_gen("P-256"),
                                           *middle = EVP_EC_gen("P-256"), *ak = EVP_EC_gen("P-256");
        _cleanup_buf_ struct buf root_der = {0}, middle_der = {0}, ak_der = {0}, old = {0},
                                 forged = {0}, web = {0}, none = {0}, no_root = {0};
        struct error error = {{0}};
        time_t now = time(NULL);

        certificate(root, "root", root, "root", NULL, 10, &root_der);
        certificate(middle, "middle", root, "root", NULL, 10, &middle_der);
        certificate(ak, "ak", middle, "middle", "2.23.133.8.3", 10, &ak_der);
        certificate(ak, "ak", middle, "middle", NULL, 0, &old);
        certificate(ak, "ak", ak, "middle", NULL, 10, &forged);
        certificate(ak, "ak", middle, "middle", "serverAuth", 10, &web);
        buf_put(&no_root, "\1\2\3", 3);
        CHECK_EQ(check_issuers(&ak_der, &middle_der, &root_der, ak, now, &error), 0);
        if (error.text[0])
                printf("# %s\n", error.text);
        CHECK_EQ(check_issuers(&ak_der, NULL, &root_der, ak, now, &error), -EPERM); /* no way */
        CHECK_EQ(check_issuers(&ak_der, NULL, &middle_der, ak, now, &error), 0);    /* not a root */
        CHECK_EQ(check_issuers(&ak_der, &middle_der, &root_der, root, now, &error), -EPERM);
        CHECK(strstr(error.text, "another key"));
        CHECK_EQ(check_issuers(&ak_der, &middle_der, &root_der, ak, now + 11 * 86400, &error),
                        -EPERM);
        CHECK(strstr(error.text, "expired"));
        CHECK_EQ(check_issuers(&old, &middle_der, &root_der, ak, now + 60, &error), -EPERM);
        CHECK_EQ(check_issuers(&forged, &middle_der, &root_der, ak, now, &error), -EPERM);
        CHECK_EQ(check_issuers(&web, &middle_der, &root_der, ak, now, &error), -EPERM);
        CHECK(strstr(error.text, "isn't for attestation keys"));
        CHECK_EQ(check_issuers(&ak_der, &middle_der, &no_root, ak, now, &error), -EBADMSG);
        CHECK_EQ(check_issuers(&none, NULL, &root_der, ak, now, &error), -EPERM);
        CHECK(strstr(error.text, "without a certificate"));
        ak_der.size--;
        CHECK_EQ(check_issuers(&ak_der, &middle_der, &root_der, ak, now, &error), -EPERM);
        CHECK(strstr(error.text, "can't be read"));
}

static int read_any(struct span text, const char *name, struct error *error)
{
        _cleanup_verify_policy_ struct verify_policy policy = {0};

        (void)name;
        return verify_policy_read(text, &policy, error);
}

static void corpus_is_judged(void)
{
        made_corpus_judge("verify-policy", read_any, 14, 14);
}

static const struct tap_test tests[] = {
                {"the corpus is judged", corpus_is_judged},
                {"every member is read", whole_policy},
                {"what holds where nothing is said", default_policy},
                {"malformed policies are refused", malformed_policies},
                {"facts are judged", facts_are_judged},
                {"issuers are believed by signature, time and usage",
                                issuers_are_believed_by_signature},
};
TAP_MAIN(tests)
