/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options of a verb, a row each: from it getopt gets its table, --help its lines, and the verb its
 * value. --help and -h are everybody's and have no row. */
#pragma once

#include <stddef.h>

#include "base/error.h"

struct option_row {
        const char *name;
        const char *argument; /* what the help calls it; NULL: it takes none */
        const char *help;     /* in as many lines as it takes; NULL: none */
        char letter;          /* the short form of it, or 0 */
        enum {
                OPTION_IS_TAKEN,
                OPTION_IS_FLAG,
                OPTION_IS_TEXT,
                OPTION_IS_NUMBER,
        } kind;
        size_t offset; /* FLAG, TEXT, NUMBER: of what is set to true, the argument, number */
        int number;
        /* TAKEN: -EINVAL and what is wrong with the value; without a word: that the option is
         * wrong. */
        int (*take)(void *to, char *value, struct error *error);
};

/* The member of that struct, which must be of the right type. */
#define OPTION_MEMBER(type, member, wanted) \
        .offset = offsetof(type, member) * _Generic(((type *)NULL)->member, wanted : 1)
#define OPTION_FLAG(type, member) .kind = OPTION_IS_FLAG, OPTION_MEMBER(type, member, bool)
#define OPTION_TEXT(type, member) .kind = OPTION_IS_TEXT, OPTION_MEMBER(type, member, const char *)
#define OPTION_NUMBER(type, member, value) \
        .kind = OPTION_IS_NUMBER, OPTION_MEMBER(type, member, int), .number = (value)
#define OPTION_TAKE(function) .kind = OPTION_IS_TAKEN, .take = (function)

struct options {
        const char *verb;        /* as errors name it: "log show" */
        const char *usage;       /* the help's first lines */
        const char *about, *end; /* before and behind the rows; NULL: nothing */
        const struct option_row *rows;
        size_t n_rows;
};

/* Into *to, what the rows are about. 0, and optind is at the first argument that is no option; or
 * an exit code + 1, with which the verb has to end: --help was printed, or what was wrong. */
int options_parse(const struct options *options, int argc, char **argv, void *to);
