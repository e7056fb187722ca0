/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Thunks: the addresses behind the function pointers of our tables and protocols. Each is one `hlt`
 * in guest RAM, which user mode may not execute, so that calling it stops the guest there. Which
 * row is meant follows from the address alone; what the payload writes over a thunk changes nothing
 * but its own luck. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/firmware/dispatch.h"
#include "shim/firmware/memory.h"

#define THUNK_BYTES 16u
#define PER_PAGE    (EFI_PAGE_SIZE / THUNK_BYTES)
#define MAX_PAGES   8u

struct fw_thunks {
        uint64_t pages[MAX_PAGES];
        size_t n_pages;
        size_t n; /* thunks in use; number 0 is the return address and has no row */
        const struct fw_service *rows[MAX_PAGES * PER_PAGE];
};

static bool page_add(struct firmware *fw)
{
        static const uint8_t hlt_forever[] = {0xf4, 0xeb, 0xfd}; /* hlt; jmp to it */
        uint8_t code[THUNK_BYTES];
        const struct memory_request request = {
                        .allocate_type = AllocateAnyPages,
                        .memory_type = EfiBootServicesCode,
                        .owner = MEMORY_FIRMWARE,
                        .n_pages = 1,
        };
        struct fw_thunks *t = fw->thunks;
        uint64_t page = 0;

        if (t->n_pages == MAX_PAGES || efi_error(memory_allocate(fw, &request, &page)))
                return false;
        memset(code, 0xcc, sizeof(code)); /* int3 */
        memcpy(code, hlt_forever, sizeof(hlt_forever));
        for (size_t i = 0; i < PER_PAGE; i++)
                if (!ram_write(fw->ram, page + i * THUNK_BYTES, code, sizeof(code)))
                        return false;
        t->pages[t->n_pages++] = page;
        return true;
}

static uint64_t thunk_address(const struct fw_thunks *t, size_t i)
{
        return t->pages[i / PER_PAGE] + i % PER_PAGE * THUNK_BYTES;
}

uint64_t fw_thunk(struct firmware *fw, const struct fw_service *service)
{
        struct fw_thunks *t = fw->thunks;

        for (size_t i = 1; i < t->n; i++)
                if (t->rows[i] == service)
                        return thunk_address(t, i);
        if (t->n == t->n_pages * PER_PAGE && !page_add(fw))
                return 0;
        t->rows[t->n] = service;
        return thunk_address(t, t->n++);
}

uint64_t thunks_return_address(const struct firmware *fw)
{
        return thunk_address(fw->thunks, 0);
}

bool thunks_find(const struct firmware *fw, uint64_t rip, const struct fw_service **ret)
{
        const struct fw_thunks *t = fw->thunks;

        for (size_t page = 0; page < t->n_pages; page++) {
                uint64_t offset = rip - t->pages[page];
                size_t i = page * PER_PAGE + offset / THUNK_BYTES;

                if (offset >= EFI_PAGE_SIZE || offset % THUNK_BYTES || i >= t->n)
                        continue;
                *ret = t->rows[i];
                return true;
        }
        return false;
}

int thunks_setup(struct firmware *fw, struct error *error)
{
        fw->thunks = calloc(1, sizeof(*fw->thunks));
        if (!fw->thunks || !page_add(fw))
                return error_set(error, ENOMEM, "no guest memory for the firmware's entry points");
        fw->thunks->n = 1;
        return 0;
}

void thunks_release(struct firmware *fw)
{
        free(fw->thunks);
        fw->thunks = NULL;
}
