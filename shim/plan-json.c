/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/plan-json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/decode.h"
#include "eventlog/hop.h"
#include "shim/handover/file-handover.h"
#include "shim/json-values.h"

static const char *const kind_names[] = {
                [PLAN_OPEN] = "open",
                [PLAN_PAYLOAD] = "payload",
                [PLAN_CLOSE] = "close",
};

static struct json_object *plan_event_to_json(const struct plan_event *e)
{
        struct json_object *object = json_object_new_object();

        if (!object)
                return NULL;
        json_object_object_add(object, "payload_pcr",
                        e->kind == PLAN_PAYLOAD ? json_object_new_int((int)e->payload_pcr) : NULL);
        json_object_object_add(object, "register", json_object_new_int((int)e->event.pcr));
        json_object_object_add(object, "kind", json_object_new_string(kind_names[e->kind]));
        event_to_json(&e->event, object);
        return object;
}

int plan_to_json(const struct plan *plan, uint32_t mask, struct json_object *object)
{
        struct json_object *events = json_object_new_array();

        for (size_t i = 0; events && i < plan->n_events; i++)
                json_object_array_add(events, plan_event_to_json(&plan->events[i]));
        json_object_object_add(object, "registers", pcrs_to_json(&plan->banks, mask, plan->end));
        json_object_object_add(object, "payload_view",
                        pcrs_to_json(&plan->banks, plan->payload_view.measured[0],
                                        plan->payload_view.pcr));
        return json_object_object_add(object, "events", events) < 0 || !events ? -ENOMEM : 0;
}

static struct json_object *file_to_json(struct span bytes)
{
        struct json_object *object = json_object_new_object();
        uint8_t sha256[32];

        json_object_object_add(object, "bytes", json_object_new_int64((int64_t)bytes.size));
        json_object_object_add(object, "sha256",
                        hash_sha256(bytes, sha256) == 0 ? hex_to_json(SPAN(sha256, 32)) : NULL);
        return object;
}

void files_to_json(const struct file_handover *files, struct json_object *object)
{
        struct json_object *member = json_object_new_object();

        json_object_object_add(member, "kernel", file_to_json(files->kernel));
        json_object_object_add(member, "initrd", file_to_json(files->initrd));
        json_object_object_add(member, "command_line", hex_to_json(buf_span(&files->command_line)));
        json_object_object_add(object, "files", member);
}

int plan_state_to_json(const struct plan *plan, struct json_object *object)
{
        json_object_object_add(object, "banks", banks_to_json(&plan->banks));
        json_object_object_add(object, "log_banks", banks_to_json(&plan->log_banks));
        json_object_object_add(object, "hop", json_object_new_int64(plan->hop));
        json_object_object_add(object, "registers_mask", json_object_new_int64(plan->registers));
        json_object_object_add(object, "touched_mask", json_object_new_int64(plan->touched));
        json_object_object_add(
                        object, "start", pcrs_to_json(&plan->banks, plan->touched, plan->start));
        return plan_to_json(plan, plan->touched, object);
}

static int type_from_json(struct json_object *object, uint32_t *ret)
{
        const char *text = text_from_json(object, "type");
        char *end;

        if (!text)
                return -EINVAL;
        if (event_type_by_name(text, ret))
                return 0;
        *ret = (uint32_t)strtoul(text, &end, 16);
        return strncmp(text, "0x", 2) == 0 && *end == '\0' ? 0 : -EINVAL;
}

static int kind_from_json(struct json_object *object, enum plan_event_kind *ret)
{
        const char *text = text_from_json(object, "kind");

        for (size_t i = 0; text && i < ARRAY_SIZE(kind_names); i++)
                if (strcmp(text, kind_names[i]) == 0) {
                        *ret = (enum plan_event_kind)i;
                        return 0;
                }
        return -EINVAL;
}

static int digests_from_json(
                struct json_object *object, const struct banks *banks, struct digests *ret)
{
        struct json_object *digests;

        if (!json_object_object_get_ex(object, "digests", &digests))
                return -EINVAL;
        *ret = (struct digests){.n = banks->n};
        for (size_t b = 0; b < banks->n; b++) {
                const char *hex = text_from_json(digests, banks->alg[b]->name);

                ret->d[b].alg = banks->alg[b];
                if (!hex || !hex_decode(hex, ret->d[b].bytes, banks->alg[b]->size))
                        return -EINVAL;
        }
        return 0;
}

static int event_from_json(struct json_object *object, struct plan *plan)
{
        struct plan_event *e = &plan->events[plan->n_events];
        _cleanup_buf_ struct buf data = {0};
        uint64_t pcr, payload_pcr;

        *e = (struct plan_event){.event.index = plan->n_events};
        if (!number_from_json(object, "register", PCR_COUNT - 1, &pcr) ||
                        !(plan->touched & 1u << pcr) || kind_from_json(object, &e->kind) < 0 ||
                        type_from_json(object, &e->event.type) < 0 ||
                        digests_from_json(object, &plan->banks, &e->event.digests) < 0 ||
                        !hex_from_json(object, "data", &data))
                return -EINVAL;
        payload_pcr = pcr;
        if (e->kind == PLAN_PAYLOAD &&
                        !number_from_json(object, "payload_pcr", PCR_COUNT - 1, &payload_pcr))
                return -EINVAL;
        e->event.pcr = (uint32_t)pcr;
        e->payload_pcr = (uint32_t)payload_pcr;
        e->event.data = buf_span(&data);
        data = (struct buf){0};
        plan->n_events++;
        return 0;
}

static int events_from_json(struct json_object *object, struct plan *plan, struct error *error)
{
        struct json_object *array;
        size_t n;

        if (!json_object_object_get_ex(object, "events", &array) ||
                        !json_object_is_type(array, json_type_array))
                return error_set(error, EINVAL, "the state has no events");
        n = json_object_array_length(array);
        plan->events = calloc(n + 1, sizeof(*plan->events));
        if (!plan->events)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++)
                if (event_from_json(json_object_array_get_idx(array, i), plan) < 0)
                        return error_set(error, EINVAL, "event %zu of the state is malformed", i);
        return 0;
}

/* A text that json-c had no memory for is short or missing: of what was read the digests must be
 * those of the own events' data, and the ledger must know the others' data. */
static bool is_own_event_whole(const struct plan *plan, const struct tcg_event *event)
{
        struct digests digests;

        if (hash_span(&plan->banks, event->data, &digests) < 0)
                return false;
        for (size_t b = 0; b < digests.n; b++) {
                const struct digest *found = digests_find(&event->digests, digests.d[b].alg->id);

                if (!found || memcmp(found->bytes, digests.d[b].bytes, found->alg->size) != 0)
                        return false;
        }
        return true;
}

static bool is_in_ledger(const struct plan_event *e, const struct hop_open *open, size_t i)
{
        const struct banks sha256 = {.n = 1, .alg = {alg_by_id(TPM_ALG_SHA256)}};
        struct hop_ledger_entry entry;
        struct digests digests;

        if (i >= open->n_events || hash_span(&sha256, e->event.data, &digests) < 0)
                return false;
        entry = hop_ledger_at(open, i);
        return entry.payload_pcr == e->payload_pcr && entry.type == e->event.type &&
               memcmp(entry.data_sha256, digests.d[0].bytes, 32) == 0;
}

static bool explains_itself(const struct plan *plan)
{
        struct hop_open open;
        size_t n = 0;

        if (plan->n_events == 0 || plan->events[0].kind != PLAN_OPEN ||
                        hop_open_decode(plan->events[0].event.data, &open, NULL) < 0)
                return false;
        for (size_t i = 0; i < plan->n_events; i++) {
                const struct plan_event *e = &plan->events[i];

                if (e->kind == PLAN_PAYLOAD ? !is_in_ledger(e, &open, n++)
                                            : !is_own_event_whole(plan, &e->event))
                        return false;
        }
        return n == open.n_events;
}

int plan_state_from_json(struct json_object *object, struct plan *ret, struct error *error)
{
        _cleanup_(plan_release) struct plan plan = {0};
        struct json_object *member;
        uint64_t hop, registers, touched;
        uint32_t given;
        int r;

        if (!json_object_object_get_ex(object, "banks", &member))
                return error_set(error, EINVAL, "the state names no banks");
        r = banks_from_json(member, &plan.banks, error);
        if (r == 0)
                r = banks_from_json(json_object_object_get(object, "log_banks"), &plan.log_banks,
                                error);
        if (r < 0)
                return r;
        if (!number_from_json(object, "hop", UINT32_MAX, &hop) ||
                        !number_from_json(object, "registers_mask", 0xffff, &registers) ||
                        !number_from_json(object, "touched_mask", 0xffff, &touched) ||
                        (registers & ~touched) ||
                        !json_object_object_get_ex(object, "start", &member))
                return error_set(error, EINVAL, "the state is incomplete");
        plan.hop = (uint32_t)hop;
        plan.registers = (uint32_t)registers;
        plan.touched = (uint32_t)touched;
        for (size_t b = 0; b < plan.banks.n; b++)
                for (size_t pcr = 0; pcr < PCR_COUNT; pcr++)
                        plan.start[b][pcr].alg = plan.banks.alg[b];
        r = pcrs_from_json(member, &plan.banks, plan.start, &given, error);
        if (r == 0 && given != plan.touched)
                r = error_set(error, EINVAL, "the state has values for other PCRs than it touches");
        if (r == 0)
                r = events_from_json(object, &plan, error);
        if (r < 0)
                return r;
        if (!explains_itself(&plan))
                return error_set(error, EINVAL, "the state's events aren't what its ledger says");
        r = plan_compute(&plan);
        if (r < 0)
                return error_set(error, -r, "can't compute the registers: %s", strerror(-r));
        *ret = plan;
        plan = (struct plan){0};
        return 0;
}
