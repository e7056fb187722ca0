/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "shim/progress.h"

int fail(int code, const struct error *error)
{
        return fail_text(code, "%s", error->text);
}

int fail_text(int code, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        progress_message("mkexec: ", format, ap);
        va_end(ap);
        return code;
}

int exit_code_of(int negative_errno)
{
        switch (-negative_errno) {
        case ENOENT:
        case EINVAL:
        case ENOEXEC:
        case EISDIR:
        case ENOTDIR:
        case EFBIG:
        case EACCES:
                return EXIT_USAGE;
        default:
                return EXIT_REFUSED;
        }
}

int usage_error(const char *verb)
{
        return fail_text(EXIT_USAGE,
                        "wrong option or argument; see 'mkexec %s --help' or mkexec(8)", verb);
}

int written(int code)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        return code != EXIT_DONE ? code : fail_text(EXIT_REFUSED, "can't write the result: %m");
}
