/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCR values as a log tells them, all banks in one pass, without allocation. Used to compare a log
 * with a TPM, to predict, and for the payload view. It believes every digest: whether data explains
 * a digest is for explain.h, whether hops are whole for hop.h. */
#pragma once

#include "base/alg.h"
#include "base/error.h"
#include "eventlog/event.h"
#include "eventlog/parse.h"

/* pcr[b] and the masks [b] belong to banks.alg[b]. Also used for values that a TPM gave: measured
 * is then the mask of PCRs whose values are known. */
struct replay {
        struct banks banks;
        uint32_t measured[ALG_MAX]; /* bit n: at least one event was extended to PCR n of this bank
                                     */
        uint32_t lacking[ALG_MAX];  /* bit n: an event of PCR n has no digest for this bank (not
                                       extended) */
        struct digest pcr[ALG_MAX][PCR_COUNT];
        enum {
                REPLAY_LOCALITY_OPEN,  /* StartupLocality may still come */
                REPLAY_LOCALITY_KNOWN, /* it came */
                REPLAY_LOCALITY_HCRTM, /* an H-CRTM event came first: only locality 4 agrees */
                REPLAY_LOCALITY_LATE,  /* PCR 0 was measured */
        } locality;
};

/* Start values of a reset (PTP 1.06, table 7): zeros, PCR 17-22 ones. */
void replay_start(struct replay *replay, const struct banks *banks);
/* All zeros, also PCR 17-22: how a payload view starts. */
void replay_start_zero(struct replay *replay, const struct banks *banks);

/* One event. EV_NO_ACTION extends nothing, but StartupLocality (PFP 10.4.5.3) sets the start value
 * of PCR 0 to 3 or 4; an H-CRTM event as the first of PCR 0 sets it to 4; a DRTM event (types 0x4xx
 * and 0x5xx of Intel TXT and Linux's secure launch) as the first of PCR 17-22 lets those start at
 * zero. -EBADMSG: StartupLocality of a wrong size or twice, after a measurement of PCR 0, or none
 * of 0, 3 and 4 (in another PCR it is ignored); PCR > 23. Digests of algorithms that aren't in
 * banks are ignored. */
int replay_event(struct replay *replay, const struct tcg_event *event, struct error *error);

/* The extend alone, without what events say about start values: for payload views. -EINVAL: PCR
 * > 23. */
int replay_extend(struct replay *replay, const struct tcg_event *event);

/* A whole log. On -EBADMSG *ret holds what could be read up to the malformed event. */
int replay_log(struct span log, struct replay *ret, struct error *error);

/* Index of a bank in replay->banks, or -1. */
int replay_bank(const struct replay *replay, uint16_t alg_id);
