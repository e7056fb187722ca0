/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The edges of the protocol handler services that install, open and list (UEFI 2.10, 7.3). */
#include "base/cleanup.h"
#include "shim/firmware/boot-services.h"
#include "base/device-path.h"
#include "shim/firmware/handles.h"

#define EFI_NATIVE_INTERFACE 0u
#define MAX_PAIRS            32u

/* The variadic services take (EFI_GUID *, interface) pairs up to a NULL, from registers and stack
 * alike. */
struct pair {
        EFI_GUID guid;
        uint64_t interface;
};

static bool get_pairs(struct firmware *fw, struct pair pairs[MAX_PAIRS], size_t *n)
{
        for (size_t i = 0; i <= MAX_PAIRS; i++) {
                uint64_t guid;

                if (!fw_stack_arg(fw, 1 + 2 * i, &guid))
                        return false;
                if (!guid) {
                        *n = i;
                        return true;
                }
                if (i == MAX_PAIRS || !fw_get_guid(fw, guid, &pairs[i].guid) ||
                                !fw_stack_arg(fw, 2 + 2 * i, &pairs[i].interface))
                        return false;
        }
        return false;
}

/* InstallProtocolInterface(*Handle, *Protocol, InterfaceType, Interface) */
BOOT_SERVICE(install_protocol_interface)
{
        uint64_t handle;
        EFI_STATUS status;
        EFI_GUID guid;

        if (!ram_get_u64(fw->ram, arg[0], &handle) || !fw_get_guid(fw, arg[1], &guid) ||
                        (uint32_t)arg[2] != EFI_NATIVE_INTERFACE)
                return EFI_INVALID_PARAMETER;
        status = fw_install_protocol(fw, &handle, &guid, arg[3]);
        if (efi_error(status))
                return status;
        return ram_put_u64(fw->ram, arg[0], handle) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

/* 7.3.17: a device path may exist only once. */
static bool device_path_taken(struct firmware *fw, const struct pair *pair)
{
        _cleanup_buf_ struct buf path = {0};

        return guid_equal(&pair->guid, &guid_device_path) && pair->interface &&
               fw_get_device_path(fw, pair->interface, &path) &&
               handle_with_device_path(fw, buf_span(&path));
}

/* InstallMultipleProtocolInterfaces(*Handle, ...): all or nothing. */
BOOT_SERVICE(install_multiple_protocol_interfaces)
{
        struct pair pairs[MAX_PAIRS];
        EFI_STATUS status = EFI_SUCCESS;
        uint64_t handle;
        size_t n, done;

        if (!ram_get_u64(fw->ram, arg[0], &handle) || !get_pairs(fw, pairs, &n))
                return EFI_INVALID_PARAMETER;
        for (size_t i = 0; i < n; i++)
                if (device_path_taken(fw, pairs + i))
                        return EFI_ALREADY_STARTED;
        for (done = 0; done < n; done++) {
                status = fw_install_protocol(fw, &handle, &pairs[done].guid, pairs[done].interface);
                if (efi_error(status))
                        break;
        }
        if (efi_error(status)) {
                while (done-- > 0)
                        (void)fw_uninstall_protocol(
                                        fw, handle, &pairs[done].guid, pairs[done].interface);
                return status;
        }
        return ram_put_u64(fw->ram, arg[0], handle) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

/* UninstallMultipleProtocolInterfaces(Handle, ...): all or nothing; whatever fails is
 * INVALID_PARAMETER (7.3.18). Checked first, since a handle that lost its last protocol can't be
 * brought back under its number. */
BOOT_SERVICE(uninstall_multiple_protocol_interfaces)
{
        struct pair pairs[MAX_PAIRS];
        size_t n;

        if (!handle_exists(fw, arg[0]) || !get_pairs(fw, pairs, &n))
                return EFI_INVALID_PARAMETER;
        for (size_t i = 0; i < n; i++) {
                const struct handle_interface *found = handle_find_interface(
                                fw, arg[0], &pairs[i].guid);

                if (!found || found->interface != pairs[i].interface ||
                                handle_opens_block_removal(found))
                        return EFI_INVALID_PARAMETER;
                for (size_t k = 0; k < i; k++)
                        if (guid_equal(&pairs[k].guid, &pairs[i].guid))
                                return EFI_INVALID_PARAMETER;
        }
        for (size_t i = 0; i < n; i++)
                (void)fw_uninstall_protocol(fw, arg[0], &pairs[i].guid, pairs[i].interface);
        return EFI_SUCCESS;
}

/* ReinstallProtocolInterface(Handle, *Protocol, OldInterface, NewInterface) */
BOOT_SERVICE(reinstall_protocol_interface)
{
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[1], &guid))
                return EFI_INVALID_PARAMETER;
        return handle_reinstall(fw, arg[0], &guid, arg[2], arg[3]);
}

/* UninstallProtocolInterface(Handle, *Protocol, Interface) */
BOOT_SERVICE(uninstall_protocol_interface)
{
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[1], &guid))
                return EFI_INVALID_PARAMETER;
        return fw_uninstall_protocol(fw, arg[0], &guid, arg[2]);
}

/* HandleProtocol(Handle, *Protocol, **Interface) */
BOOT_SERVICE(handle_protocol)
{
        uint64_t interface = 0;
        EFI_STATUS status;
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[1], &guid) || !arg[2])
                return EFI_INVALID_PARAMETER;
        status = fw_handle_protocol(fw, arg[0], &guid, &interface);
        if (efi_error(status) && status != EFI_UNSUPPORTED)
                return status;
        return ram_put_u64(fw->ram, arg[2], interface) ? status : EFI_INVALID_PARAMETER;
}

/* OpenProtocol(Handle, *Protocol, **Interface, AgentHandle, ControllerHandle, Attributes) */
BOOT_SERVICE(open_protocol)
{
        bool test = (uint32_t)arg[5] == EFI_OPEN_PROTOCOL_TEST_PROTOCOL;
        uint64_t interface = 0;
        EFI_STATUS status;
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[1], &guid) || (!test && !arg[2]))
                return EFI_INVALID_PARAMETER;
        status = handle_open_protocol(
                        fw, arg[0], &guid, arg[3], arg[4], (uint32_t)arg[5], &interface);
        if (test || (efi_error(status) && status != EFI_UNSUPPORTED &&
                                    status != EFI_ALREADY_STARTED))
                return status;
        return ram_put_u64(fw->ram, arg[2], interface) ? status : EFI_INVALID_PARAMETER;
}

/* CloseProtocol(Handle, *Protocol, AgentHandle, ControllerHandle) */
BOOT_SERVICE(close_protocol)
{
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[1], &guid))
                return EFI_INVALID_PARAMETER;
        return handle_close_protocol(fw, arg[0], &guid, arg[2], arg[3]);
}

/* A pool block and how long the list in it is; the block is taken back if they can't be told. */
static EFI_STATUS give_list(struct firmware *fw, struct span bytes, uint64_t n,
                uint64_t buffer_pointer, uint64_t n_pointer)
{
        uint64_t address;
        EFI_STATUS status = fw_pool_put(fw, EfiBootServicesData, bytes, &address);

        if (efi_error(status))
                return status;
        if (!ram_put_u64(fw->ram, buffer_pointer, address) || !ram_put_u64(fw->ram, n_pointer, n)) {
                (void)fw_free_pool(fw, address);
                return EFI_INVALID_PARAMETER;
        }
        return EFI_SUCCESS;
}

/* OpenProtocolInformation(Handle, *Protocol, **EntryBuffer, *EntryCount) */
BOOT_SERVICE(open_protocol_information)
{
        _cleanup_free_ struct handle_open *opens = NULL;
        _cleanup_buf_ struct buf list = {0};
        EFI_STATUS status;
        EFI_GUID guid;
        size_t n;

        if (!fw_get_guid(fw, arg[1], &guid) || !arg[2] || !arg[3])
                return EFI_INVALID_PARAMETER;
        status = handle_open_information(fw, arg[0], &guid, &opens, &n);
        if (efi_error(status))
                return status;
        for (size_t i = 0; i < n; i++) {
                buf_put_u64(&list, opens[i].agent);
                buf_put_u64(&list, opens[i].controller);
                buf_put_u32(&list, opens[i].attributes);
                buf_put_u32(&list, opens[i].count);
        }
        if (buf_failed(&list))
                return EFI_OUT_OF_RESOURCES;
        return give_list(fw, buf_span(&list), n, arg[2], arg[3]);
}

/* ProtocolsPerHandle(Handle, ***ProtocolBuffer, *ProtocolBufferCount): pointers, and behind them in
 * the same block the GUIDs that they point to. */
BOOT_SERVICE(protocols_per_handle)
{
        _cleanup_free_ EFI_GUID *guids = NULL;
        _cleanup_buf_ struct buf list = {0};
        uint64_t address;
        EFI_STATUS status;
        size_t n;

        if (!arg[1] || !arg[2])
                return EFI_INVALID_PARAMETER;
        status = handle_protocols(fw, arg[0], &guids, &n);
        if (efi_error(status))
                return status;
        status = fw_allocate_pool(fw, EfiBootServicesData, n * (8 + sizeof(*guids)), &address);
        if (efi_error(status))
                return status;
        for (size_t i = 0; i < n; i++)
                buf_put_u64(&list, address + 8 * n + sizeof(*guids) * i);
        buf_put(&list, guids, n * sizeof(*guids));
        if (buf_failed(&list))
                status = EFI_OUT_OF_RESOURCES;
        else if (!ram_write(fw->ram, address, list.data, list.size) ||
                        !ram_put_u64(fw->ram, arg[1], address) || !ram_put_u64(fw->ram, arg[2], n))
                status = EFI_INVALID_PARAMETER;
        if (efi_error(status))
                (void)fw_free_pool(fw, address);
        return status;
}

/* RegisterProtocolNotify(*Protocol, Event, **Registration) */
BOOT_SERVICE(register_protocol_notify)
{
        uint64_t registration, before;
        EFI_STATUS status;
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[0], &guid) || !fw_event_exists(fw, arg[1]) ||
                        !ram_get_u64(fw->ram, arg[2], &before))
                return EFI_INVALID_PARAMETER;
        status = handles_register_notify(fw, &guid, arg[1], &registration);
        if (efi_error(status))
                return status;
        return ram_put_u64(fw->ram, arg[2], registration) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

/* 7.3.12, 7.3.13: there are no drivers that would connect anything.
 * ConnectController(ControllerHandle, *DriverImageHandle, *RemainingDevicePath, Recursive) */
BOOT_SERVICE(connect_controller)
{
        _cleanup_buf_ struct buf rest = {0};
        struct span nodes = {0};

        if (!handle_exists(fw, arg[0]) || (arg[2] && !fw_get_device_path(fw, arg[2], &rest)))
                return EFI_INVALID_PARAMETER;
        /* RemainingDevicePath is an End node alone: no child is wanted. */
        return arg[2] && device_path_nodes(buf_span(&rest), &nodes) && !nodes.size ? EFI_SUCCESS
                                                                                   : EFI_NOT_FOUND;
}

/* DisconnectController(ControllerHandle, DriverImageHandle, ChildHandle): "no drivers are managing"
 * is success. */
BOOT_SERVICE(disconnect_controller)
{
        for (size_t i = 0; i < 3; i++)
                if ((i == 0 || arg[i]) && !handle_exists(fw, arg[i]))
                        return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}
