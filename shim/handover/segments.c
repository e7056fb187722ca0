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

struct gap {
        uint64_t bytes;
        size_t index; /* of the segment before it */
};

static int compare_gaps(const void *a, const void *b)
{
        const struct gap *x = a, *y = b;

        if (x->bytes != y->bytes)
                return x->bytes < y->bytes ? -1 : 1;
        return x->index < y->index ? -1 : x->index > y->index;
}

/* Joins neighbours over the smallest gaps until max are left. -ENOSPC: they can't be that few. */
static int fill_gaps(struct list *list, const struct ram *ram, size_t max)
{
        _cleanup_free_ struct gap *gaps = calloc(list->n, sizeof(*gaps));
        size_t n = 0, excess = list->n - max, kept = 0;

        if (!gaps)
                return -ENOMEM;
        for (size_t i = 0; i + 1 < list->n; i++)
                if (gap_is_ram(ram, list->s[i].end, list->s[i + 1].start))
                        gaps[n++] = (struct gap){list->s[i + 1].start - list->s[i].end, i};
        if (n < excess)
                return -ENOSPC;
        qsort(gaps, n, sizeof(*gaps), compare_gaps);
        for (size_t i = 0; i < excess; i++)
                list->s[gaps[i].index].end = 0; /* goes on in the next one */
        for (size_t i = 0; i < list->n; i++) {
                uint64_t start = list->s[i].start;

                while (list->s[i].end == 0)
                        i++;
                list->s[kept++] = (struct segment){start, list->s[i].end};
        }
        list->n = kept;
        return 0;
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

/* Puts it in its place among the others; there is room for it. */
static int insert(struct segments *segments, struct segment extra, struct error *error)
{
        size_t at = 0;

        while (at < segments->n && segments->s[at].start < extra.start)
                at++;
        if ((at > 0 && segments->s[at - 1].end > extra.start) ||
                        (at < segments->n && segments->s[at].start < extra.end))
                return error_set(error, EEXIST,
                                "the event log's area at 0x%llx lies over the payload's memory",
                                (unsigned long long)extra.start);
        memmove(&segments->s[at + 1], &segments->s[at],
                        (segments->n - at) * sizeof(segments->s[0]));
        segments->s[at] = extra;
        segments->n++;
        return 0;
}

int segments_plan(const struct ram *ram, const struct fw_memory_range *allocations, size_t n,
                const struct segment *extra, uint64_t total_ram_bytes, struct segments *ret,
                struct error *error)
{
        size_t max = SEGMENTS_MAX - (extra ? 1 : 0);
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
        if (list.n > max) {
                r = fill_gaps(&list, ram, max);
                if (r < 0)
                        return error_set(error, -r,
                                        "the payload's memory lies in %zu pieces; kexec takes %u",
                                        list.n, (unsigned)max);
        }
        memcpy(segments.s, list.s, list.n * sizeof(list.s[0]));
        segments.n = list.n;
        if (extra) {
                r = insert(&segments, *extra, error);
                if (r < 0)
                        return r;
        }
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
