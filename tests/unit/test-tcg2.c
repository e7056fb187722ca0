/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/: the protocol's checks and status codes, what is recorded, what the payload sees, and which
 * commands reach the TPM (a made-up one that keeps a list). Expected digests were computed with
 * Python's hashlib. */
#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "eventlog/hop.h"
#include "eventlog/parse.h"
#include "tcg2/protocol.h"
#include "tcg2/register-map.h"
#include "tcg2/tpm-command.h"
#include "tests/unit/tap.h"

/* A PCR of zeros extended with the hash of "abc", then with that of nothing; one of ones with that
 * of "abc". */
#define ABC_SHA256         "589f9ffed4c477966bfb8d41f37895b08c69047df8f911d6f3b57fbe08faee8d"
#define ABC_EMPTY_SHA256   "ef6a5fdbba9e14e07fa74d23b7ae639d146ce41635cf3fe44315988c4cbd0caf"
#define ONES_ABC_SHA256    "ded4cee9953bb84c83278424b1e8256ee3483023f4ae5730affa51aad0063efb"
#define ABC_SHA1           "ccd5bd41458de644ac34a2478b58ff819bef5acf"
#define SHA256_OF_32_ZEROS "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"

DEFINE_CLEANUP(struct tcg2 *, tcg2_free)
#define _cleanup_tcg2_ __attribute__((cleanup(tcg2_freep)))

/* ---- a TPM that answers a few commands and remembers all ---- */

struct fake {
        struct tpm tpm;
        struct buf commands; /* their codes, 4 bytes each, little-endian */
        uint32_t n_open;     /* handles given out and not flushed */
        uint32_t next;
        uint32_t rc; /* what all commands get */
        bool broken;
        struct buf last;
};

static uint32_t code_of(struct span command)
{
        struct cursor c = CURSOR(command);
        uint32_t code = 0;

        cursor_skip(&c, 6);
        cursor_be32(&c, &code);
        return code;
}

static int fake_transmit(
                struct tpm *tpm, struct span command, struct buf *response, struct error *error)
{
        struct fake *fake = (struct fake *)tpm;
        uint32_t code = code_of(command);
        bool opens = code == TPM2_CC_StartAuthSession || code == TPM2_CC_HashSequenceStart ||
                     code == TPM2_CC_LoadExternal;

        if (fake->broken)
                return error_set(error, EIO, "broken");
        buf_put_u32(&fake->commands, code);
        buf_release(&fake->last);
        buf_put_span(&fake->last, command);
        if (fake->rc) {
                tpm_response_error(response, fake->rc);
                return 0;
        }
        if (code == TPM2_CC_FlushContext || code == TPM2_CC_SequenceComplete)
                fake->n_open--;
        buf_put_be16(response, TPM2_ST_NO_SESSIONS);
        buf_put_be32(response, opens ? 14 : 10);
        buf_put_be32(response, TPM2_RC_SUCCESS);
        if (opens) {
                uint32_t type = code == TPM2_CC_StartAuthSession ? 0x03000000u : 0x80000000u;

                buf_put_be32(response, type | fake->next++);
                fake->n_open++;
        }
        return 0;
}

static void fake_free(struct tpm *tpm)
{
}

static const struct tpm_ops fake_ops = {.transmit = fake_transmit, .free = fake_free};

static void fake_release(struct fake *fake)
{
        buf_release(&fake->commands);
        buf_release(&fake->last);
}
#define FAKE(name) __attribute__((cleanup(fake_release))) struct fake name = {.tpm = {&fake_ops}}

/* ---- shorthands ---- */

static struct tcg2_config two_banks(void)
{
        struct tcg2_config config = {.manufacturer = 0x49424d00};

        banks_add(&config.banks, alg_by_name("sha1"));
        banks_add(&config.banks, alg_by_name("sha256"));
        return config;
}

static struct tcg2 *new_tcg2(struct tcg2_config config)
{
        struct tcg2 *tcg2 = NULL;
        struct error error = {};

        if (tcg2_new(&config, &tcg2, &error) < 0) {
                printf("# %s\n", error.text);
                exit(1);
        }
        return tcg2;
}

static struct tcg2_hash_log_extend event(
                uint32_t pcr, uint32_t type, const char *data, const char *text)
{
        return (struct tcg2_hash_log_extend){.data = SPAN(data, strlen(data)),
                        .size = (uint32_t)(18 + strlen(text)),
                        .header_size = 14,
                        .header_version = 1,
                        .pcr = pcr,
                        .type = type,
                        .event = SPAN(text, strlen(text))};
}

static bool pcr_is(const struct tcg2 *tcg2, const char *bank, unsigned pcr, const char *hex)
{
        const struct replay *view = tcg2_view(tcg2);
        const struct alg *alg = alg_by_name(bank);
        char text[2 * DIGEST_MAX_BYTES + 1];

        hex_encode(SPAN(view->pcr[replay_bank(view, alg->id)][pcr].bytes, alg->size), text);
        if (strcmp(text, hex) != 0)
                printf("# %s PCR %u is %s\n", bank, pcr, text);
        return strcmp(text, hex) == 0;
}

/* The payload's agile log must give the payload's PCRs. */
static bool log_replays(const struct tcg2 *tcg2, struct span bytes)
{
        struct replay replay;
        struct error error = {};

        if (replay_log(bytes, &replay, &error) < 0) {
                printf("# %s\n", error.text);
                return false;
        }
        for (size_t b = 0; b < replay.banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (memcmp(replay.pcr[b][pcr].bytes, tcg2_view(tcg2)->pcr[b][pcr].bytes,
                                            replay.banks.alg[b]->size) != 0)
                                return false;
        return true;
}

static size_t n_events(struct span bytes)
{
        struct event_log log;
        struct tcg_event e;
        size_t n = 0;
        int r;

        if (event_log_open(&log, bytes, NULL) < 0)
                return SIZE_MAX;
        EVENT_LOG_FOREACH (&log, &e, r, NULL)
                n++;
        return r < 0 ? SIZE_MAX : n;
}

/* ---- register map, close list ---- */

static int parse_map(const char *text, struct register_map *ret, struct error *error)
{
        return register_map_parse(SPAN(text, strlen(text)), "m", ret, error);
}

static void test_map(void)
{
        struct register_map map;
        struct error error;

        register_map_dedicated(&map);
        CHECK_EQ(register_map_mask(&map), 1u << 8);
        CHECK_EQ(map.reg[0], 8);
        CHECK_EQ(map.reg[23], 8);
        REQUIRE(parse_map("# first\n\n 11 12 # UKI\n12\t13\r\n4 8", &map, &error) == 0);
        CHECK_EQ(map.reg[11], 12);
        CHECK_EQ(map.reg[12], 13);
        CHECK_EQ(map.reg[9], 8);
        CHECK_EQ(register_map_mask(&map), 1u << 8 | 1u << 12 | 1u << 13);
        CHECK_EQ(register_map_only_closed(&map, 1u << 11 | 1u << 12), 1u << 11);
        CHECK_EQ(register_map_opened(&map, 1u << 11), 1u << 8 | 1u << 11 | 1u << 12 | 1u << 13);
        REQUIRE(parse_map("", &map, &error) == 0);
        CHECK_EQ(register_map_mask(&map), 1u << 8);
}

static void test_map_twins(void)
{
        static const struct {
                const char *text, *where;
        } bad[] = {
                        {"4 10", "m:1:"}, /* IMA's */
                        {"4 16", "m:1:"}, /* resettable */
                        {"4 23", "m:1:"},
                        {"4 7", "m:1:"},
                        {"4 24", "m:1:"},
                        {"\n24 8", "m:2:"},
                        {"-1 8", "m:1:"},
                        {"4 08", "m:1:"},
                        {"0x4 8", "m:1:"},
                        {"4", "m:1:"},
                        {"4 8 9", "m:1:"},
                        {"4 8\n5 9\n4 9\n", "m:3:"}, /* twice */
                        {"four 8", "m:1:"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct register_map map = {.reg = {77}};
                struct error error = {};

                CHECK_EQ(parse_map(bad[i].text, &map, &error), -EINVAL);
                CHECK(strncmp(error.text, bad[i].where, 4) == 0);
                CHECK_EQ(map.reg[0], 77);
        }
}

static void test_close_list(void)
{
        static const char *const bad[] = {"", "10", "16", "23", "24", "11,", ",11", "11,,12", "x",
                        "11 12", "011", "-1", "none,11", "4294967307"};
        struct error error = {};
        uint32_t mask;

        REQUIRE(close_list_parse(NULL, &mask, &error) == 0);
        CHECK_EQ(mask, 1u << 11);
        REQUIRE(close_list_parse("none", &mask, &error) == 0);
        CHECK_EQ(mask, 0);
        REQUIRE(close_list_parse("11, 12,0,7", &mask, &error) == 0);
        CHECK_EQ(mask, 1u << 11 | 1u << 12 | 1u << 7 | 1u);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                mask = 99;
                CHECK_EQ(close_list_parse(bad[i], &mask, &error), -EINVAL);
                CHECK_EQ(mask, 99);
        }
}

/* ---- record ---- */

static void test_record(void)
{
        _cleanup_record_ struct record record = {};
        struct tcg2_config config = two_banks();
        struct recorded_event e = {.payload_pcr = 11, .type = EV_IPL, .data = SPAN("abcd", 4)};
        struct error error = {};

        record_init(&record, &config.banks,
                        (struct record_limits){.n_events = 5, .data_bytes = 18});
        REQUIRE(hash_span(&config.banks, SPAN("x", 1), &e.digests) == 0);
        for (int i = 0; i < 4; i++)
                REQUIRE(record_add(&record, &e, &error) == 0);
        CHECK_EQ(record_add(&record, &e, &error), -ENOSPC); /* 20 bytes */
        e.data = SPAN("ab", 2);
        CHECK_EQ(record_add(&record, &e, &error), 0);
        CHECK_EQ(record_add(&record, &e, &error), -ENOSPC); /* 6 events */
        CHECK_EQ(record.n, 5);
        CHECK_EQ(record.data_bytes, 18);
        CHECK(span_equal(record.events[3].data, SPAN("abcd", 4)));
        CHECK(record.events[3].data.data != record.events[2].data.data);

        record.limits = (struct record_limits){100, 1000};
        e.payload_pcr = 24;
        CHECK_EQ(record_add(&record, &e, &error), -EINVAL);
        e.payload_pcr = 11;
        e.type = EV_NO_ACTION;
        CHECK_EQ(record_add(&record, &e, &error), -EINVAL);
        e.type = EV_IPL;
        e.digests.n = 1; /* a bank is missing */
        CHECK_EQ(record_add(&record, &e, &error), -EINVAL);
        CHECK_EQ(record.n, 5);
}

/* ---- capability and banks ---- */

static void test_capability(void)
{
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        uint8_t c[36];
        size_t bytes;

        config.supported_banks = 0xf;
        config.max_command_bytes = 0x0abc;
        tcg2 = new_tcg2(config);
        CHECK_EQ(tcg2_get_capability(tcg2, 0, c, &bytes), EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(bytes, 1);
        CHECK_EQ(c[0], 36);
        CHECK_EQ(tcg2_get_capability(tcg2, 27, c, &bytes), EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(tcg2_get_capability(tcg2, 28, c, &bytes), EFI_SUCCESS);
        CHECK_EQ(bytes, 28);
        CHECK_EQ(c[0], 28);
        CHECK(c[1] == 1 && c[2] == 0 && c[3] == 1 && c[4] == 0);
        CHECK_EQ(tcg2_get_capability(tcg2, 35, c, &bytes), EFI_SUCCESS);
        CHECK_EQ(bytes, 28);
        CHECK_EQ(tcg2_get_capability(tcg2, 255, c, &bytes), EFI_SUCCESS);
        CHECK_EQ(bytes, 36);
        CHECK_EQ(c[0], 36);
        CHECK(c[1] == 1 && c[2] == 1 && c[3] == 1 && c[4] == 1);
        CHECK_EQ(c[8], 0xf);                   /* HashAlgorithmBitmap */
        CHECK_EQ(c[12], 3);                    /* both logs: SHA-1 is active */
        CHECK_EQ(c[16], 1);                    /* TPMPresentFlag */
        CHECK(c[18] == 0xbc && c[19] == 0x0a); /* MaxCommandSize */
        CHECK(c[20] == 0x00 && c[21] == 0x10); /* MaxResponseSize */
        CHECK(c[24] == 0 && c[25] == 'M' && c[26] == 'B' && c[27] == 'I');
        CHECK_EQ(c[28], 4); /* NumberOfPCRBanks */
        CHECK_EQ(c[32], 3); /* ActivePcrBanks */

        CHECK_EQ(tcg2_active_pcr_banks(tcg2), 3);
        CHECK_EQ(tcg2_set_active_pcr_banks(tcg2, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_set_active_pcr_banks(tcg2, 0x10), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_set_active_pcr_banks(tcg2, 3), EFI_SUCCESS);
        CHECK_EQ(tcg2_set_active_pcr_banks(tcg2, 2), EFI_UNSUPPORTED);
}

static void test_one_bank_without_sha1(void)
{
        struct tcg2_config config = {};
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        struct tcg2_log log;
        uint8_t c[36];
        size_t bytes;

        banks_add(&config.banks, alg_by_name("sha256"));
        tcg2 = new_tcg2(config);
        CHECK_EQ(tcg2_get_capability(tcg2, 36, c, &bytes), EFI_SUCCESS);
        CHECK_EQ(c[12], 2);
        CHECK_EQ(tcg2_get_event_log(tcg2, 1, &log), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_get_event_log(tcg2, 3, &log), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_get_event_log(tcg2, 0, &log), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_get_event_log(tcg2, 2, &log), EFI_SUCCESS);

        config.banks = (struct banks){};
        CHECK_EQ(tcg2_new(&config, &tcg2, NULL), -EINVAL);
}

/* ---- HashLogExtendEvent ---- */

static void test_measure(void)
{
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());
        struct tcg2_hash_log_extend e = event(11, EV_IPL, "abc", "text");
        const struct record *record = tcg2_record(tcg2);
        struct tcg2_log log;

        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK(pcr_is(tcg2, "sha256", 11, ABC_SHA256));
        CHECK(pcr_is(tcg2, "sha1", 11, ABC_SHA1));
        e.data = SPAN("", 0); /* length 0 behind a pointer: the hash of nothing */
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK(pcr_is(tcg2, "sha256", 11, ABC_EMPTY_SHA256));
        e = event(17, EV_IPL, "abc", ""); /* starts at ones, as after a reset */
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK(pcr_is(tcg2, "sha256", 17, ONES_ABC_SHA256));
        e = event(23, EV_IPL, "abc", "");
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);

        REQUIRE(record->n == 4);
        CHECK_EQ(record->events[0].payload_pcr, 11);
        CHECK_EQ(record->events[0].type, EV_IPL);
        CHECK_EQ(record->events[0].source, RECORD_PAYLOAD);
        CHECK(span_equal(record->events[0].data, SPAN("text", 4)));
        CHECK_EQ(record->events[0].digests.n, 2);
        CHECK_EQ(record->events[3].payload_pcr, 23);

        CHECK_EQ(tcg2_get_event_log(tcg2, 2, &log), EFI_SUCCESS);
        CHECK(log.has_events && !log.truncated);
        CHECK_EQ(n_events(log.bytes), 5);
        CHECK(log_replays(tcg2, log.bytes));
        /* LastEntry is the record of PCR 23 */
        CHECK_EQ(log.bytes.data[log.last_entry], 23);
        CHECK_EQ(log.bytes.size - log.last_entry, 4 + 4 + 4 + 2 + 20 + 2 + 32 + 4);
}

static void test_measure_checks(void)
{
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());
        struct tcg2_hash_log_extend e;

        e = event(24, EV_IPL, "abc", "");
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_INVALID_PARAMETER);
        e = event(0xffffffff, EV_IPL, "abc", "");
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_INVALID_PARAMETER);
        e = event(11, EV_IPL, "abc", "");
        e.data_is_null = true;
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_INVALID_PARAMETER);
        e = event(11, EV_IPL, "abc", "");
        e.size = 17; /* < HeaderSize + 4 */
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_INVALID_PARAMETER);
        e.size = 5; /* HeaderSize + 4 wraps in 32 bits */
        e.header_size = 0xfffffffd;
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_INVALID_PARAMETER);
        e = event(11, EV_IPL, "abc", "");
        e.flags = PE_COFF_IMAGE;
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_UNSUPPORTED);
        e = event(11, EV_NO_ACTION, "abc", "x");
        e.flags = PE_COFF_IMAGE; /* would be extended and yet never replayed */
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_INVALID_PARAMETER);
        e = event(24, EV_NO_ACTION, "abc", "x"); /* edk2: an NV index */
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_record(tcg2)->n, 0);
        CHECK(!tcg2_failure(tcg2));

        /* odd but valid for edk2: another header size moves the end of the event data */
        e = event(11, EV_IPL, "abc", "0123456789");
        e.header_size = 20;
        e.event.size = 4;
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_record(tcg2)->events[0].data.size, 4);
}

static void test_no_action_and_extend_only(void)
{
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());
        struct tcg2_hash_log_extend e = event(4, EV_NO_ACTION, "", "info");
        struct tcg2_log log;

        e.data_is_null = true;
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_record(tcg2)->n, 0); /* not extended: no part of the hop */
        log = tcg2_peek_log(tcg2, EFI_TCG2_EVENT_LOG_FORMAT_TCG_2);
        CHECK_EQ(n_events(log.bytes), 2);
        CHECK(log_replays(tcg2, log.bytes));
        e.flags = EFI_TCG2_EXTEND_ONLY;
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(n_events(tcg2_peek_log(tcg2, 2).bytes), 2);

        e = event(9, EV_IPL, "abc", "hidden");
        e.flags = EFI_TCG2_EXTEND_ONLY;
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(n_events(tcg2_peek_log(tcg2, 2).bytes), 2); /* hidden from the payload's log ... */
        REQUIRE(tcg2_record(tcg2)->n == 1);                  /* ... but not from ours */
        CHECK(span_equal(tcg2_record(tcg2)->events[0].data, SPAN("hidden", 6)));
        CHECK(pcr_is(tcg2, "sha256", 9, ABC_SHA256));
}

static void test_imitation(void)
{
        static const uint32_t tags[] = {HOP_TAG_OPEN, HOP_TAG_CLOSE, HOP_TAG_ABORT};
        static const uint32_t types[] = {EV_EVENT_TAG, EV_IPL, EV_NO_ACTION};

        for (size_t i = 0; i < ARRAY_SIZE(tags) * ARRAY_SIZE(types); i++) {
                _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());
                struct tcg2_hash_log_extend e = event(9, types[i / 3], "abc", "12345678");
                _cleanup_buf_ struct buf data = {};

                buf_put_u32(&data, tags[i % 3]);
                buf_put_u32(&data, 0);
                e.event = buf_span(&data);
                CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SECURITY_VIOLATION);
                CHECK(tcg2_failure(tcg2));
                CHECK_EQ(tcg2_record(tcg2)->n, 0);
                e = event(9, EV_IPL, "abc", "");
                CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_DEVICE_ERROR);
        }
}

static void test_limits_fail_closed(void)
{
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        struct tcg2_hash_log_extend e = event(9, EV_IPL, "abc", "");

        config.limits.n_events = 2;
        tcg2 = new_tcg2(config);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK(!tcg2_failure(tcg2));
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_DEVICE_ERROR);
        CHECK(tcg2_failure(tcg2));
        CHECK_EQ(tcg2_measure(tcg2, 0, 5, EV_EFI_ACTION, SPAN("x", 1), SPAN("x", 1)),
                        EFI_DEVICE_ERROR);
}

/* Linux shows nothing behind such an event, so that the hop would be lost. */
static void test_end_mark_of_linux(void)
{
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());
        struct tcg2_hash_log_extend e = event(9, 0, "abc", "x");

        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK(!tcg2_failure(tcg2));
        e = event(9, 0, "abc", "");
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_DEVICE_ERROR);
        REQUIRE(tcg2_failure(tcg2));
        CHECK(strstr(tcg2_failure(tcg2), "end of the log"));
        CHECK_EQ(tcg2_record(tcg2)->n, 1);
}

/* ---- logs ---- */

static void test_log_full(void)
{
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        struct tcg2_hash_log_extend e = event(9, EV_IPL, "abc", "0123456789");
        struct tcg2_log log;

        config.log_bytes = 400; /* the header has 69 bytes, a record 82: four fit */
        tcg2 = new_tcg2(config);
        for (int i = 0; i < 4; i++)
                CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_VOLUME_FULL);
        e = event(9, EV_IPL, "abc", ""); /* small enough now, but truncation is latched */
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_VOLUME_FULL);
        CHECK_EQ(tcg2_get_event_log(tcg2, 2, &log), EFI_SUCCESS);
        CHECK(log.truncated);
        CHECK_EQ(n_events(log.bytes), 5);
        CHECK(log.bytes.size <= 400);
        CHECK_EQ(tcg2_record(tcg2)->n, 6); /* nothing is lost for the hop */
        CHECK(!tcg2_failure(tcg2));
        CHECK_EQ(tcg2_measure(tcg2, 0, 5, EV_EFI_ACTION, SPAN("x", 1), SPAN("x", 1)), EFI_SUCCESS);
        CHECK_EQ(tcg2_record(tcg2)->n, 7);
        CHECK_EQ(tcg2_record(tcg2)->events[6].source, RECORD_FIRMWARE);
        CHECK_EQ(tcg2_final_events(tcg2).size, 16);
}

static void test_final_events(void)
{
        struct tcg2_config config = two_banks();
        _cleanup_tcg2_ struct tcg2 *tcg2 = NULL;
        struct tcg2_hash_log_extend e = event(9, EV_IPL, "abc", "0123456789");
        struct tcg2_log log;
        struct span table;

        config.final_bytes = 16 + 2 * 82 + 81;
        tcg2 = new_tcg2(config);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        table = tcg2_final_events(tcg2);
        CHECK_EQ(table.size, 16);
        CHECK_EQ(table.data[0], 1);
        CHECK_EQ(table.data[8], 0);
        CHECK_EQ(tcg2_get_event_log(tcg2, 1, &log),
                        EFI_SUCCESS); /* the other format's doesn't count */
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_final_events(tcg2).size, 16);
        CHECK_EQ(tcg2_get_event_log(tcg2, 2, &log), EFI_SUCCESS);
        CHECK_EQ(n_events(log.bytes), 3);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_VOLUME_FULL);
        table = tcg2_final_events(tcg2);
        CHECK_EQ(table.size, 16 + 2 * 82);
        CHECK_EQ(table.data[8], 2);
        CHECK_EQ(table.data[16], 9);
        log = tcg2_peek_log(tcg2, 2);
        CHECK_EQ(n_events(log.bytes), 6); /* and the log has them, too */
        CHECK(log_replays(tcg2, log.bytes));
}

static void test_sha1_log(void)
{
        _cleanup_tcg2_ struct tcg2 *tcg2 = new_tcg2(two_banks());
        struct tcg2_hash_log_extend e = event(9, EV_IPL, "abc", "0123456789");
        struct tcg2_log log;

        CHECK_EQ(tcg2_get_event_log(tcg2, 1, &log), EFI_SUCCESS);
        CHECK(!log.has_events);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_hash_log_extend_event(tcg2, &e), EFI_SUCCESS);
        CHECK_EQ(tcg2_get_event_log(tcg2, 1, &log), EFI_SUCCESS);
        CHECK(log.has_events);
        CHECK_EQ(log.bytes.size, 2 * 42);
        CHECK_EQ(log.last_entry, 42);
}

/* ---- SubmitCommand ---- */

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

/* ---- banks of a TPM ---- */

static struct tpm_bank bank_rows[TPM_BANKS_MAX];
static size_t n_bank_rows;

static int fake_bank_list(
                struct tpm *tpm, struct tpm_bank ret[TPM_BANKS_MAX], size_t *n, struct error *error)
{
        memcpy(ret, bank_rows, sizeof(bank_rows));
        *n = n_bank_rows;
        return 0;
}

static int fake_properties(struct tpm *tpm, struct tpm_properties *ret, struct error *error)
{
        *ret = (struct tpm_properties){.manufacturer = 0x49465800,
                        .max_command_bytes = 1280,
                        .max_response_bytes = 100000};
        return 0;
}

static void test_active_banks(void)
{
        static const struct tpm_ops ops = {
                        .bank_list = fake_bank_list, .properties = fake_properties};
        struct tpm tpm = {&ops};
        struct tcg2_config config = {.log_bytes = 7};
        struct banks banks = {};
        struct error error = {}, left_out = {};

        bank_rows[0] = (struct tpm_bank){TPM_ALG_SHA256, 0xffffff};
        bank_rows[1] = (struct tpm_bank){TPM_ALG_SHA1, 0};
        bank_rows[2] = (struct tpm_bank){TPM_ALG_SHA384, 0xffff};
        bank_rows[3] = (struct tpm_bank){0x002a, 0}; /* an algorithm to come */
        bank_rows[4] = (struct tpm_bank){
                        TPM_ALG_SHA512, 0x7e0000}; /* DRTM only: no concern of ours */
        n_bank_rows = 5;
        REQUIRE(tpm_active_banks(&tpm, &banks, &error) == 0);
        REQUIRE(banks.n == 2);
        CHECK(banks.alg[0]->id == TPM_ALG_SHA256 && banks.alg[1]->id == TPM_ALG_SHA384);
        REQUIRE(tcg2_config_from_tpm(&tpm, &config, &error) == 0);
        CHECK_EQ(config.supported_banks, 0xf);
        CHECK_EQ(config.max_command_bytes, 1280);
        CHECK_EQ(config.max_response_bytes, 4096);
        CHECK_EQ(config.log_bytes, 7);

        bank_rows[3].pcrs = 0xffffff;
        banks.n = 77;
        CHECK_EQ(tpm_active_banks(&tpm, &banks, &error), -EOPNOTSUPP);
        CHECK(strstr(error.text, "0x002a") && strstr(error.text, "can't compute"));
        CHECK_EQ(banks.n, 77);
        bank_rows[2].pcrs = 0x80; /* PCR 7 only */
        CHECK_EQ(tpm_active_banks(&tpm, &banks, &error), -EOPNOTSUPP);
        CHECK(strstr(error.text, "sha384") && strstr(error.text, "0x002a"));
        REQUIRE(tpm_usable_banks(&tpm, &banks, &left_out, &error) == 0);
        CHECK_EQ(banks.n, 1);
        CHECK(strstr(left_out.text, "sha384") && strstr(left_out.text, "0x002a"));
        bank_rows[0].pcrs = 0;
        CHECK_EQ(tpm_usable_banks(&tpm, &banks, &left_out, &error), -ENODEV);
}

/* SHA-3 has no bit in EFI's bitmaps: an active bank of it is measured into all the same. */
static void test_sha3_bank(void)
{
        static const struct tpm_ops ops = {
                        .bank_list = fake_bank_list, .properties = fake_properties};
        struct tpm tpm = {&ops};
        struct tcg2_config config = {0};
        struct tcg2 *tcg2 = NULL;
        struct banks banks;
        struct error error = {}, left_out = {};

        bank_rows[0] = (struct tpm_bank){TPM_ALG_SHA3_384, 0xffffff};
        bank_rows[1] = (struct tpm_bank){TPM_ALG_SHA256, 0xffffff};
        n_bank_rows = 2;
        REQUIRE(tcg2_config_from_tpm(&tpm, &config, &error) == 0);
        CHECK_EQ(config.banks.n, 2);
        CHECK_EQ(config.supported_banks, 0x2);
        REQUIRE(tcg2_new(&config, &tcg2, &error) == 0);
        CHECK_EQ(tcg2_active_pcr_banks(tcg2), 0x2);
        tcg2_free(tcg2);

        bank_rows[0].unsendable = true;
        CHECK_EQ(tpm_active_banks(&tpm, &banks, &error), -EOPNOTSUPP);
        CHECK(strstr(error.text, "sha3_384") && strstr(error.text, "tpm2-tss"));
        REQUIRE(tpm_usable_banks(&tpm, &banks, &left_out, &error) == 0);
        CHECK(banks.n == 1 && banks.alg[0]->id == TPM_ALG_SHA256);
}

static const struct tap_test tests[] = {
                {"register map", test_map},
                {"register map: what is refused, and where", test_map_twins},
                {"close list", test_close_list},
                {"record and its limits", test_record},
                {"GetCapability, bank functions", test_capability},
                {"one bank, no SHA-1 log", test_one_bank_without_sha1},
                {"HashLogExtendEvent: digests, PCRs, log", test_measure},
                {"HashLogExtendEvent: checks", test_measure_checks},
                {"EV_NO_ACTION and EXTEND_ONLY", test_no_action_and_extend_only},
                {"an event that imitates ours ends the run", test_imitation},
                {"more events than can be recorded end the run", test_limits_fail_closed},
                {"what Linux takes for the log's end ends the run", test_end_mark_of_linux},
                {"log full", test_log_full},
                {"final-events table", test_final_events},
                {"SHA-1 log", test_sha1_log},
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
                {"active banks of a TPM", test_active_banks},
                {"a bank of SHA-3", test_sha3_bank},
};
TAP_MAIN(tests)
