/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/systemd-log.h"

#include <errno.h>

#include "eventlog/event.h"
#include "eventlog/json-digests.h"

#define RECORD_SEPARATOR 0x1e

/* ---- records ---- */

static bool is_between(uint8_t c)
{
        return c == RECORD_SEPARATOR || c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

/* The bytes of the next record; empty at the end. */
static struct span next_bytes(struct span log, size_t *offset)
{
        /* A sequence begins with a separator; what doesn't is a record a line. */
        uint8_t separator = log.size > 0 && log.data[0] == RECORD_SEPARATOR ? RECORD_SEPARATOR
                                                                            : '\n';
        size_t start = *offset, end;
        const uint8_t *found;

        while (start < log.size && is_between(log.data[start]))
                start++;
        found = start < log.size ? memchr(log.data + start, separator, log.size - start) : NULL;
        end = found ? (size_t)(found - log.data) : log.size;
        *offset = end;
        while (end > start && is_between(log.data[end - 1]))
                end--;
        return SPAN(log.data ? log.data + start : NULL, end - start);
}

/* An optional number that fits 32 bits. */
static int take_u32(const struct json *record, const char *name, bool *present, uint32_t *ret,
                struct error *error)
{
        struct json value;
        uint64_t number;
        int r = json_get(record, name, &value, error);

        if (r <= 0)
                return r;
        if (!json_u64(&value, &number) || number > UINT32_MAX)
                return error_set(error, EBADMSG, "\"%s\" isn't a number that can be one", name);
        *present = true;
        *ret = (uint32_t)number;
        return 0;
}

static int take_content(const struct json *record, struct systemd_record *ret, struct error *error)
{
        const struct {
                const char *name;
                struct json *to;
        } strings[] = {{"string", &ret->string}, {"eventType", &ret->event_type},
                        {"bootId", &ret->boot_id}};
        struct json content, value;
        int r = json_get(record, "content", &content, error);

        if (r <= 0)
                return r;
        for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
                r = json_get(&content, strings[i].name, &value, error);
                if (r < 0)
                        return r;
                if (r > 0 && value.kind == JSON_STRING)
                        *strings[i].to = value;
        }
        r = json_get(&content, "timestamp", &value, error);
        if (r > 0)
                json_u64(&value, &ret->timestamp_us);
        return r < 0 ? r : 0;
}

static int take_record(struct span text, struct systemd_record *ret, struct error *error)
{
        struct json record, digests;
        int r = json_parse(text, &record, error);

        if (r < 0)
                return r;
        if ((r = take_u32(&record, "pcr", &ret->has_pcr, &ret->pcr, error)) < 0 ||
                        (r = take_u32(&record, "nv_index", &ret->has_nv_index, &ret->nv_index,
                                         error)) < 0 ||
                        (r = json_get(&record, "digests", &digests, error)) < 0)
                return r;
        if (r == 0)
                return error_set(error, EBADMSG, "no \"digests\"");
        if (ret->has_pcr == ret->has_nv_index)
                return error_set(error, EBADMSG, "neither or both of \"pcr\" and \"nv_index\"");
        if (ret->has_pcr && ret->pcr >= PCR_COUNT)
                return error_set(error, EBADMSG, "PCR %u doesn't exist", ret->pcr);
        r = json_digests(&digests, &ret->digests, NULL, error);
        return r < 0 ? r : take_content(&record, ret, error);
}

int systemd_log_next(struct span log, size_t *offset, size_t *index, struct systemd_record *ret,
                struct error *error)
{
        struct systemd_record record = {.index = *index};
        struct span text = next_bytes(log, offset);
        int r;

        if (text.size == 0)
                return 0;
        record.offset = (size_t)(text.data - log.data);
        record.size = text.size;
        (*index)++;
        r = take_record(text, &record, error);
        if (r < 0)
                return error_prefix(error, r, "record %zu at offset %zu of systemd's log",
                                record.index, record.offset);
        *ret = record;
        return 1;
}

/* ---- what was measured ---- */

static int hex_digit(uint8_t c)
{
        uint8_t lower = c | 0x20;

        if (c >= '0' && c <= '9')
                return c - '0';
        return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* \nnn or \xnn at c, behind the backslash. */
static bool take_code(struct cursor *c, uint8_t first, uint8_t *ret)
{
        unsigned base = first == 'x' ? 16 : 8, n = first == 'x' ? 2 : 3, value = 0;

        if (base == 8)
                c->offset--; /* first is the first digit */
        for (; n > 0; n--) {
                uint8_t digit;

                if (!cursor_u8(c, &digit) || hex_digit(digit) < 0 ||
                                (unsigned)hex_digit(digit) >= base)
                        return false;
                value = value * base + (unsigned)hex_digit(digit);
        }
        *ret = (uint8_t)value;
        return value <= UINT8_MAX;
}

/* What systemd's cescape() writes. */
static bool take_escape(struct cursor *c, uint8_t *ret)
{
        static const char from[] = "abfnrtv\\\"'s", to[] = "\a\b\f\n\r\t\v\\\"' ";
        uint8_t letter;

        if (!cursor_u8(c, &letter))
                return false;
        for (size_t i = 0; i < sizeof(from) - 1; i++)
                if (letter == (uint8_t)from[i]) {
                        *ret = (uint8_t)to[i];
                        return true;
                }
        return take_code(c, letter, ret);
}

bool systemd_unescape(struct span string, struct buf *ret)
{
        _cleanup_buf_ struct buf plain = {0};
        struct cursor c = CURSOR(string);
        uint8_t byte;

        while (cursor_u8(&c, &byte)) {
                if (byte == '\\' && !take_escape(&c, &byte))
                        return false;
                buf_put_u8(&plain, byte);
        }
        buf_put_span(ret, buf_span(&plain));
        return !buf_failed(&plain);
}

bool systemd_record_measured(const struct systemd_record *record, struct buf *ret)
{
        _cleanup_buf_ struct buf escaped = {0};

        return json_string(&record->string, &escaped) && !buf_failed(&escaped) &&
               systemd_unescape(buf_span(&escaped), ret);
}

/* Types whose digest is that of the string alone (systemd: pcrextend, cryptsetup). */
static bool is_strict(const struct json *event_type)
{
        static const char *const types[] = {"phase", "filesystem", "machine-id", "product-id",
                        "os-separator", "nvpcr-separator", "keyslot"};

        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
                if (json_is(event_type, types[i]))
                        return true;
        return false;
}

int systemd_record_explain(const struct systemd_record *record, enum systemd_explained *ret)
{
        _cleanup_buf_ struct buf measured = {0};
        struct banks banks = {0};
        struct digests digests;
        bool told = systemd_record_measured(record, &measured);
        int r;

        for (size_t i = 0; i < record->digests.n; i++)
                banks_add(&banks, record->digests.d[i].alg);
        if (!told || banks.n == 0) {
                *ret = SYSTEMD_UNVERIFIABLE;
                return 0;
        }
        r = hash_span(&banks, buf_span(&measured), &digests);
        if (r < 0)
                return r;
        if (digests_equal(&digests, &record->digests))
                *ret = SYSTEMD_VERIFIED;
        else
                *ret = is_strict(&record->event_type) ? SYSTEMD_MISMATCH : SYSTEMD_UNVERIFIABLE;
        return 0;
}
