/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The writer of event logs: header and events, byte for byte as firmware writes them. Used for the
 * log that a payload sees and for the hop behind the firmware's own log. Never rewrites what is
 * there. */
#pragma once

#include "base/alg.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "eventlog/event.h"

/* A "Spec ID Event03" header that declares banks in their order (PFP 10.4.5.1). A failed allocation
 * sticks in log. A log must have at least one event behind it before Linux takes it as a log. */
void event_log_put_header(struct buf *log, const struct banks *banks);

/* One TCG_PCR_EVENT2 with exactly the digests of banks, in their order: give the banks of the log's
 * header, since Linux stops reading at the first event that has others. Of the event, pcr, type,
 * digests and data are used; on EV_NO_ACTION missing digests are written as zeros. -EINVAL: a
 * digest is missing (nothing is written then), or the data doesn't fit 32 bits; -ENOMEM. */
int event_log_put_event(struct buf *log, const struct banks *banks, const struct tcg_event *event);

/* Bytes that this record takes. */
size_t event_log_size_of_event(const struct banks *banks, size_t data_size);

/* The same for a SHA-1 log: one TCG_PCR_EVENT. */
int event_log_put_event_sha1(struct buf *log, const struct tcg_event *event);
#define EVENT_SHA1_RECORD_BYTES 32 /* before the data */

/* Bytes from the start to the end of the last event: what padding doesn't belong to. Reads the
 * whole log; -EBADMSG if any of it is malformed. */
int event_log_trim(struct span log, size_t *ret_size, struct error *error);
