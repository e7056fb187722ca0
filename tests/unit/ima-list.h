/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IMA's lists and PCR 10 as Linux makes them (security/integrity/ima: ima_init.c, ima_crypto.c,
 * ima_template_lib.c), written anew here: policy/boot-aggregate.c is judged by them. */
#pragma once

#include "base/buf.h"
#include "eventlog/replay.h"
#include "tests/unit/tap.h"

/* PCR 10 of all banks takes the record; to: the list, NULL: that list is lost. */
static inline void ima_add(
                struct buf *to, struct replay *pcrs, const char *template, struct span data)
{
        struct banks sha1 = {.n = 1, .alg = {alg_by_name("sha1")}};
        struct tcg_event event = {.pcr = 10};
        struct digests digest;

        CHECK_EQ(hash_span(&pcrs->banks, data, &event.digests), 0);
        CHECK_EQ(replay_extend(pcrs, &event), 0);
        if (!to)
                return;
        CHECK_EQ(hash_span(&sha1, data, &digest), 0);
        buf_put_u32(to, 10);
        buf_put(to, digest.d[0].bytes, 20);
        buf_put_u32(to, (uint32_t)strlen(template));
        buf_put(to, template, strlen(template));
        buf_put_u32(to, (uint32_t)data.size);
        buf_put_span(to, data);
}

/* "ima-ng" and its like: prefix is "sha256:" or "ima:sha256:", empty counts fields without data. */
static inline void ima_add_file(struct buf *to, struct replay *pcrs, const char *template,
                const char *prefix, struct span digest, const char *name, unsigned empty)
{
        struct buf data = {0};

        buf_put_u32(&data, (uint32_t)(strlen(prefix) + 1 + digest.size));
        buf_put(&data, prefix, strlen(prefix) + 1);
        buf_put_span(&data, digest);
        buf_put_u32(&data, (uint32_t)strlen(name) + 1);
        buf_put(&data, name, strlen(name) + 1);
        for (; empty > 0; empty--)
                buf_put_u32(&data, 0);
        ima_add(to, pcrs, template, buf_span(&data));
        buf_release(&data);
}

/* Over PCR 0-9, of SHA-1 over PCR 0-7. */
static inline void ima_aggregate(const struct replay *at, const char *bank, uint8_t ret[64])
{
        const struct alg *alg = alg_by_name(bank);
        struct banks one = {.n = 1, .alg = {alg}};
        int b = replay_bank(at, alg->id);
        uint8_t values[10 * 64];
        struct digests digests;
        size_t n = strcmp(bank, "sha1") == 0 ? 8 : 10;

        CHECK(b >= 0);
        for (size_t pcr = 0; b >= 0 && pcr < n; pcr++)
                memcpy(values + pcr * alg->size, at->pcr[b][pcr].bytes, alg->size);
        CHECK_EQ(hash_span(&one, SPAN(values, n * alg->size), &digests), 0);
        memcpy(ret, digests.d[0].bytes, alg->size);
}

/* A kernel starts: at is what PCR 0-9 read then. */
static inline void ima_boot(struct buf *to, struct replay *pcrs, const struct replay *at)
{
        uint8_t digest[64];

        ima_aggregate(at, "sha256", digest);
        ima_add_file(to, pcrs, "ima-ng", "sha256:", SPAN(digest, 32), "boot_aggregate", 0);
}
