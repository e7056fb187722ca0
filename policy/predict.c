/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See predict.h. The order of a hop: open in PCR 8 and then, ascending, in the other registers and
 * the close list; the payload's events; close in PCR 8 and in the other registers. */
#include "policy/predict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "eventlog/hop.h"

static struct plan_event *add_event(struct plan *plan, enum plan_event_kind kind, uint32_t pcr,
                const struct tcg_event *model, struct span data)
{
        struct plan_event *events = reallocarray(plan->events, plan->n_events + 1, sizeof(*events));
        uint8_t *copy = malloc(data.size ? data.size : 1);
        struct plan_event *e;

        if (events)
                plan->events = events;
        if (!events || !copy) {
                free(copy);
                return NULL;
        }
        if (data.size > 0)
                memcpy(copy, data.data, data.size);
        e = &plan->events[plan->n_events];
        *e = (struct plan_event){.kind = kind, .payload_pcr = model->pcr, .event = *model};
        e->event.pcr = pcr;
        e->event.data = SPAN(copy, data.size);
        e->event.index = plan->n_events++;
        return e;
}

/* One of our own events in every PCR of the mask, PCR 8 first. */
static int add_own(struct plan *plan, enum plan_event_kind kind, uint32_t mask, struct span data)
{
        for (size_t i = 0; hop_pcr_at(mask, i) >= 0; i++) {
                struct tcg_event event;
                uint32_t pcr = (uint32_t)hop_pcr_at(mask, i);
                int r = hop_event(&plan->banks, pcr, data, &event);

                if (r < 0)
                        return r;
                if (!add_event(plan, kind, pcr, &event, data))
                        return -ENOMEM;
        }
        return 0;
}

static int fill_ledger(const struct plan_input *input, struct hop_ledger_entry *ledger,
                struct error *error)
{
        for (size_t i = 0; i < input->n_events; i++) {
                ledger[i].payload_pcr = input->events[i].pcr;
                ledger[i].type = input->events[i].type;
                if (hash_sha256(input->events[i].data, ledger[i].data_sha256) < 0)
                        return error_set(error, EIO, "can't compute SHA-256");
        }
        return 0;
}

/* The opening event, and which PCRs it and the close go to. */
static int encode_open(const struct plan_input *input, struct plan *plan, struct buf *ret,
                struct error *error)
{
        _cleanup_free_ struct hop_ledger_entry *ledger = calloc(
                        input->n_events + 1, sizeof(*ledger));
        struct hop_open open = {.version = HOP_VERSION, .hop = input->hop};
        int r;

        if (!ledger)
                return error_set(error, ENOMEM, "out of memory");
        if (input->n_initrds > HOP_INITRDS_MAX)
                return error_set(error, E2BIG, "%zu initrds are more than a hop can have (%d)",
                                input->n_initrds, HOP_INITRDS_MAX);
        memcpy(open.map, input->map, sizeof(open.map));
        memcpy(open.payload_sha256, input->payload_sha256, 32);
        memcpy(open.load_options_sha256, input->load_options_sha256, 32);
        open.n_initrds = input->n_initrds;
        for (size_t i = 0; i < input->n_initrds; i++)
                memcpy(open.initrd_sha256[i], input->initrd_sha256[i], 32);
        r = fill_ledger(input, ledger, error);
        if (r < 0)
                return r;
        open.n_events = input->n_events;
        open.entries = ledger;
        plan->registers = hop_registers(&open);
        open.close_list = input->close_list & ~plan->registers;
        plan->touched = hop_open_pcrs(&open);
        return hop_open_encode(&open, ret, error);
}

static int add_payload(struct plan *plan, const struct plan_input *input, struct error *error)
{
        for (size_t i = 0; i < input->n_events; i++) {
                const struct tcg_event *from = &input->events[i];
                struct plan_event *e;
                uint32_t pcr;

                if (from->pcr >= PCR_COUNT)
                        return error_set(error, EINVAL, "event %zu names PCR %u", i, from->pcr);
                pcr = input->map[from->pcr];
                if (pcr >= PCR_COUNT || !(plan->registers & 1u << pcr))
                        return error_set(
                                        error, EINVAL, "payload PCR %u has no register", from->pcr);
                e = add_event(plan, PLAN_PAYLOAD, pcr, from, from->data);
                if (!e)
                        return error_set(error, ENOMEM, "out of memory");
                e->event.digests.n = 0; /* exactly the plan's banks, in its order */
                for (size_t b = 0; b < plan->banks.n; b++) {
                        const struct digest *d = digests_find(
                                        &from->digests, plan->banks.alg[b]->id);

                        if (!d)
                                return error_set(error, EINVAL, "event %zu has no %s digest", i,
                                                plan->banks.alg[b]->name);
                        e->event.digests.d[e->event.digests.n++] = *d;
                }
        }
        return 0;
}

int plan_compute(struct plan *plan)
{
        replay_start_zero(&plan->payload_view, &plan->banks);
        memcpy(plan->end, plan->start, sizeof(plan->end));
        for (size_t i = 0; i < plan->n_events; i++) {
                const struct plan_event *e = &plan->events[i];

                for (size_t b = 0; b < plan->banks.n; b++) {
                        int r = digest_extend(&plan->end[b][e->event.pcr], &e->event.digests.d[b]);

                        if (r < 0)
                                return r;
                }
                if (e->kind == PLAN_PAYLOAD) {
                        struct tcg_event seen = e->event;
                        int r;

                        seen.pcr = e->payload_pcr;
                        r = replay_extend(&plan->payload_view, &seen);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int plan_make(const struct plan_input *input, struct plan *ret, struct error *error)
{
        _cleanup_(plan_release) struct plan plan = {.banks = input->banks, .hop = input->hop};
        _cleanup_buf_ struct buf open = {0}, close = {0};
        int r;

        plan.log_banks = input->log_banks.n > 0 ? input->log_banks : input->banks;
        for (size_t b = 0; b < plan.banks.n; b++)
                for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++) {
                        plan.start[b][pcr].alg = plan.banks.alg[b];
                        if (input->start)
                                plan.start[b][pcr] = input->start[b][pcr];
                }

        r = encode_open(input, &plan, &open, error);
        if (r < 0)
                return r;
        hop_close_encode((struct hop_end){input->hop, (uint32_t)input->n_events}, &close);
        r = buf_failed(&close) ? -ENOMEM : add_own(&plan, PLAN_OPEN, plan.touched, buf_span(&open));
        if (r < 0)
                return error_set(error, -r, "can't make the opening event: %s", strerror(-r));
        r = add_payload(&plan, input, error);
        if (r < 0)
                return r;
        r = add_own(&plan, PLAN_CLOSE, plan.registers, buf_span(&close));
        if (r == 0)
                r = plan_compute(&plan);
        if (r < 0)
                return error_set(error, -r, "can't compute the registers: %s", strerror(-r));
        *ret = plan;
        plan = (struct plan){0};
        return 0;
}

void plan_release(struct plan *plan)
{
        for (size_t i = 0; i < plan->n_events; i++)
                free((void *)plan->events[i].event.data.data);
        free(plan->events);
        *plan = (struct plan){0};
}

static bool values_equal(const struct plan *plan, uint32_t mask, const struct digest a[][PCR_COUNT],
                const struct digest b[][PCR_COUNT])
{
        for (size_t bank = 0; bank < plan->banks.n; bank++)
                for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (mask & 1u << pcr && memcmp(a[bank][pcr].bytes, b[bank][pcr].bytes,
                                                                plan->banks.alg[bank]->size) != 0)
                                return false;
        return true;
}

int plan_progress(const struct plan *plan, uint32_t mask, const struct digest values[][PCR_COUNT],
                size_t *ret)
{
        struct digest now[ALG_MAX][PCR_COUNT];

        memcpy(now, plan->start, sizeof(now));
        for (size_t i = 0;; i++) {
                if (values_equal(plan, mask, now, values)) {
                        *ret = i;
                        return 0;
                }
                if (i == plan->n_events)
                        return -ENOENT;
                for (size_t b = 0; b < plan->banks.n; b++) {
                        const struct tcg_event *e = &plan->events[i].event;
                        int r = digest_extend(&now[b][e->pcr], &e->digests.d[b]);

                        if (r < 0)
                                return r;
                }
        }
}

int plan_log(const struct plan *plan, size_t n, struct buf *log, struct error *error)
{
        for (size_t i = 0; i < n && i < plan->n_events; i++) {
                int r = event_log_put_event(log, &plan->log_banks, &plan->events[i].event);

                if (r < 0)
                        return error_set(error, -r, "can't append event %zu to the log", i);
        }
        return 0;
}
