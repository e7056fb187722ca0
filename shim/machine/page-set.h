/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of addresses as sorted, merged runs [start, end): cheap for thousands of small runs and for
 * huge ones alike. ram.c keeps the committed pages in one. Knows no alignment; callers check it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_run {
        uint64_t start;
        uint64_t end; /* exclusive */
};

struct page_set {
        struct page_run *runs;
        size_t n;
        size_t capacity;
};

void page_set_release(struct page_set *set);

/* Room for one more run, so that the next add or remove can't fail. 0 or -ENOMEM. */
int page_set_reserve(struct page_set *set);

/* Both take start < end and need a page_set_reserve() before. */
void page_set_add(struct page_set *set, uint64_t start, uint64_t end);
void page_set_remove(struct page_set *set, uint64_t start, uint64_t end);

/* End of the run that holds address; 0 if none does. */
uint64_t page_set_run_end(const struct page_set *set, uint64_t address);
bool page_set_covers(const struct page_set *set, uint64_t start, uint64_t end);

/* The first piece of [start, end) that is in the set (inside) or isn't; false if there is none. */
bool page_set_next(const struct page_set *set, bool inside, uint64_t start, uint64_t end,
                struct page_run *ret);
/* Bytes of [start, end) that are in the set. */
uint64_t page_set_overlap(const struct page_set *set, uint64_t start, uint64_t end);
