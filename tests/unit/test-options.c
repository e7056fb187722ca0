/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shim/options: what rows make of a command line. That the man page and the completion have every
 * row is docs.sh's. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/options.h"
#include "shim/verb.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

struct values {
        bool flag;
        const char *text;
        int number;
        char taken[16];
};

static int take_even(void *to, char *value, struct error *error)
{
        struct values *v = to;

        if (strlen(value) % 2 != 0)
                return *value == 'x' ? -EINVAL : error_set(error, EINVAL, "odd: '%s'", value);
        snprintf(v->taken, sizeof(v->taken), "%s", value);
        return 0;
}

static const struct option_row rows[] = {
                {"flag", NULL, "sets a flag", OPTION_FLAG(struct values, flag)},
                {"output", "FILE",
                                "a text that is so long that it can't stand in a line of eighty "
                                "characters, and goes on behind the others'",
                                .letter = 'o', OPTION_TEXT(struct values, text)},
                {"seven", NULL, NULL, OPTION_NUMBER(struct values, number, 7)},
                {"even", "TEXT", "lines:\n  one\n  two", OPTION_TAKE(take_even)},
};

static const struct options options = {
                .verb = "try",
                .usage = "mkexec try",
                .about = "About it.",
                .end = "The end.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

/* The line in words, which stay until the next call; what comes out on standard output and error
 * goes to said. */
static int parse(const char *line, struct values *ret, char said[2048])
{
        static char words[256];
        char *argv[16] = {0};
        int argc = 0, r, out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
        int fd = open(scratch_path("said"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ssize_t n;

        snprintf(words, sizeof(words), "try %s", line);
        for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
                argv[argc++] = word;
        *ret = (struct values){0};
        optind = 0;
        opterr = 0;
        fflush(stdout);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        r = options_parse(&options, argc, argv, ret);
        fflush(stdout);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        n = pread(fd, said, 2047, 0);
        said[n > 0 ? n : 0] = '\0';
        close(fd);
        close(out);
        close(err);
        return r;
}

static void values_arrive(void)
{
        struct values v;
        char said[2048];

        CHECK_EQ(parse("--flag --output F --seven --even ab rest", &v, said), 0);
        CHECK(v.flag && v.text && strcmp(v.text, "F") == 0);
        CHECK_EQ(v.number, 7);
        CHECK(strcmp(v.taken, "ab") == 0);
        CHECK_EQ(optind, 7);
        CHECK(!said[0]);
        CHECK_EQ(parse("rest -o F", &v, said), 0);
        CHECK(!v.flag && v.text && strcmp(v.text, "F") == 0);
        CHECK_EQ(parse("-oF --fl --even=cd", &v, said), 0);
        CHECK(v.flag && v.text && strcmp(v.taken, "cd") == 0);
}

static void what_is_wrong_is_said_in_one_line(void)
{
        static const struct {
                const char *line, *said;
        } lines[] = {
                        {"--nonsense", "mkexec: wrong option or argument; see 'mkexec try --help'"},
                        {"-z", "mkexec: wrong option or argument"},
                        {"--output", "mkexec: wrong option or argument"},
                        {"-o", "mkexec: wrong option or argument"},
                        {"--flag=yes", "mkexec: wrong option or argument"},
                        {"--even abc", "mkexec: odd: 'abc'\n"},
                        {"--even xyz", "mkexec: wrong option or argument"},
        };
        struct values v;
        char said[2048];

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                CHECK_EQ(parse(lines[i].line, &v, said), 1 + EXIT_USAGE);
                CHECK(strncmp(said, lines[i].said, strlen(lines[i].said)) == 0);
                CHECK(strchr(said, '\n') == said + strlen(said) - 1);
        }
}

static void help_has_a_place_for_each(void)
{
        static const char wanted[] =
                        "mkexec try\n"
                        "\n"
                        "About it.\n"
                        "\n"
                        "  --flag             sets a flag\n"
                        "  -o, --output FILE  a text that is so long that it can't stand in a line "
                        "of\n"
                        "                     eighty characters, and goes on behind the others'\n"
                        "  --even TEXT        lines:\n"
                        "                       one\n"
                        "                       two\n"
                        "\n"
                        "The end.\n";
        struct values v;
        char said[2048];

        CHECK_EQ(parse("--help", &v, said), 1 + EXIT_DONE);
        CHECK(strcmp(said, wanted) == 0);
        CHECK_EQ(parse("-h", &v, said), 1 + EXIT_DONE);
        CHECK_EQ(parse("--flag --help --nonsense", &v, said), 1 + EXIT_DONE);
        CHECK(strcmp(said, wanted) == 0);
}

static const struct tap_test tests[] = {
                {"values arrive", values_arrive},
                {"what is wrong is said in one line", what_is_wrong_is_said_in_one_line},
                {"help has a place for each", help_has_a_place_for_each},
};

SCRATCH_MAIN(tests)
