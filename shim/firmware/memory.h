/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page allocator and the pool as the core sees them; what protocols need is in internal.h. */
#pragma once

#include "shim/firmware/internal.h"

/* Who took a region: only what the payload itself allocated can be freed by it with FreePages. */
enum memory_owner {
        MEMORY_FREE,
        MEMORY_MACHINE,  /* not ours to give: reserved, ACPI, runtime, below 64 KiB */
        MEMORY_PAYLOAD,  /* AllocatePages */
        MEMORY_FIRMWARE, /* tables, thunks, images, pool, stack, broker's own */
};

struct memory_request {
        uint32_t allocate_type; /* AllocateAnyPages ... */
        uint32_t memory_type;
        enum memory_owner owner;
        uint64_t n_pages;
        uint64_t align_bytes; /* power of two; 0: a page. Not for AllocateAddress. */
};

/* As AllocatePages (UEFI 7.2.1): *address is limit or place on entry, the place on return. Any goes
 * below 4 GiB first and never below 1 MiB; Max goes the same way and below 1 MiB only if nothing
 * else is left. */
EFI_STATUS memory_allocate(
                struct firmware *fw, const struct memory_request *request, uint64_t *address);
/* EFI_NOT_FOUND unless all pages of the range belong to owner. The memory is given back to the
 * host. */
EFI_STATUS memory_free(
                struct firmware *fw, uint64_t address, uint64_t n_pages, enum memory_owner owner);

uint64_t memory_map_key(const struct firmware *fw);
/* Something changed that a holder of the map should know. */
void memory_map_changed(struct firmware *fw);

/* The RAM ranges of the guest: conventional rows, and the pages of setup->contents. -EINVAL with a
 * reason for rows that overlap, wrap or aren't page-aligned. Allocated array of the caller's. */
int memory_ram_ranges(const struct firmware_setup *setup, struct ram_range **ret, size_t *n,
                struct error *error);
void memory_release(struct firmware *fw);

/* ---- pool.c ---- */
int pool_setup(struct firmware *fw, struct error *error);
void pool_release(struct firmware *fw);
/* Blocks of the firmware's own: FreePool of the payload doesn't know them. */
EFI_STATUS pool_allocate_own(
                struct firmware *fw, uint32_t memory_type, uint64_t size, uint64_t *address);
EFI_STATUS pool_free_own(struct firmware *fw, uint64_t address);

/* ---- object.c ---- */
/* Frees the states of all objects that are left, newest first; their guest memory goes with the
 * guest. */
void objects_release(struct firmware *fw);
