/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/efi-map.h"

#define PMD (2ull << 20)

bool efi_map_is_runtime(const struct fw_memory_range *range)
{
        return range->attribute & EFI_MEMORY_RUNTIME;
}

bool efi_map_to_virtual(
                const struct fw_memory_range *ranges, size_t n, uint64_t physical, uint64_t *ret)
{
        for (size_t i = 0; i < n; i++)
                if (efi_map_is_runtime(&ranges[i]) && ranges[i].virtual_start != 0 &&
                                physical >= ranges[i].start && physical < ranges[i].end) {
                        *ret = ranges[i].virtual_start + (physical - ranges[i].start);
                        return true;
                }
        return false;
}

bool efi_map_choose_virtual(const struct fw_memory_range *ranges, size_t n, uint64_t physical,
                uint64_t n_pages, uint64_t *ret)
{
        uint64_t lowest = EFI_MAP_VA_START, size = n_pages * EFI_PAGE_SIZE, virtual_start;

        if (n_pages == 0 || n_pages > (EFI_MAP_VA_START - EFI_MAP_VA_END) / EFI_PAGE_SIZE)
                return false;
        for (size_t i = 0; i < n; i++)
                if (efi_map_is_runtime(&ranges[i]) && ranges[i].virtual_start >= EFI_MAP_VA_END &&
                                ranges[i].virtual_start < lowest)
                        lowest = ranges[i].virtual_start;
        if (lowest - EFI_MAP_VA_END < size + PMD)
                return false;
        /* the same offset in its 2 MiB page as the physical address has (efi_map_region) */
        virtual_start = ((lowest - size) & ~(PMD - 1)) + (physical & (PMD - 1));
        if (virtual_start > lowest - size)
                virtual_start -= PMD;
        if (virtual_start < EFI_MAP_VA_END)
                return false;
        *ret = virtual_start;
        return true;
}

/* EFI_MEMORY_DESCRIPTOR, UEFI 2.10, 7.2.3 */
static void put_descriptor(
                const struct fw_memory_range *range, uint32_t descriptor_size, struct buf *ret)
{
        buf_put_u32(ret, range->type);
        buf_put_u32(ret, 0);
        buf_put_u64(ret, range->start);
        buf_put_u64(ret, range->virtual_start);
        buf_put_u64(ret, (range->end - range->start) / EFI_PAGE_SIZE);
        buf_put_u64(ret, range->attribute);
        buf_put_zeros(ret, descriptor_size - 40);
}

size_t efi_map_put(const struct fw_memory_range *ranges, size_t n,
                const struct fw_memory_range *ours, uint32_t descriptor_size, struct buf *ret)
{
        size_t count = 0;

        for (size_t i = 0; i < n; i++) {
                if (!efi_map_is_runtime(&ranges[i]))
                        continue;
                if (ours && ours->start < ranges[i].start) {
                        put_descriptor(ours, descriptor_size, ret);
                        ours = NULL;
                        count++;
                }
                put_descriptor(&ranges[i], descriptor_size, ret);
                count++;
        }
        if (ours) {
                put_descriptor(ours, descriptor_size, ret);
                count++;
        }
        return count;
}
