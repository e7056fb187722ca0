/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events, timers and task priority levels (UEFI 2.10, 7.1). Nothing happens behind the payload's
 * back: timers are looked at and notify functions run only when a service returns or waits. A
 * payload that spins on a flag without calling anything never sees its timer; its deadline ends it.
 */
#include "shim/firmware/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "shim/firmware/memory.h"
#include "shim/firmware/handles.h"

#define MAX_EVENTS     1024u
#define MAX_WAIT_STEPS 100000u
#define TICK_100NS     100000u /* 10 ms, what edk2 calls a timer tick; no period is shorter */

const EFI_GUID event_group_exit_boot_services = {
                0x27abf055, 0xb1b8, 0x4c26, {0x80, 0x48, 0x74, 0x8f, 0x37, 0xba, 0xa2, 0xdf}};
static const EFI_GUID group_before_exit_boot_services = {
                0x8be0e274, 0x3970, 0x4b44, {0x80, 0xc5, 0x1a, 0xb9, 0x50, 0x2f, 0x3b, 0xfc}};
static const EFI_GUID group_memory_map_change = {
                0x78bee926, 0x692f, 0x48fd, {0x9e, 0xdb, 0x01, 0x42, 0x2e, 0xf0, 0xd7, 0xab}};
const EFI_GUID event_group_virtual_address_change = {
                0x13fa7698, 0xc831, 0x49c7, {0x87, 0xea, 0x8f, 0x43, 0xfc, 0xc2, 0x51, 0x96}};

struct event {
        uint64_t id;
        uint32_t type;
        uint64_t tpl, notify, context;
        bool has_group;
        EFI_GUID group;
        bool signaled;
        bool queued; /* its notify function is to run */
        uint64_t queued_at;
        bool armed;
        uint64_t due, period; /* 100 ns; period 0: once */
};

struct fw_events {
        struct event *events; /* ascending by id */
        size_t n, capacity;
        uint64_t n_made, n_queued;
        uint64_t tpl;
        uint64_t started, skipped; /* 100 ns */
        uint64_t map_key;          /* whose change the group was told of */
};

/* ---- the clock ---- */

uint64_t fw_clock(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 10000000u + (uint64_t)now.tv_nsec / 100u;
}

uint64_t fw_now(const struct firmware *fw)
{
        return fw_clock() - fw->events->started + fw->events->skipped;
}

void fw_skip_time(struct firmware *fw, uint64_t units_100ns)
{
        uint64_t room = UINT64_MAX / 4 - fw->events->skipped;

        fw->events->skipped += units_100ns < room ? units_100ns : room;
}

uint64_t fw_skipped_time(const struct firmware *fw)
{
        return fw->events->skipped;
}

int events_setup(struct firmware *fw, struct error *error)
{
        fw->events = calloc(1, sizeof(*fw->events));
        if (!fw->events)
                return error_set(error, ENOMEM, "out of memory");
        fw->events->tpl = TPL_APPLICATION;
        fw->events->started = fw_clock();
        return 0;
}

void events_release(struct firmware *fw)
{
        if (fw->events)
                free(fw->events->events);
        free(fw->events);
        fw->events = NULL;
}

/* ---- finding, making, closing ---- */

static struct event *event_find(const struct firmware *fw, uint64_t id)
{
        for (size_t i = 0; i < fw->events->n; i++)
                if (fw->events->events[i].id == id)
                        return fw->events->events + i;
        return NULL;
}

bool fw_event_exists(const struct firmware *fw, uint64_t event)
{
        return event_find(fw, event);
}

EFI_STATUS fw_event_new(struct firmware *fw, uint32_t type, uint64_t notify_tpl,
                uint64_t notify_function, uint64_t notify_context, const EFI_GUID *group,
                uint64_t *event)
{
        struct fw_events *all = fw->events;

        if (all->n >= MAX_EVENTS)
                return EFI_OUT_OF_RESOURCES;
        if (all->n == all->capacity) {
                size_t capacity = all->capacity ? 2 * all->capacity : 32;
                struct event *grown = reallocarray(all->events, capacity, sizeof(*grown));

                if (!grown)
                        return EFI_OUT_OF_RESOURCES;
                all->events = grown;
                all->capacity = capacity;
        }
        all->events[all->n++] = (struct event){
                        .id = EVENT_BASE + EVENT_STEP * ++all->n_made,
                        .type = type,
                        .tpl = notify_tpl,
                        .notify = notify_function,
                        .context = notify_context,
                        .has_group = group,
                        .group = group ? *group : (EFI_GUID){0},
        };
        *event = all->events[all->n - 1].id;
        return EFI_SUCCESS;
}

EFI_STATUS fw_event_close(struct firmware *fw, uint64_t event)
{
        struct event *e = event_find(fw, event);

        if (!e)
                return EFI_INVALID_PARAMETER;
        memmove(e, e + 1, (size_t)(fw->events->events + --fw->events->n - e) * sizeof(*e));
        handles_forget_event(fw, event);
        return EFI_SUCCESS;
}

/* ---- signalling ---- */

static void event_queue(struct firmware *fw, struct event *e)
{
        if (!e->notify || e->queued)
                return;
        e->queued = true;
        e->queued_at = ++fw->events->n_queued;
}

static void event_signal_one(struct firmware *fw, struct event *e)
{
        if (e->signaled)
                return;
        e->signaled = true;
        if (e->type & EVT_NOTIFY_SIGNAL)
                event_queue(fw, e);
}

void fw_event_signal_group(struct firmware *fw, const EFI_GUID *group)
{
        for (size_t i = 0; i < fw->events->n; i++) {
                struct event *e = fw->events->events + i;

                if (e->has_group && guid_equal(&e->group, group))
                        event_signal_one(fw, e);
        }
}

EFI_STATUS fw_event_signal(struct firmware *fw, uint64_t event)
{
        struct event *e = event_find(fw, event);
        EFI_GUID group;

        if (!e)
                return EFI_INVALID_PARAMETER;
        if (e->has_group) {
                group = e->group;
                fw_event_signal_group(fw, &group);
        } else
                event_signal_one(fw, e);
        return EFI_SUCCESS;
}

static void timers_check(struct firmware *fw)
{
        uint64_t now = 0;

        for (size_t i = 0; i < fw->events->n; i++) {
                struct event *e = fw->events->events + i;

                if (!e->armed)
                        continue;
                now = now ? now : fw_now(fw);
                if (e->due > now)
                        continue;
                e->armed = e->period;
                if (e->period)
                        e->due = now + e->period;
                event_signal_one(fw, e);
        }
}

/* ---- notify functions ---- */

static struct event *next_queued(const struct firmware *fw)
{
        struct event *best = NULL;

        for (size_t i = 0; i < fw->events->n; i++) {
                struct event *e = fw->events->events + i;

                if (!e->queued || e->tpl <= fw->events->tpl)
                        continue;
                if (!best || e->tpl > best->tpl ||
                                (e->tpl == best->tpl && e->queued_at < best->queued_at))
                        best = e;
        }
        return best;
}

void events_run_pending(struct firmware *fw)
{
        struct event *e;

        timers_check(fw);
        if (fw->events->map_key != memory_map_key(fw)) {
                fw->events->map_key = memory_map_key(fw);
                fw_event_signal_group(fw, &group_memory_map_change);
        }
        while ((e = next_queued(fw))) {
                const uint64_t args[2] = {e->id, e->context};
                uint64_t before = fw->events->tpl, ignored;
                int r;

                e->queued = false;
                if (e->type & EVT_NOTIFY_SIGNAL)
                        e->signaled = false;
                fw->events->tpl = e->tpl;
                fw_trace(fw, "  notify function of event#%llu",
                                (unsigned long long)event_number(args[0]));
                r = fw_call(fw, e->notify, args, 2, &ignored);
                fw->events->tpl = before;
                if (r == -ELOOP)
                        fw_stop(fw, "notify functions are nested too deeply");
                if (r < 0)
                        return;
        }
}

uint64_t events_tpl(const struct firmware *fw)
{
        return fw->events->tpl;
}

void events_set_tpl(struct firmware *fw, uint64_t tpl)
{
        fw->events->tpl = tpl;
}

/* ---- checking and waiting ---- */

EFI_STATUS event_check(struct firmware *fw, uint64_t event)
{
        struct event *e = event_find(fw, event);

        if (!e || e->type & EVT_NOTIFY_SIGNAL)
                return EFI_INVALID_PARAMETER;
        timers_check(fw);
        if (!e->signaled && e->type & EVT_NOTIFY_WAIT) {
                event_queue(fw, e);
                events_run_pending(fw);
                e = event_find(fw, event); /* its function may have closed it */
                if (!e)
                        return EFI_INVALID_PARAMETER;
        }
        if (!e->signaled) {
                if (event == fw->key_event)
                        fw_key_asked(fw);
                return EFI_NOT_READY;
        }
        e->signaled = false;
        return EFI_SUCCESS;
}

EFI_STATUS event_set_timer(struct firmware *fw, uint64_t event, uint64_t type, uint64_t units_100ns)
{
        struct event *e = event_find(fw, event);
        uint64_t now = fw_now(fw), delay = units_100ns;

        if (!e || !(e->type & EVT_TIMER) || type > TimerRelative)
                return EFI_INVALID_PARAMETER;
        if (delay > UINT64_MAX / 4)
                delay = UINT64_MAX / 4;
        if (type == TimerPeriodic && delay < TICK_100NS)
                delay = TICK_100NS;
        e->armed = type != TimerCancel;
        e->period = type == TimerPeriodic ? delay : 0;
        e->due = now + delay;
        return EFI_SUCCESS;
}

/* When the next timer fires, at most at end. */
static uint64_t next_due(const struct firmware *fw, uint64_t end)
{
        for (size_t i = 0; i < fw->events->n; i++)
                if (fw->events->events[i].armed && fw->events->events[i].due < end)
                        end = fw->events->events[i].due;
        return end;
}

static bool turn_clock_forward(struct firmware *fw)
{
        uint64_t now = fw_now(fw), due = next_due(fw, UINT64_MAX);

        if (due == UINT64_MAX)
                return false;
        if (due > now)
                fw_skip_time(fw, due - now);
        return true;
}

void events_skip_time(struct firmware *fw, uint64_t units_100ns)
{
        uint64_t now = fw_now(fw),
                 end = units_100ns < UINT64_MAX - now ? now + units_100ns : UINT64_MAX;

        for (unsigned step = 0; step < MAX_WAIT_STEPS && now < end; step++) {
                uint64_t due = next_due(fw, end);

                fw_skip_time(fw, due > now ? due - now : 0);
                if (due == end)
                        return; /* what fires now runs when the service is done */
                events_run_pending(fw);
                if (fw->ended || fw->unwind_to)
                        return;
                now = fw_now(fw);
        }
        if (now < end)
                fw_skip_time(fw, end - now);
}

EFI_STATUS events_wait(struct firmware *fw, const uint64_t *events, size_t n, size_t *index)
{
        for (unsigned step = 0; step < MAX_WAIT_STEPS && !fw_out_of_time(fw); step++) {
                for (size_t i = 0; i < n; i++) {
                        EFI_STATUS status = event_check(fw, events[i]);

                        if (fw->ended || fw->unwind_to)
                                return EFI_ABORTED;
                        if (status == EFI_NOT_READY)
                                continue;
                        *index = i;
                        return status;
                }
                if (!turn_clock_forward(fw))
                        break;
                events_run_pending(fw);
                if (fw->ended || fw->unwind_to)
                        return EFI_ABORTED;
        }
        if (!fw->ended)
                fw_stop(fw, "the payload waits for an event that can't come");
        return EFI_ABORTED;
}

/* ---- the ends of boot services ---- */

void events_before_exit_boot_services(struct firmware *fw)
{
        fw_event_signal_group(fw, &group_before_exit_boot_services);
        events_run_pending(fw);
}

void events_exit_boot_services(struct firmware *fw)
{
        for (size_t i = 0; i < fw->events->n; i++)
                fw->events->events[i].armed = false;
        fw_event_signal_group(fw, &event_group_exit_boot_services);
        events_run_pending(fw);
}

void fw_event_virtual_address_change(struct firmware *fw)
{
        fw_event_signal_group(fw, &event_group_virtual_address_change);
        events_run_pending(fw);
}
