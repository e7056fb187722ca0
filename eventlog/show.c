/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/show.h"

#include <errno.h>
#include <string.h>

#include "eventlog/body-parts.h"
#include "eventlog/decode.h"
#include "eventlog/hop.h"

void show_scratch_release(struct show_scratch *scratch)
{
        buf_release(&scratch->type);
        buf_release(&scratch->text);
        buf_release(&scratch->data);
        buf_release(&scratch->wide);
}

static void empty(struct show_scratch *scratch)
{
        scratch->type.size = scratch->text.size = scratch->data.size = scratch->wide.size = 0;
}

static int done(const struct show_scratch *scratch, struct show_row *row, struct show_row *ret)
{
        if (buf_failed(&scratch->type) || buf_failed(&scratch->text) ||
                        buf_failed(&scratch->data) || buf_failed(&scratch->wide))
                return -ENOMEM;
        row->text = buf_span(&scratch->text);
        *ret = *row;
        return 0;
}

static void ignore(void *context, const struct body_field *field)
{
        (void)context, (void)field;
}

static int event_body_of(const void *record, const struct body_sink *sink, struct error *reason)
{
        return event_body(record, sink, reason);
}

bool show_row_malformed(const struct show_row *row, struct error *reason)
{
        static const struct body_sink nobody = {.put = ignore};

        return row->body(row->record, &nobody, reason) < 0;
}

int show_event(const struct tcg_event *event, struct show_scratch *scratch, struct show_row *ret)
{
        struct show_row row = {
                        .index = event->index,
                        .offset = event->offset,
                        .size = event->size,
                        .has_pcr = true,
                        .pcr = event->pcr,
                        .digests = event->digests,
                        .data_known = true,
                        .data = event->data,
                        .own = hop_is_own(event) != HOP_NONE,
                        .no_action = event->type == EV_NO_ACTION,
                        .body = event_body_of,
                        .record = event,
        };
        const char *type = event_type_text(event->type, scratch->name);

        empty(scratch);
        row.type = SPAN(type, strlen(type));
        event_line(event, &scratch->wide, &scratch->text);
        return done(scratch, &row, ret);
}

static int systemd_body_of(const void *record, const struct body_sink *sink, struct error *reason)
{
        return systemd_record_body(record, sink, reason);
}

int show_systemd(const struct systemd_record *record, struct show_scratch *scratch,
                struct show_row *ret)
{
        struct show_row row = {
                        .index = record->index,
                        .offset = record->offset,
                        .size = record->size,
                        .has_pcr = record->has_pcr,
                        .has_nv_index = record->has_nv_index,
                        .pcr = record->pcr,
                        .nv_index = record->nv_index,
                        .digests = record->digests,
                        .body = systemd_body_of,
                        .record = record,
        };

        empty(scratch);
        if (json_string(&record->event_type, &scratch->type))
                row.type = buf_span(&scratch->type);
        else
                row.type = SPAN("systemd", 7);
        row.data_known = systemd_record_measured(record, &scratch->data);
        row.data = buf_span(&scratch->data);
        event_line_of(row.data, &scratch->text);
        return done(scratch, &row, ret);
}

static int ima_body_of(const void *record, const struct body_sink *sink, struct error *reason)
{
        return ima_record_body(record, sink, reason);
}

/* The list has one digest; what the PCRs were extended by is for replay. */
int show_ima(const struct ima_record *record, struct show_scratch *scratch, struct show_row *ret)
{
        struct show_row row = {
                        .index = record->index,
                        .offset = record->offset,
                        .size = record->size,
                        .has_pcr = true,
                        .pcr = record->pcr,
                        .type = record->name,
                        .data_known = record->data_known,
                        .data = record->data,
                        .body = ima_body_of,
                        .record = record,
        };

        empty(scratch);
        for (size_t i = 0; alg_by_index(i) && !row.digests.n; i++)
                if (alg_by_index(i)->size == record->digest_size) {
                        row.digests.n = 1;
                        row.digests.d[0].alg = alg_by_index(i);
                        memcpy(row.digests.d[0].bytes, record->digest, record->digest_size);
                }
        if (record->violation)
                buf_put(&scratch->text, "violation: ", 11);
        if (record->file.size > 0)
                escape_text(record->file, TEXT_UTF8, ESCAPE_LINE, &scratch->text);
        return done(scratch, &row, ret);
}

/* ---- Canonical Event Logs ---- */

static int cel_body_of(const void *record, const struct body_sink *sink, struct error *reason)
{
        return cel_record_body(record, sink, reason);
}

/* A record's type where its content isn't an event of firmware's. */
static struct span cel_type(const struct cel_record *record, struct show_scratch *scratch)
{
        const char *name = record->content_type == CEL_MANAGEMENT
                                           ? cel_management_name(record->management[0].type)
                                           : cel_content_name(record->content_type);

        if (record->name.size > 0)
                return record->name;
        if (record->content_type == CEL_COS)
                return SPAN("cos", 3);
        if (name)
                return SPAN(name, strlen(name));
        if (record->content_type == CEL_NAMED)
                json_string(&record->type_json, &scratch->type);
        else
                buf_format(&scratch->type, "%u", record->content_type);
        return buf_span(&scratch->type);
}

static void management_line(const struct cel_record *record, struct buf *line)
{
        for (size_t i = 0; i < record->n_management; i++) {
                const struct cel_management *entry = &record->management[i];

                buf_format(line, "%s%s", i > 0 ? ", " : "", cel_management_name(entry->type));
                if (entry->type == CEL_STATE_TRANS)
                        buf_format(line, ": %s", cel_transition_name(entry->value));
                else if (entry->type == CEL_TIMESTAMP)
                        buf_format(line, ": %llu", (unsigned long long)entry->value);
                else if (entry->type == CEL_VERSION)
                        buf_format(line, ": %llu.%llu", (unsigned long long)entry->value,
                                        (unsigned long long)entry->minor);
        }
}

static void cel_line(
                const struct cel_record *record, struct show_scratch *scratch, struct show_row *row)
{
        struct span text;
        uint8_t field;

        switch (record->content_type) {
        case CEL_MANAGEMENT:
                management_line(record, &scratch->text);
                break;
        case CEL_IMA_TEMPLATE:
                escape_text(ima_template_file(record->name, record->event.data), TEXT_UTF8,
                                ESCAPE_LINE, &scratch->text);
                break;
        case CEL_SYSTEMD:
                row->data_known = record->data_known &&
                                  systemd_unescape(record->event.data, &scratch->data);
                row->data = buf_span(&scratch->data);
                event_line_of(row->data, &scratch->text);
                break;
        default:
                if (cel_cos_field(record, &field, &text))
                        event_line_of(text, &scratch->text);
                else if (record->data_known)
                        event_line_of(record->event.data, &scratch->text);
        }
}

int show_cel(const struct cel_record *record, struct show_scratch *scratch, struct show_row *ret)
{
        struct show_row row = {
                        .index = record->event.index,
                        .offset = record->event.offset,
                        .size = record->event.size,
                        .has_pcr = record->place != CEL_NV_INDEX,
                        .has_nv_index = record->place == CEL_NV_INDEX,
                        .pcr = record->event.pcr,
                        .nv_index = record->nv_index,
                        .digests = record->event.digests,
                        .data_known = record->data_known,
                        .data = record->event.data,
                        .body = cel_body_of,
                        .record = record,
        };
        const char *type = event_type_text(record->event.type, scratch->name);

        empty(scratch);
        if (record->content_type != CEL_PCCLIENT_STD) {
                row.no_action = record->content_type == CEL_MANAGEMENT &&
                                record->event.digests.n == 0;
                row.type = cel_type(record, scratch);
                cel_line(record, scratch, &row);
                return done(scratch, &row, ret);
        }
        row.own = hop_is_own(&record->event) != HOP_NONE;
        row.no_action = record->event.type == EV_NO_ACTION;
        row.type = SPAN(type, strlen(type));
        if (record->data_known)
                event_line(&record->event, &scratch->wide, &scratch->text);
        return done(scratch, &row, ret);
}
