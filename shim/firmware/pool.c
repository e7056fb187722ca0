/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pool allocator (UEFI 2.10, 7.2.4): slabs of one page per memory type and size class, whole
 * pages for what is larger. Its records are the broker's, so a block can't be forged, freed twice
 * or freed by its neighbour's overflow. Blocks of the firmware itself are in slabs of their own,
 * out of FreePool's reach. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "shim/firmware/memory.h"

#define SMALLEST_SLOT 32u
#define N_CLASSES     7u /* 32 ... 2048 */
#define LARGEST_SLOT  (SMALLEST_SLOT << (N_CLASSES - 1))
#define MAX_SLOTS     (EFI_PAGE_SIZE / SMALLEST_SLOT)

enum pool_owner { POOL_PAYLOAD, POOL_OWN, N_POOL_OWNERS };

struct slab {
        uint64_t start, end;
        uint32_t type;
        uint32_t slot_bytes; /* 0: one block that takes all of it */
        enum pool_owner owner;
        unsigned n_slots, n_used;
        uint64_t used[MAX_SLOTS / 64];
        struct slab *prev, *next; /* in the list of slabs with free slots */
};

struct fw_pool {
        void *tree; /* of all slabs, by address */
        struct slab *partial[N_POOL_OWNERS][EfiMaxMemoryType][N_CLASSES];
};

static int compare_slabs(const void *a, const void *b)
{
        const struct slab *x = a, *y = b;

        return x->end <= y->start ? -1 : x->start >= y->end;
}

static struct slab *slab_find(const struct fw_pool *pool, uint64_t address)
{
        const struct slab key = {.start = address, .end = address + 1};
        struct slab *const *found;

        if (address == UINT64_MAX)
                return NULL;
        found = tfind(&key, &pool->tree, compare_slabs);
        return found ? *found : NULL;
}

static struct slab **slab_list(struct fw_pool *pool, const struct slab *s)
{
        unsigned class = 0;

        while (SMALLEST_SLOT << class < s->slot_bytes)
                class ++;
        return &pool->partial[s->owner][s->type][class];
}

static void slab_link(struct fw_pool *pool, struct slab *s)
{
        struct slab **list = slab_list(pool, s);

        s->prev = NULL;
        s->next = *list;
        if (s->next)
                s->next->prev = s;
        *list = s;
}

static void slab_unlink(struct fw_pool *pool, struct slab *s)
{
        if (s->next)
                s->next->prev = s->prev;
        if (s->prev)
                s->prev->next = s->next;
        else
                *slab_list(pool, s) = s->next;
}

/* Types of OEMs and OS loaders have no lists: each of their blocks gets pages of its own. */
static uint32_t slot_for(uint32_t type, uint64_t size)
{
        uint32_t slot = SMALLEST_SLOT;

        if (size > LARGEST_SLOT || type >= EfiMaxMemoryType)
                return 0;
        while (slot < size)
                slot <<= 1;
        return slot;
}

static EFI_STATUS slab_new(struct firmware *fw, enum pool_owner owner, uint32_t type, uint32_t slot,
                uint64_t size, struct slab **ret)
{
        _cleanup_free_ struct slab *s = calloc(1, sizeof(*s));
        struct memory_request request = {
                        .allocate_type = AllocateAnyPages,
                        .memory_type = type,
                        .owner = MEMORY_FIRMWARE,
                        .n_pages = 1,
        };
        EFI_STATUS status;

        if (!s)
                return EFI_OUT_OF_RESOURCES;
        if (!slot && size > EFI_PAGE_SIZE)
                request.n_pages = (size >> EFI_PAGE_SHIFT) + !!(size & (EFI_PAGE_SIZE - 1));
        status = memory_allocate(fw, &request, &s->start);
        if (efi_error(status))
                return status;
        s->end = s->start + (request.n_pages << EFI_PAGE_SHIFT);
        s->type = type;
        s->owner = owner;
        s->slot_bytes = slot;
        s->n_slots = slot ? (unsigned)(EFI_PAGE_SIZE / slot) : 1;
        if (!tsearch(s, &fw->pool->tree, compare_slabs)) {
                (void)memory_free(fw, s->start, request.n_pages, MEMORY_FIRMWARE);
                return EFI_OUT_OF_RESOURCES;
        }
        if (slot)
                slab_link(fw->pool, s);
        *ret = TAKE_PTR(s);
        return EFI_SUCCESS;
}

static uint64_t slab_take(struct fw_pool *pool, struct slab *s)
{
        unsigned i = 0;

        while (s->used[i / 64] >> (i % 64) & 1)
                i++;
        s->used[i / 64] |= 1ull << (i % 64);
        s->n_used++;
        if (s->slot_bytes && s->n_used == s->n_slots)
                slab_unlink(pool, s);
        return s->start + (uint64_t)i * s->slot_bytes;
}

static EFI_STATUS pool_allocate(struct firmware *fw, enum pool_owner owner, uint32_t type,
                uint64_t size, uint64_t *address)
{
        uint32_t slot = slot_for(type, size);
        const struct slab like = {.owner = owner, .type = type, .slot_bytes = slot};
        struct slab *s = slot ? *slab_list(fw->pool, &like) : NULL;

        if (!s) {
                EFI_STATUS status = slab_new(fw, owner, type, slot, size, &s);

                if (efi_error(status))
                        return status;
        }
        *address = slab_take(fw->pool, s);
        memory_map_changed(fw);
        return EFI_SUCCESS;
}

static EFI_STATUS pool_free(struct firmware *fw, enum pool_owner owner, uint64_t address)
{
        struct slab *s = slab_find(fw->pool, address);
        uint64_t offset;
        unsigned i = 0;

        if (!s || s->owner != owner)
                return EFI_INVALID_PARAMETER;
        offset = address - s->start;
        if (s->slot_bytes) {
                if (offset % s->slot_bytes)
                        return EFI_INVALID_PARAMETER;
                i = (unsigned)(offset / s->slot_bytes);
        } else if (offset)
                return EFI_INVALID_PARAMETER;
        if (!(s->used[i / 64] >> (i % 64) & 1))
                return EFI_INVALID_PARAMETER;
        s->used[i / 64] &= ~(1ull << (i % 64));
        if (s->slot_bytes && s->n_used == s->n_slots)
                slab_link(fw->pool, s);
        s->n_used--;
        memory_map_changed(fw);
        if (s->n_used)
                return EFI_SUCCESS;
        if (s->slot_bytes)
                slab_unlink(fw->pool, s);
        tdelete(s, &fw->pool->tree, compare_slabs);
        (void)memory_free(fw, s->start, (s->end - s->start) >> EFI_PAGE_SHIFT, MEMORY_FIRMWARE);
        free(s);
        return EFI_SUCCESS;
}

EFI_STATUS fw_allocate_pool(
                struct firmware *fw, uint32_t memory_type, uint64_t size, uint64_t *address)
{
        return pool_allocate(fw, POOL_PAYLOAD, memory_type, size, address);
}

EFI_STATUS fw_free_pool(struct firmware *fw, uint64_t address)
{
        return pool_free(fw, POOL_PAYLOAD, address);
}

EFI_STATUS pool_allocate_own(
                struct firmware *fw, uint32_t memory_type, uint64_t size, uint64_t *address)
{
        return pool_allocate(fw, POOL_OWN, memory_type, size, address);
}

EFI_STATUS pool_free_own(struct firmware *fw, uint64_t address)
{
        return pool_free(fw, POOL_OWN, address);
}

EFI_STATUS fw_pool_put(
                struct firmware *fw, uint32_t memory_type, struct span bytes, uint64_t *address)
{
        uint64_t place;
        EFI_STATUS status = fw_allocate_pool(fw, memory_type, bytes.size, &place);

        if (efi_error(status))
                return status;
        if (!ram_write(fw->ram, place, bytes.data, bytes.size)) {
                (void)fw_free_pool(fw, place);
                return EFI_OUT_OF_RESOURCES;
        }
        *address = place;
        return EFI_SUCCESS;
}

int pool_setup(struct firmware *fw, struct error *error)
{
        fw->pool = calloc(1, sizeof(*fw->pool));
        return fw->pool ? 0 : error_set(error, ENOMEM, "out of memory");
}

void pool_release(struct firmware *fw)
{
        if (fw->pool)
                tdestroy(fw->pool->tree, free);
        free(fw->pool);
        fw->pool = NULL;
}
