/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public area of a TPM's signing key (TPMT_PUBLIC, TPM 2.0 Part 2, 12.2.4), as untrusted bytes;
 * its Name; and whether a key like that can't be made to sign what only looks like a quote. Pure,
 * no allocation. */
#pragma once

#include "base/alg.h"
#include "base/error.h"
#include "base/span.h"
#include "policy/quote.h"

#define TPM_PUBLIC_MAX_BYTES 2048
#define TPM_NAME_MAX_BYTES   (2 + DIGEST_MAX_BYTES)

struct tpm_public {
        struct span bytes; /* all of it */
        uint16_t type;     /* TPM_ALG_RSA or TPM_ALG_ECC */
        const struct alg *name_alg;
        uint32_t attributes;    /* TPMA_OBJECT */
        bool symmetric;         /* it has a symmetric scheme: a storage key */
        uint16_t scheme;        /* TPM_ALG_NULL: any that is asked for */
        const struct alg *hash; /* of the scheme; NULL: it has none */
        uint16_t rsa_bits;
        uint32_t rsa_exponent; /* 65537 where the area says 0 */
        struct span modulus;
        uint16_t curve; /* TPM_ECC_CURVE */
        struct span x, y;
};

/* -EBADMSG: malformed, every byte accounted for; or a type, name algorithm or curve that isn't
 * known. */
int tpm_public_read(struct span bytes, struct tpm_public *ret, struct error *error);

/* What is in a TPM2B_PUBLIC, as tpm2-tools write it; anything else as it is. */
struct span tpm_public_unwrap(struct span bytes);

/* Name algorithm and digest; returns its size. -errno of hashing. */
int tpm_public_name(const struct tpm_public *public, uint8_t ret[TPM_NAME_MAX_BYTES]);

/* Whether this is an attestation key: a restricted signing key, which signs only what its TPM
 * attests; that its TPM made and that can't leave it; of a strength that nobody breaks: RSA from
 * 2048 bits, the NIST curves from P-256, hashes from SHA-256. -EPERM with what it isn't. */
int tpm_public_is_ak(const struct tpm_public *public, struct error *error);

/* OpenSSL's name of the curve, NULL for one that isn't known, and bytes of a coordinate. */
const char *tpm_curve_name(uint16_t curve, size_t *ret_bytes);
