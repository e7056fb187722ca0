/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The second kernel's EFI memory map: runtime entries only, at the virtual addresses at which the
 * first kernel mapped them, since SetVirtualAddressMap can be called once in a power cycle only
 * (arch/x86/platform/efi/efi.c, kexec_enter_virtual_mode). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "shim/firmware/firmware.h"

/* The window in which Linux maps runtime regions, downward from its end
 * (arch/x86/platform/efi/efi_64.c). */
#define EFI_MAP_VA_START 0xffffffff00000000ull /* exclusive upper end */
#define EFI_MAP_VA_END   0xffffffef00000000ull

/* Does the range belong into the second kernel's map? */
bool efi_map_is_runtime(const struct fw_memory_range *range);

/* The virtual address of a physical one, through the runtime ranges. */
bool efi_map_to_virtual(
                const struct fw_memory_range *ranges, size_t n, uint64_t physical, uint64_t *ret);

/* A free virtual address for a region at `physical`: below all runtime ranges, congruent modulo 2
 * MiB as Linux does it. False if the window is full. */
bool efi_map_choose_virtual(const struct fw_memory_range *ranges, size_t n, uint64_t physical,
                uint64_t n_pages, uint64_t *ret);

/* Descriptors of descriptor_size bytes (>= 40) for the runtime ranges and the region of ours (NULL:
 * none), ascending. Returns their number; buf_failed() if out of memory. */
size_t efi_map_put(const struct fw_memory_range *ranges, size_t n,
                const struct fw_memory_range *ours, uint32_t descriptor_size, struct buf *ret);
