/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows as a table for people: a line each. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "eventlog/body-parts.h"
#include "eventlog/show.h"

#define DIGEST_BYTES_SHOWN 6
#define HEX_BYTES_MAX      32
#define TYPE_COLUMNS       32 /* EV_EFI_BOOT_SERVICES_APPLICATION */

#define RED   "\033[31m"
#define CYAN  "\033[36m"
#define DIM   "\033[2m"
#define LINE  "\033[4m"
#define PLAIN "\033[0m"

__attribute__((format(printf, 2, 3))) static void put(
                const struct show_table *w, const char *format, ...)
{
        char text[768];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (n > 0)
                buf_put(w->out, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void color(const struct show_table *w, const char *sequence)
{
        if (w->color)
                put(w, "%s", sequence);
}

static void put_hex(const struct show_table *w, struct span bytes, size_t limit)
{
        char hex[2 * HEX_BYTES_MAX + 1];

        hex_encode(SPAN(bytes.data, bytes.size < limit ? bytes.size : limit), hex);
        put(w, "%s", hex);
        if (bytes.size > HEX_BYTES_MAX)
                put(w, "... (%zu bytes)", bytes.size);
}

static void put_place(const struct show_table *w, const struct show_row *row)
{
        put(w, "%5zu ", row->index);
        if (row->has_pcr && row->pcr < PCR_COUNT)
                put(w, "%3u ", row->pcr);
        else
                put(w, "%3s ", row->has_nv_index ? "nv" : "-");
}

/* An NvPCR has no number that fits the column. */
static void put_type(const struct show_table *w, const struct show_row *row)
{
        size_t before = w->out->size, width;

        escape_text(row->type, TEXT_UTF8, ESCAPE_LINE, w->out);
        if (row->has_nv_index)
                put(w, " 0x%x", row->nv_index);
        width = w->out->size - before;
        put(w, "%*s ", width < TYPE_COLUMNS ? (int)(TYPE_COLUMNS - width) : 0, "");
}

static void put_digest(const struct show_table *w, const struct show_row *row)
{
        const struct digest *digest = w->bank ? digests_find(&row->digests, w->bank->id)
                                      : row->digests.n > 0 ? &row->digests.d[0]
                                                           : NULL;

        color(w, DIM);
        if (digest && !row->no_action) /* whose digests are zeros, and went nowhere */
                put_hex(w, SPAN(digest->bytes, digest->alg->size), DIGEST_BYTES_SHOWN);
        else
                put(w, "%-*s", 2 * DIGEST_BYTES_SHOWN, "-");
        color(w, PLAIN);
        put(w, " ");
}

void show_table_log(const struct show_table *w, const char *name, const char *kind)
{
        if (name) {
                escape_text(SPAN(name, strlen(name)), TEXT_UTF8, ESCAPE_LINE, w->out);
                put(w, " (%s)\n", kind);
        }
        color(w, LINE);
        put(w, "%5s %3s %-*s %-*s TEXT", "#", "PCR", TYPE_COLUMNS, "TYPE", 2 * DIGEST_BYTES_SHOWN,
                        w->bank ? w->bank->name : "DIGEST");
        color(w, PLAIN);
        put(w, "\n");
}

void show_table_row(const struct show_table *w, const struct show_row *row)
{
        struct error reason;

        put_place(w, row);
        if (row->own)
                color(w, CYAN);
        else if (row->no_action)
                color(w, DIM);
        put_type(w, row);
        color(w, PLAIN);
        put_digest(w, row);
        if (show_row_malformed(row, &reason)) {
                color(w, RED);
                put(w, "malformed body: %s: ", reason.text);
                put_hex(w, row->data, HEX_BYTES_MAX);
                color(w, PLAIN);
        } else {
                buf_put_span(w->out, row->text);
        }
        put(w, "\n");
}

void show_table_malformed(const struct show_table *w, const char *reason)
{
        color(w, RED);
        put(w, "%5s malformed: ", "...");
        escape_text(SPAN(reason, strlen(reason)), TEXT_UTF8, ESCAPE_LINE, w->out);
        color(w, PLAIN);
        put(w, "\n");
}
