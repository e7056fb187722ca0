/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page allocator: the machine's memory map cut into regions with a type and an owner
 * (UEFI 2.10, 7.2). Allocation opens the pages in guest RAM and in the vCPU, freeing closes them
 * and gives the memory back to the host. The bookkeeping is the broker's: nothing of it lies in
 * guest memory. */
#include "shim/firmware/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define LOWEST_RAM  (64ull << 10) /* mmap_min_addr: the guest process can't map below */
#define HIGHEST_RAM (1ull << 46)  /* 64 TiB: well within what a process can map */
#define ONE_MIB     (1ull << 20)  /* second kernels put their real-mode trampoline below */
#define FOUR_GIB    (1ull << 32)

struct region {
        uint64_t start, end;
        uint32_t type;
        enum memory_owner owner;
        uint64_t attribute;
        uint64_t virtual_start;
};

struct fw_memory {
        struct region *regions; /* ascending, not overlapping */
        size_t n, capacity;
        uint64_t key;
};

static bool is_runtime(uint32_t type)
{
        return type == EfiRuntimeServicesCode || type == EfiRuntimeServicesData;
}

uint64_t memory_map_key(const struct firmware *fw)
{
        return fw->memory->key;
}

void memory_map_changed(struct firmware *fw)
{
        fw->memory->key++;
}

/* ---- regions ---- */

static bool regions_reserve(struct fw_memory *m, size_t more)
{
        size_t capacity = m->capacity ? m->capacity * 2 : 64;
        struct region *grown;

        if (m->n + more <= m->capacity)
                return true;
        while (capacity < m->n + more)
                capacity *= 2;
        grown = reallocarray(m->regions, capacity, sizeof(*grown));
        if (!grown)
                return false;
        m->regions = grown;
        m->capacity = capacity;
        return true;
}

/* Index of the first region that ends behind address. */
static size_t region_at(const struct fw_memory *m, uint64_t address)
{
        size_t low = 0, high = m->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (m->regions[middle].end <= address)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool region_joins(const struct region *a, const struct region *b)
{
        return a->end == b->start && a->type == b->type && a->owner == b->owner &&
               a->attribute == b->attribute && !a->virtual_start && !b->virtual_start;
}

static void region_insert(struct fw_memory *m, size_t i, struct region r)
{
        memmove(m->regions + i + 1, m->regions + i, (m->n - i) * sizeof(r));
        m->regions[i] = r;
        m->n++;
}

static void region_join_next(struct fw_memory *m, size_t i)
{
        if (i + 1 >= m->n || !region_joins(m->regions + i, m->regions + i + 1))
                return;
        m->regions[i].end = m->regions[i + 1].end;
        memmove(m->regions + i + 1, m->regions + i + 2, (m->n - i - 2) * sizeof(m->regions[0]));
        m->n--;
}

/* Gives [start, end), which lies inside region i, another type and owner. The caller has reserved
 * room for two more regions, so this can't fail. */
static void region_retype(struct fw_memory *m, size_t i, uint64_t start, uint64_t end,
                uint32_t type, enum memory_owner owner)
{
        struct region whole = m->regions[i], part = whole;

        part.start = start;
        part.end = end;
        part.type = type;
        part.owner = owner;
        if (end < whole.end) {
                struct region tail = whole;

                tail.start = end;
                region_insert(m, i + 1, tail);
        }
        m->regions[i] = part;
        if (start > whole.start) {
                struct region head = whole;

                head.end = start;
                region_insert(m, i, head);
                i++;
        }
        region_join_next(m, i);
        if (i > 0)
                region_join_next(m, i - 1);
}

/* ---- searching ---- */

/* The highest place for size bytes in [low, high), or false. */
static bool find_top_down(const struct fw_memory *m, uint64_t size, uint64_t align, uint64_t low,
                uint64_t high, size_t *index, uint64_t *start)
{
        for (size_t i = m->n; i-- > 0;) {
                const struct region *r = m->regions + i;
                uint64_t from = r->start > low ? r->start : low;
                uint64_t to = r->end < high ? r->end : high;
                uint64_t place;

                if (r->owner != MEMORY_FREE || from >= to || to - from < size)
                        continue;
                place = (to - size) & ~(align - 1);
                if (place < from)
                        continue;
                *index = i;
                *start = place;
                return true;
        }
        return false;
}

static bool find_place(const struct fw_memory *m, const struct memory_request *q, uint64_t limit,
                size_t *index, uint64_t *start)
{
        uint64_t size = q->n_pages << EFI_PAGE_SHIFT;
        uint64_t align = q->align_bytes > EFI_PAGE_SIZE ? q->align_bytes : EFI_PAGE_SIZE;
        uint64_t low_limit = limit < FOUR_GIB ? limit : FOUR_GIB;

        if (find_top_down(m, size, align, ONE_MIB, low_limit, index, start) ||
                        find_top_down(m, size, align, FOUR_GIB, limit, index, start))
                return true;
        return q->allocate_type == AllocateMaxAddress &&
               find_top_down(m, size, align, LOWEST_RAM, limit < ONE_MIB ? limit : ONE_MIB, index,
                               start);
}

static bool find_exact(const struct fw_memory *m, uint64_t address, uint64_t size, size_t *index)
{
        size_t i = region_at(m, address);

        if (i == m->n || m->regions[i].owner != MEMORY_FREE || m->regions[i].start > address ||
                        m->regions[i].end - address < size)
                return false;
        *index = i;
        return true;
}

/* ---- opening and closing pages ---- */

static EFI_STATUS pages_open(struct firmware *fw, uint64_t start, uint64_t end)
{
        int r = ram_commit(fw->ram, start, end);

        if (r == -ENOSPC) {
                fw_trace(fw, "  memory budget of %llu bytes is used up (%llu in use, %llu wanted)",
                                (unsigned long long)ram_budget_bytes(fw->ram),
                                (unsigned long long)ram_committed_bytes(fw->ram),
                                (unsigned long long)(end - start));
                return EFI_OUT_OF_RESOURCES;
        }
        if (r < 0) {
                fw_trace(fw, "  opening guest memory: %s", strerror(-r));
                return EFI_OUT_OF_RESOURCES;
        }
        r = vcpu_open(fw->vcpu, start, end);
        if (r < 0) {
                fw_trace(fw, "  giving guest memory to the vCPU: %s", strerror(-r));
                (void)ram_release(fw->ram, start, end);
                return EFI_OUT_OF_RESOURCES;
        }
        return EFI_SUCCESS;
}

/* A page that can't be closed would stay readable while others believe it free: the end of the run.
 */
static void pages_close(struct firmware *fw, uint64_t start, uint64_t end)
{
        int r = vcpu_close(fw->vcpu, start, end);

        if (r >= 0)
                r = ram_release(fw->ram, start, end);
        if (r < 0)
                fw_stop(fw, "closing guest memory at 0x%llx: %s", (unsigned long long)start,
                                strerror(-r));
}

/* ---- allocation ---- */

static bool type_allocatable(uint32_t type)
{
        if (type >= 0x70000000u) /* OEM and OS loader types, UEFI 7.2 */
                return true;
        return type < EfiMaxMemoryType && type != EfiConventionalMemory &&
               type != EfiPersistentMemory && type != EfiUnacceptedMemoryType;
}

EFI_STATUS memory_allocate(struct firmware *fw, const struct memory_request *q, uint64_t *address)
{
        struct fw_memory *m = fw->memory;
        uint64_t start = *address, limit = UINT64_MAX, size;
        EFI_STATUS status;
        size_t i;

        if (q->allocate_type >= MaxAllocateType || !type_allocatable(q->memory_type) || !q->n_pages)
                return EFI_INVALID_PARAMETER;
        if (q->n_pages > UINT64_MAX >> EFI_PAGE_SHIFT)
                return q->allocate_type == AllocateAddress ? EFI_NOT_FOUND : EFI_OUT_OF_RESOURCES;
        size = q->n_pages << EFI_PAGE_SHIFT;
        if (q->allocate_type == AllocateAddress) {
                if (start & (EFI_PAGE_SIZE - 1) || !find_exact(m, start, size, &i))
                        return EFI_NOT_FOUND;
        } else {
                /* The limit is the last byte that may be used; Linux passes ~0. */
                if (q->allocate_type == AllocateMaxAddress && start != UINT64_MAX)
                        limit = start + 1;
                limit &= ~(EFI_PAGE_SIZE - 1);
                if (!find_place(m, q, limit, &i, &start))
                        return EFI_OUT_OF_RESOURCES;
        }
        if (!regions_reserve(m, 2))
                return EFI_OUT_OF_RESOURCES;
        status = pages_open(fw, start, start + size);
        if (efi_error(status))
                return status;
        region_retype(m, i, start, start + size, q->memory_type, q->owner);
        memory_map_changed(fw);
        *address = start;
        return EFI_SUCCESS;
}

EFI_STATUS memory_free(
                struct firmware *fw, uint64_t address, uint64_t n_pages, enum memory_owner owner)
{
        struct fw_memory *m = fw->memory;
        uint64_t end, at = address;

        if (address & (EFI_PAGE_SIZE - 1) || !n_pages)
                return EFI_INVALID_PARAMETER;
        if (n_pages > (UINT64_MAX - address) >> EFI_PAGE_SHIFT)
                return EFI_NOT_FOUND;
        end = address + (n_pages << EFI_PAGE_SHIFT);
        for (size_t i = region_at(m, address); at < end; i++) {
                if (i == m->n || m->regions[i].owner != owner || m->regions[i].start > at)
                        return EFI_NOT_FOUND;
                at = m->regions[i].end;
        }
        /* Only the two ends can split a region. */
        if (!regions_reserve(m, 2))
                return EFI_OUT_OF_RESOURCES;
        for (at = address; at < end;) {
                size_t i = region_at(m, at);
                uint64_t stop = m->regions[i].end < end ? m->regions[i].end : end;

                region_retype(m, i, at, stop, EfiConventionalMemory, MEMORY_FREE);
                at = stop;
        }
        pages_close(fw, address, end);
        memory_map_changed(fw);
        return EFI_SUCCESS;
}

EFI_STATUS fw_allocate_pages(struct firmware *fw, uint32_t allocate_type, uint32_t memory_type,
                uint64_t n_pages, uint64_t *address)
{
        const struct memory_request request = {
                        .allocate_type = allocate_type,
                        .memory_type = memory_type,
                        .owner = MEMORY_PAYLOAD,
                        .n_pages = n_pages,
        };

        return memory_allocate(fw, &request, address);
}

EFI_STATUS fw_free_pages(struct firmware *fw, uint64_t address, uint64_t n_pages)
{
        return memory_free(fw, address, n_pages, MEMORY_PAYLOAD);
}

EFI_STATUS firmware_allocate(
                struct firmware *fw, uint32_t type, uint64_t n_pages, uint64_t below, uint64_t *ret)
{
        const struct memory_request request = {
                        .allocate_type = below ? AllocateMaxAddress : AllocateAnyPages,
                        .memory_type = type,
                        .owner = MEMORY_FIRMWARE,
                        .n_pages = n_pages,
        };
        uint64_t address = below - 1;
        EFI_STATUS status = memory_allocate(fw, &request, &address);

        if (!efi_error(status))
                *ret = address;
        return status;
}

/* ---- the map as others see it ---- */

static struct fw_memory_range region_row(const struct region *r)
{
        return (struct fw_memory_range){
                        .start = r->start,
                        .end = r->end,
                        .type = r->type,
                        .attribute = r->attribute | (is_runtime(r->type) ? EFI_MEMORY_RUNTIME : 0),
                        .virtual_start = r->virtual_start,
        };
}

static bool row_joins(const struct fw_memory_range *a, const struct fw_memory_range *b)
{
        return a->end == b->start && a->type == b->type && a->attribute == b->attribute &&
               !a->virtual_start && !b->virtual_start;
}

static bool is_allocated(const struct region *r)
{
        return r->owner == MEMORY_PAYLOAD || r->owner == MEMORY_FIRMWARE;
}

static int map_rows(const struct firmware *fw, bool allocated_only, struct fw_memory_range **ret,
                size_t *ret_n)
{
        const struct fw_memory *m = fw->memory;
        struct fw_memory_range *rows = calloc(m->n + 1, sizeof(*rows));
        size_t n = 0;

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < m->n; i++) {
                struct fw_memory_range row = region_row(m->regions + i);

                if (allocated_only && !is_allocated(m->regions + i))
                        continue;
                if (n && row_joins(rows + n - 1, &row))
                        rows[n - 1].end = row.end;
                else
                        rows[n++] = row;
        }
        *ret = rows;
        *ret_n = n;
        return 0;
}

int firmware_memory_map(const struct firmware *fw, struct fw_memory_range **ret, size_t *n)
{
        return map_rows(fw, false, ret, n);
}

int firmware_allocations(const struct firmware *fw, struct fw_memory_range **ret, size_t *n)
{
        return map_rows(fw, true, ret, n);
}

/* ---- setting up ---- */

static int compare_rows(const void *a, const void *b)
{
        const struct fw_memory_range *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

static int sorted_rows(const struct firmware_setup *setup, struct fw_memory_range **ret,
                struct error *error)
{
        _cleanup_free_ struct fw_memory_range *rows = calloc(setup->n_memory + 1, sizeof(*rows));
        uint64_t last = 0;

        if (!rows)
                return error_set(error, ENOMEM, "out of memory");
        if (setup->n_memory)
                memcpy(rows, setup->memory, setup->n_memory * sizeof(*rows));
        qsort(rows, setup->n_memory, sizeof(*rows), compare_rows);
        for (size_t i = 0; i < setup->n_memory; i++) {
                if ((rows[i].start | rows[i].end) & (EFI_PAGE_SIZE - 1) ||
                                rows[i].start >= rows[i].end)
                        return error_set(error, EINVAL, "memory map: bad range 0x%llx-0x%llx",
                                        (unsigned long long)rows[i].start,
                                        (unsigned long long)rows[i].end);
                if (rows[i].start < last)
                        return error_set(error, EINVAL, "memory map: ranges overlap at 0x%llx",
                                        (unsigned long long)rows[i].start);
                last = rows[i].end;
        }
        *ret = TAKE_PTR(rows);
        return 0;
}

static bool contents_pages(const struct fw_contents *c, uint64_t *start, uint64_t *end)
{
        if (!c->bytes.size || c->address < LOWEST_RAM || c->address >= HIGHEST_RAM ||
                        c->bytes.size > HIGHEST_RAM - c->address)
                return false;
        *start = c->address & ~(EFI_PAGE_SIZE - 1);
        *end = (c->address + c->bytes.size + EFI_PAGE_SIZE - 1) & ~(EFI_PAGE_SIZE - 1);
        return true;
}

static int compare_ranges(const void *a, const void *b)
{
        const struct ram_range *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

int memory_ram_ranges(const struct firmware_setup *setup, struct ram_range **ret, size_t *ret_n,
                struct error *error)
{
        _cleanup_free_ struct fw_memory_range *rows = NULL;
        _cleanup_free_ struct ram_range *ranges = NULL;
        size_t n = 0, merged = 0;
        int r = sorted_rows(setup, &rows, error);

        if (r < 0)
                return r;
        ranges = calloc(setup->n_memory + setup->n_contents + 1, sizeof(*ranges));
        if (!ranges)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < setup->n_memory; i++) {
                uint64_t start = rows[i].start > LOWEST_RAM ? rows[i].start : LOWEST_RAM;

                if (rows[i].type == EfiConventionalMemory && start < rows[i].end)
                        ranges[n++] = (struct ram_range){start, rows[i].end};
        }
        for (size_t i = 0; i < setup->n_contents; i++)
                if (contents_pages(setup->contents + i, &ranges[n].start, &ranges[n].end))
                        n++;
        if (!n)
                return error_set(error, EINVAL, "memory map: no conventional memory");
        qsort(ranges, n, sizeof(*ranges), compare_ranges);
        for (size_t i = 1; i < n; i++) {
                if (ranges[i].start > ranges[merged].end)
                        ranges[++merged] = ranges[i];
                else if (ranges[i].end > ranges[merged].end)
                        ranges[merged].end = ranges[i].end;
        }
        *ret = TAKE_PTR(ranges);
        *ret_n = merged + 1;
        return 0;
}

/* Puts the bytes where the machine has them. Where they lie in RAM that could be allocated, the
 * pages become reserved: the machine's own tables are in them, and must stay. */
static int contents_setup(struct firmware *fw, const struct fw_contents *c, struct error *error)
{
        struct fw_memory *m = fw->memory;
        uint64_t start, end;

        if (!contents_pages(c, &start, &end))
                return 0;
        if (efi_error(pages_open(fw, start, end)) ||
                        !ram_write(fw->ram, c->address, c->bytes.data, c->bytes.size))
                return error_set(error, ENOMEM,
                                "no guest memory for the machine's tables at 0x%llx",
                                (unsigned long long)c->address);
        for (size_t i = region_at(m, start); i < m->n && m->regions[i].start < end; i++) {
                struct region *r = m->regions + i;
                uint64_t from = r->start > start ? r->start : start;
                uint64_t to = r->end < end ? r->end : end;

                if (r->owner != MEMORY_FREE)
                        continue;
                if (!regions_reserve(m, 2))
                        return error_set(error, ENOMEM, "out of memory");
                region_retype(m, i, from, to, EfiReservedMemoryType, MEMORY_MACHINE);
                i = region_at(m, from);
        }
        return 0;
}

static void row_add(struct fw_memory *m, const struct fw_memory_range *row)
{
        struct region r = {
                        .start = row->start,
                        .end = row->end,
                        .type = row->type,
                        .owner = row->type == EfiConventionalMemory ? MEMORY_FREE : MEMORY_MACHINE,
                        .attribute = row->attribute,
                        .virtual_start = row->virtual_start,
        };

        /* RAM that the guest process can't have: the second kernel gets it all the same, as memory
         * of boot services that nobody may free. */
        if (r.owner == MEMORY_FREE && r.start < LOWEST_RAM) {
                struct region low = r;

                low.end = r.end < LOWEST_RAM ? r.end : LOWEST_RAM;
                low.type = EfiBootServicesData;
                low.owner = MEMORY_MACHINE;
                m->regions[m->n++] = low;
                r.start = low.end;
        }
        if (r.start < r.end)
                m->regions[m->n++] = r;
        if (m->n > 1)
                region_join_next(m, m->n - 2);
}

int fw_memory_setup(struct firmware *fw, struct error *error)
{
        _cleanup_free_ struct fw_memory_range *rows = NULL;
        int r = sorted_rows(&fw->setup, &rows, error);

        if (r < 0)
                return r;
        fw->memory = calloc(1, sizeof(*fw->memory));
        if (!fw->memory || !regions_reserve(fw->memory, fw->setup.n_memory + 2))
                return error_set(error, ENOMEM, "out of memory");
        fw->memory->key = 1;
        for (size_t i = 0; i < fw->setup.n_memory; i++)
                row_add(fw->memory, rows + i);
        for (size_t i = 0; i < fw->setup.n_contents; i++) {
                r = contents_setup(fw, fw->setup.contents + i, error);
                if (r < 0)
                        return r;
        }
        return pool_setup(fw, error);
}

void memory_release(struct firmware *fw)
{
        pool_release(fw);
        if (fw->memory)
                free(fw->memory->regions);
        free(fw->memory);
        fw->memory = NULL;
}
