/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's real memory map, as the payload's GetMemoryMap starts from it: firmware's e820 as
 * the kernel shows it (/sys/firmware/memmap, else boot_params) under the runtime regions
 * (/sys/firmware/efi/runtime-map). Only reads and merges; what may be allocated is decided by the
 * types it gives. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "shim/firmware/firmware.h"
#include "shim/handover/overlay.h"

#define HOST_MEMORY_MAX_ENTRIES 512u         /* of each source; real machines have some 30 */
#define HOST_MEMORY_LIMIT       (1ull << 52) /* x86-64 physical addresses end there */

/* Ascending, page-aligned, not overlapping. RAM from 1 MiB on is EfiConventionalMemory; below it is
 * EfiBootServicesData (the second kernel may use it, the payload can't be given it). Regions with
 * EFI_MEMORY_RUNTIME stand there exactly as the running kernel mapped them. */
struct host_memory {
        struct fw_memory_range *ranges;
        size_t n;
};

void host_memory_release(struct host_memory *memory);

/* sysfs_root: "/sys", or a recorded tree. old: the overlay of an earlier hop whose pages are RAM
 * again, or NULL. -ENOENT: neither memmap nor boot_params (container); -EACCES: not root;
 * -EINVAL: text that makes no sense, overlapping entries; -E2BIG: too many. The file is named. */
int host_memory_read(const char *sysfs_root, const struct overlay_record *old,
                struct host_memory *ret, struct error *error);

/* A machine that exists nowhere, for predict where the real map can't be read: 3 GB below 4 GB and
 * 4 GB above. Nothing that is measured depends on addresses. -ENOMEM. */
int host_memory_plain(struct host_memory *ret);

/* Is all of [start, end) in ranges whose type has its bit in `types` (1u << EfiACPIMemoryNVS ...)?
 */
bool host_memory_covers(const struct fw_memory_range *ranges, size_t n, uint64_t start,
                uint64_t end, uint32_t types);

/* ---- the pure parts, also for the fuzz target ---- */

/* One entry of either source; end is exclusive and needn't be page-aligned. */
struct host_entry {
        uint64_t start, end;
        uint32_t type; /* EFI_MEMORY_TYPE */
};

/* The three files of /sys/firmware/memmap/N (end is inclusive there). */
bool host_memory_parse_entry(
                struct span start, struct span end, struct span type, struct host_entry *ret);
/* The five files of /sys/firmware/efi/runtime-map/N. */
bool host_memory_parse_runtime(struct span type, struct span n_pages, struct span phys,
                struct span virt, struct span attribute, struct fw_memory_range *ret);
/* Entries are sorted in place. reclaimed: page-aligned, each must lie in what isn't RAM. */
int host_memory_merge(struct host_entry *entries, size_t n_entries, struct fw_memory_range *runtime,
                size_t n_runtime, const struct overlay_region *reclaimed, size_t n_reclaimed,
                struct host_memory *ret, struct error *error);
