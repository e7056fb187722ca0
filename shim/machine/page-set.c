/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sorted runs with binary search; see page-set.h. Runs neither overlap nor touch each other. */
#include "shim/machine/page-set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void page_set_release(struct page_set *set)
{
        free(set->runs);
        *set = (struct page_set){0};
}

int page_set_reserve(struct page_set *set)
{
        size_t capacity = set->capacity ? set->capacity * 2 : 16;
        struct page_run *runs;

        if (set->n < set->capacity)
                return 0;
        runs = reallocarray(set->runs, capacity, sizeof(*runs));
        if (!runs)
                return -ENOMEM;
        set->runs = runs;
        set->capacity = capacity;
        return 0;
}

/* Index of the first run whose end is above address (n: none). */
static size_t first_ending_above(const struct page_set *set, uint64_t address)
{
        size_t low = 0, high = set->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (set->runs[middle].end > address)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low;
}

/* Puts with[0..n_with) where the runs [from, to) are. */
static void replace(struct page_set *set, size_t from, size_t to, const struct page_run *with,
                size_t n_with)
{
        memmove(set->runs + from + n_with, set->runs + to, (set->n - to) * sizeof(*set->runs));
        for (size_t i = 0; i < n_with; i++)
                set->runs[from + i] = with[i];
        set->n = set->n - (to - from) + n_with;
}

void page_set_add(struct page_set *set, uint64_t start, uint64_t end)
{
        struct page_run run = {start, end};
        /* A run that ends exactly at start is merged, too. */
        size_t from = start > 0 ? first_ending_above(set, start - 1) : 0, to = from;

        while (to < set->n && set->runs[to].start <= end) {
                if (set->runs[to].start < run.start)
                        run.start = set->runs[to].start;
                if (set->runs[to].end > run.end)
                        run.end = set->runs[to].end;
                to++;
        }
        replace(set, from, to, &run, 1);
}

void page_set_remove(struct page_set *set, uint64_t start, uint64_t end)
{
        size_t from = first_ending_above(set, start), to = from, n_left = 0;
        struct page_run left[2];

        while (to < set->n && set->runs[to].start < end) {
                if (set->runs[to].start < start)
                        left[n_left++] = (struct page_run){set->runs[to].start, start};
                if (set->runs[to].end > end)
                        left[n_left++] = (struct page_run){end, set->runs[to].end};
                to++;
        }
        replace(set, from, to, left, n_left);
}

uint64_t page_set_run_end(const struct page_set *set, uint64_t address)
{
        size_t i = first_ending_above(set, address);

        return i < set->n && set->runs[i].start <= address ? set->runs[i].end : 0;
}

bool page_set_covers(const struct page_set *set, uint64_t start, uint64_t end)
{
        return start >= end || page_set_run_end(set, start) >= end;
}

bool page_set_next(const struct page_set *set, bool inside, uint64_t start, uint64_t end,
                struct page_run *ret)
{
        size_t i = first_ending_above(set, start);
        struct page_run piece = {start, end};

        if (inside) {
                if (i == set->n)
                        return false;
                piece = set->runs[i];
                if (piece.start < start)
                        piece.start = start;
                if (piece.end > end)
                        piece.end = end;
        } else {
                if (i < set->n && set->runs[i].start <= start)
                        piece.start = set->runs[i++].end;
                if (i < set->n && set->runs[i].start < end)
                        piece.end = set->runs[i].start;
        }
        if (piece.start >= piece.end)
                return false;
        *ret = piece;
        return true;
}

uint64_t page_set_overlap(const struct page_set *set, uint64_t start, uint64_t end)
{
        struct page_run piece;
        uint64_t bytes = 0;

        while (page_set_next(set, true, start, end, &piece)) {
                bytes += piece.end - piece.start;
                start = piece.end;
        }
        return bytes;
}
