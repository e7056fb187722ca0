/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attestation key without a TPM: what it signs looks as a TPM's quote does, over any PCR values.
 * For evidence of machines that don't exist, and of those that lie. */
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/buf.h"
#include "policy/evidence.h"
#include "policy/quote.h"
#include "tests/unit/tap.h"

#define SOFT_AK_ATTRIBUTES 0x00050072u /* as tpm2_createak has it */

/* TPMT_PUBLIC of a P-256 or RSA 2048 key that signs with SHA-256. */
static inline void put_public(struct buf *to, EVP_PKEY *key, uint32_t attributes)
{
        bool rsa = EVP_PKEY_is_a(key, "RSA");
        const char *const names[2][2] = {{"qx", "qy"}, {"n", NULL}};
        uint8_t bytes[256];

        buf_put_be16(to, rsa ? TPM_ALG_RSA : TPM_ALG_ECC);
        buf_put_be16(to, TPM_ALG_SHA256);
        buf_put_be32(to, attributes);
        buf_put_be16(to, 0);
        buf_put_be16(to, TPM_ALG_NULL);
        buf_put_be16(to, rsa ? TPM_ALG_RSASSA : TPM_ALG_ECDSA);
        buf_put_be16(to, TPM_ALG_SHA256);
        buf_put_be16(to, rsa ? 2048 : 3);
        if (rsa)
                buf_put_be32(to, 0);
        else
                buf_put_be16(to, TPM_ALG_NULL);
        for (unsigned i = 0; i < 2 && names[rsa][i]; i++) {
                BIGNUM *n = NULL;
                int size = rsa ? 256 : 32;

                CHECK_EQ(EVP_PKEY_get_bn_param(key, names[rsa][i], &n), 1);
                CHECK_EQ(BN_bn2binpad(n, bytes, size), size);
                buf_put_be16(to, (uint16_t)size);
                buf_put(to, bytes, (size_t)size);
                BN_free(n);
        }
}

struct soft_ak {
        EVP_PKEY *key;
        struct buf public;
};

static inline void soft_ak_release(struct soft_ak *ak)
{
        EVP_PKEY_free(ak->key);
        buf_release(&ak->public);
}
#define _cleanup_soft_ak_ __attribute__((cleanup(soft_ak_release)))

static inline void soft_ak_new(struct soft_ak *ret, bool rsa)
{
        *ret = (struct soft_ak){.key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")};
        CHECK(ret->key);
        put_public(&ret->public, ret->key, SOFT_AK_ATTRIBUTES);
}

/* ---- quotes ---- */

/* pcrDigest of the selected values, and the selection. */
static inline void put_quoted(struct buf *to, const struct replay *pcrs)
{
        _cleanup_buf_ struct buf values = {0};
        uint8_t digest[32];
        uint32_t n = 0;

        for (size_t b = 0; b < pcrs->banks.n; b++)
                n += pcrs->measured[b] != 0;
        buf_put_be32(to, n);
        for (size_t b = 0; b < pcrs->banks.n; b++) {
                if (!pcrs->measured[b])
                        continue;
                buf_put_be16(to, pcrs->banks.alg[b]->id);
                buf_put_u8(to, 3);
                for (unsigned byte = 0; byte < 3; byte++)
                        buf_put_u8(to, (uint8_t)(pcrs->measured[b] >> (8 * byte)));
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (pcrs->measured[b] & 1u << pcr)
                                buf_put(&values, pcrs->pcr[b][pcr].bytes, pcrs->banks.alg[b]->size);
        }
        CHECK_EQ(hash_sha256(buf_span(&values), digest), 0);
        buf_put_be16(to, 32);
        buf_put(to, digest, 32);
}

/* TPMS_ATTEST: reset 3, restart 1. */
static inline void put_attest(struct buf *to, const struct replay *pcrs, struct span nonce)
{
        buf_put_be32(to, 0xff544347);
        buf_put_be16(to, 0x8018);
        buf_put_be16(to, 34);
        buf_put_be16(to, TPM_ALG_SHA256);
        buf_put_zeros(to, 32);
        buf_put_be16(to, (uint16_t)nonce.size);
        buf_put_span(to, nonce);
        buf_put_be64(to, 123456);
        buf_put_be32(to, 3);
        buf_put_be32(to, 1);
        buf_put_u8(to, 1);
        buf_put_be64(to, 0x2016051100162800);
        put_quoted(to, pcrs);
}

static inline void put_number(struct buf *to, const BIGNUM *n)
{
        uint8_t bytes[32];

        CHECK_EQ(BN_bn2binpad(n, bytes, 32), 32);
        buf_put_be16(to, 32);
        buf_put(to, bytes, 32);
}

/* TPMT_SIGNATURE */
static inline void put_signature(struct buf *to, EVP_PKEY *key, struct span bytes)
{
        bool rsa = EVP_PKEY_is_a(key, "RSA");
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t raw[512];
        const uint8_t *at = raw;
        size_t size = sizeof(raw);
        ECDSA_SIG *sig;

        CHECK_EQ(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
        CHECK_EQ(EVP_DigestSign(ctx, raw, &size, bytes.data, bytes.size), 1);
        EVP_MD_CTX_free(ctx);
        buf_put_be16(to, rsa ? TPM_ALG_RSASSA : TPM_ALG_ECDSA);
        buf_put_be16(to, TPM_ALG_SHA256);
        if (rsa) {
                buf_put_be16(to, (uint16_t)size);
                buf_put(to, raw, size);
                return;
        }
        sig = d2i_ECDSA_SIG(NULL, &at, (long)size);
        put_number(to, ECDSA_SIG_get0_r(sig));
        put_number(to, ECDSA_SIG_get0_s(sig));
        ECDSA_SIG_free(sig);
}

/* ---- evidence ---- */

/* Evidence, and what it points into. */
struct soft_evidence {
        struct evidence evidence;
        struct buf attest, signature;
};

static inline void soft_evidence_release(struct soft_evidence *e)
{
        buf_release(&e->attest);
        buf_release(&e->signature);
}
#define _cleanup_soft_evidence_ __attribute__((cleanup(soft_evidence_release)))

/* pcrs->measured: what is quoted. log and ak must stay; all members may be changed afterwards. */
static inline void soft_evidence(const struct soft_ak *ak, struct span log,
                const struct replay *pcrs, struct span nonce, struct soft_evidence *ret)
{
        *ret = (struct soft_evidence){0};
        put_attest(&ret->attest, pcrs, nonce);
        put_signature(&ret->signature, ak->key, buf_span(&ret->attest));
        ret->evidence = (struct evidence){
                        .attest = buf_span(&ret->attest),
                        .signature = buf_span(&ret->signature),
                        .ak_public = buf_span(&ak->public),
                        .pcrs = *pcrs,
                        .firmware_log = log,
        };
}
