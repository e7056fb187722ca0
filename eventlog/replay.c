/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/replay.h"

#include <errno.h>
#include <string.h>

#define DRTM_PCRS 0x7e0000u /* 17-22: ones after a reset, zeros once a DRTM launch took place */

static void start(struct replay *replay, const struct banks *banks, uint32_t ones)
{
        *replay = (struct replay){.banks = *banks};
        for (size_t b = 0; b < banks->n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        struct digest *value = &replay->pcr[b][pcr];

                        value->alg = banks->alg[b];
                        if (ones & 1u << pcr)
                                memset(value->bytes, 0xff, value->alg->size);
                }
}

void replay_start(struct replay *replay, const struct banks *banks)
{
        start(replay, banks, DRTM_PCRS);
}

void replay_start_zero(struct replay *replay, const struct banks *banks)
{
        start(replay, banks, 0);
}

int replay_bank(const struct replay *replay, uint16_t alg_id)
{
        for (size_t b = 0; b < replay->banks.n; b++)
                if (replay->banks.alg[b]->id == alg_id)
                        return (int)b;
        return -1;
}

static void set_locality(struct replay *replay, uint8_t locality)
{
        for (size_t b = 0; b < replay->banks.n; b++)
                replay->pcr[b][0].bytes[replay->banks.alg[b]->size - 1] = locality;
}

static const uint8_t startup_locality[16] = "StartupLocality";

/* TCG_EfiStartupLocalityEvent, PFP 10.4.5.3: the start value of PCR 0, which no digest tells. */
static const char *no_action(struct replay *replay, const struct tcg_event *event)
{
        struct span name;
        uint8_t locality;

        if (event->pcr != 0 || !span_sub(event->data, 0, sizeof(startup_locality), &name) ||
                        memcmp(name.data, startup_locality, sizeof(startup_locality)) != 0)
                return NULL;
        if (event->data.size != sizeof(startup_locality) + 1)
                return "is a StartupLocality event of a wrong size";
        locality = event->data.data[sizeof(startup_locality)];
        if (locality != 0 && locality != 3 && locality != 4)
                return "is a StartupLocality event with an impossible locality";
        switch (replay->locality) {
        case REPLAY_LOCALITY_OPEN:
                set_locality(replay, locality);
                break;
        case REPLAY_LOCALITY_HCRTM:
                if (locality != 4)
                        return "is a StartupLocality event that denies the H-CRTM event before it";
                break;
        case REPLAY_LOCALITY_KNOWN:
                return "is a second StartupLocality event";
        case REPLAY_LOCALITY_LATE:
                return "is a StartupLocality event after PCR 0 was measured";
        }
        replay->locality = REPLAY_LOCALITY_KNOWN;
        return NULL;
}

/* H-CRTM events before TPM2_Startup let PCR 0 start at 4, whatever the locality of the Startup was
 * (TPM 2.0 Part 1, 34.2). */
static void before_pcr0(struct replay *replay, const struct tcg_event *event)
{
        bool first = replay->locality == REPLAY_LOCALITY_OPEN ||
                     replay->locality == REPLAY_LOCALITY_KNOWN;

        for (size_t b = 0; b < replay->banks.n; b++)
                if ((replay->measured[b] | replay->lacking[b]) & 1u)
                        first = false;
        if (event->type == EV_EFI_HCRTM_EVENT && first) {
                set_locality(replay, 4);
                replay->locality = replay->locality == REPLAY_LOCALITY_OPEN ? REPLAY_LOCALITY_HCRTM
                                                                            : REPLAY_LOCALITY_LATE;
        } else if (event->type != EV_EFI_HCRTM_EVENT) {
                replay->locality = REPLAY_LOCALITY_LATE;
        }
}

static bool is_drtm(uint32_t type)
{
        return type >= 0x400 && type < 0x600;
}

/* A launch event that comes first in 17-22 tells that the launch set them to zero. */
static void before_drtm_pcr(struct replay *replay, const struct tcg_event *event)
{
        if (!is_drtm(event->type))
                return;
        for (size_t b = 0; b < replay->banks.n; b++)
                if ((replay->measured[b] | replay->lacking[b]) & DRTM_PCRS)
                        return;
        for (size_t b = 0; b < replay->banks.n; b++)
                for (unsigned pcr = 17; pcr <= 22; pcr++)
                        memset(replay->pcr[b][pcr].bytes, 0, sizeof(replay->pcr[b][pcr].bytes));
}

int replay_extend(struct replay *replay, const struct tcg_event *event)
{
        if (event->pcr >= PCR_COUNT)
                return -EINVAL;
        for (size_t b = 0; b < replay->banks.n; b++) {
                const struct alg *alg = replay->banks.alg[b];
                /* Nearly always the event has the log's banks in the log's order. */
                const struct digest *digest = b < event->digests.n && event->digests.d[b].alg == alg
                                                              ? &event->digests.d[b]
                                                              : digests_find(&event->digests,
                                                                                alg->id);
                int r;

                if (!digest) {
                        replay->lacking[b] |= 1u << event->pcr;
                        continue;
                }
                r = digest_extend(&replay->pcr[b][event->pcr], digest);
                if (r < 0)
                        return r;
                replay->measured[b] |= 1u << event->pcr;
        }
        return 0;
}

int replay_event(struct replay *replay, const struct tcg_event *event, struct error *error)
{
        const char *wrong = NULL;
        int r;

        if (event->type == EV_NO_ACTION)
                wrong = no_action(replay, event);
        else if (event->pcr >= PCR_COUNT)
                wrong = "is measured in a PCR that doesn't exist";
        if (wrong)
                return error_set(error, EBADMSG, "event %zu at offset 0x%zx %s", event->index,
                                event->offset, wrong);
        if (event->type == EV_NO_ACTION)
                return 0;
        if (event->pcr == 0)
                before_pcr0(replay, event);
        else if (DRTM_PCRS & 1u << event->pcr)
                before_drtm_pcr(replay, event);
        r = replay_extend(replay, event);
        if (r < 0)
                return error_set(error, -r, "can't extend PCR %u by event %zu in software: %s",
                                event->pcr, event->index, strerror(-r));
        return 0;
}

int replay_log(struct span bytes, struct replay *ret, struct error *error)
{
        struct event_log log;
        struct tcg_event event;
        int r;

        *ret = (struct replay){0};
        r = event_log_open(&log, bytes, error);
        if (r < 0)
                return r;
        replay_start(ret, &log.banks);
        EVENT_LOG_FOREACH (&log, &event, r, error) {
                r = replay_event(ret, &event, error);
                if (r < 0)
                        return r;
        }
        return r;
}
