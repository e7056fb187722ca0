/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/escape.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define REPLACEMENT 0xfffdu

/* ---- characters ---- */

static bool take_utf8(struct cursor *c, uint32_t *ret)
{
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        struct cursor ahead = *c;
        uint8_t lead, next;
        uint32_t point;
        unsigned more;

        if (!cursor_u8(&ahead, &lead))
                return false;
        if (lead < 0x80)
                more = 0;
        else if (lead >> 5 == 6)
                more = 1;
        else if (lead >> 4 == 14)
                more = 2;
        else if (lead >> 3 == 30)
                more = 3;
        else
                return false;
        point = more == 0 ? lead : lead & (0x3fu >> more);
        for (unsigned i = 0; i < more; i++) {
                if (!cursor_u8(&ahead, &next) || next >> 6 != 2)
                        return false;
                point = point << 6 | (next & 63);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
                return false;
        *c = ahead;
        *ret = point;
        return true;
}

static bool take_utf16(struct cursor *c, uint32_t *ret)
{
        struct cursor ahead = *c;
        uint16_t high, low;

        if (!cursor_u16(&ahead, &high) || (high >= 0xdc00 && high < 0xe000))
                return false;
        *ret = high;
        if (high >= 0xd800 && high < 0xdc00) {
                if (!cursor_u16(&ahead, &low) || low < 0xdc00 || low >= 0xe000)
                        return false;
                *ret = 0x10000 + ((high - 0xd800u) << 10) + (low - 0xdc00u);
        }
        *c = ahead;
        return true;
}

void text_skip_plain(struct cursor *c, enum text_encoding encoding)
{
        const uint8_t *bytes = c->bytes.data;
        size_t at = c->offset;

        if (encoding != TEXT_UTF8)
                return;
        while (at < c->bytes.size && bytes[at] >= 0x20 && bytes[at] < 0x7f && bytes[at] != '"' &&
                        bytes[at] != '\\')
                at++;
        c->offset = at;
}

bool text_next(struct cursor *c, enum text_encoding encoding, uint32_t *point, bool *valid)
{
        uint16_t unit;
        uint8_t byte;

        *valid = encoding == TEXT_UTF8 ? take_utf8(c, point) : take_utf16(c, point);
        if (*valid)
                return true;
        if (encoding == TEXT_UTF16 && cursor_u16(c, &unit)) {
                *point = unit;
                return true;
        }
        if (!cursor_u8(c, &byte))
                return false;
        *point = byte;
        return true;
}

/* Characters that do something instead of being seen. */
static const struct {
        uint32_t first, last;
} steering[] = {
                {0x00, 0x1f},       /* C0: newline, ESC */
                {0x7f, 0x9f},       /* DEL, C1: CSI, NEL */
                {0xad, 0xad},       /* soft hyphen */
                {0x61c, 0x61c},     /* bidi mark */
                {0x180e, 0x180e},   /* invisible */
                {0x200b, 0x200f},   /* zero width, bidi marks */
                {0x2028, 0x202e},   /* line and paragraph separators, bidi embeddings */
                {0x2060, 0x206f},   /* invisible operators, bidi isolates */
                {0xfe00, 0xfe0f},   /* variation selectors */
                {0xfeff, 0xfeff},   /* byte order mark */
                {0xfff0, 0xffff},   /* annotations, stand-ins (U+FFFD), no characters */
                {0xe0000, 0xe0fff}, /* tags, more variation selectors */
};

static bool steers(uint32_t point)
{
        if (point >= 0x20 && point < 0x7f)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(steering); i++)
                if (point >= steering[i].first && point <= steering[i].last)
                        return true;
        return false;
}

/* ---- the three dialects: what stands for a character that can't stand for itself ---- */

static void put_line(uint32_t point, bool valid, enum text_encoding encoding, char to[16])
{
        if (point == '\\' && valid)
                strcpy(to, "\\\\");
        else if (point < 0x80 || (!valid && (encoding == TEXT_UTF8 || point < 0x100)))
                snprintf(to, 16, "\\x%02x", point);
        else
                snprintf(to, 16, "\\u{%x}", point);
}

static void put_json(uint32_t point, bool valid, enum text_encoding encoding, char to[16])
{
        if (!valid)
                point = REPLACEMENT;
        if (point == '"' || point == '\\')
                snprintf(to, 16, "\\%c", (char)point);
        else if (point < 0x10000)
                snprintf(to, 16, "\\u%04x", point);
        else
                snprintf(to, 16, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
                                0xdc00 + ((point - 0x10000) & 0x3ff));
}

static void put_yaml(uint32_t point, bool valid, enum text_encoding encoding, char to[16])
{
        if (!valid)
                point = REPLACEMENT;
        if (point == '"' || point == '\\')
                snprintf(to, 16, "\\%c", (char)point);
        else if (point < 0x100)
                snprintf(to, 16, "\\x%02x", point);
        else
                snprintf(to, 16, point < 0x10000 ? "\\u%04x" : "\\U%08x", point);
}

static const struct {
        bool quoted;
        void (*put)(uint32_t point, bool valid, enum text_encoding encoding, char to[16]);
} dialects[] = {
                [ESCAPE_LINE] = {false, put_line},
                [ESCAPE_JSON] = {true, put_json},
                [ESCAPE_YAML] = {true, put_yaml},
};

static void put_utf8(uint32_t point, struct buf *ret)
{
        uint8_t bytes[4];
        size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

        if (n == 1) {
                buf_put_u8(ret, (uint8_t)point);
                return;
        }
        for (size_t i = n - 1; i > 0; i--, point >>= 6)
                bytes[i] = (uint8_t)(0x80 | (point & 63));
        bytes[0] = (uint8_t)(0xf00 >> n | point);
        buf_put(ret, bytes, n);
}

void escape_text(struct span text, enum text_encoding encoding, enum escape_for dialect,
                struct buf *ret)
{
        struct cursor c = CURSOR(text);
        size_t plain = 0; /* UTF-8 that can go as it is starts here */

        for (;;) {
                size_t before;
                uint32_t point;
                char escaped[16];
                bool valid, more;

                text_skip_plain(&c, encoding);
                before = c.offset;
                more = text_next(&c, encoding, &point, &valid);
                if (more && valid && !steers(point) && point != '\\' &&
                                !(point == '"' && dialects[dialect].quoted)) {
                        if (encoding == TEXT_UTF16)
                                put_utf8(point, ret);
                        continue;
                }
                if (encoding == TEXT_UTF8 && before > plain)
                        buf_put(ret, text.data + plain, before - plain);
                plain = c.offset;
                if (!more)
                        return;
                dialects[dialect].put(point, valid, encoding, escaped);
                buf_put(ret, escaped, strlen(escaped));
        }
}
