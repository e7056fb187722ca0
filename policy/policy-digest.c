/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/policy-digest.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

#define CC_POLICY_NV           0x00000149u
#define CC_POLICY_AUTHORIZE    0x0000016au
#define CC_POLICY_COMMAND_CODE 0x0000016cu
#define CC_POLICY_OR           0x00000171u
#define CC_POLICY_PCR          0x0000017fu
#define EO_BITCLEAR            0x000bu /* the last TPM_EO */
#define NV_OPERAND_MAX         64      /* TPM2B_OPERAND is a TPM2B_DIGEST */

void policy_start(const struct alg *alg, struct digest *ret)
{
        *ret = (struct digest){.alg = alg};
}

static int hash(const struct alg *alg, struct span bytes, struct digest *ret)
{
        struct banks banks = {1, {alg}};
        struct digests digests;
        int r = hash_span(&banks, bytes, &digests);

        if (r == 0)
                *ret = digests.d[0];
        return r;
}

/* The policy becomes the hash of what was put. */
static int update(struct digest *policy, const struct buf *bytes)
{
        return buf_failed(bytes) ? -ENOMEM : hash(policy->alg, buf_span(bytes), policy);
}

static void put_digest(struct buf *b, const struct digest *digest)
{
        buf_put(b, digest->bytes, digest->alg->size);
}

/* Old digest and command code: how each assertion begins. */
static void put_assertion(struct buf *b, const struct digest *policy, uint32_t command)
{
        put_digest(b, policy);
        buf_put_be32(b, command);
}

/* TPML_PCR_SELECTION, all banks alike, three bytes of PCRs each as PC Client TPMs have. */
static void put_selection(struct buf *b, const struct banks *banks, uint32_t mask)
{
        buf_put_be32(b, (uint32_t)banks->n);
        for (size_t i = 0; i < banks->n; i++) {
                buf_put_be16(b, banks->alg[i]->id);
                buf_put_u8(b, 3);
                for (unsigned byte = 0; byte < 3; byte++)
                        buf_put_u8(b, (uint8_t)(mask >> (8 * byte)));
        }
}

/* The hash of all values, bank by bank. */
static int hash_values(const struct alg *alg, const struct replay *values, uint32_t mask,
                struct digest *ret)
{
        _cleanup_buf_ struct buf b = {0};

        for (size_t bank = 0; bank < values->banks.n; bank++) {
                if (mask & ~values->measured[bank])
                        return -ENODATA;
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (mask & 1u << pcr)
                                buf_put(&b, values->pcr[bank][pcr].bytes,
                                                values->banks.alg[bank]->size);
        }
        return buf_failed(&b) ? -ENOMEM : hash(alg, buf_span(&b), ret);
}

int policy_pcr(struct digest *policy, const struct replay *values, uint32_t mask)
{
        _cleanup_buf_ struct buf b = {0};
        struct digest of_values;
        int r;

        if (mask == 0 || mask >> PCR_COUNT || values->banks.n == 0)
                return -EINVAL;
        r = hash_values(policy->alg, values, mask, &of_values);
        if (r < 0)
                return r;
        put_assertion(&b, policy, CC_POLICY_PCR);
        put_selection(&b, &values->banks, mask);
        put_digest(&b, &of_values);
        return update(policy, &b);
}

int policy_or(struct digest *policy, const struct digest *branches, size_t n)
{
        _cleanup_buf_ struct buf b = {0};
        bool met = false;

        if (n < 2 || n > POLICY_OR_MAX)
                return -EINVAL;
        buf_put_zeros(&b, policy->alg->size);
        buf_put_be32(&b, CC_POLICY_OR);
        for (size_t i = 0; i < n; i++) {
                if (branches[i].alg != policy->alg)
                        return -EINVAL;
                met = met || memcmp(branches[i].bytes, policy->bytes, policy->alg->size) == 0;
                put_digest(&b, &branches[i]);
        }
        return met ? update(policy, &b) : -EPERM;
}

int policy_authorize(struct digest *policy, struct span key_name, struct span policy_ref)
{
        _cleanup_buf_ struct buf first = {0}, second = {0};
        int r;

        if (key_name.size == 0)
                return -EINVAL;
        buf_put_zeros(&first, policy->alg->size);
        buf_put_be32(&first, CC_POLICY_AUTHORIZE);
        buf_put_span(&first, key_name);
        r = update(policy, &first);
        if (r < 0)
                return r;
        put_digest(&second, policy);
        buf_put_span(&second, policy_ref);
        return update(policy, &second);
}

int policy_nv(struct digest *policy, struct span index_name, struct span operand, uint16_t offset,
                uint16_t operation)
{
        _cleanup_buf_ struct buf arguments = {0}, b = {0};
        struct digest of_arguments;
        int r;

        if (index_name.size == 0 || operand.size > NV_OPERAND_MAX || operation > EO_BITCLEAR)
                return -EINVAL;
        buf_put_span(&arguments, operand);
        buf_put_be16(&arguments, offset);
        buf_put_be16(&arguments, operation);
        if (buf_failed(&arguments))
                return -ENOMEM;
        r = hash(policy->alg, buf_span(&arguments), &of_arguments);
        if (r < 0)
                return r;
        put_assertion(&b, policy, CC_POLICY_NV);
        put_digest(&b, &of_arguments);
        buf_put_span(&b, index_name);
        return update(policy, &b);
}

int policy_command_code(struct digest *policy, uint32_t command)
{
        _cleanup_buf_ struct buf b = {0};

        put_assertion(&b, policy, CC_POLICY_COMMAND_CODE);
        buf_put_be32(&b, command);
        return update(policy, &b);
}
