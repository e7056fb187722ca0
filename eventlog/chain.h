/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All that explains the PCRs of a machine, replayed together: the firmware's log with its hops,
 * systemd's log of each boot, IMA's list of the running kernel. Used by `log replay`, `log check`
 * and by verifiers. Believes every digest, as replay.h does. */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "eventlog/ima-log.h"
#include "eventlog/replay.h"
#include "eventlog/systemd-log.h"

#define CHAIN_BOOTS_MAX 64

struct chain {
        struct span firmware; /* empty: none is at hand, PCRs start as after a reset */
        /* systemd[i] is the log of boot i + 1: what it says was extended before the hop that ended
         * this boot. Those of earlier boots travel beside the firmware's log. An aborted hop ends a
         * boot, too: what its system measures from there on is the next one's. */
        struct span systemd[CHAIN_BOOTS_MAX];
        size_t n_systemd;
        struct span ima; /* empty: none; of the last boot: an earlier kernel's list is lost */
};

struct chain_result {
        struct replay replay;
        size_t n_boots;   /* that the firmware's log tells of: its opens and 1; 1 without any */
        size_t n_systemd; /* records that extended a PCR */
        size_t n_ima;     /* records used */
        bool ima_exact;   /* with wanted: PCR 10 has the wanted value behind n_ima records */
};

enum chain_part { CHAIN_FIRMWARE, CHAIN_SYSTEMD, CHAIN_IMA };

/* Where in a chain something is. */
struct chain_place {
        enum chain_part part;
        size_t boot; /* of CHAIN_SYSTEMD: index in chain.systemd */
        size_t index, offset;
};

/* Sees every record in the order of extends, behind its own; members may be NULL. What isn't 0 ends
 * the walk and is returned. */
struct chain_visitor {
        int (*firmware)(void *context, const struct event_log *log, const struct tcg_event *event);
        int (*systemd)(void *context, size_t boot, const struct systemd_record *record);
        /* used: it was extended; not behind the wanted value */
        int (*ima)(void *context, const struct ima_record *record, bool used);
        /* A record that can't be read, or (of firmware's log) can't be replayed: the rest of
         * firmware's log or of IMA's list is left out, systemd's goes on. Not -ENOMEM and the like.
         */
        int (*malformed)(void *context, const struct chain_place *place, const char *reason);
        void *context;
        uint32_t stop_at_hop; /* the walk ends before the open of this hop; 0: it doesn't */
};

/* banks: what to replay; NULL: those of the firmware's log (-EINVAL if there is none). wanted: a
 * TPM's values, or NULL; IMA's list is then used up to the record at which PCR 10 reads as wanted
 * in all banks that wanted has (a list may have grown since the PCRs were read), to the end if that
 * is nowhere. -EBADMSG: a malformed record in any of them, or a systemd log of a boot that isn't
 * told of; *ret has all that could be read. */
int chain_replay(const struct chain *chain, const struct banks *banks, const struct replay *wanted,
                struct chain_result *ret, struct error *error);

/* The same, and everything is shown to visitor. -ENOENT: no such hop to stop at. */
int chain_walk(const struct chain *chain, const struct banks *banks, const struct replay *wanted,
                const struct chain_visitor *visitor, struct chain_result *ret, struct error *error);

/* The boots that a firmware's log tells of, as far as it can be read. */
size_t chain_boots(struct span firmware);
