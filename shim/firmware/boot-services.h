/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The edges of the boot services (UEFI 2.10, chapter 7), one function per slot: they check
 * pointers, convert and call the plain functions. The table that names them is in boot-services.c.
 */
#pragma once

#include "shim/firmware/internal.h"

#define BOOT_SERVICE(name) EFI_STATUS bs_##name(struct firmware *fw, const uint64_t arg[])

/* boot-services.c: memory, time, utilities, the end */
BOOT_SERVICE(allocate_pages);
BOOT_SERVICE(free_pages);
BOOT_SERVICE(get_memory_map);
BOOT_SERVICE(allocate_pool);
BOOT_SERVICE(free_pool);
BOOT_SERVICE(exit_boot_services);
BOOT_SERVICE(get_next_monotonic_count);
BOOT_SERVICE(stall);
BOOT_SERVICE(set_watchdog_timer);
BOOT_SERVICE(calculate_crc32);
BOOT_SERVICE(copy_mem);
BOOT_SERVICE(set_mem);
BOOT_SERVICE(install_configuration_table);
BOOT_SERVICE(reserved);

/* event-services.c */
BOOT_SERVICE(raise_tpl);
BOOT_SERVICE(restore_tpl);
BOOT_SERVICE(create_event);
BOOT_SERVICE(set_timer);
BOOT_SERVICE(wait_for_event);
BOOT_SERVICE(signal_event);
BOOT_SERVICE(close_event);
BOOT_SERVICE(check_event);
BOOT_SERVICE(create_event_ex);

/* handle-services.c */
BOOT_SERVICE(install_protocol_interface);
BOOT_SERVICE(reinstall_protocol_interface);
BOOT_SERVICE(uninstall_protocol_interface);
BOOT_SERVICE(handle_protocol);
BOOT_SERVICE(register_protocol_notify);
BOOT_SERVICE(connect_controller);
BOOT_SERVICE(disconnect_controller);
BOOT_SERVICE(open_protocol);
BOOT_SERVICE(close_protocol);
BOOT_SERVICE(open_protocol_information);
BOOT_SERVICE(protocols_per_handle);
BOOT_SERVICE(install_multiple_protocol_interfaces);
BOOT_SERVICE(uninstall_multiple_protocol_interfaces);

/* locate-services.c */
BOOT_SERVICE(locate_handle);
BOOT_SERVICE(locate_device_path);
BOOT_SERVICE(locate_handle_buffer);
BOOT_SERVICE(locate_protocol);

/* image-services.c */
BOOT_SERVICE(load_image);
BOOT_SERVICE(start_image);
BOOT_SERVICE(exit);
BOOT_SERVICE(unload_image);
