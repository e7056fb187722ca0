/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/protocol: its checks and status codes, what is recorded, what the payload sees. */
#include "eventlog/append.h"
#include "eventlog/hop.h"
#include "tests/unit/tcg2-fixture.h"

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

static const struct tap_test tests[] = {
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
};
TAP_MAIN(tests)
