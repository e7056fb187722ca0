/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of records that the system made after firmware, systemd's and IMA's, and of those in which
 * a Canonical Event Log has them and its own. */
#include <errno.h>
#include <string.h>

#include "eventlog/body-parts.h"

static void body_string(const struct body_sink *sink, const char *name, const struct json *string)
{
        if (string->kind == JSON_STRING)
                sink->put(sink->context, &(struct body_field){.kind = BODY_JSON_STRING,
                                                         .name = name,
                                                         .bytes = string->text});
}

int systemd_record_body(const struct systemd_record *record, const struct body_sink *sink,
                struct error *reason)
{
        body_word(sink, "kind", "systemd");
        body_string(sink, "event_type", &record->event_type);
        body_string(sink, "string", &record->string);
        body_string(sink, "boot_id", &record->boot_id);
        if (record->timestamp_us > 0)
                body_number(sink, "timestamp_us", record->timestamp_us);
        return 0;
}

int ima_record_body(
                const struct ima_record *record, const struct body_sink *sink, struct error *reason)
{
        body_word(sink, "kind", "ima");
        body_text(sink, "template", TEXT_UTF8, record->name);
        body_bytes(sink, "template_digest", SPAN(record->digest, record->digest_size));
        body_bool(sink, "violation", record->violation);
        if (record->file.size > 0)
                body_text(sink, "file", TEXT_UTF8, record->file);
        return 0;
}

/* ---- in a Canonical Event Log ---- */

static void cel_systemd_body(const struct cel_record *record, const struct body_sink *sink)
{
        body_word(sink, "kind", "systemd");
        if (record->name.size > 0)
                body_text(sink, "event_type", TEXT_UTF8, record->name);
        if (record->data_known)
                body_text(sink, "string", TEXT_UTF8, record->event.data);
        if (record->has_boot_id)
                body_bytes(sink, "boot_id", SPAN(record->boot_id, sizeof(record->boot_id)));
        if (record->timestamp_us > 0)
                body_number(sink, "timestamp_us", record->timestamp_us);
}

/* What was extended for a violation is ones. */
static bool is_violation(const struct digests *digests)
{
        for (size_t i = 0; i < digests->n; i++)
                for (size_t k = 0; k < digests->d[i].alg->size; k++)
                        if (digests->d[i].bytes[k] != 0xff)
                                return false;
        return digests->n > 0;
}

static void cel_ima_body(const struct cel_record *record, const struct body_sink *sink)
{
        struct span file = ima_template_file(record->name, record->event.data);

        body_word(sink, "kind", "ima");
        body_text(sink, "template", TEXT_UTF8, record->name);
        body_bool(sink, "violation", is_violation(&record->event.digests));
        if (file.size > 0)
                body_text(sink, "file", TEXT_UTF8, file);
}

static void cel_management_body(const struct cel_management *entry, const struct body_sink *sink)
{
        body_open(sink, BODY_OBJECT, NULL);
        body_word(sink, "type", cel_management_name(entry->type));
        switch (entry->type) {
        case CEL_VERSION:
                body_number(sink, "major", entry->value);
                body_number(sink, "minor", entry->minor);
                break;
        case CEL_FIRMWARE_END:
                break;
        case CEL_TIMESTAMP:
                body_number(sink, "timestamp", entry->value);
                break;
        case CEL_STATE_TRANS:
                body_word(sink, "transition", cel_transition_name(entry->value));
                break;
        }
        body_close(sink);
}

static void cel_other_body(const struct cel_record *record, const struct body_sink *sink)
{
        struct span text;
        uint8_t type;

        if (cel_cos_field(record, &type, &text)) {
                body_word(sink, "kind", "cos");
                body_number(sink, "field", type);
                body_text(sink, "text", TEXT_UTF8, text);
                return;
        }
        body_word(sink, "kind", "cel_content");
        if (record->content_type == CEL_NAMED)
                body_string(sink, "content_type", &record->type_json);
        else
                body_number(sink, "content_type", record->content_type);
}

int cel_record_body(
                const struct cel_record *record, const struct body_sink *sink, struct error *reason)
{
        switch (record->content_type) {
        case CEL_PCCLIENT_STD:
                if (record->data_known)
                        return event_body(&record->event, sink, reason);
                body_word(sink, "kind", "opaque");
                break;
        case CEL_SYSTEMD:
                cel_systemd_body(record, sink);
                break;
        case CEL_IMA_TEMPLATE:
                cel_ima_body(record, sink);
                break;
        case CEL_MANAGEMENT:
                body_word(sink, "kind", "cel");
                body_open(sink, BODY_ARRAY, "management");
                for (size_t i = 0; i < record->n_management; i++)
                        cel_management_body(&record->management[i], sink);
                body_close(sink);
                break;
        default:
                cel_other_body(record, sink);
        }
        return 0;
}
