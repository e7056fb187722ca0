/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventlog/: parse, append, replay, explain and decode, on logs made here with their forged twins,
 * and on the real logs of the corpus where that is at hand ($MKEXEC_CORPUS or ../shared/corpus
 * beside the source tree). */
#include <dirent.h>
#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "eventlog/decode.h"
#include "eventlog/explain.h"
#include "eventlog/hop-check.h"
#include "eventlog/parse.h"
#include "eventlog/replay.h"
#include "tests/unit/tap.h"

#define TEXT(s) SPAN(s, sizeof(s) - 1)

static struct banks banks_of(const char *names)
{
        struct banks banks = {0};
        char copy[128], *save, *name;

        snprintf(copy, sizeof(copy), "%s", names);
        for (name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save))
                CHECK(banks_add(&banks, alg_by_name(name)));
        return banks;
}

static struct tcg_event measured(
                const struct banks *banks, uint32_t pcr, uint32_t type, struct span data)
{
        struct tcg_event event = {.pcr = pcr, .type = type, .data = data};

        CHECK_EQ(hash_span(banks, data, &event.digests), 0);
        return event;
}

static void put(struct buf *log, const struct banks *banks, uint32_t pcr, uint32_t type,
                struct span data)
{
        struct tcg_event event = measured(banks, pcr, type, data);

        CHECK_EQ(event_log_put_event(log, banks, &event), 0);
}

/* The number of events, or what event_log_open and event_log_next say against the log. */
static int walk(struct span bytes, struct error *error)
{
        struct event_log log;
        struct tcg_event event;
        int n = 0, r;

        r = event_log_open(&log, bytes, error);
        if (r < 0)
                return r;
        EVENT_LOG_FOREACH (&log, &event, r, error)
                n++;
        return r < 0 ? r : n;
}

static void check_pcr(const struct replay *replay, uint16_t alg, unsigned pcr, const char *hex)
{
        char got[2 * DIGEST_MAX_BYTES + 1] = "no such bank";
        int b = replay_bank(replay, alg);

        if (b >= 0)
                hex_encode(SPAN(replay->pcr[b][pcr].bytes, replay->banks.alg[b]->size), got);
        if (strcmp(got, hex) != 0)
                printf("# PCR %u is %s\n", pcr, got);
        CHECK(strcmp(got, hex) == 0);
}

static void round_trip(void)
{
        /* H(zeros, H("abc")): Python's hashlib */
        static const struct {
                uint16_t alg;
                const char *pcr;
        } values[] = {
                        {TPM_ALG_SHA256, "589f9ffed4c477966bfb8d41f37895b08c69047df8f911d6f3b57fbe0"
                                         "8faee8d"},
                        {TPM_ALG_SHA3_256, "d977a6829721d3071cc5e73ccf46f11967e4922ca7a292604b82017"
                                           "6606b294b"},
                        {TPM_ALG_SHA3_384, "5e8bb103f983ad9d86c0ad9a2f5d796acbb141e80ae228d273247fa"
                                           "f20e23fb054c9aa79e8c3981342a6c8f309033b80"},
                        {TPM_ALG_SHA3_512, "83e66121081abcb22af39c05a5769a6251a05150bc2c829006646c2"
                                           "30c330e375ba5e9d3da2fd65d636cf16420c5318d06d3b77a58bc37"
                                           "946944aebcf6962d35"},
        };
        static const char *const sets[] = {"sha256", "sha1 sha256 sha384 sha512", "sm3_256 sha1",
                        "sha3_256 sha3_384 sha3_512",
                        "sha3_512 sha1 sha256 sm3_256 sha384 sha3_256 sha512 sha3_384"};

        for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
                struct banks banks = banks_of(sets[i]);
                _cleanup_buf_ struct buf log = {0};
                struct tcg_event event, wanted = measured(&banks, 4, EV_IPL, TEXT("abc"));
                struct event_log parsed;
                struct replay replay;
                struct error error;
                size_t size;
                int r;

                event_log_put_header(&log, &banks);
                size = log.size;
                put(&log, &banks, 4, EV_IPL, TEXT("abc"));
                CHECK_EQ(log.size - size, event_log_size_of_event(&banks, 3));
                REQUIRE(event_log_open(&parsed, buf_span(&log), &error) == 0);
                CHECK(parsed.agile && !parsed.cc && parsed.first_index == 1);
                CHECK_EQ(parsed.first_offset, size);
                CHECK_EQ(parsed.banks.n, banks.n);
                CHECK_EQ(parsed.n_declared, banks.n);
                EVENT_LOG_FOREACH (&parsed, &event, r, &error) {
                        CHECK(event.index == 0 ? event.digests.n == 0
                                               : digests_equal(&event.digests, &wanted.digests));
                        if (event.index == 1)
                                CHECK(span_equal(event.data, TEXT("abc")) && event.offset == size);
                }
                CHECK_EQ(r, 0);
                REQUIRE(replay_log(buf_span(&log), &replay, &error) == 0);
                for (size_t b = 0; b < banks.n; b++)
                        CHECK_EQ(replay.measured[b], 1 << 4);
                for (size_t v = 0; v < ARRAY_SIZE(values); v++)
                        if (banks_have(&banks, values[v].alg))
                                check_pcr(&replay, values[v].alg, 4, values[v].pcr);
        }
}

static void append_refuses(void)
{
        struct banks two = banks_of("sha1 sha256"), one = banks_of("sha256");
        struct tcg_event event = measured(&one, 4, EV_IPL, TEXT("abc"));
        _cleanup_buf_ struct buf log = {0};

        CHECK_EQ(event_log_put_event(&log, &two, &event), -EINVAL);
        CHECK_EQ(event_log_put_event_sha1(&log, &event), -EINVAL);
        CHECK_EQ(log.size, 0);
        event.type = EV_NO_ACTION;
        CHECK_EQ(event_log_put_event(&log, &two, &event), 0);
        CHECK_EQ(log.size, event_log_size_of_event(&two, 3));
}

/* Header with these declarations (id, size), then one event with these digests (id), all bytes
 * 0x11. */
struct shape {
        const char *name;
        const char *wrong; /* part of the reason, NULL if it is fine */
        uint32_t n_algs;
        uint16_t algs[3][2];
        uint8_t vendor_info_size;
        uint32_t n_digests;
        uint16_t digests[3];
        uint32_t pcr, type;
};

static const struct shape shapes[] = {
                {"fine", NULL, 2, {{4, 20}, {11, 32}}, 0, 2, {4, 11}, 7, EV_IPL},
                {"other order", NULL, 2, {{4, 20}, {11, 32}}, 0, 2, {11, 4}, 7, EV_IPL},
                {"vendor info", NULL, 1, {{11, 32}}, 5, 1, {11}, 7, EV_IPL},
                {"bank missing in the event", NULL, 2, {{4, 20}, {11, 32}}, 0, 1, {11}, 7, EV_IPL},
                {"unknown algorithm", NULL, 2, {{0x77, 7}, {11, 32}}, 0, 2, {0x77, 11}, 7, EV_IPL},
                {"PCR of EV_NO_ACTION", NULL, 1, {{11, 32}}, 0, 1, {11}, 0xffffffff, EV_NO_ACTION},
                {"no algorithm", "declares 0", 0, {{0}}, 0, 1, {11}, 7, EV_IPL},
                {"count lies", "declares 1073741825", 0x40000001, {{11, 32}}, 0, 1, {11}, 7,
                                EV_IPL},
                {"size lies", "sha256 digest has 20", 1, {{11, 20}}, 0, 1, {11}, 7, EV_IPL},
                {"unknown of no size", "has no bytes", 1, {{0x77, 0}}, 0, 1, {11}, 7, EV_IPL},
                {"declared twice", "twice", 2, {{11, 32}, {11, 32}}, 0, 1, {11}, 7, EV_IPL},
                {"no digest", "event 1 at offset 0x41 has no digests", 1, {{11, 32}}, 0, 0, {0}, 7,
                                EV_IPL},
                {"too many digests", "more digests", 1, {{11, 32}}, 0, 2, {11, 4}, 7, EV_IPL},
                {"digest twice", "two digests", 2, {{4, 20}, {11, 32}}, 0, 2, {11, 11}, 7, EV_IPL},
                {"undeclared digest", "doesn't declare", 2, {{4, 20}, {11, 32}}, 0, 2, {11, 12}, 7,
                                EV_IPL},
                {"PCR 24", "doesn't exist", 1, {{11, 32}}, 0, 1, {11}, 24, EV_IPL},
                {"PCR -1", "doesn't exist", 1, {{11, 32}}, 0, 1, {11}, 0xffffffff, EV_IPL},
};

static void put_shape(struct buf *log, const struct shape *s)
{
        _cleanup_buf_ struct buf spec = {0};

        buf_put(&spec, "Spec ID Event03", 16);
        buf_put_u32(&spec, 0);
        buf_put_u32(&spec, 0x02000200);
        buf_put_u32(&spec, s->n_algs);
        for (uint32_t i = 0; i < s->n_algs && i < 3; i++) {
                buf_put_u16(&spec, s->algs[i][0]);
                buf_put_u16(&spec, s->algs[i][1]);
        }
        buf_put_u8(&spec, s->vendor_info_size);
        buf_put_zeros(&spec, s->vendor_info_size);
        buf_put_u32(log, 0);
        buf_put_u32(log, EV_NO_ACTION);
        buf_put_zeros(log, 20);
        buf_put_u32(log, (uint32_t)spec.size);
        buf_put_span(log, buf_span(&spec));
        buf_put_u32(log, s->pcr);
        buf_put_u32(log, s->type);
        buf_put_u32(log, s->n_digests);
        for (uint32_t i = 0; i < s->n_digests; i++) {
                const struct alg *alg = alg_by_id(s->digests[i]);

                buf_put_u16(log, s->digests[i]);
                for (unsigned k = 0; k < (alg ? alg->size : 7u); k++)
                        buf_put_u8(log, 0x11);
        }
        buf_put_u32(log, 4);
        buf_put(log, "data", 4);
}

static void structure(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
                _cleanup_buf_ struct buf log = {0};
                struct error error = {""};
                int r;

                put_shape(&log, &shapes[i]);
                r = walk(buf_span(&log), &error);
                if (r != (shapes[i].wrong ? -EBADMSG : 2) ||
                                (shapes[i].wrong && !strstr(error.text, shapes[i].wrong)))
                        printf("# %s: %d, %s\n", shapes[i].name, r, error.text);
                CHECK_EQ(r, shapes[i].wrong ? -EBADMSG : 2);
                CHECK(!shapes[i].wrong || strstr(error.text, shapes[i].wrong));
        }
}

static void missing_bank(void)
{
        _cleanup_buf_ struct buf log = {0};
        struct replay replay;
        struct error error;

        put_shape(&log, &shapes[3]);
        REQUIRE(replay_log(buf_span(&log), &replay, &error) == 0);
        CHECK_EQ(replay.measured[0], 0);
        CHECK_EQ(replay.lacking[0], 1 << 7);
        CHECK_EQ(replay.measured[1], 1 << 7);
        CHECK_EQ(replay.lacking[1], 0);
}

/* Every proper prefix that doesn't end between two events is malformed, and nothing is read
 * outside. */
static void truncation(void)
{
        struct banks banks = banks_of("sha1 sha256");
        _cleanup_buf_ struct buf log = {0};
        size_t ends[4];

        event_log_put_header(&log, &banks);
        ends[0] = log.size;
        for (unsigned i = 1; i < 4; i++) {
                put(&log, &banks, i, EV_EFI_ACTION, TEXT("some data"));
                ends[i] = log.size;
        }
        for (size_t size = 0; size < log.size; size++) {
                _cleanup_free_ uint8_t *copy = malloc(size ? size : 1);
                struct error error;
                bool whole = false;

                memcpy(copy, log.data, size); /* so that a sanitizer sees reads past the end */
                for (unsigned i = 0; i < 4; i++)
                        whole = whole || size == ends[i];
                if (whole)
                        CHECK(walk(SPAN(copy, size), &error) > 0);
                else
                        CHECK_EQ(walk(SPAN(copy, size), &error), -EBADMSG);
        }
}

static void padding(void)
{
        struct banks banks = banks_of("sha256");
        static const struct {
                uint8_t byte;
                size_t n;
                bool event_behind, garbage_behind;
                int result;
        } rows[] = {
                        {0x00, 1, false, false, 2},
                        {0x00, 7, false, false, 2},
                        {0x00, 4096, false, false, 2},
                        {0xff, 1, false, false, 2},
                        {0xff, 4096, false, false, 2},
                        {0x00, 64, true, false, -EBADMSG},
                        {0xff, 64, true, false, -EBADMSG},
                        {0x00, 32, false, true, -EBADMSG},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ struct buf log = {0};
                struct error error;
                size_t end, size = 0;
                int r;

                event_log_put_header(&log, &banks);
                put(&log, &banks, 1, EV_IPL, TEXT("x"));
                end = log.size;
                for (size_t k = 0; k < rows[i].n; k++)
                        buf_put_u8(&log, rows[i].byte);
                if (rows[i].event_behind)
                        put(&log, &banks, 1, EV_IPL, TEXT("hidden"));
                if (rows[i].garbage_behind)
                        buf_put_u8(&log, 'g');
                CHECK_EQ(walk(buf_span(&log), &error), rows[i].result);
                r = event_log_trim(buf_span(&log), &size, &error);
                CHECK_EQ(r, rows[i].result < 0 ? rows[i].result : 0);
                CHECK_EQ(size, rows[i].result < 0 ? 0 : end);
        }
}

static void not_a_log(void)
{
        static const char text[] =
                        "This is a text file that somebody took for an event log by mistake.\n";
        uint8_t zeros[64] = {0};
        struct error error;

        CHECK_EQ(walk(SPAN(NULL, 0), &error), -EBADMSG);
        CHECK_EQ(walk(SPAN(zeros, sizeof(zeros)), &error), -EBADMSG);
        CHECK_EQ(walk(TEXT(text), &error), -EBADMSG);
}

static void sha1_log(void)
{
        struct banks banks = banks_of("sha1");
        struct tcg_event event = measured(&banks, 4, EV_IPL, TEXT("abc"));
        _cleanup_buf_ struct buf log = {0};
        struct replay replay;
        struct error error;

        CHECK_EQ(event_log_put_event_sha1(&log, &event), 0);
        CHECK_EQ(log.size, EVENT_SHA1_RECORD_BYTES + 3);
        CHECK_EQ(walk(buf_span(&log), &error), 1);
        REQUIRE(replay_log(buf_span(&log), &replay, &error) == 0);
        /* sha1(20 zero bytes, sha1("abc")): Python's hashlib */
        check_pcr(&replay, TPM_ALG_SHA1, 4, "ccd5bd41458de644ac34a2478b58ff819bef5acf");
        buf_put_zeros(&log, 64);
        CHECK_EQ(walk(buf_span(&log), &error), 1);
        CHECK_EQ(event_log_put_event_sha1(&log, &event), 0);
        CHECK_EQ(walk(buf_span(&log), &error), -EBADMSG); /* zeros before an event */
}

#define LOCALITY(n) SPAN("StartupLocality\0" n, 17)

static void start_values(void)
{
        static const struct {
                const char *wrong;
                int pcr0; /* last byte of PCR 0 before its first extend, if right */
                struct {
                        uint32_t pcr, type;
                        struct span data;
                } events[2];
        } rows[] = {
                        {NULL, 0, {{1, EV_IPL, SPAN("a", 1)}}},
                        {NULL, 3, {{0, EV_NO_ACTION, LOCALITY("\3")}}},
                        {NULL, 4, {{0, EV_NO_ACTION, LOCALITY("\4")}}},
                        {NULL, 0, {{0, EV_NO_ACTION, LOCALITY("\0")}}},
                        {NULL, 0, {{1, EV_NO_ACTION, LOCALITY("\3")}}},
                        {NULL, 0, {{0, EV_NO_ACTION, SPAN("", 0)}}},
                        {"impossible", 0, {{0, EV_NO_ACTION, LOCALITY("\5")}}},
                        {"wrong size", 0, {{0, EV_NO_ACTION, SPAN("StartupLocality\0\3\0", 18)}}},
                        {"second", 0,
                                        {{0, EV_NO_ACTION, LOCALITY("\3")},
                                                        {0, EV_NO_ACTION, LOCALITY("\3")}}},
                        {"after PCR 0", 0,
                                        {{0, EV_IPL, SPAN("a", 1)},
                                                        {0, EV_NO_ACTION, LOCALITY("\3")}}},
                        {"denies", 0,
                                        {{0, EV_EFI_HCRTM_EVENT, SPAN("HCRTM", 5)},
                                                        {0, EV_NO_ACTION, LOCALITY("\3")}}},
        };
        struct banks banks = banks_of("sha256 sha1");

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct error error = {""};
                struct replay replay;
                int r = 0;

                replay_start(&replay, &banks);
                for (unsigned k = 0; k < 2 && r == 0; k++) {
                        struct tcg_event event = measured(&banks, rows[i].events[k].pcr,
                                        rows[i].events[k].type, rows[i].events[k].data);

                        if (rows[i].events[k].type)
                                r = replay_event(&replay, &event, &error);
                }
                CHECK_EQ(r, rows[i].wrong ? -EBADMSG : 0);
                CHECK(!rows[i].wrong || strstr(error.text, rows[i].wrong));
                if (!rows[i].wrong) {
                        CHECK_EQ(replay.pcr[0][0].bytes[31], rows[i].pcr0);
                        CHECK_EQ(replay.pcr[1][0].bytes[19], rows[i].pcr0);
                        CHECK_EQ(replay.pcr[0][0].bytes[30], 0);
                }
                CHECK_EQ(replay.pcr[0][17].bytes[0], 0xff);
                CHECK_EQ(replay.pcr[0][16].bytes[0] | replay.pcr[0][23].bytes[0], 0);
        }
}

static void hcrtm_and_drtm(void)
{
        struct banks banks = banks_of("sha256");
        struct tcg_event hcrtm = measured(&banks, 0, EV_EFI_HCRTM_EVENT, TEXT("HCRTM"));
        struct tcg_event launch = measured(&banks, 17, 0x402, TEXT("HASH_START"));
        struct tcg_event tag = measured(&banks, 17, EV_EVENT_TAG, TEXT("HASH_START"));
        struct replay replay;

        replay_start(&replay, &banks);
        CHECK_EQ(replay_event(&replay, &hcrtm, NULL), 0);
        CHECK_EQ(replay_event(&replay, &launch, NULL), 0);
        /* sha256(31 zero bytes, 4, sha256("HCRTM")) and sha256(32 zero bytes, sha256("HASH_START"))
         */
        check_pcr(&replay, TPM_ALG_SHA256, 0,
                        "4724f65909123c809d28928b3e91e8cdcfc45e15dff3e0a2ce0b47c514cabe05");
        check_pcr(&replay, TPM_ALG_SHA256, 17,
                        "43e124007198560376004444b2e5d69c674585d8a8f55d954b251e8ba0925eb9");
        replay_start(&replay, &banks);
        CHECK_EQ(replay_event(&replay, &tag, NULL), 0);
        /* sha256(32 bytes 0xff, sha256("HASH_START")) */
        check_pcr(&replay, TPM_ALG_SHA256, 17,
                        "da28a395848dd1fd5f7c829f2848a59c9e19ba6943849bb2ecf054cab34afd34");
}

static void explanations(void)
{
        static const struct {
                uint32_t type;
                struct span data, hashed;
                bool explained;
        } rows[] = {
                        {EV_EFI_ACTION, TEXT("action"), TEXT("action"), true},
                        {EV_EFI_ACTION, TEXT("action\0"), TEXT("action"), false},
                        {EV_IPL, TEXT("text\0"), TEXT("text"), true},
                        {EV_IPL, TEXT("grub_cmd: linux /a b\0"), TEXT("linux /a b"), true},
                        {EV_IPL, TEXT("grub_cmd: linux /a b\0"), TEXT("linux /a b\0"), true},
                        {EV_IPL, TEXT("grub_cmd: linux /a b\0"), TEXT("/a b"), false},
                        {EV_ACTION, TEXT("grub_cmd: linux /a b\0"), TEXT("linux /a b"), false},
                        {EV_IPL, TEXT(".\0l\0\0\0"), TEXT(".l\0"), true},
                        {EV_IPL, TEXT(".\0l\0\0\0"), TEXT(".l"), true},
                        {EV_IPL, TEXT(".\0l\0\0\0"), TEXT(".m"), false},
                        {EV_IPL, TEXT("q\0r\0\0"), TEXT("q\0r\0\0\0"), true},
                        {EV_IPL, TEXT(""), TEXT(""), true},
                        {EV_IPL, TEXT(""), TEXT("x"), false},
        };
        struct banks banks = banks_of("sha1 sha384");
        _cleanup_buf_ struct buf scratch = {0};
        struct explanation found;
        struct hasher *hasher;

        REQUIRE(hasher_new(&banks, &hasher) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct tcg_event event = measured(&banks, 8, rows[i].type, rows[i].hashed);

                event.data = rows[i].data;
                CHECK_EQ(event_explain(&event, hasher, &scratch, &found), 0);
                CHECK((found.how != UNEXPLAINED) == rows[i].explained);
                CHECK(!rows[i].explained || span_equal(found.preimage, rows[i].hashed));
                event.digests.d[1].bytes[47] ^= 1; /* one bank of two isn't enough */
                CHECK_EQ(event_explain(&event, hasher, &scratch, &found), 0);
                CHECK(found.how == UNEXPLAINED && found.other);
        }
        hasher_free(hasher);
}

static void texts(void)
{
        static const struct {
                uint32_t type;
                struct span data;
                const char *text;
        } rows[] = {
                        {EV_IPL, TEXT(".\0l\0i\0n\0u\0x\0\0\0"), ".linux"},
                        {EV_IPL, TEXT("grub_cmd: set a=1\0"), "grub_cmd: set a=1"},
                        {EV_IPL, TEXT("a\0\0\0b\0\0\0"), "a\\x00b"},
                        {EV_IPL, TEXT("\xe4\xf6\xfc\x01"), "e4f6fc01"},
                        {EV_IPL, TEXT("caf\xc3\xa9\0"), "caf\xc3\xa9"},
                        {EV_EFI_ACTION, TEXT("one\n- EventNum: 2\x1b[2J"),
                                        "one\\x0a- EventNum: 2\\x1b[2J"},
                        {EV_EFI_ACTION, TEXT("a\\b\xc2\x9b\xe2\x80\xae\xff"),
                                        "a\\\\b\\u{9b}\\u{202e}\\xff"},
                        {EV_EFI_ACTION, TEXT("Exit Boot Services Invocation"),
                                        "Exit Boot Services Invocation"},
                        {EV_SEPARATOR, TEXT("\0\0\0\0"), "separator"},
                        {EV_SEPARATOR, TEXT("\1\0\0\0"), "separator, error: 01000000"},
                        {EV_SEPARATOR, TEXT("WBCL"), "separator: WBCL"},
                        {EV_NO_ACTION, LOCALITY("\3"), "StartupLocality 3"},
                        {EV_EVENT_TAG, TEXT("\xec\x22\x3b\x8f\x0d\0\0\0Linux initrd\0"),
                                        "Linux: initrd: Linux initrd"},
                        {EV_EVENT_TAG, TEXT("\xec\x22\x3b\x8f\x0e\0\0\0Linux initrd\0"),
                                        "malformed tagged event: "
                                        "ec223b8f0e0000004c696e757820696e69747264..."},
                        {EV_EFI_BOOT_SERVICES_APPLICATION,
                                        TEXT("\0\0\x10\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2"
                                             "\0\0\0\0\0\0\0xx"),
                                        "image of 256 bytes at 0x100000: malformed device path of "
                                        "2 bytes"},
                        {EV_EFI_BOOT_SERVICES_APPLICATION, TEXT("\0\0"),
                                        "malformed image load event: 0000"},
                        {0xdead, TEXT(""), ""},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct tcg_event event = {.type = rows[i].type, .data = rows[i].data};
                _cleanup_buf_ struct buf b = {0};
                size_t n = strlen(rows[i].text);

                event_text(&event, &b);
                buf_put_u8(&b, 0);
                if (n > 3 && strcmp(rows[i].text + n - 3, "...") == 0)
                        n -= 3;
                else
                        n++;
                CHECK(strncmp((char *)b.data, rows[i].text, n) == 0);
                if (strncmp((char *)b.data, rows[i].text, n) != 0)
                        printf("# %s, wanted %s\n", (char *)b.data, rows[i].text);
        }
        CHECK(strcmp(event_type_name(EV_EFI_VARIABLE_AUTHORITY), "EV_EFI_VARIABLE_AUTHORITY") == 0);
        CHECK(event_type_name(0x80000042) == NULL);
}

static const struct tap_test tests[] = {
                {"append, parse and replay agree", round_trip},
                {"append refuses an event without a digest of the header's", append_refuses},
                {"headers and digests: what is taken and what isn't", structure},
                {"an event that lacks a bank is a matter of that bank", missing_bank},
                {"a log cut off anywhere is malformed", truncation},
                {"padding must reach the end", padding},
                {"files that are no logs", not_a_log},
                {"SHA-1 logs", sha1_log},
                {"StartupLocality", start_values},
                {"H-CRTM and DRTM start values", hcrtm_and_drtm},
                {"digests explained by data", explanations},
                {"event texts are escaped", texts},
};

TAP_MAIN(tests)
