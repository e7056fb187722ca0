/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's measurement log: shapes that its versions write, what explains a digest, and twins with
 * one thing wrong. Records of a real systemd-pcrextend are in the corpus (test-eventlog-corpus). */
#include "tests/unit/tap.h"

#include <errno.h>

#include "eventlog/systemd-log.h"

/* printf enter-initrd | sha256sum */
#define ENTER_INITRD  "51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed"
#define DIGEST(hex)   "[{\"hashAlg\":\"sha256\",\"digest\":\"" hex "\"}]"
#define CONTENT(s, t) "{\"string\":\"" s "\",\"timestamp\":5,\"eventType\":\"" t "\"}"
#define RECORD(where, digests, content)                                                            \
        "\x1e{" where ",\"digests\":" digests ",\"content_type\":\"systemd\",\"content\":" content \
        "}\n"
#define PHASE RECORD("\"pcr\":11", DIGEST(ENTER_INITRD), CONTENT("enter-initrd", "phase"))

static struct span text_span(const char *text)
{
        return SPAN(text, strlen(text));
}

/* The only record of a log. */
static int read_one(const char *text, struct systemd_record *ret, struct error *error)
{
        size_t offset = 0, index = 0;

        return systemd_log_next(text_span(text), &offset, &index, ret, error);
}

static enum systemd_explained explained(const char *text)
{
        struct systemd_record record;
        struct error error;
        enum systemd_explained ret = SYSTEMD_UNVERIFIABLE;

        CHECK_EQ(read_one(text, &record, &error), 1);
        CHECK_EQ(systemd_record_explain(&record, &ret), 0);
        return ret;
}

static void test_record(void)
{
        struct systemd_record record;
        struct error error;

        REQUIRE(read_one(PHASE, &record, &error) == 1);
        CHECK(record.has_pcr && !record.has_nv_index);
        CHECK_EQ(record.pcr, 11);
        CHECK_EQ(record.digests.n, 1);
        CHECK_EQ(record.timestamp_us, 5);
        CHECK_EQ(record.offset, 1);
        CHECK(json_is(&record.event_type, "phase"));

        REQUIRE(read_one(RECORD("\"nv_index\":25166338", DIGEST(ENTER_INITRD),
                                         CONTENT("x", "nvpcr-init")),
                                &record, &error) == 1);
        CHECK(!record.has_pcr && record.has_nv_index);
        CHECK_EQ(record.nv_index, 25166338);
}

static void test_sequence(void)
{
        static const char *const logs[] = {
                        PHASE PHASE PHASE,
                        "{\"pcr\":1,\"digests\":[]}\n{\"pcr\":2,\"digests\":[]}\n\n{\"pcr\":3,"
                        "\"digests\":[]}",
                        "\x1e{\"pcr\":1,\n\"digests\":[]}\x1e\x1e{\"pcr\":2,\"digests\":[]}\x1e{"
                        "\"pcr\":3,\"digests\":[]}",
        };

        for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
                struct systemd_record record;
                struct error error;
                size_t offset = 0, index = 0;
                int r;

                while ((r = systemd_log_next(
                                        text_span(logs[i]), &offset, &index, &record, &error)) > 0)
                        CHECK_EQ(record.index, index - 1);
                CHECK_EQ(r, 0);
                CHECK_EQ(index, 3);
        }
        size_t offset = 0, index = 0;
        struct systemd_record record;
        CHECK_EQ(systemd_log_next(SPAN(NULL, 0), &offset, &index, &record, NULL), 0);
}

/* One bad record doesn't hide what stands behind it. */
static void test_goes_on(void)
{
        const char *log = PHASE "\x1e{\"pcr\":11,\"dig\n" PHASE;
        struct systemd_record record;
        struct error error;
        size_t offset = 0, index = 0;

        CHECK_EQ(systemd_log_next(text_span(log), &offset, &index, &record, &error), 1);
        CHECK_EQ(systemd_log_next(text_span(log), &offset, &index, &record, &error), -EBADMSG);
        CHECK(strstr(error.text, "record 1 at offset"));
        CHECK_EQ(systemd_log_next(text_span(log), &offset, &index, &record, &error), 1);
        CHECK_EQ(record.index, 2);
        CHECK_EQ(systemd_log_next(text_span(log), &offset, &index, &record, &error), 0);
}

static void test_refused(void)
{
        static const char *const logs[] = {
                        "\x1e[]\n",
                        RECORD("\"pcr\":24", DIGEST(ENTER_INITRD), "{}"),
                        RECORD("\"pcr\":-1", DIGEST(ENTER_INITRD), "{}"),
                        RECORD("\"pcr\":\"11\"", DIGEST(ENTER_INITRD), "{}"),
                        RECORD("\"pcr\":11,\"pcr\":12", DIGEST(ENTER_INITRD), "{}"),
                        RECORD("\"pcr\":11,\"nv_index\":3", DIGEST(ENTER_INITRD), "{}"),
                        RECORD("\"x\":1", DIGEST(ENTER_INITRD), "{}"),
                        RECORD("\"pcr\":11", "{}", "{}"),
                        RECORD("\"pcr\":11", "[{\"hashAlg\":\"sha256\"}]", "{}"),
                        RECORD("\"pcr\":11", "[{\"hashAlg\":\"sha256\",\"digest\":\"00\"}]", "{}"),
                        RECORD("\"pcr\":11",
                                        "[{\"hashAlg\":\"sha1\",\"digest\":\"" ENTER_INITRD "\"}]",
                                        "{}"),
                        RECORD("\"pcr\":11",
                                        "[{\"hashAlg\":\"sha256\",\"digest\":\"" ENTER_INITRD
                                        "\"},{\"hashAlg\":11,\"digest\":\"" ENTER_INITRD "\"}]",
                                        "{}"),
                        RECORD("\"pcr\":11", DIGEST(ENTER_INITRD),
                                        "{\"string\":\"a\",\"string\":\"b\"}"),
                        RECORD("\"pcr\":11", DIGEST(ENTER_INITRD), "[]"),
        };

        for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
                struct systemd_record record;
                struct error error = {{0}};

                if (read_one(logs[i], &record, &error) != -EBADMSG) {
                        printf("# accepted: %s", logs[i]);
                        CHECK(false);
                }
                CHECK(strstr(error.text, "record 0 at offset"));
        }
}

static void test_explain(void)
{
        CHECK_EQ(explained(PHASE), SYSTEMD_VERIFIED);
        CHECK_EQ(explained(RECORD("\"pcr\":11", DIGEST(ENTER_INITRD),
                                 CONTENT("enter-initrD", "phase"))),
                        SYSTEMD_MISMATCH);
        /* A volume key's digest is keyed: the string is its name, not what was hashed. */
        CHECK_EQ(explained(RECORD("\"pcr\":15", DIGEST(ENTER_INITRD),
                                 CONTENT("cryptsetup:root:uuid", "volume-key"))),
                        SYSTEMD_UNVERIFIABLE);
        CHECK_EQ(explained(RECORD("\"pcr\":15", DIGEST(ENTER_INITRD), "{}")), SYSTEMD_UNVERIFIABLE);
}

/* As systemd 262 wrote them (tests/corpus/systemd-log/systemd-262). */
static void test_kinds(void)
{
        static const struct {
                const char *where, *string, *type, *digest;
                enum systemd_explained edited;
        } rows[] = {
                        {"\"pcr\":7", "os-separator", "os-separator",
                                        "ff5b9d73dad709633ae76adf444012b5"
                                        "7e913a12ed7403c3931145862f35f841",
                                        SYSTEMD_MISMATCH},
                        {"\"pcr\":9", "nvpcr-separator", "nvpcr-separator",
                                        "97c5f96d4cd3fb14c7e272c47762af20"
                                        "8f712c1a47733567e5c233e2b6f6c5cb",
                                        SYSTEMD_MISMATCH},
                        {"\"nv_index\":30474752", "product-id:missing", "product-id",
                                        "4fdc4d4dfea787c1b43813094d116418"
                                        "8fc30ebcac268df97a4d425dc919b2c3",
                                        SYSTEMD_MISMATCH},
                        {"\"nv_index\":30474753",
                                        "cryptsetup-keyslot:root:"
                                        "9f2b10a9-af66-4e5a-9d1e-dd3842d10a12::0",
                                        "keyslot",
                                        "325b8b482e778fa4d1c2f4d8bbf1fbfc"
                                        "faa46dd63c4608aca49bf17025f7bbb8",
                                        SYSTEMD_MISMATCH},
                        /* A long user record is cut in the log. */
                        {"\"nv_index\":30474755",
                                        "login:root:{\\\\\\\"gid\\\\\\\":0,\\\\\\\"homeDirectory"
                                        "\\\\\\\":\\\\\\\"/root\\\\\\\",\\\\\\\"shell\\\\\\\":"
                                        "\\\\\\\"/bin/bash\\\\\\\",\\\\\\\"uid\\\\\\\":0,"
                                        "\\\\\\\"userName\\\\\\\":\\\\\\\"root\\\\\\\"}",
                                        "login",
                                        "bfa293b8705b9aaad4e165c97c22cb55"
                                        "3a59dc1aac0c67575782f75c814d2286",
                                        SYSTEMD_UNVERIFIABLE},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[1024];
                static const char format[] =
                                "\x1e{%s,\"digests\":[{\"hashAlg\":\"sha256\",\"digest\":"
                                "\"%s\"}],\"content\":{\"string\":\"%s%s\","
                                "\"eventType\":\"%s\"}}\n";

                snprintf(text, sizeof(text), format, rows[i].where, rows[i].digest, rows[i].string,
                                "", rows[i].type);
                CHECK_EQ(explained(text), SYSTEMD_VERIFIED);
                snprintf(text, sizeof(text), format, rows[i].where, rows[i].digest, rows[i].string,
                                "!", rows[i].type);
                CHECK_EQ(explained(text), rows[i].edited);
        }
}

static void test_escapes(void)
{
        /* C-escaped by systemd, then by JSON; what was measured is text with a newline and a tab.
         */
        const char *log = RECORD("\"pcr\":11", "[]",
                        CONTENT("a\\\\tb \\\\303\\\\251 \\\\\\\"q\\\\\\\" \\\\x41\\\\n", "phase"));
        const char *broken[] = {"\\\\", "\\\\q", "\\\\30", "\\\\x4", "\\\\400", "\\\\388"};
        struct systemd_record record;
        _cleanup_buf_ struct buf measured = {0};
        struct error error;

        REQUIRE(read_one(log, &record, &error) == 1);
        CHECK(systemd_record_measured(&record, &measured));
        CHECK(span_equal(buf_span(&measured), text_span("a\tb \303\251 \"q\" A\n")));
        for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
                _cleanup_buf_ struct buf none = {0};
                char text[256];

                snprintf(text, sizeof(text),
                                "\x1e{\"pcr\":1,\"digests\":[],\"content\":{\"string\":\"%s\"}}\n",
                                broken[i]);
                REQUIRE(read_one(text, &record, &error) == 1);
                CHECK(!systemd_record_measured(&record, &none));
                CHECK_EQ(none.size, 0);
        }
}

static const struct tap_test tests[] = {
                {"records of PCRs and NvPCRs", test_record},
                {"sequences with and without separators", test_sequence},
                {"a malformed record doesn't hide the next", test_goes_on},
                {"records that lie are refused", test_refused},
                {"the string explains the digest, or not", test_explain},
                {"what systemd 262 measures", test_kinds},
                {"escapes of C within JSON", test_escapes},
};
TAP_MAIN(tests)
