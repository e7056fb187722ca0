/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The e820 map that the Linux stub built in the guest: table in boot_params plus SETUP_E820_EXT
 * nodes. Pages that mkexec takes after ExitBootServices are entered here. In memory only;
 * boot-params.c reads and writes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define E820_MAX_ENTRIES 1024u
#define E820_TABLE_SLOTS 128u /* in boot_params (E820_MAX_ENTRIES_ZEROPAGE) */
#define E820_ENTRY_SIZE  20u

#define E820_SOFT_RESERVED 0xefffffffu /* the kernel's own number, from EFI_MEMORY_SP */

enum {
        E820_RAM = 1,
        E820_RESERVED = 2,
        E820_ACPI = 3,
        E820_NVS = 4,
        E820_UNUSABLE = 5,
        E820_PMEM = 7
};

struct e820_entry {
        uint64_t start, size;
        uint32_t type;
};

struct e820_map {
        struct e820_entry entries[E820_MAX_ENTRIES];
        size_t n;
};

/* False: size 0, overflow, or no room. */
bool e820_add(struct e820_map *map, uint64_t start, uint64_t size, uint32_t type);
/* Sorts; false if entries overlap (the kernel would let the higher type win; a stub never builds
 * that). */
bool e820_sort(struct e820_map *map);
/* Gives [start, end) another type, splitting and merging as needed. The map must be sorted, and all
 * of the range must be `from` now; false if not, or if there is no room. */
bool e820_retype(struct e820_map *map, uint64_t start, uint64_t end, uint32_t from, uint32_t to);
/* The e820 type that the Linux stub gives to an EFI memory type (setup_e820). */
uint32_t e820_type_of_efi(uint32_t efi_type);
