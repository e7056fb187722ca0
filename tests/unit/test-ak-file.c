/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/ak-file: what the key file specification allows is read, what is beside it refused;
 * tpm2_encodeobject's; what is written is DER as OpenSSL reads it. */
#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/pem.h>

#include "tcg2/ak-file.h"
#include "tests/unit/made-corpus.h"

static bool read_key(const char *name, struct buf *bytes, struct ak_file *ret, struct error *error)
{
        _cleanup_buf_ struct buf file = {0};

        return made_corpus_read("ak-file", name, &file) &&
               ak_file_read(buf_span(&file), bytes, ret, error) == 0;
}

static int read_any(struct span file, const char *name, struct error *error)
{
        _cleanup_buf_ struct buf bytes = {0};
        struct ak_file key;

        (void)name;
        return ak_file_read(file, &bytes, &key, error);
}

static void test_corpus(void)
{
        made_corpus_judge("ak-file", read_any, 13, 25);
}

static void test_values(void)
{
        static const struct {
                const char *name;
                uint32_t parent;
                bool rsa_parent, has_auth;
        } rows[] = {
                        {"ok-key.pem", 0x40000001, false, false},
                        {"ok-password.der", 0x40000001, false, true},
                        {"ok-rsa-parent.der", 0x40000001, true, true},
                        {"ok-persistent.der", 0x81010001, false, false},
                        {"ok-persistent-negative.der", 0x81010001, false, false},
                        {"real.pem", 0x40000001, false, true},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf bytes = {0};
                struct ak_file file;

                REQUIRE(read_key(rows[i].name, &bytes, &file, NULL));
                CHECK_EQ(file.parent, rows[i].parent);
                CHECK(file.rsa_parent == rows[i].rsa_parent && file.has_auth == rows[i].has_auth);
                CHECK(file.public.size == 282 && file.public.data[0] == 1 &&
                                file.public.data[1] == 0x18);
                CHECK_EQ(file.private.size, 224);
        }
}

static void test_reasons(void)
{
        static const char *const rows[][2] = {
                        {"policy.der", "a key with a policy"},
                        {"importable.der", "a key with a secret to import it with"},
                        {"sealed.der", "not a key that a TPM loads"},
                        {"other-label.pem", "neither PEM nor DER"},
                        {"not-base64.pem", "not base64"},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf bytes = {0};
                struct error error = {{0}};
                struct ak_file file;

                CHECK(!read_key(rows[i][0], &bytes, &file, &error));
                CHECK(strstr(error.text, rows[i][1]));
        }
}

/* By OpenSSL: a PEM of this name, a sequence of these elements. */
static void test_written(void)
{
        static const int tags[] = {V_ASN1_OBJECT, -1, -1, V_ASN1_INTEGER, V_ASN1_OCTET_STRING,
                        V_ASN1_OCTET_STRING};
        static const uint8_t public[] = {0, 1, 'p'}, private[] = {0, 2, 'q', 'r'};
        const struct ak_file file = {.parent = 0x81000001,
                        .rsa_parent = true,
                        .public = SPAN(public, 3),
                        .private = SPAN(private, 4)};
        _cleanup_buf_ struct buf text = {0};
        char *name = NULL, *header = NULL;
        unsigned char *der = NULL;
        const unsigned char *at;
        ASN1_SEQUENCE_ANY *all;
        long size = 0;
        BIO *bio;

        ak_file_write(&file, &text);
        REQUIRE(!buf_failed(&text));
        bio = BIO_new_mem_buf(text.data, (int)text.size);
        REQUIRE(PEM_read_bio(bio, &name, &header, &der, &size) == 1);
        CHECK(strcmp(name, "TSS2 PRIVATE KEY") == 0);
        at = der;
        all = d2i_ASN1_SEQUENCE_ANY(NULL, &at, size);
        REQUIRE(all && at == der + size && sk_ASN1_TYPE_num(all) == 6);
        for (int i = 0; i < 6; i++)
                if (tags[i] >= 0)
                        CHECK_EQ(ASN1_TYPE_get(sk_ASN1_TYPE_value(all, i)), tags[i]);
        CHECK_EQ(ASN1_INTEGER_get(sk_ASN1_TYPE_value(all, 3)->value.integer), 0x81000001);
        CHECK(ASN1_STRING_length(sk_ASN1_TYPE_value(all, 5)->value.octet_string) == 4);
        sk_ASN1_TYPE_pop_free(all, ASN1_TYPE_free);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
        BIO_free(bio);
}

static const struct tap_test tests[] = {
                {"what the specification allows, and nothing else", test_corpus},
                {"values", test_values},
                {"reasons", test_reasons},
                {"written as OpenSSL reads it", test_written},
};

TAP_MAIN(tests)
