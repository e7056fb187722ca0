/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* What a character stands for, or a bit that no value of four characters has. */
#define BAD (1u << 24)
#define VALUE(c)                                                    \
        ((c) >= 'A' && (c) <= 'Z'                  ? (c) - 'A'      \
                        : (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26 \
                        : (c) >= '0' && (c) <= '9' ? (c) - '0' + 52 \
                        : (c) == '+'               ? 62             \
                        : (c) == '/'               ? 63             \
                                                   : -1)
#define AT(place, c) (VALUE(c) < 0 ? BAD : (uint32_t)(VALUE(c) & 63) << 6 * (3 - (place)))

/* By a character's place in its four, then by the character: one look-up and no shift for each. */
#define ROW4(p, c)  AT(p, c), AT(p, (c) + 1), AT(p, (c) + 2), AT(p, (c) + 3)
#define ROW16(p, c) ROW4(p, c), ROW4(p, (c) + 4), ROW4(p, (c) + 8), ROW4(p, (c) + 12)
#define ROW64(p, c) ROW16(p, c), ROW16(p, (c) + 16), ROW16(p, (c) + 32), ROW16(p, (c) + 48)
#define ROW(p)                                                          \
        {                                                               \
                ROW64(p, 0), ROW64(p, 64), ROW64(p, 128), ROW64(p, 192) \
        }
static const uint32_t values[4][256] = {ROW(0), ROW(1), ROW(2), ROW(3)};

static uint32_t take_four(const uint8_t *from)
{
        return values[0][from[0]] | values[1][from[1]] | values[2][from[2]] | values[3][from[3]];
}

static void put_three(uint8_t *to, uint32_t bits)
{
        to[0] = (uint8_t)(bits >> 16);
        to[1] = (uint8_t)(bits >> 8);
        to[2] = (uint8_t)bits;
}

void base64_encode(struct span bytes, char *to)
{
        const uint8_t *from = bytes.data, *end = from + bytes.size / 3 * 3;
        size_t left = bytes.size % 3;
        uint32_t bits;

        for (; from < end; from += 3, to += 4) {
                bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
                to[0] = alphabet[bits >> 18];
                to[1] = alphabet[bits >> 12 & 63];
                to[2] = alphabet[bits >> 6 & 63];
                to[3] = alphabet[bits & 63];
        }
        if (left == 0)
                return;
        bits = (uint32_t)from[0] << 16 | (left == 2 ? (uint32_t)from[1] << 8 : 0);
        to[0] = alphabet[bits >> 18];
        to[1] = alphabet[bits >> 12 & 63];
        to[2] = left == 2 ? alphabet[bits >> 6 & 63] : '=';
        to[3] = '=';
}

/* The last four characters, with one or two of padding. Bits that the bytes don't use are zero. */
static bool take_last(const uint8_t *from, uint8_t *to, size_t *n)
{
        size_t n_padding = from[2] == '=' ? 2 : 1;
        uint32_t bits = values[0][from[0]] | values[1][from[1]];

        if (n_padding == 1)
                bits |= values[2][from[2]];
        if (bits & (BAD | (n_padding == 2 ? 0xffffu : 0xffu)))
                return false;
        to[0] = (uint8_t)(bits >> 16);
        if (n_padding == 1)
                to[1] = (uint8_t)(bits >> 8);
        *n += 3 - n_padding;
        return true;
}

bool base64_decode(struct span text, uint8_t *to, size_t *ret)
{
        bool padded = text.size >= 4 && text.data[text.size - 1] == '=';
        size_t n_whole = text.size / 4 - padded;
        const uint8_t *from = text.data;
        uint32_t seen = 0;

        if (text.size % 4 != 0)
                return false;
        for (size_t i = 0; i < n_whole; i++, from += 4, to += 3) {
                uint32_t bits = take_four(from);

                seen |= bits;
                put_three(to, bits);
        }
        if (seen & BAD)
                return false;
        *ret = 3 * n_whole;
        return !padded || take_last(from, to, ret);
}
