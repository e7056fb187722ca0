/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What TPM2_Quote answers: the readers of TPMS_ATTEST (TPM 2.0 Part 2, 10.12.12) and TPMT_SIGNATURE
 * (11.3.4), every byte accounted for, and the rule of what a quote covers. Untrusted bytes; nothing
 * here says that anybody signed them (ak-key.h). Pure, no allocation. */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "eventlog/replay.h"

#define QUOTE_SELECTIONS_MAX 16
#define QUOTE_NONCE_MAX      64 /* TPM2B_DATA is no longer than a TPMT_HA */

struct quote_selection {
        const struct alg *alg; /* NULL: a bank that isn't known; pcrs is 0 then */
        uint32_t pcrs;         /* mask of 0-23 */
};

struct quote {
        struct span qualified_signer; /* Name of the key under its parents', which only the TPM
                                         knows: it can't be checked without them */
        struct span nonce;            /* extraData */
        uint64_t clock_ms;
        uint32_t reset_count, restart_count;
        bool clock_safe;
        uint64_t firmware_version;
        struct quote_selection selection[QUOTE_SELECTIONS_MAX]; /* as hashed, no bank twice */
        size_t n_selections;
        struct span pcr_digest;
};

/* -EBADMSG: malformed: cut off, bytes left over, no TPM_GENERATED, not a quote, a bank twice, PCRs
 * above 23, PCRs of a bank that isn't known. *ret refers to attest. */
int quote_read(struct span attest, struct quote *ret, struct error *error);

/* PCRs that it covers in a bank; 0 for one that isn't selected. */
uint32_t quote_covers(const struct quote *quote, uint16_t alg_id);

/* Whether it says that these PCRs read these values: exactly the PCRs of pcrs->measured are those
 * selected, and their values, hashed by the signature's algorithm, are pcrDigest. What a machine
 * claims beyond its quote is refused, not ignored (CVE-2022-0317). -EPERM with the first PCR that
 * is claimed but not covered, or the other way round; -EBADMSG: another digest. */
int quote_check_values(const struct quote *quote, const struct replay *pcrs,
                const struct alg *signature_hash, struct error *error);

/* TPM_ALG_IDs of keys and schemes (TCG Algorithm Registry). */
enum {
        TPM_ALG_RSA = 0x0001,
        TPM_ALG_NULL = 0x0010,
        TPM_ALG_RSASSA = 0x0014,
        TPM_ALG_RSAPSS = 0x0016,
        TPM_ALG_ECDSA = 0x0018,
        TPM_ALG_ECC = 0x0023,
};

struct quote_signature {
        uint16_t scheme;        /* TPM_ALG_RSASSA, TPM_ALG_RSAPSS or TPM_ALG_ECDSA */
        const struct alg *hash; /* never NULL */
        struct span rsa;
        struct span r, s; /* of ECDSA, big-endian */
};

/* -EBADMSG: malformed, or of a scheme or hash that isn't known here. */
int quote_signature_read(struct span signature, struct quote_signature *ret, struct error *error);

/* The next TPM2B: a size and as many bytes, most at the most. */
bool tpm2b_take(struct cursor *c, size_t most, struct span *ret);
/* "RSASSA", or "0x0000" written to text. */
const char *tpm_alg_text(uint16_t id, char text[7]);
