/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/register-map.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

enum { MAP_FILE_LIMIT = 64 * 1024 };

void register_map_dedicated(struct register_map *ret)
{
        memset(ret->reg, HOP_PCR, sizeof(ret->reg));
}

uint32_t register_map_mask(const struct register_map *map)
{
        uint32_t mask = 1u << HOP_PCR;

        for (size_t i = 0; i < PCR_COUNT; i++)
                mask |= 1u << map->reg[i];
        return mask;
}

/* ---- text ---- */

/* Takes what stands before the next of the separators (which is taken, too) or the end. */
static bool take_until(struct span *text, char separator, struct span *ret)
{
        const uint8_t *at;
        size_t n;

        if (text->size == 0)
                return false;
        at = memchr(text->data, separator, text->size);
        n = at ? (size_t)(at - text->data) : text->size;
        *ret = SPAN(text->data, n);
        *text = SPAN(text->data + n + (at != NULL), text->size - n - (at != NULL));
        return true;
}

static bool is_blank(uint8_t c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

static bool take_word(struct span *text, struct span *ret)
{
        size_t start = 0, end;

        while (start < text->size && is_blank(text->data[start]))
                start++;
        for (end = start; end < text->size && !is_blank(text->data[end]);)
                end++;
        *ret = SPAN(text->data + start, end - start);
        *text = SPAN(text->data + end, text->size - end);
        return end > start;
}

/* A PCR number: one or two decimal digits, so that no other spelling of it exists. */
static bool parse_pcr(struct span word, unsigned *ret)
{
        unsigned value = 0;

        if (word.size < 1 || word.size > 2 || (word.size == 2 && word.data[0] == '0'))
                return false;
        for (size_t i = 0; i < word.size; i++) {
                if (word.data[i] < '0' || word.data[i] > '9')
                        return false;
                value = 10 * value + (word.data[i] - '0');
        }
        if (value >= PCR_COUNT)
                return false;
        *ret = value;
        return true;
}

#define WORD(span_) (int)((span_).size < 40 ? (span_).size : 40), (const char *)(span_).data

static int parse_line(struct span line, const char *name, unsigned number, struct register_map *map,
                uint32_t *named, struct error *error)
{
        struct span first, second, third;
        unsigned pcr, reg;

        if (!take_word(&line, &first))
                return 0;
        if (!take_word(&line, &second) || take_word(&line, &third))
                return error_set(error, EINVAL, "%s:%u: wanted 'payload-pcr register'", name,
                                number);
        if (!parse_pcr(first, &pcr))
                return error_set(error, EINVAL, "%s:%u: '%.*s' isn't a payload PCR (0-23)", name,
                                number, WORD(first));
        if (!parse_pcr(second, &reg) || !(HOP_REGISTERS & 1u << reg))
                return error_set(error, EINVAL,
                                "%s:%u: '%.*s' can't be a register: use 8, 9 or 11 to 15", name,
                                number, WORD(second));
        if (*named & 1u << pcr)
                return error_set(error, EINVAL, "%s:%u: payload PCR %u is named twice", name,
                                number, pcr);
        *named |= 1u << pcr;
        map->reg[pcr] = (uint8_t)reg;
        return 0;
}

int register_map_parse(
                struct span text, const char *name, struct register_map *ret, struct error *error)
{
        struct register_map map;
        struct span line;
        uint32_t named = 0;

        register_map_dedicated(&map);
        for (unsigned number = 1; take_until(&text, '\n', &line); number++) {
                struct span content = line;
                int r;

                take_until(&line, '#', &content);
                r = parse_line(content, name, number, &map, &named, error);
                if (r < 0)
                        return r;
        }
        *ret = map;
        return 0;
}

int register_map_read_file(const char *path, struct register_map *ret, struct error *error)
{
        _cleanup_buf_ struct buf text = {};
        int r;

        r = buf_read_file(path, MAP_FILE_LIMIT, &text, error);
        if (r < 0)
                return r;
        return register_map_parse(buf_span(&text), path, ret, error);
}

int close_list_parse(const char *text, uint32_t *ret, struct error *error)
{
        struct span rest, word, item;
        uint32_t mask = 0;
        unsigned pcr;

        if (!text) {
                *ret = CLOSE_LIST_DEFAULT;
                return 0;
        }
        rest = SPAN(text, strlen(text));
        if (strcmp(text, "none") == 0) {
                *ret = 0;
                return 0;
        }
        if (rest.size == 0 || rest.data[rest.size - 1] == ',')
                return error_set(error, EINVAL, "close list '%s': wanted PCRs, or none", text);
        while (take_until(&rest, ',', &item)) {
                if (!take_word(&item, &word) || !parse_pcr(word, &pcr) ||
                                take_word(&item, &(struct span){}))
                        return error_set(error, EINVAL, "close list '%s': '%.*s' isn't a PCR", text,
                                        WORD(item));
                if (!(HOP_CLOSEABLE & 1u << pcr))
                        return error_set(error, EINVAL,
                                        "close list '%s': PCR %u can't be closed (10 is IMA's, "
                                        "16-23 can be reset)",
                                        text, pcr);
                mask |= 1u << pcr;
        }
        *ret = mask;
        return 0;
}
