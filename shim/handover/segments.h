/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages go to kexec_load: what the guest has allocated, as few page-aligned segments. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "shim/firmware/firmware.h"
#include "shim/machine/ram.h"

#define SEGMENTS_MAX 16u /* KEXEC_SEGMENT_MAX */

struct segment {
        uint64_t start, end; /* physical, page-aligned, end exclusive */
};

struct segments {
        struct segment s[SEGMENTS_MAX];
        size_t n;
};

/* allocations: ascending (firmware_allocations). Committed pages only; neighbours merge; beyond 16
 * the smallest gaps are filled, but only over guest RAM. extra: pages outside of guest RAM that get
 * a segment of their own, page-aligned, or NULL. total_ram_bytes: the kernel takes at most half of
 * it for each segment and for all (kernel/kexec_core.c); 0: not checked. -ENOSPC, -EFBIG, -ENOENT
 * (nothing), -EEXIST (extra lies over the payload's pages). */
int segments_plan(const struct ram *ram, const struct fw_memory_range *allocations, size_t n,
                const struct segment *extra, uint64_t total_ram_bytes, struct segments *ret,
                struct error *error);
uint64_t segments_bytes(const struct segments *segments);
/* size bytes at address; pages that aren't committed (filled gaps, extra) read as zeros. */
void segments_read(const struct ram *ram, uint64_t address, uint8_t *to, size_t size);
