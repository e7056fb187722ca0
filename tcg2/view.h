/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the payload sees of its measurements: PCRs that start as after a reset, the logs that
 * GetEventLog shows, and the final-events table, all with the payload's own PCR numbers (edk2's
 * Tcg2Dxe is the model). Filled by protocol.c and read by it and by submit.c; it knows no TPM and
 * nothing of the hop's real log. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "eventlog/replay.h"

struct view_log {
        bool supported;
        struct buf bytes;
        size_t area_bytes; /* most that fits */
        bool has_events;   /* something was logged; the header counts, as in edk2 */
        size_t last_entry; /* offset of the last record */
        bool truncated;    /* latched: nothing is logged any more */
        bool shown;        /* GetEventLog was called for this format */
};

struct view {
        struct banks banks;
        struct replay pcrs;
        uint32_t update_counter; /* pcrUpdateCounter of TPM2_PCR_Read: extends so far */
        struct view_log agile;   /* TCG_2 */
        struct view_log sha1;    /* TCG_1_2: supported if the SHA-1 bank is active */
        struct view_log final;   /* EFI_TCG2_FINAL_EVENTS_TABLE, with its head */
        uint64_t n_final;
};

/* log_bytes, final_bytes: the areas in guest memory. -ENOMEM, -EINVAL (areas too small for the
 * headers). */
int view_init(struct view *view, const struct banks *banks, size_t log_bytes, size_t final_bytes);
void view_release(struct view *view);

/* pcr = H(pcr || digest) in all banks; pcr <= 23. */
int view_extend(struct view *view, unsigned pcr, const struct digests *digests);

/* Logs an event (of which pcr, type, digests, data count). -ENOSPC: it didn't fit into one of the
 * logs or the final table (EFI_VOLUME_FULL), the others have it; -ENOMEM. */
int view_log_event(struct view *view, const struct tcg_event *event);
