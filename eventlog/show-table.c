/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows as a table for people: a line each. */
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

static void color(const struct show_table *w, const char *sequence)
{
        if (w->color)
                buf_format(w->out, "%s", sequence);
}

static void put_hex(const struct show_table *w, struct span bytes, size_t limit)
{
        char hex[2 * HEX_BYTES_MAX + 1];

        hex_encode(SPAN(bytes.data, bytes.size < limit ? bytes.size : limit), hex);
        buf_format(w->out, "%s", hex);
        if (bytes.size > HEX_BYTES_MAX)
                buf_format(w->out, "... (%zu bytes)", bytes.size);
}

static void put_place(const struct show_table *w, const struct show_row *row)
{
        buf_format(w->out, "%5zu ", row->index);
        if (row->has_pcr && row->pcr < PCR_COUNT)
                buf_format(w->out, "%3u ", row->pcr);
        else
                buf_format(w->out, "%3s ", row->has_nv_index ? "nv" : "-");
}

/* An NvPCR has no number that fits the column. */
static void put_type(const struct show_table *w, const struct show_row *row)
{
        size_t before = w->out->size, width;

        escape_text(row->type, TEXT_UTF8, ESCAPE_LINE, w->out);
        if (row->has_nv_index)
                buf_format(w->out, " 0x%x", row->nv_index);
        width = w->out->size - before;
        buf_format(w->out, "%*s ", width < TYPE_COLUMNS ? (int)(TYPE_COLUMNS - width) : 0, "");
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
                buf_format(w->out, "%-*s", 2 * DIGEST_BYTES_SHOWN, "-");
        color(w, PLAIN);
        buf_format(w->out, " ");
}

void show_table_log(const struct show_table *w, const char *name, const char *kind)
{
        if (name) {
                escape_text(SPAN(name, strlen(name)), TEXT_UTF8, ESCAPE_LINE, w->out);
                buf_format(w->out, " (%s)\n", kind);
        }
        color(w, LINE);
        buf_format(w->out, "%5s %3s %-*s %-*s TEXT", "#", "PCR", TYPE_COLUMNS, "TYPE",
                        2 * DIGEST_BYTES_SHOWN, w->bank ? w->bank->name : "DIGEST");
        color(w, PLAIN);
        buf_format(w->out, "\n");
}

/* A line that is no row. */
static void put_remark(const struct show_table *w, const char *head, const char *text)
{
        color(w, RED);
        buf_format(w->out, "%s", head);
        escape_text(SPAN(text, strlen(text)), TEXT_UTF8, ESCAPE_LINE, w->out);
        color(w, PLAIN);
        buf_format(w->out, "\n");
}

void show_table_note(const struct show_table *w, const char *note)
{
        put_remark(w, "    ! ", note);
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
                buf_format(w->out, "malformed body: %s: ", reason.text);
                put_hex(w, row->data, HEX_BYTES_MAX);
                color(w, PLAIN);
        } else {
                buf_put_span(w->out, row->text);
        }
        buf_format(w->out, "\n");
}

void show_table_malformed(const struct show_table *w, const char *reason)
{
        put_remark(w, "  ... malformed: ", reason);
}
