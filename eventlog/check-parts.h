/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of check share: the judges of single events, and the comparison of PCRs. */
#pragma once

#include "eventlog/check.h"
#include "eventlog/explain.h"

/* ---- check-order.c: what stands where, before the first hop ---- */

#define ORDER_TEXTS 9 /* rows of its table */

struct check_order {
        bool cc;
        uint32_t separated; /* PCRs with a separator */
        uint32_t measured;  /* PCRs with an event */
        unsigned variables; /* of Secure Boot that were seen, a bit each */
        struct digests known[ORDER_TEXTS];
};

int check_order_start(struct check_order *order, const struct event_log *log);
/* The notes that the event deserves. */
uint32_t check_order_event(struct check_order *order, const struct tcg_event *event);
/* PCRs of firmware's that have no separator. */
uint32_t check_order_end(const struct check_order *order);

/* ---- check-digest.c: digests against data, by type ---- */

/* Status, notes, and which bank differs if it is a mismatch. in_hop: types are the payload's word.
 */
int check_digest(const struct tcg_event *event, bool in_hop, struct hasher *hasher,
                struct buf *scratch, enum check_status *ret_status, uint32_t *ret_notes,
                const struct alg **ret_bank);

/* ---- check-pcrs.c ---- */

/* Fills result->pcr. -EBADMSG: a mismatch, and why. */
int check_pcrs(struct check_result *result, const struct check_input *input, struct error *reason);
