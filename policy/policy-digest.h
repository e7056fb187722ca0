/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy digests in software (TPM 2.0 Part 3, section 23): what TPM2_PolicyGetDigest would give
 * after the same assertions. Pure; no TPM is asked, because a trial session takes an inactive bank
 * without complaint. A policy starts with policy_start, then one call for each assertion, in the
 * session's order; the digest's algorithm is the session's.
 *
 * All return 0, -EINVAL for arguments that no TPM would take, or -errno of hashing. */
#pragma once

#include "base/alg.h"
#include "eventlog/replay.h"

/* TPM 2.0 Part 2, table 12 */
#define POLICY_CC_NV_READ      0x0000014eu
#define POLICY_CC_NV_READ_LOCK 0x0000014fu

#define POLICY_OR_MAX 8 /* TPML_DIGEST holds no more; TPM2_PolicyOR wants two at least */

void policy_start(const struct alg *alg, struct digest *ret);

/* TPM2_PolicyPCR over the PCRs of mask in all banks of values, in their order. -ENODATA: a value
 * isn't known. */
int policy_pcr(struct digest *policy, const struct replay *values, uint32_t mask);

/* TPM2_PolicyOR: whatever came before is replaced; -EPERM if it is none of the branches. */
int policy_or(struct digest *policy, const struct digest *branches, size_t n);

/* TPM2_PolicyAuthorize: whatever came before is replaced. key_name: of the key that signs what is
 * approved, as the TPM names it (algorithm and digest). */
int policy_authorize(struct digest *policy, struct span key_name, struct span policy_ref);

/* TPM2_PolicyNV: the index's contents at offset, compared with operand; operation is a TPM_EO. */
int policy_nv(struct digest *policy, struct span index_name, struct span operand, uint16_t offset,
                uint16_t operation);

int policy_command_code(struct digest *policy, uint32_t command);
