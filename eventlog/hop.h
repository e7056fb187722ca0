/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec's own events: open (with the ledger), close and abort of a hop, on the wire
 * (docs/architecture.md, "One hop, event by event"). Written by the shim at load, read by
 * hop-check.h. All three are EV_EVENT_TAG events (PFP 10.4.2.1: u32 id, u32 size, payload;
 * little-endian) and what is hashed is the whole tagged event, so their data always explains their
 * digest.
 *
 * The order of extends of a hop, its sequence: open in hop_open_pcrs(); the ledger's events, each
 * in map[payload_pcr]; close in hop_registers(). In both masks PCR 8 comes first, then the others
 * ascending (hop_pcr_at). abort goes to PCR 8 alone, wherever the sequence broke off: open is in
 * every register, so what stands behind an unfinished hop there can't be mistaken, and it is the
 * one extend that must still work. */
#pragma once

#include "base/alg.h"
#include "base/buf.h"
#include "base/error.h"
#include "eventlog/event.h"

/* Random, ours alone, and never the start of UTF-8 text. Data that begins with one of them is never
 * taken for anything but what it claims to be, whatever its event type. */
#define HOP_TAG_OPEN  0xdf73b5f4u
#define HOP_TAG_CLOSE 0xc9ebf0a6u
#define HOP_TAG_ABORT 0x9ae6c1f8u

#define HOP_VERSION     1
#define HOP_PCR         8 /* takes open, close and abort of every hop */
#define HOP_EVENTS_MAX  4096
#define HOP_INITRDS_MAX 16
#define HOP_REGISTERS   0xfb00u /* PCRs that may be registers: 8-15 without IMA's 10 */
#define HOP_CLOSEABLE   0xfbffu /* PCRs that may be on the close list: 0-15 without 10 */

struct hop_ledger_entry {
        uint32_t payload_pcr; /* 0-23 */
        uint32_t type;        /* never EV_NO_ACTION, which isn't extended */
        uint8_t data_sha256[32];
};

struct hop_open {
        uint32_t version;       /* HOP_VERSION */
        uint32_t hop;           /* from 1, without gaps; an aborted hop has used its number up */
        uint8_t map[PCR_COUNT]; /* payload PCR -> register (one of HOP_REGISTERS) */
        uint32_t close_list; /* of HOP_CLOSEABLE, and none that is a register (PCR 8 always is) */
        uint8_t payload_sha256[32], load_options_sha256[32]; /* no options: SHA-256 of nothing */
        size_t n_initrds; /* that the broker supplies, in order; <= HOP_INITRDS_MAX */
        uint8_t initrd_sha256[HOP_INITRDS_MAX][32];
        size_t n_events;                        /* <= HOP_EVENTS_MAX */
        const struct hop_ledger_entry *entries; /* of one that is to be encoded, */
        struct span ledger;                     /* of one that was decoded: into its data */
};

/* Entry i of the ledger, from 0. */
struct hop_ledger_entry hop_ledger_at(const struct hop_open *open, size_t i);

/* Appends the tagged event. -EINVAL: it isn't one that decode would take, and why. */
int hop_open_encode(const struct hop_open *open, struct buf *ret, struct error *error);
/* Exact: one encoding per value, every byte accounted for. -EBADMSG. *ret refers to data. */
int hop_open_decode(struct span data, struct hop_open *ret, struct error *error);

struct hop_end {
        uint32_t hop;
        uint32_t count; /* close: the ledger's N; abort: extends of the sequence before it, >= 1 */
};
void hop_close_encode(struct hop_end end, struct buf *ret);
void hop_abort_encode(struct hop_end end, struct buf *ret);
int hop_close_decode(struct span data, struct hop_end *ret, struct error *error);
int hop_abort_decode(struct span data, struct hop_end *ret, struct error *error);

/* Masks of PCRs that close goes to (map and PCR 8), and open (the close list, too). */
uint32_t hop_registers(const struct hop_open *open);
uint32_t hop_open_pcrs(const struct hop_open *open);
/* The nth PCR (from 0) of such a mask in the order of extends, or -1 behind the last. */
int hop_pcr_at(uint32_t mask, size_t nth);

/* An own event ready for the log: EV_EVENT_TAG in pcr, digests of data for banks. data stays the
 * caller's. */
int hop_event(const struct banks *banks, uint32_t pcr, struct span data, struct tcg_event *ret);

enum hop_own { HOP_NONE, HOP_OPEN, HOP_CLOSE, HOP_ABORT };
/* By type and tag. */
enum hop_own hop_is_own(const struct tcg_event *event);
/* By tag alone, whatever the type: to find retyped ones and imitations. A payload's event whose
 * data claims anything must be refused before it is recorded: a log with it wouldn't check. */
enum hop_own hop_claims(struct span data);
