/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Canonical Event Logs: what systemd-pcrlock, libcel, tpm2-tss and Google's writers agree and
 * differ on, and twins with one thing wrong. The TLV vectors are written out by the specification's
 * tables. */
#include "tests/unit/tap.h"

#include <errno.h>

#include "eventlog/cel.h"

#define SHA1_HEX "000102030405060708090a0b0c0d0e0f10111213"

/* ---- TLV ---- */

#define SHA1_BYTES \
        "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13"
/* one less */
#define SHA1_SHORT "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12"
#define RECNUM(n)  "\x00\x00\x00\x00\x01" n
#define PCR(n)     "\x01\x00\x00\x00\x01" n
#define DIGESTS    "\x03\x00\x00\x00\x19\x04\x00\x00\x00\x14" SHA1_BYTES
/* EV_SEPARATOR with four zeros */
#define SEPARATOR                              \
        "\x05\x00\x00\x00\x12"                 \
        "\x00\x00\x00\x00\x04\x00\x00\x00\x04" \
        "\x01\x00\x00\x00\x04\x00\x00\x00\x00"
#define RECORD RECNUM("\x07") PCR("\x02") DIGESTS SEPARATOR

#define LITERAL(s) SPAN(s, sizeof(s) - 1)

/* The first record of a log; what cel_next returned. */
static int read_first(
                struct span bytes, struct buf *scratch, struct cel_record *ret, struct error *error)
{
        struct cel_log log;
        int r = cel_open(&log, bytes, error);

        return r < 0 ? r : cel_next(&log, scratch, ret, error);
}

static void test_tlv(void)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record record;
        struct cel_log log;
        struct error error;

        REQUIRE(cel_open(&log, LITERAL(RECORD), &error) == 0);
        CHECK(!log.json);
        REQUIRE(cel_next(&log, &scratch, &record, &error) == 1);
        CHECK_EQ(record.recnum, 7);
        CHECK(record.has_recnum);
        CHECK_EQ(record.place, CEL_PCR);
        CHECK_EQ(record.event.pcr, 2);
        CHECK_EQ(record.event.digests.n, 1);
        CHECK_EQ(record.event.digests.d[0].alg->id, TPM_ALG_SHA1);
        CHECK(memcmp(record.event.digests.d[0].bytes, SHA1_BYTES, 20) == 0);
        CHECK_EQ(record.content_type, CEL_PCCLIENT_STD);
        CHECK_EQ(record.event.type, EV_SEPARATOR);
        CHECK(record.data_known);
        CHECK(span_equal(record.event.data, LITERAL("\0\0\0\0")));
        CHECK_EQ(record.event.offset, 0);
        CHECK_EQ(record.event.size, sizeof(RECORD) - 1);
        CHECK_EQ(cel_next(&log, &scratch, &record, &error), 0);
        CHECK_EQ(cel_next(&log, &scratch, &record, &error), 0);
}

/* 80 and 81 by most, 0x80 and 0x81 by some; integers as wide as the writer likes. */
static void test_tlv_management(void)
{
        static const struct {
                struct span content;
                enum cel_management_type type;
                uint64_t value;
        } rows[] = {
                        {LITERAL("\x04\x00\x00\x00\x05\x02\x00\x00\x00\x00"), CEL_FIRMWARE_END, 0},
                        {LITERAL("\x04\x00\x00\x00\x06\x51\x00\x00\x00\x01\x02"), CEL_STATE_TRANS,
                                        CEL_KEXEC},
                        {LITERAL("\x04\x00\x00\x00\x09\x81\x00\x00\x00\x04\x00\x00\x00\x01"),
                                        CEL_STATE_TRANS, CEL_HIBERNATE},
                        {LITERAL("\x04\x00\x00\x00\x08\x50\x00\x00\x00\x03\x01\x02\x03"),
                                        CEL_TIMESTAMP, 0x010203},
                        {LITERAL("\x04\x00\x00\x00\x0a\x80\x00\x00\x00\x05\x01\x02\x03\x04\x05"),
                                        CEL_TIMESTAMP, 0x0102030405},
                        {LITERAL("\x04\x00\x00\x00\x12\x01\x00\x00\x00\x0d"
                                 "\x00\x00\x00\x00\x01\x01\x01\x00\x00\x00\x02\x01\x00"),
                                        CEL_VERSION, 1},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf log = {0}, scratch = {0};
                struct cel_record record;
                struct error error;

                buf_put_span(&log, LITERAL(RECNUM("\x00") PCR("\x08") "\x03\x00\x00\x00\x00"));
                buf_put_span(&log, rows[i].content);
                REQUIRE(read_first(buf_span(&log), &scratch, &record, &error) == 1);
                CHECK_EQ(record.content_type, CEL_MANAGEMENT);
                CHECK_EQ(record.event.digests.n, 0);
                CHECK_EQ(record.n_management, 1);
                CHECK_EQ(record.management[0].type, rows[i].type);
                CHECK_EQ(record.management[0].value, rows[i].value);
        }
}

static void test_tlv_contents(void)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record record;
        struct error error;

        REQUIRE(read_first(LITERAL(RECNUM("\x00") PCR("\x0a") DIGESTS
                                           "\x07\x00\x00\x00\x12"
                                           "\x00\x00\x00\x00\x06ima-ng"
                                           "\x01\x00\x00\x00\x02\xaa\xbb"),
                                &scratch, &record, &error) == 1);
        CHECK_EQ(record.content_type, CEL_IMA_TEMPLATE);
        CHECK(span_equal(record.name, LITERAL("ima-ng")));
        CHECK(span_equal(record.event.data, LITERAL("\xaa\xbb")));

        /* libcel's systemd, in an NV index */
        REQUIRE(read_first(LITERAL(RECNUM("\x00") "\x02\x00\x00\x00\x04\x01\x80\x00\x02" DIGESTS
                                                  "\x0b\x00\x00\x00\x25"
                                                  "\x00\x00\x00\x00\x01\x03"
                                                  "\x01\x00\x00\x00\x01\x05"
                                                  "\x02\x00\x00\x00\x10"
                                                  "0123456789abcdef"
                                                  "\x03\x00\x00\x00\x00"),
                                &scratch, &record, &error) == -EBADMSG); /* a length that lies */
        REQUIRE(read_first(LITERAL(RECNUM("\x00") "\x02\x00\x00\x00\x04\x01\x80\x00\x02" DIGESTS
                                                  "\x0b\x00\x00\x00\x28"
                                                  "\x00\x00\x00\x00\x01\x03"
                                                  "\x01\x00\x00\x00\x01\x05"
                                                  "\x02\x00\x00\x00\x10"
                                                  "0123456789abcdef"
                                                  "\x03\x00\x00\x00\x02id"),
                                &scratch, &record, &error) == 1);
        CHECK_EQ(record.place, CEL_NV_INDEX);
        CHECK_EQ(record.nv_index, 0x01800002);
        CHECK_EQ(record.content_type, CEL_SYSTEMD);
        CHECK(span_equal(record.name, LITERAL("machine-id")));
        CHECK(span_equal(record.event.data, LITERAL("id")));
        CHECK_EQ(record.timestamp_us, 5);
        CHECK(record.has_boot_id && memcmp(record.boot_id, "0123456789abcdef", 16) == 0);

        /* Google's: a measurement register, a content of its own, an algorithm that we don't know
         */
        REQUIRE(read_first(LITERAL("\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x05"
                                   "\x6c\x00\x00\x00\x01\x04"
                                   "\x03\x00\x00\x00\x06\xee\x00\x00\x00\x01\x00"
                                   "\x50\x00\x00\x00\x02\x05\x06"),
                                &scratch, &record, &error) == 1);
        CHECK_EQ(record.place, CEL_REGISTER);
        CHECK_EQ(record.event.pcr, 4);
        CHECK_EQ(record.recnum, 5);
        CHECK_EQ(record.event.digests.n, 0);
        CHECK_EQ(record.n_unknown, 1);
        CHECK_EQ(record.content_type, CEL_COS);
        CHECK(span_equal(record.event.data, LITERAL("\x05\x06")));
}

static void check_refused(struct span bytes, const char *reason)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record record;
        struct cel_log log;
        struct error error = {{0}};
        int r = cel_open(&log, bytes, &error);

        while (r >= 0 && (r = cel_next(&log, &scratch, &record, &error)) > 0)
                ;
        CHECK_EQ(r, -EBADMSG);
        if (!strstr(error.text, reason)) {
                CHECK(!"the wrong reason");
                printf("# %s, wanted %s\n", error.text, reason);
        }
}

static void test_tlv_twins(void)
{
        static const struct {
                struct span bytes;
                const char *reason;
        } rows[] = {
                        {LITERAL(""), "empty"},
                        {LITERAL("\x01\x00\x00\x00\x01\x07" PCR("\x02") DIGESTS SEPARATOR),
                                        "no record number"},
                        {LITERAL("\x00\x00\x00\x00\x09\0\0\0\0\0\0\0\0\1" PCR("\x02")
                                                         DIGESTS SEPARATOR),
                                        "no record number"},
                        {LITERAL("\x00\x00\x00\x00\x00" PCR("\x02") DIGESTS SEPARATOR),
                                        "no record number"},
                        {LITERAL(RECNUM("\x07") DIGESTS PCR("\x02") SEPARATOR), "no PCR"},
                        {LITERAL(RECNUM("\x07") PCR("\x18") DIGESTS SEPARATOR), "doesn't exist"},
                        {LITERAL(RECNUM("\x07") "\x01\x00\x00\x00\x05\x01\x00\x00\x00\x02" DIGESTS
                                                         SEPARATOR),
                                        "isn't a number"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") SEPARATOR DIGESTS), "no digests"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") "\x03\x00\x00\x00\x18\x04\x00\x00\x00"
                                                            "\x13" SHA1_SHORT SEPARATOR),
                                        "sha1 digest of 19 bytes"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") "\x03\x00\x00\x00\x18\x04\x00\x00\x00"
                                                            "\x14" SHA1_BYTES SEPARATOR),
                                        "cut off"},
                        {LITERAL(RECNUM("\x07") PCR(
                                         "\x02") "\x03\x00\x00\x00\x32\x04\x00\x00\x00"
                                                 "\x14" SHA1_BYTES
                                                 "\x04\x00\x00\x00\x14" SHA1_BYTES SEPARATOR),
                                        "two digests of algorithm 0x04"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS DIGESTS), "in place of"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS "\x05\x00\x00\x00\x09\x00\x00"
                                                                    "\x00\x00\x04\x00\x00\x00\x04"),
                                        "no event type or event data"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS
                                         "\x05\x00\x00\x00\x12\x00\x00\x00\x00\x04\x00\x00\x00\x04"
                                         "\x00\x00\x00\x00\x04\x00\x00\x00\x00"),
                                        "two fields of type 0"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS
                                         "\x05\x00\x00\x00\x12\x00\x00\x00\x00\x04\x00\x00\x00\x04"
                                         "\x02\x00\x00\x00\x04\x00\x00\x00\x00"),
                                        "field of type 2"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS
                                         "\x05\x00\x00\x00\x13\x00\x00\x00\x00\x06\x00\x00\x00\x00"
                                         "\x04"
                                         "\x01\x00\x00\x00\x04\x00\x00\x00\x00"),
                                        "cut off"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS "\x04\x00\x00\x00\x00"),
                                        "content is empty"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS
                                         "\x04\x00\x00\x00\x06\x51\x00\x00\x00\x01"
                                         "\x03"),
                                        "state_trans with a value"},
                        {LITERAL(RECNUM("\x07") PCR("\x02") DIGESTS
                                         "\x04\x00\x00\x00\x06\x52\x00\x00\x00\x01"
                                         "\x02"),
                                        "management of type 82"},
                        {LITERAL(RECORD RECORD), "record number 7 comes after 7"},
                        {LITERAL(RECORD RECNUM("\x06") PCR("\x02") DIGESTS SEPARATOR),
                                        "record number 6 comes after 7"},
                        {LITERAL(RECORD RECORD), "record 1 at offset 0x41 "},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                check_refused(rows[i].bytes, rows[i].reason);
        /* Numbers by PCR are fine: the same one in another PCR. */
        {
                _cleanup_buf_ struct buf scratch = {0};
                struct cel_record record;
                struct cel_log log;

                REQUIRE(cel_open(&log, LITERAL(RECORD RECNUM("\x07") PCR("\x03") DIGESTS SEPARATOR),
                                        NULL) == 0);
                CHECK_EQ(cel_next(&log, &scratch, &record, NULL), 1);
                CHECK_EQ(cel_next(&log, &scratch, &record, NULL), 1);
        }
}

/* ---- JSON ---- */

#define JSON_DIGESTS "\"digests\":[{\"hashAlg\":\"sha1\",\"digest\":\"" SHA1_HEX "\"}]"
#define JSON_RECORD(type, content)                                                                \
        "{\"recnum\":1,\"pcr\":4," JSON_DIGESTS ",\"content_type\":" type ",\"content\":" content \
        "}"
#define JSON_SEPARATOR(n)                                                                \
        "{\"pcr\":4,\"recnum\":" n "," JSON_DIGESTS ",\"content_type\":\"pcclient_std\"" \
        ",\"content\":{\"event_type\":\"EV_SEPARATOR\",\"event_data\":\"00000000\"}}"

static struct span text_span(const char *text)
{
        return SPAN(text, strlen(text));
}

static int count_records(const char *text)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record record;
        struct cel_log log;
        struct error error;
        int r = cel_open(&log, text_span(text), &error), n = 0;

        while (r >= 0 && (r = cel_next(&log, &scratch, &record, &error)) > 0)
                n++;
        return r < 0 ? r : n;
}

static void test_json_sequences(void)
{
        static const struct {
                const char *text;
                int n;
        } rows[] = {
                        {"[]", 0},
                        {" [ ] \n", 0},
                        {"[" JSON_SEPARATOR("1") "]", 1},
                        {"[" JSON_SEPARATOR("1") "," JSON_SEPARATOR("2") "]\n", 2},
                        {"\x1e" JSON_SEPARATOR("1") "\n\x1e" JSON_SEPARATOR("2") "\n", 2},
                        {JSON_SEPARATOR("0") "\n" JSON_SEPARATOR("2") "\n", 2},
                        {JSON_SEPARATOR("1") JSON_SEPARATOR("2"), 2},
                        {"[" JSON_SEPARATOR("1"), -EBADMSG},
                        {"[" JSON_SEPARATOR("1") ",]", -EBADMSG},
                        {"[," JSON_SEPARATOR("1") "]", -EBADMSG},
                        {"[" JSON_SEPARATOR("1") JSON_SEPARATOR("2") "]", -EBADMSG},
                        {"[" JSON_SEPARATOR("1") ",," JSON_SEPARATOR("2") "]", -EBADMSG},
                        {"[" JSON_SEPARATOR("1") "]]", -EBADMSG},
                        {"[" JSON_SEPARATOR("1") "]" JSON_SEPARATOR("2"), -EBADMSG},
                        {"[" JSON_SEPARATOR("1") "," JSON_SEPARATOR("1") "]", -EBADMSG},
                        {"[" JSON_SEPARATOR("2") "," JSON_SEPARATOR("1") "]", -EBADMSG},
                        {"[\x1e" JSON_SEPARATOR("1") "]", -EBADMSG},
                        {JSON_SEPARATOR("1") "," JSON_SEPARATOR("2"), -EBADMSG},
                        {"\x1e", 0},
                        {" \n", -EBADMSG},
                        {"[1]", -EBADMSG},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                CHECK_EQ(count_records(rows[i].text), rows[i].n);
                if (count_records(rows[i].text) != rows[i].n)
                        printf("# %s\n", rows[i].text);
        }
}

/* Ways to say EV_EFI_PLATFORM_FIRMWARE_BLOB2 with data 0aff in PCR 4, record 1. */
static void test_json_dialects(void)
{
        static const char *const texts[] = {
                        /* systemd-pcrlock, tpm2-tss */
                        JSON_RECORD("\"pcclient_std\"",
                                        "{\"event_type\":\"EV_EFI_PLATFORM_FIRMWARE_BLOB2\","
                                        "\"event_data\":\"0aff\"}"),
                        /* libcel, with its own spelling, and with numbers */
                        JSON_RECORD("\"pcclient_std\"",
                                        "{\"event_type\":\"ev_efi_platform_firmwate_blob2\","
                                        "\"event_data\":\"0aff\"}"),
                        JSON_RECORD("5", "{\"event_type\":2147483658,\"event_data\":\"0AFF\"}"),
                        JSON_RECORD("\"PCCLIENT_STD\"",
                                        "{\"event_type\":\"0x8000000a\",\"event_data\":\"0aff\"}"),
                        JSON_RECORD("\"0x05\"", "{\"event_data\":\"\\u0030aff\",\"event_type\":"
                                                "\"2147483658\",\"more\":[]}"),
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                _cleanup_buf_ struct buf scratch = {0};
                struct cel_record record;
                struct error error = {{0}};

                CHECK_EQ(read_first(text_span(texts[i]), &scratch, &record, &error), 1);
                if (error.text[0])
                        printf("# %s: %s\n", texts[i], error.text);
                CHECK_EQ(record.event.type, EV_EFI_PLATFORM_FIRMWARE_BLOB2);
                CHECK(span_equal(record.event.data, LITERAL("\x0a\xff")));
                CHECK_EQ(record.content_type, CEL_PCCLIENT_STD);
                CHECK_EQ(record.event.pcr, 4);
                CHECK_EQ(record.recnum, 1);
                CHECK_EQ(record.event.digests.n, 1);
        }
}

static void test_json_contents(void)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record record;
        struct error error;

        REQUIRE(read_first(text_span(JSON_RECORD("\"cel\"",
                                           "[{\"type\":\"firmware_end\"},{\"type\":80,\"data\":7},"
                                           "{\"type\":\"state_trans\",\"data\":\"kexec\"},"
                                           "{\"type\":129,\"data\":1},{\"type\":\"cel_version\","
                                           "\"data\":{\"major\":1,\"minor\":2}}]")),
                                &scratch, &record, &error) == 1);
        CHECK_EQ(record.n_management, 5);
        CHECK_EQ(record.management[0].type, CEL_FIRMWARE_END);
        CHECK_EQ(record.management[1].type, CEL_TIMESTAMP);
        CHECK_EQ(record.management[1].value, 7);
        CHECK_EQ(record.management[2].value, CEL_KEXEC);
        CHECK_EQ(record.management[3].type, CEL_STATE_TRANS);
        CHECK_EQ(record.management[3].value, CEL_HIBERNATE);
        CHECK_EQ(record.management[4].minor, 2);

        REQUIRE(read_first(text_span(JSON_RECORD("\"ima_template\"",
                                           "{\"template_name\":\"ima-sig\","
                                           "\"template_data\":\"aa\"}")),
                                &scratch, &record, &error) == 1);
        CHECK(span_equal(record.name, LITERAL("ima-sig")));
        CHECK(span_equal(record.event.data, LITERAL("\xaa")));

        REQUIRE(read_first(text_span("{\"nv_index\":25166338," JSON_DIGESTS
                                     ",\"content_type\":\"systemd\",\"content\":{\"string\":"
                                     "\"a\\\\303\","
                                     "\"bootId\":\"00112233445566778899aabbccddeeff\","
                                     "\"timestamp\":9,"
                                     "\"eventType\":\"keyslot\"}}"),
                                &scratch, &record, &error) == 1);
        CHECK(!record.has_recnum);
        CHECK_EQ(record.place, CEL_NV_INDEX);
        CHECK_EQ(record.nv_index, 25166338);
        CHECK(span_equal(record.name, LITERAL("keyslot")));
        CHECK(span_equal(record.event.data, LITERAL("a\\303")));
        CHECK_EQ(record.timestamp_us, 9);
        CHECK(record.has_boot_id);
        CHECK_EQ(record.boot_id[15], 0xff);

        /* tpm2-tss: its own events, and event data that it has decoded */
        REQUIRE(read_first(text_span(JSON_RECORD("\"tss2\"", "{\"data\":\"00\"}")), &scratch,
                                &record, &error) == 1);
        CHECK_EQ(record.content_type, CEL_NAMED);
        CHECK(!record.data_known);
        REQUIRE(read_first(text_span(JSON_RECORD("\"pcclient_std\"",
                                           "{\"event_type\":\"EV_IPL\",\"event_data\":{\"a\":1}}")),
                                &scratch, &record, &error) == 1);
        CHECK_EQ(record.event.type, EV_IPL);
        CHECK(!record.data_known);
}

static void test_json_twins(void)
{
#define DATA(type, data) "{\"event_type\":" type ",\"event_data\":" data "}"
        static const struct {
                const char *text, *reason;
        } rows[] = {
                        {"{\"recnum\":1," JSON_DIGESTS
                         ",\"content_type\":5,\"content\":" DATA("4", "\"\"") "}",
                                        "no PCR"},
                        {"{\"recnum\":1,\"pcr\":1,\"nv_index\":2,\"content_type\":5,"
                         "\"content\":" DATA("4", "\"\"") "}",
                                        "more than one"},
                        {"{\"recnum\":1,\"pcr\":1,\"pcr\":1,\"content_type\":5,\"content\":" DATA(
                                         "4", "\"\"") "}",
                                        "\"pcr\" is there twice"},
                        {"{\"recnum\":1,\"pcr\":1,\"\\u0070cr\":2,\"content_type\":5,"
                         "\"content\":" DATA("4", "\"\"") "}",
                                        "\"pcr\" is there twice"},
                        {"{\"recnum\":1,\"pcr\":24,\"content_type\":5,\"content\":" DATA(
                                         "4", "\"\"") "}",
                                        "doesn't exist"},
                        {"{\"recnum\":-1,\"pcr\":2,\"content_type\":5,\"content\":" DATA(
                                         "4", "\"\"") "}",
                                        "record number that isn't one"},
                        {"{\"recnum\":18446744073709551616,\"pcr\":2,\"content_type\":5,"
                         "\"content\":" DATA("4", "\"\"") "}",
                                        "record number that isn't one"},
                        {"{\"recnum\":1,\"pcr\":4294967296,\"content_type\":5,\"content\":" DATA(
                                         "4", "\"\"") "}",
                                        "no PCR"},
                        {"{\"recnum\":1,\"pcr\":2,\"content\":" DATA("4", "\"\"") "}",
                                        "no content type"},
                        {"{\"recnum\":1,\"pcr\":2,\"content_type\":5}", "no content"},
                        {JSON_RECORD("5", DATA("4294967296", "\"\"")), "no event type"},
                        {JSON_RECORD("5", DATA("\"EV_NOTHING\"", "\"\"")), "no event type"},
                        {JSON_RECORD("5", DATA("\"0x\"", "\"\"")), "no event type"},
                        {JSON_RECORD("5", DATA("4", "\"0\"")), "isn't hex"},
                        {JSON_RECORD("5", DATA("4", "\"0g\"")), "isn't hex"},
                        {JSON_RECORD("5", DATA("4", "\"00\\u000000\"")), "isn't hex"},
                        {JSON_RECORD("5", DATA("4", "12")), "isn't hex"},
                        {JSON_RECORD("5", "{\"event_type\":4}"), "isn't hex"},
                        {JSON_RECORD("5",
                                         "{\"event_type\":4,\"event_data\":\"\",\"event_type\":3}"),
                                        "\"event_type\" is there twice"},
                        {JSON_RECORD("\"tss2\"", "null"), "no content"},
                        {JSON_RECORD("5", "[]"), "isn't a JSON object"},
                        {JSON_RECORD("\"cel\"", "[]"), "content is empty"},
                        {JSON_RECORD("\"cel\"", "{\"type\":\"state_trans\",\"data\":\"reboot\"}"),
                                        "state_trans with a value"},
                        {JSON_RECORD("\"cel\"", "{\"type\":\"firmware_end\",\"data\":1}"),
                                        "firmware_end with a value"},
                        {JSON_RECORD("\"cel\"", "{\"type\":\"other\"}"), "no type of management"},
                        {JSON_RECORD("\"ima_template\"", "{\"template_name\":\"x\"}"),
                                        "no template name"},
                        {JSON_RECORD("\"systemd\"", "{\"string\":\"x\",\"bootId\":\"00\"}"),
                                        "boot ID"},
                        {JSON_RECORD("\"systemd\"", "{\"string\":7}"), "string that isn't one"},
                        {JSON_RECORD("\"systemd\"", "{\"eventType\":4,\"string\":\"\"}"),
                                        "no event type that systemd has"},
                        {JSON_RECORD("\"systemd\"", "{\"eventType\":\"a\",\"event_type\":\"a\"}"),
                                        "two event types"},
                        {"{\"recnum\":1,\"pcr\":2,\"digests\":{},\"content_type\":5,"
                         "\"content\":" DATA("4", "\"\"") "}",
                                        "isn't an array"},
                        {"{\"recnum\":1,\"pcr\":2,\"digests\":[{\"hashAlg\":\"sha256\",\"digest\":"
                         "\"" SHA1_HEX "\"}],\"content_type\":5,\"content\":" DATA("4", "\"\"") "}",
                                        "isn't 32 bytes"},
                        {"[" JSON_SEPARATOR("1") "," JSON_RECORD("5", "{}") "]",
                                        "record 1 at offset 0x"},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                check_refused(text_span(rows[i].text), rows[i].reason);
}

/* ---- both ---- */

/* Cut off anywhere but between records, a log isn't read to its end; what stands before is. */
static void check_cut(struct span bytes, size_t n_records)
{
        for (size_t size = 1; size < bytes.size; size++) {
                _cleanup_buf_ struct buf scratch = {0};
                uint8_t *copy = malloc(size); /* of just that size, for sanitizers */
                struct cel_record record;
                struct cel_log log;
                struct error error;
                size_t n = 0, end = 0;
                int r;

                memcpy(copy, bytes.data, size);
                r = cel_open(&log, SPAN(copy, size), &error);
                while (r >= 0 && (r = cel_next(&log, &scratch, &record, &error)) > 0) {
                        n++;
                        end = record.event.offset + record.event.size;
                }
                CHECK(r == -EBADMSG || end == size);
                CHECK(n < n_records);
                free(copy);
        }
}

static void test_cut(void)
{
        check_cut(LITERAL(RECORD RECNUM("\x08") PCR("\x02") DIGESTS SEPARATOR), 2);
        check_cut(text_span(JSON_SEPARATOR("1") JSON_SEPARATOR("2")), 2);
        check_cut(text_span("[" JSON_SEPARATOR("1") "," JSON_SEPARATOR("2") "]"), 3);
}

static const struct tap_test tests[] = {
                {"a record of the TLV form", test_tlv},
                {"management in the TLV form, by both numberings", test_tlv_management},
                {"other contents of the TLV form", test_tlv_contents},
                {"records of the TLV form that lie are refused", test_tlv_twins},
                {"arrays and sequences of JSON", test_json_sequences},
                {"one event in the words of each writer", test_json_dialects},
                {"other contents in JSON", test_json_contents},
                {"records in JSON that lie are refused", test_json_twins},
                {"logs cut off at each byte", test_cut},
};
TAP_MAIN(tests)
