/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec log check: whether logs are whole and right, and whether they explain PCR values. */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "shim/log-check.h"
#include "shim/log-words.h"
#include "shim/options.h"
#include "shim/pcr-values.h"
#include "shim/progress.h"
#include "shim/verb.h"
#include "tcg2/tpm.h"

struct arguments {
        bool json, tpm, verbose;
        const char *pcrs, *tcti;
};

static const struct option_row rows[] = {
                {"json", NULL, "as JSON, each event with its status",
                                OPTION_FLAG(struct arguments, json)},
                {"pcrs", "FILE", "compare with these values: lines 'bank pcr hex'",
                                OPTION_TEXT(struct arguments, pcrs)},
                {"tpm", NULL, "compare with this machine's TPM",
                                OPTION_FLAG(struct arguments, tpm)},
                {"tcti", "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0); implies --tpm",
                                OPTION_TEXT(struct arguments, tcti)},
                {"verbose", NULL, "name each event that isn't verified",
                                OPTION_FLAG(struct arguments, verbose)},
};

static const struct options options = {
                .verb = "log check",
                .usage = "mkexec log check [OPTIONS] [FILE...]",
                .about = "Structure of logs, digests against data, order and separators, mkexec's "
                         "hops, and with PCR values whether all logs together explain them: one "
                         "TCG or CCEL log, systemd's logs in the order of boots, an IMA list. "
                         "Without FILE: this machine's, compared with its TPM. '-': standard "
                         "input.",
                .end = "Exit code: 0 ok, 1 mismatch, 2 malformed.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

static int read_tpm(const char *tcti, struct replay *ret, struct error *error)
{
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        struct banks banks;
        int r = tpm_esys_open(tcti, &tpm, error);

        if (r == 0)
                r = tpm_active_banks(tpm, &banks, error);
        return r == 0 ? tpm_pcr_read(tpm, &banks, (1u << PCR_COUNT) - 1, ret, error) : r;
}

/* 1: there are values. Before the logs are read: these may grow meanwhile, which does no harm. */
static int read_values(
                const struct arguments *a, bool machine, struct replay *ret, struct error *error)
{
        int r;

        if (a->pcrs)
                return pcr_values_read(a->pcrs, ret, error) ?: 1;
        if (!a->tpm && !machine)
                return 0;
        r = read_tpm(a->tcti, ret, error);
        if (r < 0 && !a->tpm) {
                progress_warn("the logs aren't compared with the TPM: %s", error->text);
                return 0;
        }
        return r < 0 ? r : 1;
}

static int run(const struct arguments *a, char *const *paths, size_t n_paths)
{
        static const int exit_codes[] = {
                        [HOP_RESULT_OK] = EXIT_DONE,
                        [HOP_RESULT_MISMATCH] = EXIT_REFUSED,
                        [HOP_RESULT_MALFORMED] = EXIT_USAGE,
        };
        _cleanup_log_sources_ struct log_sources sources = {0};
        struct log_chain logs;
        struct replay values;
        struct log_check check = {.sources = &sources, .logs = &logs, .out = stdout};
        enum hop_result result;
        struct error error = {{0}};
        int r = read_values(a, n_paths == 0, &values, &error);

        check.pcrs = r > 0 ? &values : NULL;
        if (r >= 0)
                r = log_chain_read(paths, n_paths, &sources, &logs, &error);
        if (r >= 0)
                r = a->json ? log_check_json(&check, &result, &error)
                            : log_check_text(&check, a->verbose, &result, &error);
        if (r == -EIO)
                return EXIT_REFUSED; /* main says that the result couldn't be written */
        return r < 0 ? fail(EXIT_USAGE, &error) : exit_codes[result];
}

int log_check(int argc, char **argv)
{
        struct arguments a = {0};
        int r = options_parse(&options, argc, argv, &a);

        if (r > 0)
                return r - 1;
        a.tpm = a.tpm || a.tcti;
        if (a.pcrs && a.tpm)
                return usage_error("log check");
        return run(&a, argv + optind, (size_t)(argc - optind));
}
