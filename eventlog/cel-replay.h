/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCR values as a Canonical Event Log tells them. Believes every digest, as replay.h does. */
#pragma once

#include "eventlog/cel.h"
#include "eventlog/replay.h"

/* One record: events of firmware as replay_event has them, of others the extend alone. Management
 * that was measured has digests, and they aren't zeros. What is in an NV index extends no PCR; a
 * register counts as the PCR of its number. */
int cel_replay_record(struct replay *replay, const struct cel_record *record, struct error *error);

/* A whole log. banks: NULL for all that any of its records has. On -EBADMSG *ret holds what could
 * be read up to the malformed record. */
int cel_replay(struct span log, const struct banks *banks, struct replay *ret, struct error *error);
