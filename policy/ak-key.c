/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/ak-key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/cleanup.h"

#define COORDINATE_MAX_BYTES 66
#define DER_MAX_BYTES        (3 + 2 * (2 + 1 + COORDINATE_MAX_BYTES))

struct ak_key {
        EVP_PKEY *pkey;
        EVP_PKEY_CTX *verify; /* set up for the key's scheme */
        uint16_t scheme;
        const struct alg *hash;
        struct hasher *hasher;
};

void ak_key_free(struct ak_key *key)
{
        if (!key)
                return;
        EVP_PKEY_CTX_free(key->verify);
        EVP_PKEY_free(key->pkey);
        if (key->hasher)
                hasher_free(key->hasher);
        free(key);
}
DEFINE_CLEANUP(struct ak_key *, ak_key_free)

EVP_PKEY *ak_key_evp(const struct ak_key *key)
{
        return key->pkey;
}

/* ---- making it ---- */

static bool push_rsa(OSSL_PARAM_BLD *builder, const struct tpm_public *public, BIGNUM **number)
{
        *number = BN_bin2bn(public->modulus.data, (int)public->modulus.size, NULL);
        return *number && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, *number) &&
               OSSL_PARAM_BLD_push_uint(builder, OSSL_PKEY_PARAM_RSA_E, public->rsa_exponent);
}

static bool push_ecc(OSSL_PARAM_BLD *builder, const struct tpm_public *public,
                uint8_t point[1 + 2 * COORDINATE_MAX_BYTES])
{
        size_t bytes;
        const char *curve = tpm_curve_name(public->curve, &bytes);

        point[0] = 0x04; /* uncompressed */
        memcpy(point + 1, public->x.data, bytes);
        memcpy(point + 1 + bytes, public->y.data, bytes);
        return OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) &&
               OSSL_PARAM_BLD_push_octet_string(
                               builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * bytes);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params)
{
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        EVP_PKEY *pkey = NULL;

        if (ctx && params && EVP_PKEY_fromdata_init(ctx) == 1)
                (void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
        EVP_PKEY_CTX_free(ctx);
        return pkey;
}

/* OpenSSL checks that a point is on its curve. */
static EVP_PKEY *make_pkey(const struct tpm_public *public)
{
        bool rsa = public->type == TPM_ALG_RSA;
        uint8_t point[1 + 2 * COORDINATE_MAX_BYTES];
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        OSSL_PARAM *params = NULL;
        BIGNUM *number = NULL;
        EVP_PKEY *pkey;

        if (builder && (rsa ? push_rsa(builder, public, &number)
                            : push_ecc(builder, public, point)))
                params = OSSL_PARAM_BLD_to_param(builder);
        pkey = from_params(rsa ? "RSA" : "EC", params);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(builder);
        BN_free(number);
        return pkey;
}

/* TPMs of different ages salt PSS by the hash's length or by all that fits. */
static bool set_up(struct ak_key *key)
{
        const EVP_MD *md = EVP_get_digestbyname(key->hash->evp);

        key->verify = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
        if (!md || !key->verify || EVP_PKEY_verify_init(key->verify) != 1)
                return false;
        if (key->scheme == TPM_ALG_RSASSA &&
                        EVP_PKEY_CTX_set_rsa_padding(key->verify, RSA_PKCS1_PADDING) != 1)
                return false;
        if (key->scheme == TPM_ALG_RSAPSS &&
                        (EVP_PKEY_CTX_set_rsa_padding(key->verify, RSA_PKCS1_PSS_PADDING) != 1 ||
                                        EVP_PKEY_CTX_set_rsa_pss_saltlen(
                                                        key->verify, RSA_PSS_SALTLEN_AUTO) != 1))
                return false;
        return EVP_PKEY_CTX_set_signature_md(key->verify, md) == 1;
}

int ak_key_new(const struct tpm_public *public, struct ak_key **ret, struct error *error)
{
        const struct banks banks = {1, {public->hash}};
        _cleanup_(ak_key_freep) struct ak_key *key = calloc(1, sizeof(*key));
        int r;

        if (!key)
                return error_set(error, ENOMEM, "out of memory");
        key->scheme = public->scheme;
        key->hash = public->hash;
        key->pkey = make_pkey(public);
        ERR_clear_error();
        if (!key->pkey)
                return error_set(error, EBADMSG,
                                "the key's public area (TPMT_PUBLIC) holds no key of its type");
        r = hasher_new(&banks, &key->hasher);
        if (r == 0 && !set_up(key))
                r = -EOPNOTSUPP;
        if (r < 0)
                return error_set(error, -r, "OpenSSL can't verify by this key: %s", strerror(-r));
        *ret = TAKE_PTR(key);
        return 0;
}

/* ---- verifying ---- */

/* An INTEGER of a SEQUENCE: no leading zeros, none that looks negative. */
static size_t put_integer(uint8_t *to, struct span number)
{
        size_t at = 0;

        while (number.size > 0 && number.data[0] == 0)
                number = SPAN(number.data + 1, number.size - 1);
        to[at++] = 0x02;
        to[at++] = (uint8_t)(number.size + (number.size == 0 || number.data[0] & 0x80));
        if (number.size == 0 || number.data[0] & 0x80)
                to[at++] = 0;
        if (number.size > 0)
                memcpy(to + at, number.data, number.size);
        return at + number.size;
}

/* ECDSA-Sig-Value (RFC 3279, 2.2.3), as OpenSSL wants it. */
static struct span der_of(const struct quote_signature *signature, uint8_t to[DER_MAX_BYTES])
{
        uint8_t body[DER_MAX_BYTES];
        size_t size = put_integer(body, signature->r), at = 0;

        size += put_integer(body + size, signature->s);
        to[at++] = 0x30;
        if (size >= 0x80)
                to[at++] = 0x81;
        to[at++] = (uint8_t)size;
        memcpy(to + at, body, size);
        return SPAN(to, at + size);
}

int ak_key_verify(struct ak_key *key, const struct quote_signature *signature, struct span bytes,
                struct error *error)
{
        uint8_t der[DER_MAX_BYTES];
        struct span sig = signature->rsa;
        struct digests digests;
        int r;

        if (signature->scheme != key->scheme || signature->hash != key->hash)
                return error_set(error, EPERM,
                                "the signature is of another scheme or hash than the key's");
        r = hasher_update(key->hasher, bytes);
        if (r == 0)
                r = hasher_finish(key->hasher, &digests);
        if (r < 0)
                return error_set(error, -r, "can't hash the quote: %s", strerror(-r));
        if (key->scheme == TPM_ALG_ECDSA)
                sig = der_of(signature, der);
        r = EVP_PKEY_verify(key->verify, sig.data, sig.size, digests.d[0].bytes, key->hash->size);
        ERR_clear_error();
        return r == 1 ? 0
                      : error_set(error, EPERM, "the signature isn't the key's over this quote");
}
