/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The small protocols over guest memory: console, random numbers, LoadFile2, DevicePathToText. */
#include "base/utf16.h"
#include "base/device-path.h"
#include "shim/firmware/events.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/tap.h"

static char shown[8][1024];
static unsigned n_shown, n_all;

static void show(void *arg, const char *line)
{
        CHECK(arg == &n_shown);
        snprintf(shown[n_shown % 8], sizeof(shown[0]), "%s", line);
        n_shown++;
        n_all += (unsigned)strlen(line);
}

static struct firmware_setup setup;

static bool start(void)
{
        n_shown = n_all = 0;
        setup.volume_fd = -1;
        setup.console = show;
        setup.arg = &n_shown;
        return fixture_start(&setup);
}

/* ---- console ---- */

enum {
        RESET,
        OUTPUT,
        TEST,
        QUERY_MODE,
        SET_MODE,
        SET_ATTRIBUTE,
        CLEAR,
        SET_CURSOR,
        ENABLE_CURSOR,
        MODE
};

static uint64_t out;

static EFI_STATUS print(const char *text)
{
        return FIXTURE_CALL(out, OUTPUT, out, fixture_text(0, text));
}

static uint32_t mode_field(unsigned i)
{
        uint32_t value = 0xdead;

        (void)ram_get_u32(fixture.ram, fixture_get(out + 8 * MODE) + 4 * i, &value);
        return value;
}

static bool start_console(void)
{
        return start() && !efi_error(fw_locate_protocol(&fixture, &guid_simple_text_output, &out));
}

static void test_output(void)
{
        REQUIRE(start_console());
        CHECK_EQ(fixture_get(fixture.system_table + 64), out);
        CHECK_EQ(fixture_get(fixture.system_table + 80), out);
        CHECK_EQ(fixture_get(fixture.system_table + 56), fixture.console_handle);
        CHECK(print("systemd-stub: ") == EFI_SUCCESS);
        CHECK_EQ(n_shown, 0);
        CHECK_EQ(mode_field(3), 14);
        CHECK(print("h\xc3\xa4llo \xe2\x94\x80 \xf0\x9f\x90\xa7\r\n") == EFI_SUCCESS);
        REQUIRE(n_shown == 1);
        CHECK(strcmp(shown[0], "systemd-stub: h\xc3\xa4llo \xe2\x94\x80 \xf0\x9f\x90\xa7") == 0);
        CHECK_EQ(mode_field(3), 0);
        CHECK_EQ(mode_field(4), 1);
        CHECK(print("\r\n\r\n") == EFI_SUCCESS);
        CHECK_EQ(n_shown, 1);
        CHECK(print("last words") == EFI_SUCCESS);
        fw_console_flush(&fixture);
        CHECK(n_shown == 2 && strcmp(shown[1], "last words") == 0);
        CHECK(print("lost?") == EFI_SUCCESS);
        fixture_stop();
        CHECK(n_shown == 3 && strcmp(shown[2], "lost?") == 0);
}

/* What a payload could do to the terminal of whoever runs mkexec. */
static void test_harmless(void)
{
        static const uint8_t c1[] = {
                        0x9b, 0, '2', 0, 'J', 0, 0x85, 0, 0x2e, 0x20, 0x00, 0xd8, '\n', 0, 0, 0};

        REQUIRE(start_console());
        CHECK(print("\x1b[2J\x1b]0;title\x07 a\tb\x7f\x08\x0b\x0c\n") == EFI_SUCCESS);
        CHECK(strcmp(shown[0], "?[2J?]0;title? a b???") == 0);
        CHECK(FIXTURE_CALL(out, OUTPUT, out, fixture_bytes(0, c1, sizeof(c1))) == EFI_SUCCESS);
        CHECK(strcmp(shown[1], "?2J??\xef\xbf\xbd") == 0);
        for (unsigned i = 0; i < n_shown; i++)
                for (const char *s = shown[i]; *s; s++)
                        CHECK((uint8_t)*s >= 0x20 && *s != 0x7f);
        fixture_stop();
}

static void test_much_output(void)
{
        char line[2001];

        REQUIRE(start_console());
        memset(line, 'x', 2000);
        line[2000] = '\0';
        CHECK(print(line) == EFI_SUCCESS);
        CHECK_EQ(n_shown, 3); /* in pieces; the rest waits */
        for (int i = 0; i < 1000; i++)
                CHECK(print(line) == EFI_SUCCESS);
        CHECK(n_all < 300 * 1024);
        CHECK(strstr(shown[(n_shown - 1) % 8], "more than is shown") != NULL);
        fixture_stop();
}

static void test_modes(void)
{
        uint64_t a, b, addresses[2];

        REQUIRE(start_console());
        a = fixture_u64(4096, 0), b = fixture_u64(4104, 0);
        CHECK_EQ(mode_field(0), 1);
        CHECK_EQ(mode_field(1), 0);
        CHECK_EQ(mode_field(2), 7);
        CHECK(FIXTURE_CALL(out, QUERY_MODE, out, 0, a, b) == EFI_SUCCESS);
        CHECK(fixture_get(a) == 80 && fixture_get(b) == 25);
        CHECK(FIXTURE_CALL(out, QUERY_MODE, out, 1, a, b) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(out, QUERY_MODE, out, 0, 0, b) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(out, SET_MODE, out, 1) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(out, SET_ATTRIBUTE, out, 0x1f) == EFI_SUCCESS);
        CHECK_EQ(mode_field(2), 0x1f);
        CHECK(FIXTURE_CALL(out, SET_ATTRIBUTE, out, 0x80) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(out, SET_CURSOR, out, 79, 24) == EFI_SUCCESS);
        CHECK(mode_field(3) == 79 && mode_field(4) == 24);
        CHECK(FIXTURE_CALL(out, SET_CURSOR, out, 80, 0) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(out, SET_CURSOR, out, 0, UINT64_MAX) == EFI_UNSUPPORTED);
        CHECK(print("wraps") == EFI_SUCCESS);
        CHECK(mode_field(3) == 4 && mode_field(4) == 24);
        CHECK(FIXTURE_CALL(out, ENABLE_CURSOR, out, 0x100) ==
                        EFI_SUCCESS); /* BOOLEAN: the low byte */
        CHECK_EQ(mode_field(5) & 0xff, 0);
        CHECK(FIXTURE_CALL(out, CLEAR, out) == EFI_SUCCESS);
        CHECK_EQ(mode_field(3), 0);
        CHECK(FIXTURE_CALL(out, RESET, out, 0) == EFI_SUCCESS);
        CHECK_EQ(mode_field(2), 7);
        CHECK(FIXTURE_CALL(out, TEST, out, fixture_text(0, "x")) == EFI_SUCCESS);
        addresses[0] = 0, addresses[1] = FIXTURE_BAD;
        for (int i = 0; i < 2; i++) {
                CHECK(FIXTURE_CALL(out, OUTPUT, out, addresses[i]) == EFI_INVALID_PARAMETER);
                CHECK(FIXTURE_CALL(out, TEST, out, addresses[i]) == EFI_INVALID_PARAMETER);
                CHECK(FIXTURE_CALL(out, OUTPUT, addresses[i], fixture_scratch) ==
                                EFI_INVALID_PARAMETER);
        }
        fixture_stop();
}

static void test_input(void)
{
        static const EFI_GUID *const protocols[] = {
                        &guid_simple_text_input, &guid_simple_text_input_ex};
        uint64_t in;

        REQUIRE(start());
        CHECK_EQ(fixture_get(fixture.system_table + 40), fixture.console_handle);
        for (int i = 0; i < 2; i++) {
                REQUIRE(fw_handle_protocol(&fixture, fixture.console_handle, protocols[i], &in) ==
                                EFI_SUCCESS);
                if (i == 0)
                        CHECK_EQ(fixture_get(fixture.system_table + 48), in);
                CHECK(FIXTURE_CALL(in, 0, in, 0) == EFI_SUCCESS);
                CHECK(FIXTURE_CALL(in, 1, in, fixture_scratch) == EFI_NOT_READY);
                CHECK(FIXTURE_CALL(in, 1, in, 0) == EFI_INVALID_PARAMETER);
                CHECK(FIXTURE_CALL(in, 1, 0, fixture_scratch) == EFI_INVALID_PARAMETER);
                CHECK(fixture_get(in + 16) != 0); /* WaitForKey: an event, never signalled */
                if (i == 0)
                        continue;
                for (size_t slot = 3; slot < 6; slot++)
                        CHECK(FIXTURE_CALL(in, slot, in, 0, 0, 0) == EFI_INVALID_PARAMETER);
                CHECK(FIXTURE_CALL(in, 3, in, fixture_scratch) == EFI_UNSUPPORTED);
                CHECK(FIXTURE_CALL(in, 4, in, fixture_scratch, in, fixture_scratch) ==
                                EFI_UNSUPPORTED);
        }
        fixture_stop();
}

/* Asking for a key for ever, by reading or by checking the event, ends the run; a menu's seconds
 * don't. */
static void test_nobody_types(void)
{
        for (int by_event = 0; by_event < 2; by_event++) {
                unsigned asked = 0;
                uint64_t in;

                REQUIRE(start() && fw_locate_protocol(&fixture, &guid_simple_text_input, &in) ==
                                                   EFI_SUCCESS);
                for (; !fixture.ended && asked < 60000; asked++)
                        CHECK((by_event ? event_check(&fixture, fixture_get(in + 16))
                                        : FIXTURE_CALL(in, 1, in, fixture_scratch)) ==
                                        EFI_NOT_READY);
                CHECK(!fixture.ended); /* half a minute hasn't gone by */
                fw_skip_time(&fixture, 300000000);
                for (; !fixture.ended && asked < 1000000; asked++)
                        CHECK((by_event ? event_check(&fixture, fixture_get(in + 16))
                                        : FIXTURE_CALL(in, 1, in, fixture_scratch)) ==
                                        EFI_NOT_READY);
                CHECK_EQ(asked, 60001);
                CHECK(strcmp(fixture.end.text, "the payload waits for a key, and nobody types") ==
                                0);
                CHECK_EQ(fixture.end.kind, FIRMWARE_STOPPED);
                fixture_stop();
        }
}

/* ---- random numbers ---- */

static void test_rng(void)
{
        uint64_t rng, size, algorithm;
        uint8_t a[32] = {0}, b[32] = {0};
        EFI_GUID guid;

        REQUIRE(start());
        REQUIRE(fw_locate_protocol(&fixture, &guid_rng, &rng) == EFI_SUCCESS);
        size = fixture_u64(0, 15);
        CHECK(FIXTURE_CALL(rng, 0, rng, size, fixture_scratch + 64) == EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(fixture_get(size), 16);
        CHECK(FIXTURE_CALL(rng, 0, rng, size, 0) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(rng, 0, rng, size, fixture_scratch + 64) == EFI_SUCCESS);
        CHECK(ram_read(fixture.ram, fixture_scratch + 64, &guid, 16) &&
                        guid_equal(&guid, &guid_rng_raw));
        CHECK(FIXTURE_CALL(rng, 1, rng, 0, 32, fixture_scratch + 128) == EFI_SUCCESS);
        CHECK(ram_read(fixture.ram, fixture_scratch + 128, a, 32));
        CHECK(FIXTURE_CALL(rng, 1, rng, fixture_scratch + 64, 31, fixture_scratch + 128) ==
                        EFI_SUCCESS);
        CHECK(ram_read(fixture.ram, fixture_scratch + 128, b, 32));
        CHECK(memcmp(a, b, 31) != 0 && a[31] == b[31]); /* not a byte more than asked for */
        algorithm = fixture_bytes(64, &guid_tcg2, 16);
        CHECK(FIXTURE_CALL(rng, 1, rng, algorithm, 32, fixture_scratch + 128) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(rng, 1, rng, 0, 0, fixture_scratch + 128) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(rng, 1, rng, 0, UINT64_MAX, fixture_scratch + 128) ==
                        EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(rng, 1, rng, 0, 32, 0) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(rng, 1, rng, 0, 32, FIXTURE_BAD) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(rng, 1, 0, 0, 32, fixture_scratch) == EFI_INVALID_PARAMETER);
        fixture_stop();
}

/* ---- LoadFile2 ---- */

static const char initrd[] = "070701 an initrd";

static void test_load_file2(void)
{
        struct buf path = {0};
        uint64_t at, handle, rest, load_file, size, data;
        struct span view;

        setup.initrd = SPAN(initrd, sizeof(initrd));
        REQUIRE(start());
        setup.initrd = SPAN(NULL, 0);
        device_path_put_node(&path, DEVICE_PATH_MEDIA, DEVICE_PATH_MEDIA_VENDOR,
                        SPAN(&guid_linux_initrd_media, 16));
        device_path_put_end(&path);
        at = fixture_bytes(0, path.data, path.size);
        size = fixture_u64(4096, 0), data = fixture_scratch + 8192;
        REQUIRE(fw_locate_device_path(&fixture, &guid_load_file2, at, &handle, &rest) ==
                        EFI_SUCCESS);
        CHECK_EQ(rest, at + 20);
        REQUIRE(fw_handle_protocol(&fixture, handle, &guid_load_file2, &load_file) == EFI_SUCCESS);
        CHECK(FIXTURE_CALL(load_file, 0, load_file, rest, 0, size, 0) == EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(fixture_get(size), sizeof(initrd));
        CHECK(FIXTURE_CALL(load_file, 0, load_file, rest, 0, size, data) == EFI_SUCCESS);
        CHECK(ram_view(fixture.ram, data, sizeof(initrd), &view) &&
                        span_equal(view, SPAN(initrd, sizeof(initrd))));
        fixture_u64(4096, sizeof(initrd) - 1);
        CHECK(FIXTURE_CALL(load_file, 0, load_file, rest, 0, size, data) == EFI_BUFFER_TOO_SMALL);
        CHECK(FIXTURE_CALL(load_file, 0, load_file, at, 0, size, data) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(load_file, 0, load_file, rest, 1, size, data) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(load_file, 0, load_file, 0, 0, size, data) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(load_file, 0, load_file, rest, 0, 0, data) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(load_file, 0, 0, rest, 0, size, data) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(load_file, 0, load_file, rest, 0, size, FIXTURE_BAD) ==
                        EFI_INVALID_PARAMETER);
        buf_release(&path);
        fixture_stop();
        REQUIRE(start()); /* without an initrd: the stub brings its own */
        CHECK(fw_locate_protocol(&fixture, &guid_load_file2, &load_file) == EFI_NOT_FOUND);
        fixture_stop();
}

/* ---- DevicePathToText ---- */

static void test_device_path_to_text(void)
{
        struct buf path = {0}, text = {0};
        uint64_t protocol, at, result;
        char *ascii;

        REQUIRE(start());
        REQUIRE(fw_locate_protocol(&fixture, &guid_device_path_to_text, &protocol) == EFI_SUCCESS);
        REQUIRE(device_path_put_file(&path, "\\EFI\\Linux\\b.efi"));
        device_path_put_end(&path);
        at = fixture_bytes(0, path.data, path.size);
        result = FIXTURE_CALL(protocol, 1, at, 0, 0);
        CHECK(ram_read_utf16(fixture.ram, result, 100, &text));
        ascii = utf16_to_text(buf_span(&text));
        CHECK(ascii && strcmp(ascii, "\\EFI\\Linux\\b.efi") == 0);
        free(ascii);
        CHECK(fw_free_pool(&fixture, result) == EFI_SUCCESS); /* the payload's to free */
        result = FIXTURE_CALL(protocol, 0, at, 0, 0);
        CHECK(fw_free_pool(&fixture, result) == EFI_SUCCESS);
        CHECK_EQ(FIXTURE_CALL(protocol, 0, 0, 0, 0), 0);
        CHECK_EQ(FIXTURE_CALL(protocol, 1, 0, 0, 0), 0);
        CHECK_EQ(FIXTURE_CALL(protocol, 0, FIXTURE_BAD, 0, 0), 0);
        CHECK_EQ(FIXTURE_CALL(protocol, 1, FIXTURE_BAD, 0, 0), 0);
        CHECK_EQ(FIXTURE_CALL(protocol, 0, UINT64_MAX, 0, 0), 0);
        /* breaks off at the end of what is mapped */
        at = 0x2000000;
        REQUIRE(fw_allocate_pages(&fixture, AllocateAddress, EfiLoaderData, 1, &at) == EFI_SUCCESS);
        at += 4096 - 4;
        CHECK(ram_write(fixture.ram, at, "\x01\x01\x06\x00", 4));
        CHECK_EQ(FIXTURE_CALL(protocol, 0, at, 0, 0), 0);
        CHECK_EQ(FIXTURE_CALL(protocol, 1, at, 0, 0), 0);
        buf_release(&path);
        buf_release(&text);
        fixture_stop();
}

static const struct tap_test tests[] = {
                {"console output by lines", test_output},
                {"console output can't drive a terminal", test_harmless},
                {"console output is bounded", test_much_output},
                {"console modes", test_modes},
                {"no keyboard", test_input},
                {"waiting for a key", test_nobody_types},
                {"random numbers", test_rng},
                {"LoadFile2 for an initrd", test_load_file2},
                {"DevicePathToText", test_device_path_to_text},
};

TAP_MAIN(tests)
