/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/utf16.h"

#include <stdlib.h>
#include <string.h>

static void put_code_point(struct buf *b, uint32_t c)
{
        if (c < 0x80) {
                buf_put_u8(b, (uint8_t)c);
        } else if (c < 0x800) {
                buf_put_u8(b, (uint8_t)(0xc0 | c >> 6));
                buf_put_u8(b, (uint8_t)(0x80 | (c & 63)));
        } else if (c < 0x10000) {
                buf_put_u8(b, (uint8_t)(0xe0 | c >> 12));
                buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 63)));
                buf_put_u8(b, (uint8_t)(0x80 | (c & 63)));
        } else {
                buf_put_u8(b, (uint8_t)(0xf0 | c >> 18));
                buf_put_u8(b, (uint8_t)(0x80 | (c >> 12 & 63)));
                buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 63)));
                buf_put_u8(b, (uint8_t)(0x80 | (c & 63)));
        }
}

void utf16_to_utf8(struct span utf16le, struct buf *ret)
{
        struct cursor c = CURSOR(utf16le);
        uint16_t unit;

        while (cursor_u16(&c, &unit) && unit != 0) {
                uint32_t point = unit;

                if (unit >= 0xd800 && unit < 0xe000) {
                        struct cursor ahead = c;
                        uint16_t low;

                        point = 0xfffd;
                        if (unit < 0xdc00 && cursor_u16(&ahead, &low) && low >= 0xdc00 &&
                                        low < 0xe000) {
                                point = 0x10000 + (((uint32_t)unit - 0xd800) << 10) +
                                        (low - 0xdc00u);
                                c = ahead;
                        }
                }
                put_code_point(ret, point);
        }
}

char *utf16_to_text(struct span utf16le)
{
        struct buf b = {0};

        utf16_to_utf8(utf16le, &b);
        buf_put_u8(&b, 0);
        if (buf_failed(&b)) {
                buf_release(&b);
                return NULL;
        }
        return (char *)b.data;
}

/* Takes one code point off *text; false on overlong, truncated, surrogate or out-of-range forms. */
static bool take_code_point(const char **text, uint32_t *ret)
{
        const uint8_t *p = (const uint8_t *)*text;
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        unsigned more = p[0] < 0x80       ? 0
                        : p[0] >> 5 == 6  ? 1
                        : p[0] >> 4 == 14 ? 2
                        : p[0] >> 3 == 30 ? 3
                                          : 4;
        uint32_t c;

        if (more == 4)
                return false;
        c = more == 0 ? p[0] : p[0] & (0x3fu >> more);
        for (unsigned i = 1; i <= more; i++) {
                if (p[i] >> 6 != 2)
                        return false;
                c = c << 6 | (p[i] & 63);
        }
        if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return false;
        *text += more + 1;
        *ret = c;
        return true;
}

bool utf8_to_utf16(const char *text, struct buf *ret)
{
        size_t before = ret->size;

        while (*text) {
                uint32_t c;

                if (!take_code_point(&text, &c)) {
                        ret->size = before;
                        return false;
                }
                if (c < 0x10000) {
                        buf_put_u16(ret, (uint16_t)c);
                } else {
                        buf_put_u16(ret, (uint16_t)(0xd800 + ((c - 0x10000) >> 10)));
                        buf_put_u16(ret, (uint16_t)(0xdc00 + ((c - 0x10000) & 0x3ff)));
                }
        }
        return true;
}
