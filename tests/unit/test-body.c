/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of events as JSON members: what each kind says, and that a body cut by a byte is named
 * malformed and says no more than is there. The escaper, in its three dialects. */
#include "base/guid.h"
#include "base/json.h"
#include "eventlog/append.h"
#include "eventlog/escape.h"
#include "eventlog/hop.h"
#include "eventlog/show.h"
#include "tests/unit/tap.h"

#define BYTES(text) SPAN(text, sizeof(text) - 1)

/* ---- the escaper ---- */

static bool escapes_to(struct span text, enum text_encoding encoding, enum escape_for dialect,
                const char *wanted)
{
        _cleanup_buf_ struct buf got = {0};

        escape_text(text, encoding, dialect, &got);
        if (span_equal(buf_span(&got), SPAN(wanted, strlen(wanted))))
                return true;
        printf("# %.*s, wanted %s\n", (int)got.size, (const char *)got.data, wanted);
        return false;
}

static void escaper(void)
{
        static const struct {
                struct span text;
                enum text_encoding encoding;
                const char *line, *json, *yaml;
        } rows[] = {
                        {BYTES("plain text"), TEXT_UTF8, "plain text", "plain text", "plain text"},
                        {BYTES("\"\\'"), TEXT_UTF8, "\"\\\\'", "\\\"\\\\'", "\\\"\\\\'"},
                        {BYTES("a\n\x1b\0z"), TEXT_UTF8, "a\\x0a\\x1b\\x00z",
                                        "a\\u000a\\u001b\\u0000z", "a\\x0a\\x1b\\x00z"},
                        {BYTES("\x7f\xc2\x85"), TEXT_UTF8, "\\x7f\\u{85}", "\\u007f\\u0085",
                                        "\\x7f\\x85"},
                        {BYTES("\xe2\x80\xae\xef\xbb\xbf"), TEXT_UTF8, "\\u{202e}\\u{feff}",
                                        "\\u202e\\ufeff", "\\u202e\\ufeff"},
                        {BYTES("\xf3\xa0\x81\x81"), TEXT_UTF8, "\\u{e0041}", "\\udb40\\udc41",
                                        "\\U000e0041"},
                        {BYTES("\xf0\x9f\x90\xa7 \xc3\xa9"), TEXT_UTF8, "\xf0\x9f\x90\xa7 \xc3\xa9",
                                        "\xf0\x9f\x90\xa7 \xc3\xa9", "\xf0\x9f\x90\xa7 \xc3\xa9"},
                        /* overlong, surrogate, beyond Unicode, cut off */
                        {BYTES("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x80"), TEXT_UTF8,
                                        "\\xc0\\x80\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xe2\\x80",
                                        "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"
                                        "\\ufffd\\ufffd\\ufffd",
                                        "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"
                                        "\\ufffd\\ufffd\\ufffd"},
                        {BYTES("a\0\xe9\0\x3d\xd8\x27\xdc"), TEXT_UTF16,
                                        "a\xc3\xa9\xf0\x9f\x90\xa7", "a\xc3\xa9\xf0\x9f\x90\xa7",
                                        "a\xc3\xa9\xf0\x9f\x90\xa7"},
                        {BYTES("\n\0\"\0\\\0"), TEXT_UTF16, "\\x0a\"\\\\", "\\u000a\\\"\\\\",
                                        "\\x0a\\\"\\\\"},
                        /* unpaired surrogates, an odd byte */
                        {BYTES("\x3d\xd8z\0\x27\xdc!"), TEXT_UTF16, "\\u{d83d}z\\u{dc27}\\x21",
                                        "\\ufffdz\\ufffd\\ufffd", "\\ufffdz\\ufffd\\ufffd"},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                CHECK(escapes_to(rows[i].text, rows[i].encoding, ESCAPE_LINE, rows[i].line));
                CHECK(escapes_to(rows[i].text, rows[i].encoding, ESCAPE_JSON, rows[i].json));
                CHECK(escapes_to(rows[i].text, rows[i].encoding, ESCAPE_YAML, rows[i].yaml));
        }
}

/* ---- bodies ---- */

static void put_uint(struct buf *b, uint64_t number)
{
        buf_put_u64(b, number);
}

static void put_utf16(struct buf *b, const char *ascii)
{
        for (; *ascii; ascii++)
                buf_put_u16(b, (uint8_t)*ascii);
}

static void put_variable(struct buf *b, const EFI_GUID *guid, const char *name, struct span data)
{
        buf_put(b, guid, sizeof(*guid));
        put_uint(b, strlen(name));
        put_uint(b, data.size);
        put_utf16(b, name);
        buf_put_span(b, data);
}

/* The members "body" and "malformed" of a row. */
static bool body_of_row(const struct show_row *shown, struct buf *body, struct buf *malformed)
{
        _cleanup_buf_ struct buf out = {0};
        size_t offset = 0;
        struct json document, events, row, value;
        struct show_json json;

        show_json_begin(&json, &out);
        show_json_row(&json, shown);
        show_json_end(&json);
        if (buf_failed(&out) || json_parse(buf_span(&out), &document, NULL) < 0 ||
                        json_get(&document, "events", &events, NULL) != 1 ||
                        !json_next(&events, &offset, NULL, &row) ||
                        json_get(&row, "body", &value, NULL) != 1)
                return false;
        buf_put_span(body, value.text);
        return json_get(&row, "malformed", &value, NULL) == 1 && json_string(&value, malformed);
}

static bool body_of(uint32_t type, struct span data, struct buf *body, struct buf *malformed)
{
        _cleanup_show_scratch_ struct show_scratch scratch = {0};
        struct tcg_event event = {.pcr = 1, .type = type, .data = data};
        struct show_row shown;

        return show_event(&event, &scratch, &shown) == 0 && body_of_row(&shown, body, malformed);
}

/* The body is as wanted, and well-formed; the same without its last byte, if it is strict, isn't.
 */
static bool says(uint32_t type, struct span data, bool strict, const char *wanted)
{
        _cleanup_buf_ struct buf body = {0}, malformed = {0}, cut = {0}, reason = {0};

        if (!body_of(type, data, &body, &malformed) ||
                        !span_equal(buf_span(&body), SPAN(wanted, strlen(wanted))) ||
                        malformed.size > 0) {
                printf("# %.*s %.*s, wanted %s\n", (int)body.size, (const char *)body.data,
                                (int)malformed.size, (const char *)malformed.data, wanted);
                return false;
        }
        if (!body_of(type, SPAN(data.data, data.size - 1), &cut, &reason))
                return false;
        return !strict || reason.size > 0;
}

#define GLOBAL                                                          \
        "\"guid\":\"8be4df61-93ca-11d2-aa0d-00e098032b8c\",\"guid_name" \
        "\":\"Global\""

static void variables(void)
{
        _cleanup_buf_ struct buf b = {0}, list = {0};

        put_variable(&b, &guid_global_variable, "SecureBoot", BYTES("\1"));
        CHECK(says(EV_EFI_VARIABLE_DRIVER_CONFIG, buf_span(&b), true,
                        "{\"kind\":\"variable\"," GLOBAL
                        ",\"name\":\"SecureBoot\",\"enabled\":true}"));
        b.size = 0;
        put_variable(&b, &guid_global_variable, "BootOrder", BYTES("\1\0\x0a\0"));
        CHECK(says(EV_EFI_VARIABLE_BOOT, buf_span(&b), true,
                        "{\"kind\":\"variable\"," GLOBAL ",\"name\":\"BootOrder\","
                        "\"boot_order\":[\"Boot0001\",\"Boot000A\"]}"));
        b.size = 0;
        buf_put(&list, &guid_cert_x509, 16);
        buf_put_u32(&list, 28 + 18);
        buf_put_u32(&list, 0);
        buf_put_u32(&list, 18);
        buf_put(&list, &guid_global_variable, 16);
        buf_put(&list, "0\x82", 2);
        put_variable(&b, &guid_image_security_database, "db", buf_span(&list));
        CHECK(says(EV_EFI_VARIABLE_DRIVER_CONFIG, buf_span(&b), true,
                        "{\"kind\":\"variable\",\"guid\":\"d719b2cb-3d3a-4596-a3bc-dad00e67656f\","
                        "\"guid_name\":\"ImageSecurityDatabase\",\"name\":\"db\","
                        "\"signature_lists\":[{\"type\":\"a5c059a1-94e4-4aa7-87b5-ab155c2bf072\","
                        "\"type_name\":\"CertX509\",\"header\":\"\",\"entry_size\":18,\"entries\":"
                        "[{\"owner\":\"8be4df61-93ca-11d2-aa0d-00e098032b8c\",\"data\":\"3082\"}]}"
                        "]}"));
        /* the same bytes measured as authority aren't lists */
        CHECK(says(EV_EFI_VARIABLE_AUTHORITY, buf_span(&b), true,
                        "{\"kind\":\"variable\",\"guid\":\"d719b2cb-3d3a-4596-a3bc-dad00e67656f\","
                        "\"guid_name\":\"ImageSecurityDatabase\",\"name\":\"db\","
                        "\"signature\":{\"owner\":\"a5c059a1-94e4-4aa7-87b5-ab155c2bf072\","
                        "\"data\":\"2e000000000000001200000061dfe48bca93d211aa0d00e098032b8c3082"
                        "\"}}"));
}

/* Boot0001 with an End node only, then a byte of optional data. */
static void load_options(void)
{
        _cleanup_buf_ struct buf b = {0}, option = {0};

        buf_put_u32(&option, 1);
        buf_put_u16(&option, 4);
        put_utf16(&option, "a\nb");
        buf_put_u16(&option, 0);
        buf_put(&option, "\x7f\xff\4\0!", 5);
        put_variable(&b, &guid_global_variable, "Boot0001", buf_span(&option));
        CHECK(says(EV_EFI_VARIABLE_BOOT, buf_span(&b), true,
                        "{\"kind\":\"variable\"," GLOBAL ",\"name\":\"Boot0001\",\"load_option\":{"
                        "\"attributes\":\"0x1\",\"active\":true,\"description\":\"a\\u000ab\","
                        "\"device_path\":\"\",\"optional_data\":\"21\"}}"));
}

static void others(void)
{
        _cleanup_buf_ struct buf b = {0};

        CHECK(says(EV_NO_ACTION, BYTES("StartupLocality\0\3"), true,
                        "{\"kind\":\"startup_locality\",\"locality\":3}"));
        CHECK(says(EV_SEPARATOR, BYTES("\0\0\0\0"), true,
                        "{\"kind\":\"separator\",\"value\":\"0x0\",\"error\":false}"));
        CHECK(says(EV_SEPARATOR, BYTES("\1\0\0\0"), true,
                        "{\"kind\":\"separator\",\"value\":\"0x1\",\"error\":true}"));
        CHECK(says(EV_IPL, BYTES(".\0l\0i\0n\0u\0x\0\0\0"), false,
                        "{\"kind\":\"uki_section\",\"name\":\".linux\"}"));
        CHECK(says(EV_IPL, BYTES("grub_cmd: a\nb\0"), false,
                        "{\"kind\":\"ipl\",\"text\":\"grub_cmd: a\\u000ab\"}"));
        CHECK(says(EV_IPL, BYTES("\xff\xfe\xfd"), false, "{\"kind\":\"ipl\"}"));
        CHECK(says(EV_EVENT_TAG, BYTES("\xec\x22\x3b\x8f\x0d\0\0\0Linux initrd\0"), true,
                        "{\"kind\":\"tagged\",\"tag\":\"0x8f3b22ec\",\"tag_name\":\"Linux: "
                        "initrd\",\"text\":\"Linux initrd\"}"));
        CHECK(says(EV_EFI_PLATFORM_FIRMWARE_BLOB, BYTES("\0\0\x82\0\0\0\0\0\0\1\0\0\0\0\0\0"), true,
                        "{\"kind\":\"firmware_blob\",\"base\":\"0x820000\",\"size\":256}"));
        put_uint(&b, 0x1000);
        put_uint(&b, 2);
        put_uint(&b, 0);
        put_uint(&b, 4);
        buf_put(&b, "\x7f\xff\4\0", 4);
        CHECK(says(EV_EFI_BOOT_SERVICES_APPLICATION, buf_span(&b), true,
                        "{\"kind\":\"image\",\"location\":\"0x1000\",\"size\":2,"
                        "\"link_address\":\"0x0\",\"device_path\":\"\"}"));
}

static void hops(void)
{
        _cleanup_buf_ struct buf b = {0};
        struct hop_ledger_entry entry = {.payload_pcr = 11, .type = EV_IPL};
        struct hop_open open = {.version = HOP_VERSION,
                        .hop = 2,
                        .close_list = 1u << 11,
                        .n_events = 1,
                        .entries = &entry};

        memset(open.map, HOP_PCR, sizeof(open.map));
        REQUIRE(hop_open_encode(&open, &b, NULL) == 0);
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
        CHECK(says(EV_EVENT_TAG, buf_span(&b), true,
                        "{\"kind\":\"hop_open\",\"hop\":2,\"map\":[8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,"
                        "8,8,8,8,8,8,8,8],\"close\":[11],\"payload_sha256\":\"" ZEROS
                        "\",\"load_options_sha256\":\"" ZEROS "\",\"initrds_sha256\":[],"
                        "\"ledger\":[{\"payload_pcr\":11,\"type\":\"EV_IPL\",\"data_sha256\":"
                        "\"" ZEROS "\"}]}"));
        b.size = 0;
        hop_close_encode((struct hop_end){.hop = 2, .count = 1}, &b);
        CHECK(says(EV_EVENT_TAG, buf_span(&b), true,
                        "{\"kind\":\"hop_close\",\"hop\":2,\"events\":1}"));
        b.size = 0;
        hop_abort_encode((struct hop_end){.hop = 2, .count = 1}, &b);
        CHECK(says(EV_EVENT_TAG, buf_span(&b), true,
                        "{\"kind\":\"hop_abort\",\"hop\":2,\"extends\":1}"));
}

/* ---- rows ---- */

static void table_of(const struct show_row *row, bool color, struct buf *ret)
{
        struct show_table table = {.out = ret, .color = color};

        ret->size = 0;
        show_table_row(&table, row);
}

static void tables(void)
{
        _cleanup_show_scratch_ struct show_scratch scratch = {0};
        _cleanup_buf_ struct buf out = {0};
        struct tcg_event event = {.pcr = 4, .type = EV_EFI_ACTION, .data = BYTES("a\n\x1b[2Jb")};
        static const char wanted[] = "    0   4 EV_EFI_ACTION                    -            "
                                     "a\\x0a\\x1b[2Jb\n";
        struct show_row row;

        REQUIRE(show_event(&event, &scratch, &row) == 0);
        table_of(&row, false, &out);
        CHECK(span_equal(buf_span(&out), BYTES(wanted)));
        table_of(&row, true, &out);
        CHECK(out.size > sizeof(wanted) && memchr(out.data, 0x1b, out.size));
        event.type = EV_EFI_PLATFORM_FIRMWARE_BLOB;
        REQUIRE(show_event(&event, &scratch, &row) == 0);
        table_of(&row, false, &out);
        buf_put_u8(&out, 0);
        CHECK(strstr((char *)out.data, " malformed body: a firmware blob of 7 bytes: "
                                       "610a1b5b324a62\n"));
}

/* Type, text and body of the row of a CEL record, one behind the other. */
static void cel_row(struct span log, const char *wanted)
{
        _cleanup_show_scratch_ struct show_scratch scratch = {0};
        _cleanup_buf_ struct buf data = {0}, row = {0}, body = {0}, malformed = {0};
        struct cel_record record;
        struct cel_log cel;
        struct show_row shown;
        struct error error;

        REQUIRE(cel_open(&cel, log, &error) == 0);
        REQUIRE(cel_next(&cel, &data, &record, &error) == 1);
        REQUIRE(show_cel(&record, &scratch, &shown) == 0);
        REQUIRE(body_of_row(&shown, &body, &malformed));
        buf_put_span(&row, shown.type);
        buf_put(&row, "|", 1);
        buf_put_span(&row, shown.text);
        buf_put(&row, "|", 1);
        buf_put_span(&row, buf_span(&body));
        CHECK(span_equal(buf_span(&row), SPAN(wanted, strlen(wanted))));
        if (!span_equal(buf_span(&row), SPAN(wanted, strlen(wanted))))
                printf("# %.*s, wanted %s\n", (int)row.size, (const char *)row.data, wanted);
}

static void cel_records(void)
{
        static const struct {
                const char *content, *wanted;
        } rows[] = {
                        {"\"pcclient_std\",\"content\":{\"event_type\":\"ev_separator\","
                         "\"event_data\":\"00000000\"}",
                                        "EV_SEPARATOR|separator|{\"kind\":\"separator\","
                                        "\"value\":\"0x0\",\"error\":false}"},
                        {"5,\"content\":{\"event_type\":4,\"event_data\":{}}",
                                        "EV_SEPARATOR||{\"kind\":\"opaque\"}"},
                        {"\"cel\",\"content\":[{\"type\":\"state_trans\",\"data\":\"kexec\"},"
                         "{\"type\":80,\"data\":7}]",
                                        "state_trans|state_trans: kexec, cel_timestamp: 7|"
                                        "{\"kind\":\"cel\",\"management\":[{\"type\":"
                                        "\"state_trans\",\"transition\":\"kexec\"},{\"type\":"
                                        "\"cel_timestamp\",\"timestamp\":7}]}"},
                        {"\"systemd\",\"content\":{\"string\":\"a\\\\033[2J\",\"timestamp\":3,"
                         "\"eventType\":\"phase\",\"bootId\":\"000102030405060708090a0b0c0d0e0f\"}",
                                        "phase|611b5b324a|{\"kind\":\"systemd\",\"event_type\":"
                                        "\"phase\",\"string\":\"a\\\\033[2J\",\"boot_id\":"
                                        "\"000102030405060708090a0b0c0d0e0f\",\"timestamp_us\":3}"},
                        {"\"ima_template\",\"content\":{\"template_name\":\"ima-ng\","
                         "\"template_data\":\"01000000ff03000000612f00\"}",
                                        "ima-ng|a/|{\"kind\":\"ima\",\"template\":\"ima-ng\","
                                        "\"violation\":false,\"file\":\"a/\"}"},
                        {"80,\"content\":\"06000000026162\"",
                                        "cos|ab|{\"kind\":\"cos\",\"field\":6,\"text\":\"ab\"}"},
                        {"\"ts\\u001bs2\",\"content\":{}",
                                        "ts\x1bs2||{\"kind\":\"cel_content\",\"content_type\":"
                                        "\"ts\\u001bs2\"}"},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf log = {0};

                buf_format(&log, "{\"recnum\":0,\"pcr\":8,\"digests\":[],\"content_type\":%s}",
                                rows[i].content);
                cel_row(buf_span(&log), rows[i].wanted);
        }
}

static const struct tap_test tests[] = {
                {"one escaper, three dialects", escaper},
                {"variables, and cut ones", variables},
                {"load options", load_options},
                {"other bodies, and cut ones", others},
                {"hops, with their ledger", hops},
                {"a row of a table is a line", tables},
                {"records of Canonical Event Logs", cel_records},
};
TAP_MAIN(tests)
