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
#include "shim/pager.h"
#include "shim/pcr-values.h"
#include "shim/verb.h"

enum { OPT_JSON = 256, OPT_YAML, OPT_BINARY, OPT_NO_PAGER, OPT_PCR, OPT_BANK, OPT_HELP };

static const struct option log_options[] = {
                {"json", no_argument, NULL, OPT_JSON},
                {"yaml", no_argument, NULL, OPT_YAML},
                {"binary", no_argument, NULL, OPT_BINARY},
                {"no-pager", no_argument, NULL, OPT_NO_PAGER},
                {"pcr", required_argument, NULL, OPT_PCR},
                {"bank", required_argument, NULL, OPT_BANK},
                {"help", no_argument, NULL, OPT_HELP},
                {NULL},
};

static void help(void)
{
        puts("mkexec log show [OPTIONS] [FILE...]\n\n"
             "What is in event logs, decoded: TCG and CCEL logs, systemd's measurement log, IMA "
             "lists.\n"
             "Without FILE: this boot's. '-': standard input.\n\n"
             "  --json           all of it, for programs\n"
             "  --yaml           as tpm2_eventlog --eventlog-version=2, for one TCG log\n"
             "  --binary         the TCG log's bytes, for other tools\n"
             "  --pcr N,...      of these PCRs only\n"
             "  --bank NAME      whose digests the table shows; default: each event's first\n"
             "  --no-pager       no pager on a terminal ($MKEXEC_PAGER, $PAGER, less)");
}

struct arguments {
        struct log_show_options show;
        bool binary, no_pager;
};

/* 0, 1 for help, -1 if it can't be. */
static int parse_option(int option, struct arguments *a, bool *form_given)
{
        switch (option) {
        case OPT_JSON:
        case OPT_YAML:
        case OPT_BINARY:
                if (*form_given)
                        return -1;
                *form_given = true;
                a->binary = option == OPT_BINARY;
                a->show.form = option == OPT_JSON   ? LOG_SHOW_JSON
                               : option == OPT_YAML ? LOG_SHOW_YAML
                                                    : LOG_SHOW_TABLE;
                return 0;
        case OPT_NO_PAGER:
                a->no_pager = true;
                return 0;
        case OPT_PCR:
                return pcr_list_parse(optarg, &a->show.pcrs) ? 0 : -1;
        case OPT_BANK:
                a->show.bank = alg_by_name(optarg);
                return a->show.bank ? 0 : -1;
        case 'h':
        case OPT_HELP:
                return 1;
        default:
                return -1;
        }
}

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

static int write_all(const struct log_sources *sources, const struct log_show_options *options,
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
        return log_show_write(logs, sources->n, options, error);
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
        bool form_given = false, one;
        struct error error = {{0}};
        int option, r;

        while ((option = getopt_long(argc, argv, "h", log_options, NULL)) >= 0) {
                r = parse_option(option, &a, &form_given);
                if (r != 0)
                        return r < 0 ? usage_error("log") : (help(), EXIT_DONE);
        }
        one = a.binary || a.show.form == LOG_SHOW_YAML;
        if (one && argc - optind > 1)
                return usage_error("log");
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
