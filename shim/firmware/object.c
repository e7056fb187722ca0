/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI objects: a structure in guest RAM that the payload holds a pointer to, and the broker's state
 * behind it. The pointer is looked up here and must be the address and kind that was given out;
 * nothing that the payload writes into the structure reaches the state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/firmware/memory.h"

#define MAX_OBJECTS 4096u /* open files, mostly */

struct fw_object {
        enum fw_object_kind kind;
        uint64_t address;
        void *state;
        void (*free_state)(void *state);
};

struct fw_objects {
        struct fw_object *objects;
        size_t n, capacity;
};

static struct fw_object *object_find(const struct firmware *fw, uint64_t address)
{
        for (size_t i = 0; fw->objects && i < fw->objects->n; i++)
                if (fw->objects->objects[i].address == address)
                        return fw->objects->objects + i;
        return NULL;
}

static bool objects_grow(struct fw_objects *o)
{
        size_t capacity = o->capacity ? 2 * o->capacity : 32;
        struct fw_object *grown;

        if (o->n < o->capacity)
                return true;
        if (o->n >= MAX_OBJECTS)
                return false;
        grown = reallocarray(o->objects, capacity, sizeof(*grown));
        if (!grown)
                return false;
        o->objects = grown;
        o->capacity = capacity;
        return true;
}

int fw_object_new(struct firmware *fw, enum fw_object_kind kind, size_t size, void *state,
                void (*free_state)(void *state), uint64_t *ret_address)
{
        uint64_t address;

        if (!fw->objects)
                fw->objects = calloc(1, sizeof(*fw->objects));
        if (!fw->objects || !objects_grow(fw->objects))
                return -ENOMEM;
        if (efi_error(pool_allocate_own(fw, EfiBootServicesData, size, &address)))
                return -ENOMEM;
        if (!ram_zero(fw->ram, address, size)) {
                (void)pool_free_own(fw, address);
                return -ENOMEM;
        }
        fw->objects->objects[fw->objects->n++] = (struct fw_object){
                        .kind = kind,
                        .address = address,
                        .state = state,
                        .free_state = free_state,
        };
        *ret_address = address;
        return 0;
}

void *fw_object_state(struct firmware *fw, enum fw_object_kind kind, uint64_t address)
{
        const struct fw_object *o = object_find(fw, address);

        return o && o->kind == kind ? o->state : NULL;
}

void fw_object_free(struct firmware *fw, uint64_t address)
{
        struct fw_object *o = object_find(fw, address);
        struct fw_object gone;

        if (!o)
                return;
        gone = *o;
        /* The order stays: a volume is older than its files, and is freed after them. */
        memmove(o, o + 1, (size_t)(fw->objects->objects + --fw->objects->n - o) * sizeof(*o));
        (void)pool_free_own(fw, gone.address);
        if (gone.free_state)
                gone.free_state(gone.state);
}

int fw_object_functions(struct firmware *fw, uint64_t address, size_t first_slot,
                const struct fw_service *rows, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t thunk = fw_thunk(fw, rows + i);

                if (!thunk || !ram_put_u64(fw->ram, address + 8 * (first_slot + i), thunk))
                        return -ENOMEM;
        }
        return 0;
}

void objects_release(struct firmware *fw)
{
        if (!fw->objects)
                return;
        while (fw->objects->n) {
                struct fw_object gone = fw->objects->objects[--fw->objects->n];

                if (gone.free_state)
                        gone.free_state(gone.state);
        }
        free(fw->objects->objects);
        free(fw->objects);
        fw->objects = NULL;
}
