/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `load` leaves for `exec`: the plan and the image, and the guard that stands in the kernel
 * meanwhile. */
#pragma once

#include "base/error.h"
#include "policy/predict.h"
#include "shim/state.h"

struct staged {
        char *payload; /* path, as it was named */
        struct plan plan;
        uint64_t guard_page; /* physical address of the guard image */
        uint64_t image_id;   /* that the image of this plan has in its header; 63 random bits */
};

void staged_release(struct staged *staged);
#define STAGED_NONE ((struct staged){0})

/* Puts the description in place, under name STATE_PLAN or STATE_JOURNAL. */
int staged_write(const struct state_dir *dir, const char *name, const struct staged *staged,
                struct error *error);
/* -ENOENT: nothing is there under that name. */
int staged_read(const struct state_dir *dir, const char *name, struct staged *ret,
                struct error *error);
/* Removes plan and image: nothing is loaded any more as far as we are concerned. */
int staged_drop(const struct state_dir *dir);

/* Gives the guard to the kernel. */
int staged_load_guard(uint64_t guard_page, struct error *error);
