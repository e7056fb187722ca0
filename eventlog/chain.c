/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/chain.h"

#include <errno.h>

#include "eventlog/hop.h"
#include "eventlog/ima-log.h"
#include "eventlog/systemd-log.h"

#define IMA_PCR 10

/* One more extend, of a record that isn't a TCG event. */
static int extend(struct replay *replay, uint32_t pcr, const struct digests *digests,
                struct error *error)
{
        struct tcg_event event = {.pcr = pcr, .digests = *digests};
        int r = replay_extend(replay, &event);

        return r < 0 ? error_set(error, -r, "can't extend PCR %u in software: %s", pcr,
                                       strerror(-r))
                     : 0;
}

/* NvPCRs aren't PCRs: their records say nothing of what is compared here. */
static int replay_systemd(struct span log, struct chain_result *ret, struct error *error)
{
        struct systemd_record record;
        size_t offset = 0, index = 0;
        int r;

        while ((r = systemd_log_next(log, &offset, &index, &record, error)) > 0) {
                if (!record.has_pcr)
                        continue;
                r = extend(&ret->replay, record.pcr, &record.digests, error);
                if (r < 0)
                        return r;
                ret->n_systemd++;
        }
        return r;
}

/* What boot n (from 1) measured after firmware or stub. */
static int replay_system_of_boot(const struct chain *chain, size_t boot, struct chain_result *ret,
                struct error *error)
{
        int r;

        if (boot > chain->n_systemd)
                return 0;
        r = replay_systemd(chain->systemd[boot - 1], ret, error);
        return r < 0 ? error_prefix(error, r, "boot %zu", boot) : 0;
}

/* A hop begins with its open in PCR 8; what the boot before it measured by then comes first. */
static int replay_firmware(const struct chain *chain, struct chain_result *ret, struct error *error)
{
        struct event_log log;
        struct tcg_event event;
        int r = event_log_open(&log, chain->firmware, error);

        if (r < 0)
                return r;
        EVENT_LOG_FOREACH (&log, &event, r, error) {
                if (hop_is_own(&event) == HOP_OPEN && event.pcr == HOP_PCR) {
                        r = replay_system_of_boot(chain, ret->n_boots, ret, error);
                        if (r < 0)
                                return r;
                        ret->n_boots++;
                }
                r = replay_event(&ret->replay, &event, error);
                if (r < 0)
                        return r;
        }
        return r;
}

static bool reads_as_wanted(const struct replay *replay, const struct replay *wanted)
{
        bool compared = false;

        for (size_t w = 0; w < wanted->banks.n; w++) {
                int b = replay_bank(replay, wanted->banks.alg[w]->id);

                if (b < 0 || !(wanted->measured[w] & 1u << IMA_PCR))
                        continue;
                if (memcmp(replay->pcr[b][IMA_PCR].bytes, wanted->pcr[w][IMA_PCR].bytes,
                                    wanted->banks.alg[w]->size) != 0)
                        return false;
                compared = true;
        }
        return compared;
}

static int replay_ima(struct span bytes, const struct replay *wanted, struct chain_result *ret,
                struct error *error)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct ima_log log;
        struct ima_record record;
        struct digests digests;
        size_t offset = 0, index = 0;
        int r;

        r = ima_log_open(&log, bytes, error);
        if (r < 0)
                return r;
        while (!(ret->ima_exact = wanted && reads_as_wanted(&ret->replay, wanted)) &&
                        (r = ima_log_next(&log, &offset, &index, &scratch, &record, error)) > 0) {
                r = ima_record_digests(&record, &ret->replay.banks, &digests);
                if (r < 0)
                        return error_set(error, -r, "can't hash record %zu of the IMA list: %s",
                                        record.index, strerror(-r));
                r = extend(&ret->replay, record.pcr, &digests, error);
                if (r < 0)
                        return r;
                ret->n_ima++;
        }
        return ret->ima_exact ? 0 : r;
}

static int start(const struct chain *chain, const struct banks *banks, struct chain_result *ret,
                struct error *error)
{
        struct event_log log;
        int r;

        *ret = (struct chain_result){.n_boots = 1};
        if (!banks && chain->firmware.size == 0)
                return error_set(error, EINVAL, "no firmware log, so the banks must be named");
        if (!banks) {
                r = event_log_open(&log, chain->firmware, error);
                if (r < 0)
                        return r;
                banks = &log.banks;
        }
        replay_start(&ret->replay, banks);
        return 0;
}

int chain_replay(const struct chain *chain, const struct banks *banks, const struct replay *wanted,
                struct chain_result *ret, struct error *error)
{
        int r = start(chain, banks, ret, error);

        if (r == 0 && chain->firmware.size > 0)
                r = replay_firmware(chain, ret, error);
        if (r == 0)
                r = replay_system_of_boot(chain, ret->n_boots, ret, error);
        if (r == 0 && chain->n_systemd > ret->n_boots)
                r = error_set(error, EBADMSG,
                                "%zu logs of systemd, but the firmware's log tells of %zu boots",
                                chain->n_systemd, ret->n_boots);
        if (r == 0 && chain->ima.size > 0)
                r = replay_ima(chain->ima, wanted, ret, error);
        return r;
}
