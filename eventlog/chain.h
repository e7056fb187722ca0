/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All that explains the PCRs of a machine, replayed together: the firmware's log with its hops,
 * systemd's log of each boot, IMA's list of the running kernel. Used by `log replay`, `log check`
 * and by verifiers. Believes every digest, as replay.h does. */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "eventlog/replay.h"

#define CHAIN_BOOTS_MAX 64

struct chain {
        struct span firmware; /* empty: none is at hand, PCRs start as after a reset */
        /* systemd[i] is the log of boot i + 1: what it says was extended before the hop that ended
         * this boot. Those of earlier boots travel beside the firmware's log. */
        struct span systemd[CHAIN_BOOTS_MAX];
        size_t n_systemd;
        struct span ima; /* empty: none; of the last boot: an earlier kernel's list is lost */
};

struct chain_result {
        struct replay replay;
        size_t n_boots;   /* that the firmware's log tells of; 1 without any */
        size_t n_systemd; /* records that extended a PCR */
        size_t n_ima;     /* records used */
        bool ima_exact;   /* with wanted: PCR 10 has the wanted value behind n_ima records */
};

/* banks: what to replay; NULL: those of the firmware's log (-EINVAL if there is none). wanted: a
 * TPM's values, or NULL; IMA's list is then used up to the record at which PCR 10 reads as wanted
 * in all banks that wanted has (a list may have grown since the PCRs were read), to the end if that
 * is nowhere. -EBADMSG: a malformed record in any of them, or a systemd log of a boot that isn't
 * told of; *ret has what could be read before it. */
int chain_replay(const struct chain *chain, const struct banks *banks, const struct replay *wanted,
                struct chain_result *ret, struct error *error);
