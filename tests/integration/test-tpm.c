/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/tpm-esys against swtpm, and the answers that a payload gets from its view of the PCRs
 * against those that swtpm gives to the same bytes. Started by test-tpm.sh with $TPM2TOOLS_TCTI and
 * $SWTPM_PID; the argument is the number of banks that are active. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tcg2/protocol.h"
#include "tcg2/tpm-command.h"
#include "tests/unit/tap.h"

DEFINE_CLEANUP(struct tcg2 *, tcg2_free)
#define _cleanup_tcg2_ __attribute__((cleanup(tcg2_freep)))
#define _cleanup_tpm_  __attribute__((cleanup(tpm_freep)))

static size_t n_banks; /* wanted */

static struct tpm *open_tpm(void)
{
        struct error error = {};
        struct tpm *tpm = NULL;

        if (tpm_esys_open(NULL, &tpm, &error) < 0) {
                printf("Bail out! %s\n", error.text);
                exit(1);
        }
        return tpm;
}

static struct banks active(struct tpm *tpm)
{
        struct banks banks = {};
        struct error error = {};

        if (tpm_active_banks(tpm, &banks, &error) < 0)
                printf("# %s\n", error.text);
        return banks;
}

static void test_open(void)
{
        struct tpm *tpm = NULL;
        struct error error = {};

        CHECK_EQ(tpm_esys_open("device:/nonexistent/tpm", &tpm, &error), -ENODEV);
        CHECK(strstr(error.text, "/nonexistent/tpm"));
        CHECK_EQ(tpm_esys_open("swtpm:path=/nonexistent/sock", &tpm, &error), -ENODEV);
        CHECK(strstr(error.text, "/nonexistent/sock"));
        CHECK_EQ(tpm_esys_open("nonsense:x=y", &tpm, &error), -ENODEV);
        CHECK(!tpm);
}

static void test_properties(void)
{
        _cleanup_tpm_ struct tpm *tpm = open_tpm();
        struct tpm_properties p = {};
        struct error error = {};

        REQUIRE(tpm_properties(tpm, &p, &error) == 0);
        CHECK_EQ(p.manufacturer, 0x49424d00); /* libtpms says IBM */
        CHECK_EQ(p.n_pcrs, 24);
        CHECK_EQ(p.max_command_bytes, 4096);
        CHECK_EQ(p.max_response_bytes, 4096);
        CHECK(p.firmware_version != 0);
        CHECK(tpm_esys_context(tpm) != NULL);
}

static void test_banks_and_reset_values(void)
{
        _cleanup_tpm_ struct tpm *tpm = open_tpm();
        struct banks banks = active(tpm);
        struct replay pcrs, wanted;
        struct error error = {};

        CHECK_EQ(banks.n, n_banks);
        CHECK(banks_have(&banks, TPM_ALG_SHA256));
        REQUIRE(tpm_pcr_read(tpm, &banks, TPM_ALL_PCRS, &pcrs, &error) == 0);
        replay_start(&wanted, &banks);
        for (size_t b = 0; b < banks.n; b++) {
                CHECK_EQ(pcrs.measured[b], TPM_ALL_PCRS);
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        CHECK(memcmp(pcrs.pcr[b][pcr].bytes, wanted.pcr[b][pcr].bytes,
                                              banks.alg[b]->size) == 0);
        }
        REQUIRE(tpm_pcr_read(tpm, &banks, 1u << 8 | 1u << 11, &pcrs, &error) == 0);
        CHECK_EQ(pcrs.measured[0], 1u << 8 | 1u << 11);
        if (n_banks == 1) { /* the bank is known to the TPM, but not active */
                struct banks other = {1, {alg_by_name("sha384")}};

                CHECK_EQ(tpm_pcr_read(tpm, &other, 1u << 8, &pcrs, &error), -ENXIO);
        }
}

/* One extend in all banks, compared with software and with what tpm2_pcrread says. */
static void test_extend(void)
{
        struct tpm *tpm = open_tpm();
        struct banks banks = active(tpm);
        _cleanup_buf_ struct buf tool = {};
        struct digests digests;
        struct replay before, after;
        struct error error = {};
        struct digest value;
        char command[200];

        REQUIRE(hash_span(&banks, SPAN("abc", 3), &digests) == 0);
        REQUIRE(tpm_pcr_read(tpm, &banks, TPM_ALL_PCRS, &before, &error) == 0);
        REQUIRE(tpm_pcr_extend(tpm, 8, &digests, &error) == 0);
        REQUIRE(tpm_pcr_read(tpm, &banks, TPM_ALL_PCRS, &after, &error) == 0);
        for (size_t b = 0; b < banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        value = before.pcr[b][pcr];
                        if (pcr == 8)
                                REQUIRE(digest_extend(&value, &digests.d[b]) == 0);
                        CHECK(memcmp(value.bytes, after.pcr[b][pcr].bytes, value.alg->size) == 0);
                }
        CHECK_EQ(tpm_pcr_extend(tpm, 24, &digests, &error), -EINVAL);
        CHECK_EQ(tpm_pcr_extend(tpm, 17, &digests, &error),
                        -EREMOTEIO); /* needs another locality */
        CHECK(strstr(error.text, "PCR 17"));
        tpm_free(tpm); /* swtpm serves one at a time */

        snprintf(command, sizeof(command), "tpm2_pcrread -Q -o pcr8 sha256:8");
        REQUIRE(system(command) == 0);
        REQUIRE(buf_read_file("pcr8", 100, &tool, &error) == 0);
        REQUIRE(tool.size == 32);
        CHECK(memcmp(tool.data, after.pcr[replay_bank(&after, TPM_ALG_SHA256)][8].bytes, 32) == 0);
}

/* ---- the view's answers are a TPM's ---- */

static const struct raw {
        const char *what;
        bool sessions;
        uint32_t code;
        const char *rest;
        size_t size;
} raws[] = {
#define RAW(what, sessions, code, rest)                      \
        {                                                    \
                what, sessions, code, rest, sizeof(rest) - 1 \
        }
#define PW "\x00\x00\x00\x09\x40\x00\x00\x09\x00\x00\x01\x00\x00"
                RAW("read sha256 0,7,11,17,23", false, TPM2_CC_PCR_Read,
                                "\0\0\0\1\0\x0b\3\x81\x08\x82"),
                RAW("read more than eight", false, TPM2_CC_PCR_Read,
                                "\0\0\0\1\0\x0b\3\xff\xff\xff"),
                RAW("read two banks", false, TPM2_CC_PCR_Read,
                                "\0\0\0\2\0\x0b\3\x3f\0\0\0\x0c\3\x0f\0\0"),
                RAW("read nothing", false, TPM2_CC_PCR_Read, "\0\0\0\0"),
                RAW("read no PCRs", false, TPM2_CC_PCR_Read, "\0\0\0\1\0\x0b\3\0\0\0"),
                RAW("read: cut off", false, TPM2_CC_PCR_Read, "\0\0\0\1\0\x0b\3\0\0"),
                RAW("read: no count", false, TPM2_CC_PCR_Read, "\0\0\0"),
                RAW("read: unknown bank", false, TPM2_CC_PCR_Read, "\0\0\0\1\0\x77\3\0\0\0"),
                RAW("read: select size 4", false, TPM2_CC_PCR_Read, "\0\0\0\1\0\x0b\4\0\0\0\0"),
                RAW("read: select size 2", false, TPM2_CC_PCR_Read, "\0\0\0\1\0\x0b\2\0\0"),
                RAW("read: trailing", false, TPM2_CC_PCR_Read, "\0\0\0\1\0\x0b\3\1\0\0\0"),
                RAW("read: count 17", false, TPM2_CC_PCR_Read, "\0\0\0\x11"),
                RAW("event", true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW "\0\3abc"),
                RAW("event of nothing", true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW "\0\0"),
                RAW("event to no PCR", true, TPM2_CC_PCR_Event, "\x40\0\0\7" PW "\0\3abc"),
                RAW("read after events", false, TPM2_CC_PCR_Read, "\0\0\0\1\0\x0b\3\0\x02\0"),
                RAW("event: too long", true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW "\4\1abc"),
                RAW("event: cut off", true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW "\0\4abc"),
                RAW("event: trailing", true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW "\0\2abc"),
                RAW("event: no sessions", false, TPM2_CC_PCR_Event, "\0\0\0\x09\0\3abc"),
                RAW("event: PCR 24", true, TPM2_CC_PCR_Event, "\0\0\0\x18" PW "\0\3abc"),
                RAW("event: owner's handle", true, TPM2_CC_PCR_Event, "\x40\0\0\1" PW "\0\3abc"),
                RAW("event: password", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\x0a\x40\0\0\x09\0\0\1\0\1x\0\3abc"),
                RAW("event: nonce", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\x0a\x40\0\0\x09\0\1x\1\0\0\0\3abc"),
                RAW("event: session attributes", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\x09\x40\0\0\x09\0\0\x21\0\0\0\3abc"),
                RAW("event: session that isn't open", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\x09\2\0\0\x01\0\0\1\0\0\0\3abc"),
                RAW("event: no session in the area", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\0\0\3abc"),
                RAW("event: area cut off", true, TPM2_CC_PCR_Event, "\0\0\0\x09\0\0\x09\x40"),
                RAW("event: no handle", true, TPM2_CC_PCR_Event, "\0\0\0"),
                RAW("extend: unknown bank", true, TPM2_CC_PCR_Extend,
                                "\0\0\0\x09" PW "\0\0\0\1\0\x77"),
                RAW("extend: cut off", true, TPM2_CC_PCR_Extend,
                                "\0\0\0\x09" PW "\0\0\0\1\0\x0b\1\2"),
                RAW("extend: no count", true, TPM2_CC_PCR_Extend, "\0\0\0\x09" PW "\0\0"),
                RAW("extend: count 17", true, TPM2_CC_PCR_Extend, "\0\0\0\x09" PW "\0\0\0\x11"),
                RAW("extend: no sessions", false, TPM2_CC_PCR_Extend, "\0\0\0\x09\0\0\0\0"),
                RAW("unknown command", false, 0x20000001, ""),
                RAW("code 0", false, 0, ""),
                RAW("flush a handle that isn't open", false, TPM2_CC_FlushContext, "\x80\0\0\x01"),
                RAW("flush a session that isn't open", false, TPM2_CC_FlushContext, "\3\0\0\x07"),
                RAW("flush: cut off", false, TPM2_CC_FlushContext, "\x80\0\0"),
                RAW("read public of a handle that isn't open", false, TPM2_CC_ReadPublic,
                                "\x80\0\0\1"),
                RAW("event: no area", true, TPM2_CC_PCR_Event, "\0\0\0\x09\0\0"),
                RAW("event: session cut off", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\x09\x40\0\0\x09\0\x20\1\0\0\0\3abc"),
                RAW("event: four sessions", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\x24\x40\0\0\x09\0\0\1\0\0\x40\0\0\x09\0\0\1\0\0"
                                "\x40\0\0\x09\0\0\1\0\0\x40\0\0\x09\0\0\1\0\0\0\3abc"),
                RAW("event: two sessions", true, TPM2_CC_PCR_Event,
                                "\0\0\0\x09\0\0\0\x12\x40\0\0\x09\0\0\1\0\0\x40\0\0\x09\0\0\1\0\0"
                                "\0\3abc"),
                RAW("read with a password session", true, TPM2_CC_PCR_Read,
                                "\0\0\0\x09\x40\0\0\x09\0\0\1\0\0\0\0\0\1\0\x0b\3\1\0\0"),
                RAW("flush with a password session", true, TPM2_CC_FlushContext,
                                "\0\0\0\x09\x40\0\0\x09\0\0\1\0\0\x80\0\0\1"),
                RAW("policy on a session that isn't open", false, TPM2_CC_PolicyAuthValue,
                                "\3\0\0\7"),
};

static void put_command(struct buf *b, bool sessions, uint32_t code, const void *rest, size_t size)
{
        buf_put_be16(b, sessions ? TPM2_ST_SESSIONS : TPM2_ST_NO_SESSIONS);
        buf_put_be32(b, (uint32_t)(10 + size));
        buf_put_be32(b, code);
        buf_put(b, rest, size);
}

/* Only the update counter isn't comparable: ours starts with the payload. */
static void hide_counter(struct buf *response, uint32_t code)
{
        if (code == TPM2_CC_PCR_Read && response->size > 14)
                memset(response->data + 10, 0, 4);
}

static void print_hex(const char *what, const struct buf *b)
{
        printf("# %s:", what);
        for (size_t i = 0; i < b->size && i < 60; i++)
                printf(" %02x", b->data[i]);
        printf("\n");
}

static void test_same_answers(void)
{
        _cleanup_tpm_ struct tpm *tpm = open_tpm();
        struct tcg2_config config;
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        size_t equal = 0;

        REQUIRE(tcg2_config_from_tpm(tpm, &config, NULL) == 0);
        CHECK_EQ(config.supported_banks, 0xf);
        CHECK_EQ(config.banks.n, n_banks);
        config.tpm = NULL; /* all from the view */
        REQUIRE(tcg2_new(&config, &tcg2, NULL) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(raws); i++) {
                const struct raw *raw = &raws[i];
                _cleanup_buf_ struct buf command = {}, ours = {}, theirs = {};

                put_command(&command, raw->sessions, raw->code, raw->rest, raw->size);
                CHECK_EQ(tcg2_submit_command(tcg2, buf_span(&command), 4096, &ours), EFI_SUCCESS);
                CHECK_EQ(tpm_transmit(tpm, buf_span(&command), &theirs, NULL), 0);
                hide_counter(&ours, raw->code);
                hide_counter(&theirs, raw->code);
                if (span_equal(buf_span(&ours), buf_span(&theirs))) {
                        equal++;
                        continue;
                }
                printf("# %s\n", raw->what);
                print_hex("ours ", &ours);
                print_hex("swtpm", &theirs);
        }
        CHECK_EQ(equal, ARRAY_SIZE(raws));
        CHECK_EQ(tcg2_record(tcg2)->n, 2);
}

/* ---- what a payload can and can't do with the real TPM ---- */

static TPM2_RC submit(struct tcg2 *tcg2, bool sessions, uint32_t code, const void *rest,
                size_t size, uint32_t *handle)
{
        _cleanup_buf_ struct buf command = {}, response = {};
        struct cursor c;
        TPM2_RC rc;

        put_command(&command, sessions, code, rest, size);
        if (tcg2_submit_command(tcg2, buf_span(&command), 4096, &response) != EFI_SUCCESS ||
                        !tpm_response_code(buf_span(&response), &rc))
                return 0xffffffff;
        c = CURSOR(buf_span(&response));
        if (handle && rc == 0 && (!cursor_skip(&c, 10) || !cursor_be32(&c, handle)))
                return 0xffffffff;
        return rc;
}

/* Handles of a type that are loaded in the TPM. */
static uint32_t count_handles(struct tpm *tpm, uint32_t first)
{
        _cleanup_buf_ struct buf command = {}, rest = {}, response = {};
        uint32_t count = UINT32_MAX;
        struct cursor c;

        buf_put_be32(&rest, TPM2_CAP_HANDLES);
        buf_put_be32(&rest, first);
        buf_put_be32(&rest, 100);
        put_command(&command, false, TPM2_CC_GetCapability, rest.data, rest.size);
        if (tpm_transmit(tpm, buf_span(&command), &response, NULL) < 0)
                return UINT32_MAX;
        c = CURSOR(buf_span(&response));
        cursor_skip(&c, 10 + 1 + 4);
        cursor_be32(&c, &count);
        return count;
}

static const char start_policy[] = "\x40\0\0\x07\x40\0\0\x07\0\x10"
                                   "0123456789abcdef\0\0\1\0\x10\0\x0b";

/* PolicyPCR over the PCRs of mask, 8 to 15. */
static uint32_t policy_pcrs(struct tcg2 *tcg2, uint32_t session, uint8_t mask)
{
        _cleanup_buf_ struct buf rest = {};

        buf_put_be32(&rest, session);
        buf_put_be16(&rest, 0);
        buf_put(&rest, "\0\0\0\1\0\x0b\3\0", 8);
        buf_put_u8(&rest, mask);
        buf_put_u8(&rest, 0);
        return submit(tcg2, false, TPM2_CC_PolicyPCR, rest.data, rest.size, NULL);
}

/* PCR 8 of the TPM holds "abc" since test_extend: the first boot's, as it were. */
static void test_payload_and_tpm(void)
{
        _cleanup_tpm_ struct tpm *tpm = open_tpm();
        struct tcg2_config config = {.tpm = tpm, .banks = active(tpm)};
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        struct tcg2_hash_log_extend abc = {.data = SPAN("abc", 3),
                        .size = 18,
                        .header_size = 14,
                        .pcr = 8,
                        .type = 13};
        uint32_t session = 0, sequence = 0;
        struct replay before, after;

        REQUIRE(tpm_pcr_read(tpm, &config.banks, TPM_ALL_PCRS, &before, NULL) == 0);
        REQUIRE(tcg2_new(&config, &tcg2, NULL) == 0);
        CHECK_EQ(submit(tcg2, false, TPM2_CC_GetRandom, "\0\x10", 2, NULL), 0);
        CHECK_EQ(submit(tcg2, false, TPM2_CC_StartAuthSession, start_policy,
                                 sizeof(start_policy) - 1, &session),
                        0);
        CHECK_EQ(session >> 24, 3);
        CHECK_EQ(submit(tcg2, false, TPM2_CC_HashSequenceStart, "\0\0\0\x0b", 4, &sequence), 0);
        CHECK_EQ(count_handles(tpm, 0x80000000), 1);
        CHECK_EQ(count_handles(tpm, 0x02000000), 1);

        /* what was sealed to the first boot's PCR 8 stays shut, also to a payload whose view of
         * it reads the same; PCR 15 is as in the first boot without its help */
        CHECK_EQ(policy_pcrs(tcg2, session, 1), RC_AT_PARAMETER(TPM2_RC_VALUE, 1));
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &abc), EFI_SUCCESS);
        CHECK_EQ(policy_pcrs(tcg2, session, 1), RC_AT_PARAMETER(TPM2_RC_VALUE, 1));
        CHECK_EQ(policy_pcrs(tcg2, session, 0x81), RC_AT_PARAMETER(TPM2_RC_VALUE, 1));
        CHECK_EQ(policy_pcrs(tcg2, session, 0x80), 0);

        CHECK_EQ(submit(tcg2, true, TPM2_CC_Clear, "\x40\0\0\x0c\0\0\0\x09\x40\0\0\x09\0\0\1\0\0",
                                 17, NULL),
                        TPM2_RC_COMMAND_CODE);
        CHECK_EQ(submit(tcg2, true, TPM2_CC_PCR_Event, "\0\0\0\x09" PW "\0\3abc", 22, NULL), 0);
        tcg2_end(tcg2);
        CHECK_EQ(count_handles(tpm, 0x80000000), 0);
        CHECK_EQ(count_handles(tpm, 0x02000000), 0);
        REQUIRE(tpm_pcr_read(tpm, &config.banks, TPM_ALL_PCRS, &after, NULL) == 0);
        CHECK(memcmp(before.pcr, after.pcr, sizeof(before.pcr)) == 0);
}

static void test_lost_tpm(void)
{
        _cleanup_tpm_ struct tpm *tpm = open_tpm();
        struct banks banks = active(tpm);
        const char *pid = getenv("SWTPM_PID");
        struct digests digests;
        struct error error = {};
        struct replay pcrs;

        REQUIRE(pid && atoi(pid) > 1 && kill(atoi(pid), SIGKILL) == 0);
        usleep(200000);
        REQUIRE(hash_span(&banks, SPAN("abc", 3), &digests) == 0);
        CHECK_EQ(tpm_pcr_extend(tpm, 8, &digests, &error), -EIO);
        CHECK(strstr(error.text, "PCR 8"));
        CHECK_EQ(tpm_pcr_read(tpm, &banks, 1u << 8, &pcrs, &error), -EIO);
}

static const struct tap_test tests[] = {
                {"no TPM where it is said to be", test_open},
                {"properties", test_properties},
                {"banks and reset values", test_banks_and_reset_values},
                {"the view answers as swtpm does", test_same_answers},
                {"extend in all banks", test_extend},
                {"payload: policies, flushing, refusals", test_payload_and_tpm},
                {"a TPM that went away", test_lost_tpm},
};

int main(int argc, char **argv)
{
        if (argc != 2)
                return 2;
        signal(SIGPIPE, SIG_IGN);
        n_banks = strtoul(argv[1], NULL, 10);
        return tap_main(tests, ARRAY_SIZE(tests));
}
