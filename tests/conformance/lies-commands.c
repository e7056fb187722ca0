/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lies to SubmitCommand. Which commands reach the TPM test_lies.py sees on the wire. */
#include "tests/conformance/liar.h"

enum {
        NO_SESSIONS = 0x8001,
        SESSIONS = 0x8002,
        RH_NULL = 0x40000007,
        RS_PW = 0x40000009,
        SHA256 = 11,
        RC_COMMAND_CODE = 0x143
};

static uint8_t command[4096], response[4096];
static uint32_t n;

/* ---- bytes of a command ---- */

static void put8(uint8_t value)
{
        command[n++] = value;
}

static void put16(uint16_t value)
{
        put8((uint8_t)(value >> 8));
        put8((uint8_t)value);
}

static void put32(uint32_t value)
{
        put16((uint16_t)(value >> 16));
        put16((uint16_t)value);
}

static void begin(uint16_t tag, uint32_t code)
{
        n = 0;
        put16(tag);
        put32(0);
        put32(code);
}

static uint32_t get32(const uint8_t *at)
{
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static status send(void)
{
        uint32_t size = n;

        n = 2;
        put32(size);
        n = size;
        return tcg2->submit_command(tcg2, size, command, sizeof(response), response);
}

/* The response code, ~0 if there was none. */
static uint32_t answer(void)
{
        return send() == SUCCESS ? get32(response + 6) : ~0u;
}

/* Empty password, as one session. */
static void put_password(void)
{
        put32(9);
        put32(RS_PW);
        put16(0);
        put8(0);
        put16(0);
}

/* ---- the whole space of command codes ---- */

/* TPM 2.0 Library, part 2, table 12: what docs/spec-map.md lets through. */
static const uint16_t allowed[] = {0x13c, 0x13e, 0x149, 0x14e, 0x151, 0x157, 0x15c, 0x15e, 0x160,
                0x161, 0x162, 0x165, 0x167, 0x169, 0x16a, 0x16b, 0x16c, 0x16d, 0x16e, 0x16f, 0x170,
                0x171, 0x172, 0x173, 0x176, 0x177, 0x178, 0x17a, 0x17b, 0x17c, 0x17d, 0x17e, 0x17f,
                0x180, 0x181, 0x182, 0x186, 0x187, 0x188, 0x189, 0x18a, 0x18c, 0x18f, 0x190, 0x192};

static bool is_allowed(uint32_t code)
{
        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
                if (allowed[i] == code)
                        return true;
        return false;
}

/* Everything outside of the list is as if the TPM didn't know it; what is in it gets as far as its
 * parameters, of which there are none. */
static void try_code(uint16_t tag, uint32_t code)
{
        uint32_t rc;

        begin(tag, code);
        rc = answer();
        if ((rc == RC_COMMAND_CODE) == is_allowed(code) || rc == ~0u)
                CHECK_EQ(code, rc);
}

static void every_code(void)
{
        for (uint32_t code = 0; code < 0x10000; code++)
                try_code(NO_SESSIONS, code);
}

static void every_vendor_code(void)
{
        for (uint32_t code = 0; code < 0x10000; code++)
                try_code(NO_SESSIONS, 1u << 29 | code);
}

/* With sessions, and those with a bit of TPMA_CC that doesn't belong into a command. */
static void code_attributes(void)
{
        for (uint32_t code = 0; code < 0x200; code++)
                if (!is_allowed(code))
                        try_code(SESSIONS, code);
        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
                for (int bit = 16; bit < 32; bit++)
                        try_code(NO_SESSIONS, 1u << bit | allowed[i]);
        try_code(NO_SESSIONS, 0xffffffff);
}

/* ---- sizes ---- */

static void get_properties(void)
{
        begin(NO_SESSIONS, 0x17a);
        put32(6); /* TPM_CAP_TPM_PROPERTIES */
        put32(0x100);
        put32(8);
}

static void response_larger(void)
{
        get_properties();
        CHECK_EQ(answer(), 0);
        get_properties();
        n = 2, put32(22), n = 22;
        for (uint32_t room = 1; room < 80; room++) {
                bs->set_mem(response, sizeof(response), 0x5a);
                CHECK_EQ(tcg2->submit_command(tcg2, 22, command, room, response), BUFFER_TOO_SMALL);
                CHECK_EQ(response[0], 0x5a);
        }
}

static void block_sizes(void)
{
        uint8_t *page = last_page();

        get_properties();
        n = 2, put32(22), n = 22;
        CHECK_EQ(tcg2->submit_command(tcg2, 0, command, 100, response), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 22, NULL, 100, response), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 22, command, 0, response), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 22, command, 100, NULL), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 4097, command, 100, response), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 22, command, 4097, response), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, ~0u, command, ~0u, response), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 22, page + 4090, 100, response), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 22, command, 100, page + 4000), INVALID_PARAMETER);
        CHECK_EQ(tcg2->submit_command(tcg2, 22, (void *)0x10, 100, response), INVALID_PARAMETER);
}

/* The size in the header against the size of the block; tags that don't exist. */
static void command_headers(void)
{
        static const uint32_t sizes[] = {0, 9, 10, 21, 23, 4096, 0xffffffff};

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                get_properties();
                n = 2, put32(sizes[i]);
                CHECK_EQ(tcg2->submit_command(tcg2, 22, command, 4096, response), SUCCESS);
                CHECK_EQ(get32(response + 6), 0x142); /* TPM_RC_COMMAND_SIZE */
        }
        for (uint32_t cut = 1; cut < 10; cut++) {
                CHECK_EQ(tcg2->submit_command(tcg2, cut, command, 4096, response), SUCCESS);
                CHECK(get32(response + 6) != 0);
        }
        for (uint32_t tag = 0; tag < 0x10000; tag += 0x101) {
                begin((uint16_t)tag, 0x17c);
                CHECK_EQ(answer(), 0x1e); /* TPM_RC_BAD_TAG */
        }
}

/* The area of sessions, and its size. */
static void session_areas(void)
{
        static const uint32_t sizes[] = {0, 8, 10, 28, 1000, 0x7fffffff, 0xffffffff};

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                begin(SESSIONS, 0x17b); /* GetRandom, which may have sessions */
                put32(sizes[i]);
                put32(RS_PW);
                put16(0);
                put8(0);
                put16(0);
                put16(8);
                CHECK(answer() != 0);
        }
        begin(SESSIONS, 0x17b);
        put32(9);
        put32(0x02000000); /* somebody's session */
        put16(0);
        put8(1);
        put16(0);
        put16(8);
        CHECK_EQ(answer(), 0x918); /* TPM_RC_REFERENCE_S0 */
}

/* ---- what is left open ---- */

static uint32_t start_session(uint8_t type)
{
        begin(NO_SESSIONS, 0x176);
        put32(RH_NULL);
        put32(RH_NULL);
        put16(16);
        for (int i = 0; i < 16; i++)
                put8((uint8_t)i);
        put16(0);
        put8(type);
        put16(0x10); /* TPM_ALG_NULL */
        put16(SHA256);
        return answer() == 0 ? get32(response + 10) : 0;
}

static void sessions_left_open(void)
{
        CHECK(start_session(1) >> 24 == 3);
        CHECK(start_session(0) >> 24 == 2);
        for (int i = 0; i < 200; i++)
                start_session(1); /* until the TPM has no more */
        CHECK_EQ(start_session(1), 0);
}

static void objects_left_open(void)
{
        int opened = 0;

        for (int i = 0; i < 100; i++) {
                begin(NO_SESSIONS, 0x186); /* HashSequenceStart */
                put16(0);
                put16(SHA256);
                opened += answer() == 0;
        }
        CHECK(opened > 0 && opened < 100);
}

/* The runner has left an object at 0x80000000 and a session at 0x03000000 that aren't ours. */
static void foreign_handles(void)
{
        static const uint32_t handles[] = {0x80000000, 0x03000000, 0x02000000, 0x80ffffff};

        for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
                begin(NO_SESSIONS, 0x165); /* FlushContext */
                put32(handles[i]);
                CHECK_EQ(answer(), 0x1cb); /* TPM_RC_HANDLE, parameter 1 */
                begin(NO_SESSIONS, 0x162); /* ContextSave */
                put32(handles[i]);
                CHECK_EQ(answer(), 0x910); /* TPM_RC_REFERENCE_H0 */
                begin(NO_SESSIONS, 0x173); /* ReadPublic */
                put32(handles[i]);
                CHECK_EQ(answer(), 0x910);
                begin(NO_SESSIONS, 0x180); /* PolicyRestart */
                put32(handles[i]);
                CHECK_EQ(answer(), 0x910);
        }
        begin(NO_SESSIONS, 0x165);
        put32(0x81000001); /* persistent: nobody's to flush */
        CHECK_EQ(answer(), 0x1cb);
}

/* ---- PCRs ---- */

static void put_extend(uint32_t pcr, uint32_t n_banks)
{
        static const struct {
                uint16_t alg, size;
        } banks[] = {{4, 20}, {11, 32}, {12, 48}, {13, 64}};

        begin(SESSIONS, 0x182);
        put32(pcr);
        put_password();
        put32(n_banks);
        for (uint32_t i = 0; i < n_banks && i < 4; i++) {
                put16(banks[i].alg);
                for (int k = 0; k < banks[i].size; k++)
                        put8(0x77);
        }
}

/* Recorded, in the payload's view, and nowhere else. */
static void extend_by_command(void)
{
        put_extend(12, 4);
        CHECK_EQ(answer(), 0);
        put_extend(12, 1); /* a bank is left out */
        CHECK(answer() != 0);
        put_extend(24, 4);
        CHECK(answer() != 0);
        put_extend(0x40000001, 4);
        CHECK(answer() != 0);
        put_extend(12, 0xffffffff);
        CHECK(answer() != 0);
}

static void put_event_command(uint32_t pcr, const void *data, uint16_t size)
{
        begin(SESSIONS, 0x13c);
        put32(pcr);
        put_password();
        put16(size);
        for (int i = 0; i < size; i++)
                put8(((const uint8_t *)data)[i]);
}

/* PCR_Event of a close event's bytes. */
static void imitate_by_command(void)
{
        put_event_command(8, "\xa6\xf0\xeb\xc9\x08\0\0\0\x01\0\0\0\0\0\0\0", 16);
        send();
        CHECK(!"still here");
}

/* PCR_Read shows what the payload's own measurements make, from zero. */
static void read_view(void)
{
        begin(NO_SESSIONS, 0x17e);
        put32(1);
        put16(SHA256);
        put8(3);
        put8(0), put8(2), put8(0); /* PCR 9, which the runner has extended */
        CHECK_EQ(answer(), 0);
        for (int i = 0; i < 32; i++) /* counter, selection, number, size, digest */
                CHECK_EQ(response[10 + 4 + 10 + 4 + 2 + i], 0);
}

static uint32_t policy_pcr_9(uint32_t session)
{
        begin(NO_SESSIONS, 0x17f);
        put32(session);
        put16(0);
        put32(1);
        put16(SHA256);
        put8(3);
        put8(0), put8(2), put8(0);
        return answer();
}

/* The payload measures what the first boot has measured: its view of PCR 9 then reads as the real
 * one, and still opens nothing that is sealed to it. */
static void mimic_first_boot(void)
{
        uint32_t session = start_session(1);

        CHECK_EQ(policy_pcr_9(session), 0x1c4); /* TPM_RC_VALUE, parameter 1 */
        CHECK_EQ(measure(0, 9, EV_IPL, "first boot", 10), SUCCESS);
        CHECK_EQ(policy_pcr_9(session), 0x1c4);
}

/* Signs and attests nothing: a quote would tell of the real PCRs. Writes nothing: everything with
 * the handles and the authorization that it wants. */
static void whole_commands(void)
{
        static const struct {
                uint32_t code, handle;
        } rows[] = {
                        {0x120, 0x4000000c}, /* EvictControl */
                        {0x121, 0x4000000c}, /* HierarchyControl */
                        {0x126, 0x4000000c}, /* Clear */
                        {0x127, 0x4000000c}, /* ClearControl */
                        {0x12a, 0x40000001}, /* NV_DefineSpace */
                        {0x12b, 0x4000000c}, /* PCR_Allocate */
                        {0x131, 0x40000001}, /* CreatePrimary */
                        {0x134, 0x40000001}, /* NV_Increment */
                        {0x136, 0x40000001}, /* NV_Extend */
                        {0x137, 0x40000001}, /* NV_Write */
                        {0x138, 0x40000001}, /* NV_WriteLock */
                        {0x139, 0x4000000a}, /* DictionaryAttackLockReset */
                        {0x13d, 16},         /* PCR_Reset */
                        {0x14f, 0x40000001}, /* NV_ReadLock */
                        {0x158, 0x40000007}, /* Quote */
                        {0x185, 0x80000000}, /* EventSequenceComplete */
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                begin(SESSIONS, rows[i].code);
                put32(rows[i].handle);
                put_password();
                for (int k = 0; k < 16; k++)
                        put32(0);
                CHECK_EQ(answer(), RC_COMMAND_CODE);
        }
        begin(NO_SESSIONS, 0x145); /* Shutdown */
        put16(0);
        CHECK_EQ(answer(), RC_COMMAND_CODE);
        begin(NO_SESSIONS, 0x144); /* Startup */
        put16(0);
        CHECK_EQ(answer(), RC_COMMAND_CODE);
}

const struct lie command_lies[] = {
                {"every-code", every_code},
                {"every-vendor-code", every_vendor_code},
                {"code-attributes", code_attributes},
                {"response-larger", response_larger},
                {"block-sizes", block_sizes},
                {"command-headers", command_headers},
                {"session-areas", session_areas},
                {"sessions-left-open", sessions_left_open},
                {"objects-left-open", objects_left_open},
                {"foreign-handles", foreign_handles},
                {"extend-by-command", extend_by_command},
                {"imitate-by-command", imitate_by_command},
                {"read-view", read_view},
                {"mimic-first-boot", mimic_first_boot},
                {"whole-commands", whole_commands},
                {0},
};
