/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/log-show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/ima-log.h"
#include "eventlog/parse.h"
#include "eventlog/show.h"
#include "eventlog/systemd-log.h"

#define FLUSH_BYTES 65536u

/* ---- one pass over the logs ---- */

struct pass {
        const struct log_show_options *options;
        struct buf *out;
        struct show_scratch *scratch;
        struct show_json *json;
        struct show_table table;
        size_t log; /* number of the log at hand */
        const char *name;
};

static int flush_if_full(const struct pass *p)
{
        if (buf_failed(p->out))
                return -ENOMEM;
        return p->out->size < FLUSH_BYTES ? 0 : p->options->flush(p->options->context, p->out);
}

/* Records that aren't in a PCR (no-action events of PCR 0xffffffff, NvPCRs) are left out as soon as
 * somebody asks for PCRs. */
static bool is_wanted(const struct pass *p, bool has_pcr, uint32_t pcr)
{
        return p->options->pcrs == LOG_SHOW_ALL_PCRS ||
               (has_pcr && pcr < PCR_COUNT && p->options->pcrs & 1u << pcr);
}

static int put_row(const struct pass *p, struct show_row *row)
{
        if (!is_wanted(p, row->has_pcr, row->pcr))
                return 0;
        row->log = p->log;
        if (p->json)
                show_json_row(p->json, row);
        else
                show_table_row(&p->table, row);
        return flush_if_full(p);
}

/* Each goes through one log: 0, -EBADMSG where it can't be read on, else what writing gave. */

static int show_tcg(
                const struct pass *p, struct span bytes, struct banks *banks, struct error *error)
{
        size_t offset = 0, index = 0;
        struct event_log log;
        struct tcg_event event;
        struct show_row row;
        int r = event_log_open(&log, bytes, error), written = 0;

        if (r < 0)
                return r;
        *banks = log.banks;
        while ((r = event_log_next(&log, &offset, &index, &event, error)) > 0) {
                written = show_event(&event, p->scratch, &row);
                if (written == 0)
                        written = put_row(p, &row);
                if (written < 0)
                        return written;
        }
        return r;
}

static int show_systemd_log(
                const struct pass *p, struct span bytes, struct banks *banks, struct error *error)
{
        struct systemd_record record;
        size_t offset = 0, index = 0;
        struct error first = {{0}};
        struct show_row row;
        int r, bad = 0;

        /* The reader goes on behind a bad record, and the first reason is kept. */
        while ((r = systemd_log_next(bytes, &offset, &index, &record, error)) != 0) {
                if (r < 0) {
                        first = bad < 0 ? first : *error;
                        bad = r;
                        continue;
                }
                for (size_t i = 0; i < record.digests.n; i++)
                        banks_add(banks, record.digests.d[i].alg);
                r = show_systemd(&record, p->scratch, &row);
                if (r == 0)
                        r = put_row(p, &row);
                if (r < 0)
                        return r;
        }
        if (bad < 0)
                *error = first;
        return bad;
}

static int show_ima_list(
                const struct pass *p, struct span bytes, struct banks *banks, struct error *error)
{
        _cleanup_buf_ struct buf data = {0};
        size_t offset = 0, index = 0;
        struct ima_log log;
        struct ima_record record;
        struct show_row row;
        int r = ima_log_open(&log, bytes, error), written;

        if (r < 0)
                return r;
        while ((r = ima_log_next(&log, &offset, &index, &data, &record, error)) > 0) {
                written = show_ima(&record, p->scratch, &row);
                if (written == 0)
                        written = put_row(p, &row);
                if (written < 0)
                        return written;
        }
        return r;
}

static int show_cel_log(
                const struct pass *p, struct span bytes, struct banks *banks, struct error *error)
{
        _cleanup_buf_ struct buf data = {0};
        struct cel_record record;
        struct cel_log log;
        struct show_row row;
        int r = cel_open(&log, bytes, error), written;

        while (r >= 0 && (r = cel_next(&log, &data, &record, error)) > 0) {
                for (size_t i = 0; i < record.event.digests.n; i++)
                        banks_add(banks, record.event.digests.d[i].alg);
                written = show_cel(&record, p->scratch, &row);
                if (written == 0)
                        written = put_row(p, &row);
                if (written < 0)
                        return written;
        }
        return r;
}

static int (*const readers[])(const struct pass *p, struct span bytes, struct banks *banks,
                struct error *error) = {
                [LOG_UNKNOWN] = show_tcg, /* which says what is wrong with it */
                [LOG_TCG] = show_tcg,
                [LOG_CC] = show_tcg,
                [LOG_SYSTEMD] = show_systemd_log,
                [LOG_IMA] = show_ima_list,
                [LOG_CEL_JSON] = show_cel_log,
                [LOG_CEL_TLV] = show_cel_log,
};

bool log_show_is_tcg(enum log_kind kind)
{
        return readers[kind] == show_tcg;
}

/* ---- rows: table and JSON ---- */

struct log_end {
        struct banks banks;
        struct error reason;
};

static int show_log(const struct pass *p, const struct named_log *log, struct log_end *end,
                struct error *error)
{
        int r = readers[log->kind](p, log->bytes, &end->banks, &end->reason);

        if (r == 0)
                end->reason.text[0] = '\0';
        else if (r == -ENOMEM)
                error_set(error, ENOMEM, "out of memory");
        else if (r == -EBADMSG)
                error_set(error, EBADMSG, "%s: %s", log->name, end->reason.text);
        return r;
}

static int show_table(struct pass *p, const struct named_log *logs, size_t n, struct error *error)
{
        int result = 0;

        for (size_t i = 0; i < n; i++) {
                const struct named_log *log = &logs[i];
                struct log_end end = {0};
                int r;

                p->log = i;
                show_table_log(&p->table, n > 1 ? log->name : NULL, log_kind_name(log->kind));
                if (log->lacks)
                        show_table_note(&p->table, log->lacks);
                r = show_log(p, log, &end, result < 0 ? NULL : error);
                if (r == -EBADMSG)
                        show_table_malformed(&p->table, end.reason.text);
                else if (r < 0)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

static int show_json(struct pass *p, const struct named_log *logs, size_t n, struct error *error)
{
        _cleanup_free_ struct log_end *ends = calloc(n, sizeof(*ends));
        struct show_json json;
        int result = 0, r = 0;

        if (!ends)
                return error_set(error, ENOMEM, "out of memory");
        p->json = &json;
        show_json_begin(&json, p->out);
        for (size_t i = 0; i < n && (r == 0 || r == -EBADMSG); i++) {
                p->log = i;
                r = show_log(p, &logs[i], &ends[i], result < 0 ? NULL : error);
                if (r < 0)
                        result = r;
        }
        for (size_t i = 0; i < n; i++)
                show_json_log(&json, &(struct show_json_log){&logs[i], &ends[i].banks,
                                                     ends[i].reason.text});
        show_json_end(&json);
        return result;
}

/* ---- YAML: one TCG log ---- */

static int show_yaml_events(struct pass *p, const struct event_log *log, struct show_yaml *yaml,
                struct replay *values, struct error *error)
{
        size_t offset = 0, index = 0;
        struct tcg_event event;
        int r, written, replayed = 0;

        while ((r = event_log_next(log, &offset, &index, &event, error)) > 0) {
                if (replayed == 0 && index > log->first_index)
                        replayed = replay_event(values, &event, error);
                if (!is_wanted(p, true, event.pcr))
                        continue;
                show_yaml_event(yaml, &event);
                written = flush_if_full(p);
                if (written < 0)
                        return written;
        }
        return r < 0 ? r : replayed;
}

static int show_yaml(struct pass *p, const struct named_log *logs, size_t n, struct error *error)
{
        struct error reason = {{0}};
        struct show_yaml yaml;
        struct event_log log;
        struct replay values;
        int r;

        if (n != 1 || !log_show_is_tcg(logs[0].kind))
                return error_set(error, EPROTO, "YAML is for one TCG event log at a time");
        r = event_log_open(&log, logs[0].bytes, error);
        if (r < 0)
                return error_prefix(error, r, "%s", logs[0].name);
        replay_start(&values, &log.banks);
        show_yaml_begin(&yaml, &log, p->out);
        r = show_yaml_events(p, &log, &yaml, &values, &reason);
        if (r < 0 && r != -EBADMSG)
                return r;
        show_yaml_end(&yaml, &values, p->options->pcrs, r < 0 ? reason.text : "");
        return r < 0 ? error_set(error, -r, "%s: %s", logs[0].name, reason.text) : 0;
}

int log_show_write(const struct named_log *logs, size_t n_logs,
                const struct log_show_options *options, struct error *error)
{
        static int (*const forms[])(struct pass * p, const struct named_log *logs, size_t n,
                        struct error *error) = {
                        [LOG_SHOW_TABLE] = show_table,
                        [LOG_SHOW_JSON] = show_json,
                        [LOG_SHOW_YAML] = show_yaml,
        };
        _cleanup_show_scratch_ struct show_scratch scratch = {0};
        _cleanup_buf_ struct buf out = {0};
        struct pass pass = {
                        .options = options,
                        .out = &out,
                        .scratch = &scratch,
                        .table = {.out = &out, .bank = options->bank, .color = options->color},
        };
        int r = forms[options->form](&pass, logs, n_logs, error);

        if (r < 0 && r != -EBADMSG)
                return r;
        if (buf_failed(&out))
                return error_set(error, ENOMEM, "out of memory");
        return options->flush(options->context, &out) ?: r;
}
