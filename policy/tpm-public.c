/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/tpm-public.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

/* TPMA_OBJECT, Part 2, 8.3 */
#define FIXED_TPM             (1u << 1)
#define FIXED_PARENT          (1u << 4)
#define SENSITIVE_DATA_ORIGIN (1u << 5)
#define RESTRICTED            (1u << 16)
#define DECRYPT               (1u << 17)
#define SIGN                  (1u << 18)

#define MODULUS_MAX_BYTES 512
#define ECC_MAX_BYTES     66

enum { TPM_ALG_ECDAA = 0x001a };

static const struct {
        uint16_t id;
        uint16_t bytes;
        const char *name;
} curves[] = {
                {0x0003, 32, "P-256"},
                {0x0004, 48, "P-384"},
                {0x0005, 66, "P-521"},
};

const char *tpm_curve_name(uint16_t curve, size_t *ret_bytes)
{
        for (size_t i = 0; i < ARRAY_SIZE(curves); i++)
                if (curves[i].id == curve) {
                        *ret_bytes = curves[i].bytes;
                        return curves[i].name;
                }
        return NULL;
}

/* ---- reading ---- */

static int malformed(struct error *error, const char *what)
{
        return error_set(error, EBADMSG, "the key's public area (TPMT_PUBLIC) %s", what);
}

/* TPMT_SYM_DEF_OBJECT: only storage keys have one. */
static bool take_symmetric(struct cursor *c, struct tpm_public *public)
{
        uint16_t alg;

        if (!cursor_be16(c, &alg))
                return false;
        public->symmetric = alg != TPM_ALG_NULL;
        return !public->symmetric || cursor_skip(c, 4); /* bits and mode */
}

/* TPMT_RSA_SCHEME, TPMT_ECC_SCHEME: nothing behind TPM_ALG_NULL, else a hash; ECDAA a count, too. A
 * scheme without hash (RSAES) then ends in what can't be read, which is as well. */
static bool take_scheme(struct cursor *c, struct tpm_public *public)
{
        uint16_t hash;

        if (!cursor_be16(c, &public->scheme))
                return false;
        if (public->scheme == TPM_ALG_NULL)
                return true;
        if (!cursor_be16(c, &hash) || (public->scheme == TPM_ALG_ECDAA && !cursor_skip(c, 2)))
                return false;
        public->hash = alg_by_id(hash);
        return true;
}

static bool take_rsa(struct cursor *c, struct tpm_public *public)
{
        uint32_t exponent;

        if (!cursor_be16(c, &public->rsa_bits) || !cursor_be32(c, &exponent) ||
                        !tpm2b_take(c, MODULUS_MAX_BYTES, &public->modulus))
                return false;
        public->rsa_exponent = exponent ? exponent : 65537;
        return true;
}

static bool take_ecc(struct cursor *c, struct tpm_public *public)
{
        uint16_t kdf;

        if (!cursor_be16(c, &public->curve) || !cursor_be16(c, &kdf))
                return false;
        if (kdf != TPM_ALG_NULL && !cursor_skip(c, 2))
                return false;
        return tpm2b_take(c, ECC_MAX_BYTES, &public->x) && tpm2b_take(c, ECC_MAX_BYTES, &public->y);
}

/* What OpenSSL wants: numbers of the key's full length. */
static const char *wrong_unique(const struct tpm_public *public)
{
        size_t bytes;

        if (public->type == TPM_ALG_RSA)
                return public->modulus.size * 8 == public->rsa_bits && public->rsa_bits > 0
                                       ? NULL
                                       : "has a modulus of another length than it says";
        if (!tpm_curve_name(public->curve, &bytes))
                return "is of a curve that isn't known";
        return public->x.size == bytes && public->y.size == bytes
                               ? NULL
                               : "has a point of another length than its curve's";
}

int tpm_public_read(struct span bytes, struct tpm_public *ret, struct error *error)
{
        struct tpm_public public = {.bytes = bytes};
        struct cursor c = CURSOR(public.bytes);
        struct span auth_policy;
        uint16_t name_alg;

        if (public.bytes.size > TPM_PUBLIC_MAX_BYTES)
                return malformed(error, "is too long");
        if (!cursor_be16(&c, &public.type) || !cursor_be16(&c, &name_alg) ||
                        !cursor_be32(&c, &public.attributes) ||
                        !tpm2b_take(&c, DIGEST_MAX_BYTES, &auth_policy))
                return malformed(error, "is cut off");
        if (public.type != TPM_ALG_RSA && public.type != TPM_ALG_ECC)
                return malformed(error, "is of a key that is neither RSA nor ECC");
        public.name_alg = alg_by_id(name_alg);
        if (!public.name_alg)
                return malformed(error, "has a name algorithm that isn't known");
        if (!take_symmetric(&c, &public) || !take_scheme(&c, &public) ||
                        !(public.type == TPM_ALG_RSA ? take_rsa : take_ecc)(&c, &public) ||
                        cursor_left(&c) > 0)
                return malformed(error, "is cut off, too long, or has bytes behind its end");
        if (wrong_unique(&public))
                return malformed(error, wrong_unique(&public));
        *ret = public;
        return 0;
}

/* The size of a TPM2B_PUBLIC is never a key's type. */
struct span tpm_public_unwrap(struct span bytes)
{
        struct cursor c = CURSOR(bytes);
        struct span inner;

        return tpm2b_take(&c, TPM_PUBLIC_MAX_BYTES, &inner) && cursor_left(&c) == 0 ? inner : bytes;
}

int tpm_public_name(const struct tpm_public *public, uint8_t ret[TPM_NAME_MAX_BYTES])
{
        const struct banks banks = {1, {public->name_alg}};
        struct digests digests;
        int r = hash_span(&banks, public->bytes, &digests);

        if (r < 0)
                return r;
        ret[0] = (uint8_t)(public->name_alg->id >> 8);
        ret[1] = (uint8_t) public->name_alg->id;
        memcpy(ret + 2, digests.d[0].bytes, public->name_alg->size);
        return 2 + public->name_alg->size;
}

/* ---- whether it is an attestation key ---- */

static bool is_strong(const struct alg *hash)
{
        return hash && (hash->id == TPM_ALG_SHA256 || hash->id == TPM_ALG_SHA384 ||
                                       hash->id == TPM_ALG_SHA512);
}

static const char *weakness(const struct tpm_public *public)
{
        bool scheme = public->type == TPM_ALG_RSA ? public->scheme == TPM_ALG_RSASSA ||
                                                                    public->scheme == TPM_ALG_RSAPSS
                                                  : public->scheme == TPM_ALG_ECDSA;

        if (!scheme)
                return "its scheme isn't RSASSA, RSAPSS or ECDSA";
        if (!is_strong(public->hash))
                return "it signs with a hash that isn't SHA-256, SHA-384 or SHA-512";
        if (!is_strong(public->name_alg))
                return "its name is by a hash that isn't SHA-256, SHA-384 or SHA-512";
        if (public->type == TPM_ALG_RSA && public->rsa_bits < 2048)
                return "it has less than 2048 bits";
        if (public->type == TPM_ALG_RSA &&
                        (public->rsa_exponent < 65537 || public->rsa_exponent % 2 == 0))
                return "its exponent is weak";
        return NULL;
}

int tpm_public_is_ak(const struct tpm_public *public, struct error *error)
{
        static const struct {
                uint32_t mask, wanted;
                const char *text;
        } rules[] = {
                        {SIGN, SIGN, "it doesn't sign"},
                        {DECRYPT, 0, "it decrypts, too"},
                        {RESTRICTED, RESTRICTED,
                                        "it isn't restricted: it signs anything, also what only "
                                        "looks like a quote"},
                        {FIXED_TPM | FIXED_PARENT, FIXED_TPM | FIXED_PARENT,
                                        "it isn't bound to its TPM: somebody may have it "
                                        "elsewhere"},
                        {SENSITIVE_DATA_ORIGIN, SENSITIVE_DATA_ORIGIN, "its TPM didn't make it"},
        };
        const char *what = NULL;

        for (size_t i = 0; !what && i < ARRAY_SIZE(rules); i++)
                if ((public->attributes & rules[i].mask) != rules[i].wanted)
                        what = rules[i].text;
        if (!what)
                what = public->symmetric ? "it is a storage key" : weakness(public);
        return what ? error_set(error, EPERM, "the key can't attest: %s", what) : 0;
}
