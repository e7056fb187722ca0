/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Judges the hops of a log: docs/architecture.md, "What a verifier must check". Called by verify,
 * status and `log check`. Pure: no TPM access. It doesn't say that a payload is good, only what was
 * opened and that nothing was hidden, reordered or relabelled. */
#pragma once

#include "base/error.h"
#include "eventlog/hop.h"
#include "eventlog/parse.h"
#include "eventlog/replay.h"

enum hop_result { HOP_RESULT_OK, HOP_RESULT_MISMATCH, HOP_RESULT_MALFORMED };

struct hop_info {
        uint32_t hop;
        uint8_t payload_sha256[32], load_options_sha256[32];
        bool aborted;       /* the payload counts as run all the same */
        uint32_t opened;    /* PCRs that open went to; on an early abort, that it reached */
        uint32_t registers; /* of its map */
        size_t n_events;    /* of the ledger */
        size_t n_extended;  /* of the sequence, without abort */
        size_t first_index, last_index; /* of the log's events, open and close or abort included */
        size_t offset;                  /* of the open event in PCR 8 */
};

struct hop_verdict {
        enum hop_result result;
        struct error reason;  /* unless ok: event index, offset, PCR, bank, and what is wrong */
        bool hops_ok;         /* the log by itself is whole: a mismatch is of PCR values alone */
        bool pristine;        /* ok, and PCR 8 is zero or wholly explained without an open */
        bool weak;            /* SHA-1 is the only bank, so the log proves little */
        bool unknown_bank;    /* the header declares an algorithm that can't be computed here */
        struct replay replay; /* of what was read; its banks are the log's */
        bool first_boot;      /* there is a measured event before the first open; without, nothing
                                 but the TPM tells of the boot that firmware did */
        size_t n_hops;        /* boots that the log tells of: n_hops + 1 */
        struct hop_info *hops;
        uint32_t registers; /* PCRs that hops went to: a quote must cover these and PCR 8 */
        /* With PCR values, by bank of replay.banks: PCRs 0-15 whose value isn't what the log says;
         * PCR 10 (IMA) never stands in differs but in unexplained. compared: those that could be
         * compared at all. */
        uint32_t compared[ALG_MAX], differs[ALG_MAX], unexplained[ALG_MAX];
};

void hop_verdict_release(struct hop_verdict *verdict);
#define _cleanup_hop_verdict_ __attribute__((cleanup(hop_verdict_release)))

/* From the first open on the log is mkexec's alone: every event belongs to a hop. pcrs: values of a
 * TPM (replay.h: measured is the mask of known ones) or NULL; values for none of the log's banks,
 * or for PCR 8 in none, are a mismatch. Returns 0 with a verdict (release it), or -errno if none
 * could be reached (out of memory). */
int hop_check(struct span log, const struct replay *pcrs, struct hop_verdict *ret,
                struct error *error);

/* The same, event by event, for those who go through a log themselves: all events in their order
 * (the header, too), then end. 0, or the end of it: -EBADMSG, the verdict is no and why; -ENOMEM.
 * log and verdict must stay. verdict->replay stays at its start, and nothing is compared. */
struct hop_judge;
int hop_judge_new(const struct event_log *log, struct hop_verdict *verdict, struct hop_judge **ret);
int hop_judge_event(struct hop_judge *judge, const struct tcg_event *event);
int hop_judge_end(struct hop_judge *judge);
void hop_judge_free(struct hop_judge *judge);

/* Replay of the events of one hop under the payload PCRs of its ledger, from zero: what a firmware
 * boot of the payload would have given. The log is checked first. -ENOENT: no such hop; -EBADMSG:
 * the log doesn't check. */
int hop_payload_view(struct span log, uint32_t hop, struct replay *ret, struct error *error);
