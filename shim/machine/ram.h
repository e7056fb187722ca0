/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guest RAM: one sparse memfd whose offset is the physical address, so that in the guest process
 * virtual address == physical address. The broker reads and writes it only through the checked
 * accessors here.
 *
 * Budget: pages cost memory only once they are committed. A page is committed when the firmware
 * opens it (ram_commit, for an allocation) and given back when it is closed (ram_release, which
 * also punches the hole); the guest process has access to committed pages only, so a payload can't
 * touch more than the firmware allocated, and that is bounded by the budget. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct ram_range {
        uint64_t start; /* page-aligned */
        uint64_t end;   /* exclusive, page-aligned */
};

struct ram;

/* ranges: ascending, not overlapping, nothing below 64 KiB. budget_bytes: most that may be
 * committed. -ENOMEM, -EINVAL, or the memfd's own errno. */
int ram_new(const struct ram_range *ranges, size_t n_ranges, uint64_t budget_bytes,
                struct ram **ret, struct error *error);
void ram_free(struct ram *ram);

int ram_fd(const struct ram *ram); /* for the vCPU back end that maps it */
size_t ram_n_ranges(const struct ram *ram);
struct ram_range ram_get_range(const struct ram *ram, size_t index);

/* Opens [start, end) (inside one range): zero pages, counted against the budget. -ENOSPC: budget
 * used up (nothing changed). Ranges already committed stay as they are and are not counted twice.
 */
int ram_commit(struct ram *ram, uint64_t start, uint64_t end);
/* Closes it again: contents are gone, memory and budget are given back. */
int ram_release(struct ram *ram, uint64_t start, uint64_t end);
uint64_t ram_committed_bytes(const struct ram *ram);
uint64_t ram_peak_bytes(const struct ram *ram);
uint64_t ram_budget_bytes(const struct ram *ram);

/* While the guest runs, its memory isn't looked at: between these two every accessor is false, and
 * commit and release give -EBUSY. The vCPU calls them around each run. */
void ram_lend(struct ram *ram);
void ram_take_back(struct ram *ram);

/* The one checked accessor: [address, address + size) must be committed as a whole; anything else
 * is false and nothing happened. Size 0 is true for any address. */
bool ram_read(const struct ram *ram, uint64_t address, void *to, uint64_t size);
bool ram_write(struct ram *ram, uint64_t address, const void *from, uint64_t size);
bool ram_zero(struct ram *ram, uint64_t address, uint64_t size);
bool ram_get_u8(const struct ram *ram, uint64_t address, uint8_t *ret);
bool ram_get_u16(const struct ram *ram, uint64_t address, uint16_t *ret);
bool ram_get_u32(const struct ram *ram, uint64_t address, uint32_t *ret);
bool ram_get_u64(const struct ram *ram, uint64_t address, uint64_t *ret);
bool ram_put_u8(struct ram *ram, uint64_t address, uint8_t value);
bool ram_put_u16(struct ram *ram, uint64_t address, uint16_t value);
bool ram_put_u32(struct ram *ram, uint64_t address, uint32_t value);
bool ram_put_u64(struct ram *ram, uint64_t address, uint64_t value);

/* Large data (images to hash, files to fill) without a copy: a view that stays valid until the next
 * commit/release or resume of the guest. The guest is stopped meanwhile, so the bytes don't change.
 * In builds with AddressSanitizer guest RAM moves with each run, and a view that outlives one
 * faults. */
bool ram_view(const struct ram *ram, uint64_t address, uint64_t size, struct span *ret);
bool ram_view_writable(struct ram *ram, uint64_t address, uint64_t size, uint8_t **ret);

/* A NUL-terminated UTF-16 string of at most max_chars characters, appended without its NUL as
 * UTF-16LE bytes; false if there is no NUL within them or the memory isn't committed. */
bool ram_read_utf16(const struct ram *ram, uint64_t address, size_t max_chars, struct buf *ret);
