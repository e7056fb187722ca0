/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/segments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static bool is_committed(const struct ram *ram, uint64_t page)
{
        struct span ignored;

        return ram_view(ram, page, EFI_PAGE_SIZE, &ignored);
}

struct list {
        struct segment *s;
        size_t n, capacity;
};

static int append(struct list *list, uint64_t start, uint64_t end)
{
        struct segment *s;

        if (list->n > 0 && list->s[list->n - 1].end == start) {
                list->s[list->n - 1].end = end;
                return 0;
        }
        if (list->n == list->capacity) {
                size_t capacity = list->capacity ? list->capacity * 2 : 64;

                s = reallocarray(list->s, capacity, sizeof(*s));
                if (!s)
                        return -ENOMEM;
                list->s = s;
                list->capacity = capacity;
        }
        list->s[list->n++] = (struct segment){start, end};
        return 0;
}

/* The committed pages of one allocation. */
static int add_allocation(struct list *list, const struct ram *ram, uint64_t start, uint64_t end)
{
        for (uint64_t page = start; page < end; page += EFI_PAGE_SIZE) {
                int r = is_committed(ram, page) ? append(list, page, page + EFI_PAGE_SIZE) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

/* A gap may be filled (with zeros) only where all of it is guest RAM, so conventional memory of the
 * machine. */
static bool gap_is_ram(const struct ram *ram, uint64_t start, uint64_t end)
{
        for (size_t i = 0; i < ram_n_ranges(ram); i++) {
                struct ram_range range = ram_get_range(ram, i);

                if (start >= range.start && end <= range.end)
                        return true;
        }
        return false;
}

/* Joins the two neighbours with the smallest gap between them; false if none can be joined. */
static bool fill_a_gap(struct list *list, const struct ram *ram)
{
        size_t best = SIZE_MAX;

        for (size_t i = 0; i + 1 < list->n; i++) {
                uint64_t gap = list->s[i + 1].start - list->s[i].end;

                if (gap_is_ram(ram, list->s[i].end, list->s[i + 1].start) &&
                                (best == SIZE_MAX ||
                                                gap < list->s[best + 1].start - list->s[best].end))
                        best = i;
        }
        if (best == SIZE_MAX)
                return false;
        list->s[best].end = list->s[best + 1].end;
        memmove(&list->s[best + 1], &list->s[best + 2], (list->n - best - 2) * sizeof(list->s[0]));
        list->n--;
        return true;
}

static int check_sizes(
                const struct segments *segments, uint64_t total_ram_bytes, struct error *error)
{
        uint64_t total = segments_bytes(segments);

        if (total_ram_bytes != 0 && total > total_ram_bytes / 2)
                return error_set(error, EFBIG,
                                "the second kernel needs %llu MiB at hand-over; kexec takes at "
                                "most half of "
                                "this machine's %llu MiB",
                                (unsigned long long)(total >> 20),
                                (unsigned long long)(total_ram_bytes >> 20));
        return 0;
}

int segments_plan(const struct ram *ram, const struct fw_memory_range *allocations, size_t n,
                uint64_t total_ram_bytes, struct segments *ret, struct error *error)
{
        struct list list = {0};
        _cleanup_free_ struct segment *storage = NULL;
        struct segments segments = {0};
        int r;

        for (size_t i = 0; i < n; i++) {
                r = add_allocation(&list, ram, allocations[i].start, allocations[i].end);
                storage = list.s;
                if (r < 0)
                        return error_set(error, ENOMEM, "out of memory for the segments");
        }
        if (list.n == 0)
                return error_set(error, ENOENT, "the payload left nothing in memory");
        while (list.n > SEGMENTS_MAX)
                if (!fill_a_gap(&list, ram))
                        return error_set(error, ENOSPC,
                                        "the payload's memory lies in %zu pieces; kexec takes %u",
                                        list.n, SEGMENTS_MAX);
        memcpy(segments.s, list.s, list.n * sizeof(list.s[0]));
        segments.n = list.n;
        r = check_sizes(&segments, total_ram_bytes, error);
        if (r == 0)
                *ret = segments;
        return r;
}

uint64_t segments_bytes(const struct segments *segments)
{
        uint64_t total = 0;

        for (size_t i = 0; i < segments->n; i++)
                total += segments->s[i].end - segments->s[i].start;
        return total;
}

void segments_read(const struct ram *ram, uint64_t address, uint8_t *to, size_t size)
{
        while (size > 0) {
                size_t n = EFI_PAGE_SIZE - address % EFI_PAGE_SIZE;

                if (n > size)
                        n = size;
                if (!ram_read(ram, address, to, n))
                        memset(to, 0, n);
                address += n;
                to += n;
                size -= n;
        }
}
