/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a verifier demands beyond evidence that is true: a policy file (docs/attestation.md,
 * "Policy"), and whether the facts of a verdict meet it. Strict JSON: unknown and doubled members
 * are errors. Pure. */
#pragma once

#include <openssl/types.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "eventlog/replay.h"
#include "policy/plain-kexec.h"
#include "policy/reference-values.h"

#define VERIFY_POLICY_MAX_BYTES (4u * 1024 * 1024)
#define VERIFY_POLICY_MAX_ITEMS 4096 /* of any of its lists */

struct policy_pcr { /* PCR values, of which the quoted one must be one */
        const struct alg *alg;
        uint32_t pcr;
        uint8_t value[DIGEST_MAX_BYTES];
};

struct verify_policy {
        bool kexec;               /* false: not one hop, an aborted one included */
        uint64_t most_hops;       /* aborted ones count */
        bool aborted_hops;        /* may be there */
        bool unknown_kernels;     /* a hop may be one that no reference is wholly like */
        uint32_t first_boot_pcrs; /* PCRs of REFERENCE_VIEW in which firmware's boot must be as one
                                     reference; 0: it needn't be known */
        uint8_t (*kernels)[32];   /* SHA-256 of payload files; boots may be of these alone */
        size_t n_kernels;
        struct span *ak_names; /* TPM Names of keys, of which the AK must be one */
        size_t n_ak_names;
        struct span *issuers; /* DER certificates, one of which must stand above the AK's */
        size_t n_issuers;
        bool plain_kexec;        /* false: it must be excluded */
        struct policy_pcr *pcrs; /* those of one PCR stand together */
        size_t n_pcrs;
        bool weak_banks;           /* a log or quote of SHA-1 alone is taken */
        bool unknown_banks;        /* a log with a bank that can't be computed here is taken */
        uint32_t unexplained_pcrs; /* quoted PCRs that logs needn't explain; never 8 and registers
                                    */
        struct buf bytes;          /* what the spans point into */
};

/* What holds where no policy is given, and for members that aren't there: references decide, all
 * else is allowed but weak and unknown banks, aborted hops are, plain kexec may be;
 * unexplained_pcrs is PCR 10. */
void verify_policy_default(struct verify_policy *ret);
void verify_policy_release(struct verify_policy *policy);
#define _cleanup_verify_policy_ __attribute__((cleanup(verify_policy_release)))

/* -EBADMSG with the member that is wrong. */
int verify_policy_read(struct span text, struct verify_policy *ret, struct error *error);

/* The facts of a verdict that a policy is about; all else of the evidence has been found true. */
struct policy_facts {
        bool references; /* there is a reference set; without one no boot is known, and none is
                            asked for unless the policy names kernels */
        const struct hop_verdict *hops;      /* NULL: no firmware log */
        const struct reference_found *boots; /* [hops->n_hops + 1]; [0] is firmware's boot */
        const struct replay *quoted;         /* values of the quote */
        uint32_t unexplained;                /* PCRs quoted whose values logs don't give */
        const struct plain_kexec_verdict *plain_kexec;
        struct span ak_name; /* nameAlg and digest */
        EVP_PKEY *ak_key;
        const struct span *certificates; /* DER, the AK's first */
        size_t n_certificates;
        time_t now; /* at which certificates must be valid */
};

/* 0, or -EPERM with the first thing that isn't met, in one line. */
int verify_policy_check(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error);
