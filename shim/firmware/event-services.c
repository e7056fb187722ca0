/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The edges of the event, timer and task priority services (UEFI 2.10, 7.1). */
#include "shim/firmware/boot-services.h"
#include "shim/firmware/events.h"

#define MAX_WAIT_EVENTS 64u

/* RaiseTPL and RestoreTPL have no way to refuse; going the wrong way is a bug of the payload, which
 * edk2 asserts on and which is named in the trace here. */
BOOT_SERVICE(raise_tpl)
{
        uint64_t before = events_tpl(fw);

        if (arg[0] < before || arg[0] > TPL_HIGH_LEVEL)
                fw_trace(fw, "  RaiseTPL(%llu) from %llu: ignored", (unsigned long long)arg[0],
                                (unsigned long long)before);
        else
                events_set_tpl(fw, arg[0]);
        return before;
}

BOOT_SERVICE(restore_tpl)
{
        if (arg[0] > events_tpl(fw) || arg[0] < TPL_APPLICATION)
                fw_trace(fw, "  RestoreTPL(%llu) from %llu: ignored", (unsigned long long)arg[0],
                                (unsigned long long)events_tpl(fw));
        else
                events_set_tpl(fw, arg[0]);
        return EFI_SUCCESS;
}

/* The combinations of 7.1.1; the two SIGNAL_ types are groups by another name. */
static bool type_is_valid(uint32_t type)
{
        switch (type & ~EVT_RUNTIME) {
        case 0:
        case EVT_TIMER:
        case EVT_NOTIFY_WAIT:
        case EVT_NOTIFY_SIGNAL:
        case EVT_TIMER | EVT_NOTIFY_WAIT:
        case EVT_TIMER | EVT_NOTIFY_SIGNAL:
                return true;
        default:
                return false;
        }
}

static EFI_STATUS create(struct firmware *fw, const uint64_t arg[], const EFI_GUID *group,
                uint64_t event_pointer)
{
        uint32_t type = (uint32_t)arg[0];
        bool notifies = type & (EVT_NOTIFY_WAIT | EVT_NOTIFY_SIGNAL);
        uint64_t event, before;
        EFI_STATUS status;

        if (!type_is_valid(type) || !ram_get_u64(fw->ram, event_pointer, &before))
                return EFI_INVALID_PARAMETER;
        if (notifies && (!arg[2] || arg[1] <= TPL_APPLICATION || arg[1] >= TPL_HIGH_LEVEL))
                return EFI_INVALID_PARAMETER;
        status = fw_event_new(fw, type, notifies ? arg[1] : 0, notifies ? arg[2] : 0,
                        notifies ? arg[3] : 0, group, &event);
        if (efi_error(status))
                return status;
        return ram_put_u64(fw->ram, event_pointer, event) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

/* CreateEvent(Type, NotifyTpl, NotifyFunction, NotifyContext, *Event) */
BOOT_SERVICE(create_event)
{
        uint64_t plain[4] = {arg[0], arg[1], arg[2], arg[3]};
        const EFI_GUID *group = NULL;

        if ((uint32_t)arg[0] == EVT_SIGNAL_EXIT_BOOT_SERVICES)
                group = &event_group_exit_boot_services;
        else if ((uint32_t)arg[0] == EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE)
                group = &event_group_virtual_address_change;
        if (group)
                plain[0] = EVT_NOTIFY_SIGNAL;
        return create(fw, plain, group, arg[4]);
}

/* CreateEventEx(Type, NotifyTpl, NotifyFunction, NotifyContext, *EventGroup, *Event) */
BOOT_SERVICE(create_event_ex)
{
        EFI_GUID group;

        if (!arg[4]) {
                const uint64_t without_group[5] = {arg[0], arg[1], arg[2], arg[3], arg[5]};

                return bs_create_event(fw, without_group);
        }
        if (!fw_get_guid(fw, arg[4], &group))
                return EFI_INVALID_PARAMETER;
        return create(fw, arg, &group, arg[5]);
}

BOOT_SERVICE(set_timer)
{
        return event_set_timer(fw, arg[0], (uint32_t)arg[1], arg[2]);
}

/* WaitForEvent(NumberOfEvents, *Event, *Index) */
BOOT_SERVICE(wait_for_event)
{
        uint64_t events[MAX_WAIT_EVENTS];
        EFI_STATUS status;
        size_t index = 0;

        if (events_tpl(fw) != TPL_APPLICATION) /* before anything else, as in edk2 */
                return EFI_UNSUPPORTED;
        if (!arg[0] || arg[0] > MAX_WAIT_EVENTS ||
                        !ram_read(fw->ram, arg[1], events, arg[0] * sizeof(events[0])))
                return EFI_INVALID_PARAMETER;
        status = events_wait(fw, events, (size_t)arg[0], &index);
        if (fw->ended || fw->unwind_to)
                return status;
        return ram_put_u64(fw->ram, arg[2], index) ? status : EFI_INVALID_PARAMETER;
}

BOOT_SERVICE(signal_event)
{
        return fw_event_signal(fw, arg[0]);
}

BOOT_SERVICE(close_event)
{
        return fw_event_close(fw, arg[0]);
}

BOOT_SERVICE(check_event)
{
        return event_check(fw, arg[0]);
}
