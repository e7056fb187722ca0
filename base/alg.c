/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/alg.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

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

/* EVP_MD_fetch costs more than a small hash: fetched on first use, kept for the process's life. */
static EVP_MD *fetched[ALG_MAX];

static const EVP_MD *alg_evp(const struct alg *alg)
{
        size_t i = (size_t)(alg - algs);

        if (!fetched[i])
                fetched[i] = EVP_MD_fetch(NULL, alg->evp, NULL);
        return fetched[i];
}

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

struct hasher {
        struct banks banks;
        EVP_MD_CTX *ctx[ALG_MAX];
};

static int start(struct hasher *h)
{
        for (size_t i = 0; i < h->banks.n; i++)
                if (EVP_DigestInit_ex2(h->ctx[i], alg_evp(h->banks.alg[i]), NULL) != 1)
                        return -EOPNOTSUPP;
        return 0;
}

DEFINE_CLEANUP(struct hasher *, hasher_free)

int hasher_new(const struct banks *banks, struct hasher **ret)
{
        _cleanup_(hasher_freep) struct hasher *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        for (size_t i = 0; i < banks->n; i++) {
                if (!alg_evp(banks->alg[i]))
                        return -EOPNOTSUPP;
                h->ctx[i] = EVP_MD_CTX_new();
                if (!h->ctx[i])
                        return -ENOMEM;
        }
        h->banks = *banks;
        r = start(h);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

void hasher_free(struct hasher *h)
{
        for (size_t i = 0; i < ALG_MAX; i++)
                EVP_MD_CTX_free(h->ctx[i]);
        free(h);
}

/* Blocks that stay in the cache while each bank takes its turn. */
#define BLOCK_BYTES (128u * 1024)

int hasher_update(struct hasher *h, struct span data)
{
        while (data.size > 0) {
                size_t n = data.size < BLOCK_BYTES ? data.size : BLOCK_BYTES;

                for (size_t i = 0; i < h->banks.n; i++)
                        if (EVP_DigestUpdate(h->ctx[i], data.data, n) != 1)
                                return -EIO;
                data = SPAN(data.data + n, data.size - n);
        }
        return 0;
}

int hasher_finish(struct hasher *h, struct digests *ret)
{
        struct digests out = {.n = h->banks.n};

        for (size_t i = 0; i < h->banks.n; i++) {
                unsigned size = 0;

                out.d[i].alg = h->banks.alg[i];
                if (EVP_DigestFinal_ex(h->ctx[i], out.d[i].bytes, &size) != 1 ||
                                size != h->banks.alg[i]->size)
                        return -EIO;
        }
        *ret = out;
        return start(h);
}

int hash_span(const struct banks *banks, struct span data, struct digests *ret)
{
        _cleanup_(hasher_freep) struct hasher *h = NULL;
        int r;

        r = hasher_new(banks, &h);
        if (r < 0)
                return r;
        r = hasher_update(h, data);
        if (r < 0)
                return r;
        return hasher_finish(h, ret);
}

int hash_sha256(struct span data, uint8_t ret[32])
{
        struct banks banks = {.n = 1, .alg = {alg_by_id(TPM_ALG_SHA256)}};
        struct digests digests;
        int r;

        r = hash_span(&banks, data, &digests);
        if (r < 0)
                return r;
        memcpy(ret, digests.d[0].bytes, 32);
        return 0;
}

/* A context of each algorithm for digest_extend, which replay calls a million times: making one per
 * call (EVP_Digest) costs as much as the hash. */
static _Thread_local EVP_MD_CTX *extending[ALG_MAX];

static EVP_MD_CTX *extend_start(const struct alg *alg)
{
        EVP_MD_CTX **ctx = &extending[alg - algs];

        if (*ctx) /* NULL: the algorithm that is set already */
                return EVP_DigestInit_ex2(*ctx, NULL, NULL) == 1 ? *ctx : NULL;
        if (!alg_evp(alg))
                return NULL;
        *ctx = EVP_MD_CTX_new();
        if (*ctx && EVP_DigestInit_ex2(*ctx, alg_evp(alg), NULL) == 1)
                return *ctx;
        EVP_MD_CTX_free(*ctx);
        *ctx = NULL;
        return NULL;
}

int digest_extend(struct digest *pcr, const struct digest *digest)
{
        const struct alg *alg = pcr->alg;
        uint8_t joined[2 * DIGEST_MAX_BYTES];
        unsigned size = 0;
        EVP_MD_CTX *ctx;

        if (alg != digest->alg)
                return -EINVAL;
        ctx = extend_start(alg);
        if (!ctx)
                return -EOPNOTSUPP;
        memcpy(joined, pcr->bytes, alg->size);
        memcpy(joined + alg->size, digest->bytes, alg->size);
        if (EVP_DigestUpdate(ctx, joined, 2u * alg->size) != 1 ||
                        EVP_DigestFinal_ex(ctx, pcr->bytes, &size) != 1)
                return -EIO;
        return 0;
}

void hex_encode(struct span bytes, char *to)
{
        for (size_t i = 0; i < bytes.size; i++) {
                *to++ = "0123456789abcdef"[bytes.data[i] >> 4];
                *to++ = "0123456789abcdef"[bytes.data[i] & 15];
        }
        *to = '\0';
}

static int nibble(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

bool hex_decode(const char *text, uint8_t *to, size_t size)
{
        if (strlen(text) != 2 * size)
                return false;
        for (size_t i = 0; i < size; i++)
                if (nibble(text[2 * i]) < 0 || nibble(text[2 * i + 1]) < 0)
                        return false;
        for (size_t i = 0; i < size; i++)
                to[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
        return true;
}
