/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* base/json: what RFC 8259 allows is read, everything next to it is refused. */
#include "tests/unit/tap.h"

#include <errno.h>

#include "base/json.h"

static struct span text_span(const char *text)
{
        return SPAN(text, strlen(text));
}

static bool accepts(const char *text)
{
        struct json value;
        struct error error;

        return json_parse(text_span(text), &value, &error) == 0;
}

static void test_accepted(void)
{
        static const char *const texts[] = {
                        "null",
                        " true\n",
                        "false",
                        "0",
                        "-0",
                        "-1.5e+10",
                        "1E9",
                        "\"\"",
                        "[]",
                        "{}",
                        "[ ]",
                        "{ }",
                        "[[],{}]",
                        "[1,2 , 3]",
                        "{\"a\":1,\"b\":[{}]}",
                        "\"\\u00e9\\n\\/\\\"\"",
                        "\"\\ud83d\\ude00\"",
                        "\"\xf0\x9f\x98\x80\"",
                        "{\"\":{\"\":{}}}",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (!accepts(texts[i])) {
                        printf("# refused: %s\n", texts[i]);
                        CHECK(false);
                }
}

static void test_refused(void)
{
        static const char *const texts[] = {
                        "",
                        " ",
                        "nul",
                        "nulls",
                        "True",
                        "01",
                        "-",
                        "1.",
                        ".5",
                        "1e",
                        "+1",
                        "0x10",
                        "NaN",
                        "\"",
                        "\"\\\"",
                        "\"\\x41\"",
                        "\"\\u12g4\"",
                        "\"\\ud83d\"",
                        "\"\\ude00\"",
                        "\"\\ud83d\\u0041\"",
                        "\"\n\"",
                        "\"\x80\"",
                        "\"\xc0\x80\"",
                        "\"\xed\xa0\x80\"",
                        "\"\xf4\x90\x80\x80\"",
                        "\"\xe2\x82\"",
                        "[",
                        "]",
                        "[1",
                        "[1,]",
                        "[,1]",
                        "[1 2]",
                        "[}",
                        "{]",
                        "{1:2}",
                        "{\"a\"}",
                        "{\"a\":}",
                        "{\"a\":1,}",
                        "{\"a\" 1}",
                        "{,}",
                        "[1],",
                        "1 2",
                        "{} []",
                        "'a'",
                        "[1]//",
                        "\xef\xbb\xbf[]",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (accepts(texts[i])) {
                        printf("# accepted: %s\n", texts[i]);
                        CHECK(false);
                }
        struct json value;
        CHECK_EQ(json_parse(SPAN("1\0", 2), &value, NULL), -EBADMSG);
        CHECK_EQ(json_parse(SPAN("\"\0\"", 3), &value, NULL), -EBADMSG);
}

static void test_depth(void)
{
        char text[2 * (JSON_DEPTH_MAX + 1) + 1];

        for (unsigned depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
                memset(text, '[', depth);
                memset(text + depth, ']', depth);
                text[2 * depth] = '\0';
                CHECK_EQ(accepts(text), depth == JSON_DEPTH_MAX);
        }
}

static void test_members(void)
{
        static const char text[] = " {\"pcr\" : 11 , \"list\":[ 1,\"two\",[3 ] ] "
                                   ",\"w\\u006frd\":\"a\\u0000\\ud83d\\ude00\"} ";
        static const uint8_t word[] = {'a', 0, 0xf0, 0x9f, 0x98, 0x80};
        struct json root, value, key;
        struct error error;
        _cleanup_buf_ struct buf buf = {0};
        uint64_t number = 0;
        size_t offset = 0, n = 0;

        REQUIRE(json_parse(text_span(text), &root, &error) == 0);
        CHECK_EQ(json_get(&root, "pcr", &value, &error), 1);
        CHECK(json_u64(&value, &number) && number == 11);
        CHECK_EQ(json_get(&root, "wor", &value, &error), 0);
        CHECK_EQ(json_get(&root, "word", &value, &error), 1);
        CHECK(json_string(&value, &buf) && span_equal(buf_span(&buf), SPAN(word, sizeof(word))));
        CHECK(!json_is(&value, "a"));
        while (json_next(&root, &offset, &key, &value))
                n++;
        CHECK_EQ(n, 3);
        CHECK(json_is(&key, "word") && !json_is(&key, "words") && !json_is(&key, "wor"));

        REQUIRE(json_get(&root, "list", &value, &error) == 1);
        struct json element;
        offset = n = 0;
        while (json_next(&value, &offset, NULL, &element))
                n++;
        CHECK_EQ(n, 3);
        CHECK_EQ(element.kind, JSON_ARRAY);
        CHECK(span_equal(element.text, text_span("[3 ]")));
        CHECK_EQ(json_get(&element, "x", &value, &error), -EBADMSG);
}

/* Two readers may take different ones of two members: neither is to be trusted. */
static void test_twice(void)
{
        struct json root, value;
        struct error error;

        REQUIRE(json_parse(text_span("{\"a\":1,\"b\":2,\"\\u0061\":3}"), &root, &error) == 0);
        CHECK_EQ(json_get(&root, "a", &value, &error), -EBADMSG);
        CHECK(strstr(error.text, "\"a\" is there twice"));
        CHECK_EQ(json_get(&root, "b", &value, &error), 1);
}

static void test_numbers(void)
{
        static const struct {
                const char *text;
                bool fits;
                uint64_t value;
        } rows[] = {{"0", true, 0}, {"18446744073709551615", true, UINT64_MAX},
                        {"18446744073709551616", false, 0}, {"-1", false, 0}, {"1.0", false, 0},
                        {"1e3", false, 0}, {"true", false, 0}, {"\"1\"", false, 0}};

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct json value;
                uint64_t number = 0;

                REQUIRE(json_parse(text_span(rows[i].text), &value, NULL) == 0);
                CHECK_EQ(json_u64(&value, &number), rows[i].fits);
                CHECK_EQ(number, rows[i].value);
        }
}

static void test_values_in_a_row(void)
{
        struct span text = text_span(" {\"a\":1}[2]\n\"c\" x");
        size_t offset = 0;
        struct json value;
        struct error error;

        CHECK_EQ(json_take(text, &offset, &value, &error), 0);
        CHECK(value.kind == JSON_OBJECT && span_equal(value.text, text_span("{\"a\":1}")));
        CHECK_EQ(json_take(text, &offset, &value, &error), 0);
        CHECK(value.kind == JSON_ARRAY);
        CHECK_EQ(json_take(text, &offset, &value, &error), 0);
        CHECK(json_is(&value, "c"));
        CHECK_EQ(offset, 15);
        CHECK_EQ(json_take(text, &offset, &value, &error), -EBADMSG);
        CHECK_EQ(offset, 15);
}

static void test_text(void)
{
        static const struct {
                const char *json, *text;
        } rows[] = {{"\"\"", ""}, {"\"abcd\"", "abcd"}, {"\"\\u0061\\n\"", "a\n"},
                        {"\"\\u00e9\"", "\xc3\xa9"}, {"\"abcde\"", NULL}, {"\"abc\\u00e9\"", NULL},
                        {"\"a\\u0000\"", NULL}, {"1", NULL}};

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct json value;
                char text[5];

                REQUIRE(json_parse(text_span(rows[i].json), &value, NULL) == 0);
                CHECK_EQ(json_text(&value, text, sizeof(text)), rows[i].text != NULL);
                CHECK(!rows[i].text || strcmp(text, rows[i].text) == 0);
        }
}

static const struct tap_test tests[] = {
                {"what the grammar allows is read", test_accepted},
                {"what it doesn't is refused", test_refused},
                {"nesting has a limit", test_depth},
                {"members, elements and strings come out", test_members},
                {"a name that is there twice is refused", test_twice},
                {"values one behind the other", test_values_in_a_row},
                {"text that fits a buffer", test_text},
                {"numbers are exact or refused", test_numbers},
};
TAP_MAIN(tests)
