/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/chain.h"

#include <errno.h>

#include "eventlog/hop.h"

#define IMA_PCR 10

struct walk {
        const struct chain *chain;
        const struct replay *wanted;
        const struct chain_visitor *visitor;
        struct chain_result *result;
        int bad; /* -EBADMSG behind the first malformed record, and why */
        struct error *reason;
};

/* The first reason is kept. */
static int malformed(struct walk *w, const struct chain_place *place, const struct error *reason)
{
        if (w->bad == 0)
                w->bad = error_set(w->reason, EBADMSG, "%s", reason->text);
        return w->visitor->malformed
                               ? w->visitor->malformed(w->visitor->context, place, reason->text)
                               : 0;
}

/* One more extend, of a record that isn't a TCG event. */
static int extend(struct walk *w, uint32_t pcr, const struct digests *digests)
{
        struct tcg_event event = {.pcr = pcr, .digests = *digests};
        int r = replay_extend(&w->result->replay, &event);

        return r < 0 ? error_set(w->reason, -r, "can't extend PCR %u in software: %s", pcr,
                                       strerror(-r))
                     : 0;
}

/* ---- systemd ---- */

/* NvPCRs aren't PCRs: their records say nothing of what is compared here. */
static int walk_record(struct walk *w, size_t boot, const struct systemd_record *record)
{
        int r = record->has_pcr ? extend(w, record->pcr, &record->digests) : 0;

        if (r < 0)
                return r;
        w->result->n_systemd += record->has_pcr;
        return w->visitor->systemd ? w->visitor->systemd(w->visitor->context, boot, record) : 0;
}

static int walk_systemd(struct walk *w, size_t boot)
{
        struct chain_place place = {.part = CHAIN_SYSTEMD, .boot = boot};
        struct systemd_record record;
        struct error reason = {{0}};
        size_t offset = 0, index = 0;
        int r;

        if (boot >= w->chain->n_systemd)
                return 0;
        do {
                place.index = index;
                place.offset = offset;
                r = systemd_log_next(w->chain->systemd[boot], &offset, &index, &record, &reason);
                if (r > 0) {
                        r = walk_record(w, boot, &record);
                } else if (r == -EBADMSG) {
                        error_prefix(&reason, 0, "boot %zu", boot + 1);
                        r = malformed(w, &place, &reason);
                } else {
                        return r < 0 ? error_set(w->reason, -r, "%s", reason.text) : 0;
                }
        } while (r == 0);
        return r;
}

/* ---- firmware ---- */

/* A hop begins with its open in PCR 8; what the boot before it measured by then comes first. */
static int before_open(struct walk *w)
{
        struct chain_result *ret = w->result;
        int r = walk_systemd(w, ret->n_boots - 1);

        if (r != 0)
                return r;
        if (w->visitor->stop_at_hop == ret->n_boots)
                return 1;
        ret->n_boots++;
        return 0;
}

static bool opens_hop(const struct tcg_event *event)
{
        return event->pcr == HOP_PCR && hop_is_own(event) == HOP_OPEN;
}

/* 1: stopped before the hop. */
static int walk_event(struct walk *w, const struct event_log *log, const struct tcg_event *event)
{
        struct chain_place place = {
                        .part = CHAIN_FIRMWARE, .index = event->index, .offset = event->offset};
        struct error reason;
        int r = opens_hop(event) ? before_open(w) : 0;

        if (r != 0)
                return r;
        r = replay_event(&w->result->replay, event, &reason);
        if (r == -EBADMSG)
                return malformed(w, &place, &reason) ?: -EBADMSG;
        if (r < 0)
                return error_set(w->reason, -r, "%s", reason.text);
        return w->visitor->firmware ? w->visitor->firmware(w->visitor->context, log, event) : 0;
}

static int walk_firmware(struct walk *w)
{
        struct chain_place place = {.part = CHAIN_FIRMWARE};
        struct error reason;
        struct tcg_event event;
        struct event_log log;
        int r = event_log_open(&log, w->chain->firmware, &reason);

        while (r >= 0 && (r = event_log_next(&log, &place.offset, &place.index, &event, &reason)) >
                                         0) {
                r = walk_event(w, &log, &event);
                if (r != 0)
                        return r == -EBADMSG ? 0 : r; /* it was told */
        }
        return r == -EBADMSG ? malformed(w, &place, &reason) : r;
}

size_t chain_boots(struct span firmware)
{
        struct event_log log;
        struct tcg_event event;
        size_t boots = 1;
        int r = event_log_open(&log, firmware, NULL);

        if (r < 0)
                return boots;
        EVENT_LOG_FOREACH (&log, &event, r, NULL)
                boots += opens_hop(&event);
        return boots;
}

/* ---- IMA ---- */

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

static int walk_ima_record(struct walk *w, const struct ima_record *record)
{
        struct chain_result *ret = w->result;
        struct digests digests;
        int r;

        ret->ima_exact = ret->ima_exact || (w->wanted && reads_as_wanted(&ret->replay, w->wanted));
        if (!ret->ima_exact) {
                r = ima_record_digests(record, &ret->replay.banks, &digests);
                if (r < 0)
                        return error_set(w->reason, -r, "can't hash record %zu of the IMA list: %s",
                                        record->index, strerror(-r));
                r = extend(w, record->pcr, &digests);
                if (r < 0)
                        return r;
                ret->n_ima++;
        }
        return w->visitor->ima ? w->visitor->ima(w->visitor->context, record, !ret->ima_exact) : 0;
}

static int walk_ima(struct walk *w)
{
        struct chain_place place = {.part = CHAIN_IMA};
        _cleanup_buf_ struct buf scratch = {0};
        struct error reason;
        struct ima_record record;
        struct ima_log log;
        int r = ima_log_open(&log, w->chain->ima, &reason);

        while (r >= 0 && (r = ima_log_next(&log, &place.offset, &place.index, &scratch, &record,
                                          &reason)) > 0) {
                r = walk_ima_record(w, &record);
                if (r != 0)
                        return r;
        }
        if (r == -EBADMSG)
                return malformed(w, &place, &reason);
        if (r < 0)
                return error_set(w->reason, -r, "%s", reason.text);
        w->result->ima_exact = w->result->ima_exact ||
                               (w->wanted && reads_as_wanted(&w->result->replay, w->wanted));
        return 0;
}

/* ---- all of it ---- */

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

static int walk_all(struct walk *w)
{
        int r = w->chain->firmware.size > 0 ? walk_firmware(w) : 0;

        if (r == 0)
                r = walk_systemd(w, w->result->n_boots - 1);
        if (r != 0)
                return r;
        if (w->visitor->stop_at_hop > 0)
                return error_set(w->reason, ENOENT, "the log has no hop %u, only %zu",
                                w->visitor->stop_at_hop, w->result->n_boots - 1);
        if (w->bad == 0 && w->chain->n_systemd > w->result->n_boots)
                w->bad = error_set(w->reason, EBADMSG,
                                "%zu logs of systemd, but the firmware's log tells of %zu boots",
                                w->chain->n_systemd, w->result->n_boots);
        for (size_t boot = w->result->n_boots; r == 0 && boot < w->chain->n_systemd; boot++)
                r = walk_systemd(w, boot);
        return r == 0 && w->chain->ima.size > 0 ? walk_ima(w) : r;
}

int chain_walk(const struct chain *chain, const struct banks *banks, const struct replay *wanted,
                const struct chain_visitor *visitor, struct chain_result *ret, struct error *error)
{
        struct walk w = {.chain = chain,
                        .wanted = wanted,
                        .visitor = visitor,
                        .result = ret,
                        .reason = error};
        int r = start(chain, banks, ret, error);

        if (r == 0)
                r = walk_all(&w);
        if (r == 1 && visitor->stop_at_hop > 0)
                r = 0;
        return r != 0 ? r : w.bad;
}

int chain_replay(const struct chain *chain, const struct banks *banks, const struct replay *wanted,
                struct chain_result *ret, struct error *error)
{
        static const struct chain_visitor nobody = {0};

        return chain_walk(chain, banks, wanted, &nobody, ret, error);
}
