/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has a protocol open: OpenProtocol, CloseProtocol, OpenProtocolInformation (UEFI 2.10, 7.3.9
 * to 7.3.11), with edk2's rules. There are no drivers here that could be asked to let go, so what a
 * driver (of the payload) holds stays held. */
#include <stdlib.h>
#include <string.h>

#include "shim/firmware/handles.h"

#define MAX_OPENS 256u /* of one interface */

/* Opens that only looked: they don't keep an interface from being uninstalled. */
#define LOOKED_ONLY                                                              \
        (EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL | EFI_OPEN_PROTOCOL_GET_PROTOCOL | \
                        EFI_OPEN_PROTOCOL_TEST_PROTOCOL)

bool handle_opens_block_removal(const struct handle_interface *i)
{
        for (size_t k = 0; k < i->n_opens; k++)
                if (!(i->opens[k].attributes & LOOKED_ONLY))
                        return true;
        return false;
}

static EFI_STATUS check_parties(const struct firmware *fw, uint64_t handle, uint64_t agent,
                uint64_t controller, uint32_t attributes)
{
        switch (attributes) {
        case EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER:
                if (controller == handle)
                        return EFI_INVALID_PARAMETER;
                /* fall through */
        case EFI_OPEN_PROTOCOL_BY_DRIVER:
        case EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE:
                return handle_exists(fw, agent) && handle_exists(fw, controller)
                                       ? EFI_SUCCESS
                                       : EFI_INVALID_PARAMETER;
        case EFI_OPEN_PROTOCOL_EXCLUSIVE:
                return handle_exists(fw, agent) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
        case EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL:
        case EFI_OPEN_PROTOCOL_GET_PROTOCOL:
        case EFI_OPEN_PROTOCOL_TEST_PROTOCOL:
                return EFI_SUCCESS;
        default:
                return EFI_INVALID_PARAMETER;
        }
}

/* Counts one more user. EFI_ALREADY_STARTED and EFI_ACCESS_DENIED as in the table of 7.3.9. */
static EFI_STATUS open_add(struct handle_interface *i, const struct handle_open *open)
{
        bool by_driver = false, exclusive = false;
        struct handle_open *grown;

        for (size_t k = 0; k < i->n_opens; k++) {
                struct handle_open *o = i->opens + k;

                if (o->agent == open->agent && o->controller == open->controller &&
                                o->attributes == open->attributes) {
                        if (open->attributes & EFI_OPEN_PROTOCOL_BY_DRIVER)
                                return EFI_ALREADY_STARTED;
                        if (open->attributes & EFI_OPEN_PROTOCOL_EXCLUSIVE)
                                return EFI_ACCESS_DENIED; /* its own, too, as in edk2 */
                        o->count++;
                        return EFI_SUCCESS;
                }
                by_driver |= !!(o->attributes & EFI_OPEN_PROTOCOL_BY_DRIVER);
                exclusive |= !!(o->attributes & EFI_OPEN_PROTOCOL_EXCLUSIVE);
        }
        if (open->attributes & (EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE) &&
                        (by_driver || exclusive))
                return EFI_ACCESS_DENIED;
        if (i->n_opens >= MAX_OPENS)
                return EFI_OUT_OF_RESOURCES;
        grown = reallocarray(i->opens, i->n_opens + 1, sizeof(*grown));
        if (!grown)
                return EFI_OUT_OF_RESOURCES;
        i->opens = grown;
        i->opens[i->n_opens++] = *open;
        return EFI_SUCCESS;
}

EFI_STATUS handle_open_protocol(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t agent, uint64_t controller, uint32_t attributes, uint64_t *interface)
{
        const struct handle_open open = {agent, controller, attributes, 1};
        struct handle_interface *i;
        EFI_STATUS status;

        if (!handle_exists(fw, handle))
                return EFI_INVALID_PARAMETER;
        status = check_parties(fw, handle, agent, controller, attributes);
        if (efi_error(status))
                return status;
        i = handle_find_interface(fw, handle, protocol);
        if (!i)
                return EFI_UNSUPPORTED;
        if (agent) { /* who doesn't name itself leaves no trace */
                status = open_add(i, &open);
                if (efi_error(status)) {
                        /* 7.3.9: an interface that is open by the same agent is returned with this
                         * status. */
                        if (status == EFI_ALREADY_STARTED)
                                *interface = i->interface;
                        return status;
                }
        }
        *interface = i->interface;
        return EFI_SUCCESS;
}

EFI_STATUS handle_close_protocol(struct firmware *fw, uint64_t handle, const EFI_GUID *protocol,
                uint64_t agent, uint64_t controller)
{
        struct handle_interface *i = handle_find_interface(fw, handle, protocol);
        size_t kept = 0, before;

        if (!handle_exists(fw, handle) || !handle_exists(fw, agent) ||
                        (controller && !handle_exists(fw, controller)))
                return EFI_INVALID_PARAMETER;
        if (!i)
                return EFI_NOT_FOUND;
        before = i->n_opens;
        for (size_t k = 0; k < before; k++)
                if (i->opens[k].agent != agent || i->opens[k].controller != controller)
                        i->opens[kept++] = i->opens[k];
        i->n_opens = kept;
        return kept < before ? EFI_SUCCESS : EFI_NOT_FOUND;
}

EFI_STATUS handle_open_information(const struct firmware *fw, uint64_t handle,
                const EFI_GUID *protocol, struct handle_open **ret, size_t *n)
{
        const struct handle_interface *i = handle_find_interface(fw, handle, protocol);
        struct handle_open *list;

        if (!i)
                return EFI_NOT_FOUND;
        list = calloc(i->n_opens + 1, sizeof(*list));
        if (!list)
                return EFI_OUT_OF_RESOURCES;
        if (i->n_opens)
                memcpy(list, i->opens, i->n_opens * sizeof(*list));
        *ret = list;
        *n = i->n_opens;
        return EFI_SUCCESS;
}

void handles_close_agent(struct firmware *fw, uint64_t agent)
{
        size_t n;
        struct handle **handles = handles_all(fw, &n);

        for (size_t k = 0; k < n; k++)
                for (size_t p = 0; p < handles[k]->n; p++) {
                        struct handle_interface *i = handles[k]->interfaces + p;
                        size_t kept = 0;

                        for (size_t o = 0; o < i->n_opens; o++)
                                if (i->opens[o].agent != agent)
                                        i->opens[kept++] = i->opens[o];
                        i->n_opens = kept;
                }
}
