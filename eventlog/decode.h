/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A short line for people about an event's data: for `predict --json` ("text"), `log show` and
 * traces. It never fails a log: data that can't be decoded is named so. Not a basis for decisions.
 */
#pragma once

#include "base/buf.h"
#include "base/span.h"
#include "eventlog/event.h"

/* Appends one line without newline and NUL to *ret: valid UTF-8 in which each character of the log
 * that could steer a terminal, forge a line, or mislead the eye (control, C1, bidi, invisible,
 * invalid) is written as \xNN or \u{N}, and a backslash as \\; long data is cut with an ellipsis.
 */
void event_text(const struct tcg_event *event, struct buf *ret);

/* The same for many events: scratch is the caller's, and is emptied and filled with each. */
void event_line(const struct tcg_event *event, struct buf *scratch, struct buf *ret);

/* Any bytes as such a text: text if they look so, else hex. */
void event_line_of(struct span data, struct buf *ret);
