/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/cel-write.h"

#include <errno.h>

#include "eventlog/cel-forms.h"
#include "eventlog/escape.h"

#define RECORD_SEPARATOR 0x1e

/* ---- JSON ---- */

static void put(struct buf *out, const char *text)
{
        buf_put(out, text, strlen(text));
}

static void put_number(struct buf *out, uint64_t number)
{
        buf_format(out, "%llu", (unsigned long long)number);
}

static void put_hex(struct buf *out, struct span bytes)
{
        size_t before = out->size + 1;

        put(out, "\"");
        buf_put_zeros(out, 2 * bytes.size + 1);
        if (buf_failed(out))
                return;
        hex_encode(bytes, (char *)out->data + before);
        out->data[out->size - 1] = '"';
}

static void put_string(struct buf *out, struct span text)
{
        put(out, "\"");
        escape_text(text, TEXT_UTF8, ESCAPE_JSON, out);
        put(out, "\"");
}

static bool is_ascii(struct span text)
{
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] < ' ' || text.data[i] > '~')
                        return false;
        return true;
}

/* A string of somebody else's JSON: with its own escapes if it is ASCII, which can't hurt anybody.
 */
static void put_json_string(struct buf *out, const struct json *string)
{
        _cleanup_buf_ struct buf text = {0};

        if (is_ascii(string->text)) {
                buf_put_span(out, string->text);
                return;
        }
        json_string(string, &text);
        out->failed |= buf_failed(&text);
        put_string(out, buf_span(&text));
}

/* The string that begins at text[at], which json_take has seen. */
static struct json string_at(struct span text, size_t at)
{
        size_t end = at + 1;

        while (end < text.size && text.data[end] != '"')
                end += text.data[end] == '\\' ? 2 : 1;
        return (struct json){JSON_STRING, SPAN(text.data + at, end + 1 - at)};
}

/* Somebody else's JSON without its blanks. */
static void put_json(struct buf *out, const struct json *value)
{
        struct span text = value->text;

        for (size_t at = 0; at < text.size;) {
                struct json string;

                if (text.data[at] == '"') {
                        string = string_at(text, at);
                        put_json_string(out, &string);
                        at += string.text.size;
                        continue;
                }
                if (!memchr(" \t\r\n", text.data[at], 4))
                        buf_put_u8(out, text.data[at]);
                at++;
        }
}

static void put_event(struct buf *out, const struct cel_record *record)
{
        const char *name = event_type_name(record->event.type);

        put(out, "{\"event_type\":");
        if (name)
                put_string(out, SPAN(name, strlen(name)));
        else
                buf_format(out, "\"%u\"", record->event.type); /* a string, as pcrlock's */
        put(out, ",\"event_data\":");
        put_hex(out, record->event.data);
        put(out, "}");
}

static void put_template(struct buf *out, const struct cel_record *record)
{
        put(out, "{\"template_name\":");
        put_string(out, record->name);
        put(out, ",\"template_data\":");
        put_hex(out, record->event.data);
        put(out, "}");
}

static void put_systemd(struct buf *out, const struct cel_record *record)
{
        put(out, "{\"string\":");
        put_string(out, record->event.data);
        if (record->has_boot_id) {
                put(out, ",\"bootId\":");
                put_hex(out, SPAN(record->boot_id, sizeof(record->boot_id)));
        }
        put(out, ",\"timestamp\":");
        put_number(out, record->timestamp_us);
        put(out, ",\"eventType\":");
        put_string(out, record->name);
        put(out, "}");
}

static void put_management(struct buf *out, const struct cel_management *management)
{
        const char *transition = cel_transition_name(management->value);

        buf_format(out, "{\"type\":\"%s\"", cel_management_name(management->type));
        switch (management->type) {
        case CEL_VERSION:
                buf_format(out, ",\"data\":{\"major\":%llu,\"minor\":%llu}",
                                (unsigned long long)management->value,
                                (unsigned long long)management->minor);
                break;
        case CEL_FIRMWARE_END:
                break;
        case CEL_TIMESTAMP:
                put(out, ",\"data\":");
                put_number(out, management->value);
                break;
        case CEL_STATE_TRANS:
                buf_format(out, ",\"data\":\"%s\"", transition);
                break;
        }
        put(out, "}");
}

/* libcel, too, writes one alone without an array around it. */
static void put_managements(struct buf *out, const struct cel_record *record)
{
        put(out, record->n_management == 1 ? "" : "[");
        for (size_t i = 0; i < record->n_management; i++) {
                put(out, i > 0 ? "," : "");
                put_management(out, &record->management[i]);
        }
        put(out, record->n_management == 1 ? "" : "]");
}

static void put_content(struct buf *out, const struct cel_record *record)
{
        if (record->content_type == CEL_MANAGEMENT)
                put_managements(out, record);
        else if (record->content_type == CEL_PCCLIENT_STD && record->data_known)
                put_event(out, record);
        else if (record->content_type == CEL_IMA_TEMPLATE)
                put_template(out, record);
        else if (record->content_json.kind != JSON_NULL)
                put_json(out, &record->content_json); /* systemd's with all its members */
        else if (record->content_type == CEL_SYSTEMD)
                put_systemd(out, record);
        else
                put_hex(out, record->event.data);
}

static void put_digests(struct buf *out, const struct digests *digests)
{
        put(out, "\"digests\":[");
        for (size_t i = 0; i < digests->n; i++) {
                buf_format(out, "%s{\"hashAlg\":\"%s\",\"digest\":", i > 0 ? "," : "",
                                digests->d[i].alg->name);
                put_hex(out, SPAN(digests->d[i].bytes, digests->d[i].alg->size));
                put(out, "}");
        }
        put(out, "]");
}

static void put_record(struct buf *out, const struct cel_record *record, bool with_recnum)
{
        static const char *const places[] = {
                        [CEL_PCR] = "pcr", [CEL_NV_INDEX] = "nv_index", [CEL_REGISTER] = "ccmr"};
        const char *name = cel_content_name(record->content_type);

        buf_format(out, "{\"%s\":%u", places[record->place],
                        record->place == CEL_NV_INDEX ? record->nv_index : record->event.pcr);
        if (with_recnum)
                buf_format(out, ",\"recnum\":%llu", (unsigned long long)record->recnum);
        put(out, ",");
        put_digests(out, &record->event.digests);
        put(out, ",\"content_type\":");
        if (name)
                buf_format(out, "\"%s\"", name);
        else if (record->content_type == CEL_NAMED)
                put_json_string(out, &record->type_json);
        else
                put_number(out, record->content_type);
        put(out, ",\"content\":");
        put_content(out, record);
        put(out, "}");
}

void cel_put_json(struct buf *out, const struct cel_record *record)
{
        put_record(out, record, true);
}

int cel_put_systemd(struct buf *out, const struct cel_record *record)
{
        if (record->content_type != CEL_SYSTEMD)
                return -EOPNOTSUPP;
        buf_put_u8(out, RECORD_SEPARATOR);
        put_record(out, record, false);
        put(out, "\n");
        return 0;
}

/* ---- TLV ---- */

/* Lengths have 32 bits, and something stands around the data. */
#define TLV_MAX_BYTES (UINT32_MAX - 1024)

static void put_tlv(struct buf *out, uint8_t type, struct span value)
{
        buf_put_u8(out, type);
        buf_put_be32(out, (uint32_t)value.size);
        buf_put_span(out, value);
}

static void put_tlv_number(struct buf *out, uint8_t type, uint64_t number, uint32_t size)
{
        buf_put_u8(out, type);
        buf_put_be32(out, size);
        while (size-- > 0)
                buf_put_u8(out, (uint8_t)(number >> 8 * size));
}

/* A value of which only its end tells the length. */
static size_t tlv_begin(struct buf *out, uint8_t type)
{
        buf_put_u8(out, type);
        buf_put_be32(out, 0);
        return out->size;
}

static void tlv_end(struct buf *out, size_t begin)
{
        if (buf_failed(out))
                return;
        for (unsigned i = 0; i < 4; i++)
                out->data[begin - 4 + i] = (uint8_t)((out->size - begin) >> 8 * (3 - i));
}

static void put_tlv_management(struct buf *out, const struct cel_management *management)
{
        size_t begin;

        switch (management->type) {
        case CEL_VERSION:
                begin = tlv_begin(out, CEL_VERSION);
                put_tlv_number(out, CEL_TLV_MAJOR, management->value, 2);
                put_tlv_number(out, CEL_TLV_MINOR, management->minor, 2);
                tlv_end(out, begin);
                break;
        case CEL_FIRMWARE_END:
                put_tlv(out, CEL_FIRMWARE_END, SPAN(NULL, 0));
                break;
        case CEL_TIMESTAMP:
                put_tlv_number(out, CEL_TIMESTAMP, management->value, 8);
                break;
        case CEL_STATE_TRANS:
                put_tlv_number(out, CEL_STATE_TRANS, management->value, 1);
                break;
        }
}

static void put_tlv_systemd(struct buf *out, const struct cel_record *record)
{
        uint64_t number;

        if (cel_systemd_type_number(record->name, &number))
                put_tlv_number(out, CEL_TLV_SYSTEMD_TYPE, number, 1);
        else
                put_tlv(out, CEL_TLV_SYSTEMD_TYPE_NAME, record->name);
        put_tlv_number(out, CEL_TLV_SYSTEMD_TIMESTAMP, record->timestamp_us, 8);
        if (record->has_boot_id)
                put_tlv(out, CEL_TLV_SYSTEMD_BOOT_ID,
                                SPAN(record->boot_id, sizeof(record->boot_id)));
        put_tlv(out, CEL_TLV_SYSTEMD_STRING, record->event.data);
}

static void put_tlv_content(struct buf *out, const struct cel_record *record)
{
        size_t begin = tlv_begin(out, (uint8_t)record->content_type);

        switch (record->content_type) {
        case CEL_MANAGEMENT:
                for (size_t i = 0; i < record->n_management; i++)
                        put_tlv_management(out, &record->management[i]);
                break;
        case CEL_PCCLIENT_STD:
                put_tlv_number(out, CEL_TLV_EVENT_TYPE, record->event.type, 4);
                put_tlv(out, CEL_TLV_EVENT_DATA, record->event.data);
                break;
        case CEL_IMA_TEMPLATE:
                put_tlv(out, CEL_TLV_TEMPLATE_NAME, record->name);
                put_tlv(out, CEL_TLV_TEMPLATE_DATA, record->event.data);
                break;
        case CEL_SYSTEMD:
                put_tlv_systemd(out, record);
                break;
        default:
                buf_put_span(out, record->event.data);
        }
        tlv_end(out, begin);
}

static void put_tlv_place(struct buf *out, const struct cel_record *record)
{
        static const uint8_t types[] = {[CEL_PCR] = CEL_TLV_PCR,
                        [CEL_NV_INDEX] = CEL_TLV_NV_INDEX,
                        [CEL_REGISTER] = CEL_TLV_REGISTER};
        bool index = record->place == CEL_NV_INDEX;
        uint32_t number = index ? record->nv_index : record->event.pcr;

        /* Windows' no-action events are in PCR 0xffffffff. */
        put_tlv_number(out, types[record->place], number, index || number > UINT8_MAX ? 4 : 1);
}

bool cel_has_tlv(const struct cel_record *record)
{
        return record->content_type <= UINT8_MAX &&
               record->event.data.size + record->name.size <= TLV_MAX_BYTES &&
               (record->content_type == CEL_MANAGEMENT || record->data_known);
}

int cel_put_tlv(struct buf *out, const struct cel_record *record)
{
        const struct digests *digests = &record->event.digests;
        size_t begin;

        if (!cel_has_tlv(record))
                return -EOPNOTSUPP;
        put_tlv_number(out, CEL_TLV_RECNUM, record->recnum, 8);
        put_tlv_place(out, record);
        begin = tlv_begin(out, CEL_TLV_DIGESTS);
        for (size_t i = 0; i < digests->n; i++)
                put_tlv(out, (uint8_t)digests->d[i].alg->id,
                                SPAN(digests->d[i].bytes, digests->d[i].alg->size));
        tlv_end(out, begin);
        put_tlv_content(out, record);
        return 0;
}
