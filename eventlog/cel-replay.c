/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/cel-replay.h"

#include <errno.h>

static bool is_zeros(const struct digest *digest)
{
        for (size_t i = 0; i < digest->alg->size; i++)
                if (digest->bytes[i] != 0)
                        return false;
        return true;
}

/* Those who write management that isn't measured leave the digests out, or write zeros. */
static bool extends(const struct cel_record *record)
{
        if (record->place == CEL_NV_INDEX)
                return false;
        if (record->content_type != CEL_MANAGEMENT)
                return true;
        for (size_t i = 0; i < record->event.digests.n; i++)
                if (!is_zeros(&record->event.digests.d[i]))
                        return true;
        return false;
}

int cel_replay_record(struct replay *replay, const struct cel_record *record, struct error *error)
{
        int r;

        if (!extends(record))
                return 0;
        if (record->content_type == CEL_PCCLIENT_STD)
                return replay_event(replay, &record->event, error);
        r = replay_extend(replay, &record->event);
        if (r < 0)
                return error_set(error, -r, "can't extend PCR %u by record %zu in software: %s",
                                record->event.pcr, record->event.index, strerror(-r));
        return 0;
}

/* As far as it can be read. */
static void find_banks(struct span bytes, struct buf *scratch, struct banks *ret)
{
        struct cel_record record;
        struct cel_log log;

        if (cel_open(&log, bytes, NULL) < 0)
                return;
        while (cel_next(&log, scratch, &record, NULL) > 0)
                for (size_t i = 0; i < record.event.digests.n; i++)
                        banks_add(ret, record.event.digests.d[i].alg);
}

int cel_replay(struct span bytes, const struct banks *banks, struct replay *ret,
                struct error *error)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct banks found = {0};
        struct cel_record record;
        struct cel_log log;
        int r;

        if (!banks)
                find_banks(bytes, &scratch, &found);
        replay_start(ret, banks ? banks : &found);
        r = cel_open(&log, bytes, error);
        while (r >= 0 && (r = cel_next(&log, &scratch, &record, error)) > 0)
                r = cel_replay_record(ret, &record, error);
        return r;
}
