/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/verb.h"

#define FIRST_ROW 256 /* getopt's code of row 0: no letter is that */

/* ---- help ---- */

/* "  -o, --output FILE"; returns its width. */
static int head_of(const struct option_row *row, char *ret, size_t size)
{
        char letter[8] = "";

        if (row->letter)
                snprintf(letter, sizeof(letter), "-%c, ", row->letter);
        return snprintf(ret, size, "  %s--%s%s%s", letter, row->name, row->argument ? " " : "",
                        row->argument ? row->argument : "");
}

#define HELP_COLUMNS 80

/* Lines that are too long go on behind so many columns. */
static void print_text(const char *text, int column)
{
        for (;;) {
                int line = (int)strcspn(text, "\n"), n = line;

                if (n > HELP_COLUMNS - column)
                        for (n = HELP_COLUMNS - column; n > 0 && text[n] != ' ';)
                                n--;
                n = n > 0 ? n : line; /* a word that has no room */
                printf("%.*s\n", n, text);
                text += n;
                if (!*text)
                        return;
                text++; /* the space or newline */
                printf("%*s", *text == '\n' ? 0 : column, "");
        }
}

static void help(const struct options *options)
{
        char head[128];
        int column = 0;

        for (size_t i = 0; i < options->n_rows; i++)
                if (options->rows[i].help) {
                        int width = head_of(&options->rows[i], head, sizeof(head));

                        column = width > column ? width : column;
                }
        puts(options->usage);
        if (options->about) {
                puts("");
                print_text(options->about, 0);
        }
        if (column > 0)
                puts("");
        for (size_t i = 0; i < options->n_rows; i++) {
                if (!options->rows[i].help)
                        continue;
                head_of(&options->rows[i], head, sizeof(head));
                printf("%-*s  ", column, head);
                print_text(options->rows[i].help, column + 2);
        }
        if (options->end) {
                puts("");
                print_text(options->end, 0);
        }
}

/* ---- values ---- */

static int take(const struct option_row *row, void *to, char *value, struct error *error)
{
        void *member = (char *)to + row->offset;

        switch (row->kind) {
        case OPTION_IS_FLAG:
                *(bool *)member = true;
                return 0;
        case OPTION_IS_TEXT:
                *(const char **)member = value;
                return 0;
        case OPTION_IS_NUMBER:
                *(int *)member = row->number;
                return 0;
        default:
                return row->take(to, value, error);
        }
}

/* What getopt_long wants: an array that ends with zeros, and letters, for which there are two bytes
 * a row and two more. */
static struct option *make_table(const struct options *options, char letters[])
{
        struct option *table = calloc(options->n_rows + 2, sizeof(*table));
        size_t n = 0;

        letters[n++] = 'h';
        for (size_t i = 0; table && i < options->n_rows; i++) {
                const struct option_row *row = &options->rows[i];

                table[i] = (struct option){row->name,
                                row->argument ? required_argument : no_argument, NULL,
                                FIRST_ROW + (int)i};
                if (row->letter)
                        letters[n++] = row->letter;
                if (row->letter && row->argument)
                        letters[n++] = ':';
        }
        letters[n] = '\0';
        if (table)
                table[options->n_rows] = (struct option){"help", no_argument, NULL, 'h'};
        return table;
}

static const struct option_row *row_of(const struct options *options, int code)
{
        if (code >= FIRST_ROW)
                return &options->rows[code - FIRST_ROW];
        for (size_t i = 0; i < options->n_rows; i++)
                if (options->rows[i].letter == code)
                        return &options->rows[i];
        return NULL; /* getopt's '?' */
}

int options_parse(const struct options *options, int argc, char **argv, void *to)
{
        _cleanup_free_ char *letters = calloc(options->n_rows + 1, 2);
        _cleanup_free_ struct option *table = letters ? make_table(options, letters) : NULL;
        int code;

        if (!table)
                return 1 + fail_text(EXIT_REFUSED, "out of memory");
        while ((code = getopt_long(argc, argv, letters, table, NULL)) >= 0) {
                const struct option_row *row = row_of(options, code);
                struct error error = {{0}};

                if (code == 'h') {
                        help(options);
                        return 1 + EXIT_DONE;
                }
                if (!row)
                        return 1 + usage_error(options->verb);
                if (take(row, to, optarg, &error) < 0)
                        return 1 + (error.text[0] ? fail(EXIT_USAGE, &error)
                                                  : usage_error(options->verb));
        }
        return 0;
}
