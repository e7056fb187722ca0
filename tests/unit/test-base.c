/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/alg.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/efi-types.h"
#include "base/error.h"
#include "base/guid.h"
#include "base/utf16.h"
#include "tests/unit/tap.h"

static void cursor_is_bounded(void)
{
        const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
        struct cursor c = CURSOR(SPAN(bytes, sizeof(bytes)));
        uint64_t u64 = 0;
        uint32_t u32 = 0;
        uint16_t u16 = 0;
        uint8_t u8 = 0;
        struct span s;

        CHECK(cursor_u32(&c, &u32));
        CHECK_EQ(u32, 0x04030201);
        CHECK(!cursor_u64(&c, &u64)); /* five bytes left: nothing taken, nothing written */
        CHECK_EQ(u64, 0);
        CHECK_EQ(cursor_left(&c), 5);
        CHECK(cursor_be16(&c, &u16));
        CHECK_EQ(u16, 0x0506);
        CHECK(!cursor_take(&c, UINT64_MAX, &s));
        CHECK(!cursor_skip(&c, 4));
        CHECK(cursor_skip(&c, 2));
        CHECK(cursor_u8(&c, &u8));
        CHECK_EQ(u8, 9);
        CHECK(!cursor_u8(&c, &u8));
        CHECK(!span_sub(SPAN(bytes, sizeof(bytes)), 1, UINT64_MAX, &s)); /* offset + size wraps */
        CHECK(!span_sub(SPAN(bytes, sizeof(bytes)), 10, 0, &s));
        CHECK(span_sub(SPAN(bytes, sizeof(bytes)), 9, 0, &s));
}

static void buffers_write_both_orders(void)
{
        static const uint8_t wanted[] = {0x34, 0x12, 0x12, 0x34, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0};
        _cleanup_buf_ struct buf b = {0};

        buf_put_u16(&b, 0x1234);
        buf_put_be16(&b, 0x1234);
        buf_put_u32(&b, 1);
        buf_put_be32(&b, 2);
        buf_put_zeros(&b, 2);
        CHECK(span_equal(buf_span(&b), SPAN(wanted, sizeof(wanted))));
        buf_put_zeros(&b, SIZE_MAX); /* can't be: sticks, nothing written */
        CHECK(buf_failed(&b));
        CHECK_EQ(b.size, sizeof(wanted));
}

static void files_are_bounded(void)
{
        _cleanup_buf_ struct buf b = {0};
        struct error e = {{0}};

        CHECK_EQ(buf_read_file("/proc/self/status", 1 << 20, &b, &e), 0); /* reported size 0 */
        CHECK(b.size > 100);
        buf_release(&b);
        CHECK_EQ(buf_read_file("/proc/self/status", 10, &b, &e), -EFBIG);
        CHECK(strstr(e.text, "/proc/self/status") != NULL);
        CHECK_EQ(b.size, 0);
        CHECK_EQ(buf_read_file("/nonexistent/x", 10, &b, &e), -ENOENT);
        CHECK(strstr(e.text, "/nonexistent/x") != NULL);
}

/* FIPS 180-2 and GB/T 32905-2016, appendix examples: "abc". */
static void hashes_match_the_standards(void)
{
        static const struct {
                const char *name, *digest;
        } rows[] = {
                        {"sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"},
                        {"sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a"
                                   "d"},
                        {"sha384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5be"
                                   "d"
                                   "8086072ba1e7cc2358baeca134c825a7"},
                        {"sha512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39"
                                   "a"
                                   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49"
                                   "f"},
                        {"sm3_256", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8"
                                    "e0"},
                        /* openssl dgst */
                        {"sha3_256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431"
                                     "532"},
                        {"sha3_384", "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be"
                                     "4b298d88cea927ac7f539f1edf228376d25"},
                        {"sha3_512", "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d27"
                                     "12e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274e"
                                     "ec53f0"},
        };
        struct banks banks = {0};
        struct digests digests;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                CHECK(banks_add(&banks, alg_by_name(rows[i].name)));
        CHECK(!banks_add(&banks, alg_by_name("sha256")));
        CHECK_EQ(banks.n, ALG_MAX);
        CHECK_EQ(banks_efi_bitmap(&banks), 0x1f); /* SHA-3 has no bits */
        REQUIRE(hash_span(&banks, SPAN("abc", 3), &digests) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char hex[2 * DIGEST_MAX_BYTES + 1];

                hex_encode(SPAN(digests.d[i].bytes, digests.d[i].alg->size), hex);
                CHECK(strcmp(hex, rows[i].digest) == 0);
        }
        CHECK(alg_by_name("md5") == NULL && alg_by_id(1) == NULL);
}

static void hasher_takes_pieces(void)
{
        struct banks banks = {.n = 2, .alg = {alg_by_name("sha1"), alg_by_name("sha512")}};
        static uint8_t bytes[300001];
        struct hasher *h = NULL;
        struct digests whole, pieces, again;

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 31);
        REQUIRE(hash_span(&banks, SPAN(bytes, sizeof(bytes)), &whole) == 0);
        REQUIRE(hasher_new(&banks, &h) == 0);
        for (int round = 0; round < 2; round++) {
                CHECK_EQ(hasher_update(h, SPAN(bytes, 7)), 0);
                CHECK_EQ(hasher_update(h, SPAN(bytes + 7, sizeof(bytes) - 7)), 0);
                CHECK_EQ(hasher_finish(h, round ? &again : &pieces), 0);
        }
        hasher_free(h);
        CHECK(digests_equal(&whole, &pieces) && digests_equal(&whole, &again));
        bytes[150000] ^= 1;
        REQUIRE(hash_span(&banks, SPAN(bytes, sizeof(bytes)), &again) == 0);
        CHECK(!digests_equal(&whole, &again));
}

static void hex_is_strict(void)
{
        uint8_t bytes[2] = {0};

        CHECK(hex_decode("aBcD", bytes, 2) && bytes[0] == 0xab && bytes[1] == 0xcd);
        CHECK(!hex_decode("abc", bytes, 2));
        CHECK(!hex_decode("abcdef", bytes, 2));
        CHECK(!hex_decode("ab g", bytes, 2));
}

static void guids_have_wire_order(void)
{
        static const uint8_t wire[] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d,
                        0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
        char text[GUID_TEXT_SIZE];
        EFI_GUID g;

        guid_to_text(&guid_global_variable, text);
        CHECK(strcmp(text, "8be4df61-93ca-11d2-aa0d-00e098032b8c") == 0);
        CHECK(memcmp(&guid_global_variable, wire, 16) == 0);
        CHECK(guid_from_text("8BE4DF61-93CA-11D2-AA0D-00E098032B8C", &g));
        CHECK(guid_equal(&g, &guid_global_variable));
        CHECK(!guid_from_text("8be4df61-93ca-11d2-aa0d-00e098032b8", &g));
        CHECK(!guid_from_text("8be4df61-93ca-11d2-aa0d-00e098032b8cx", &g));
        CHECK(!guid_from_text("8be4df61x93ca-11d2-aa0d-00e098032b8c", &g));
        CHECK(strcmp(guid_name(&guid_tcg2), "TCG2") == 0);
        CHECK(strcmp(efi_status_name(EFI_NOT_FOUND), "EFI_NOT_FOUND") == 0);
}

static void utf16_round_trips(void)
{
        _cleanup_buf_ struct buf wide = {0};
        _cleanup_free_ char *back = NULL;
        static const uint8_t lone[] = {0x00, 0xd8, 'a', 0, 0xff};
        _cleanup_buf_ struct buf fixed = {0};

        CHECK(utf8_to_utf16("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7", &wide));
        CHECK_EQ(wide.size, 10);
        back = utf16_to_text(buf_span(&wide));
        CHECK(back && strcmp(back, "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7") == 0);
        CHECK(!utf8_to_utf16("ok\xc0\x80", &wide));         /* overlong NUL */
        CHECK(!utf8_to_utf16("ok\xed\xa0\x80", &wide));     /* surrogate */
        CHECK(!utf8_to_utf16("ok\xf4\x90\x80\x80", &wide)); /* beyond U+10FFFF */
        CHECK(!utf8_to_utf16("ok\xe2\x82", &wide));         /* cut off */
        CHECK_EQ(wide.size, 10);
        utf16_to_utf8(SPAN(lone, sizeof(lone)), &fixed);
        CHECK(span_equal(buf_span(&fixed), SPAN("\xef\xbf\xbd"
                                                "a",
                                                           4)));
}

static void errors_carry_their_reason(void)
{
        struct error e = {{0}};

        CHECK_EQ(error_set(&e, EINVAL, "PCR %d", 8), -EINVAL);
        CHECK_EQ(error_prefix(&e, -EINVAL, "file %s", "x"), -EINVAL);
        CHECK(strcmp(e.text, "file x: PCR 8") == 0);
        for (int i = 0; i < 100; i++)
                error_prefix(&e, -EINVAL, "%s", "a long prefix again and again");
        CHECK_EQ(strlen(e.text), sizeof(e.text) - 1);
        CHECK_EQ(error_set(NULL, ENOMEM, "nobody listens"), -ENOMEM);
}

/* Around the size that is formatted without a second try, and a NUL that must not stay. */
static void test_format(void)
{
        for (int length = 0; length < 600; length++) {
                _cleanup_buf_ struct buf b = {0};

                buf_put(&b, "<", 1);
                buf_format(&b, "%*d", length, 7);
                buf_put(&b, ">", 1);
                REQUIRE(!buf_failed(&b) && b.size == (size_t)(length > 1 ? length : 1) + 2);
                CHECK(b.data[0] == '<' && b.data[b.size - 2] == '7' && b.data[b.size - 1] == '>');
                CHECK(!memchr(b.data, 0, b.size));
        }
}

static const struct tap_test tests[] = {
                {"the cursor never leaves its span", cursor_is_bounded},
                {"buffers write little- and big-endian and fail for good",
                                buffers_write_both_orders},
                {"files are read whole or not at all", files_are_bounded},
                {"digests are those of the standards", hashes_match_the_standards},
                {"the hasher takes data in pieces and starts over", hasher_takes_pieces},
                {"hex is exact", hex_is_strict},
                {"GUIDs are in wire order", guids_have_wire_order},
                {"UTF-16 to UTF-8 and back, bad forms refused or replaced", utf16_round_trips},
                {"errors carry one line, bounded", errors_carry_their_reason},
                {"formatted text of any length", test_format},
};

TAP_MAIN(tests)
