/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec log show: its options, its output on a terminal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "eventlog/log-show.h"
#include "eventlog/parse.h"
#include "shim/log-sources.h"
#include "shim/log-words.h"
#include "shim/options.h"
#include "shim/pager.h"
#include "shim/pcr-values.h"
#include "shim/verb.h"

struct arguments {
        struct log_show_options show;
        bool json, yaml, binary, no_pager;
};

static int take_pcrs(void *to, char *value, struct error *error)
{
        struct arguments *a = to;

        return pcr_list_parse(value, &a->show.pcrs)
                               ? 0
                               : error_set(error, EINVAL, "--pcr wants PCRs, 'N,...', not '%s'",
                                                 value);
}

static int take_bank(void *to, char *value, struct error *error)
{
        struct arguments *a = to;

        a->show.bank = alg_by_name(value);
        return a->show.bank ? 0 : error_set(error, EINVAL, "--bank: no bank is called '%s'", value);
}

static const struct option_row rows[] = {
                {"json", NULL, "all of it, for programs", OPTION_FLAG(struct arguments, json)},
                {"yaml", NULL, "as tpm2_eventlog --eventlog-version=2, for one TCG log",
                                OPTION_FLAG(struct arguments, yaml)},
                {"binary", NULL, "the TCG log's bytes, for other tools",
                                OPTION_FLAG(struct arguments, binary)},
                {"pcr", "N,...", "of these PCRs only", OPTION_TAKE(take_pcrs)},
                {"bank", "NAME", "whose digests the table shows; default: each event's first",
                                OPTION_TAKE(take_bank)},
                {"no-pager", NULL, "no pager on a terminal ($MKEXEC_PAGER, $PAGER, less)",
                                OPTION_FLAG(struct arguments, no_pager)},
};

static const struct options options = {
                .verb = "log show",
                .usage = "mkexec log show [OPTIONS] [FILE...]",
                .about = "What is in event logs, decoded: TCG and CCEL logs, systemd's measurement "
                         "log, IMA lists. Without FILE: this boot's. '-': standard input.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

static int flush_to_stdout(void *context, struct buf *out)
{
        bool paged = ((struct pager *)context)->child != 0;

        /* Whoever leaves the pager has seen enough. Other failures main reports. */
        if (fwrite(out->data, 1, out->size, stdout) < out->size)
                return paged && errno == EPIPE ? -EPIPE : -EIO;
        out->size = 0;
        return 0;
}

/* Forms for one TCG log, without FILE: this boot's. */
static void keep_tcg(struct log_sources *sources)
{
        for (size_t i = 0; i < sources->n; i++)
                if (log_show_is_tcg(sources->source[i].kind)) {
                        struct log_source found = sources->source[i];

                        sources->source[i] = sources->source[0];
                        sources->source[0] = found;
                        while (sources->n > 1)
                                log_source_release(&sources->source[--sources->n]);
                        return;
                }
}

static int write_all(const struct log_sources *sources, const struct log_show_options *show,
                struct error *error)
{
        _cleanup_free_ struct named_log *logs = calloc(sources->n, sizeof(*logs));

        if (!logs)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < sources->n; i++) {
                const struct log_source *source = &sources->source[i];

                logs[i] = (struct named_log){source->name, source->kind, source->bytes,
                                source->boot, log_source_lacks(source)};
        }
        return log_show_write(logs, sources->n, show, error);
}

static int run(struct arguments *a, const struct log_sources *sources, struct error *error)
{
        struct pager pager = {.saved_stdout = -1};
        int r;

        a->show.flush = flush_to_stdout;
        a->show.context = &pager;
        if (!a->no_pager)
                pager_open(&pager);
        a->show.color = a->show.form == LOG_SHOW_TABLE && pager_colors(&pager);
        r = write_all(sources, &a->show, error);
        pager_close(&pager);
        return r == -EPIPE ? 0 : r;
}

/* Bytes that no reader takes for a log aren't given out as one. */
static int show_binary(const struct log_source *source, struct error *error)
{
        struct event_log log;
        int r = log_show_is_tcg(source->kind)
                                ? event_log_open(&log, source->bytes, error)
                                : error_set(error, EPROTO, "--binary is for TCG event logs");

        if (r == 0)
                fwrite(source->bytes.data, 1, source->bytes.size, stdout); /* main looks */
        return r;
}

int log_show(int argc, char **argv)
{
        _cleanup_log_sources_ struct log_sources sources = {0};
        struct arguments a = {.show = {.pcrs = LOG_SHOW_ALL_PCRS}};
        struct error error = {{0}};
        bool one;
        int r = options_parse(&options, argc, argv, &a);

        if (r > 0)
                return r - 1;
        if (a.json + a.yaml + a.binary > 1)
                return usage_error("log show");
        a.show.form = a.json ? LOG_SHOW_JSON : a.yaml ? LOG_SHOW_YAML : LOG_SHOW_TABLE;
        one = a.binary || a.yaml;
        if (one && argc - optind > 1)
                return usage_error("log show");
        r = log_sources_read(argv + optind, (size_t)(argc - optind), &sources, &error);
        if (r < 0)
                return fail(EXIT_USAGE, &error);
        if (one)
                keep_tcg(&sources);
        r = a.binary ? show_binary(&sources.source[0], &error) : run(&a, &sources, &error);
        if (r == -EIO)
                return EXIT_DONE; /* main says that the result couldn't be written */
        return r < 0 ? fail(EXIT_USAGE, &error) : EXIT_DONE;
}
