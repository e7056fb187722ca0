/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line of reason beside a negative errno. Functions that can fail for more than one reason take
 * a `struct error *` last; it may be NULL. The text says what failed, on which file, offset or PCR,
 * and what to do; the program prints it, libraries never do. */
#pragma once

struct error {
        char text[512];
};

/* Sets the text and returns -errnum (errnum > 0), so that `return error_set(e, EINVAL, ...)` works.
 */
int error_set(struct error *e, int errnum, const char *format, ...)
                __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text that is there. Returns result unchanged. */
int error_prefix(struct error *e, int result, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
