/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of records that the system made after firmware: systemd's and IMA's. */
#include <errno.h>
#include <string.h>

#include "eventlog/body-parts.h"

static void put_string(const struct body_sink *sink, const char *name, const struct json *string)
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
        put_string(sink, "event_type", &record->event_type);
        put_string(sink, "string", &record->string);
        put_string(sink, "boot_id", &record->boot_id);
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
