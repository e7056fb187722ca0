/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_logs on real logs: what TPMs showed is explained, and one bit of it changed isn't; all logs
 * are read; the verdicts wanted for malformed ones are met. */
#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/check.h"
#include "tests/unit/corpus.h"

/* ---- values ---- */

static bool put_value(const char *line, struct replay *values)
{
        char bank[16], hex[2 * DIGEST_MAX_BYTES + 1];
        const struct alg *alg;
        unsigned pcr;
        int b;

        if (line[0] == '#' || sscanf(line, "%15s %u %128s", bank, &pcr, hex) != 3)
                return false;
        alg = alg_by_name(bank);
        if (!alg || pcr >= PCR_COUNT)
                return false;
        if (banks_add(&values->banks, alg))
                for (unsigned i = 0; i < PCR_COUNT; i++)
                        values->pcr[values->banks.n - 1][i].alg = alg;
        b = replay_bank(values, alg->id);
        values->measured[b] |= 1u << pcr;
        return hex_decode(hex, values->pcr[b][pcr].bytes, alg->size);
}

/* An expected/ file: the sources "A THEN B" in its first line, its class in the second. */
struct expected {
        struct buf text, bytes[3];
        struct chain chain;
        struct replay values;
        char class;
};

static void expected_release(struct expected *e)
{
        buf_release(&e->text);
        for (size_t i = 0; i < ARRAY_SIZE(e->bytes); i++)
                buf_release(&e->bytes[i]);
}
#define _cleanup_expected_ __attribute__((cleanup(expected_release)))

static bool read_source(struct expected *e, const char *name)
{
        if (strncmp(name, "cel/", 4) == 0) {
                if (!read_corpus(name, &e->bytes[0]))
                        return false;
                e->chain.systemd[0] = buf_span(&e->bytes[0]);
                e->chain.n_systemd = 1;
        } else if (strncmp(name, "ima/", 4) == 0) {
                if (!read_corpus(name, &e->bytes[1]))
                        return false;
                e->chain.ima = buf_span(&e->bytes[1]);
        } else {
                if (!read_corpus(name, &e->bytes[2]))
                        return false;
                e->chain.firmware = buf_span(&e->bytes[2]);
        }
        return true;
}

static bool expected_read(const char *name, struct expected *e)
{
        char sources[256] = "", class[4] = "", *line, *save;

        *e = (struct expected){0};
        if (!read_corpus(name, &e->text))
                return false;
        buf_put_u8(&e->text, 0);
        sscanf((char *)e->text.data, "# %255[^\n]\n# %3s", sources, class);
        e->class = class[0];
        for (char *source = strtok_r(sources, " ", &save); source;
                        source = strtok_r(NULL, " ", &save))
                if (strcmp(source, "THEN") != 0 && !read_source(e, source))
                        return false;
        for (line = strtok_r((char *)e->text.data, "\n", &save); line;
                        line = strtok_r(NULL, "\n", &save))
                put_value(line, &e->values);
        return true;
}

static void judge(const struct chain *chain, const struct replay *values, struct check_result *ret)
{
        const struct check_input input = {.chain = *chain, .pcrs = values};
        struct error error = {{0}};

        *ret = (struct check_result){0};
        CHECK_EQ(check_logs(&input, ret, &error), 0);
}

static unsigned n_logs, n_twins;

/* Each value of a PCR that a log measures, with a bit changed. */
static void try_twins(const char *name, struct expected *e, const struct check_result *good)
{
        const struct replay *replay = &good->chain.replay;

        for (size_t b = 0; b < e->values.banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        _cleanup_check_result_ struct check_result twin = {0};
                        int k = replay_bank(replay, e->values.banks.alg[b]->id);

                        if (k < 0 || !(e->values.measured[b] & 1u << pcr) ||
                                        !(replay->measured[k] & 1u << pcr))
                                continue;
                        e->values.pcr[b][pcr].bytes[3] ^= 0x10;
                        judge(&e->chain, &e->values, &twin);
                        e->values.pcr[b][pcr].bytes[3] ^= 0x10;
                        if (twin.result != HOP_RESULT_MISMATCH)
                                printf("# %s: %s %u changed is taken\n", name,
                                                e->values.banks.alg[b]->name, pcr);
                        CHECK_EQ(twin.result, HOP_RESULT_MISMATCH);
                        CHECK_EQ(twin.pcr[k][pcr], CHECK_PCR_DIFFERS);
                        n_twins++;
                }
}

static void check_expected(const char *name)
{
        _cleanup_expected_ struct expected e = {0};
        _cleanup_check_result_ struct check_result result = {0};

        REQUIRE(expected_read(name, &e));
        judge(&e.chain, &e.values, &result);
        if (result.result != HOP_RESULT_OK)
                printf("# %s (%c): %s\n", name, e.class, result.reason.text);
        CHECK_EQ(result.result, HOP_RESULT_OK);
        n_logs += strchr("TQS", e.class) != NULL;
        try_twins(name, &e, &result);
}

static void expected_values(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        n_logs = n_twins = 0;
        for_each("expected", ".pcrs", check_expected);
        printf("# %u logs with values of real machines, %u values changed\n", n_logs, n_twins);
        CHECK(n_logs > 20 && n_twins > 350);
}

/* ---- all logs ---- */

/* What isn't right with these is the logs' fault, and named. */
static const struct {
        const char *name;
        enum hop_result result;
        const char *reason;
} faults[] = {
                {"tcg/acs-tpm2bios.bin", HOP_RESULT_MISMATCH, "separator"}, /* Skiboot's own ways */
                {"tcg/hirs-addEvt11asSPDMFirmwareBlob_origVersion0.bin", HOP_RESULT_MALFORMED,
                                "event 11 at offset 0x3b95"}, /* doctored by its authors */
                {"tcg/ibmtss-amd635.bin", HOP_RESULT_MISMATCH, "a second separator"},
                {"ima/acs-imasig.bin", HOP_RESULT_MISMATCH, "record 1079 at offset"},
                {"ima/tss-sml-ima-ng-sha1.bin", HOP_RESULT_MALFORMED, "record 6 at offset"},
};

static void check_any(const char *name)
{
        _cleanup_expected_ struct expected e = {0};
        _cleanup_check_result_ struct check_result result = {0};
        enum hop_result wanted = HOP_RESULT_OK;
        const char *reason = "";

        for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
                if (strcmp(faults[i].name, name) == 0) {
                        wanted = faults[i].result;
                        reason = faults[i].reason;
                }
        REQUIRE(read_source(&e, name));
        judge(&e.chain, NULL, &result);
        if (result.result != wanted)
                printf("# %s: %s\n", name, result.reason.text);
        CHECK_EQ(result.result, wanted);
        CHECK(strstr(result.reason.text, reason));
        CHECK(result.n_events[CHECK_VERIFIED] > 0 || strstr(name, "acs-") ||
                        strstr(name, "no_action"));
        CHECK_EQ(result.cc, strncmp(name, "ccel/", 5) == 0);
        n_logs++;
}

static void all_logs(void)
{
        if (!corpus())
                SKIP(NO_CORPUS);
        n_logs = 0;
        for_each("tcg", ".bin", check_any);
        for_each("ccel", ".bin", check_any);
        for_each("ima", ".bin", check_any);
        for_each("ima", ".txt", check_any);
        for_each("cel", ".log", check_any);
        printf("# %u logs\n", n_logs);
        CHECK(n_logs > 60);
}

/* ---- malformed ones ---- */

/* What the words of VERDICTS.tsv mean here; the first that fits. */
static const struct {
        const char *wanted;
        enum hop_result result;
        bool malformed_event; /* there is one, and it doesn't matter */
        bool cc;
} verdicts[] = {
                {"verify: digest/data mismatch", HOP_RESULT_MISMATCH, false, false},
                {"verify: refuse", HOP_RESULT_MISMATCH, false, false},
                {"verify: separator digest under another type; refuse", HOP_RESULT_MISMATCH, false,
                                false},
                {"refuse", HOP_RESULT_MALFORMED, true, false},
                {"accept only as CCEL", HOP_RESULT_OK, false, true},
                {"accept, event data malformed", HOP_RESULT_OK, true, false},
                {"accept structure, event data malformed", HOP_RESULT_OK, true, false},
                {"event data malformed", HOP_RESULT_OK, true, false},
                {"accept", HOP_RESULT_OK, false, false},
};

static void check_verdict(const char *name, const char *wanted)
{
        _cleanup_expected_ struct expected e = {0};
        _cleanup_check_result_ struct check_result result = {0};
        char path[512];
        size_t i;

        snprintf(path, sizeof(path), "malformed/%s", name);
        REQUIRE(read_source(&e, path));
        judge(&e.chain, NULL, &result);
        for (i = 0; i < ARRAY_SIZE(verdicts); i++)
                if (strncmp(wanted, verdicts[i].wanted, strlen(verdicts[i].wanted)) == 0)
                        break;
        REQUIRE(i < ARRAY_SIZE(verdicts));
        if (result.result != verdicts[i].result)
                printf("# %s: wanted %s: %s\n", name, wanted, result.reason.text);
        CHECK_EQ(result.result, verdicts[i].result);
        CHECK_EQ(result.n_events[CHECK_MALFORMED] > 0, verdicts[i].malformed_event);
        CHECK_EQ(result.cc, verdicts[i].cc);
        CHECK(result.result == HOP_RESULT_OK || strstr(result.reason.text, "event ") ||
                        strstr(result.reason.text, "header"));
        if (strstr(wanted, "report padding"))
                CHECK(result.padding_bytes > 0);
        n_logs++;
}

static void malformed(void)
{
        _cleanup_buf_ struct buf table = {0};
        char *line, *save;

        if (!corpus())
                SKIP(NO_CORPUS);
        n_logs = 0;
        REQUIRE(read_corpus("malformed/VERDICTS.tsv", &table));
        buf_put_u8(&table, 0);
        for (line = strtok_r((char *)table.data, "\n", &save); line;
                        line = strtok_r(NULL, "\n", &save)) {
                char *what = strchr(line, '\t'), *wanted = what ? strchr(what + 1, '\t') : NULL;

                if (!wanted || strncmp(line, "gen-", 4) != 0)
                        continue;
                *what = '\0';
                check_verdict(line, wanted + 1);
        }
        printf("# %u verdicts\n", n_logs);
        CHECK(n_logs > 30);
}

static const struct tap_test tests[] = {
                {"values of real machines, and each with a bit changed", expected_values},
                {"every log is read, and faults of logs are named", all_logs},
                {"malformed logs get the wanted verdict", malformed},
};

TAP_MAIN(tests)
