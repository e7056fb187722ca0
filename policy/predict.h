/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A hop before it happens: the exact sequence of extends and what the registers read after each of
 * them. `predict` prints it, `load` stages it, `exec` carries it out, recovery finds in it how far
 * a dead mkexec came. Pure: no TPM, no files, no guest. */
#pragma once

#include "base/alg.h"
#include "base/buf.h"
#include "base/error.h"
#include "eventlog/event.h"
#include "eventlog/replay.h"

enum plan_event_kind {
        PLAN_OPEN,
        PLAN_PAYLOAD,
        PLAN_CLOSE,
};

struct plan_event {
        enum plan_event_kind kind;
        uint32_t payload_pcr;   /* PLAN_PAYLOAD: what the payload named; else equal to event.pcr */
        struct tcg_event event; /* as extended and logged: event.pcr is the register */
};

struct plan {
        struct banks banks;     /* every one of them is extended */
        struct banks log_banks; /* of the log's header: what its events carry; normally the same */
        uint32_t hop;           /* 1 is the first kexec since firmware ran */
        uint32_t registers;     /* mask: PCR 8 and every register of the map */
        uint32_t touched;       /* mask: registers and close list */
        struct plan_event *events;
        size_t n_events;
        struct digest start[ALG_MAX][PCR_COUNT]; /* [bank in banks][PCR], before the open */
        struct digest end[ALG_MAX][PCR_COUNT];   /* after the close */
        struct replay payload_view; /* the same events under their payload PCRs, from zero */
};

/* What the plan is made from. events: the payload's, in order, pcr = payload PCR; their data is
 * copied. */
struct plan_input {
        struct banks banks;
        struct banks log_banks; /* a subset; n 0: the same */
        uint32_t hop;
        const uint8_t *map;  /* [24] payload PCR -> register */
        uint32_t close_list; /* mask; PCRs that are registers anyway don't count */
        uint8_t payload_sha256[32];
        uint8_t load_options_sha256[32];
        const uint8_t (*initrd_sha256)[32];
        size_t n_initrds;
        const struct tcg_event *events;
        size_t n_events;
        const struct digest (*start)[PCR_COUNT]; /* [bank][PCR]; NULL: all start at zero */
};

/* -EINVAL where an event lacks a bank; -E2BIG where the ledger can't hold them. */
int plan_make(const struct plan_input *input, struct plan *ret, struct error *error);
void plan_release(struct plan *plan);

/* Recomputes end and payload_view from start and events (a plan that was read back from a file). */
int plan_compute(struct plan *plan);

/* How many of the extends happened, if the PCRs of `mask` read `values` ([bank][PCR])? Each event
 * changes one PCR, so the values of all touched PCRs together fit exactly one prefix. -ENOENT: they
 * fit none; others: it couldn't be computed, which says nothing. */
int plan_progress(const struct plan *plan, uint32_t mask, const struct digest values[][PCR_COUNT],
                size_t *ret);

/* Appends the first n events to an event log with a header of log_banks. */
int plan_log(const struct plan *plan, size_t n, struct buf *log, struct error *error);
