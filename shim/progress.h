/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line a stage on stderr: what was done, bytes and time. Quiet unless stderr is a terminal or
 * --verbose; --quiet silences it altogether. Warnings always appear. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
        bool enabled;
        uint64_t started_us; /* of the running stage */
};

enum { PROGRESS_AUTO, PROGRESS_QUIET, PROGRESS_VERBOSE };

struct progress progress_new(int mode);
void progress_start(struct progress *p);
/* "mkexec: TEXT (0.31 s)"; bytes: "62.3 MB, " before the time, 0 for none. */
void progress_done(struct progress *p, uint64_t bytes, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
void progress_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For what was decided and the user should know, but isn't wrong. */
void progress_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The one way to stderr for errors and warnings: one line, whatever bytes a file name or a payload
 * put into it. */
void progress_message(const char *prefix, const char *format, va_list ap)
                __attribute__((format(printf, 2, 0)));
