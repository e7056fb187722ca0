/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs' main and the verbs share: the table row, exit codes, and the one way to print
 * an error. */
#pragma once

#include <getopt.h>
#include <stdbool.h>

#include "base/error.h"

enum {
        EXIT_DONE = 0,
        EXIT_REFUSED = 1, /* refused, mismatch, failed on the machine */
        EXIT_USAGE = 2,   /* usage, or input that can't be read */
};

struct verb {
        const char *name;
        const char *usage;                 /* after the name */
        const char *summary;               /* one line */
        int (*run)(int argc, char **argv); /* argv[0] is the verb; returns an exit code */
};

int verb_load(int argc, char **argv);
int verb_exec(int argc, char **argv);
int verb_unload(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_predict(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_log(int argc, char **argv);
int verb_ticket(int argc, char **argv);
int verb_attest(int argc, char **argv);

/* "mkexec: TEXT" on stderr; returns code, so that `return fail(EXIT_USAGE, &error)` works. */
int fail(int code, const struct error *error);
int fail_text(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* EXIT_USAGE for input that can't be read (-ENOENT, -EINVAL, -EBADMSG ...), else EXIT_REFUSED. */
int exit_code_of(int negative_errno);
/* For getopt's '?' (opterr is 0: this is the one line) and wrong arguments. Returns EXIT_USAGE. */
int usage_error(const char *verb);
/* The exit code of a program that was to end with code: a result that nobody got isn't done. */
int written(int code);
