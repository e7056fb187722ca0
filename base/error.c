/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *e, int errnum, const char *format, ...)
{
        if (e) {
                va_list ap;

                va_start(ap, format);
                vsnprintf(e->text, sizeof(e->text), format, ap);
                va_end(ap);
        }
        return -errnum;
}

int error_prefix(struct error *e, int result, const char *format, ...)
{
        if (e) {
                char rest[sizeof(e->text)];
                va_list ap;
                int n;

                memcpy(rest, e->text, sizeof(rest));
                va_start(ap, format);
                n = vsnprintf(e->text, sizeof(e->text), format, ap);
                va_end(ap);
                for (const char *s = ": "; n >= 0 && *s && (size_t)n < sizeof(e->text) - 1; s++)
                        e->text[n++] = *s;
                for (const char *s = rest; n >= 0 && *s && (size_t)n < sizeof(e->text) - 1; s++)
                        e->text[n++] = *s;
                e->text[(size_t)n < sizeof(e->text) ? (size_t)n : sizeof(e->text) - 1] = '\0';
        }
        return result;
}
