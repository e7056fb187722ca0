/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/policy-digest against trial sessions of swtpm, with random arguments. */
#include <errno.h>

#include <tss2/tss2_esys.h>

#include "base/cleanup.h"
#include "policy/policy-digest.h"
#include "tcg2/tpm-rc.h"
#include "tests/integration/swtpm.h"

#define ROUNDS 600 /* of each of the five assertions */

/* xorshift64*: the same inputs in every run */
static uint64_t random_state = 0x9e3779b97f4a7c15u;
static uint32_t random_u32(void)
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * 0x2545f4914f6cdd1du) >> 32);
}

static size_t random_bytes(uint8_t *to, size_t most)
{
        size_t n = random_u32() % (most + 1);

        for (size_t i = 0; i < n; i++)
                to[i] = (uint8_t)random_u32();
        return n;
}

static ESYS_TR trial(const struct alg *alg)
{
        static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
        ESYS_TR session = ESYS_TR_NONE;

        CHECK(Esys_StartAuthSession(tpm_esys_context(tpm), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_TRIAL, &none, alg->id,
                              &session) == TSS2_RC_SUCCESS);
        return session;
}

/* Whether the session has this digest; ends it. */
static bool agrees(ESYS_TR session, const struct digest *policy)
{
        _cleanup_esys_ TPM2B_DIGEST *digest = NULL;
        TSS2_RC rc = Esys_PolicyGetDigest(tpm_esys_context(tpm), session, ESYS_TR_NONE,
                        ESYS_TR_NONE, ESYS_TR_NONE, &digest);

        Esys_FlushContext(tpm_esys_context(tpm), session);
        return rc == TSS2_RC_SUCCESS && digest->size == policy->alg->size &&
               memcmp(digest->buffer, policy->bytes, digest->size) == 0;
}

static const struct alg *session_alg(size_t round)
{
        static const uint16_t ids[] = {
                        TPM_ALG_SHA256, TPM_ALG_SHA384, TPM_ALG_SHA512, TPM_ALG_SHA1};

        return alg_by_id(ids[round % ARRAY_SIZE(ids)]);
}

/* A command code first, so that what was there before counts. */
static ESYS_TR begin(size_t round, struct digest *policy)
{
        const struct alg *alg = session_alg(round);
        ESYS_TR session = trial(alg);
        TPM2_CC code = TPM2_CC_FIRST + random_u32() % (TPM2_CC_LAST - TPM2_CC_FIRST);

        policy_start(alg, policy);
        if (random_u32() & 1 &&
                        Esys_PolicyCommandCode(tpm_esys_context(tpm), session, ESYS_TR_NONE,
                                        ESYS_TR_NONE, ESYS_TR_NONE, code) == TSS2_RC_SUCCESS)
                CHECK(policy_command_code(policy, code) == 0);
        return session;
}

static void command_codes(void)
{
        for (size_t i = 0; i < ROUNDS; i++) {
                struct digest policy;
                ESYS_TR session = begin(i, &policy);

                if (!agrees(session, &policy))
                        CHECK(!"PolicyCommandCode differs");
        }
}

static void extend_something(void)
{
        struct digests digests;
        struct banks banks = swtpm_banks();
        uint32_t value = random_u32();

        CHECK(hash_span(&banks, SPAN(&value, sizeof(value)), &digests) == 0);
        CHECK(tpm_pcr_extend(tpm, random_u32() % 16, &digests, NULL) == 0);
}

static void pcrs(void)
{
        static const TPM2B_DIGEST as_it_is;
        struct banks all = swtpm_banks();

        for (size_t i = 0; i < ROUNDS; i++) {
                uint32_t mask = random_u32() & 0xffffff;
                struct banks some = {0};
                struct replay values;
                struct digest policy;
                TPML_PCR_SELECTION selection = {0};
                ESYS_TR session = begin(i, &policy);

                mask = mask ? mask : 1;
                for (size_t b = 0; b < all.n; b++)
                        if (random_u32() & 1 || (b + 1 == all.n && some.n == 0))
                                banks_add(&some, all.alg[b]);
                for (size_t b = 0; b < some.n; b++)
                        selection.pcrSelections[b] = (TPMS_PCR_SELECTION){some.alg[b]->id, 3,
                                        {mask & 0xff, mask >> 8 & 0xff, mask >> 16}};
                selection.count = (uint32_t)some.n;
                if (i % 16 == 0)
                        extend_something();
                REQUIRE(tpm_pcr_read(tpm, &some, mask, &values, NULL) == 0);
                CHECK(Esys_PolicyPCR(tpm_esys_context(tpm), session, ESYS_TR_NONE, ESYS_TR_NONE,
                                      ESYS_TR_NONE, &as_it_is, &selection) == TSS2_RC_SUCCESS);
                CHECK(policy_pcr(&policy, &values, mask) == 0);
                if (!agrees(session, &policy))
                        CHECK(!"PolicyPCR differs");
                values.measured[0] &= ~(mask & -mask);
                CHECK_EQ(policy_pcr(&policy, &values, mask), -ENODATA);
        }
}

static void ors(void)
{
        for (size_t i = 0; i < ROUNDS; i++) {
                struct digest policy, branches[POLICY_OR_MAX];
                ESYS_TR session = begin(i, &policy);
                size_t n = 2 + random_u32() % (POLICY_OR_MAX - 1);
                TPML_DIGEST list = {.count = (uint32_t)n};

                for (size_t b = 0; b < n; b++) {
                        policy_start(policy.alg, &branches[b]);
                        random_bytes(branches[b].bytes, policy.alg->size);
                }
                branches[random_u32() % n] = policy;
                for (size_t b = 0; b < n; b++) {
                        list.digests[b].size = policy.alg->size;
                        memcpy(list.digests[b].buffer, branches[b].bytes, policy.alg->size);
                }
                CHECK(Esys_PolicyOR(tpm_esys_context(tpm), session, ESYS_TR_NONE, ESYS_TR_NONE,
                                      ESYS_TR_NONE, &list) == TSS2_RC_SUCCESS);
                CHECK(policy_or(&policy, branches, n) == 0);
                if (!agrees(session, &policy))
                        CHECK(!"PolicyOR differs");
                CHECK_EQ(policy_or(&policy, branches, n), -EPERM); /* none of them any more */
                CHECK_EQ(policy_or(&policy, branches, 1), -EINVAL);
        }
}

static void authorizations(void)
{
        static const TPMT_TK_VERIFIED ticket = {TPM2_ST_VERIFIED, TPM2_RH_NULL, {0}};

        for (size_t i = 0; i < ROUNDS; i++) {
                struct digest policy;
                ESYS_TR session = begin(i, &policy);
                TPM2B_DIGEST approved = {.size = policy.alg->size};
                TPM2B_NONCE reference = {0};
                TPM2B_NAME key = {0};

                memcpy(approved.buffer, policy.bytes, policy.alg->size);
                reference.size = (uint16_t)random_bytes(reference.buffer, 32);
                key.size = 34;
                random_bytes(key.name + 2, 32);
                key.name[1] = TPM_ALG_SHA256;
                CHECK(Esys_PolicyAuthorize(tpm_esys_context(tpm), session, ESYS_TR_NONE,
                                      ESYS_TR_NONE, ESYS_TR_NONE, &approved, &reference, &key,
                                      &ticket) == TSS2_RC_SUCCESS);
                CHECK(policy_authorize(&policy, SPAN(key.name, key.size),
                                      SPAN(reference.buffer, reference.size)) == 0);
                if (!agrees(session, &policy))
                        CHECK(!"PolicyAuthorize differs");
        }
}

static void nv_comparisons(void)
{
        struct nv_index index = {0x01800042, NV_OWNERWRITE | 1u << 17 /* OWNERREAD */, {0}, 64};
        struct error error = {0};
        uint8_t name[NV_NAME_BYTES], contents[64] = {0};
        ESYS_TR object = ESYS_TR_NONE;
        _cleanup_esys_ TPM2B_NAME *tpm_name = NULL;

        REQUIRE(tpm_nv_define(nv, &index, &error) == 0);
        REQUIRE(tpm_nv_write(nv, &index, SPAN(contents, 64), &error) == 0);
        index.attributes |= NV_WRITTEN;
        CHECK(nv_index_name(&index, name) == 0);
        REQUIRE(Esys_TR_FromTPMPublic(tpm_esys_context(tpm), index.handle, ESYS_TR_NONE,
                                ESYS_TR_NONE, ESYS_TR_NONE, &object) == TSS2_RC_SUCCESS);
        REQUIRE(Esys_TR_GetName(tpm_esys_context(tpm), object, &tpm_name) == TSS2_RC_SUCCESS);
        CHECK(tpm_name->size == sizeof(name) && memcmp(tpm_name->name, name, sizeof(name)) == 0);
        for (size_t i = 0; i < ROUNDS; i++) {
                struct digest policy;
                ESYS_TR session = begin(i, &policy);
                TPM2B_OPERAND operand = {0};
                uint16_t operation = (uint16_t)(random_u32() % 12);
                uint16_t offset = (uint16_t)(random_u32() % 32);

                operand.size = (uint16_t)random_bytes(operand.buffer, 32);
                CHECK(Esys_PolicyNV(tpm_esys_context(tpm), ESYS_TR_RH_OWNER, object, session,
                                      ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &operand,
                                      offset, operation) == TSS2_RC_SUCCESS);
                CHECK(policy_nv(&policy, SPAN(name, sizeof(name)),
                                      SPAN(operand.buffer, operand.size), offset, operation) == 0);
                if (!agrees(session, &policy))
                        CHECK(!"PolicyNV differs");
        }
        Esys_TR_Close(tpm_esys_context(tpm), &object);
        CHECK(tpm_nv_undefine(nv, index.handle, &error) == 0);
}

static const struct tap_test tests[] = {
                {"PolicyCommandCode as the TPM computes it, 600 times", command_codes},
                {"PolicyPCR as the TPM computes it, 600 times", pcrs},
                {"PolicyOR as the TPM computes it, 600 times", ors},
                {"PolicyAuthorize as the TPM computes it, 600 times", authorizations},
                {"PolicyNV and the index's Name as the TPM computes them, 600 times",
                                nv_comparisons},
};

SWTPM_MAIN(tests)
