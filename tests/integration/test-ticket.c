/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/policy-digest against trial sessions of swtpm with random arguments, and the life of a
 * ticket on swtpm. Started by test-tpm.sh with $TPM2TOOLS_TCTI; resets of the TPM are
 * test_ticket.py's. */
#include <errno.h>

#include <tss2/tss2_esys.h>

#include "base/cleanup.h"
#include "policy/policy-digest.h"
#include "policy/ticket.h"
#include "shim/tickets.h"
#include "tcg2/tpm-rc.h"
#include "tests/unit/hop-fixture.h"
#include "tests/unit/scratch.h"

#define ROUNDS 600 /* of each of the five assertions */

static struct tpm *tpm;
static struct tpm_nv *nv;

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

static struct banks active(void)
{
        struct banks banks = {0};

        CHECK(tpm_active_banks(tpm, &banks, NULL) == 0);
        return banks;
}

/* ---- policy digests ---- */

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
        struct banks banks = active();
        uint32_t value = random_u32();

        CHECK(hash_span(&banks, SPAN(&value, sizeof(value)), &digests) == 0);
        CHECK(tpm_pcr_extend(tpm, random_u32() % 16, &digests, NULL) == 0);
}

static void pcrs(void)
{
        static const TPM2B_DIGEST as_it_is;
        struct banks all = active();

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

/* ---- tickets ---- */

static struct replay read_pcrs(void)
{
        struct banks banks = active();
        struct replay now;

        CHECK(tpm_pcr_read(tpm, &banks, 0xffff, &now, NULL) == 0);
        return now;
}

/* PCR 8 as it will read when text is extended. */
static struct replay predict(const char *text)
{
        struct replay values = read_pcrs();
        struct tcg_event event = {.pcr = 8};

        CHECK(hash_span(&values.banks, SPAN(text, strlen(text)), &event.digests) == 0);
        CHECK(replay_extend(&values, &event) == 0);
        return values;
}

static void extend_text(unsigned pcr, const char *text)
{
        struct banks banks = active();
        struct digests digests;

        CHECK(hash_span(&banks, SPAN(text, strlen(text)), &digests) == 0);
        CHECK(tpm_pcr_extend(tpm, pcr, &digests, NULL) == 0);
}

static int put(const char *name, const char *text, const struct replay *values, struct ticket *ret,
                struct error *error)
{
        return ticket_put(nv, TICKET_BASE, name, SPAN(text, strlen(text)), values, 1u << 8, ret,
                        error);
}

static int get(const char *name, struct secret *ret, struct error *error)
{
        struct replay now = read_pcrs();
        struct error left = {0};
        int r = ticket_get(nv, TICKET_BASE, name, &now, ret, &left, error);

        CHECK(left.text[0] == '\0');
        return r;
}

static size_t count(void)
{
        uint32_t handles[256];
        size_t n = 256;

        CHECK(tpm_nv_list(nv, 0x01000000, 0x01ffffff, handles, &n, NULL) == 0);
        return n;
}

static void life(void)
{
        struct replay values = predict("B");
        struct secret secret = {0};
        struct error error = {0};
        struct ticket ticket, other;

        CHECK_EQ(get("root", &secret, &error), -ENOENT);
        REQUIRE(put("root", "the key of the disk", &values, &ticket, &error) == 0);
        CHECK_EQ(ticket.handle, TICKET_BASE + 0x100);
        REQUIRE(put("swap", "another", &values, &other, &error) == 0);
        CHECK_EQ(other.handle, TICKET_BASE + 0x10100);
        CHECK_EQ(get("root", &secret, &error), -EKEYREJECTED); /* reading in A */
        CHECK(!secret.data);
        extend_text(8, "B");
        CHECK_EQ(get("nobody", &secret, &error), -ENOENT);
        CHECK(strstr(error.text, "2 of other names"));
        REQUIRE(get("root", &secret, &error) == 0);
        CHECK_EQ(secret.size, 19);
        CHECK(memcmp(secret.data, "the key of the disk", 19) == 0);
        secret_release(&secret);
        CHECK_EQ(get("root", &secret, &error), -ENOENT); /* given up */
        CHECK_EQ(count(), 1);
        extend_text(8, "C");
        CHECK_EQ(get("swap", &secret, &error), -EKEYREJECTED); /* a foreign extend */
        CHECK(ticket_drop(nv, other.handle, &error) == 0);
        CHECK(ticket_drop(nv, other.handle, &error) == 0); /* once more: nothing there */
        CHECK_EQ(count(), 0);
}

static void a_locked_ticket_stays_shut(void)
{
        struct replay values = read_pcrs();
        struct secret secret = {0};
        struct error error = {0};
        struct ticket ticket, list[4];
        size_t n = 4;
        char name[TICKET_NAME_MAX + 1];

        REQUIRE(put("root", "key", &values, &ticket, &error) == 0);
        REQUIRE(ticket_list(nv, TICKET_BASE, &values, list, &n, &error) == 0);
        REQUIRE(n == 1);
        CHECK_EQ(list[0].state, TICKET_READY);
        CHECK(ticket_name(nv, &list[0], &values, name, &error) == 0);
        CHECK(strcmp(name, "root") == 0);
        CHECK(ticket_lock(nv, &list[0], &values, &error) == 0);
        CHECK_EQ(get("root", &secret, &error), -EBUSY);
        CHECK(strstr(error.text, "already used"));
        CHECK(ticket_drop(nv, ticket.handle, &error) == 0);
}

/* How many TPM2_PolicyPCR are left alone, and behind how many of those that follow something
 * extends a PCR. */
static int quiet_policies, busy_policies;

TSS2_RC __real_Esys_PolicyPCR(ESYS_CONTEXT *esys, ESYS_TR session, ESYS_TR a, ESYS_TR b, ESYS_TR c,
                const TPM2B_DIGEST *digest, const TPML_PCR_SELECTION *pcrs);
TSS2_RC __wrap_Esys_PolicyPCR(ESYS_CONTEXT *esys, ESYS_TR session, ESYS_TR a, ESYS_TR b, ESYS_TR c,
                const TPM2B_DIGEST *digest, const TPML_PCR_SELECTION *pcrs);

TSS2_RC __wrap_Esys_PolicyPCR(ESYS_CONTEXT *esys, ESYS_TR session, ESYS_TR a, ESYS_TR b, ESYS_TR c,
                const TPM2B_DIGEST *digest, const TPML_PCR_SELECTION *pcrs)
{
        TSS2_RC rc = __real_Esys_PolicyPCR(esys, session, a, b, c, digest, pcrs);

        if (quiet_policies > 0)
                quiet_policies--;
        else if (busy_policies > 0) {
                busy_policies--;
                extend_text(15, "meanwhile");
        }
        return rc;
}

/* TPM_RC_PCR_CHANGED, whichever PCR it was: tried eight times. */
static void pcrs_that_change_meanwhile(void)
{
        struct replay values = read_pcrs();
        struct secret secret = {0};
        struct error error = {0};
        struct ticket ticket;
        char text[400] = "";

        /* header and name, the rest of a long one, lock */
        memset(text, 'k', sizeof(text) - 1);
        for (int step = 0; step < 3; step++) {
                REQUIRE(put("root", text, &values, &ticket, &error) == 0);
                quiet_policies = step;
                busy_policies = 8;
                CHECK_EQ(get("root", &secret, &error), -EAGAIN);
                CHECK(strstr(error.text, "8 times"));
                CHECK(!secret.data);
                CHECK_EQ(busy_policies, 0); /* not once more */
                quiet_policies = step;
                busy_policies = 7;
                REQUIRE(get("root", &secret, &error) == 0);
                CHECK_EQ(busy_policies, 0);
                secret_release(&secret);
        }
        CHECK_EQ(count(), 0);
}

/* What the owner alone can do; each is told apart. */
static void swapped_indices_are_refused(void)
{
        static const struct {
                uint32_t attributes;
                const char *contents;
                bool lock;
                int wanted;
        } rows[] = {
                        {0, "MKXT\1\4\0\3rootkey", false, -EPROTO}, /* may still be rewritten */
                        {1u << 2, "MKXT\1\4\0\3rootkey", true, -EPROTO},  /* AUTHWRITE */
                        {1u << 17, "MKXT\1\4\0\3rootkey", true, -EPROTO}, /* OWNERREAD */
                        {0, "MKXT\2\4\0\3rootkey", true, -EPROTO},        /* contents */
                        {0, "MKXT\1\4\0\4rootkey", true, -EPROTO},
                        {0, "MKXT\1\0\0\7rootkey", true, -EPROTO},
                        {0, "NKXT\1\4\0\3rootkey", true, -EPROTO},
                        {0, "MKXT\1\4\0\3ro/tkey", true, -EPROTO},
                        {0, "MKXT\1\4\0\3rootkey", true, 0}, /* the owner can make a ticket */
        };
        struct replay now = read_pcrs();
        struct secret secret = {0};
        struct error error = {0};
        struct ticket genuine;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct nv_index index;

                REQUIRE(put("root", "key", &now, &genuine, &error) == 0);
                index = genuine.index;
                CHECK(tpm_nv_undefine(nv, index.handle, &error) == 0);
                index.attributes &= ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED);
                index.attributes |= rows[i].attributes;
                REQUIRE(tpm_nv_define(nv, &index, &error) == 0);
                CHECK(tpm_nv_write(nv, &index, SPAN(rows[i].contents, 15), &error) == 0);
                if (rows[i].lock)
                        CHECK(tpm_nv_write_lock(nv, index.handle, &error) == 0);
                CHECK_EQ(get("root", &secret, &error), rows[i].wanted);
                secret_release(&secret);
                CHECK_EQ(ticket_drop(nv, index.handle, &error), rows[i].attributes ? -EPROTO : 0);
                if (rows[i].attributes) /* another program's stays */
                        CHECK(tpm_nv_undefine(nv, index.handle, &error) == 0);
        }
}

/* A put that died before its end, and a drop that died over the zeros. tests/faults lets them. */
static void unfinished_ones_are_cleaned(void)
{
        struct replay now = read_pcrs(), later = predict("unfinished");
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct secret secret = {0};
        struct error error = {0};
        struct ticket made, list[4];
        size_t n;

        for (size_t i = 0; i < 4; i++) {
                bool zeros = i & 1, written = i & 2;
                struct nv_index index;

                REQUIRE(put("root", "key", written ? &now : &later, &made, &error) == 0);
                index = made.index;
                CHECK(ticket_drop(nv, index.handle, &error) == 0);
                index.attributes &= ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED);
                index.attributes &= ~(uint32_t)(zeros ? NV_WRITE_STCLEAR : 0);
                REQUIRE(tpm_nv_define(nv, &index, &error) == 0);
                if (written)
                        CHECK(tpm_nv_write(nv, &index, SPAN("MKXT\1\4\0\3rootkey", 15), &error) ==
                                        0);
                n = 4;
                REQUIRE(ticket_list(nv, TICKET_BASE, &now, list, &n, &error) == 0);
                REQUIRE(n == 1);
                CHECK_EQ(list[0].state, written ? TICKET_UNFINISHED : TICKET_EMPTY);
                CHECK_EQ(list[0].opens, written);
                CHECK_EQ(get("root", &secret, &error), written ? -EPROTO : -ENODATA);
                if (written) { /* nobody reads it afterwards, all the same */
                        CHECK(ticket_lock(nv, &list[0], &now, &error) == 0);
                        CHECK_EQ(get("root", &secret, &error), -EBUSY);
                }
                CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
                CHECK_EQ(n, 0);
                CHECK_EQ(count(), 0);
        }
}

/* The owner puts another index in its place between define and write. */
static void a_secret_goes_nowhere_else(void)
{
        struct nv_index wanted = {TICKET_BASE + 0x100, NV_OWNERWRITE | NV_POLICYREAD, {1}, 15};
        struct nv_index swapped = wanted, found;
        struct error error = {0};

        swapped.attributes |= 1u << 17; /* OWNERREAD */
        REQUIRE(tpm_nv_define(nv, &swapped, &error) == 0);
        CHECK_EQ(tpm_nv_write(nv, &wanted, SPAN("MKXT\1\4\0\3rootkey", 15), &error), -EPROTO);
        CHECK(strstr(error.text, "became another one"));
        REQUIRE(tpm_nv_public(nv, swapped.handle, &found, &error) == 0);
        CHECK_EQ(found.attributes, swapped.attributes); /* not written */
        CHECK(tpm_nv_undefine(nv, swapped.handle, &error) == 0);
}

/* Slots in order: malformed, locked, for others, and one that is ready. */
static void each_is_told_apart(void)
{
        struct replay now = read_pcrs(), other = predict("of another kernel");
        struct secret secret = {0};
        struct error error = {0};
        struct ticket first, used, waiting, ready, list[8];
        size_t n = 8;

        REQUIRE(put("root", "key", &now, &first, &error) == 0);
        REQUIRE(put("used", "key", &now, &used, &error) == 0);
        REQUIRE(put("wait", "key", &other, &waiting, &error) == 0);
        REQUIRE(put("good", "key", &now, &ready, &error) == 0);
        CHECK(tpm_nv_undefine(nv, first.handle, &error) == 0);
        first.index.attributes &= ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED);
        REQUIRE(tpm_nv_define(nv, &first.index, &error) == 0);
        CHECK(tpm_nv_write(nv, &first.index, SPAN("MKXT\2\4\0\3rootkey", 15), &error) == 0);
        CHECK(tpm_nv_write_lock(nv, first.handle, &error) == 0);
        REQUIRE(ticket_list(nv, TICKET_BASE, &now, list, &n, &error) == 0);
        REQUIRE(n == 4);
        CHECK(ticket_lock(nv, &list[1], &now, &error) == 0);
        CHECK_EQ(get("root", &secret, &error), -EKEYREJECTED);
        CHECK(strstr(error.text, "0x01a20100 is for other PCR values"));
        CHECK(strstr(error.text, "0x01a10100 was already used"));
        CHECK(strstr(error.text, "0x01a00100 isn't as 'ticket put' leaves one"));
        CHECK(strstr(error.text, "1 of other names is there"));
        REQUIRE(get("good", &secret, &error) == 0); /* the malformed one doesn't hide it */
        secret_release(&secret);
        CHECK(ticket_drop(nv, waiting.handle, &error) == 0);
        CHECK_EQ(get("root", &secret, &error), -EBUSY);
        CHECK(ticket_drop(nv, used.handle, &error) == 0);
        CHECK_EQ(get("root", &secret, &error), -EPROTO);
        CHECK(ticket_drop(nv, first.handle, &error) == 0);
        CHECK_EQ(get("root", &secret, &error), -ENOENT);
        CHECK(strstr(error.text, "there is none at all"));
        CHECK_EQ(count(), 0);
}

static void limits(void)
{
        static char text[2100];
        struct replay now = read_pcrs();
        struct ticket tickets[TICKET_SLOTS + 1];
        struct secret secret = {0};
        struct error error = {0};
        size_t most = tpm_nv_limit(nv) - 8 - 4;

        memset(text, 'k', sizeof(text));
        CHECK_EQ(ticket_put(nv, TICKET_BASE, "root", SPAN(text, most + 1), &now, 1u << 8,
                                 &tickets[0], &error),
                        -EMSGSIZE);
        CHECK(strstr(error.text, "2036") != NULL); /* 2048 - header - name: what libtpms takes */
        REQUIRE(ticket_put(nv, TICKET_BASE, "root", SPAN(text, most), &now, 1u << 8, &tickets[0],
                                &error) == 0);
        REQUIRE(get("root", &secret, &error) == 0);
        CHECK(secret.size == most && memcmp(secret.data, text, most) == 0);
        secret_release(&secret);
        CHECK_EQ(put("root", "", &now, &tickets[0], &error), -EINVAL);
        CHECK_EQ(put("ro/ot", "k", &now, &tickets[0], &error), -EINVAL);
        for (size_t i = 0; i < TICKET_SLOTS; i++)
                REQUIRE(put("root", "k", &now, &tickets[i], &error) == 0);
        CHECK_EQ(put("root", "k", &now, &tickets[TICKET_SLOTS], &error), -ENOSPC);
        CHECK(strstr(error.text, "are taken"));
        for (size_t i = 0; i < TICKET_SLOTS; i++)
                CHECK(ticket_drop(nv, tickets[i].handle, &error) == 0);
        CHECK_EQ(count(), 0);
}

static void a_full_tpm_is_left_as_it_was(void)
{
        static const char text[2000] = "k";
        struct replay now = read_pcrs();
        struct ticket tickets[TICKET_SLOTS * 8];
        struct error error = {0};
        size_t n = 0, before;
        int r = 0;

        for (uint32_t pcr = 0; r == 0 && n < ARRAY_SIZE(tickets); n += r == 0)
                r = ticket_put(nv, TICKET_BASE, "root", SPAN(text, sizeof(text)), &now,
                                1u << 8 | (++pcr % 8 ? 1u << pcr % 8 : 0), &tickets[n], &error);
        CHECK_EQ(r, -ENOSPC);
        CHECK(strstr(error.text, "NV memory is full"));
        before = count();
        CHECK_EQ(before, n);
        for (size_t i = 0; i < n; i++) /* no room to overwrite them may be left either */
                tpm_nv_undefine(nv, tickets[i].handle, &error);
        CHECK_EQ(count(), 0);
}

static void an_owner_with_a_password(void)
{
        TPM2B_AUTH password = {4, "open"}, none = {0};
        ESYS_CONTEXT *esys = tpm_esys_context(tpm);
        struct replay now = read_pcrs();
        struct error error = {0};
        struct ticket ticket;

        REQUIRE(Esys_HierarchyChangeAuth(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, &password) == TSS2_RC_SUCCESS);
        tpm_nv_close(nv);
        REQUIRE(tpm_nv_open(tpm, SPAN("shut", 4), &nv, &error) == 0);
        CHECK_EQ(put("root", "key", &now, &ticket, &error), -EACCES);
        CHECK(strstr(error.text, "another password"));
        CHECK_EQ(count(), 0);
        tpm_nv_close(nv);
        REQUIRE(tpm_nv_open(tpm, SPAN("open", 4), &nv, &error) == 0);
        CHECK(put("root", "key", &now, &ticket, &error) == 0);
        CHECK(ticket_drop(nv, ticket.handle, &error) == 0);
        Esys_TR_SetAuth(esys, ESYS_TR_RH_OWNER, &password);
        CHECK(Esys_HierarchyChangeAuth(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                              ESYS_TR_NONE, &none) == TSS2_RC_SUCCESS);
        tpm_nv_close(nv);
        REQUIRE(tpm_nv_open(tpm, SPAN(NULL, 0), &nv, &error) == 0);
}

/* ---- tickets of what is loaded ---- */

/* A plan that starts at the TPM's values, staged as load leaves it. */
static bool stage(struct state_dir *dir, struct plan *ret)
{
        struct banks banks = active();
        struct replay now = read_pcrs();
        struct plan_input input = fixture_input(fixture_map, 1u << 11);
        struct staged staged = {.payload = (char *)"/b.efi", .handover = HANDOVER_LOAD};
        bool ok;

        for (size_t i = 0; i < input.n_events; i++) {
                struct tcg_event *event = (struct tcg_event *)&input.events[i];

                if (hash_span(&banks, event->data, &event->digests) < 0)
                        return false;
        }
        input.banks = banks;
        input.start = now.pcr;
        if (state_open(dir, NULL) < 0 || plan_make(&input, ret, NULL) < 0)
                return false;
        staged.plan = *ret;
        ok = staged_write(dir, STATE_PLAN, &staged, NULL) == 0;
        return ok;
}

static void extend_plan(const struct plan *plan, size_t from, size_t to)
{
        for (size_t i = from; i < to; i++)
                CHECK(tpm_pcr_extend(tpm, plan->events[i].event.pcr, &plan->events[i].event.digests,
                                      NULL) == 0);
}

static int put_staged(const struct state_dir *dir, const char *name, const char *text,
                uint32_t pcrs, struct error *error)
{
        struct ticket_rules rules = TICKET_RULES_NONE;

        return tickets_put(tpm, &rules, dir, name, SPAN(text, strlen(text)), pcrs, error);
}

/* Bits of the plan's rows without a ticket; -1: tickets_check's answer isn't of that kind. */
static int missing(const struct state_dir *dir, struct error *error)
{
        struct staged staged = STAGED_NONE;
        uint32_t mask = 0;
        int r = staged_read(dir, STATE_PLAN, &staged, error);

        if (r == 0)
                r = tickets_check(tpm, &staged, &mask, error);
        staged_release(&staged);
        return (r == 0 && !mask) || (r == -ENOKEY && mask) ? (int)mask : -1;
}

static bool unwant(const struct state_dir *dir, const char *name)
{
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct error error;
        bool wanted = false;

        CHECK_EQ(tickets_unwant(tpm, &rules, dir, name, &wanted, &error), 0);
        return wanted;
}

static void a_ticket_of_a_load(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct staged staged = STAGED_NONE;
        struct secret secret = {0};
        struct error error = {0};
        struct plan plan;

        REQUIRE(stage(&dir, &plan));
        REQUIRE(put_staged(&dir, "root", "old key", 0, &error) == 0);
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0); /* in the place of the old one */
        REQUIRE(put_staged(&dir, "home", "other", 1u << 7, &error) == 0);
        CHECK_EQ(count(), 2);
        REQUIRE(staged_read(&dir, STATE_PLAN, &staged, &error) == 0);
        CHECK_EQ(staged.n_tickets, 2);
        CHECK(strcmp(staged.tickets[0].name, "root") == 0);
        CHECK_EQ(staged.tickets[1].handle, TICKET_BASE + 0x180);
        staged_release(&staged);
        /* all but the last event by hand, then the last, too: whoever may extend may read */
        extend_plan(&plan, 0, plan.n_events - 1);
        CHECK_EQ(get("root", &secret, &error), -EKEYREJECTED);
        extend_plan(&plan, plan.n_events - 1, plan.n_events);
        REQUIRE(get("root", &secret, &error) == 0);
        CHECK(secret.size == 3 && memcmp(secret.data, "key", 3) == 0);
        secret_release(&secret);
        extend_text(7, "another PCR 7");
        CHECK_EQ(get("home", &secret, &error), -EKEYREJECTED);
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

/* As load leaves it that dies before it makes the tickets. */
static void want(const struct state_dir *dir, const char *name)
{
        struct staged staged = STAGED_NONE;

        CHECK_EQ(staged_read(dir, STATE_PLAN, &staged, NULL), 0);
        CHECK_EQ(tickets_want(&staged, name, NULL), 0);
        CHECK_EQ(tickets_want(&staged, name, NULL), 0); /* once is enough */
        CHECK_EQ(staged_write(dir, STATE_PLAN, &staged, NULL), 0);
        staged_release(&staged);
}

static void exec_misses_what_was_asked_for(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct ticket_target target;
        struct error error = {0};
        struct ticket stray;
        struct plan plan;
        size_t n;

        REQUIRE(stage(&dir, &plan));
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 0); /* a load without tickets */
        want(&dir, "root");
        want(&dir, "home");
        CHECK_EQ(missing(&dir, &error), 3);
        CHECK(strstr(error.text, "ticket put root"));
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 2);
        CHECK(strstr(error.text, "'home'"));
        CHECK(unwant(&dir, "home"));
        CHECK(!unwant(&dir, "home"));
        CHECK_EQ(missing(&dir, &error), 0);
        /* a put that died before the plan had its handle: neither the next put nor a drop lets a
         * second one of that name stay */
        want(&dir, "home");
        REQUIRE(ticket_target(tpm, &plan, 1u << 7, &target, &error) == 0);
        REQUIRE(put("home", "of the dead", &target.values, &stray, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 2);
        REQUIRE(put_staged(&dir, "home", "other", 0, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 0);
        CHECK_EQ(count(), 2);
        REQUIRE(put("home", "of the dead", &target.values, &stray, &error) == 0);
        CHECK(unwant(&dir, "home"));
        CHECK_EQ(count(), 1);
        CHECK(unwant(&dir, NULL));
        CHECK_EQ(count(), 0);
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

static void exec_misses_what_became_another(void)
{
        static const struct {
                uint32_t set, clear; /* attributes of what stands in its place */
                uint8_t policy;      /* flipped in its first byte */
                bool there;
                const char *text; /* NULL: nothing is wrong with it */
        } rows[] = {
                        {0, 0, 0, false, "isn't in the TPM"},
                        {0, NV_WRITTEN | NV_WRITELOCKED, 0, true, "has no contents"},
                        {1u << 17, NV_WRITTEN | NV_WRITELOCKED, 0, true, "'ticket put' leaves"},
                        {0, 0, 1, true, "wouldn't open"},
                        {0, 0, 0, true, NULL},
        };
        const uint32_t state = NV_WRITTEN | NV_WRITELOCKED;
        struct state_dir dir = STATE_DIR_NONE;
        struct nv_index index;
        struct error error = {0};
        struct plan plan;

        REQUIRE(stage(&dir, &plan));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
                REQUIRE(tpm_nv_public(nv, TICKET_BASE + 0x100, &index, &error) == 0);
                CHECK(tpm_nv_undefine(nv, index.handle, &error) == 0);
                index.attributes = ((index.attributes | rows[i].set) & ~rows[i].clear) & ~state;
                index.policy[0] ^= rows[i].policy;
                CHECK(!rows[i].there || tpm_nv_define(nv, &index, &error) == 0);
                if (rows[i].there && !rows[i].clear) {
                        CHECK(tpm_nv_write(nv, &index, SPAN("MKXT\1\4\0\3rootkey", 15), &error) ==
                                        0);
                        CHECK(tpm_nv_write_lock(nv, index.handle, &error) == 0);
                }
                error = (struct error){0};
                CHECK_EQ(missing(&dir, &error), rows[i].text ? 1 : 0);
                CHECK(!rows[i].text || strstr(error.text, rows[i].text));
                CHECK(!rows[i].there || tpm_nv_undefine(nv, index.handle, &error) == 0);
        }
        REQUIRE(put_staged(&dir, "root", "key", 1u << 7, &error) == 0);
        CHECK_EQ(missing(&dir, &error), 0);
        extend_text(7, "after put");
        CHECK_EQ(missing(&dir, &error), 1);
        CHECK(strstr(error.text, "was extended since"));
        CHECK(unwant(&dir, NULL));
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

/* One that is gone stands in the plan still, also when another has its handle: exec misses it. */
static void a_dropped_one_takes_nobody_with_it(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct staged staged = STAGED_NONE;
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct error error = {0};
        struct nv_index foreign;
        struct plan plan;
        size_t n;

        REQUIRE(stage(&dir, &plan));
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        REQUIRE(put_staged(&dir, "home", "other", 0, &error) == 0);
        CHECK(ticket_drop(nv, TICKET_BASE + 0x100, &error) == 0);
        REQUIRE(put_staged(&dir, "data", "third", 0, &error) == 0); /* root's handle */
        CHECK_EQ(missing(&dir, &error), 1);
        CHECK(strstr(error.text, "'root' of what is loaded isn't in the TPM"));
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        CHECK_EQ(count(), 3);
        REQUIRE(staged_read(&dir, STATE_PLAN, &staged, &error) == 0);
        REQUIRE(staged.n_tickets == 3);
        CHECK(strcmp(staged.tickets[2].name, "data") == 0);
        CHECK_EQ(staged.tickets[2].handle, TICKET_BASE + 0x100);
        CHECK_EQ(staged.tickets[0].handle, TICKET_BASE + 0x20100);
        /* or another program's index has it */
        REQUIRE(tpm_nv_public(nv, TICKET_BASE + 0x20100, &foreign, &error) == 0);
        CHECK(ticket_drop(nv, foreign.handle, &error) == 0);
        foreign.attributes = (foreign.attributes | 1u << 17) &
                             ~(uint32_t)(NV_WRITTEN | NV_WRITELOCKED); /* OWNERREAD */
        REQUIRE(tpm_nv_define(nv, &foreign, &error) == 0);
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        CHECK_EQ(count(), 4);
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        CHECK_EQ(n, 3);
        CHECK(tpm_nv_undefine(nv, foreign.handle, &error) == 0);
        CHECK_EQ(count(), 0);
        staged_release(&staged);
        plan_release(&plan);
        staged_drop(&dir);
        state_close(&dir);
}

static void what_waits_goes_with_the_load(void)
{
        struct state_dir dir = STATE_DIR_NONE;
        struct error error = {0};
        struct ticket ready;
        struct replay now = read_pcrs();
        struct ticket_rules rules = TICKET_RULES_NONE;
        struct plan plan;
        size_t n;

        REQUIRE(stage(&dir, &plan));
        REQUIRE(put_staged(&dir, "root", "key", 0, &error) == 0);
        REQUIRE(put("mine", "not of the load", &now, &ready, &error) == 0);
        CHECK_EQ(count(), 3); /* with the one of the test before */
        CHECK(tickets_drop_waiting(tpm, &rules, &n, &error) == 0);
        CHECK_EQ(n, 2);
        CHECK_EQ(count(), 1);
        CHECK(ticket_drop(nv, ready.handle, &error) == 0);
        staged_drop(&dir);
        CHECK_EQ(put_staged(&dir, "root", "key", 0, &error), -ENODATA);
        CHECK(strstr(error.text, "nothing is loaded"));
        CHECK_EQ(count(), 0);
        plan_release(&plan);
        state_close(&dir);
}

static void rules_come_from_a_file(void)
{
        static const struct {
                const char *text;
                int wanted;
                uint32_t base;
        } rows[] = {
                        {"", 0, TICKET_BASE},
                        {"nv-base = 0x01900000\n", 0, 0x01900000},
                        {"nv-base = 0x01b00000", 0, 0x01b00000},
                        {"nv-base = 0x01c00000", -EINVAL, 0}, /* not the owner's range */
                        {"nv-base = 0x01910000", -EINVAL, 0},
                        {"nv-base = 0x01700000", -EINVAL, 0},
                        {"nv-base = x", -EINVAL, 0},
                        {"base = 0x01900000", -EINVAL, 0},
                        {"owner-auth = relative", -EINVAL, 0},
                        {"owner-auth = /nonexistent", -ENOENT, 0},
        };
        struct error error = {0};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct ticket_rules rules = TICKET_RULES_NONE;

                scratch_write("tickets.conf", rows[i].text);
                CHECK_EQ(ticket_rules_open(NULL, &rules, &error), rows[i].wanted);
                CHECK_EQ(rules.base, rows[i].base ?: TICKET_BASE);
                ticket_rules_release(&rules);
        }
        scratch_write("tickets.conf", "");
}

static const struct tap_test tests[] = {
                {"PolicyCommandCode as the TPM computes it, 600 times", command_codes},
                {"PolicyPCR as the TPM computes it, 600 times", pcrs},
                {"PolicyOR as the TPM computes it, 600 times", ors},
                {"PolicyAuthorize as the TPM computes it, 600 times", authorizations},
                {"PolicyNV and the index's Name as the TPM computes them, 600 times",
                                nv_comparisons},
                {"a ticket opens for the predicted PCR 8, once", life},
                {"a locked ticket stays shut", a_locked_ticket_stays_shut},
                {"PCRs that change meanwhile", pcrs_that_change_meanwhile},
                {"swapped indices are refused", swapped_indices_are_refused},
                {"unfinished ones are cleaned", unfinished_ones_are_cleaned},
                {"a secret goes to no other index", a_secret_goes_nowhere_else},
                {"what there is instead is told apart", each_is_told_apart},
                {"limits of secret, name and slots", limits},
                {"a full TPM is left as it was", a_full_tpm_is_left_as_it_was},
                {"an owner with a password", an_owner_with_a_password},
                {"a ticket of a load opens when all of its hop was extended", a_ticket_of_a_load},
                {"tickets that wait go with the load", what_waits_goes_with_the_load},
                {"one that was dropped takes nobody with it", a_dropped_one_takes_nobody_with_it},
                {"exec misses what was asked for", exec_misses_what_was_asked_for},
                {"exec misses what became another", exec_misses_what_became_another},
                {"rules come from a file", rules_come_from_a_file},
};

int main(void)
{
        struct error error = {0};
        int r;

        if (!scratch_new())
                return 2;
        setenv("MKEXEC_CONFIG_DIR", scratch_root, 1);
        setenv("MKEXEC_RUN_DIR", scratch_path("run"), 1);
        if (tpm_esys_open(NULL, &tpm, &error) < 0 ||
                        tpm_nv_open(tpm, SPAN(NULL, 0), &nv, &error) < 0) {
                printf("Bail out! %s\n", error.text);
                return 1;
        }
        r = tap_main(tests, ARRAY_SIZE(tests));
        tpm_nv_close(nv);
        tpm_free(tpm);
        scratch_remove();
        return r;
}
