/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The misbehaving guests: each lie is a function that its name in the load options chooses, with
 * the exact answers that it has to get (CHECK_EQ). What has to come out of it for the machine, and
 * which lies end the run, test_lies.py says. */
#pragma once

#include "tests/conformance/guest.h"

struct lie {
        const char *name;
        void (*run)(void); /* one that returns without a failed check goes on to a hand-over */
};

/* Each file's table ends with a row without a name. */
extern const struct lie tcg2_lies[], command_lies[], memory_lies[], image_lies[], protocol_lies[],
                variable_lies[], file_lies[];

extern struct tcg2 *tcg2;

/* HashLogExtendEvent of data, which is its own event data, with the fields as given. */
status measure(uint64_t flags, uint32_t pcr, uint32_t type, const void *data, uint32_t size);
/* Pages that nobody has freed; 0. */
uint8_t *pages(uint64_t n);
/* A page with nothing behind it, where nobody else allocates. */
uint8_t *last_page(void);
