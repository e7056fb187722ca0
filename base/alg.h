/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hash algorithms of PCR banks: one row each, sets of them, and (hasher.c) hashing of all banks
 * in one pass. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* TCG Algorithm Registry, TPM_ALG_ID. */
enum {
        TPM_ALG_SHA1 = 0x0004,
        TPM_ALG_SHA256 = 0x000b,
        TPM_ALG_SHA384 = 0x000c,
        TPM_ALG_SHA512 = 0x000d,
        TPM_ALG_SM3_256 = 0x0012,
        TPM_ALG_SHA3_256 = 0x0027,
        TPM_ALG_SHA3_384 = 0x0028,
        TPM_ALG_SHA3_512 = 0x0029,
};

#define ALG_MAX          8  /* rows of the table, so the most banks a set can have */
#define DIGEST_MAX_BYTES 64 /* SHA-512 */

struct alg {
        uint16_t id;      /* TPM_ALG_ID */
        uint16_t size;    /* bytes of a digest */
        uint32_t efi_bit; /* EFI_TCG2_BOOT_HASH_ALG_*, TCG EFI Protocol Specification 6.4, which
                             has none for SHA-3: 0 */
        const char *name; /* "sha256": as in tpm2-tools and our JSON */
        const char *evp;  /* OpenSSL's name */
};

const struct alg *alg_by_id(uint16_t id);        /* NULL if unknown */
const struct alg *alg_by_name(const char *name); /* NULL if unknown */
const struct alg *alg_by_index(size_t index);    /* 0..ALG_MAX-1 in the table's order, else NULL */

/* An ordered set of banks (of a TPM or a log header). */
struct banks {
        size_t n;
        const struct alg *alg[ALG_MAX];
};

bool banks_have(const struct banks *banks, uint16_t id);
/* Adds a bank; false if it is there already. */
bool banks_add(struct banks *banks, const struct alg *alg);
uint32_t banks_efi_bitmap(const struct banks *banks);

struct digest {
        const struct alg *alg;
        uint8_t bytes[DIGEST_MAX_BYTES]; /* alg->size of them count, the rest is zero */
};

/* One digest per bank, in the order of a struct banks. */
struct digests {
        size_t n;
        struct digest d[ALG_MAX];
};

const struct digest *digests_find(const struct digests *digests, uint16_t id);
bool digests_equal(const struct digests *a, const struct digests *b); /* same order, same values */

/* Hashes bytes for all banks in one pass. Nothing is kept between hashers, and of SHA-1 and SHA-2
 * nothing is allocated but by hasher_new. hasher_new: -EOPNOTSUPP if OpenSSL lacks one of them. */
struct hasher;
int hasher_new(const struct banks *banks, struct hasher **ret);
void hasher_free(struct hasher *h);
int hasher_update(struct hasher *h, struct span data);
int hasher_finish(struct hasher *h, struct digests *ret); /* and starts over */

/* All in one. */
int hash_span(const struct banks *banks, struct span data, struct digests *ret);
int hash_sha256(struct span data, uint8_t ret[32]);

/* PCR_Extend in software: pcr = H(pcr || digest); the two have the same algorithm. */
int digest_extend(struct digest *pcr, const struct digest *digest);

/* Lower-case hex with NUL; to holds 2 * size + 1 bytes. */
void hex_encode(struct span bytes, char *to);
/* Exactly size bytes from 2 * size hex digits (either case); false on anything else. */
bool hex_decode(const char *text, uint8_t *to, size_t size);
