/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/e820.h"

#include <stdlib.h>

#include "base/efi-types.h"

bool e820_add(struct e820_map *map, uint64_t start, uint64_t size, uint32_t type)
{
        if (size == 0 || start > UINT64_MAX - size || map->n == E820_MAX_ENTRIES)
                return false;
        map->entries[map->n++] = (struct e820_entry){start, size, type};
        return true;
}

static int compare(const void *a, const void *b)
{
        const struct e820_entry *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

bool e820_sort(struct e820_map *map)
{
        qsort(map->entries, map->n, sizeof(map->entries[0]), compare);
        for (size_t i = 1; i < map->n; i++)
                if (map->entries[i].start < map->entries[i - 1].start + map->entries[i - 1].size)
                        return false;
        return true;
}

/* Appends a piece, joined to the one before it where that is the same. */
static bool append(struct e820_map *map, uint64_t start, uint64_t end, uint32_t type)
{
        struct e820_entry *last = map->n > 0 ? &map->entries[map->n - 1] : NULL;

        if (start == end)
                return true;
        if (last && last->type == type && last->start + last->size == start) {
                last->size += end - start;
                return true;
        }
        return e820_add(map, start, end - start, type);
}

bool e820_retype(struct e820_map *map, uint64_t start, uint64_t end, uint32_t from, uint32_t to)
{
        struct e820_map *changed;
        uint64_t found = 0;
        bool ok = true;

        if (start >= end)
                return false;
        changed = calloc(1, sizeof(*changed));
        if (!changed)
                return false;
        for (size_t i = 0; i < map->n && ok; i++) {
                const struct e820_entry *e = &map->entries[i];
                uint64_t e_end = e->start + e->size, low = e->start, high = e_end;

                if (e_end <= start || e->start >= end) {
                        ok = append(changed, e->start, e_end, e->type);
                        continue;
                }
                if (low < start)
                        low = start;
                if (high > end)
                        high = end;
                found += high - low;
                ok = e->type == from && append(changed, e->start, low, e->type) &&
                     append(changed, low, high, to) && append(changed, high, e_end, e->type);
        }
        ok = ok && found == end - start;
        if (ok)
                *map = *changed;
        free(changed);
        return ok;
}

uint32_t e820_type_of_efi(uint32_t efi_type)
{
        switch (efi_type) {
        case EfiLoaderCode:
        case EfiLoaderData:
        case EfiBootServicesCode:
        case EfiBootServicesData:
        case EfiConventionalMemory:
        case EfiUnacceptedMemoryType:
                return E820_RAM;
        case EfiACPIReclaimMemory:
                return E820_ACPI;
        case EfiACPIMemoryNVS:
                return E820_NVS;
        case EfiUnusableMemory:
                return E820_UNUSABLE;
        case EfiPersistentMemory:
                return E820_PMEM;
        default:
                return E820_RESERVED;
        }
}
