/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hashing for PCR banks over libcrypto. SHA-1 and SHA-2 by its low-level functions: EVP costs up to
 * half as much again as the hash of what a PCR is extended by, and in 3.0 it allocates for each
 * digest. These functions are deprecated, not gone; SM3 and SHA-3 have none, and those and whatever
 * a libcrypto is built without go through EVP. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/alg.h"
#include "base/cleanup.h"

/* ---- one algorithm ---- */

struct state {
        union {
                SHA_CTX sha1;
                SHA256_CTX sha256;
                SHA512_CTX sha512; /* and SHA-384 */
        };
        EVP_MD *md; /* NULL: it's one of those above */
        EVP_MD_CTX *evp;
};

struct method {
        uint16_t id;
        bool (*start)(struct state *s);
        bool (*update)(struct state *s, const void *data, size_t size);
        bool (*finish)(struct state *s, uint8_t *to);
};

#ifndef OPENSSL_NO_DEPRECATED_3_0
#define DEFINE_METHOD(name, member, function)                                     \
        static bool name##_start(struct state *s)                                 \
        {                                                                         \
                return function##_Init(&s->member) == 1;                          \
        }                                                                         \
        static bool name##_update(struct state *s, const void *data, size_t size) \
        {                                                                         \
                return function##_Update(&s->member, data, size) == 1;            \
        }                                                                         \
        static bool name##_finish(struct state *s, uint8_t *to)                   \
        {                                                                         \
                return function##_Final(to, &s->member) == 1;                     \
        }

DEFINE_METHOD(sha1, sha1, SHA1)
DEFINE_METHOD(sha256, sha256, SHA256)
DEFINE_METHOD(sha384, sha512, SHA384)
DEFINE_METHOD(sha512, sha512, SHA512)
#endif

static bool evp_start(struct state *s)
{
        return EVP_DigestInit_ex2(s->evp, s->md, NULL) == 1;
}

static bool evp_update(struct state *s, const void *data, size_t size)
{
        return EVP_DigestUpdate(s->evp, data, size) == 1;
}

static bool evp_finish(struct state *s, uint8_t *to)
{
        return EVP_DigestFinal_ex(s->evp, to, NULL) == 1;
}

static const struct method methods[] = {
#ifndef OPENSSL_NO_DEPRECATED_3_0
                {TPM_ALG_SHA256, sha256_start, sha256_update, sha256_finish},
                {TPM_ALG_SHA1, sha1_start, sha1_update, sha1_finish},
                {TPM_ALG_SHA384, sha384_start, sha384_update, sha384_finish},
                {TPM_ALG_SHA512, sha512_start, sha512_update, sha512_finish},
#endif
                {0, evp_start, evp_update, evp_finish}, /* all others; the last row */
};

static const struct method *method_of(const struct alg *alg)
{
        const struct method *m = methods;

        while (m->id != 0 && m->id != alg->id)
                m++;
        return m;
}

static void state_close(struct state *s)
{
        EVP_MD_CTX_free(s->evp);
        EVP_MD_free(s->md);
}

static int state_open(struct state *s, const struct alg *alg, const struct method *method)
{
        s->md = NULL;
        s->evp = NULL;
        if (method->id == 0) {
                s->md = EVP_MD_fetch(NULL, alg->evp, NULL);
                if (!s->md || EVP_MD_get_size(s->md) != alg->size)
                        return -EOPNOTSUPP;
                s->evp = EVP_MD_CTX_new();
                if (!s->evp)
                        return -ENOMEM;
        }
        return method->start(s) ? 0 : -EOPNOTSUPP;
}

/* ---- all banks ---- */

struct hasher {
        struct banks banks;
        const struct method *method[ALG_MAX];
        struct state state[ALG_MAX];
};

static void hasher_close(struct hasher *h)
{
        for (size_t i = 0; i < h->banks.n; i++)
                state_close(&h->state[i]);
}

/* On failure, too, *h is to be closed. */
static int hasher_open(struct hasher *h, const struct banks *banks)
{
        h->banks.n = 0;
        for (size_t i = 0; i < banks->n; i++) {
                int r;

                h->method[i] = method_of(banks->alg[i]);
                h->banks.alg[h->banks.n++] = banks->alg[i];
                r = state_open(&h->state[i], banks->alg[i], h->method[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

DEFINE_CLEANUP(struct hasher *, hasher_free)

int hasher_new(const struct banks *banks, struct hasher **ret)
{
        _cleanup_(hasher_freep) struct hasher *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        r = hasher_open(h, banks);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

void hasher_free(struct hasher *h)
{
        hasher_close(h);
        free(h);
}

/* Blocks that stay in the cache while each bank takes its turn. */
#define BLOCK_BYTES (128u * 1024)

int hasher_update(struct hasher *h, struct span data)
{
        while (data.size > 0) {
                size_t n = data.size < BLOCK_BYTES ? data.size : BLOCK_BYTES;

                for (size_t i = 0; i < h->banks.n; i++)
                        if (!h->method[i]->update(&h->state[i], data.data, n))
                                return -EIO;
                data = SPAN(data.data + n, data.size - n);
        }
        return 0;
}

int hasher_finish(struct hasher *h, struct digests *ret)
{
        struct digests out = {.n = h->banks.n};

        for (size_t i = 0; i < h->banks.n; i++) {
                out.d[i].alg = h->banks.alg[i];
                if (!h->method[i]->finish(&h->state[i], out.d[i].bytes) ||
                                !h->method[i]->start(&h->state[i]))
                        return -EIO;
        }
        *ret = out;
        return 0;
}

int hash_span(const struct banks *banks, struct span data, struct digests *ret)
{
        _cleanup_(hasher_close) struct hasher h;
        int r;

        r = hasher_open(&h, banks);
        if (r < 0)
                return r;
        r = hasher_update(&h, data);
        if (r < 0)
                return r;
        return hasher_finish(&h, ret);
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

int digest_extend(struct digest *pcr, const struct digest *digest)
{
        const struct alg *alg = pcr->alg;
        const struct method *method = method_of(alg);
        uint8_t joined[2 * DIGEST_MAX_BYTES];
        struct state state;
        bool done;
        int r;

        if (alg != digest->alg)
                return -EINVAL;
        memcpy(joined, pcr->bytes, alg->size);
        memcpy(joined + alg->size, digest->bytes, alg->size);
        r = state_open(&state, alg, method);
        done = r == 0 && method->update(&state, joined, 2u * alg->size) &&
               method->finish(&state, pcr->bytes);
        state_close(&state);
        return r < 0 ? r : done ? 0 : -EIO;
}
