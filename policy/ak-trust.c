/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/ak-trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "policy/ak-certificate.h"

#define KEYS_MAX 4096

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
        free(trust);
}

int ak_trust_new(struct ak_trust **ret)
{
        struct ak_trust *trust = calloc(1, sizeof(*trust));

        if (!trust)
                return -ENOMEM;
        trust->authorities = X509_STORE_new();
        if (!trust->authorities) {
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
        X509 *x = ak_certificate_read(file);

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
                r = ak_certificate_check(
                                trust->authorities, key, certificates, n_certificates, now, reason);
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
