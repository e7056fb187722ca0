/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include <errno.h>

/* One character of a string: as it stands or out of an escape. */
struct character {
        uint32_t code;
        size_t size; /* bytes that it takes in the text; 0: malformed */
};

static bool is_blank(uint8_t c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_blanks(struct span text, size_t at)
{
        while (at < text.size && is_blank(text.data[at]))
                at++;
        return at;
}

static uint8_t byte_at(struct span text, size_t at)
{
        return at < text.size ? text.data[at] : 0; /* NUL is nowhere allowed */
}

/* ---- strings ---- */

static bool hex4(struct span text, size_t at, uint32_t *ret)
{
        uint32_t value = 0;

        for (size_t i = 0; i < 4; i++) {
                uint8_t c = byte_at(text, at + i), lower = c | 0x20;

                if (c >= '0' && c <= '9')
                        value = value << 4 | (uint32_t)(c - '0');
                else if (lower >= 'a' && lower <= 'f')
                        value = value << 4 | (uint32_t)(lower - 'a' + 10);
                else
                        return false;
        }
        *ret = value;
        return true;
}

static struct character unicode_escape(struct span text, size_t at)
{
        uint32_t high, low;

        if (!hex4(text, at + 2, &high) || (high >= 0xdc00 && high < 0xe000))
                return (struct character){0};
        if (high < 0xd800 || high >= 0xe000)
                return (struct character){high, 6};
        if (byte_at(text, at + 6) != '\\' || byte_at(text, at + 7) != 'u' ||
                        !hex4(text, at + 8, &low) || low < 0xdc00 || low >= 0xe000)
                return (struct character){0};
        return (struct character){0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00)), 12};
}

static struct character escape(struct span text, size_t at)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

        if (byte_at(text, at + 1) == 'u')
                return unicode_escape(text, at);
        for (size_t i = 0; i < sizeof(from) - 1; i++)
                if (byte_at(text, at + 1) == (uint8_t)from[i])
                        return (struct character){(uint8_t)to[i], 2};
        return (struct character){0};
}

/* Shortest forms only, no surrogates (RFC 3629). */
static struct character utf8(struct span text, size_t at)
{
        static const struct {
                uint8_t mask, lead;
                uint32_t least;
        } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800},
                        {0xf8, 0xf0, 0x10000}};
        uint8_t c = byte_at(text, at);

        for (size_t n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
                uint32_t code = c & (uint8_t)~forms[n].mask;

                if ((c & forms[n].mask) != forms[n].lead)
                        continue;
                for (size_t i = 1; i <= n; i++) {
                        uint8_t more = byte_at(text, at + i);

                        if ((more & 0xc0) != 0x80)
                                return (struct character){0};
                        code = code << 6 | (more & 0x3f);
                }
                if (code < forms[n].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
                        return (struct character){0};
                return (struct character){code, n + 1};
        }
        return (struct character){0};
}

static struct character character_at(struct span text, size_t at)
{
        uint8_t c = byte_at(text, at);

        if (c < 0x20)
                return (struct character){0};
        return c == '\\' ? escape(text, at) : utf8(text, at);
}

/* Whether none of eight bytes is a quote, a backslash, a control or beyond ASCII. A byte that is
 * may borrow from the next one, which then counts, too; that does no harm. */
static bool is_plain(uint64_t eight)
{
        static const uint64_t ones = 0x0101010101010101;
        uint64_t quote = eight ^ '"' * ones, backslash = eight ^ '\\' * ones;

        return !((eight | (eight - ' ' * ones) | (quote - ones) | (backslash - ones)) &
                        0x80 * ones);
}

/* Most of a string is plain, and those of evidence are long. */
static size_t skip_plain(struct span text, size_t at)
{
        uint64_t eight;

        for (; at + sizeof(eight) <= text.size; at += sizeof(eight)) {
                memcpy(&eight, text.data + at, sizeof(eight));
                if (!is_plain(eight))
                        break;
        }
        return at;
}

/* at: of the opening quote. Returns the place behind the closing one, 0 if malformed; then *bad is
 * where. */
static size_t skip_string(struct span text, size_t at, size_t *bad)
{
        at = skip_plain(text, at + 1);
        for (unsigned n = 0; byte_at(text, at) != '"'; n++) {
                size_t size = character_at(text, at).size;

                if (size == 0) {
                        *bad = at;
                        return 0;
                }
                at += size;
                if (n % 16 == 15)
                        at = skip_plain(text, at);
        }
        return at + 1;
}

/* ---- numbers and words ---- */

static size_t skip_digits(struct span text, size_t at)
{
        while (byte_at(text, at) >= '0' && byte_at(text, at) <= '9')
                at++;
        return at;
}

static size_t skip_number(struct span text, size_t at, size_t *bad)
{
        size_t start = at + (byte_at(text, at) == '-'), end = skip_digits(text, start);
        bool ok = end > start && (byte_at(text, start) != '0' || end == start + 1);

        if (ok && byte_at(text, end) == '.') {
                start = end + 1;
                end = skip_digits(text, start);
                ok = end > start;
        }
        if (ok && (byte_at(text, end) | 0x20) == 'e') {
                start = end + 1;
                start += byte_at(text, start) == '+' || byte_at(text, start) == '-';
                end = skip_digits(text, start);
                ok = end > start;
        }
        *bad = end;
        return ok ? end : 0;
}

static size_t skip_word(struct span text, size_t at, const char *word, size_t *bad)
{
        struct span found;

        *bad = at;
        if (!span_sub(text, at, strlen(word), &found) ||
                        !span_equal(found, SPAN(word, strlen(word))))
                return 0;
        return at + strlen(word);
}

/* ---- values ---- */

static bool kind_at(struct span text, size_t at, enum json_kind *ret)
{
        static const struct {
                char first;
                enum json_kind kind;
        } kinds[] = {{'{', JSON_OBJECT}, {'[', JSON_ARRAY}, {'"', JSON_STRING}, {'t', JSON_TRUE},
                        {'f', JSON_FALSE}, {'n', JSON_NULL}, {'-', JSON_NUMBER}};
        uint8_t c = byte_at(text, at);

        if (c >= '0' && c <= '9') {
                *ret = JSON_NUMBER;
                return true;
        }
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                if (c == (uint8_t)kinds[i].first) {
                        *ret = kinds[i].kind;
                        return true;
                }
        return false;
}

static size_t skip_scalar(struct span text, size_t at, enum json_kind kind, size_t *bad)
{
        switch (kind) {
        case JSON_STRING:
                return skip_string(text, at, bad);
        case JSON_NUMBER:
                return skip_number(text, at, bad);
        case JSON_TRUE:
                return skip_word(text, at, "true", bad);
        case JSON_FALSE:
                return skip_word(text, at, "false", bad);
        default:
                return skip_word(text, at, "null", bad);
        }
}

/* A member's name with its colon. Returns the place of the value. */
static size_t skip_name(struct span text, size_t at, size_t *bad)
{
        *bad = at;
        if (byte_at(text, at) != '"')
                return 0;
        at = skip_string(text, at, bad);
        if (at == 0)
                return 0;
        at = skip_blanks(text, at);
        *bad = at;
        return byte_at(text, at) == ':' ? skip_blanks(text, at + 1) : 0;
}

/* The containers that are open: a bit each, the innermost lowest; set: an object. */
struct nesting {
        uint64_t objects;
        unsigned depth;
};

static bool in_object(const struct nesting *open)
{
        return open->objects & 1;
}

static bool is_close(const struct nesting *open, uint8_t c)
{
        return open->depth > 0 && c == (in_object(open) ? '}' : ']');
}

/* Behind a value: closing brackets, then a comma, if anything is still open. Returns the place of
 * the next value, or the end of the outermost one with depth 0. */
static size_t behind_value(struct span text, size_t at, struct nesting *open, size_t *bad)
{
        while (open->depth > 0) {
                size_t next = skip_blanks(text, at);

                *bad = next;
                if (is_close(open, byte_at(text, next))) {
                        open->objects >>= 1;
                        open->depth--;
                        at = next + 1;
                        continue;
                }
                if (byte_at(text, next) != ',')
                        return 0;
                next = skip_blanks(text, next + 1);
                return in_object(open) ? skip_name(text, next, bad) : next;
        }
        return at;
}

/* An opening bracket, and what stands before the first value in it. */
static size_t into_container(struct span text, size_t at, bool object, struct nesting *open,
                bool *empty, size_t *bad)
{
        *bad = at;
        if (open->depth == JSON_DEPTH_MAX)
                return 0;
        open->objects = open->objects << 1 | object;
        open->depth++;
        at = skip_blanks(text, at + 1);
        *empty = is_close(open, byte_at(text, at));
        return *empty || !object ? at : skip_name(text, at, bad);
}

/* The place behind the value at `at`, 0 if it is malformed; then *bad is where. Without recursion,
 * for the text is hostile. */
static size_t skip_value(struct span text, size_t at, size_t *bad)
{
        struct nesting open = {0};

        do {
                enum json_kind kind;
                bool empty = true;

                *bad = at;
                if (!kind_at(text, at, &kind))
                        return 0;
                if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
                        at = into_container(text, at, kind == JSON_OBJECT, &open, &empty, bad);
                        if (at == 0)
                                return 0;
                        if (!empty)
                                continue;
                } else {
                        at = skip_scalar(text, at, kind, bad);
                        if (at == 0)
                                return 0;
                }
                at = behind_value(text, at, &open, bad);
                if (at == 0)
                        return 0;
        } while (open.depth > 0);
        return at;
}

int json_take(struct span text, size_t *offset, struct json *ret, struct error *error)
{
        size_t start = skip_blanks(text, *offset), bad = start, end = skip_value(text, start, &bad);

        if (end == 0)
                return error_set(error, EBADMSG, "malformed JSON at offset %zu", bad);
        ret->text = SPAN(text.data + start, end - start);
        kind_at(text, start, &ret->kind);
        *offset = end;
        return 0;
}

int json_parse(struct span text, struct json *ret, struct error *error)
{
        struct json value;
        size_t end = 0;
        int r = json_take(text, &end, &value, error);

        if (r < 0)
                return r;
        if (skip_blanks(text, end) != text.size)
                return error_set(error, EBADMSG, "more than one JSON value, at offset %zu", end);
        *ret = value;
        return 0;
}

/* ---- values that were checked ---- */

/* A quote ends a string unless an odd number of backslashes stands before it. */
static size_t behind_string(struct span text, size_t at)
{
        for (size_t end = at + 1; end < text.size; end++) {
                const uint8_t *quote = memchr(text.data + end, '"', text.size - end);
                size_t n = 0;

                if (!quote)
                        break;
                end = (size_t)(quote - text.data);
                while (text.data[end - 1 - n] == '\\')
                        n++;
                if (n % 2 == 0)
                        return end + 1;
        }
        return 0;
}

static size_t behind_scalar(struct span text, size_t at)
{
        while (at < text.size && !is_blank(text.data[at]) && !memchr(",]}", text.data[at], 3))
                at++;
        return at;
}

/* The place behind a value: only strings and brackets matter. 0 if the slice isn't json_parse's. */
static size_t behind_checked(struct span text, size_t at, enum json_kind kind)
{
        size_t depth = 0;

        if (kind != JSON_OBJECT && kind != JSON_ARRAY)
                return kind == JSON_STRING ? behind_string(text, at) : behind_scalar(text, at);
        do {
                switch (byte_at(text, at)) {
                case '"':
                        at = behind_string(text, at);
                        if (at == 0)
                                return 0;
                        continue;
                case '{':
                case '[':
                        depth++;
                        break;
                case '}':
                case ']':
                        depth--;
                        break;
                }
                at++;
        } while (depth > 0 && at < text.size);
        return depth == 0 ? at : 0;
}

static size_t take_value(struct span text, size_t at, struct json *ret)
{
        size_t end = kind_at(text, at, &ret->kind) ? behind_checked(text, at, ret->kind) : 0;

        if (end == 0)
                return 0;
        ret->text = SPAN(text.data + at, end - at);
        return end;
}

bool json_next(const struct json *container, size_t *offset, struct json *key, struct json *ret)
{
        struct span text = container->text;
        struct json name, value;
        bool object = container->kind == JSON_OBJECT;
        size_t at;

        if (!object && container->kind != JSON_ARRAY)
                return false;
        at = skip_blanks(text, *offset == 0 ? 1 : *offset);
        if (byte_at(text, at) == ',')
                at = skip_blanks(text, at + 1);
        if (at + 1 >= text.size)
                return false;
        if (object) {
                at = take_value(text, at, &name);
                if (at == 0)
                        return false;
                at = skip_blanks(text, skip_blanks(text, at) + 1); /* the colon */
        }
        at = take_value(text, at, &value);
        if (at == 0)
                return false;
        if (object && key)
                *key = name;
        *ret = value;
        *offset = at;
        return true;
}

/* Returns the number of bytes. */
static size_t put_utf8(uint32_t code, uint8_t to[4])
{
        static const uint8_t lead[] = {0x00, 0xc0, 0xe0, 0xf0};
        size_t n = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;

        for (size_t i = n; i > 0; i--, code >>= 6)
                to[i] = 0x80 | (code & 0x3f);
        to[0] = (uint8_t)(lead[n] | code);
        return n + 1;
}

bool json_is(const struct json *string, const char *text)
{
        struct span s = string->text;
        size_t left = strlen(text);

        if (string->kind != JSON_STRING)
                return false;
        for (size_t at = 1; at + 1 < s.size;) {
                struct character c = character_at(s, at);
                uint8_t bytes[4];
                size_t n = put_utf8(c.code, bytes);

                if (c.size == 0 || n > left || memcmp(text, bytes, n) != 0)
                        return false;
                text += n;
                left -= n;
                at += c.size;
        }
        return left == 0;
}

int json_get(const struct json *object, const char *name, struct json *ret, struct error *error)
{
        struct json key, value, found;
        size_t offset = 0;
        int n = 0;

        if (object->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "not a JSON object, so it has no \"%s\"", name);
        while (json_next(object, &offset, &key, &value)) {
                if (!json_is(&key, name))
                        continue;
                if (n++ > 0)
                        return error_set(error, EBADMSG, "\"%s\" is there twice", name);
                found = value;
        }
        if (n > 0)
                *ret = found;
        return n;
}

bool json_string(const struct json *value, struct buf *ret)
{
        struct span s = value->text;

        if (value->kind != JSON_STRING)
                return false;
        for (size_t at = 1; at + 1 < s.size;) {
                struct character c = character_at(s, at);
                uint8_t bytes[4];

                if (c.size == 0)
                        return false;
                buf_put(ret, bytes, put_utf8(c.code, bytes));
                at += c.size;
        }
        return true;
}

bool json_text(const struct json *value, char *to, size_t size)
{
        struct span s = value->text;
        size_t used = 0;

        if (value->kind != JSON_STRING)
                return false;
        for (size_t at = 1; at + 1 < s.size;) {
                size_t plain = skip_plain(SPAN(s.data, s.size - 1), at) - at;
                struct character c;
                uint8_t bytes[4];
                size_t n;

                if (plain > 0) {
                        if (plain >= size - used)
                                return false;
                        memcpy(to + used, s.data + at, plain);
                        used += plain;
                        at += plain;
                        continue;
                }
                c = character_at(s, at);
                n = put_utf8(c.code, bytes);
                if (c.size == 0 || c.code == 0 || used + n >= size)
                        return false;
                memcpy(to + used, bytes, n);
                used += n;
                at += c.size;
        }
        if (used >= size)
                return false;
        to[used] = '\0';
        return true;
}

bool json_u64(const struct json *value, uint64_t *ret)
{
        uint64_t sum = 0;

        if (value->kind != JSON_NUMBER)
                return false;
        for (size_t i = 0; i < value->text.size; i++) {
                uint8_t c = value->text.data[i];

                if (c < '0' || c > '9' || __builtin_mul_overflow(sum, 10, &sum) ||
                                __builtin_add_overflow(sum, (uint64_t)(c - '0'), &sum))
                        return false;
        }
        *ret = sum;
        return true;
}
