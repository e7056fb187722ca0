/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the fuzz targets that measure have in common. */
#pragma once

#include <string.h>

#include "tcg2/protocol.h"

/* What was recorded, extended from the start values, is what the payload sees. */
static inline bool record_gives_view(const struct tcg2 *tcg2, const struct banks *banks)
{
        const struct record *record = tcg2_record(tcg2);
        struct replay pcrs;

        replay_start(&pcrs, banks);
        for (size_t i = 0; i < record->n; i++) {
                const struct recorded_event *e = &record->events[i];

                for (size_t b = 0; b < banks->n; b++)
                        if (digest_extend(&pcrs.pcr[b][e->payload_pcr], &e->digests.d[b]) < 0)
                                return false;
        }
        return memcmp(pcrs.pcr, tcg2_view(tcg2)->pcr, sizeof(pcrs.pcr)) == 0;
}
