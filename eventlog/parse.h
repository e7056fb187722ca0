/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of TCG event logs (PFP 1.06, section 10): SHA-1 logs (format 1) and crypto-agile logs
 * (format 2), from firmware, from /sys/kernel/security or from a file. No allocation. It says what
 * is written, whole record by whole record; what that proves is for replay.h and hop.h. */
#pragma once

#include "base/alg.h"
#include "base/error.h"
#include "base/span.h"
#include "eventlog/event.h"

#define EVENT_LOG_ALGS_MAX 16 /* more algorithms than that aren't in TCG's registry */

struct event_log {
        struct span bytes;
        bool agile; /* TCG_PCR_EVENT2 records after a "Spec ID Event03" header; else SHA-1 */
        bool cc;    /* header in PCR 1: a confidential-computing log; "PCR" n + 1 is RTMR n */
        struct banks banks; /* declared algorithms that we know, in the header's order */
        size_t n_declared;  /* > banks.n if some are unknown; their digests are skipped */
        struct {
                uint16_t id, size_bytes;
                const struct alg *alg; /* NULL: unknown */
        } declared[EVENT_LOG_ALGS_MAX];
        size_t first_offset; /* of the first event after the header (0 in a log without header) */
        size_t first_index;  /* its index: 1 or 0 */
};

/* Reads the header. -EBADMSG: empty, cut off, or a header that lies (size of an algorithm,
 * duplicate, no algorithm, vendor info past the event). *ret refers to bytes, which must stay. */
int event_log_open(struct event_log *ret, struct span bytes, struct error *error);

/* The event at *offset, which has number *index; both then stand on the next. Start at 0 and 0 for
 * all records, or at first_offset and first_index. Returns 1 for an event, 0 at the end (0x00 or
 * 0xff bytes that reach to the end of the log are padding, not events), -EBADMSG for a malformed
 * one, with its index and offset in the text: cut off, an algorithm twice or undeclared, no digest
 * at all, a PCR > 23 on a measured event, a second header. An event may lack a declared bank: real
 * logs do (TXT, Windows). */
int event_log_next(const struct event_log *log, size_t *offset, size_t *index,
                struct tcg_event *ret, struct error *error);

/* Whether this is the data of a header, of any version: PFP 10.4.5.1, and those of TPM 1.2. */
bool event_log_is_header(struct span data);

/* for (each record): event points to a struct tcg_event, r is an int that ends as 0 or -EBADMSG. */
#define EVENT_LOG_FOREACH(log, event, r, error) \
        for (size_t offset_ = 0, index_ = 0;    \
                        ((r) = event_log_next((log), &offset_, &index_, (event), (error))) > 0;)
