/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs as Canonical Event Logs and back: byte for byte, in order, with the same PCR values; what
 * can't be one log is refused. */
#include <errno.h>

#include "eventlog/cel-replay.h"
#include "eventlog/convert.h"
#include "eventlog/hop-check.h"
#include "tests/unit/corpus.h"
#include "tests/unit/hop-log.h"

static const enum convert_form cel_forms[] = {CONVERT_CEL_JSON, CONVERT_CEL_TLV};

static int convert_input(const struct convert_input *input, enum convert_form form, struct buf *ret,
                struct convert_result *result, struct error *error)
{
        struct convert_options options = {.form = form};

        return convert(input, &options, ret, result, error);
}

static int from_firmware(struct span log, enum convert_form form, struct buf *ret)
{
        struct convert_input input = {.chain.firmware = log};
        struct convert_result result;
        struct error error;
        int r = convert_input(&input, form, ret, &result, &error);

        if (r < 0)
                printf("# %s\n", error.text);
        return r;
}

static int from_cel(struct span log, enum convert_form form, struct buf *ret)
{
        struct convert_input input = {.cel = &log, .n_cel = 1};
        struct convert_result result;
        struct error error;
        int r = convert_input(&input, form, ret, &result, &error);

        if (r < 0)
                printf("# %s\n", error.text);
        return r;
}

static bool same(const struct buf *a, struct span b)
{
        return span_equal(buf_span(a), b);
}

/* ---- hops ---- */

static void test_unchanged(void)
{
        _cleanup_buf_ struct buf log = {0}, padded = {0}, copy = {0};
        struct list l;

        honest(&l);
        write_log(&l, &log);
        for (size_t i = 0; i < sizeof(cel_forms) / sizeof(cel_forms[0]); i++) {
                _cleanup_buf_ struct buf cel = {0}, back = {0}, again = {0};
                _cleanup_hop_verdict_ struct hop_verdict verdict = {0};
                struct error error;

                REQUIRE(from_firmware(buf_span(&log), cel_forms[i], &cel) == 0);
                REQUIRE(convert_cel_to_agile(buf_span(&cel), &back, &error) == 0);
                CHECK(same(&back, buf_span(&log)));
                REQUIRE(hop_check(buf_span(&back), NULL, &verdict, &error) == 0);
                CHECK_EQ(verdict.result, HOP_RESULT_OK);
                CHECK_EQ(verdict.n_hops, 2);
                REQUIRE(from_cel(buf_span(&cel), cel_forms[i], &again) == 0);
                CHECK(same(&again, buf_span(&cel)));
        }
        buf_put_span(&padded, buf_span(&log));
        buf_put_zeros(&padded, 100);
        REQUIRE(from_firmware(buf_span(&padded), CONVERT_AGILE, &copy) == 0);
        CHECK(same(&copy, buf_span(&padded)));
        release(&l);
}

#define SYSTEMD_RECORD(word)                                                            \
        "\x1e{\"pcr\":11,\"digests\":[{\"hashAlg\":\"sha256\",\"digest\":"              \
        "\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}],"       \
        "\"content_type\":\"systemd\",\"content\":{\"string\":\"" word "\",\"bootId\":" \
        "\"f504dd80b2c741f4a42d4a8aca63a294\",\"timestamp\":12,\"eventType\":\"phase\"}}\n"

/* A word for each record: 'e' event, 'o' open, 'c' close, 'a' abort, 'F' firmware_end, 'K' kexec,
 * or a systemd record's first letter in upper case. */
static void tell(struct span cel, char *to, size_t size)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record record;
        struct cel_log log;
        struct error error;
        uint64_t recnum = 1;
        size_t n = 0;
        int r;

        REQUIRE(cel_open(&log, cel, &error) == 0);
        while ((r = cel_next(&log, &scratch, &record, &error)) > 0 && n + 1 < size) {
                static const char own[] = {[HOP_NONE] = 'e',
                                [HOP_OPEN] = 'o',
                                [HOP_CLOSE] = 'c',
                                [HOP_ABORT] = 'a'};

                CHECK_EQ(record.recnum, recnum++);
                switch (record.content_type) {
                case CEL_PCCLIENT_STD:
                        to[n++] = own[hop_is_own(&record.event)];
                        break;
                case CEL_MANAGEMENT:
                        CHECK_EQ(record.event.digests.n, 0);
                        to[n++] = record.management[0].type == CEL_FIRMWARE_END ? 'F'
                                  : record.management[0].value == CEL_KEXEC     ? 'K'
                                                                                : '?';
                        break;
                case CEL_SYSTEMD:
                        to[n++] = (char)record.event.data.data[0];
                        break;
                }
        }
        CHECK_EQ(r, 0);
        to[n] = '\0';
}

/* What test_order put together comes apart again. */
static void check_parts(struct span cel, struct span firmware)
{
        _cleanup_convert_parts_ struct convert_parts parts = {0}, none = {0};
        _cleanup_buf_ struct buf alone = {0};
        struct error error;

        REQUIRE(convert_cel_to_parts(cel, &parts, &error) == 0);
        CHECK(same(&parts.firmware, firmware));
        CHECK_EQ(parts.n_left_out, 0);
        REQUIRE(parts.n_systemd == 3);
        CHECK(same(&parts.systemd[0], TEXT("\n" SYSTEMD_RECORD("1") SYSTEMD_RECORD("1"))));
        CHECK(same(&parts.systemd[1], TEXT("\n")));
        CHECK(same(&parts.systemd[2], TEXT("\n" SYSTEMD_RECORD("3"))));
        REQUIRE(from_firmware(firmware, CONVERT_CEL_TLV, &alone) == 0);
        REQUIRE(convert_cel_to_parts(buf_span(&alone), &none, &error) == 0);
        CHECK(same(&none.firmware, firmware));
        CHECK_EQ(none.n_systemd, 0);
        CHECK_EQ(convert_cel_to_parts(SPAN(cel.data, cel.size - 2), &none, &error), -EBADMSG);
}

/* systemd's log of each boot before the open that ends it, firmware_end before the first,
 * state_trans where a hop was closed. */
static void test_order(void)
{
        _cleanup_buf_ struct buf log = {0}, cel = {0}, back = {0}, systemd = {0};
        struct convert_input input = {.chain.n_systemd = 3};
        struct chain_result wanted;
        struct convert_result result;
        struct replay replay;
        struct error error;
        struct list l;
        char told[128] = "";

        honest(&l);
        write_log(&l, &log);
        input.chain.firmware = buf_span(&log);
        input.chain.systemd[0] = TEXT(SYSTEMD_RECORD("1") SYSTEMD_RECORD("1"));
        input.chain.systemd[1] = TEXT("");
        input.chain.systemd[2] = TEXT(SYSTEMD_RECORD("3"));
        REQUIRE(convert_input(&input, CONVERT_CEL_JSON, &cel, &result, &error) == 0);
        tell(buf_span(&cel), told, sizeof(told));
        CHECK(strcmp(told, "eeeeeeF11oooeeeeeccKoooeeeeeccK3") == 0);
        CHECK_EQ(result.n_written, strlen(told));

        REQUIRE(chain_replay(&input.chain, NULL, NULL, &wanted, &error) == 0);
        REQUIRE(cel_replay(buf_span(&cel), &wanted.replay.banks, &replay, &error) == 0);
        CHECK(memcmp(replay.pcr, wanted.replay.pcr, sizeof(replay.pcr)) == 0);
        CHECK(memcmp(replay.measured, wanted.replay.measured, sizeof(replay.measured)) == 0);

        REQUIRE(from_cel(buf_span(&cel), CONVERT_AGILE, &back) == 0);
        CHECK(same(&back, buf_span(&log)));
        REQUIRE(from_cel(buf_span(&cel), CONVERT_SYSTEMD, &systemd) == 0);
        CHECK(same(&systemd, TEXT(SYSTEMD_RECORD("1") SYSTEMD_RECORD("1") SYSTEMD_RECORD("3"))));

        check_parts(buf_span(&cel), buf_span(&log));
        input.chain.n_systemd = 4;
        CHECK_EQ(convert_input(&input, CONVERT_CEL_JSON, &cel, &result, &error), -EBADMSG);
        CHECK(strstr(error.text, "3 boots"));
        release(&l);
}

/* An aborted hop is no kexec, whether it had been closed or not. */
static void test_abort(void)
{
        static const struct {
                size_t n_extends;
                const char *told;
        } rows[] = {{3 + 2, "eeeeeeFoooeea"}, {N_SEQUENCE, "eeeeeeFoooeeeeecca"}};

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf log = {0}, cel = {0};
                struct hop_ledger_entry entries[N_EVENTS];
                struct hop_open open;
                struct list l;
                char told[128] = "";

                firmware(&l, "sha1");
                fill_open(&open, entries, 1);
                add_hop(&l, &open, rows[i].n_extends);
                add_end(&l, true, HOP_PCR, 1, (uint32_t)rows[i].n_extends);
                write_log(&l, &log);
                REQUIRE(from_firmware(buf_span(&log), CONVERT_CEL_JSON, &cel) == 0);
                tell(buf_span(&cel), told, sizeof(told));
                CHECK(strcmp(told, rows[i].told) == 0);
                release(&l);
        }
}

/* ---- what is left out, and what can't be ---- */

static void test_measured_only(void)
{
        _cleanup_buf_ struct buf log = {0}, cel = {0}, back = {0};
        struct convert_options options = {.form = CONVERT_CEL_JSON, .measured_only = true};
        struct convert_input input = {0};
        struct convert_result result;
        struct replay before, after;
        struct error error;
        struct list l;

        honest(&l);
        write_log(&l, &log);
        input.chain.firmware = buf_span(&log);
        REQUIRE(convert(&input, &options, &cel, &result, &error) == 0);
        CHECK_EQ(result.n_written,
                        l.n - 1); /* the header isn't in the list, a no-action event is */
        CHECK_EQ(result.n_left_out[CONVERT_INFORMS], 2 + 3);
        CHECK_EQ(result.n_left_out[CONVERT_EVENT], 0);
        CHECK(!memmem(cel.data, cel.size, "EV_NO_ACTION", 12));
        CHECK(!memmem(cel.data, cel.size, "\"cel\"", 5));
        /* It gets a header of its own. */
        REQUIRE(from_cel(buf_span(&cel), CONVERT_AGILE, &back) == 0);
        REQUIRE(replay_log(buf_span(&log), &before, &error) == 0);
        REQUIRE(replay_log(buf_span(&back), &after, &error) == 0);
        CHECK(memcmp(before.pcr, after.pcr, sizeof(before.pcr)) == 0);
        release(&l);
}

static void test_sha1(void)
{
        _cleanup_buf_ struct buf log = {0}, agile = {0}, cel = {0}, back = {0};
        struct banks sha1 = {.n = 1, .alg = {alg_by_name("sha1")}};
        struct tcg_event event = {.type = EV_NO_ACTION,
                        .data = TEXT("Spec ID Event02\0\0\0\0\0\0\x02\x01\0\x02\0")};
        struct replay before, after;
        struct event_log opened;
        struct error error;

        REQUIRE(event_log_put_event_sha1(&log, &event) == 0);
        event = (struct tcg_event){.pcr = 4, .type = EV_EFI_ACTION, .data = TEXT("text")};
        REQUIRE(hash_span(&sha1, event.data, &event.digests) == 0);
        REQUIRE(event_log_put_event_sha1(&log, &event) == 0);
        REQUIRE(from_firmware(buf_span(&log), CONVERT_AGILE, &agile) == 0);
        REQUIRE(event_log_open(&opened, buf_span(&agile), &error) == 0);
        CHECK(opened.agile && opened.banks.n == 1 && opened.banks.alg[0]->id == TPM_ALG_SHA1);
        REQUIRE(replay_log(buf_span(&log), &before, &error) == 0);
        REQUIRE(replay_log(buf_span(&agile), &after, &error) == 0);
        CHECK(memcmp(before.pcr, after.pcr, sizeof(before.pcr)) == 0);
        REQUIRE(from_firmware(buf_span(&log), CONVERT_CEL_TLV, &cel) == 0);
        REQUIRE(from_cel(buf_span(&cel), CONVERT_AGILE, &back) == 0);
        CHECK(same(&back, buf_span(&agile)));
}

#define SHA1 "{\"hashAlg\":\"sha1\",\"digest\":\"000102030405060708090a0b0c0d0e0f10111213\"}"
#define SHA256                                \
        "{\"hashAlg\":\"sha256\",\"digest\":" \
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}"
#define EVENT(place, digests, type, data)                                                     \
        "{" place ",\"digests\":[" digests "],\"content_type\":\"pcclient_std\",\"content\":" \
        "{\"event_type\":\"" type "\",\"event_data\":\"" data "\"}}"
/* "Spec ID Event03" with SHA-1, 1.05 */
#define HEADER_SHA1                                                                        \
        EVENT("\"pcr\":0", "", "EV_NO_ACTION",                                             \
                        "53706563204944204576656e7430330000000000000269020100000004001400" \
                        "00")

static void test_refused(void)
{
        static const struct {
                const char *cel, *reason;
                int result;
        } rows[] = {
                        {HEADER_SHA1 EVENT("\"pcr\":4", SHA1, "EV_IPL", "00"), "", 0},
                        {EVENT("\"pcr\":4", SHA1 "," SHA256, "EV_IPL", "00"), "", 0},
                        {EVENT("\"ccmr\":4", SHA256, "EV_IPL", "00"), "", 0},
                        {HEADER_SHA1 EVENT("\"pcr\":4", SHA256, "EV_IPL", "00"),
                                        "record 1 has a sha256 digest, which the header doesn't",
                                        -EBADMSG},
                        {HEADER_SHA1 HEADER_SHA1, "record 1 is a second header", -EBADMSG},
                        {EVENT("\"pcr\":4", SHA1, "EV_IPL", "00") HEADER_SHA1,
                                        "record 1 is a second header", -EBADMSG},
                        {EVENT("\"pcr\":4", "", "EV_IPL", "00"), "no digest", -EBADMSG},
                        {EVENT("\"pcr\":4", SHA1, "EV_IPL", "00")
                                                        EVENT("\"ccmr\":4", SHA1, "EV_IPL", "00"),
                                        "registers", -EBADMSG},
                        {EVENT("\"pcr\":2", "", "EV_NO_ACTION", "00"), "nothing in it", -ENODATA},
                        {EVENT("\"nv_index\":25166338", SHA1, "EV_IPL", "00"), "nothing in it",
                                        -ENODATA},
                        {SYSTEMD_RECORD("a"), "nothing in it", -ENODATA},
                        /* a header that declares SHA-1 with 32 bytes */
                        {EVENT("\"pcr\":0", "", "EV_NO_ACTION",
                                         "53706563204944204576656e743033000000000000026902010000000"
                                         "400"
                                         "200000"),
                                        "digest has 32 bytes", -EBADMSG},
                        {EVENT("\"pcr\":2", "", "EV_NO_ACTION", "0"), "isn't hex", -EBADMSG},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf out = {0};
                struct error error = {{0}};
                struct replay replay;

                CHECK_EQ(convert_cel_to_agile(SPAN(rows[i].cel, strlen(rows[i].cel)), &out, &error),
                                rows[i].result);
                if (!strstr(error.text, rows[i].reason)) {
                        CHECK(!"the wrong reason");
                        printf("# %s, wanted %s\n", error.text, rows[i].reason);
                }
                CHECK_EQ(out.size > 0, rows[i].result == 0);
                if (rows[i].result == 0)
                        CHECK_EQ(replay_log(buf_span(&out), &replay, &error), 0);
        }
}

static void test_left_out(void)
{
        static const char cel[] = EVENT("\"pcr\":4", SHA1, "EV_IPL", "00") SYSTEMD_RECORD("a")
                        SYSTEMD_RECORD("b") "{\"pcr\":10,\"content_type\":\"ima_template\","
                                            "\"content\":{\"template_name\":\"x\",\"template_"
                                            "data\":"
                                            "\"\"}}{\"pcr\":12,\"content_type\":\"tss2\","
                                            "\"content\":{}}";
        static const struct {
                enum convert_form form;
                size_t n_written, n_left_out[CONVERT_CLASSES];
        } rows[] = {
                        {CONVERT_AGILE, 1, {0, 2, 1, 1, 0}},
                        {CONVERT_CEL_JSON, 5, {0, 0, 0, 0, 0}},
                        {CONVERT_CEL_TLV, 4, {0, 0, 0, 1, 0}},
                        {CONVERT_SYSTEMD, 2, {1, 0, 1, 1, 0}},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf out = {0};
                struct span log = TEXT(cel);
                struct convert_input input = {.cel = &log, .n_cel = 1};
                struct convert_result result;
                struct error error;

                REQUIRE(convert_input(&input, rows[i].form, &out, &result, &error) == 0);
                CHECK_EQ(result.n_written, rows[i].n_written);
                for (size_t c = 0; c < CONVERT_CLASSES; c++)
                        CHECK_EQ(result.n_left_out[c], rows[i].n_left_out[c]);
        }
}

/* Event types of systemd that libcel has no number for, escapes, members that we don't know. */
static void test_systemd(void)
{
        static const char json[] =
                        "\x1e{\"nv_index\":25166338,\"digests\":[],\"content_type\":\"systemd\","
                        "\"content\":{\"string\":\"a\\\\303\\\\251 \\\"\xc3\xa9\",\"bootId\":"
                        "\"f504dd80b2c741f4a42d4a8aca63a294\",\"timestamp\":18446744073709551615,"
                        "\"eventType\":\"nvpcr-init\",\"nvIndexName\":\"hardware\"}}\n";
        static const char without[] =
                        "\x1e{\"nv_index\":25166338,\"digests\":[],\"content_type\":\"systemd\","
                        "\"content\":{\"string\":\"a\\\\303\\\\251 \\\"\xc3\xa9\",\"bootId\":"
                        "\"f504dd80b2c741f4a42d4a8aca63a294\",\"timestamp\":18446744073709551615,"
                        "\"eventType\":\"nvpcr-init\"}}\n";
        struct convert_input input = {.chain = {.systemd[0] = TEXT(json), .n_systemd = 1}};

        for (size_t i = 0; i < sizeof(cel_forms) / sizeof(cel_forms[0]); i++) {
                _cleanup_buf_ struct buf cel = {0}, back = {0};
                struct convert_result result;
                struct error error;

                REQUIRE(convert_input(&input, cel_forms[i], &cel, &result, &error) == 0);
                REQUIRE(from_cel(buf_span(&cel), CONVERT_SYSTEMD, &back) == 0);
                CHECK(same(&back, cel_forms[i] == CONVERT_CEL_JSON ? TEXT(json) : TEXT(without)));
        }
}

/* ---- real logs ---- */

static unsigned n_same, n_sha1;

static bool same_values(const struct replay *a, const struct replay *b)
{
        for (size_t i = 0; i < a->banks.n; i++) {
                int k = replay_bank(b, a->banks.alg[i]->id);

                if (k < 0 ? a->measured[i] != 0
                          : a->measured[i] != b->measured[k] || memcmp(a->pcr[i], b->pcr[k],
                                                                                sizeof(a->pcr[i])) !=
                                                                                0)
                        return false;
        }
        return true;
}

static void round_trip(struct span log, const struct event_log *opened, const char *name)
{
        struct replay wanted;
        struct error error;
        size_t size;

        REQUIRE(replay_log(log, &wanted, &error) == 0);
        REQUIRE(event_log_trim(log, &size, &error) == 0);
        for (size_t i = 0; i < sizeof(cel_forms) / sizeof(cel_forms[0]); i++) {
                _cleanup_buf_ struct buf cel = {0}, back = {0};
                struct replay replay;

                REQUIRE(from_firmware(log, cel_forms[i], &cel) == 0);
                REQUIRE(cel_replay(buf_span(&cel), &wanted.banks, &replay, &error) == 0);
                CHECK(same_values(&wanted, &replay));
                REQUIRE(convert_cel_to_agile(buf_span(&cel), &back, &error) == 0);
                REQUIRE(replay_log(buf_span(&back), &replay, &error) == 0);
                CHECK(same_values(&wanted, &replay));
                if (opened->agile && opened->n_declared == opened->banks.n &&
                                !same(&back, SPAN(log.data, size))) {
                        CHECK(!"not the same bytes");
                        printf("# %s: %s\n", name,
                                        cel_forms[i] == CONVERT_CEL_TLV ? "TLV" : "JSON");
                }
        }
}

static void round_trip_of(const char *name)
{
        _cleanup_buf_ struct buf bytes = {0}, agile = {0};
        struct event_log log;
        struct error error;
        size_t size;

        REQUIRE(read_corpus(name, &bytes));
        REQUIRE(event_log_open(&log, buf_span(&bytes), &error) == 0);
        if (event_log_trim(buf_span(&bytes), &size, &error) < 0) {
                CHECK(from_firmware(buf_span(&bytes), CONVERT_AGILE, &agile) == -EBADMSG);
                return;
        }
        REQUIRE(from_firmware(buf_span(&bytes), CONVERT_AGILE, &agile) == 0);
        CHECK(!log.agile || same(&agile, buf_span(&bytes)));
        round_trip(buf_span(&bytes), &log, name);
        n_same += log.agile && log.n_declared == log.banks.n;
        n_sha1 += !log.agile;
}

static void test_corpus(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        CHECK(for_each("tcg", ".bin", round_trip_of) > 40);
        CHECK(for_each("ccel", ".bin", round_trip_of) > 2);
        printf("# %u agile logs came back byte for byte, %u SHA-1 logs with the same values\n",
                        n_same, n_sha1);
        CHECK(n_same > 30);
        CHECK(n_sha1 > 5);
}

/* Google's log as TLV is written as it was; systemd's comes back through both forms. */
static void test_corpus_cel(void)
{
        static const char *const logs[] = {
                        "cel/systemd257-swtpm-measure.log", "cel/chain1-measure.log"};
        _cleanup_buf_ struct buf cos = {0}, json = {0}, back = {0};

        if (!corpus())
                SKIP(NO_CORPUS);
        REQUIRE(read_corpus("cel/gotpm-cos-cel.tlv", &cos));
        REQUIRE(from_cel(buf_span(&cos), CONVERT_CEL_TLV, &back) == 0);
        CHECK(same(&back, buf_span(&cos)));
        REQUIRE(from_cel(buf_span(&cos), CONVERT_CEL_JSON, &json) == 0);
        back.size = 0;
        REQUIRE(from_cel(buf_span(&json), CONVERT_CEL_TLV, &back) == 0);
        CHECK(same(&back, buf_span(&cos)));
        for (size_t i = 0; i < 2 * sizeof(logs) / sizeof(logs[0]); i++) {
                _cleanup_buf_ struct buf log = {0}, cel = {0}, systemd = {0}, wanted = {0};
                struct convert_input input = {.chain.n_systemd = 1};
                struct convert_result result;
                struct error error;

                REQUIRE(read_corpus(logs[i / 2], &log));
                input.chain.systemd[0] = buf_span(&log);
                REQUIRE(convert_input(&input, cel_forms[i % 2], &cel, &result, &error) == 0);
                REQUIRE(from_cel(buf_span(&cel), CONVERT_SYSTEMD, &systemd) == 0);
                REQUIRE(convert_input(&input, CONVERT_SYSTEMD, &wanted, &result, &error) == 0);
                CHECK(same(&systemd, buf_span(&wanted)));
                CHECK(log.data[0] != 0x1e || same(&systemd, buf_span(&log)));
        }
}

static void ima_list(const char *name)
{
        _cleanup_buf_ struct buf list = {0};
        struct convert_input input = {0};
        struct banks banks = {.n = 2, .alg = {alg_by_name("sha1"), alg_by_name("sha256")}};
        _cleanup_buf_ struct buf firmware = {0};
        struct chain_result wanted;
        struct error error;

        REQUIRE(read_corpus(name, &list));
        event_log_put_header(&firmware, &banks);
        input.chain.firmware = buf_span(&firmware);
        input.chain.ima = buf_span(&list);
        if (chain_replay(&input.chain, NULL, NULL, &wanted, &error) < 0)
                return;
        for (size_t i = 0; i < sizeof(cel_forms) / sizeof(cel_forms[0]); i++) {
                _cleanup_buf_ struct buf cel = {0};
                struct convert_result result;
                struct replay replay;

                if (convert_input(&input, cel_forms[i], &cel, &result, &error) < 0) {
                        CHECK(strstr(error.text, "give the binary list"));
                        continue;
                }
                REQUIRE(cel_replay(buf_span(&cel), &banks, &replay, &error) == 0);
                CHECK(same_values(&wanted.replay, &replay));
                n_same++;
        }
}

static void test_corpus_ima(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        n_same = 0;
        CHECK(for_each("ima", "", ima_list) > 5);
        printf("# %u lists\n", n_same);
        CHECK(n_same > 5);
}

static const struct tap_test tests[] = {
                {"a log with hops comes back byte for byte", test_unchanged},
                {"logs of all boots in one", test_order},
                {"an aborted hop is no kexec", test_abort},
                {"without what wasn't measured", test_measured_only},
                {"a SHA-1 log gets a header", test_sha1},
                {"what is no TCG log is refused", test_refused},
                {"what a form can't hold is counted", test_left_out},
                {"systemd's records", test_systemd},
                {"real firmware logs", test_corpus},
                {"real logs of systemd and of Google's", test_corpus_cel},
                {"real IMA lists", test_corpus_ima},
};
TAP_MAIN(tests)
