/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one way in which text of a log leaves: for a line that people read, for JSON, for YAML.
 * Whatever the bytes, the result is valid UTF-8 without control characters, ends no string, starts
 * no line and turns no text around. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum text_encoding {
        TEXT_UTF8,  /* at best */
        TEXT_UTF16, /* little-endian, at best */
};

enum escape_for {
        ESCAPE_LINE, /* \xNN and \u{N}, a backslash as \\: nothing is lost */
        ESCAPE_JSON, /* inside of quotes; what is no text comes out as U+FFFD */
        ESCAPE_YAML, /* inside of double quotes, on one line; U+FFFD as in JSON */
};

/* Appends the text, NULs included; nothing is cut. */
void escape_text(struct span text, enum text_encoding encoding, enum escape_for dialect,
                struct buf *ret);

/* Skips UTF-8 that stands for itself everywhere, which most of a log's text is: ASCII that can be
 * seen, without quotes and backslashes. */
void text_skip_plain(struct cursor *c, enum text_encoding encoding);

/* The next character, or one byte of what is none (*valid is false then). False at the end. */
bool text_next(struct cursor *c, enum text_encoding encoding, uint32_t *point, bool *valid);
