/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows as JSON: written as it comes, one line a row, without a tree in memory. */
#include <string.h>

#include "base/device-path-text.h"
#include "eventlog/body-parts.h"
#include "eventlog/show.h"

/* ---- JSON ---- */

static void put(struct show_json *w, const char *text)
{
        buf_put(w->out, text, strlen(text));
}

static void put_hex(struct show_json *w, struct span bytes)
{
        size_t before = w->out->size;

        buf_put_zeros(w->out, 2 * bytes.size + 1);
        if (buf_failed(w->out))
                return;
        hex_encode(bytes, (char *)w->out->data + before);
        w->out->size--;
}

static void put_number(struct show_json *w, uint64_t number)
{
        char digits[20];
        size_t at = sizeof(digits);

        do
                digits[--at] = (char)('0' + number % 10);
        while (number /= 10);
        buf_put(w->out, digits + at, sizeof(digits) - at);
}

static void put_string(struct show_json *w, struct span text, enum text_encoding encoding)
{
        put(w, "\"");
        escape_text(text, encoding, ESCAPE_JSON, w->out);
        put(w, "\"");
}

/* A comma where one belongs, and the name of a member, which is one of ours. */
static void member(struct show_json *w, const char *name)
{
        if (!w->first)
                put(w, ",");
        w->first = false;
        if (!name)
                return;
        put(w, "\"");
        put(w, name);
        put(w, "\":");
}

static void open_with(struct show_json *w, const char *name, const char *bracket)
{
        member(w, name);
        put(w, bracket);
        w->first = true;
}

static void close_with(struct show_json *w, const char *bracket)
{
        put(w, bracket);
        w->first = false;
}

static void member_number(struct show_json *w, const char *name, uint64_t number)
{
        member(w, name);
        put_number(w, number);
}

static void member_hex(struct show_json *w, const char *name, struct span bytes)
{
        member(w, name);
        put(w, "\"");
        put_hex(w, bytes);
        put(w, "\"");
}

static void member_text(struct show_json *w, const char *name, struct span text)
{
        member(w, name);
        put_string(w, text, TEXT_UTF8);
}

/* ---- bodies ---- */

static void put_address(struct show_json *w, uint64_t number)
{
        static const char digits[] = "0123456789abcdef";
        char text[19] = "\"0x";
        unsigned n = 3, shift = 60;

        while (shift > 0 && !(number >> shift & 15))
                shift -= 4;
        for (;; shift -= 4) {
                text[n++] = digits[number >> shift & 15];
                if (shift == 0)
                        break;
        }
        buf_put(w->out, text, n);
        put(w, "\"");
}

static void put_guid(struct show_json *w, struct span bytes)
{
        char text[GUID_TEXT_SIZE];
        EFI_GUID guid;

        if (bytes.size != sizeof(guid))
                return;
        memcpy(&guid, bytes.data, sizeof(guid));
        guid_to_text(&guid, text);
        put_string(w, SPAN(text, strlen(text)), TEXT_UTF8);
}

static void put_device_path(struct show_json *w, struct span path)
{
        w->wide.size = 0;
        (void)device_path_to_text(path, false, &w->wide);
        put_string(w, buf_span(&w->wide), TEXT_UTF16);
}

/* It was checked, but not escaped as ours is. */
static void put_json_string(struct show_json *w, struct span text)
{
        w->wide.size = 0;
        (void)json_string(&(struct json){.kind = JSON_STRING, .text = text}, &w->wide);
        put_string(w, buf_span(&w->wide), TEXT_UTF8);
}

/* Objects and arrays nest; which of the two ends is kept in a bit each. */
struct body_state {
        struct show_json *w;
        uint32_t arrays;
};

static void put_field(void *context, const struct body_field *field)
{
        struct body_state *state = context;
        struct show_json *w = state->w;

        switch (field->kind) {
        case BODY_OBJECT:
        case BODY_ARRAY:
                state->arrays = state->arrays << 1 | (field->kind == BODY_ARRAY);
                open_with(w, field->name, field->kind == BODY_ARRAY ? "[" : "{");
                return;
        case BODY_END:
                close_with(w, state->arrays & 1 ? "]" : "}");
                state->arrays >>= 1;
                return;
        default:
                break;
        }
        member(w, field->name);
        switch (field->kind) {
        case BODY_NUMBER:
                put_number(w, field->number);
                break;
        case BODY_ADDRESS:
                put_address(w, field->number);
                break;
        case BODY_BOOL:
                put(w, field->number ? "true" : "false");
                break;
        case BODY_WORD:
                put_string(w, SPAN(field->word, strlen(field->word)), TEXT_UTF8);
                break;
        case BODY_UTF8:
        case BODY_UTF16:
                put_string(w, field->bytes, field->kind == BODY_UTF8 ? TEXT_UTF8 : TEXT_UTF16);
                break;
        case BODY_JSON_STRING:
                put_json_string(w, field->bytes);
                break;
        case BODY_BYTES:
                put(w, "\"");
                put_hex(w, field->bytes);
                put(w, "\"");
                break;
        case BODY_GUID:
                put_guid(w, field->bytes);
                break;
        case BODY_DEVICE_PATH:
                put_device_path(w, field->bytes);
                break;
        case BODY_OBJECT:
        case BODY_ARRAY:
        case BODY_END:
                break;
        }
}

/* ---- the document ---- */

void show_json_begin(struct show_json *w, struct buf *out)
{
        *w = (struct show_json){.out = out, .first = true};
        open_with(w, NULL, "{");
        member_number(w, "version", 1);
        open_with(w, "events", "[");
}

static void put_place(struct show_json *w, const struct show_row *row)
{
        member_number(w, "log", row->log);
        member_number(w, "index", row->index);
        member_number(w, "offset", row->offset);
        member_number(w, "size", row->size);
        member(w, "pcr");
        if (row->has_pcr)
                put_number(w, row->pcr);
        else
                put(w, "null");
        if (row->has_nv_index)
                member_number(w, "nv_index", row->nv_index);
        member_text(w, "type", row->type);
}

void show_json_row(struct show_json *w, const struct show_row *row)
{
        struct body_state state = {.w = w};
        struct body_sink sink = {.put = put_field, .context = &state};
        struct error reason;

        if (w->n_rows++ > 0)
                put(w, ",");
        put(w, "\n{");
        w->first = true;
        put_place(w, row);
        open_with(w, "digests", "{");
        for (size_t i = 0; i < row->digests.n; i++)
                member_hex(w, row->digests.d[i].alg->name,
                                SPAN(row->digests.d[i].bytes, row->digests.d[i].alg->size));
        close_with(w, "}");
        member(w, "data");
        if (row->data_known) {
                put(w, "\"");
                put_hex(w, row->data);
                put(w, "\"");
        } else {
                put(w, "null");
        }
        member_text(w, "text", row->text);
        open_with(w, "body", "{");
        if (row->body(row->record, &sink, &reason) >= 0)
                reason.text[0] = '\0';
        close_with(w, "}");
        member_text(w, "malformed", SPAN(reason.text, strlen(reason.text)));
        close_with(w, "}");
}

void show_json_log(struct show_json *w, const char *name, const char *kind,
                const struct banks *banks, const char *reason)
{
        put(w, w->n_logs++ > 0 ? ",\n{" : "\n],\"logs\":[\n{");
        w->first = true;
        member_text(w, "name", SPAN(name, strlen(name)));
        member_text(w, "kind", SPAN(kind, strlen(kind)));
        open_with(w, "banks", "[");
        for (size_t i = 0; i < banks->n; i++) {
                member(w, NULL);
                put_string(w, SPAN(banks->alg[i]->name, strlen(banks->alg[i]->name)), TEXT_UTF8);
        }
        close_with(w, "]");
        member_text(w, "malformed", SPAN(reason, strlen(reason)));
        close_with(w, "}");
}

void show_json_end(struct show_json *w)
{
        put(w, w->n_logs == 0 ? "\n],\"logs\":[]}\n" : "\n]}\n");
        buf_release(&w->wide);
}
