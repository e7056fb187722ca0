/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* base/base64: RFC 4648's own examples, every length and every character against OpenSSL's encoder,
 * and that no value has a second text. */
#include "tests/unit/tap.h"

#include <openssl/evp.h>

#include "base/base64.h"

static struct span text_span(const char *text)
{
        return SPAN(text, strlen(text));
}

/* Section 10. */
static void test_examples(void)
{
        static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
                        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
                        {"foobar", "Zm9vYmFy"}};

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[16] = "";
                uint8_t bytes[16];
                size_t size = 99;

                CHECK_EQ(base64_size(strlen(rows[i][0])), strlen(rows[i][1]));
                base64_encode(text_span(rows[i][0]), text);
                CHECK(strcmp(text, rows[i][1]) == 0);
                CHECK(base64_decode(text_span(rows[i][1]), bytes, &size));
                CHECK(span_equal(SPAN(bytes, size), text_span(rows[i][0])));
                CHECK(size <= base64_room(strlen(rows[i][1])));
        }
}

static void test_as_openssl(void)
{
        uint8_t bytes[300], decoded[300];
        char ours[404], theirs[404];
        size_t size;

        for (size_t n = 0; n <= sizeof(bytes); n++) {
                for (size_t i = 0; i < n; i++)
                        bytes[i] = (uint8_t)(i * 131 + n * 7);
                EVP_EncodeBlock((unsigned char *)theirs, bytes, (int)n);
                base64_encode(SPAN(bytes, n), ours);
                CHECK_EQ(strlen(theirs), base64_size(n));
                CHECK(memcmp(ours, theirs, base64_size(n)) == 0);
                CHECK(base64_decode(SPAN(ours, base64_size(n)), decoded, &size) && size == n &&
                                memcmp(bytes, decoded, n) == 0);
        }
}

/* Whatever stands in any place of a quartet: accepted exactly if it is what is encoded again. */
static void test_one_text(void)
{
        static const char *const bases[] = {
                        "AAAA", "AA==", "AAA=", "////", "//==", "///=", "Zm9vYmFy", "Zm9vYg=="};
        size_t n_accepted = 0;

        for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++)
                for (size_t at = 0; at < strlen(bases[b]); at++)
                        for (unsigned c = 0; c < 256; c++) {
                                char text[9], again[9];
                                uint8_t bytes[6];
                                size_t size;

                                strcpy(text, bases[b]);
                                text[at] = (char)c;
                                if (!base64_decode(SPAN(text, strlen(bases[b])), bytes, &size))
                                        continue;
                                n_accepted++;
                                base64_encode(SPAN(bytes, size), again);
                                CHECK(base64_size(size) == strlen(bases[b]) &&
                                                memcmp(text, again, strlen(bases[b])) == 0);
                        }
        /* a place that carries 6, 4 or 2 bits has 64, 16 or 4 characters; a "=" has itself, and in
         * its place what makes the quartet longer by a byte and has zeros where bits are unused */
        CHECK(n_accepted > 1000);
}

static void test_refused(void)
{
        static const char *const texts[] = {"A", "AA", "AAA", "AAAAA", "=",
                        "==", "===", "====", "A===", "AB==", "AAB=", "AA=A", "A=AA", "=AAA",
                        "AA==AAAA", "AAA=AAAA", "AAAA====", "AAAA\n", "AAAA AAAA", "AA AA", "AAA\n",
                        "AA-_", "AAA*", "\xff\xff\xff\xff", "AAA\x80"};
        uint8_t bytes[16];
        size_t size;

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (base64_decode(text_span(texts[i]), bytes, &size)) {
                        printf("# accepted: %s\n", texts[i]);
                        CHECK(false);
                }
        CHECK(!base64_decode(SPAN("AAA\0", 4), bytes, &size));
}

static const struct tap_test tests[] = {
                {"RFC 4648's examples", test_examples},
                {"every length as OpenSSL has it", test_as_openssl},
                {"each value has one text", test_one_text},
                {"what isn't base64 is refused", test_refused},
};

TAP_MAIN(tests)
