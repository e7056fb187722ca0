/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/sbat.h"

#include <errno.h>
#include <stdbool.h>

enum {
        SECTION_COLUMNS = 6, /* component, generation, vendor name, package, version, URL */
        LEVEL_COLUMNS = 2,   /* component, generation; the first row also has a date */
        MAX_COLUMNS = SECTION_COLUMNS,
};

struct row {
        struct span field[MAX_COLUMNS];
        unsigned n;
};

/* The text: up to the first NUL, without the byte order mark that shim skips, too. */
static struct span text_of(struct span bytes)
{
        const uint8_t *nul = bytes.size ? memchr(bytes.data, '\0', bytes.size) : NULL;

        if (nul)
                bytes.size = (size_t)(nul - bytes.data);
        if (bytes.size >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0)
                bytes = SPAN(bytes.data + 3, bytes.size - 3);
        return bytes;
}

static bool is_line_end(uint8_t c)
{
        return c == '\r' || c == '\n';
}

/* The next line that isn't empty, cut at its commas; what is behind the last column that anybody
 * looks at is left out. False: there is none. */
static bool next_row(struct cursor *c, struct row *ret)
{
        const uint8_t *text = c->bytes.data;
        size_t start, size = c->bytes.size;

        while (c->offset < size && is_line_end(text[c->offset]))
                c->offset++;
        if (c->offset >= size)
                return false;
        *ret = (struct row){0};
        for (start = c->offset;; c->offset++) {
                bool end = c->offset >= size || is_line_end(text[c->offset]);

                if (!end && text[c->offset] != ',')
                        continue;
                if (ret->n < MAX_COLUMNS)
                        ret->field[ret->n++] = SPAN(text + start, c->offset - start);
                start = c->offset + 1;
                if (end)
                        return true;
        }
}

static bool has_columns(const struct row *row, unsigned n)
{
        for (unsigned i = 0; i < row->n; i++)
                if (row->field[i].size == 0)
                        return false;
        return row->n >= n;
}

/* Saturates: a number that nobody can mean is a high one. */
static uint32_t generation(struct span text)
{
        uint64_t value = 0;

        for (size_t i = 0; i < text.size; i++) {
                if (text.data[i] < '0' || text.data[i] > '9')
                        return 0;
                value = value * 10 + text.data[i] - '0';
                if (value > UINT32_MAX)
                        value = UINT32_MAX;
        }
        return (uint32_t)value;
}

static int check_row(const struct row *component, struct span level, struct error *error)
{
        struct cursor c = CURSOR(level);
        struct row wanted;

        while (next_row(&c, &wanted)) {
                if (!span_equal(wanted.field[0], component->field[0]) ||
                                generation(component->field[1]) >= generation(wanted.field[1]))
                        continue;
                return error_set(error, EKEYREVOKED,
                                "SBAT generation %.*s of '%.*s' is revoked, SbatLevel wants %.*s",
                                (int)component->field[1].size, component->field[1].data,
                                (int)component->field[0].size, component->field[0].data,
                                (int)wanted.field[1].size, wanted.field[1].data);
        }
        return 0;
}

static int check_columns(struct span text, unsigned n, const char *what, struct error *error)
{
        struct cursor c = CURSOR(text);
        struct row row;

        for (unsigned line = 1; next_row(&c, &row); line++)
                if (!has_columns(&row, n))
                        return error_set(error, EBADMSG,
                                        "row %u of %s has less than %u columns, or an empty one",
                                        line, what, n);
        return 0;
}

int sbat_check(struct span level, struct span section, struct error *error)
{
        struct cursor c;
        struct row row;
        int r;

        level = text_of(level);
        section = text_of(section);
        r = check_columns(level, LEVEL_COLUMNS, "SbatLevel", error);
        if (r == 0 && level.size > 0)
                r = check_columns(section, SECTION_COLUMNS, ".sbat", error);
        c = CURSOR(section);
        while (r == 0 && level.size > 0 && next_row(&c, &row))
                r = check_row(&row, level, error);
        return r;
}
