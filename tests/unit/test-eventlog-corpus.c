/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventlog/ on real logs: replay against the PCR values that the machines' TPMs showed,
 * byte-identical writing, and what hop_check says of them. */
#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "eventlog/chain.h"
#include "eventlog/decode.h"
#include "eventlog/hop-check.h"
#include "eventlog/replay.h"
#include "tests/unit/corpus.h"

static unsigned n_compared, n_differing;

/* One line "bank index hex" of an expected/ file against a replay; PCRs without events aren't in
 * the log. */
static void compare_line(const struct replay *replay, const char *name, const char *line)
{
        char bank[16], hex[2 * DIGEST_MAX_BYTES + 1];
        uint8_t value[DIGEST_MAX_BYTES];
        unsigned pcr;
        int b;

        if (line[0] == '#' || sscanf(line, "%15s %u %128s", bank, &pcr, hex) != 3 ||
                        pcr >= PCR_COUNT)
                return;
        CHECK(alg_by_name(bank) != NULL);
        b = alg_by_name(bank) ? replay_bank(replay, alg_by_name(bank)->id) : -1;
        if (b < 0 || !(replay->measured[b] & 1u << pcr))
                return;
        CHECK(hex_decode(hex, value, replay->banks.alg[b]->size));
        n_compared++;
        if (memcmp(value, replay->pcr[b][pcr].bytes, replay->banks.alg[b]->size) != 0) {
                printf("# %s: %s PCR %u differs\n", name, bank, pcr);
                n_differing++;
        }
}

/* A source is a file of the corpus, or two: "A THEN B". Lists without a firmware log are replayed
 * in all banks but SM3. */
static int replay_sources(char *sources, struct chain_result *ret, struct error *error)
{
        struct banks banks = {0};
        _cleanup_buf_ struct buf firmware = {0}, systemd = {0}, ima = {0};
        struct chain chain = {0};

        for (char *save, *name = strtok_r(sources, " ", &save); name;
                        name = strtok_r(NULL, " ", &save)) {
                if (strcmp(name, "THEN") == 0)
                        continue;
                if (!read_corpus(name, strncmp(name, "cel/", 4) == 0   ? &systemd
                                       : strncmp(name, "ima/", 4) == 0 ? &ima
                                                                       : &firmware))
                        return -ENOENT;
        }
        chain.firmware = buf_span(&firmware);
        chain.systemd[0] = buf_span(&systemd);
        chain.n_systemd = systemd.size > 0;
        chain.ima = buf_span(&ima);
        for (size_t i = 0; firmware.size == 0 && i < 4; i++)
                banks_add(&banks, alg_by_index(i));
        return chain_replay(&chain, firmware.size > 0 ? NULL : &banks, NULL, ret, error);
}

static void compare_expected(const char *name)
{
        _cleanup_buf_ struct buf expected = {0};
        char sources[256] = "", *line, *save;
        struct chain_result result;
        struct error error;

        REQUIRE(read_corpus(name, &expected));
        buf_put_u8(&expected, 0);
        sscanf((char *)expected.data, "# %255[^\n]", sources);
        if (replay_sources(sources, &result, &error) < 0) {
                printf("# %s: %s\n", name, error.text);
                n_differing++;
                return;
        }
        for (line = strtok_r((char *)expected.data, "\n", &save); line;
                        line = strtok_r(NULL, "\n", &save))
                compare_line(&result.replay, name, line);
}

static void expected_values(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        n_compared = n_differing = 0;
        CHECK(for_each("expected", ".pcrs", compare_expected) > 20);
        printf("# %u PCR values compared\n", n_compared);
        CHECK(n_compared > 350);
        CHECK_EQ(n_differing, 0);
}

/* Its authors put an event with a SHA-384 digest into a log that declares SHA-256 alone. */
static const char doctored[] = "tcg/hirs-addEvt11asSPDMFirmwareBlob_origVersion0.bin";

static unsigned n_rewritten;

/* Writing what was read gives the same bytes. */
static void rewrite_log(const char *name)
{
        _cleanup_buf_ struct buf bytes = {0}, copy = {0};
        struct event_log log;
        struct tcg_event event;
        struct error error;
        bool regular;
        int r;

        REQUIRE(read_corpus(name, &bytes));
        REQUIRE(event_log_open(&log, buf_span(&bytes), &error) == 0);
        regular = log.n_declared == log.banks.n;
        buf_put(&copy, bytes.data, log.first_offset);
        EVENT_LOG_FOREACH (&log, &event, r, &error) {
                _cleanup_buf_ struct buf text = {0};

                event_text(&event, &text);
                CHECK(!buf_failed(&text));
                if (event.index < log.first_index)
                        continue;
                for (size_t i = 0; log.agile && i < log.banks.n; i++)
                        regular = regular && event.digests.n == log.banks.n &&
                                  event.digests.d[i].alg == log.banks.alg[i];
                if (log.agile && regular)
                        CHECK_EQ(event_log_put_event(&copy, &log.banks, &event), 0);
                else if (!log.agile)
                        CHECK_EQ(event_log_put_event_sha1(&copy, &event), 0);
        }
        if (strcmp(name, doctored) == 0) {
                CHECK_EQ(r, -EBADMSG);
                CHECK(strstr(error.text, "event 11 at offset 0x3b95"));
                return;
        }
        if (r < 0)
                printf("# %s: %s\n", name, error.text);
        CHECK_EQ(r, 0);
        if (!regular) {
                printf("# %s: some events lack a declared bank\n", name);
                return;
        }
        n_rewritten++;
        CHECK(copy.size <= bytes.size && memcmp(copy.data, bytes.data, copy.size) == 0);
}

static void rewriting(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        n_rewritten = 0;
        CHECK(for_each("tcg", ".bin", rewrite_log) > 40);
        CHECK(for_each("ccel", ".bin", rewrite_log) > 2);
        printf("# %u logs rewritten\n", n_rewritten);
        CHECK(n_rewritten > 40);
}

/* What VERDICTS.tsv wants of the structure; what it wants of event data and of `verify` is for
 * others. */
static void verdict_line(char *line)
{
        char *name = line, *what = strchr(line, '\t'), *wanted, path[512];
        _cleanup_buf_ struct buf bytes = {0};
        struct hop_verdict verdict;
        struct error error = {""};
        bool accept;

        if (!what || strncmp(name, "gen-", 4) != 0)
                return;
        *what++ = '\0';
        wanted = strchr(what, '\t');
        REQUIRE(wanted);
        wanted++;
        accept = strncmp(wanted, "refuse", 6) != 0 &&
                 strncmp(wanted, "accept only as CCEL", 19) != 0;
        snprintf(path, sizeof(path), "malformed/%s", name);
        REQUIRE(read_corpus(path, &bytes));
        REQUIRE(hop_check(buf_span(&bytes), NULL, &verdict, &error) == 0);
        if ((verdict.result == HOP_RESULT_OK) != accept)
                printf("# %s: wanted %s: %s\n", name, wanted, verdict.reason.text);
        CHECK((verdict.result == HOP_RESULT_OK) == accept);
        CHECK(accept || verdict.result == HOP_RESULT_MALFORMED);
        CHECK(accept || strstr(verdict.reason.text, "event ") ||
                        strstr(verdict.reason.text, "header"));
        n_compared++;
        hop_verdict_release(&verdict);
}

static void malformed(void)
{
        _cleanup_buf_ struct buf verdicts = {0};
        char *line, *save;

        if (!corpus())
                SKIP(NO_CORPUS);
        n_compared = 0;
        REQUIRE(read_corpus("malformed/VERDICTS.tsv", &verdicts));
        buf_put_u8(&verdicts, 0);
        for (line = strtok_r((char *)verdicts.data, "\n", &save); line;
                        line = strtok_r(NULL, "\n", &save))
                verdict_line(line);
        printf("# %u verdicts compared\n", n_compared);
        CHECK(n_compared > 30);
}

/* Firmware logs tell of no hop, and boot loaders' events in PCR 8 are explained. */
static void check_pristine(const char *name)
{
        _cleanup_buf_ struct buf bytes = {0};
        struct hop_verdict verdict;
        struct error error;

        REQUIRE(read_corpus(name, &bytes));
        REQUIRE(hop_check(buf_span(&bytes), NULL, &verdict, &error) == 0);
        if (strcmp(name, doctored) == 0) {
                CHECK(verdict.result == HOP_RESULT_MALFORMED && !verdict.pristine);
        } else if (!verdict.pristine) {
                printf("# %s: %s\n", name, verdict.reason.text);
                n_differing++;
        }
        CHECK_EQ(verdict.n_hops, 0);
        hop_verdict_release(&verdict);
}

static void pristine(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        n_differing = 0;
        CHECK(for_each("tcg", ".bin", check_pristine) > 40);
        CHECK_EQ(n_differing, 0);
}

static const struct tap_test tests[] = {
                {"replay gives the PCR values of the machines", expected_values},
                {"logs are written as they were read", rewriting},
                {"malformed logs get the wanted verdict", malformed},
                {"logs of firmware boots are pristine", pristine},
};

TAP_MAIN(tests)
