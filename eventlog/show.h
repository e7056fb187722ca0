/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs of all kinds as rows, and the writers of rows: `mkexec log show`. A writer appends to a buf
 * of the caller's, who may write that out and empty it between any two calls, so that memory is
 * bounded by the largest event. All text of a log goes through escape.h. */
#pragma once

#include "base/alg.h"
#include "base/buf.h"
#include "eventlog/body.h"
#include "eventlog/cel.h"
#include "eventlog/event.h"
#include "eventlog/ima-log.h"
#include "eventlog/json-writer.h"
#include "eventlog/log-kind.h"
#include "eventlog/parse.h"
#include "eventlog/replay.h"
#include "eventlog/systemd-log.h"

struct show_row {
        size_t log;                 /* which of the logs that are shown */
        size_t index, offset, size; /* of the record in its log */
        bool has_pcr, has_nv_index;
        uint32_t pcr, nv_index;
        struct span type; /* "EV_IPL", systemd's event type, IMA's template ...; UTF-8 at best */
        struct digests digests;
        bool data_known;
        struct span data;    /* what the record holds as event data, or what was measured */
        struct span text;    /* one line for people, escaped */
        bool own, no_action; /* an event of mkexec's hops; one that wasn't extended */
        /* As body.h has it. */
        int (*body)(const void *record, const struct body_sink *sink, struct error *reason);
        const void *record;
};

/* What a row points into; for as many rows as there are. Release it. */
struct show_scratch {
        struct buf type, text, data, wide;
        char name[EVENT_TYPE_TEXT_SIZE];
};
void show_scratch_release(struct show_scratch *scratch);
#define _cleanup_show_scratch_ __attribute__((cleanup(show_scratch_release)))

/* The row of a record, which must stay as it is as long as the row; log is 0. -ENOMEM. */
int show_event(const struct tcg_event *event, struct show_scratch *scratch, struct show_row *ret);
int show_systemd(const struct systemd_record *record, struct show_scratch *scratch,
                struct show_row *ret);
int show_ima(const struct ima_record *record, struct show_scratch *scratch, struct show_row *ret);
int show_cel(const struct cel_record *record, struct show_scratch *scratch, struct show_row *ret);

/* Why the body isn't what the type promises, by a look of its own. */
bool show_row_malformed(const struct show_row *row, struct error *reason);

/* ---- for people ---- */

struct show_table {
        struct buf *out;
        const struct alg *bank; /* whose digests are shown; NULL: each record's first */
        bool color;             /* SGR sequences around what we write ourselves */
};

/* Before the rows of a log: the names of the columns. name: NULL if there is one log only. */
void show_table_log(const struct show_table *w, const char *name, const char *kind);
void show_table_row(const struct show_table *w, const struct show_row *row);
/* Before its rows: what is to be known of it, in one line. */
void show_table_note(const struct show_table *w, const char *note);
/* Behind the rows of a log that couldn't be read to its end. */
void show_table_malformed(const struct show_table *w, const char *reason);

/* ---- for programs: docs/architecture.md, "JSON that other programs rely on" ---- */

struct show_json {
        struct json_writer json;
        struct buf wide; /* for device paths */
        size_t n_rows, n_logs;
};

/* begin, then rows, then logs, then end, which releases what the writer holds. */
void show_json_begin(struct show_json *w, struct buf *out);
void show_json_row(struct show_json *w, const struct show_row *row);
struct show_json_log {
        const struct named_log *log; /* its name: UTF-8 at best */
        const struct banks *banks;
        const char *reason; /* why it couldn't be read to its end, "" if it could */
};
void show_json_log(struct show_json *w, const struct show_json_log *shown);
void show_json_end(struct show_json *w);

/* ---- for users of tpm2_eventlog: its YAML, --eventlog-version=2, of TCG event logs ---- */

struct show_yaml {
        struct buf *out;
        const struct event_log *log;
};

void show_yaml_begin(struct show_yaml *w, const struct event_log *log, struct buf *out);
void show_yaml_event(struct show_yaml *w, const struct tcg_event *event);
/* values: of the PCRs in pcrs (a mask) that were measured. reason: why the log couldn't be read to
 * its end, "" if it could. */
void show_yaml_end(struct show_yaml *w, const struct replay *values, uint32_t pcrs,
                const char *reason);
