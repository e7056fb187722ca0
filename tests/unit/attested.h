/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine that has everything that evidence can tell: a firmware boot and two hops (hop-log.h),
 * systemd's log of the third boot, IMA in every kernel, and a key that signs (soft-ak.h). What is
 * shown may be changed; what its TPM reads stays. */
#pragma once

#include <errno.h>

#include "base/cleanup.h"
#include "policy/verify.h"
#include "tests/unit/hop-log.h"
#include "tests/unit/ima-list.h"
#include "tests/unit/soft-ak.h"

#define QUOTED 0xffffu /* PCRs 0-15 */
#define NOW    1800000000

DEFINE_CLEANUP(struct ak_trust *, ak_trust_free)
DEFINE_CLEANUP(struct ak_cache *, ak_cache_free)

struct attested {
        struct soft_ak ak;
        struct list list;
        struct buf log, systemd, ima;
        struct replay pcrs;
        uint32_t quoted[2];    /* of sha256 and sha1 */
        uint32_t systemd_boot; /* whose log that of systemd is said to be */
        struct soft_evidence soft;
        /* the verifier */
        struct ak_trust *trust;
        struct ak_cache *keys;
        struct verify_policy policy;
        struct reference_set *references;
        struct verify_input input;
};

static inline void attested_release(struct attested *m)
{
        soft_ak_release(&m->ak);
        release(&m->list);
        buf_release(&m->log);
        buf_release(&m->systemd);
        buf_release(&m->ima);
        soft_evidence_release(&m->soft);
        ak_cache_free(m->keys);
        ak_trust_free(m->trust);
        reference_set_free(m->references);
        verify_policy_release(&m->policy);
}
#define _cleanup_attested_ __attribute__((cleanup(attested_release)))

static inline void extend(struct attested *m, uint32_t pcr, struct span data)
{
        struct tcg_event event = {.pcr = pcr};

        CHECK_EQ(hash_span(&m->pcrs.banks, data, &event.digests), 0);
        CHECK_EQ(replay_extend(&m->pcrs, &event), 0);
}

static inline void put_systemd(struct attested *m, uint32_t pcr, const char *word)
{
        struct digests digests;

        CHECK_EQ(hash_span(&m->pcrs.banks, SPAN(word, strlen(word)), &digests), 0);
        buf_format(&m->systemd, "\x1e{\"pcr\":%u,\"digests\":[", pcr);
        for (size_t b = 0; b < digests.n; b++) {
                char hex[2 * DIGEST_MAX_BYTES + 1];

                hex_encode(SPAN(digests.d[b].bytes, digests.d[b].alg->size), hex);
                buf_format(&m->systemd, "%s{\"hashAlg\":\"%s\",\"digest\":\"%s\"}", b ? "," : "",
                                digests.d[b].alg->name, hex);
        }
        buf_format(&m->systemd, "],\"content\":{\"string\":\"%s\",\"eventType\":\"phase\"}}\n",
                        word);
        extend(m, pcr, SPAN(word, strlen(word)));
}

/* One boot_aggregate of each kernel, and files in the last one's list. */
static inline void put_ima(struct attested *m)
{
        static const size_t ends[] = {HOP1, HOP2, END};
        size_t all = m->list.n;

        for (size_t i = 0; i < 3; i++) {
                struct replay at;

                m->list.n = ends[i] - 1;
                tpm_after(&m->list, &at);
                ima_boot(i == 2 ? &m->ima : NULL, &m->pcrs, &at);
        }
        m->list.n = all;
        for (uint8_t i = 0; i < 3; i++) {
                uint8_t digest[32] = {i};

                ima_add_file(&m->ima, &m->pcrs, "ima-ng", "sha256:", SPAN(digest, 32), "/bin/x", 0);
        }
}

static inline void attested_new(struct attested *m, bool rsa)
{
        *m = (struct attested){.quoted = {QUOTED, QUOTED}, .systemd_boot = 3};
        soft_ak_new(&m->ak, rsa);
        honest(&m->list);
        tpm_after(&m->list, &m->pcrs);
        put_systemd(m, 11, "enter-initrd");
        put_systemd(m, 15, "machine-id:x");
        put_ima(m);
        CHECK_EQ(ak_trust_new(&m->trust), 0);
        CHECK_EQ(ak_trust_add_keys(m->trust, buf_span(&m->ak.public), NULL), 0);
        CHECK_EQ(ak_cache_new(m->trust, 4, &m->keys), 0);
        verify_policy_default(&m->policy);
        m->input = (struct verify_input){.nonce = TEXT("nonce of sixteen"),
                        .keys = m->keys,
                        .policy = &m->policy,
                        .now = NOW};
}

/* What the machine shows: the list as it now is, and a quote of what the TPM reads. */
static inline struct evidence *attested_show(struct attested *m)
{
        struct evidence *e;

        m->log.size = 0;
        write_log(&m->list, &m->log);
        m->pcrs.measured[0] = m->quoted[0];
        m->pcrs.measured[1] = m->quoted[1];
        soft_evidence_release(&m->soft);
        soft_evidence(&m->ak, buf_span(&m->log), &m->pcrs, TEXT("nonce of sixteen"), &m->soft);
        e = &m->soft.evidence;
        e->ima = buf_span(&m->ima);
        e->systemd[0] = (struct evidence_systemd){
                        .boot = m->systemd_boot, .log = buf_span(&m->systemd)};
        e->n_systemd = 1;
        if (!m->quoted[1])
                e->pcrs.banks.n = 1;
        return e;
}
