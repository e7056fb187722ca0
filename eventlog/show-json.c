/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows as JSON: written as it comes, one line a row, without a tree in memory. */
#include <string.h>

#include "base/device-path-text.h"
#include "eventlog/body-parts.h"
#include "eventlog/show.h"

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
        buf_put(w->json.out, text, n);
        json_put(&w->json, "\"");
}

static void put_guid(struct show_json *w, struct span bytes)
{
        char text[GUID_TEXT_SIZE];
        EFI_GUID guid;

        if (bytes.size != sizeof(guid))
                return;
        memcpy(&guid, bytes.data, sizeof(guid));
        guid_to_text(&guid, text);
        json_put_string(&w->json, SPAN(text, strlen(text)), TEXT_UTF8);
}

static void put_device_path(struct show_json *w, struct span path)
{
        w->wide.size = 0;
        (void)device_path_to_text(path, false, &w->wide);
        json_put_string(&w->json, buf_span(&w->wide), TEXT_UTF16);
}

/* It was checked, but not escaped as ours is. */
static void put_json_string(struct show_json *w, struct span text)
{
        w->wide.size = 0;
        (void)json_string(&(struct json){.kind = JSON_STRING, .text = text}, &w->wide);
        json_put_string(&w->json, buf_span(&w->wide), TEXT_UTF8);
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
                json_open(&w->json, field->name, field->kind == BODY_ARRAY ? "[" : "{");
                return;
        case BODY_END:
                json_close(&w->json, state->arrays & 1 ? "]" : "}");
                state->arrays >>= 1;
                return;
        default:
                break;
        }
        json_member(&w->json, field->name);
        switch (field->kind) {
        case BODY_NUMBER:
                json_put_number(&w->json, field->number);
                break;
        case BODY_ADDRESS:
                put_address(w, field->number);
                break;
        case BODY_BOOL:
                json_put(&w->json, field->number ? "true" : "false");
                break;
        case BODY_WORD:
                json_put_string(&w->json, SPAN(field->word, strlen(field->word)), TEXT_UTF8);
                break;
        case BODY_UTF8:
        case BODY_UTF16:
                json_put_string(&w->json, field->bytes,
                                field->kind == BODY_UTF8 ? TEXT_UTF8 : TEXT_UTF16);
                break;
        case BODY_JSON_STRING:
                put_json_string(w, field->bytes);
                break;
        case BODY_BYTES:
                json_put(&w->json, "\"");
                json_put_hex(&w->json, field->bytes);
                json_put(&w->json, "\"");
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
        *w = (struct show_json){.json = {.out = out, .first = true}};
        json_open(&w->json, NULL, "{");
        json_member_number(&w->json, "version", 1);
        json_open(&w->json, "events", "[");
}

static void put_place(struct show_json *w, const struct show_row *row)
{
        json_member_number(&w->json, "log", row->log);
        json_member_number(&w->json, "index", row->index);
        json_member_number(&w->json, "offset", row->offset);
        json_member_number(&w->json, "size", row->size);
        json_member(&w->json, "pcr");
        if (row->has_pcr)
                json_put_number(&w->json, row->pcr);
        else
                json_put(&w->json, "null");
        if (row->has_nv_index)
                json_member_number(&w->json, "nv_index", row->nv_index);
        json_member_text(&w->json, "type", row->type);
}

void show_json_row(struct show_json *w, const struct show_row *row)
{
        struct body_state state = {.w = w};
        struct body_sink sink = {.put = put_field, .context = &state};
        struct error reason;

        if (w->n_rows++ > 0)
                json_put(&w->json, ",");
        json_put(&w->json, "\n{");
        w->json.first = true;
        put_place(w, row);
        json_open(&w->json, "digests", "{");
        for (size_t i = 0; i < row->digests.n; i++)
                json_member_hex(&w->json, row->digests.d[i].alg->name,
                                SPAN(row->digests.d[i].bytes, row->digests.d[i].alg->size));
        json_close(&w->json, "}");
        json_member(&w->json, "data");
        if (row->data_known) {
                json_put(&w->json, "\"");
                json_put_hex(&w->json, row->data);
                json_put(&w->json, "\"");
        } else {
                json_put(&w->json, "null");
        }
        json_member_text(&w->json, "text", row->text);
        json_open(&w->json, "body", "{");
        if (row->body(row->record, &sink, &reason) >= 0)
                reason.text[0] = '\0';
        json_close(&w->json, "}");
        json_member_text(&w->json, "malformed", SPAN(reason.text, strlen(reason.text)));
        json_close(&w->json, "}");
}

static void member_words(struct show_json *w, const char *name, const char *words)
{
        json_member_text(&w->json, name, SPAN(words, strlen(words)));
}

void show_json_log(struct show_json *w, const struct show_json_log *shown)
{
        const struct named_log *log = shown->log;

        json_put(&w->json, w->n_logs++ > 0 ? ",\n{" : "\n],\"logs\":[\n{");
        w->json.first = true;
        member_words(w, "name", log->name);
        member_words(w, "kind", log_kind_word(log->kind));
        json_member(&w->json, "boot");
        if (log->boot > 0)
                json_put_number(&w->json, log->boot);
        else
                json_put(&w->json, "null");
        member_words(w, "lacks", log->lacks ? log->lacks : "");
        json_open(&w->json, "banks", "[");
        for (size_t i = 0; i < shown->banks->n; i++) {
                const char *bank = shown->banks->alg[i]->name;

                json_member(&w->json, NULL);
                json_put_string(&w->json, SPAN(bank, strlen(bank)), TEXT_UTF8);
        }
        json_close(&w->json, "]");
        member_words(w, "malformed", shown->reason);
        json_close(&w->json, "}");
}

void show_json_end(struct show_json *w)
{
        json_put(&w->json, w->n_logs == 0 ? "\n],\"logs\":[]}\n" : "\n]}\n");
        buf_release(&w->wide);
}
