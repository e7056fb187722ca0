/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/ak-cache.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define FRESH_SECONDS 60 /* certificates expire */

struct entry {
        struct buf bytes; /* what it is found by: sizes, public area, certificates */
        time_t judged;
        struct ak ak; /* its public area lies in bytes */
};

#define WAYS 4 /* places that a key may have: two of one place would drive each other out */

struct ak_cache {
        const struct ak_trust *trust;
        struct buf wanted;
        size_t n_sets, next_way;
        struct entry entries[];
};

static void entry_release(struct entry *e)
{
        buf_release(&e->bytes);
        ak_key_free(e->ak.key);
        *e = (struct entry){0};
}

int ak_cache_new(const struct ak_trust *trust, size_t n_keys, struct ak_cache **ret)
{
        size_t n_sets = (n_keys + WAYS - 1) / WAYS;
        struct ak_cache *cache = calloc(1, sizeof(*cache) + n_sets * WAYS * sizeof(struct entry));

        if (!cache)
                return -ENOMEM;
        cache->trust = trust;
        cache->n_sets = n_sets;
        *ret = cache;
        return 0;
}

void ak_cache_free(struct ak_cache *cache)
{
        for (size_t i = 0; cache && i < cache->n_sets * WAYS; i++)
                entry_release(&cache->entries[i]);
        if (cache)
                buf_release(&cache->wanted);
        free(cache);
}

/* FNV-1a: whoever makes keys collide only makes the cache useless. */
static struct entry *set_of(struct ak_cache *cache, struct span public)
{
        uint64_t hash = 0xcbf29ce484222325;

        for (size_t i = 0; i < public.size; i++)
                hash = (hash ^ public.data[i]) * 0x100000001b3;
        return &cache->entries[hash % cache->n_sets * WAYS];
}

/* The one that is wanted, or a place for it: its own, a free one, or somebody's. */
static struct entry *find(struct ak_cache *cache, struct span public)
{
        struct entry *set = set_of(cache, public), *free_one = NULL;

        for (size_t i = 0; i < WAYS; i++) {
                if (set[i].ak.key && span_equal(buf_span(&set[i].bytes), buf_span(&cache->wanted)))
                        return &set[i];
                if (!set[i].ak.key)
                        free_one = &set[i];
        }
        return free_one ?: &set[cache->next_way++ % WAYS];
}

static void put_wanted(
                struct buf *to, struct span public, const struct span *certificates, size_t n)
{
        to->size = 0;
        buf_put_u32(to, (uint32_t)n);
        buf_put_u64(to, public.size);
        buf_put_span(to, public);
        for (size_t i = 0; i < n; i++) {
                buf_put_u64(to, certificates[i].size);
                buf_put_span(to, certificates[i]);
        }
}

static int put_name(struct entry *e, struct error *error)
{
        int size = tpm_public_name(&e->ak.public, e->ak.name_bytes);

        if (size < 0)
                return error_set(error, -size, "can't hash the key's public area");
        e->ak.name = SPAN(e->ak.name_bytes, (size_t)size);
        return 0;
}

/* e->bytes is there. */
static int judge(struct ak_cache *cache, struct entry *e, size_t public_bytes,
                const struct span *certificates, size_t n, time_t now, struct error *error)
{
        struct ak *ak = &e->ak;
        int r = tpm_public_read(SPAN(e->bytes.data + 12, public_bytes), &ak->public, error);

        if (r == 0)
                r = tpm_public_is_ak(&ak->public, error);
        if (r == 0)
                r = ak_key_new(&ak->public, &ak->key, error);
        if (r == 0)
                r = put_name(e, error);
        if (r < 0)
                return r;
        r = ak_trust_judge(cache->trust, &ak->public, ak_key_evp(ak->key), certificates, n, now,
                        &ak->trusted, &ak->reason);
        e->judged = now;
        return r < 0 ? error_set(error, -r, "can't judge the attestation key: out of memory") : 0;
}

int ak_cache_get(struct ak_cache *cache, struct span public, const struct span *certificates,
                size_t n_certificates, time_t now, const struct ak **ret, struct error *error)
{
        struct entry *e;
        int r;

        put_wanted(&cache->wanted, public, certificates, n_certificates);
        if (buf_failed(&cache->wanted))
                return error_set(error, ENOMEM, "out of memory");
        e = find(cache, public);
        if (e->ak.key && span_equal(buf_span(&e->bytes), buf_span(&cache->wanted)) &&
                        now >= e->judged && now - e->judged < FRESH_SECONDS) {
                *ret = &e->ak;
                return 0;
        }
        entry_release(e);
        e->bytes = cache->wanted;
        cache->wanted = (struct buf){0};
        r = judge(cache, e, public.size, certificates, n_certificates, now, error);
        if (r < 0) {
                entry_release(e);
                return r;
        }
        *ret = &e->ak;
        return 0;
}

const struct ak_trust *ak_cache_trust(const struct ak_cache *cache)
{
        return cache->trust;
}
