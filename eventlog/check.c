/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The walk over a chain, with a judge for each kind of record. */
#include "eventlog/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/body.h"
#include "eventlog/check-parts.h"

struct check {
        const struct check_input *input;
        struct check_result *result;

        struct event_log log;    /* the firmware's */
        struct hop_judge *judge; /* NULL: there is none, or it has said no */
        struct hasher *hasher;
        struct buf scratch;
        struct check_order order;
        bool in_hop;         /* behind the first open */
        bool broken;         /* the firmware's log can't be read to its end */
        size_t end;          /* of its last event */
        struct error reason; /* of the event at hand */
};

static void check_release(struct check *c)
{
        hop_judge_free(c->judge);
        if (c->hasher)
                hasher_free(c->hasher);
        buf_release(&c->scratch);
}

void check_result_release(struct check_result *result)
{
        hop_verdict_release(&result->hops);
        *result = (struct check_result){0};
}

/* What can't be read outweighs what is wrong; else the first reason stays. */
static void set_result(struct check *c, enum hop_result result, const char *reason)
{
        struct check_result *ret = c->result;

        if (ret->result != HOP_RESULT_OK &&
                        (result != HOP_RESULT_MALFORMED || ret->result == HOP_RESULT_MALFORMED))
                return;
        ret->result = result;
        error_set(&ret->reason, EBADMSG, "%s", reason);
}

/* Counts an event that was judged, and shows it. */
static int done(struct check *c, const struct check_event *event, uint32_t pcr)
{
        struct check_result *ret = c->result;

        ret->n_events[event->status]++;
        for (unsigned note = 0; note < CHECK_NOTES; note++)
                if (event->notes & 1u << note) {
                        if (ret->notes[note].n++ == 0)
                                ret->notes[note].first = event->place;
                        if (pcr < PCR_COUNT)
                                ret->notes[note].pcrs |= 1u << pcr;
                }
        return c->input->event ? c->input->event(c->input->context, event) : 0;
}

static void nothing(void *context, const struct body_field *field)
{
}
static const struct body_sink nobody = {.put = nothing};

/* ---- firmware's log ---- */

/* The first note that refuses, or -1. */
static int refusal(uint32_t notes)
{
        for (unsigned note = 0; note < CHECK_NOTES; note++)
                if ((notes & 1u << note) && check_note_refused((enum check_note)note))
                        return (int)note;
        return -1;
}

/* One line for the verdict, and its end for the event. */
static void refuse(struct check *c, const struct tcg_event *event, const char *what,
                const struct alg *bank, struct check_event *ret)
{
        struct error line;

        ret->status = CHECK_MISMATCH;
        if (bank)
                error_set(&c->reason, EBADMSG, "its %s digest isn't the hash of its data",
                                bank->name);
        else
                error_set(&c->reason, EBADMSG, "%s", what);
        ret->reason = c->reason.text;
        error_set(&line, EBADMSG, "event %zu at offset 0x%zx (PCR %u): %s", event->index,
                        event->offset, event->pcr, c->reason.text);
        set_result(c, HOP_RESULT_MISMATCH, line.text);
}

/* -EBADMSG: the judge of hops says no; it then has nothing more to say. */
static int judge_hop(struct check *c, const struct tcg_event *event, struct check_event *ret)
{
        int r = c->judge ? hop_judge_event(c->judge, event) : 0;

        c->in_hop |= hop_is_own(event) == HOP_OPEN;
        if (c->result->cc && hop_claims(event->data) != HOP_NONE) {
                /* The header isn't measured: a TPM's log could be made one whose hops nobody
                 * judges.
                 */
                ret->reason = "an event of mkexec's in a confidential-computing log, which has "
                              "no hops";
        } else if (r != -EBADMSG) {
                return r;
        } else {
                hop_judge_free(c->judge);
                c->judge = NULL;
                ret->reason = c->result->hops.reason.text;
        }
        ret->status = CHECK_MISMATCH;
        ret->notes |= 1u << NOTE_HOP;
        set_result(c, HOP_RESULT_MISMATCH, ret->reason);
        return 0;
}

static bool lacks_a_bank(const struct event_log *log, const struct tcg_event *event)
{
        return event->type != EV_NO_ACTION && event->digests.n < log->banks.n;
}

/* The body's fault is named unless there is a worse one. */
static void judge_body(struct check *c, const struct tcg_event *event, struct check_event *ret)
{
        if (c->input->no_bodies || event_body(event, &nobody, &c->reason) >= 0)
                return;
        ret->status = CHECK_MALFORMED;
        ret->reason = c->reason.text;
}

static const char *why_unverifiable(const struct tcg_event *event)
{
        return event->type == EV_NO_ACTION ? "nothing was extended"
                                           : "what was hashed isn't in the log";
}

static int on_firmware(void *context, const struct event_log *log, const struct tcg_event *event)
{
        struct check *c = context;
        struct check_event judged = {
                        .place = {.part = CHAIN_FIRMWARE,
                                        .index = event->index,
                                        .offset = event->offset},
                        .tcg = event,
                        .reason = "",
        };
        uint32_t notes = 0;
        const struct alg *bank;
        int r;

        c->end = event->offset + event->size;
        if (!c->in_hop && event->index >= log->first_index)
                judged.notes = check_order_event(&c->order, event);
        r = check_digest(event, c->in_hop, c->hasher, &c->scratch, &judged.status, &notes, &bank);
        if (r < 0)
                return r;
        judged.notes |= notes;
        if (lacks_a_bank(log, event))
                judged.notes |= 1u << NOTE_LACKING;
        if (judged.status == CHECK_UNVERIFIABLE)
                judged.reason = why_unverifiable(event);
        judge_body(c, event, &judged);
        if (refusal(judged.notes) >= 0)
                refuse(c, event, check_note_text((enum check_note)refusal(judged.notes)),
                                refusal(judged.notes) == NOTE_DIGEST ? bank : NULL, &judged);
        r = judge_hop(c, event, &judged);
        return r < 0 ? r : done(c, &judged, event->pcr);
}

/* ---- systemd's and IMA's ---- */

static void refuse_record(struct check *c, const char *log, size_t index, size_t offset,
                struct check_event *ret)
{
        struct error line;

        ret->status = CHECK_MISMATCH;
        ret->notes |= 1u << NOTE_DIGEST;
        ret->reason = check_note_text(NOTE_DIGEST);
        error_set(&line, EBADMSG, "record %zu at offset %zu of %s: %s", index, offset, log,
                        ret->reason);
        set_result(c, HOP_RESULT_MISMATCH, line.text);
}

static int on_systemd(void *context, size_t boot, const struct systemd_record *record)
{
        struct check *c = context;
        struct check_event judged = {
                        .place = {CHAIN_SYSTEMD, boot, record->index, record->offset},
                        .systemd = record,
                        .reason = "",
        };
        enum systemd_explained how;
        int r = systemd_record_explain(record, &how);

        if (r < 0)
                return r;
        judged.status = how == SYSTEMD_VERIFIED ? CHECK_VERIFIED : CHECK_UNVERIFIABLE;
        if (judged.status == CHECK_UNVERIFIABLE)
                judged.reason = "the record doesn't tell what was hashed";
        if (!c->input->no_bodies && systemd_record_body(record, &nobody, &c->reason) < 0) {
                judged.status = CHECK_MALFORMED;
                judged.reason = c->reason.text;
        }
        if (how == SYSTEMD_MISMATCH)
                refuse_record(c, "systemd's log", record->index, record->offset, &judged);
        return done(c, &judged, record->has_pcr ? record->pcr : PCR_COUNT);
}

static int on_ima(void *context, const struct ima_record *record, bool used)
{
        struct check *c = context;
        struct check_event judged = {
                        .place = {CHAIN_IMA, 0, record->index, record->offset},
                        .ima = record,
                        .reason = "",
        };
        enum ima_explained how;
        int r = ima_record_explain(record, &how);

        if (r < 0)
                return r;
        judged.status = how == IMA_VERIFIED ? CHECK_VERIFIED : CHECK_UNVERIFIABLE;
        if (judged.status == CHECK_UNVERIFIABLE)
                judged.reason = record->violation ? check_note_text(NOTE_VIOLATION)
                                                  : "the list doesn't tell what was hashed";
        if (record->violation)
                judged.notes |= 1u << NOTE_VIOLATION;
        if (!used)
                judged.notes |= 1u << NOTE_IMA_LATER;
        if (!c->input->no_bodies && ima_record_body(record, &nobody, &c->reason) < 0) {
                judged.status = CHECK_MALFORMED;
                judged.reason = c->reason.text;
        }
        if (how == IMA_MISMATCH)
                refuse_record(c, "the IMA list", record->index, record->offset, &judged);
        return done(c, &judged, record->pcr);
}

static int on_malformed(void *context, const struct chain_place *place, const char *reason)
{
        struct check *c = context;
        struct check_event judged = {.place = *place, .status = CHECK_MALFORMED, .reason = reason};

        c->broken |= place->part == CHAIN_FIRMWARE;
        set_result(c, HOP_RESULT_MALFORMED, reason);
        return done(c, &judged, PCR_COUNT);
}

/* ---- all of it ---- */

static int start_firmware(struct check *c)
{
        struct check_result *ret = c->result;
        int r;

        if (c->input->chain.firmware.size == 0)
                return 0;
        ret->firmware = true;
        if (event_log_open(&c->log, c->input->chain.firmware, NULL) < 0)
                return 0; /* the walk says why */
        ret->cc = c->log.cc;
        r = check_order_start(&c->order, &c->log);
        if (r >= 0)
                r = hasher_new(&c->log.banks, &c->hasher);
        if (r >= 0 && !ret->cc)
                r = hop_judge_new(&c->log, &ret->hops, &c->judge);
        if (r == -EBADMSG) {
                set_result(c, HOP_RESULT_MALFORMED, ret->hops.reason.text);
                r = 0;
        }
        return r;
}

/* Where no header names them: those of the values, or all that Linux' IMA and systemd have. */
static struct banks banks_of(const struct check *c)
{
        struct banks banks = {0};

        if (c->log.banks.n > 0)
                return c->log.banks;
        if (c->input->pcrs)
                return c->input->pcrs->banks;
        for (size_t i = 0; i < 4; i++)
                banks_add(&banks, alg_by_index(i));
        return banks;
}

static int end_firmware(struct check *c)
{
        struct check_result *ret = c->result;
        int r = 0;

        if (!ret->firmware || c->broken)
                return 0;
        ret->padding_bytes = c->input->chain.firmware.size - c->end;
        if (ret->padding_bytes > 0)
                ret->notes[NOTE_PADDING].n = 1;
        ret->notes[NOTE_SEPARATOR_NONE].pcrs = check_order_end(&c->order);
        ret->notes[NOTE_SEPARATOR_NONE].n = (size_t)__builtin_popcount(
                        ret->notes[NOTE_SEPARATOR_NONE].pcrs);
        if (c->judge)
                r = hop_judge_end(c->judge);
        if (r == -EBADMSG) {
                ret->notes[NOTE_HOP].n++;
                set_result(c, HOP_RESULT_MISMATCH, ret->hops.reason.text);
                r = 0;
        }
        return r;
}

static int run(struct check *c, struct error *error)
{
        const struct chain_visitor visitor = {
                        .firmware = on_firmware,
                        .systemd = on_systemd,
                        .ima = on_ima,
                        .malformed = on_malformed,
                        .context = c,
        };
        const struct check_input *input = c->input;
        struct error reason = {{0}};
        struct banks banks;
        int r = start_firmware(c);

        if (r < 0)
                return error_set(error, -r, "can't hash: %s", strerror(-r));
        banks = banks_of(c);
        r = chain_walk(&input->chain, &banks, input->pcrs, &visitor, &c->result->chain, &reason);
        if (r == -EBADMSG)
                set_result(c, HOP_RESULT_MALFORMED, reason.text);
        else if (r != 0)
                return error_set(error, r < 0 ? -r : EIO, "%s",
                                reason.text[0] ? reason.text : strerror(-r));
        r = end_firmware(c);
        if (r < 0)
                return error_set(error, -r, "can't check hops: %s", strerror(-r));
        if (check_pcrs(c->result, input, &reason) < 0)
                set_result(c, HOP_RESULT_MISMATCH, reason.text);
        return 0;
}

int check_logs(const struct check_input *input, struct check_result *ret, struct error *error)
{
        _cleanup_check_result_ struct check_result result = {.compared = input->pcrs != NULL};
        _cleanup_(check_release) struct check c = {.input = input, .result = &result};
        int r = run(&c, error);

        if (r < 0)
                return r;
        result.hops.pristine = result.result == HOP_RESULT_OK && result.hops.n_hops == 0 &&
                               result.firmware && !result.cc &&
                               result.notes[NOTE_PCR8_UNKNOWN].n == 0;
        *ret = result;
        result = (struct check_result){0};
        return 0;
}
