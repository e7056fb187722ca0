/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/hop-check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/explain.h"

#define COMPARED_PCRS 0xffffu /* 0-15: the others can be reset while the machine runs */
#define IMA_PCR       10

/* Where in the log we are. The current hop's sequence (hop.h) has n_open + n_events + n_close
 * extends, of which step were seen. */
struct hop_judge {
        const struct event_log *log;
        struct hasher *banks;  /* over the log's banks */
        struct hasher *sha256; /* for the ledger */
        struct buf scratch;
        struct hop_verdict *verdict;

        bool in_hop;  /* there was an open: from there on all is ours */
        bool aborted; /* the current hop */
        struct hop_open open;
        struct span open_data;
        size_t n_open, n_close, step;

        size_t last_index; /* of the event at hand */
        uint32_t last_pcr;
};

void hop_judge_free(struct hop_judge *c)
{
        if (!c)
                return;
        if (c->banks)
                hasher_free(c->banks);
        if (c->sha256)
                hasher_free(c->sha256);
        buf_release(&c->scratch);
        free(c);
}

void hop_verdict_release(struct hop_verdict *verdict)
{
        free(verdict->hops);
        *verdict = (struct hop_verdict){0};
}

/* The end of the check: a mismatch at event. -EBADMSG, which hop_check turns into a verdict. */
__attribute__((format(printf, 3, 4))) static int refuse(
                struct hop_judge *c, const struct tcg_event *event, const char *format, ...)
{
        char what[400];
        va_list ap;

        va_start(ap, format);
        vsnprintf(what, sizeof(what), format, ap);
        va_end(ap);
        c->verdict->result = HOP_RESULT_MISMATCH;
        return error_set(&c->verdict->reason, EBADMSG, "event %zu at offset 0x%zx (PCR %u): %s",
                        event->index, event->offset, event->pcr, what);
}

static struct hop_info *current(struct hop_judge *c)
{
        return &c->verdict->hops[c->verdict->n_hops - 1];
}

static size_t n_sequence(const struct hop_judge *c)
{
        return c->n_open + c->open.n_events + c->n_close;
}

static const char *own_name(enum hop_own own)
{
        static const char *const names[] = {"no", "an open", "a close", "an abort"};

        return names[own];
}

/* An event of a hop, or of PCR 8, counts in every bank or not at all. */
static int check_all_banks(struct hop_judge *c, const struct tcg_event *event)
{
        for (size_t b = 0; b < c->log->banks.n; b++)
                if (!digests_find(&event->digests, c->log->banks.alg[b]->id))
                        return refuse(c, event, "it has no %s digest", c->log->banks.alg[b]->name);
        return 0;
}

/* Our own events hash what their data shows. */
static int check_own_digests(struct hop_judge *c, const struct tcg_event *event)
{
        struct digests digests;
        int r;

        r = hasher_update(c->banks, event->data);
        if (r >= 0)
                r = hasher_finish(c->banks, &digests);
        if (r < 0)
                return r == -EBADMSG ? -EIO : r;
        for (size_t b = 0; b < digests.n; b++) {
                const struct alg *alg = digests.d[b].alg;
                const struct digest *d = digests_find(&event->digests, alg->id);

                if (!d || memcmp(d->bytes, digests.d[b].bytes, alg->size) != 0)
                        return refuse(c, event, "its %s digest isn't the hash of its data",
                                        alg->name);
        }
        return 0;
}

/* What firmware or a boot loader measured before the first open. In PCR 8 each must be explained by
 * bytes that aren't an event of ours, else a hop could be passed off as foreign. */
static int check_foreign(struct hop_judge *c, const struct tcg_event *event)
{
        char name[EVENT_TYPE_TEXT_SIZE];
        struct explanation explanation;
        int r;

        if (event->type == EV_NO_ACTION || event->pcr != HOP_PCR)
                return 0;
        r = check_all_banks(c, event);
        if (r < 0)
                return r;
        r = event_explain(event, c->banks, &c->scratch, &explanation);
        if (r < 0)
                return r;
        if (explanation.how == UNEXPLAINED)
                return refuse(c, event, "its data doesn't explain its digest");
        if (hop_claims(explanation.preimage) != HOP_NONE)
                return refuse(c, event,
                                "its digest is that of %s event of mkexec, but it stands as %s",
                                own_name(hop_claims(explanation.preimage)),
                                event_type_text(event->type, name));
        return 0;
}

static int add_hop(struct hop_judge *c, const struct tcg_event *event)
{
        struct hop_verdict *v = c->verdict;
        struct hop_info *hops;

        /* doubled at each power of two */
        if ((v->n_hops & (v->n_hops - 1)) == 0) {
                hops = realloc(v->hops, (v->n_hops ? 2 * v->n_hops : 1) * sizeof(*hops));
                if (!hops)
                        return -ENOMEM;
                v->hops = hops;
        }
        hops = &v->hops[v->n_hops++];
        *hops = (struct hop_info){
                        .hop = c->open.hop,
                        .registers = hop_registers(&c->open),
                        .n_events = c->open.n_events,
                        .first_index = event->index,
                        .offset = event->offset,
        };
        memcpy(hops->payload_sha256, c->open.payload_sha256, 32);
        memcpy(hops->load_options_sha256, c->open.load_options_sha256, 32);
        v->registers |= hops->registers;
        return 0;
}

static int begin_hop(struct hop_judge *c, const struct tcg_event *event)
{
        struct error error;
        int r;

        if (event->pcr != HOP_PCR)
                return refuse(c, event, "an open event that doesn't come first in PCR %d", HOP_PCR);
        r = hop_open_decode(event->data, &c->open, &error);
        if (r == -EBADMSG)
                return refuse(c, event, "%s", error.text);
        if (r < 0)
                return r;
        if (c->open.hop != c->verdict->n_hops + 1)
                return refuse(c, event, "opens hop %u where hop %zu must follow", c->open.hop,
                                c->verdict->n_hops + 1);
        r = add_hop(c, event);
        if (r < 0)
                return r;
        c->in_hop = true;
        c->aborted = false;
        c->open_data = event->data;
        c->n_open = (size_t)__builtin_popcount(hop_open_pcrs(&c->open));
        c->n_close = (size_t)__builtin_popcount(hop_registers(&c->open));
        c->step = 0;
        return 0;
}

static int check_open_copy(struct hop_judge *c, const struct tcg_event *event, enum hop_own own)
{
        int pcr = hop_pcr_at(hop_open_pcrs(&c->open), c->step);
        int r;

        if (own != HOP_OPEN || event->pcr != (uint32_t)pcr ||
                        !span_equal(event->data, c->open_data))
                return refuse(c, event, "the open event of hop %u must stand here, in PCR %d",
                                c->open.hop, pcr);
        r = check_own_digests(c, event);
        if (r < 0)
                return r;
        current(c)->opened |= 1u << pcr;
        return 0;
}

static int check_ledger(struct hop_judge *c, const struct tcg_event *event, enum hop_own own)
{
        size_t i = c->step - c->n_open;
        struct hop_ledger_entry entry;
        char name[EVENT_TYPE_TEXT_SIZE];
        struct digests sha256;
        int r;

        if (own != HOP_NONE)
                return refuse(c, event, "%s event where the ledger of hop %u has event %zu of %zu",
                                own_name(own), c->open.hop, i + 1, c->open.n_events);
        entry = hop_ledger_at(&c->open, i);
        if (event->pcr != c->open.map[entry.payload_pcr])
                return refuse(c, event, "event %zu of hop %u belongs in PCR %u", i + 1, c->open.hop,
                                c->open.map[entry.payload_pcr]);
        if (event->type != entry.type)
                return refuse(c, event, "event %zu of hop %u is of type %s in the ledger", i + 1,
                                c->open.hop, event_type_text(entry.type, name));
        r = hasher_update(c->sha256, event->data);
        if (r >= 0)
                r = hasher_finish(c->sha256, &sha256);
        if (r < 0)
                return r == -EBADMSG ? -EIO : r;
        if (memcmp(sha256.d[0].bytes, entry.data_sha256, 32) != 0)
                return refuse(c, event, "the data of event %zu of hop %u isn't that of the ledger",
                                i + 1, c->open.hop);
        return 0;
}

static int check_close(struct hop_judge *c, const struct tcg_event *event, enum hop_own own)
{
        int pcr = hop_pcr_at(hop_registers(&c->open), c->step - c->n_open - c->open.n_events);
        struct hop_end end;
        struct error error;

        if (own != HOP_CLOSE || event->pcr != (uint32_t)pcr)
                return refuse(c, event, "the close event of hop %u must stand here, in PCR %d",
                                c->open.hop, pcr);
        if (hop_close_decode(event->data, &end, &error) < 0)
                return refuse(c, event, "%s", error.text);
        if (end.hop != c->open.hop || end.count != c->open.n_events)
                return refuse(c, event, "closes hop %u of %u events, but hop %u of %zu is open",
                                end.hop, end.count, c->open.hop, c->open.n_events);
        return check_own_digests(c, event);
}

static int check_abort(struct hop_judge *c, const struct tcg_event *event)
{
        struct hop_end end;
        struct error error;
        int r;

        if (event->pcr != HOP_PCR)
                return refuse(c, event, "an abort event outside PCR %d", HOP_PCR);
        if (hop_abort_decode(event->data, &end, &error) < 0)
                return refuse(c, event, "%s", error.text);
        if (end.hop != c->open.hop || end.count != c->step)
                return refuse(c, event,
                                "aborts hop %u after %u extends, but %zu of hop %u stand before it",
                                end.hop, end.count, c->step, c->open.hop);
        r = check_own_digests(c, event);
        if (r < 0)
                return r;
        c->aborted = true;
        current(c)->aborted = true;
        current(c)->last_index = event->index;
        return 0;
}

/* The next extend of the current hop's sequence. */
static int check_step(struct hop_judge *c, const struct tcg_event *event, enum hop_own own)
{
        int r;

        if (c->step >= n_sequence(c))
                return refuse(c, event, "stands behind hop %u and belongs to none", c->open.hop);
        r = check_all_banks(c, event);
        if (r < 0)
                return r;
        if (c->step < c->n_open)
                r = check_open_copy(c, event, own);
        else if (c->step < c->n_open + c->open.n_events)
                r = check_ledger(c, event, own);
        else
                r = check_close(c, event, own);
        if (r < 0)
                return r;
        current(c)->n_extended = ++c->step;
        current(c)->last_index = event->index;
        return 0;
}

int hop_judge_event(struct hop_judge *c, const struct tcg_event *event)
{
        enum hop_own own = hop_is_own(event);
        char name[EVENT_TYPE_TEXT_SIZE];
        int r;

        c->last_index = event->index;
        c->last_pcr = event->pcr;
        if (own == HOP_NONE && hop_claims(event->data) != HOP_NONE)
                return refuse(c, event, "has the data of %s event of mkexec, but is of type %s",
                                own_name(hop_claims(event->data)),
                                event_type_text(event->type, name));
        if (!c->in_hop && own == HOP_NONE) {
                c->verdict->first_boot |= event->type != EV_NO_ACTION;
                return check_foreign(c, event);
        }
        if (!c->in_hop && own != HOP_OPEN)
                return refuse(c, event, "%s event without an open hop", own_name(own));
        if (c->in_hop && own == HOP_ABORT && !c->aborted)
                return check_abort(c, event);
        if (own == HOP_OPEN && (!c->in_hop || c->aborted || c->step == n_sequence(c))) {
                r = begin_hop(c, event);
                if (r < 0)
                        return r;
        }
        if (c->aborted)
                return refuse(c, event,
                                "stands behind hop %u, which was aborted, and belongs to none",
                                c->open.hop);
        return check_step(c, event, own);
}

int hop_judge_end(struct hop_judge *c)
{
        struct hop_verdict *v = c->verdict;

        if (c->in_hop && !c->aborted && c->step < n_sequence(c)) {
                v->result = HOP_RESULT_MISMATCH;
                return error_set(&v->reason, EBADMSG,
                                "event %zu (PCR %u): the log ends after it, in the middle of hop "
                                "%u, which is neither "
                                "closed nor aborted",
                                c->last_index, c->last_pcr, c->open.hop);
        }
        v->result = HOP_RESULT_OK;
        v->hops_ok = true;
        return 0;
}

/* All events; -EBADMSG once the verdict is no. */
static int check_log(struct hop_judge *c)
{
        struct hop_verdict *v = c->verdict;
        struct tcg_event event;
        int r;

        EVENT_LOG_FOREACH (c->log, &event, r, &v->reason) {
                r = replay_event(&v->replay, &event, &v->reason);
                if (r < 0)
                        return r;
                r = hop_judge_event(c, &event);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : hop_judge_end(c);
}

static void compare_bank(struct hop_verdict *v, const struct replay *pcrs, size_t b)
{
        int k = replay_bank(pcrs, v->replay.banks.alg[b]->id);

        if (k < 0)
                return;
        v->compared[b] = pcrs->measured[k] & COMPARED_PCRS;
        for (unsigned pcr = 0; pcr < 16; pcr++) {
                const struct digest *log = &v->replay.pcr[b][pcr], *tpm = &pcrs->pcr[k][pcr];

                if (!(v->compared[b] & 1u << pcr) ||
                                memcmp(log->bytes, tpm->bytes, log->alg->size) == 0)
                        continue;
                *(pcr == IMA_PCR ? &v->unexplained[b] : &v->differs[b]) |= 1u << pcr;
        }
}

static int compare(struct hop_verdict *v, const struct replay *pcrs)
{
        uint32_t compared = 0;

        for (size_t b = 0; b < v->replay.banks.n; b++) {
                compare_bank(v, pcrs, b);
                compared |= v->compared[b];
        }
        if (!(compared & 1u << HOP_PCR))
                return error_set(&v->reason, EBADMSG,
                                "no value of PCR %d was given for any bank of the log", HOP_PCR);
        for (size_t b = 0; b < v->replay.banks.n; b++) {
                const char *bank = v->replay.banks.alg[b]->name;
                uint32_t lacking = v->compared[b] ? v->registers & ~v->compared[b] : 0;

                if (lacking)
                        return error_set(&v->reason, EBADMSG,
                                        "PCR %d, bank %s: a hop went there, but no value of it was "
                                        "given",
                                        __builtin_ctz(lacking), bank);
                if (v->differs[b] & 1u << HOP_PCR)
                        return error_set(&v->reason, EBADMSG,
                                        "PCR %d, bank %s: isn't what the log's %zu hops and the "
                                        "events before them give",
                                        HOP_PCR, bank, v->n_hops);
                if (v->differs[b])
                        return error_set(&v->reason, EBADMSG,
                                        v->first_boot ? "PCR %d, bank %s: isn't what the log's "
                                                        "events give"
                                                      : "PCR %d, bank %s: was extended, but the "
                                                        "log has no event of the first boot",
                                        __builtin_ctz(v->differs[b]), bank);
        }
        return 0;
}

int hop_judge_new(const struct event_log *log, struct hop_verdict *verdict, struct hop_judge **ret)
{
        struct banks sha256 = {.n = 1, .alg = {alg_by_id(TPM_ALG_SHA256)}};
        struct hop_judge *c;
        int r;

        verdict->result = HOP_RESULT_MALFORMED;
        if (log->cc)
                return error_set(&verdict->reason, EBADMSG,
                                "event 0 at offset 0x0: the header of a confidential-computing "
                                "log, not of a TPM's");
        if (log->banks.n == 0)
                return error_set(&verdict->reason, EBADMSG,
                                "event 0 at offset 0x0: the header declares no algorithm that is "
                                "known");
        replay_start(&verdict->replay, &log->banks);
        verdict->weak = log->banks.n == 1 && log->banks.alg[0]->id == TPM_ALG_SHA1;
        verdict->unknown_bank = log->n_declared > log->banks.n;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->log = log;
        c->verdict = verdict;
        r = hasher_new(&log->banks, &c->banks);
        if (r >= 0)
                r = hasher_new(&sha256, &c->sha256);
        if (r < 0) {
                hop_judge_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

int hop_check(struct span log, const struct replay *pcrs, struct hop_verdict *ret,
                struct error *error)
{
        _cleanup_hop_verdict_ struct hop_verdict v = {.result = HOP_RESULT_MALFORMED};
        struct hop_judge *judge = NULL;
        struct event_log parsed;
        int r;

        r = event_log_open(&parsed, log, &v.reason);
        if (r >= 0)
                r = hop_judge_new(&parsed, &v, &judge);
        if (r >= 0)
                r = check_log(judge);
        hop_judge_free(judge);
        if (r >= 0) {
                if (pcrs && compare(&v, pcrs) < 0)
                        v.result = HOP_RESULT_MISMATCH;
                v.pristine = v.result == HOP_RESULT_OK && v.n_hops == 0;
        } else if (r != -EBADMSG) {
                return error_set(error, -r, "can't check the event log: %s", strerror(-r));
        }
        *ret = v;
        v = (struct hop_verdict){0};
        return 0;
}

/* The ledger's events of a hop that was checked, as far as they were extended, under the payload's
 * PCRs. */
static int replay_hop(const struct event_log *log, const struct hop_info *hop,
                struct replay *replay, struct error *error)
{
        struct hop_open open = {0};
        size_t offset = hop->offset, index = hop->first_index, n_open;
        struct tcg_event event = {0};
        int r;

        r = event_log_next(log, &offset, &index, &event, error);
        if (r >= 0)
                r = hop_open_decode(event.data, &open, error);
        if (r < 0)
                return r;
        n_open = (size_t)__builtin_popcount(hop_open_pcrs(&open));
        for (size_t step = 1; step < hop->n_extended && step < n_open + open.n_events; step++) {
                r = event_log_next(log, &offset, &index, &event, error);
                if (r < 0)
                        return r;
                if (step < n_open)
                        continue;
                event.pcr = hop_ledger_at(&open, step - n_open).payload_pcr;
                r = replay_extend(replay, &event);
                if (r < 0)
                        return error_set(error, -r, "can't extend in software: %s", strerror(-r));
        }
        return 0;
}

int hop_payload_view(struct span bytes, uint32_t hop, struct replay *ret, struct error *error)
{
        _cleanup_hop_verdict_ struct hop_verdict v = {0};
        struct replay replay;
        struct event_log log;
        int r;

        r = hop_check(bytes, NULL, &v, error);
        if (r < 0)
                return r;
        if (v.result != HOP_RESULT_OK)
                return error_set(error, EBADMSG, "%s", v.reason.text);
        if (hop == 0 || hop > v.n_hops)
                return error_set(error, ENOENT, "the log has no hop %u, only %zu", hop, v.n_hops);
        r = event_log_open(&log, bytes, error);
        if (r < 0)
                return r;
        replay_start_zero(&replay, &log.banks);
        r = replay_hop(&log, &v.hops[hop - 1], &replay, error);
        if (r < 0)
                return r;
        *ret = replay;
        return 0;
}
