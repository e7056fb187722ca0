/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/hop.h"

/* A UKI with all its sidecars makes fewer than 100 events of a few hundred bytes. */
#define DEFAULT_DATA_BYTES ((size_t)4 * 1024 * 1024)

void record_init(struct record *record, const struct banks *banks, struct record_limits limits)
{
        *record = (struct record){.banks = *banks, .limits = limits};
        if (record->limits.n_events == 0)
                record->limits.n_events = HOP_EVENTS_MAX;
        if (record->limits.data_bytes == 0)
                record->limits.data_bytes = DEFAULT_DATA_BYTES;
}

void record_release(struct record *record)
{
        for (size_t i = 0; i < record->n; i++)
                free((void *)record->events[i].data.data);
        free(record->events);
        *record = (struct record){};
}

static bool banks_match(const struct banks *banks, const struct digests *digests)
{
        if (digests->n != banks->n)
                return false;
        for (size_t i = 0; i < banks->n; i++)
                if (digests->d[i].alg != banks->alg[i])
                        return false;
        return true;
}

static int check(const struct record *record, const struct recorded_event *event,
                struct error *error)
{
        if (event->payload_pcr >= PCR_COUNT || event->type == EV_NO_ACTION ||
                        !banks_match(&record->banks, &event->digests))
                return error_set(error, EINVAL,
                                "event for payload PCR %u (type 0x%x) can't be recorded",
                                event->payload_pcr, event->type);
        /* include/linux/tpm_eventlog.h, __calc_tpm2_event_size: the second kernel would show no
         * event from there on, and the hop would never check. */
        if (event->type == 0 && event->data.size == 0)
                return error_set(error, EINVAL,
                                "an event of type 0 without data can't be recorded: Linux takes it "
                                "for the end of the log");
        if (record->n >= record->limits.n_events)
                return error_set(error, ENOSPC, "the payload measures more than %zu events",
                                record->limits.n_events);
        if (event->data.size > record->limits.data_bytes - record->data_bytes)
                return error_set(error, ENOSPC,
                                "the payload's events have more than %zu bytes of data",
                                record->limits.data_bytes);
        return 0;
}

int record_add(struct record *record, const struct recorded_event *event, struct error *error)
{
        _cleanup_free_ uint8_t *copy = NULL;
        struct recorded_event *events;
        int r;

        r = check(record, event, error);
        if (r < 0)
                return r;
        copy = malloc(event->data.size ? event->data.size : 1);
        if (!copy)
                return error_set(error, ENOMEM, "no memory for a measured event");
        if (event->data.size > 0)
                memcpy(copy, event->data.data, event->data.size);
        if ((record->n & (record->n + 1)) == 0) { /* 0, 1, 3, 7: the array is full, double it */
                events = reallocarray(record->events, 2 * record->n + 1, sizeof(*events));
                if (!events)
                        return error_set(error, ENOMEM, "no memory for a measured event");
                record->events = events;
        }
        record->events[record->n] = *event;
        record->events[record->n].data = SPAN(copy, event->data.size);
        record->n++;
        record->data_bytes += event->data.size;
        copy = NULL;
        return 0;
}
