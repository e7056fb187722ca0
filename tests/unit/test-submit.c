/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/submit: which commands of a payload reach the TPM, and what it is told instead. */
#include "tests/unit/tcg2-fixture.h"

#define PW_AUTH       "\x00\x00\x00\x09\x40\x00\x00\x09\x00\x00\x01\x00\x00"
#define PW_AUTH_BYTES 13

/* A command with its size filled in. */
static void put_command(struct buf *b, bool sessions, uint32_t code, const void *rest, size_t size)
{
        buf_put_be16(b, sessions ? TPM2_ST_SESSIONS : TPM2_ST_NO_SESSIONS);
        buf_put_be32(b, (uint32_t)(10 + size));
        buf_put_be32(b, code);
        buf_put(b, rest, size);
}

/* Sends it; the response code, or 0xffff0000 with the EFI error's number. */
static uint32_t send(struct tcg2 *tcg2, struct span command, struct buf *response)
{
        EFI_STATUS status = tcg2_submit_command(tcg2, command, 1024, response);
        TPM2_RC rc;

        if (efi_error(status))
                return 0xffff0000 | (uint32_t)(status & 0xffff);
        return tpm_response_code(buf_span(response), &rc) ? rc : 0xffffffff;
}

static uint32_t send_code(
                struct tcg2 *tcg2, bool sessions, uint32_t code, const void *rest, size_t size)
{
        _cleanup_buf_ struct buf command = {}, response = {};

        put_command(&command, sessions, code, rest, size);
        return send(tcg2, buf_span(&command), &response);
}

#define NEEDS_TPM (0xffff0000 | (uint32_t)(EFI_DEVICE_ERROR & 0xffff))

static void test_submit_sizes(void)
{
        FAKE(fake);
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        _cleanup_buf_ struct buf command = {}, response = {};
        uint8_t large[4097] = {};

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        put_command(&command, false, TPM2_CC_ReadClock, NULL, 0);
        CHECK_EQ(tcg2_submit_command(tcg2, SPAN(NULL, 0), 100, &response), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_submit_command(tcg2, buf_span(&command), 0, &response),
                        EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_submit_command(tcg2, SPAN(large, 4097), 100, &response),
                        EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_submit_command(tcg2, buf_span(&command), 4097, &response),
                        EFI_INVALID_PARAMETER);
        CHECK_EQ(response.size, 0);
        CHECK_EQ(tcg2_submit_command(tcg2, buf_span(&command), 9, &response), EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(response.size, 0);
        CHECK_EQ(tcg2_submit_command(tcg2, buf_span(&command), 10, &response), EFI_SUCCESS);
        CHECK_EQ(response.size, 10);
        fake.broken = true;
        CHECK_EQ(tcg2_submit_command(tcg2, buf_span(&command), 10, &response), EFI_DEVICE_ERROR);
        CHECK(!tcg2_failure(tcg2)); /* nothing was measured, so nothing was lost */
}

static void test_submit_malformed(void)
{
        FAKE(fake);
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        static const struct {
                const char *bytes;
                size_t size;
                uint32_t rc;
        } bad[] = {
#define BYTES(text) text, sizeof(text) - 1
                        {BYTES("\x80"), TPM2_RC_COMMAND_SIZE},
                        {BYTES("\x80\x01\x00\x00\x00\x0a\x00\x00\x01"), TPM2_RC_COMMAND_SIZE},
                        {BYTES("\x80\x01\x00\x00\x00\x0b\x00\x00\x01\x81"), TPM2_RC_COMMAND_SIZE},
                        {BYTES("\x80\x01\x00\x00\x00\x0a\x00\x00\x01\x81\x00"),
                                        TPM2_RC_COMMAND_SIZE},
                        {BYTES("\x80\x03\x00\x00\x00\x0a\x00\x00\x01\x81"), TPM2_RC_BAD_TAG},
                        {BYTES("\x80\x01\x00\x00\x00\x0a\x20\x00\x01\x81"), TPM2_RC_COMMAND_CODE},
                        {BYTES("\x80\x01\x00\x00\x00\x0d\x00\x00\x01\x73\x81\x00\x00"), 0x19a},
                        {BYTES("\x80\x02\x00\x00\x00\x0a\x00\x00\x01\x81"), TPM2_RC_INSUFFICIENT},
                        {BYTES("\x80\x02\x00\x00\x00\x0e\x00\x00\x01\x81\x00\x00\x00\x00"),
                                        TPM2_RC_SIZE},
                        {BYTES("\x80\x02\x00\x00\x00\x0e\x00\x00\x01\x81\x00\x00\x00\x01"),
                                        TPM2_RC_SIZE},
                        {BYTES("\x80\x02\x00\x00\x00\x12\x00\x00\x01\x81\x00\x00\x00\x04\x40\x00"
                               "\x00\x09"),
                                        TPM2_RC_SIZE},
#undef BYTES
        };

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_buf_ struct buf response = {};

                CHECK_EQ(send(tcg2, SPAN(bad[i].bytes, bad[i].size), &response), bad[i].rc);
                CHECK_EQ(response.size, 10);
        }
        CHECK_EQ(fake.commands.size, 0);
}

/* Whatever changes the TPM must be refused by us: it never arrives there. */
static void test_submit_refused(void)
{
        static const uint32_t refused[] = {TPM2_CC_Startup, TPM2_CC_Shutdown, TPM2_CC_SelfTest,
                        TPM2_CC_Clear, TPM2_CC_ClearControl, TPM2_CC_HierarchyControl,
                        TPM2_CC_HierarchyChangeAuth, TPM2_CC_SetPrimaryPolicy, TPM2_CC_PCR_Reset,
                        TPM2_CC_PCR_Allocate, TPM2_CC_PCR_SetAuthPolicy, TPM2_CC_PCR_SetAuthValue,
                        TPM2_CC_EventSequenceComplete, TPM2_CC_NV_DefineSpace,
                        TPM2_CC_NV_UndefineSpace, TPM2_CC_NV_UndefineSpaceSpecial, TPM2_CC_NV_Write,
                        TPM2_CC_NV_Increment, TPM2_CC_NV_Extend, TPM2_CC_NV_SetBits,
                        TPM2_CC_NV_WriteLock, TPM2_CC_NV_GlobalWriteLock, TPM2_CC_NV_ReadLock,
                        TPM2_CC_NV_ChangeAuth, TPM2_CC_NV_Certify, TPM2_CC_EvictControl,
                        TPM2_CC_DictionaryAttackLockReset, TPM2_CC_DictionaryAttackParameters,
                        TPM2_CC_ClockSet, TPM2_CC_ClockRateAdjust, TPM2_CC_StirRandom,
                        TPM2_CC_Create, TPM2_CC_Quote, TPM2_CC_Sign, TPM2_CC_PP_Commands,
                        TPM2_CC_FieldUpgradeStart, TPM2_CC_ChangeEPS, TPM2_CC_ChangePPS,
                        TPM2_CC_SetCommandCodeAuditStatus, TPM2_CC_SetAlgorithmSet,
                        TPM2_CC_ObjectChangeAuth, TPM2_CC_Vendor_TCG_Test, 0, 0xffffffff};
        FAKE(fake);
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                CHECK_EQ(send_code(tcg2, false, refused[i], "\0\0\0\0", 4), TPM2_RC_COMMAND_CODE);
        CHECK_EQ(fake.commands.size, 0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_GetRandom, "\0\x10", 2), TPM2_RC_SUCCESS);
        CHECK_EQ(fake.commands.size, 4);
}

static void test_submit_pcr_read(void)
{
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks()); /* no TPM: as in predict */
        struct tcg2_hash_log_extend e = event(11, EV_IPL, "abc", "");
        _cleanup_buf_ struct buf command = {}, response = {};
        uint8_t wanted[32];

        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        /* sha384 isn't active; of sha1 PCR 0-8 only eight fit, so none of sha256 */
        put_command(&command, false, TPM2_CC_PCR_Read,
                        "\0\0\0\3\x00\x0c\3\xff\xff\xff\x00\x04\3\xff\1\0\x00\x0b\3\0\x08\0", 22);
        CHECK_EQ(send(tcg2, buf_span(&command), &response), TPM2_RC_SUCCESS);
        REQUIRE(response.size == 10 + 4 + 4 + 18 + 4 + 8 * 22);
        CHECK(memcmp(response.data + 10,
                              "\0\0\0\1\0\0\0\3\x00\x0c\3\0\0\0\x00\x04\3\xff\0\0"
                              "\x00\x0b\3\0\0\0\0\0\0\x08",
                              30) == 0);
        buf_release(&command);
        buf_release(&response);
        put_command(&command, false, TPM2_CC_PCR_Read, "\0\0\0\1\x00\x0b\3\0\x08\0", 10);
        CHECK_EQ(send(tcg2, buf_span(&command), &response), TPM2_RC_SUCCESS);
        REQUIRE(response.size == 10 + 4 + 4 + 6 + 4 + 2 + 32);
        REQUIRE(hex_decode(ABC_SHA256, wanted, 32));
        CHECK(memcmp(response.data + 30, wanted, 32) == 0);

        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PCR_Read, "\0\0\0\1\x00\x0b\3\0\x08", 9), 0x1da);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PCR_Read, "\0\0\0\1\x00\x0b\4\0\x08\0\0", 11),
                        0x1c4);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PCR_Read, "\0\0\0\1\x00\x2a\3\0\x08\0", 10), 0x1c3);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PCR_Read, "\0\0\0\1\x00\x0b\3\0\x08\0x", 11),
                        TPM2_RC_SIZE);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PCR_Read, "\xff\0\0\0", 4), 0x1d5);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_GetRandom, "\0\x10", 2), NEEDS_TPM);
}

/* PCR_Extend of PCR 9 with sha1 and sha256 digests of "abc". */
static void put_extend(struct buf *b, uint32_t pcr, const char *banks)
{
        buf_put_be32(b, pcr);
        buf_put(b, PW_AUTH, PW_AUTH_BYTES);
        buf_put_be32(b, (uint32_t)strlen(banks));
        for (; *banks; banks++) {
                const struct alg *alg = alg_by_name(*banks == '1'   ? "sha1"
                                                    : *banks == '2' ? "sha256"
                                                                    : "sha384");
                struct banks one = {1, {alg}};
                struct digests digests;

                if (hash_span(&one, SPAN("abc", 3), &digests) < 0)
                        exit(1);
                buf_put_be16(b, alg->id);
                buf_put(b, digests.d[0].bytes, alg->size);
        }
}

static uint32_t send_extend(struct tcg2 *tcg2, uint32_t pcr, const char *banks)
{
        _cleanup_buf_ struct buf rest = {};

        put_extend(&rest, pcr, banks);
        return send_code(tcg2, true, TPM2_CC_PCR_Extend, rest.data, rest.size);
}

static void test_submit_pcr_extend(void)
{
        FAKE(fake);
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        _cleanup_buf_ struct buf rest = {}, command = {}, response = {};
        const struct recorded_event *e;

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        put_extend(&rest, 9, "213"); /* any order; a digest for an inactive bank is ignored */
        put_command(&command, true, TPM2_CC_PCR_Extend, rest.data, rest.size);
        CHECK_EQ(send(tcg2, buf_span(&command), &response), TPM2_RC_SUCCESS);
        REQUIRE(response.size == 19);
        CHECK(memcmp(response.data, "\x80\x02\0\0\0\x13\0\0\0\0\0\0\0\0\0\0\1\0\0", 19) == 0);
        REQUIRE(tcg2_record(tcg2)->n == 1);
        e = &tcg2_record(tcg2)->events[0];
        CHECK_EQ(e->payload_pcr, 9);
        CHECK_EQ(e->type, EV_COMPACT_HASH);
        CHECK_EQ(e->source, RECORD_COMMAND);
        CHECK(pcr_is(tcg2, "sha256", 9, ABC_SHA256));
        CHECK(pcr_is(tcg2, "sha1", 9, ABC_SHA1));
        CHECK_EQ(n_events(tcg2_peek_log(tcg2, 2).bytes), 1); /* firmware's log doesn't tell of it */

        CHECK_EQ(send_extend(tcg2, TPM2_RH_NULL, "12"), TPM2_RC_SUCCESS); /* no action */
        CHECK_EQ(tcg2_record(tcg2)->n, 1);
        CHECK_EQ(send_extend(tcg2, 24, "12"), 0x184);
        CHECK_EQ(send_extend(tcg2, 9, "2"), 0x1c4);   /* sha1 would stay behind */
        CHECK_EQ(send_extend(tcg2, 9, "122"), 0x1c4); /* one bank twice */
        CHECK_EQ(send_extend(tcg2, 9, ""), 0x1c4);
        CHECK_EQ(tcg2_record(tcg2)->n, 1);
        CHECK_EQ(fake.commands.size, 0); /* the TPM never saw any of it */
}

static void test_submit_authorization(void)
{
        static const struct {
                const char *area;
                size_t size;
                uint32_t rc;
        } bad[] = {
                        {"\0\0\0\x09\x40\0\0\x09\0\0\x41\0\0", 13, 0x982}, /* attributes */
                        {"\0\0\0\x0a\x40\0\0\x09\0\1x\1\0\0", 14, 0x98f},  /* nonce */
                        {"\0\0\0\x0a\x40\0\0\x09\0\0\1\0\1x", 14, 0x9a2},  /* password */
                        {"\0\0\0\x09\x02\0\0\0\0\0\1\0\0", 13,
                                        0x918}, /* a session that isn't open */
        };
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_buf_ struct buf all = {}, rest = {};

                put_extend(&all, 9, "12");
                buf_put_be32(&rest, 9);
                buf_put(&rest, bad[i].area, bad[i].size);
                buf_put(&rest, all.data + 4 + PW_AUTH_BYTES, all.size - 4 - PW_AUTH_BYTES);
                CHECK_EQ(send_code(tcg2, true, TPM2_CC_PCR_Extend, rest.data, rest.size),
                                bad[i].rc);
        }
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PCR_Extend, "\0\0\0\x09\0\0\0\0", 8),
                        TPM2_RC_AUTH_MISSING);
        CHECK_EQ(tcg2_record(tcg2)->n, 0);
}

static void test_submit_pcr_event(void)
{
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());
        _cleanup_buf_ struct buf command = {}, response = {};

        put_command(&command, true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW_AUTH "\0\3abc", 22);
        CHECK_EQ(send(tcg2, buf_span(&command), &response), TPM2_RC_SUCCESS);
        CHECK_EQ(response.size, 10 + 4 + 4 + 22 + 34 + 5);
        CHECK(pcr_is(tcg2, "sha256", 9, ABC_SHA256));
        REQUIRE(tcg2_record(tcg2)->n == 1);
        CHECK(span_equal(tcg2_record(tcg2)->events[0].data, SPAN("abc", 3)));
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW_AUTH "\4\1abc", 22),
                        0x1d5);
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW_AUTH "\0\4abc", 22),
                        0x1da);
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW_AUTH "\0\2abc", 22),
                        TPM2_RC_SIZE);
        CHECK_EQ(tcg2_record(tcg2)->n, 1);
}

#define START_POLICY(type)               \
        "\x40\0\0\x07\x40\0\0\x07\0\x10" \
        "0123456789abcdef"               \
        "\0\0" type "\0\x10\0\x0b"
#define START_POLICY_BYTES 33

static void test_submit_handles(void)
{
        FAKE(fake);
        struct tcg2_config config = two_banks();
        struct tcg2 *tcg2;

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_StartAuthSession, START_POLICY("\1"),
                                 START_POLICY_BYTES),
                        TPM2_RC_SUCCESS); /* 0x03000000 */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_HashSequenceStart, "\0\0\0\x0b", 4),
                        0);                                               /* 80000001 */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_LoadExternal, "", 0), 0); /* 80000002 */
        CHECK_EQ(fake.n_open, 3);
        /* others' handles are not the payload's business */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_ReadPublic, "\x80\0\0\x09", 4), 0x910);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_FlushContext, "\x80\0\0\x09", 4), 0x1cb);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_FlushContext, "\x03\0\0\x01", 4), 0x1cb);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyAuthValue, "\x03\0\0\x01", 4), 0x910);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_ReadPublic, "\x81\0\0\x01", 4), 0); /* persistent */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_ReadPublic, "\x80\0\0\x02", 4), 0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyAuthValue, "\x03\0\0\0", 4), 0);
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_SequenceComplete,
                                 "\x80\0\0\x01" PW_AUTH "\0\0\x40\0\0\7", 23),
                        0);
        CHECK_EQ(fake.n_open, 2);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_SequenceUpdate, "\x80\0\0\x01", 4),
                        0x910); /* gone */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_FlushContext, "\x80\0\0\x02", 4), 0);
        CHECK_EQ(fake.n_open, 1);
        tcg2_end(tcg2); /* flushes the session */
        CHECK_EQ(fake.n_open, 0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_ReadClock, NULL, 0), NEEDS_TPM);
        tcg2_free(tcg2);
        CHECK_EQ(fake.n_open, 0);
}

/* A TPM counts wrong authorizations, and locks for everybody: the payload has one, and none for the
 * lockout hierarchy. */
static void test_submit_wrong_authorizations(void)
{
        static const char lockout[] = "\x40\0\0\x0a\x03\0\0\0" PW_AUTH "\0\0\0\0\0\0\0\0\0\0";
        static const char read[] = "\x01\xc0\0\x02\x01\xc0\0\x02" PW_AUTH "\0\4\0\0";
        FAKE(fake);
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_StartAuthSession, START_POLICY("\1"),
                                 START_POLICY_BYTES),
                        0);
        CHECK_EQ(fake.commands.size, 4);
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_PolicySecret, lockout, sizeof(lockout) - 1),
                        TPM2_RC_LOCKOUT);
        CHECK_EQ(fake.commands.size, 4); /* the TPM never saw it */
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_NV_Read, read, sizeof(read) - 1), 0);
        fake.rc = 0x9a2; /* TPM_RC_BAD_AUTH, session 1: isn't counted */
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_NV_Read, read, sizeof(read) - 1), 0x9a2);
        fake.rc = 0x98e; /* TPM_RC_AUTH_FAIL, session 1 */
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_NV_Read, read, sizeof(read) - 1), 0x98e);
        CHECK_EQ(fake.commands.size, 16);
        fake.rc = 0;
        CHECK_EQ(send_code(tcg2, true, TPM2_CC_NV_Read, read, sizeof(read) - 1), TPM2_RC_LOCKOUT);
        CHECK_EQ(fake.commands.size, 16);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_ReadClock, NULL, 0), 0); /* needs none */
}

static void test_submit_too_many_handles(void)
{
        FAKE(fake);
        struct tcg2_config config = two_banks();
        struct tcg2 *tcg2;

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        for (int i = 0; i < 64; i++)
                CHECK_EQ(send_code(tcg2, false, TPM2_CC_LoadExternal, "", 0), 0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_LoadExternal, "", 0), TPM2_RC_OBJECT_MEMORY);
        CHECK_EQ(fake.n_open, 64);
        tcg2_free(tcg2);
        CHECK_EQ(fake.n_open, 0);
}

/* PolicyPCR is sent with the digest of the view, so that real PCRs of the first boot don't open
 * anything. */
static void test_submit_policy_pcr(void)
{
        FAKE(fake);
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        uint8_t zero_digest[32];
        struct span sent;

        REQUIRE(hex_decode(SHA256_OF_32_ZEROS, zero_digest, 32));
        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_StartAuthSession, START_POLICY("\1"),
                                 START_POLICY_BYTES),
                        0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR, "\3\0\0\0\0\0\0\0\0\1\x00\x0b\3\0\x01\0",
                                 16),
                        0);
        sent = buf_span(&fake.last);
        REQUIRE(sent.size == 10 + 4 + 2 + 32 + 10);
        CHECK(memcmp(sent.data + 14, "\0\x20", 2) == 0);
        CHECK(memcmp(sent.data + 16, zero_digest, 32) == 0);
        CHECK(memcmp(sent.data + 48, "\0\0\0\1\x00\x0b\3\0\x01\0", 10) == 0);
        /* a digest that isn't the view's is refused, as the TPM would */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR,
                                 "\3\0\0\0\0\x20"
                                 "0123456789abcdef0123456789abcdef\0\0\0\1\x00\x0b\3\0\x01\0",
                                 48),
                        0x1c4);
        CHECK_EQ(fake.commands.size, 2 * 4);
        /* a trial session takes it */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_StartAuthSession, START_POLICY("\3"),
                                 START_POLICY_BYTES),
                        0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR,
                                 "\3\0\0\1\0\x20"
                                 "0123456789abcdef0123456789abcdef\0\0\0\1\x00\x0b\3\0\x01\0",
                                 48),
                        0);
        CHECK(memcmp(fake.last.data + 16, "0123456789abcdef", 16) == 0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR, "\3\0\0\0\0\0\0\0\0\1", 10), 0x2da);
}

/* Nor do PCRs of which the payload has made its view to read as the real ones. Here the TPM would
 * say yes to anything. */
static void test_submit_policy_pcr_of_a_mimic(void)
{
        static const char pcr_8[] = "\3\0\0\0\0\0\0\0\0\1\x00\x0b\3\0\x01\0",
                          trial[] = "\3\0\0\1\0\0\0\0\0\1\x00\x0b\3\0\x01\0",
                          pcr_9[] = "\3\0\0\0\0\0\0\0\0\1\x00\x0b\3\0\x02\0",
                          both[] = "\3\0\0\0\0\0\0\0\0\1\x00\x0b\3\0\x03\0";
        FAKE(fake);
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        size_t seen;

        config.tpm = &fake.tpm;
        tcg2 = new_tcg2(config);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_StartAuthSession, START_POLICY("\1"),
                                 START_POLICY_BYTES),
                        0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_StartAuthSession, START_POLICY("\3"),
                                 START_POLICY_BYTES),
                        0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR, pcr_8, 16), 0);
        CHECK_EQ(send_extend(tcg2, 8, "12"), 0);
        seen = fake.commands.size;
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR, pcr_8, 16), 0x1c4);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR, both, 16), 0x1c4);
        CHECK_EQ(fake.commands.size, seen); /* the TPM never saw it */
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR, trial, 16), 0);
        CHECK_EQ(send_code(tcg2, false, TPM2_CC_PolicyPCR, pcr_9, 16), 0);
}

static const struct tap_test tests[] = {
                {"SubmitCommand: sizes", test_submit_sizes},
                {"SubmitCommand: malformed", test_submit_malformed},
                {"SubmitCommand: what changes the TPM is refused", test_submit_refused},
                {"PCR_Read shows the view", test_submit_pcr_read},
                {"PCR_Extend is recorded", test_submit_pcr_extend},
                {"PCR authorization", test_submit_authorization},
                {"PCR_Event is recorded", test_submit_pcr_event},
                {"what the payload opens is flushed", test_submit_handles},
                {"wrong authorizations", test_submit_wrong_authorizations},
                {"too many open handles", test_submit_too_many_handles},
                {"PolicyPCR sees the view", test_submit_policy_pcr},
                {"PolicyPCR opens nothing to a mimic", test_submit_policy_pcr_of_a_mimic},
};
TAP_MAIN(tests)
