/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/alg.h"

#include <string.h>

static const struct alg algs[ALG_MAX] = {
                {TPM_ALG_SHA1, 20, 0x01, "sha1", "SHA1"},
                {TPM_ALG_SHA256, 32, 0x02, "sha256", "SHA256"},
                {TPM_ALG_SHA384, 48, 0x04, "sha384", "SHA384"},
                {TPM_ALG_SHA512, 64, 0x08, "sha512", "SHA512"},
                {TPM_ALG_SM3_256, 32, 0x10, "sm3_256", "SM3"},
                {TPM_ALG_SHA3_256, 32, 0, "sha3_256", "SHA3-256"},
                {TPM_ALG_SHA3_384, 48, 0, "sha3_384", "SHA3-384"},
                {TPM_ALG_SHA3_512, 64, 0, "sha3_512", "SHA3-512"},
};

const struct alg *alg_by_id(uint16_t id)
{
        for (size_t i = 0; i < ALG_MAX; i++)
                if (algs[i].id == id)
                        return &algs[i];
        return NULL;
}

const struct alg *alg_by_name(const char *name)
{
        for (size_t i = 0; i < ALG_MAX; i++)
                if (strcmp(algs[i].name, name) == 0)
                        return &algs[i];
        return NULL;
}

const struct alg *alg_by_index(size_t index)
{
        return index < ALG_MAX ? &algs[index] : NULL;
}

bool banks_have(const struct banks *banks, uint16_t id)
{
        for (size_t i = 0; i < banks->n; i++)
                if (banks->alg[i]->id == id)
                        return true;
        return false;
}

bool banks_add(struct banks *banks, const struct alg *alg)
{
        if (banks->n >= ALG_MAX || banks_have(banks, alg->id))
                return false;
        banks->alg[banks->n++] = alg;
        return true;
}

uint32_t banks_efi_bitmap(const struct banks *banks)
{
        uint32_t bitmap = 0;

        for (size_t i = 0; i < banks->n; i++)
                bitmap |= banks->alg[i]->efi_bit;
        return bitmap;
}

const struct digest *digests_find(const struct digests *digests, uint16_t id)
{
        for (size_t i = 0; i < digests->n; i++)
                if (digests->d[i].alg->id == id)
                        return &digests->d[i];
        return NULL;
}

bool digests_equal(const struct digests *a, const struct digests *b)
{
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (a->d[i].alg != b->d[i].alg ||
                                memcmp(a->d[i].bytes, b->d[i].bytes, a->d[i].alg->size) != 0)
                        return false;
        return true;
}

void hex_encode(struct span bytes, char *to)
{
        for (size_t i = 0; i < bytes.size; i++) {
                *to++ = "0123456789abcdef"[bytes.data[i] >> 4];
                *to++ = "0123456789abcdef"[bytes.data[i] & 15];
        }
        *to = '\0';
}

/* The value of a digit and a bit that tells that it is one. */
#define IS_DIGIT 0x10
#define DIGIT(c)                                                             \
        ((c) >= '0' && (c) <= '9' ? IS_DIGIT + (c) - '0'                     \
                        : ((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'f'         \
                                        ? IS_DIGIT + 10 + ((c) | 0x20) - 'a' \
                                        : 0)
#define DIGITS4(c)  DIGIT(c), DIGIT((c) + 1), DIGIT((c) + 2), DIGIT((c) + 3)
#define DIGITS16(c) DIGITS4(c), DIGITS4((c) + 4), DIGITS4((c) + 8), DIGITS4((c) + 12)
#define DIGITS64(c) DIGITS16(c), DIGITS16((c) + 16), DIGITS16((c) + 32), DIGITS16((c) + 48)
static const uint8_t digits[256] = {DIGITS64(0), DIGITS64(64), DIGITS64(128), DIGITS64(192)};

bool hex_decode(const char *text, uint8_t *to, size_t size)
{
        const uint8_t *from = (const uint8_t *)text;
        uint8_t all = IS_DIGIT;

        if (strlen(text) != 2 * size)
                return false;
        for (size_t i = 0; i < 2 * size; i++)
                all &= digits[from[i]];
        if (!all)
                return false;
        for (size_t i = 0; i < size; i++)
                to[i] = (uint8_t)(digits[from[2 * i]] << 4 | (digits[from[2 * i + 1]] & 15));
        return true;
}
