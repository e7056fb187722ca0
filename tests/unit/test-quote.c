/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Quotes that swtpm made, each with twins: what is cut, edited, claimed beyond it, signed by a key
 * that isn't an attestation key or by another one. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/cleanup.h"
#include "policy/ak-key.h"
#include "tests/unit/corpus.h"
#include "tests/unit/quote-file.h"
#include "tests/unit/soft-ak.h"

#define PCRS 0xfbffu /* 0-15 without 10: what make-quote.py asks for */

DEFINE_CLEANUP(struct ak_key *, ak_key_free)
#define _cleanup_key_ _cleanup_(ak_key_freep)

static const char *const kinds[] = {"rsassa-2048", "rsassa-2048-sha384", "rsassa-3072-sha512",
                "rsapss-2048", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"};

/* 0, or the error of whatever says no first. */
static int judge(struct span attest, struct span signature, struct span public, struct error *error)
{
        _cleanup_key_ struct ak_key *key = NULL;
        struct quote_signature s;
        struct tpm_public area;
        struct quote quote;
        int r = quote_read(attest, &quote, error);

        if (r == 0)
                r = quote_signature_read(signature, &s, error);
        if (r == 0)
                r = tpm_public_read(public, &area, error);
        if (r == 0)
                r = tpm_public_is_ak(&area, error);
        if (r == 0)
                r = ak_key_new(&area, &key, error);
        return r == 0 ? ak_key_verify(key, &s, attest, error) : r;
}

static int judge_file(const struct quote_file *f, struct error *error)
{
        return judge(f->attest, f->signature, f->public, error);
}

static void test_genuine(void)
{
        static const uint8_t nonce[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
                        0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                _cleanup_quote_file_ struct quote_file f;
                struct error error = {{0}};
                struct quote quote = {0};

                printf("# %s\n", kinds[i]);
                REQUIRE(read_quote_file(kinds[i], &f));
                CHECK_EQ(judge_file(&f, &error), 0);
                CHECK(error.text[0] == '\0');
                CHECK_EQ(quote_read(f.attest, &quote, NULL), 0);
                CHECK(span_equal(quote.nonce, SPAN(nonce, sizeof(nonce))));
                CHECK_EQ(quote_covers(&quote, TPM_ALG_SHA256), PCRS);
                CHECK_EQ(quote_covers(&quote, TPM_ALG_SHA1), 0);
        }
}

/* Every byte of all three, changed and cut off. */
static void test_bytes(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                _cleanup_quote_file_ struct quote_file f;
                size_t n_accepted = 0;

                REQUIRE(read_quote_file(kinds[i], &f));
                for (size_t at = 0; at < f.bytes.size; at++) {
                        f.bytes.data[at] ^= 0x01; /* sizes, too: the spans stay */
                        if (judge_file(&f, NULL) == 0)
                                n_accepted++;
                        f.bytes.data[at] ^= 0x01;
                }
                /* the two sizes of the file; the area's name algorithm and attributes aren't
                 * signed: one bit of noDA and its like may change, which the Name would tell */
                printf("# %s: %zu bytes can change\n", kinds[i], n_accepted);
                CHECK(n_accepted <= 2 * 2 + 2 + 3);
                for (size_t cut = 1; cut <= f.attest.size; cut++)
                        CHECK_EQ(judge(SPAN(f.attest.data, f.attest.size - cut), f.signature,
                                                 f.public, NULL),
                                        -EBADMSG);
                for (size_t cut = 1; cut <= f.signature.size; cut++)
                        CHECK_EQ(judge(f.attest, SPAN(f.signature.data, f.signature.size - cut),
                                                 f.public, NULL),
                                        -EBADMSG);
                for (size_t cut = 1; cut <= f.public.size; cut++)
                        CHECK_EQ(judge(f.attest, f.signature,
                                                 SPAN(f.public.data, f.public.size - cut), NULL),
                                        -EBADMSG);
        }
}

static void test_other_key(void)
{
        _cleanup_quote_file_ struct quote_file a, b, rsa;
        struct error error;

        REQUIRE(read_quote_file("ecdsa-p256", &a) && read_quote_file("four-pcrs", &b) &&
                        read_quote_file("rsassa-2048", &rsa));
        CHECK_EQ(judge(a.attest, a.signature, rsa.public, &error), -EPERM);
        CHECK(strstr(error.text, "another scheme"));
        CHECK_EQ(judge(b.attest, a.signature, a.public, &error), -EPERM);
        CHECK(strstr(error.text, "isn't the key's over this quote"));
        CHECK_EQ(judge(rsa.attest, rsa.signature, a.public, &error), -EPERM);
}

static void test_refused(void)
{
        static const struct {
                const char *name, *text;
                int result;
        } rows[] = {
                        {"cut-attest", "cut off", -EBADMSG},
                        {"more-attest", "behind its end", -EBADMSG},
                        {"cut-signature", "cut off", -EBADMSG},
                        {"cut-public", "cut off", -EBADMSG},
                        {"not-generated", "TPM_GENERATED", -EBADMSG},
                        {"of-a-key", "something else", -EBADMSG},
                        {"hmac", "scheme 0x0005", -EBADMSG},
                        {"bank-twice", "sha256 twice", -EBADMSG},
                        {"many-banks", "no list", -EBADMSG},
                        {"pcr-24", "above 23", -EBADMSG},
                        {"foreign-bank", "bank 0x0099", -EBADMSG},
                        {"no-bank", "isn't the key's", -EPERM},
                        {"ecdsa-p256-sha1", "hash that isn't", -EPERM},
                        {"rsassa-1024", "less than 2048", -EPERM},
                        {"unrestricted", "isn't restricted", -EPERM},
                        {"not-fixed", "isn't bound to its TPM", -EPERM},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_quote_file_ struct quote_file f;
                struct error error = {{0}};

                REQUIRE(read_quote_file(rows[i].name, &f));
                CHECK_EQ(judge_file(&f, &error), rows[i].result);
                if (!strstr(error.text, rows[i].text)) {
                        printf("# %s: %s\n", rows[i].name, error.text);
                        CHECK(!"the reason is another");
                }
        }
}

/* ---- values ---- */

/* What swtpm read when make-quote.py asked it: one extend in PCR 0 and 8. */
static void machine_values(struct replay *ret)
{
        const struct banks banks = {2, {alg_by_id(TPM_ALG_SHA256), alg_by_id(TPM_ALG_SHA1)}};
        struct tcg_event event = {.digests = {1, {{.alg = banks.alg[0]}}}};

        replay_start(ret, &banks);
        memset(event.digests.d[0].bytes, 0x11, 32);
        CHECK_EQ(replay_extend(ret, &event), 0);
        event.pcr = 8;
        memset(event.digests.d[0].bytes, 0xaa, 32);
        CHECK_EQ(replay_extend(ret, &event), 0);
        ret->measured[0] = PCRS;
        ret->measured[1] = 0;
}

static int check_file_values(const char *name, const struct replay *pcrs, struct error *error)
{
        _cleanup_quote_file_ struct quote_file f;
        struct quote_signature s = {0};
        struct quote quote = {0};

        if (!read_quote_file(name, &f) || quote_read(f.attest, &quote, NULL) < 0 ||
                        quote_signature_read(f.signature, &s, NULL) < 0)
                return -EIO;
        return quote_check_values(&quote, pcrs, s.hash, error);
}

static void test_values(void)
{
        struct replay pcrs;
        struct error error = {{0}};

        machine_values(&pcrs);
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                CHECK_EQ(check_file_values(kinds[i], &pcrs, &error), 0);
        pcrs.measured[1] = 0x101;
        CHECK_EQ(check_file_values("two-banks", &pcrs, &error), 0);
        pcrs.measured[1] = 0;
        pcrs.measured[0] = 0x107;
        CHECK_EQ(check_file_values("four-pcrs", &pcrs, &error), 0);
}

static void test_values_refused(void)
{
        struct error error = {{0}};
        struct replay pcrs;

        machine_values(&pcrs);
        CHECK_EQ(check_file_values("four-pcrs", &pcrs, &error), -EPERM);
        CHECK(strstr(error.text, "PCR 3, bank sha256: a value is claimed"));
        pcrs.measured[1] = 1;
        CHECK_EQ(check_file_values("rsassa-2048", &pcrs, &error), -EPERM);
        CHECK(strstr(error.text, "PCR 0, bank sha1: a value is claimed"));
        pcrs.measured[1] = 0;
        CHECK_EQ(check_file_values("two-banks", &pcrs, &error), -EPERM);
        CHECK(strstr(error.text, "PCR 0, bank sha1: the quote covers it"));
        CHECK_EQ(check_file_values("no-bank", &pcrs, &error), -EPERM);
        for (unsigned pcr = 0; pcr < 16; pcr++) {
                if (pcr == 10)
                        continue;
                pcrs.pcr[0][pcr].bytes[31] ^= 1;
                CHECK_EQ(check_file_values("ecdsa-p256", &pcrs, &error), -EBADMSG);
                pcrs.pcr[0][pcr].bytes[31] ^= 1;
        }
        pcrs.measured[0] &= ~0x8000u;
        CHECK_EQ(check_file_values("ecdsa-p256", &pcrs, &error), -EPERM);
        CHECK(strstr(error.text, "PCR 15, bank sha256: the quote covers it"));
}

/* ---- names ---- */

static void test_name(void)
{
        _cleanup_quote_file_ struct quote_file f;
        _cleanup_buf_ struct buf wrapped = {0};
        uint8_t name[TPM_NAME_MAX_BYTES], sha256[32];
        struct tpm_public area;

        REQUIRE(read_quote_file("ecdsa-p384", &f));
        REQUIRE(tpm_public_read(f.public, &area, NULL) == 0);
        REQUIRE(tpm_public_name(&area, name) == 34);
        CHECK_EQ(hash_sha256(f.public, sha256), 0);
        CHECK(memcmp(name, "\0\x0b", 2) == 0 && memcmp(name + 2, sha256, 32) == 0);
        buf_put_be16(&wrapped, (uint16_t)f.public.size);
        buf_put_span(&wrapped, f.public);
        CHECK(span_equal(tpm_public_unwrap(buf_span(&wrapped)), f.public));
        CHECK(span_equal(tpm_public_unwrap(f.public), f.public));
        CHECK_EQ(tpm_public_read(buf_span(&wrapped), &area, NULL), -EBADMSG);
}

/* ---- somebody else's evidence ---- */

/* The corpus has the keys as PEM: an area with what tpm2_createak gives its keys, and that key. */
static void corpus_quote(const char *kind)
{
        _cleanup_buf_ struct buf attest = {0}, signature = {0}, pem = {0}, area = {0};
        struct error error = {{0}};
        struct quote quote = {0};
        char name[128];
        EVP_PKEY *key;
        BIO *bio;

        snprintf(name, sizeof(name), "evidence/chain1/quote.%s.msg", kind);
        REQUIRE(read_corpus(name, &attest));
        snprintf(name, sizeof(name), "evidence/chain1/quote.%s.sig", kind);
        REQUIRE(read_corpus(name, &signature));
        snprintf(name, sizeof(name), "evidence/chain1/%s.pem", kind);
        REQUIRE(read_corpus(name, &pem));
        bio = BIO_new_mem_buf(pem.data, (int)pem.size);
        key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        BIO_free(bio);
        REQUIRE(key);
        put_public(&area, key, SOFT_AK_ATTRIBUTES);
        EVP_PKEY_free(key);
        CHECK_EQ(judge(buf_span(&attest), buf_span(&signature), buf_span(&area), &error), 0);
        if (error.text[0])
                printf("# %s: %s\n", kind, error.text);
        CHECK_EQ(quote_read(buf_span(&attest), &quote, NULL), 0);
        CHECK_EQ(quote_covers(&quote, TPM_ALG_SHA256), 0xcbffu);
        attest.data[attest.size - 1] ^= 1;
        CHECK_EQ(judge(buf_span(&attest), buf_span(&signature), buf_span(&area), &error), -EPERM);
}

static void test_corpus(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        corpus_quote("rsa2048");
        corpus_quote("ecc");
}

static const struct tap_test tests[] = {
                {"quotes of each kind of key", test_genuine},
                {"every byte changed or cut off", test_bytes},
                {"another key", test_other_key},
                {"what is refused, and why", test_refused},
                {"PCR values", test_values},
                {"PCR values: more, less, edited", test_values_refused},
                {"Name, TPM2B_PUBLIC", test_name},
                {"quotes of the corpus, by other programs", test_corpus},
};
TAP_MAIN(tests)
