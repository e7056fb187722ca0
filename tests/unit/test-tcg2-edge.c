/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_TCG2_PROTOCOL as the payload meets it, in guest memory: pointers, structures, where the logs
 * stand, and what firmware measures itself. The protocol's semantics are test-tcg2's. */
#include "eventlog/parse.h"
#include "tcg2/protocol.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/tap.h"

enum { GET_CAPABILITY, GET_EVENT_LOG, HASH_LOG_EXTEND, SUBMIT, GET_BANKS, SET_BANKS, GET_RESULT };

enum { EVENT_AT = 64, DATA_AT = 4096, OUT_AT = 8192 }; /* in the scratch pages */

static struct tcg2 *tcg2;
static uint64_t protocol;

static bool set_up(bool sha1)
{
        struct firmware_setup setup = {.volume_fd = -1};
        struct tcg2_config config = {};

        if (sha1)
                banks_add(&config.banks, alg_by_name("sha1"));
        banks_add(&config.banks, alg_by_name("sha256"));
        if (tcg2_new(&config, &tcg2, NULL) < 0)
                return false;
        setup.tcg2 = tcg2;
        return fixture_start(&setup) &&
               fw_locate_protocol(&fixture, &guid_tcg2, &protocol) == EFI_SUCCESS;
}

static void tear_down(void)
{
        fixture_stop();
        tcg2_free(tcg2);
}

/* An EFI_TCG2_EVENT at EVENT_AT. */
static uint64_t put_event(uint32_t pcr, uint32_t type, const char *text)
{
        struct buf b = {0};
        uint64_t address;

        buf_put_u32(&b, (uint32_t)(18 + strlen(text)));
        buf_put_u32(&b, 14);
        buf_put_u16(&b, 1);
        buf_put_u32(&b, pcr);
        buf_put_u32(&b, type);
        buf_put(&b, text, strlen(text));
        address = fixture_bytes(EVENT_AT, b.data, b.size);
        buf_release(&b);
        return address;
}

static EFI_STATUS measure(uint32_t pcr, uint32_t type, const char *data, const char *text)
{
        uint64_t event = put_event(pcr, type, text);
        uint64_t at = fixture_bytes(DATA_AT, data, strlen(data));

        return FIXTURE_CALL(protocol, HASH_LOG_EXTEND, protocol, 0, at, strlen(data), event);
}

/* Events of the agile log that stands in guest memory, in its 64 KiB. */
static size_t n_logged(uint64_t location)
{
        struct event_log log;
        struct tcg_event e;
        struct span bytes;
        size_t n = 0;
        int r;

        if (!ram_view(fixture.ram, location, 0x10000, &bytes) ||
                        event_log_open(&log, bytes, NULL) < 0)
                return SIZE_MAX;
        EVENT_LOG_FOREACH (&log, &e, r, NULL)
                n++;
        return r < 0 ? SIZE_MAX : n;
}

static void test_capability(void)
{
        uint64_t at;
        uint8_t c[37];

        REQUIRE(set_up(true));
        memset(c, 0xee, sizeof(c));
        c[0] = 36;
        at = fixture_bytes(OUT_AT, c, sizeof(c));
        CHECK_EQ(FIXTURE_CALL(protocol, GET_CAPABILITY, protocol, at), EFI_SUCCESS);
        REQUIRE(ram_read(fixture.ram, at, c, sizeof(c)));
        CHECK(c[0] == 36 && c[16] == 1 && c[32] == 3);
        CHECK_EQ(c[36], 0xee);
        memset(c, 0xee, sizeof(c));
        c[0] = 10;
        fixture_bytes(OUT_AT, c, sizeof(c));
        CHECK_EQ(FIXTURE_CALL(protocol, GET_CAPABILITY, protocol, at), EFI_BUFFER_TOO_SMALL);
        REQUIRE(ram_read(fixture.ram, at, c, sizeof(c)));
        CHECK(c[0] == 36 && c[1] == 0xee);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_CAPABILITY, 0, at), EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_CAPABILITY, protocol + 8, at), EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_CAPABILITY, protocol, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_CAPABILITY, protocol, FIXTURE_BAD),
                        EFI_INVALID_PARAMETER);
        tear_down();
}

static void test_measure_and_log(void)
{
        uint64_t location, last, out = fixture_scratch;
        uint8_t truncated = 9;
        uint32_t pcr = 99;

        REQUIRE(set_up(true));
        out = fixture_scratch + OUT_AT;
        CHECK_EQ(measure(11, EV_IPL, "abc", "text"), EFI_SUCCESS);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_EVENT_LOG, protocol, 2, out, out + 8, out + 16),
                        EFI_SUCCESS);
        location = fixture_get(out);
        last = fixture_get(out + 8);
        CHECK(ram_get_u8(fixture.ram, out + 16, &truncated) && truncated == 0);
        CHECK(location >= 0x100000 && location < 1ull << 32);
        CHECK_EQ(n_logged(location), 2);
        CHECK(ram_get_u32(fixture.ram, last, &pcr) && pcr == 11);

        /* later events appear in the same place, without another call */
        CHECK_EQ(measure(12, EV_IPL, "abc", "text"), EFI_SUCCESS);
        CHECK_EQ(n_logged(location), 3);
        /* the upper half of EventLogFormat is garbage of the caller's register */
        CHECK_EQ(FIXTURE_CALL(protocol, GET_EVENT_LOG, protocol, 0xffffffff00000002, 0, 0, 0),
                        EFI_SUCCESS);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_EVENT_LOG, protocol, 1, out, out + 8, 0), EFI_SUCCESS);
        CHECK(fixture_get(out) != location);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_EVENT_LOG, protocol, 3, out, out + 8, 0),
                        EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_EVENT_LOG, 0, 2, out, out + 8, 0),
                        EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_EVENT_LOG, protocol, 2, FIXTURE_BAD, 0, 0),
                        EFI_INVALID_PARAMETER);
        tear_down();
}

/* Address of a configuration table, 0 if there is none. */
static uint64_t config_table(const EFI_GUID *guid)
{
        for (size_t i = 0; i < fixture.n_config_tables; i++) {
                uint64_t row = fixture.config_tables + 24 * i;
                EFI_GUID found;

                if (fw_get_guid(&fixture, row, &found) && guid_equal(&found, guid))
                        return fixture_get(row + 16);
        }
        return 0;
}

static void test_final_table(void)
{
        uint64_t table;
        uint32_t pcr = 99;

        REQUIRE(set_up(false));
        table = config_table(&guid_tcg2_final_events);
        REQUIRE(table != 0);
        CHECK_EQ(fixture_get(table), 1);
        CHECK_EQ(fixture_get(table + 8), 0);
        CHECK_EQ(measure(11, EV_IPL, "abc", ""), EFI_SUCCESS);
        CHECK_EQ(fixture_get(table + 8), 0);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_EVENT_LOG, protocol, 2, 0, 0, 0), EFI_SUCCESS);
        CHECK_EQ(measure(12, EV_IPL, "abc", ""), EFI_SUCCESS);
        fw_measure_exit_boot_services(&fixture, false, EFI_SUCCESS);
        fw_measure_exit_boot_services(&fixture, true, EFI_SUCCESS);
        CHECK_EQ(fixture_get(table + 8), 3);
        CHECK(ram_get_u32(fixture.ram, table + 16, &pcr) && pcr == 12);
        REQUIRE(tcg2_record(tcg2)->n == 4);
        CHECK_EQ(tcg2_record(tcg2)->events[2].payload_pcr, 5);
        CHECK_EQ(tcg2_record(tcg2)->events[2].type, EV_EFI_ACTION);
        CHECK_EQ(tcg2_record(tcg2)->events[2].source, RECORD_FIRMWARE);
        CHECK(span_equal(tcg2_record(tcg2)->events[2].data,
                        SPAN("Exit Boot Services Invocation", 29)));
        CHECK(span_equal(tcg2_record(tcg2)->events[3].data,
                        SPAN("Exit Boot Services Returned with Success", 40)));
        tear_down();
}

static void test_hash_log_extend_pointers(void)
{
        uint64_t event, data;
        uint32_t size;

        REQUIRE(set_up(false));
        event = put_event(11, EV_IPL, "text");
        data = fixture_bytes(DATA_AT, "abc", 3);
#define HLEE(this, data_at, bytes, event_at) \
        FIXTURE_CALL(protocol, HASH_LOG_EXTEND, this, 0, data_at, bytes, event_at)
        CHECK_EQ(HLEE(0, data, 3, event), EFI_INVALID_PARAMETER);
        CHECK_EQ(HLEE(protocol, data, 3, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(HLEE(protocol, data, 3, FIXTURE_BAD), EFI_INVALID_PARAMETER);
        CHECK_EQ(HLEE(protocol, data, 3, UINT64_MAX - 8), EFI_INVALID_PARAMETER);
        CHECK_EQ(HLEE(protocol, 0, 3, event), EFI_INVALID_PARAMETER);
        CHECK_EQ(HLEE(protocol, FIXTURE_BAD, 3, event), EFI_INVALID_PARAMETER);
        CHECK_EQ(HLEE(protocol, data, UINT64_MAX, event), EFI_INVALID_PARAMETER);
        CHECK_EQ(HLEE(protocol, data, 1ull << 40, event), EFI_INVALID_PARAMETER);
        size = UINT32_MAX; /* the event would reach beyond memory */
        REQUIRE(ram_put_u32(fixture.ram, event, size));
        CHECK_EQ(HLEE(protocol, data, 3, event), EFI_INVALID_PARAMETER);
        REQUIRE(ram_put_u32(fixture.ram, event, 17));
        CHECK_EQ(HLEE(protocol, data, 3, event), EFI_INVALID_PARAMETER);
        CHECK_EQ(tcg2_record(tcg2)->n, 0);
        CHECK(!fixture.ended);
        REQUIRE(ram_put_u32(fixture.ram, event, 18 + 4));
        CHECK_EQ(HLEE(protocol, data, 0, event), EFI_SUCCESS); /* the hash of nothing */
        CHECK_EQ(HLEE(protocol, data, 3, event), EFI_SUCCESS);
        event = put_event(11, EV_NO_ACTION, "text");
        CHECK_EQ(HLEE(protocol, 0, 77, event), EFI_SUCCESS); /* data isn't looked at */
        CHECK_EQ(tcg2_record(tcg2)->n, 2);
        tear_down();
}

static void test_lost_measurement_ends_run(void)
{
        REQUIRE(set_up(false));
        for (int i = 0; i < 4096; i++) /* HOP_EVENTS_MAX */
                REQUIRE(!fixture.ended && (measure(11, EV_IPL, "abc", ""), true));
        CHECK(!fixture.ended);
        CHECK_EQ(measure(11, EV_IPL, "abc", ""), EFI_DEVICE_ERROR);
        CHECK(fixture.ended);
        CHECK_EQ(fixture.end.kind, FIRMWARE_STOPPED);
        CHECK(strstr(fixture.end.text, "4096"));
        tear_down();
}

static void test_submit(void)
{
        static const uint8_t read[] = {
                        0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7e, 0, 0, 0, 1, 0, 0x0b, 3, 0, 1, 0};
        uint8_t response[64];
        uint64_t in, out;

        REQUIRE(set_up(false));
        in = fixture_bytes(DATA_AT, read, sizeof(read));
        out = fixture_scratch + OUT_AT;
#define CALL(this, n, from, m, to) FIXTURE_CALL(protocol, SUBMIT, this, n, from, m, to)
        CHECK_EQ(CALL(protocol, sizeof(read), in, sizeof(response), out), EFI_SUCCESS);
        REQUIRE(ram_read(fixture.ram, out, response, sizeof(response)));
        CHECK_EQ(response[5], 10 + 4 + 4 + 6 + 4 + 2 + 32);
        CHECK_EQ(CALL(protocol, 0xffffffff00000000 | sizeof(read), in, sizeof(response), out),
                        EFI_SUCCESS);
        CHECK_EQ(CALL(protocol, sizeof(read), in, 20, out), EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(CALL(0, sizeof(read), in, 64, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, 0, in, 64, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, sizeof(read), 0, 64, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, sizeof(read), in, 0, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, sizeof(read), in, 64, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, 5000, in, 64, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, sizeof(read), in, 5000, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, sizeof(read), FIXTURE_BAD, 64, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, sizeof(read), in, 64, FIXTURE_BAD), EFI_INVALID_PARAMETER);
        CHECK_EQ(CALL(protocol, sizeof(read), in, sizeof(response), in),
                        EFI_SUCCESS); /* in place */
        tear_down();
}

static void test_banks(void)
{
        uint64_t out;
        uint32_t value = 0;

        REQUIRE(set_up(true));
        out = fixture_u64(OUT_AT, UINT64_MAX);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_BANKS, protocol, out), EFI_SUCCESS);
        CHECK(ram_get_u32(fixture.ram, out, &value) && value == 3);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_BANKS, protocol, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, SET_BANKS, protocol, 0xffffffff00000003), EFI_SUCCESS);
        CHECK_EQ(FIXTURE_CALL(protocol, SET_BANKS, protocol, 2), EFI_UNSUPPORTED);
        CHECK_EQ(FIXTURE_CALL(protocol, SET_BANKS, protocol, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_RESULT, protocol, out, out + 4), EFI_SUCCESS);
        CHECK_EQ(fixture_get(out), 0);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_RESULT, protocol, 0, out), EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(protocol, GET_RESULT, protocol, out, FIXTURE_BAD),
                        EFI_INVALID_PARAMETER);
        tear_down();
}

static void test_measure_image(void)
{
        static const uint8_t path[] = {
                        0x04, 0x04, 0x08, 0x00, 'b', 0, 0, 0, 0x7f, 0xff, 0x04, 0x00};
        const char *stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
        static const struct {
                uint16_t subsystem;
                uint32_t pcr, type;
        } rows[] = {
                        {10, 4, EV_EFI_BOOT_SERVICES_APPLICATION},
                        {11, 2, EV_EFI_BOOT_SERVICES_DRIVER},
                        {12, 2, EV_EFI_RUNTIME_SERVICES_DRIVER},
        };
        struct buf file = {0};

        if (buf_read_file(stub, 1 << 20, &file, NULL) < 0)
                SKIP("needs systemd-boot-efi");
        REQUIRE(set_up(false));
        for (size_t i = 0; i < 3; i++) {
                const struct recorded_event *e;
                struct cursor c;
                uint64_t value;

                CHECK_EQ(fw_measure_image(&fixture, buf_span(&file), SPAN(path, sizeof(path)),
                                         0x1122334455667788, rows[i].subsystem),
                                EFI_SUCCESS);
                REQUIRE(tcg2_record(tcg2)->n == i + 1);
                e = &tcg2_record(tcg2)->events[i];
                CHECK_EQ(e->payload_pcr, rows[i].pcr);
                CHECK_EQ(e->type, rows[i].type);
                CHECK_EQ(e->data.size, 32 + sizeof(path));
                c = CURSOR(e->data);
                CHECK(cursor_u64(&c, &value) && value == 0); /* location */
                CHECK(cursor_u64(&c, &value) && value == file.size);
                CHECK(cursor_u64(&c, &value) && value == 0x1122334455667788);
                CHECK(cursor_u64(&c, &value) && value == sizeof(path));
                CHECK(memcmp(e->data.data + 32, path, sizeof(path)) == 0);
        }
        CHECK_EQ(fw_measure_image(&fixture, buf_span(&file), SPAN(path, sizeof(path)), 0, 3),
                        EFI_UNSUPPORTED);
        CHECK_EQ(fw_measure_image(&fixture, SPAN("MZ", 2), SPAN(path, sizeof(path)), 0, 10),
                        EFI_UNSUPPORTED);
        CHECK_EQ(tcg2_record(tcg2)->n, 3);
        tear_down();
        buf_release(&file);
}

static void test_without_tpm(void)
{
        REQUIRE(fixture_start(NULL));
        CHECK_EQ(fw_locate_protocol(&fixture, &guid_tcg2, &protocol), EFI_NOT_FOUND);
        CHECK_EQ(config_table(&guid_tcg2_final_events), 0);
        CHECK_EQ(fw_measure_image(&fixture, SPAN("MZ", 2), SPAN("", 0), 0, 10), EFI_SUCCESS);
        fw_measure_exit_boot_services(&fixture, false, EFI_SUCCESS);
        CHECK(!fixture.ended);
        fixture_stop();
}

static const struct tap_test tests[] = {
                {"GetCapability", test_capability},
                {"a measurement stands in the log in guest memory", test_measure_and_log},
                {"final-events table", test_final_table},
                {"HashLogExtendEvent: pointers", test_hash_log_extend_pointers},
                {"a measurement that gets lost ends the run", test_lost_measurement_ends_run},
                {"SubmitCommand", test_submit},
                {"bank functions", test_banks},
                {"images", test_measure_image},
                {"no TPM", test_without_tpm},
};
TAP_MAIN(tests)
