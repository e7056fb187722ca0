/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The boot services table, row by row in slot order (UEFI 2.10, 4.4), and the edges for memory,
 * time, utilities and ExitBootServices. */
#include "shim/firmware/boot-services.h"

#include <string.h>

#include "base/cleanup.h"
#include "shim/firmware/events.h"
#include "shim/firmware/image.h"
#include "shim/firmware/memory.h"
#include "shim/firmware/system-table.h"

const struct fw_service fw_boot_services[] = {
                {"RaiseTPL", "n", bs_raise_tpl, false},
                {"RestoreTPL", "n", bs_restore_tpl, false},
                {"AllocatePages", "TtnP", bs_allocate_pages, false},
                {"FreePages", "pn", bs_free_pages, false},
                {"GetMemoryMap", "PpPPW", bs_get_memory_map, false},
                {"AllocatePool", "tnP", bs_allocate_pool, false},
                {"FreePool", "p", bs_free_pool, false},
                {"CreateEvent", "nnppE", bs_create_event, false},
                {"SetTimer", "enn", bs_set_timer, false},
                {"WaitForEvent", "npP", bs_wait_for_event, false},
                {"SignalEvent", "e", bs_signal_event, false},
                {"CloseEvent", "e", bs_close_event, false},
                {"CheckEvent", "e", bs_check_event, false},
                {"InstallProtocolInterface", "Hgnp", bs_install_protocol_interface, false},
                {"ReinstallProtocolInterface", "hgpp", bs_reinstall_protocol_interface, false},
                {"UninstallProtocolInterface", "hgp", bs_uninstall_protocol_interface, false},
                {"HandleProtocol", "hgP", bs_handle_protocol, false},
                {"Reserved", "", bs_reserved, false},
                {"RegisterProtocolNotify", "geP", bs_register_protocol_notify, false},
                {"LocateHandle", "SgpPp", bs_locate_handle, false},
                {"LocateDevicePath", "gDH", bs_locate_device_path, false},
                {"InstallConfigurationTable", "gp", bs_install_configuration_table, false},
                {"LoadImage", "bhdpnH", bs_load_image, false},
                {"StartImage", "hPP", bs_start_image, false},
                {"Exit", "hinp", bs_exit, false},
                {"UnloadImage", "h", bs_unload_image, false},
                {"ExitBootServices", "hn", bs_exit_boot_services, false},
                {"GetNextMonotonicCount", "P", bs_get_next_monotonic_count, false},
                {"Stall", "n", bs_stall, false},
                {"SetWatchdogTimer", "nnnp", bs_set_watchdog_timer, false},
                {"ConnectController", "hpdb", bs_connect_controller, false},
                {"DisconnectController", "hhh", bs_disconnect_controller, false},
                {"OpenProtocol", "hgPhhn", bs_open_protocol, false},
                {"CloseProtocol", "hghh", bs_close_protocol, false},
                {"OpenProtocolInformation", "hgPP", bs_open_protocol_information, false},
                {"ProtocolsPerHandle", "hPP", bs_protocols_per_handle, false},
                {"LocateHandleBuffer", "SgpPP", bs_locate_handle_buffer, false},
                {"LocateProtocol", "gpP", bs_locate_protocol, false},
                {"InstallMultipleProtocolInterfaces", "H.", bs_install_multiple_protocol_interfaces,
                                false},
                {"UninstallMultipleProtocolInterfaces", "h.",
                                bs_uninstall_multiple_protocol_interfaces, false},
                {"CalculateCrc32", "pnW", bs_calculate_crc32, false},
                {"CopyMem", "ppn", bs_copy_mem, false},
                {"SetMem", "pnn", bs_set_mem, false},
                {"CreateEventEx", "nnppgE", bs_create_event_ex, false},
};
const size_t fw_n_boot_services = ARRAY_SIZE(fw_boot_services);

_Static_assert(ARRAY_SIZE(fw_boot_services) == 44, "RaiseTPL ... CreateEventEx");

/* The slot between HandleProtocol and RegisterProtocolNotify. */
BOOT_SERVICE(reserved)
{
        return EFI_UNSUPPORTED;
}

/* ---- 7.2 memory ---- */

/* AllocatePages(Type, MemoryType, Pages, *Memory) */
BOOT_SERVICE(allocate_pages)
{
        uint64_t address = 0;
        EFI_STATUS status;

        if (!ram_get_u64(fw->ram, arg[3], &address))
                return EFI_INVALID_PARAMETER;
        status = fw_allocate_pages(fw, (uint32_t)arg[0], (uint32_t)arg[1], arg[2], &address);
        if (efi_error(status))
                return status;
        return ram_put_u64(fw->ram, arg[3], address) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

BOOT_SERVICE(free_pages)
{
        return fw_free_pages(fw, arg[0], arg[1]);
}

static void put_descriptor(struct buf *b, const struct fw_memory_range *row)
{
        buf_put_u32(b, row->type);
        buf_put_u32(b, 0);
        buf_put_u64(b, row->start);
        buf_put_u64(b, row->virtual_start);
        buf_put_u64(b, (row->end - row->start) >> EFI_PAGE_SHIFT);
        buf_put_u64(b, row->attribute);
        buf_put_zeros(b, EFI_MEMORY_DESCRIPTOR_SIZE - 40);
}

/* GetMemoryMap(*MemoryMapSize, *MemoryMap, *MapKey, *DescriptorSize, *DescriptorVersion) */
BOOT_SERVICE(get_memory_map)
{
        _cleanup_free_ struct fw_memory_range *rows = NULL;
        _cleanup_buf_ struct buf map = {0};
        uint64_t size;
        size_t n;

        if (!ram_get_u64(fw->ram, arg[0], &size))
                return EFI_INVALID_PARAMETER;
        if (firmware_memory_map(fw, &rows, &n) < 0)
                return EFI_OUT_OF_RESOURCES;
        /* All four are told with BUFFER_TOO_SMALL, too, and those behind the map may be NULL, as in
         * edk2. */
        if ((arg[2] && !ram_put_u64(fw->ram, arg[2], memory_map_key(fw))) ||
                        (arg[3] && !ram_put_u64(fw->ram, arg[3], EFI_MEMORY_DESCRIPTOR_SIZE)) ||
                        (arg[4] && !ram_put_u32(fw->ram, arg[4], EFI_MEMORY_DESCRIPTOR_VERSION)) ||
                        !ram_put_u64(fw->ram, arg[0], n * EFI_MEMORY_DESCRIPTOR_SIZE))
                return EFI_INVALID_PARAMETER;
        if (size < n * EFI_MEMORY_DESCRIPTOR_SIZE)
                return EFI_BUFFER_TOO_SMALL;
        for (size_t i = 0; i < n; i++)
                put_descriptor(&map, rows + i);
        if (buf_failed(&map))
                return EFI_OUT_OF_RESOURCES;
        if (!arg[1] || !ram_write(fw->ram, arg[1], map.data, map.size))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

/* AllocatePool(PoolType, Size, **Buffer) */
BOOT_SERVICE(allocate_pool)
{
        uint64_t address, before;
        EFI_STATUS status;

        if (!ram_get_u64(fw->ram, arg[2], &before))
                return EFI_INVALID_PARAMETER;
        status = fw_allocate_pool(fw, (uint32_t)arg[0], arg[1], &address);
        if (efi_error(status))
                return status;
        return ram_put_u64(fw->ram, arg[2], address) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

BOOT_SERVICE(free_pool)
{
        return fw_free_pool(fw, arg[0]);
}

/* ---- 7.5 utilities ---- */

/* CopyMem(Destination, Source, Length): the two may overlap. Firmware would fault on a bad address.
 */
BOOT_SERVICE(copy_mem)
{
        uint8_t *to;
        struct span from;

        if (!arg[2])
                return EFI_SUCCESS;
        if (!ram_view(fw->ram, arg[1], arg[2], &from) ||
                        !ram_view_writable(fw->ram, arg[0], arg[2], &to)) {
                fw_stop(fw, "CopyMem(0x%llx, 0x%llx, 0x%llx) leaves the memory that was allocated",
                                (unsigned long long)arg[0], (unsigned long long)arg[1],
                                (unsigned long long)arg[2]);
                return EFI_INVALID_PARAMETER;
        }
        memmove(to, from.data, from.size);
        return EFI_SUCCESS;
}

/* SetMem(Buffer, Size, Value) */
BOOT_SERVICE(set_mem)
{
        uint8_t *to;

        if (!arg[1])
                return EFI_SUCCESS;
        if (!ram_view_writable(fw->ram, arg[0], arg[1], &to)) {
                fw_stop(fw, "SetMem(0x%llx, 0x%llx) leaves the memory that was allocated",
                                (unsigned long long)arg[0], (unsigned long long)arg[1]);
                return EFI_INVALID_PARAMETER;
        }
        memset(to, (int)(arg[2] & 0xff), (size_t)arg[1]);
        return EFI_SUCCESS;
}

/* CalculateCrc32(Data, DataSize, *Crc32) */
BOOT_SERVICE(calculate_crc32)
{
        struct span data;

        if (!arg[0] || !arg[1] || !arg[2] || !ram_view(fw->ram, arg[0], arg[1], &data))
                return EFI_INVALID_PARAMETER;
        return ram_put_u32(fw->ram, arg[2], efi_crc32(data)) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

BOOT_SERVICE(install_configuration_table)
{
        EFI_STATUS status;
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[0], &guid))
                return EFI_INVALID_PARAMETER;
        status = fw_install_config_table(fw, &guid, arg[1]);
        if (!efi_error(status))
                fw_event_signal_group(fw, &guid); /* 7.5.6: the group of the table's GUID */
        return status;
}

/* The count starts anew with each emulated boot, which keeps runs alike; nothing is stored. */
BOOT_SERVICE(get_next_monotonic_count)
{
        if (!ram_put_u64(fw->ram, arg[0], fw->monotonic_count))
                return EFI_INVALID_PARAMETER;
        fw->monotonic_count++;
        return EFI_SUCCESS;
}

/* Nobody is waited for: messages that stubs leave on the screen for seconds are in the console log.
 */
BOOT_SERVICE(stall)
{
        events_skip_time(fw, arg[0] > UINT64_MAX / 10 ? UINT64_MAX : arg[0] * 10);
        return EFI_SUCCESS;
}

/* The deadline of the run is what a watchdog would be. */
BOOT_SERVICE(set_watchdog_timer)
{
        return EFI_SUCCESS;
}

/* ---- 7.4.6 ---- */

/* ExitBootServices(ImageHandle, MapKey). Any image's handle will do: kernels call it with the
 * stub's. The order of events and measurements is edk2's: a wrong map key measures the failure
 * only. */
BOOT_SERVICE(exit_boot_services)
{
        if (!image_exists(fw, arg[0]))
                return EFI_INVALID_PARAMETER;
        events_before_exit_boot_services(fw);
        if (fw->ended || fw->unwind_to)
                return EFI_ABORTED;
        if (arg[1] != memory_map_key(fw)) {
                fw_trace(fw, "  the memory map has changed since map key %llu (now %llu)",
                                (unsigned long long)arg[1], (unsigned long long)memory_map_key(fw));
                fw_measure_exit_boot_services(fw, true, EFI_INVALID_PARAMETER);
                return EFI_INVALID_PARAMETER;
        }
        events_exit_boot_services(fw);
        if (fw->ended || fw->unwind_to)
                return EFI_ABORTED;
        if (fw->exited_boot_services) /* a notify function did it meanwhile, and that is measured
                                         already */
                return EFI_INVALID_PARAMETER;
        fw_measure_exit_boot_services(fw, false, EFI_SUCCESS);
        fw_measure_exit_boot_services(fw, true, EFI_SUCCESS);
        if (fw->ended)
                return EFI_ABORTED;
        system_table_exit_boot_services(fw);
        fw->exited_boot_services = true;
        return EFI_SUCCESS;
}
