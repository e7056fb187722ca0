/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_us(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct progress progress_new(int mode)
{
        bool on = mode == PROGRESS_VERBOSE || (mode == PROGRESS_AUTO && isatty(STDERR_FILENO));

        return (struct progress){.enabled = on, .started_us = now_us()};
}

void progress_start(struct progress *p)
{
        p->started_us = now_us();
}

void progress_done(struct progress *p, uint64_t bytes, const char *format, ...)
{
        va_list ap;

        if (p->enabled) {
                va_start(ap, format);
                fputs("mkexec: ", stderr);
                vfprintf(stderr, format, ap);
                va_end(ap);
                fputs(" (", stderr);
                if (bytes > 0)
                        fprintf(stderr, "%.1f MB, ", (double)bytes / 1e6);
                fprintf(stderr, "%.2f s)\n", (double)(now_us() - p->started_us) / 1e6);
        }
        progress_start(p);
}

void progress_warn(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        progress_message("mkexec: warning: ", format, ap);
        va_end(ap);
}

void progress_note(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        progress_message("mkexec: ", format, ap);
        va_end(ap);
}

void progress_message(const char *prefix, const char *format, va_list ap)
{
        char text[2048];

        vsnprintf(text, sizeof(text), format, ap);
        for (char *c = text; *c; c++)
                if ((unsigned char)*c < ' ' || *c == 0x7f)
                        *c = '?';
        fprintf(stderr, "%s%s\n", prefix, text);
}
