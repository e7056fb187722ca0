/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an event's data says, field by field, for those who show logs. It allocates nothing and
 * never fails a log: data that isn't what its type promises is reported as far as it goes, and why.
 * Not a basis for decisions: neither type nor data need be what was measured (explain.h). */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "eventlog/cel.h"
#include "eventlog/event.h"
#include "eventlog/ima-log.h"
#include "eventlog/systemd-log.h"

enum body_kind {
        BODY_OBJECT,      /* fields follow, up to BODY_END */
        BODY_ARRAY,       /* fields without names follow, up to BODY_END */
        BODY_END,         /* of the innermost object or array */
        BODY_NUMBER,      /* number */
        BODY_ADDRESS,     /* number, read as hexadecimal */
        BODY_BOOL,        /* number: 0 or 1 */
        BODY_WORD,        /* word: a name of ours, printable ASCII */
        BODY_UTF8,        /* bytes: text of the log, to be escaped */
        BODY_UTF16,       /* the same */
        BODY_JSON_STRING, /* bytes: a JSON string that was checked, quotes included */
        BODY_BYTES,       /* bytes, read as hexadecimal */
        BODY_GUID,        /* bytes: 16 */
        BODY_DEVICE_PATH, /* bytes: a well-formed device path with its End node */
};

struct body_field {
        enum body_kind kind;
        const char *name; /* lower-case ASCII; NULL in an array and on BODY_END */
        uint64_t number;
        const char *word;
        struct span bytes;
};

struct body_sink {
        void (*put)(void *context, const struct body_field *field);
        void *context;
};

/* The fields of an object, the first of which is the word "kind"; objects and arrays inside of it
 * are always ended. 0, or -EBADMSG: malformed, and why; what was reported before holds. */
int event_body(const struct tcg_event *event, const struct body_sink *sink, struct error *reason);
int systemd_record_body(const struct systemd_record *record, const struct body_sink *sink,
                struct error *reason);
int ima_record_body(const struct ima_record *record, const struct body_sink *sink,
                struct error *reason);
int cel_record_body(const struct cel_record *record, const struct body_sink *sink,
                struct error *reason);
