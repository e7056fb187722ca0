/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/host-memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "shim/handover/host-e820.h"
#include "shim/handover/sysfs.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define EFI_MEMORY_SP  0x40000ull
#define RAM_ATTRIBUTES (EFI_MEMORY_UC | EFI_MEMORY_WC | EFI_MEMORY_WT | EFI_MEMORY_WB)

/* arch/x86/kernel/e820.c, e820_type_to_string(); priority: what wins where two share a page. */
static const struct {
        const char *text;
        uint32_t type;
        unsigned priority;
} memory_types[] = {
                {"System RAM", EfiConventionalMemory, 1},
                {"Soft Reserved", EfiBootServicesData,
                                2}, /* with EFI_MEMORY_SP: RAM that isn't ours to allocate */
                {"Persistent Memory", EfiPersistentMemory, 2},
                {"Persistent Memory (legacy)", EfiReservedMemoryType, 6},
                {"ACPI Tables", EfiACPIReclaimMemory, 3},
                {"ACPI Non-volatile Storage", EfiACPIMemoryNVS, 4},
                {"Reserved", EfiReservedMemoryType, 6},
                {"Unknown E820 type", EfiReservedMemoryType, 6},
                {"Unusable memory", EfiUnusableMemory, 7},
};

static unsigned priority_of(uint32_t type)
{
        for (size_t i = 0; i < ARRAY_SIZE(memory_types); i++)
                if (memory_types[i].type == type)
                        return memory_types[i].priority;
        return 6;
}

void host_memory_release(struct host_memory *memory)
{
        free(memory->ranges);
        *memory = (struct host_memory){0};
}

bool host_memory_covers(const struct fw_memory_range *ranges, size_t n, uint64_t start,
                uint64_t end, uint32_t types)
{
        if (start >= end)
                return false;
        for (size_t i = 0; i < n && start < end; i++) {
                if (ranges[i].end <= start)
                        continue;
                if (ranges[i].start > start || ranges[i].type >= 32 ||
                                !(types & (1u << ranges[i].type)))
                        return false;
                start = ranges[i].end;
        }
        return start >= end;
}

/* ---- text ---- */

static struct span without_line_end(struct span text)
{
        if (text.size > 0 && text.data[text.size - 1] == '\n')
                text.size--;
        return text;
}

bool host_memory_parse_entry(
                struct span start, struct span end, struct span type, struct host_entry *ret)
{
        struct host_entry entry = {0};
        size_t i;

        type = without_line_end(type);
        for (i = 0; i < ARRAY_SIZE(memory_types); i++)
                if (type.size == strlen(memory_types[i].text) &&
                                strncasecmp((const char *)type.data, memory_types[i].text,
                                                type.size) == 0)
                        break;
        if (i == ARRAY_SIZE(memory_types))
                return false;
        entry.type = memory_types[i].type;
        if (!sysfs_parse_number(start, &entry.start) || !sysfs_parse_number(end, &entry.end))
                return false;
        if (entry.end >= HOST_MEMORY_LIMIT || entry.start > entry.end)
                return false;
        entry.end++; /* inclusive in sysfs */
        *ret = entry;
        return true;
}

bool host_memory_parse_runtime(struct span type, struct span n_pages, struct span phys,
                struct span virt, struct span attribute, struct fw_memory_range *ret)
{
        uint64_t t, n;
        struct fw_memory_range range = {0};

        if (!sysfs_parse_number(type, &t) || !sysfs_parse_number(n_pages, &n) ||
                        !sysfs_parse_number(phys, &range.start) ||
                        !sysfs_parse_number(virt, &range.virtual_start) ||
                        !sysfs_parse_number(attribute, &range.attribute))
                return false;
        if (t >= EfiMaxMemoryType || n == 0 || range.start % EFI_PAGE_SIZE != 0 ||
                        range.virtual_start % EFI_PAGE_SIZE != 0 ||
                        range.start >= HOST_MEMORY_LIMIT ||
                        n > (HOST_MEMORY_LIMIT - range.start) / EFI_PAGE_SIZE ||
                        range.virtual_start > UINT64_MAX - n * EFI_PAGE_SIZE)
                return false;
        /* a region that is mapped for the firmware is never the payload's, whatever its type says
         */
        range.type = t == EfiConventionalMemory ? EfiReservedMemoryType : (uint32_t)t;
        range.end = range.start + n * EFI_PAGE_SIZE;
        *ret = range;
        return true;
}

/* ---- merging ---- */

static int compare_entries(const void *a, const void *b)
{
        const struct host_entry *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

static int compare_ranges(const void *a, const void *b)
{
        const struct fw_memory_range *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

static int compare_u64(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static int check_sources(struct host_entry *entries, size_t n_entries,
                struct fw_memory_range *runtime, size_t n_runtime, struct error *error)
{
        uint64_t end = 0;

        if (n_entries > HOST_MEMORY_MAX_ENTRIES || n_runtime > HOST_MEMORY_MAX_ENTRIES)
                return error_set(error, E2BIG, "more than %u entries in the machine's memory map",
                                HOST_MEMORY_MAX_ENTRIES);
        if (n_entries > 0)
                qsort(entries, n_entries, sizeof(*entries), compare_entries);
        for (size_t i = 0; i < n_entries; i++) {
                if (i > 0 && entries[i].start < end && entries[i].type != entries[i - 1].type)
                        return error_set(error, EINVAL,
                                        "the machine's memory map: entries at 0x%llx and 0x%llx "
                                        "overlap",
                                        (unsigned long long)entries[i - 1].start,
                                        (unsigned long long)entries[i].start);
                if (entries[i].end > end)
                        end = entries[i].end;
        }
        if (n_runtime > 0)
                qsort(runtime, n_runtime, sizeof(*runtime), compare_ranges);
        for (size_t i = 1; i < n_runtime; i++)
                if (runtime[i].start < runtime[i - 1].end)
                        return error_set(error, EINVAL,
                                        "firmware/efi/runtime-map: regions at 0x%llx overlap",
                                        (unsigned long long)runtime[i].start);
        return 0;
}

/* RAM counts where the whole page is RAM, everything else where it touches the page. */
static void align_entry(struct host_entry *entry)
{
        uint64_t mask = EFI_PAGE_SIZE - 1;

        if (entry->type == EfiConventionalMemory || entry->type == EfiBootServicesData) {
                entry->start = (entry->start + mask) & ~mask;
                entry->end &= ~mask;
        } else {
                entry->start &= ~mask;
                entry->end = (entry->end + mask) & ~mask;
        }
}

struct merge {
        const struct host_entry *entries;
        size_t n_entries;
        const struct fw_memory_range *runtime;
        size_t n_runtime;
        const struct overlay_region *reclaimed;
        size_t n_reclaimed;
};

/* What [start, end) is, which lies between two neighbouring borders of all sources. False: nothing.
 */
static bool describe(
                const struct merge *m, uint64_t start, uint64_t end, struct fw_memory_range *ret)
{
        unsigned best = 0;

        *ret = (struct fw_memory_range){.start = start, .end = end};
        for (size_t i = 0; i < m->n_reclaimed; i++)
                if (start >= m->reclaimed[i].start &&
                                start - m->reclaimed[i].start <
                                                m->reclaimed[i].n_pages * EFI_PAGE_SIZE) {
                        ret->type = EfiConventionalMemory;
                        best = 100;
                }
        for (size_t i = 0; best == 0 && i < m->n_runtime; i++)
                if (start >= m->runtime[i].start && start < m->runtime[i].end) {
                        *ret = m->runtime[i]; /* never cut: its virtual address belongs to all of it
                                               */
                        if (ret->virtual_start != 0)
                                ret->virtual_start += start - m->runtime[i].start;
                        ret->start = start;
                        ret->end = end;
                        return true;
                }
        for (size_t i = 0; best < 100 && i < m->n_entries; i++)
                if (start >= m->entries[i].start && start < m->entries[i].end &&
                                priority_of(m->entries[i].type) > best) {
                        best = priority_of(m->entries[i].type);
                        ret->type = m->entries[i].type;
                }
        if (best == 0)
                return false;
        if (ret->type == EfiBootServicesData)
                ret->attribute = RAM_ATTRIBUTES | EFI_MEMORY_SP;
        if (ret->type == EfiConventionalMemory) {
                ret->attribute = RAM_ATTRIBUTES;
                if (start < MIB) /* BIOS data, AP trampoline: not for the payload */
                        ret->type = EfiBootServicesData;
        }
        return true;
}

static bool mergeable(const struct fw_memory_range *a, const struct fw_memory_range *b)
{
        if (a->end != b->start || a->type != b->type || a->attribute != b->attribute)
                return false;
        if (!(a->attribute & EFI_MEMORY_RUNTIME))
                return true;
        return a->virtual_start == 0 ? b->virtual_start == 0
                                     : a->virtual_start + (a->end - a->start) == b->virtual_start;
}

/* An earlier overlay's pages are RAM again only if they are taken out of RAM now, by e820 or
 * runtime-map. */
static int check_reclaimed(const struct merge *m, struct error *error)
{
        for (size_t i = 0; i < m->n_reclaimed; i++) {
                uint64_t start = m->reclaimed[i].start,
                         end = start + m->reclaimed[i].n_pages * EFI_PAGE_SIZE;
                bool inside = false;

                for (size_t j = 0; j < m->n_entries && !inside; j++)
                        inside = (m->entries[j].type == EfiReservedMemoryType ||
                                                 m->entries[j].type == EfiACPIReclaimMemory ||
                                                 m->entries[j].type == EfiACPIMemoryNVS) &&
                                 start >= m->entries[j].start && end <= m->entries[j].end;
                if (!inside)
                        return error_set(error, EINVAL,
                                        "%s: pages at 0x%llx aren't reserved in the machine's "
                                        "memory map",
                                        OVERLAY_RECORD_VARIABLE, (unsigned long long)start);
        }
        return 0;
}

static size_t borders(const struct merge *m, uint64_t *ret)
{
        size_t n = 0;

        ret[n++] = MIB;
        for (size_t i = 0; i < m->n_entries; i++) {
                ret[n++] = m->entries[i].start;
                ret[n++] = m->entries[i].end;
        }
        for (size_t i = 0; i < m->n_runtime; i++) {
                ret[n++] = m->runtime[i].start;
                ret[n++] = m->runtime[i].end;
        }
        for (size_t i = 0; i < m->n_reclaimed; i++) {
                ret[n++] = m->reclaimed[i].start;
                ret[n++] = m->reclaimed[i].start + m->reclaimed[i].n_pages * EFI_PAGE_SIZE;
        }
        qsort(ret, n, sizeof(*ret), compare_u64);
        return n;
}

int host_memory_merge(struct host_entry *entries, size_t n_entries, struct fw_memory_range *runtime,
                size_t n_runtime, const struct overlay_region *reclaimed, size_t n_reclaimed,
                struct host_memory *ret, struct error *error)
{
        struct merge m = {entries, n_entries, runtime, n_runtime, reclaimed, n_reclaimed};
        size_t max = 1 + 2 * (n_entries + n_runtime + n_reclaimed), n_borders;
        _cleanup_free_ uint64_t *border = NULL;
        _cleanup_free_ struct fw_memory_range *ranges = NULL;
        size_t n = 0;
        int r;

        r = check_sources(entries, n_entries, runtime, n_runtime, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_entries; i++)
                align_entry(&entries[i]);
        r = check_reclaimed(&m, error);
        if (r < 0)
                return r;

        border = calloc(max, sizeof(*border));
        ranges = calloc(max, sizeof(*ranges));
        if (!border || !ranges)
                return error_set(error, ENOMEM, "out of memory for the memory map");
        n_borders = borders(&m, border);
        for (size_t i = 0; i + 1 < n_borders; i++) {
                struct fw_memory_range range;

                if (border[i] == border[i + 1] || !describe(&m, border[i], border[i + 1], &range))
                        continue;
                if (n > 0 && mergeable(&ranges[n - 1], &range))
                        ranges[n - 1].end = range.end;
                else
                        ranges[n++] = range;
        }
        *ret = (struct host_memory){TAKE_PTR(ranges), n};
        return 0;
}

int host_memory_plain(struct host_memory *ret)
{
        static const struct host_entry plain[] = {
                        {0, 0xa0000, EfiConventionalMemory},
                        {0xa0000, MIB, EfiReservedMemoryType},
                        {MIB, 3 * GIB, EfiConventionalMemory},
                        {4 * GIB, 8 * GIB, EfiConventionalMemory},
        };
        struct host_entry entries[ARRAY_SIZE(plain)];

        memcpy(entries, plain, sizeof(plain));
        return host_memory_merge(entries, ARRAY_SIZE(plain), NULL, 0, NULL, 0, ret, NULL);
}

/* ---- reading ---- */

/* Reads the files of one numbered folder. */
static int read_fields(const char *root, const char *folder, unsigned number,
                const char *const *names, size_t n, struct buf *fields, struct error *error)
{
        for (size_t i = 0; i < n; i++) {
                int r = sysfs_read(
                                &fields[i], 256, error, root, "%s/%u/%s", folder, number, names[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

#define MAX_FIELDS 5

static void release_fields(struct buf (*fields)[MAX_FIELDS])
{
        for (size_t i = 0; i < MAX_FIELDS; i++)
                buf_release(&(*fields)[i]);
}

/* 0 entries: the kernel was built without it (CONFIG_FIRMWARE_MEMMAP). */
static int read_memmap(
                const char *root, struct host_entry *entries, size_t *ret_n, struct error *error)
{
        static const char *const names[] = {"start", "end", "type"};
        unsigned numbers[HOST_MEMORY_MAX_ENTRIES];
        size_t n = 0;
        int r = 0;

        if (sysfs_exists(root, "firmware/memmap"))
                r = sysfs_list_numbers(root, "firmware/memmap", numbers, HOST_MEMORY_MAX_ENTRIES,
                                &n, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                _cleanup_(release_fields) struct buf f[MAX_FIELDS] = {0};

                r = read_fields(root, "firmware/memmap", numbers[i], names, ARRAY_SIZE(names), f,
                                error);
                if (r < 0)
                        return r;
                if (!host_memory_parse_entry(
                                    buf_span(&f[0]), buf_span(&f[1]), buf_span(&f[2]), &entries[i]))
                        return error_set(error, EINVAL, "%s/firmware/memmap/%u: makes no sense",
                                        root, numbers[i]);
        }
        *ret_n = n;
        return 0;
}

static int read_entries(
                const char *root, struct host_entry *entries, size_t *ret_n, struct error *error)
{
        int r = read_memmap(root, entries, ret_n, error);

        if (r < 0 || *ret_n > 0)
                return r;
        r = host_e820_read(root, entries, HOST_MEMORY_MAX_ENTRIES, ret_n, error);
        return r < 0 ? error_prefix(error, r, "no memory map in %s/firmware/memmap", root) : 0;
}

static int read_runtime_map(const char *root, struct fw_memory_range *ranges, size_t *ret_n,
                struct error *error)
{
        static const char *const names[] = {
                        "type", "num_pages", "phys_addr", "virt_addr", "attribute"};
        unsigned numbers[HOST_MEMORY_MAX_ENTRIES];
        size_t n, n_kept = 0;
        int r;

        *ret_n = 0;
        if (!sysfs_exists(root, "firmware/efi/runtime-map"))
                return 0; /* no EFI, or efi=noruntime: then the regions are "Reserved" in memmap */
        r = sysfs_list_numbers(root, "firmware/efi/runtime-map", numbers, HOST_MEMORY_MAX_ENTRIES,
                        &n, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                _cleanup_(release_fields) struct buf f[MAX_FIELDS] = {0};
                struct fw_memory_range range;

                r = read_fields(root, "firmware/efi/runtime-map", numbers[i], names,
                                ARRAY_SIZE(names), f, error);
                if (r < 0)
                        return r;
                if (!host_memory_parse_runtime(buf_span(&f[0]), buf_span(&f[1]), buf_span(&f[2]),
                                    buf_span(&f[3]), buf_span(&f[4]), &range))
                        return error_set(error, EINVAL,
                                        "%s/firmware/efi/runtime-map/%u: makes no sense", root,
                                        numbers[i]);
                if (range.attribute & EFI_MEMORY_RUNTIME)
                        ranges[n_kept++] = range;
        }
        *ret_n = n_kept;
        return 0;
}

/* Takes runtime regions that are an earlier overlay's out of the list. */
static size_t drop_reclaimed(
                struct fw_memory_range *ranges, size_t n, const struct overlay_record *old)
{
        size_t kept = 0;

        for (size_t i = 0; i < n; i++) {
                bool ours = false;

                for (size_t j = 0; old && j < old->n_regions; j++)
                        ours |= ranges[i].start >= old->regions[j].start &&
                                ranges[i].end <= old->regions[j].start +
                                                                 old->regions[j].n_pages *
                                                                                 EFI_PAGE_SIZE;
                if (!ours)
                        ranges[kept++] = ranges[i];
        }
        return kept;
}

int host_memory_read(const char *sysfs_root, const struct overlay_record *old,
                struct host_memory *ret, struct error *error)
{
        _cleanup_free_ struct host_entry *entries = NULL;
        _cleanup_free_ struct fw_memory_range *runtime = NULL;
        size_t n_entries, n_runtime;
        int r;

        entries = calloc(HOST_MEMORY_MAX_ENTRIES, sizeof(*entries));
        runtime = calloc(HOST_MEMORY_MAX_ENTRIES, sizeof(*runtime));
        if (!entries || !runtime)
                return error_set(error, ENOMEM, "out of memory for the memory map");
        r = read_entries(sysfs_root, entries, &n_entries, error);
        if (r < 0)
                return r;
        r = read_runtime_map(sysfs_root, runtime, &n_runtime, error);
        if (r < 0)
                return r;
        n_runtime = drop_reclaimed(runtime, n_runtime, old);
        return host_memory_merge(entries, n_entries, runtime, n_runtime, old ? old->regions : NULL,
                        old ? old->n_regions : 0, ret, error);
}
