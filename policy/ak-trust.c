/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/ak-trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define KEYS_MAX      4096
#define AK_USAGE_TEXT "2.23.133.8.3" /* tcg-kp-AIKCertificate: TCG Credential Profiles, 3.6 */

struct given {
        struct buf area; /* TPMT_PUBLIC; empty: only the key is known */
        EVP_PKEY *key;
};

struct ak_trust {
        struct given *given;
        size_t n_given;
        X509_STORE *authorities;
        size_t n_authorities;
        bool anybodys;
        ASN1_OBJECT *ak_usage;
};

const char *ak_trusted_text(enum ak_trusted trusted)
{
        static const char *const texts[] = {
                        [AK_NOT_TRUSTED] = "nothing",
                        [AK_GIVEN_AREA] = "public area given",
                        [AK_GIVEN_KEY] = "key given",
                        [AK_CERTIFIED] = "certificate",
                        [AK_ANYBODYS] = "nothing: any key is accepted",
        };

        return texts[trusted];
}

void ak_trust_free(struct ak_trust *trust)
{
        if (!trust)
                return;
        for (size_t i = 0; i < trust->n_given; i++) {
                buf_release(&trust->given[i].area);
                EVP_PKEY_free(trust->given[i].key);
        }
        free(trust->given);
        X509_STORE_free(trust->authorities);
        ASN1_OBJECT_free(trust->ak_usage);
        free(trust);
}

int ak_trust_new(struct ak_trust **ret)
{
        struct ak_trust *trust = calloc(1, sizeof(*trust));

        if (!trust)
                return -ENOMEM;
        trust->authorities = X509_STORE_new();
        trust->ak_usage = OBJ_txt2obj(AK_USAGE_TEXT, 1);
        if (!trust->authorities || !trust->ak_usage) {
                ak_trust_free(trust);
                return -ENOMEM;
        }
        *ret = trust;
        return 0;
}

void ak_trust_take_anybodys(struct ak_trust *trust)
{
        trust->anybodys = true;
}

bool ak_trust_is_empty(const struct ak_trust *trust)
{
        return trust->n_given == 0 && trust->n_authorities == 0 && !trust->anybodys;
}

/* ---- what is given ---- */

/* Takes the key over. */
static int add_given(struct ak_trust *trust, struct span area, EVP_PKEY *key, struct error *error)
{
        struct given *given;

        if (trust->n_given >= KEYS_MAX) {
                EVP_PKEY_free(key);
                return error_set(error, E2BIG, "more than %d keys", KEYS_MAX);
        }
        given = reallocarray(trust->given, trust->n_given + 1, sizeof(*given));
        if (!given) {
                EVP_PKEY_free(key);
                return error_set(error, ENOMEM, "out of memory");
        }
        trust->given = given;
        given += trust->n_given++;
        *given = (struct given){.key = key};
        buf_put_span(&given->area, area);
        return buf_failed(&given->area) ? error_set(error, ENOMEM, "out of memory") : 0;
}

static BIO *reader_of(struct span file)
{
        return file.size <= INT32_MAX ? BIO_new_mem_buf(file.data, (int)file.size) : NULL;
}

static EVP_PKEY *der_key(struct span file)
{
        const uint8_t *at = file.data;
        EVP_PKEY *key = file.size <= INT32_MAX ? d2i_PUBKEY(NULL, &at, (long)file.size) : NULL;

        if (key && at == file.data + file.size)
                return key;
        EVP_PKEY_free(key);
        return NULL;
}

static int add_pem_keys(struct ak_trust *trust, struct span file, struct error *error)
{
        size_t before = trust->n_given;
        BIO *reader = reader_of(file);
        EVP_PKEY *key = NULL;
        int r = 0;

        while (r == 0 && reader && (key = PEM_read_bio_PUBKEY(reader, NULL, NULL, NULL)))
                r = add_given(trust, SPAN(NULL, 0), key, error);
        BIO_free(reader);
        ERR_clear_error();
        if (r == 0 && trust->n_given == before)
                r = error_set(error, EBADMSG,
                                "neither TPMT_PUBLIC, TPM2B_PUBLIC, nor a public key in PEM or "
                                "DER");
        return r;
}

int ak_trust_add_keys(struct ak_trust *trust, struct span file, struct error *error)
{
        struct span area = tpm_public_unwrap(file);
        struct tpm_public public;
        EVP_PKEY *key;

        if (tpm_public_read(area, &public, NULL) == 0)
                return add_given(trust, area, NULL, error);
        key = der_key(file);
        ERR_clear_error();
        return key ? add_given(trust, SPAN(NULL, 0), key, error) : add_pem_keys(trust, file, error);
}

static X509 *der_certificate(struct span bytes)
{
        const uint8_t *at = bytes.data;
        X509 *x = bytes.size <= INT32_MAX ? d2i_X509(NULL, &at, (long)bytes.size) : NULL;

        if (x && at == bytes.data + bytes.size)
                return x;
        X509_free(x);
        return NULL;
}

static bool add_authority(struct ak_trust *trust, X509 *x)
{
        bool added = x && X509_STORE_add_cert(trust->authorities, x) == 1;

        trust->n_authorities += added;
        X509_free(x);
        return added;
}

int ak_trust_add_authorities(struct ak_trust *trust, struct span file, struct error *error)
{
        size_t before = trust->n_authorities;
        BIO *reader;
        X509 *x = der_certificate(file);

        if (x)
                return add_authority(trust, x) ? 0 : error_set(error, ENOMEM, "out of memory");
        reader = reader_of(file);
        while (reader && (x = PEM_read_bio_X509(reader, NULL, NULL, NULL)))
                if (!add_authority(trust, x))
                        break;
        BIO_free(reader);
        ERR_clear_error();
        return trust->n_authorities > before
                               ? 0
                               : error_set(error, EBADMSG, "no certificate in PEM or DER");
}

/* ---- whose key it is ---- */

static enum ak_trusted find_given(
                const struct ak_trust *trust, const struct tpm_public *public, EVP_PKEY *key)
{
        enum ak_trusted best = AK_NOT_TRUSTED;

        for (size_t i = 0; i < trust->n_given; i++) {
                const struct given *given = &trust->given[i];

                if (!given->key && span_equal(buf_span(&given->area), public->bytes))
                        return AK_GIVEN_AREA;
                if (given->key && EVP_PKEY_eq(given->key, key) == 1)
                        best = AK_GIVEN_KEY;
        }
        return best;
}

/* A certificate for something else, a web server's for example, is of a key that no TPM needs to
 * have. */
static const char *wrong_usage(const struct ak_trust *trust, X509 *x)
{
        EXTENDED_KEY_USAGE *usages;
        bool found = false;

        if (!(X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE))
                return "isn't for digital signatures";
        if (!(X509_get_extension_flags(x) & EXFLAG_XKUSAGE))
                return NULL;
        usages = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
        for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++)
                found = found || OBJ_cmp(sk_ASN1_OBJECT_value(usages, i), trust->ak_usage) == 0;
        EXTENDED_KEY_USAGE_free(usages);
        return found ? NULL : "isn't for attestation keys (tcg-kp-AIKCertificate)";
}

static int refuse(struct error *reason, const char *what)
{
        return error_set(reason, EPERM, "the attestation key's certificate %s", what);
}

static int verify_chain(const struct ak_trust *trust, X509 *x, STACK_OF(X509) * issuers, time_t now,
                struct error *reason)
{
        X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        int r = -ENOMEM;

        if (ctx && X509_STORE_CTX_init(ctx, trust->authorities, x, issuers) == 1) {
                X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
                X509_STORE_CTX_set_time(ctx, 0, now);
                r = 0;
                if (X509_verify_cert(ctx) != 1)
                        r = error_set(reason, EPERM,
                                        "the attestation key's certificate doesn't lead to an "
                                        "authority that is trusted: %s",
                                        X509_verify_cert_error_string(
                                                        X509_STORE_CTX_get_error(ctx)));
        }
        X509_STORE_CTX_free(ctx);
        ERR_clear_error();
        return r;
}

static int judge_first(const struct ak_trust *trust, X509 *x, EVP_PKEY *key, struct error *reason)
{
        if (EVP_PKEY_eq(X509_get0_pubkey(x), key) != 1)
                return refuse(reason, "is of another key");
        return wrong_usage(trust, x) ? refuse(reason, wrong_usage(trust, x)) : 0;
}

/* 0: certified; -EPERM: not, and why. */
static int judge_certificates(const struct ak_trust *trust, EVP_PKEY *key,
                const struct span *certificates, size_t n, time_t now, struct error *reason)
{
        STACK_OF(X509) *issuers = sk_X509_new_null();
        X509 *first = NULL;
        int r = issuers ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < n; i++) {
                X509 *x = der_certificate(certificates[i]);

                if (!x)
                        r = refuse(reason, "or one of its issuers' can't be read");
                else if (i == 0)
                        first = x;
                else if (sk_X509_push(issuers, x) < 1) {
                        X509_free(x);
                        r = -ENOMEM;
                }
        }
        if (r == 0)
                r = judge_first(trust, first, key, reason);
        if (r == 0)
                r = verify_chain(trust, first, issuers, now, reason);
        ERR_clear_error();
        X509_free(first);
        sk_X509_pop_free(issuers, X509_free);
        return r;
}

static int nothing_fits(const struct ak_trust *trust, size_t n_certificates, struct error *reason)
{
        if (ak_trust_is_empty(trust))
                return error_set(reason, EPERM,
                                "the attestation key is whoever's: none was given to trust");
        return error_set(reason, EPERM,
                        trust->n_authorities > 0 && n_certificates == 0
                                        ? "the attestation key isn't one that was given, and has "
                                          "no certificate"
                                        : "the attestation key isn't one that was given");
}

int ak_trust_judge(const struct ak_trust *trust, const struct tpm_public *public, EVP_PKEY *key,
                const struct span *certificates, size_t n_certificates, time_t now,
                enum ak_trusted *ret, struct error *reason)
{
        enum ak_trusted trusted = find_given(trust, public, key);
        int r = -EPERM;

        if (trusted == AK_NOT_TRUSTED && trust->n_authorities > 0 && n_certificates > 0)
                r = judge_certificates(trust, key, certificates, n_certificates, now, reason);
        else if (trusted == AK_NOT_TRUSTED)
                (void)nothing_fits(trust, n_certificates, reason);
        if (r != -EPERM && r != 0)
                return r;
        if (r == 0)
                trusted = AK_CERTIFIED;
        if (trusted == AK_NOT_TRUSTED && trust->anybodys)
                trusted = AK_ANYBODYS;
        *ret = trusted;
        return 0;
}
