/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events, timers and task priority as the core sees them (UEFI 2.10, 7.1); the rest is in
 * internal.h. */
#pragma once

#include "shim/firmware/internal.h"

#define EVENT_BASE 0x00f1000000000000ull
#define EVENT_STEP 16u

enum {
        TPL_APPLICATION = 4,
        TPL_CALLBACK = 8,
        TPL_NOTIFY = 16,
        TPL_HIGH_LEVEL = 31,
};

#define EVT_TIMER                         0x80000000u
#define EVT_RUNTIME                       0x40000000u
#define EVT_NOTIFY_WAIT                   0x00000100u
#define EVT_NOTIFY_SIGNAL                 0x00000200u
#define EVT_SIGNAL_EXIT_BOOT_SERVICES     0x00000201u
#define EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE 0x60000202u

extern const EFI_GUID event_group_exit_boot_services, event_group_virtual_address_change;

/* EFI_TIMER_DELAY */
enum { TimerCancel, TimerPeriodic, TimerRelative };

/* For traces: 1 for the first event, 0 for what isn't one. */
static inline uint64_t event_number(uint64_t event)
{
        uint64_t offset = event - EVENT_BASE;

        return event >= EVENT_BASE && offset < 1ull << 40 ? offset / EVENT_STEP : 0;
}

int events_setup(struct firmware *fw, struct error *error);
void events_release(struct firmware *fw);

/* Runs the notify functions that are due at the present priority, in the guest. Called when a
 * service is done. */
void events_run_pending(struct firmware *fw);
uint64_t events_tpl(const struct firmware *fw);
/* Sets the priority; what becomes due by lowering it runs with the next events_run_pending. */
void events_set_tpl(struct firmware *fw, uint64_t tpl);

EFI_STATUS event_check(struct firmware *fw, uint64_t event);
EFI_STATUS event_set_timer(
                struct firmware *fw, uint64_t event, uint64_t type, uint64_t units_100ns);
/* Waits for one of the events; a clock that nobody looks at is turned forward instead of slept
 * away. */
EFI_STATUS events_wait(struct firmware *fw, const uint64_t *events, size_t n, size_t *index);
/* Turns the clock forward from timer to timer, so that each of them fires as often as it would. */
void events_skip_time(struct firmware *fw, uint64_t units_100ns);
/* Before- and ExitBootServices groups; timers are off from then on. */
void events_before_exit_boot_services(struct firmware *fw);
void events_exit_boot_services(struct firmware *fw);
