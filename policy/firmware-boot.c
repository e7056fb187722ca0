/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/firmware-boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/reference-values.h"

#define BOOT_PCR 4 /* boot manager code and its attempts */

static const struct {
        const char *word;
        uint32_t type;
        const char *data;
        size_t size;
} rows[] = {
                [FIRMWARE_ACTION] = {"action", EV_EFI_ACTION,
                                "Calling EFI Application from Boot Option", 40},
                [FIRMWARE_SEPARATOR] = {"separator", EV_SEPARATOR, "\0\0\0\0", 4},
};

static bool take_word(const char *word, size_t length, struct firmware_events *events)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (strlen(rows[i].word) == length && memcmp(rows[i].word, word, length) == 0 &&
                                events->n < FIRMWARE_EVENTS_MAX) {
                        events->event[events->n++] = (enum firmware_event)i;
                        return true;
                }
        return false;
}

int firmware_events_parse(const char *text, struct firmware_events *ret, struct error *error)
{
        struct firmware_events events = {0};
        const char *at = text ? text : "action,separator";

        while (strcmp(at, "none") != 0) {
                size_t length = strcspn(at, ",");

                if (!take_word(at, length, &events))
                        return error_set(error, EINVAL,
                                        "'%s': wanted action and separator in their order, or none",
                                        text);
                at += length;
                if (*at++ != ',')
                        break;
        }
        *ret = events;
        return 0;
}

static int add(struct firmware_boot *boot, const struct plan_event *event)
{
        struct tcg_event seen = event->event;

        seen.pcr = event->payload_pcr;
        boot->events[boot->n_events] = *event;
        boot->events[boot->n_events].event.pcr = event->payload_pcr;
        boot->n_events++;
        return replay_extend(&boot->pcrs, &seen);
}

static int add_own(struct firmware_boot *boot, const struct banks *banks, enum firmware_event which)
{
        struct plan_event event = {.kind = PLAN_OPEN,
                        .payload_pcr = BOOT_PCR,
                        .event = {.type = rows[which].type,
                                        .data = SPAN(rows[which].data, rows[which].size)}};
        int r = hash_span(banks, event.event.data, &event.event.digests);

        return r < 0 ? r : add(boot, &event);
}

int firmware_boot_make(const struct plan *plan, const struct firmware_events *before,
                struct firmware_boot *ret)
{
        _cleanup_(firmware_boot_release) struct firmware_boot boot = {0};
        int r = 0;

        boot.events = calloc(plan->n_events + before->n + 1, sizeof(*boot.events));
        if (!boot.events)
                return -ENOMEM;
        replay_start_zero(&boot.pcrs, &plan->banks);
        for (size_t i = 0; r == 0 && i < before->n; i++)
                r = add_own(&boot, &plan->banks, before->event[i]);
        for (size_t i = 0; r == 0 && i < plan->n_events; i++)
                if (plan->events[i].kind == PLAN_PAYLOAD &&
                                REFERENCE_VIEW & 1u << plan->events[i].payload_pcr)
                        r = add(&boot, &plan->events[i]);
        if (r < 0)
                return r;
        *ret = boot;
        boot = (struct firmware_boot){0};
        return 0;
}

void firmware_boot_release(struct firmware_boot *boot)
{
        free(boot->events);
        *boot = (struct firmware_boot){0};
}
