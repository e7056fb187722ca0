/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recorder: the events of a hop in the order in which they were measured, with one digest per
 * active bank. tcg2/protocol fills it while the payload runs; policy/predict turns it into register
 * values, load into the log and the sequence of extends. It knows neither registers nor open and
 * close. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/alg.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

enum record_source {
        RECORD_FIRMWARE, /* by the emulated firmware: image loads, ExitBootServices */
        RECORD_PAYLOAD,  /* HashLogExtendEvent */
        RECORD_COMMAND,  /* TPM2_PCR_Extend or TPM2_PCR_Event through SubmitCommand */
};

struct recorded_event {
        uint32_t payload_pcr; /* 0-23 */
        uint32_t type;        /* EV_*, never EV_NO_ACTION: everything here is extended */
        enum record_source source;
        struct digests digests; /* in the order of record.banks */
        struct span data;       /* event data; points into the record, valid as long as it lives */
};

/* What a record may hold; 0 stands for the default. */
struct record_limits {
        size_t n_events;   /* HOP_EVENTS_MAX */
        size_t data_bytes; /* 4 MiB of event data together */
};

struct record {
        struct banks banks;
        struct record_limits limits;
        struct recorded_event *events;
        size_t n;
        size_t data_bytes;
};

void record_init(struct record *record, const struct banks *banks, struct record_limits limits);
void record_release(struct record *record); /* frees the contents and zeroes *record */

/* Appends a copy. -ENOSPC: a limit; -ENOMEM; -EINVAL: PCR, type or banks don't fit. All leave the
 * record as it was, and the run has to end: a measurement must not get lost. */
int record_add(struct record *record, const struct recorded_event *event, struct error *error);

#define _cleanup_record_ __attribute__((cleanup(record_release)))
