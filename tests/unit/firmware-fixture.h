/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A firmware without a guest process, for tests of services and protocols: real RAM, memory,
 * handles and events; the vCPU only nods. Rows are called as the dispatcher calls them, with
 * arguments in guest RAM. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "base/utf16.h"
#include "shim/firmware/dispatch.h"
#include "shim/firmware/internal.h"

static int fixture_nod(struct vcpu *v, uint64_t start, uint64_t end)
{
        (void)v, (void)start, (void)end;
        return 0;
}

static int fixture_regs(struct vcpu *v, struct vcpu_regs *regs)
{
        (void)v;
        *regs = (struct vcpu_regs){0};
        return 0;
}

static void fixture_free(struct vcpu *v)
{
        (void)v;
}

static const struct vcpu_ops fixture_ops = {.get_regs = fixture_regs,
                .open = fixture_nod,
                .close = fixture_nod,
                .free = fixture_free};
static struct vcpu fixture_vcpu = {&fixture_ops};
static const struct fw_memory_range fixture_memory[] = {
                {0x100000, 0x4100000, EfiConventionalMemory, EFI_MEMORY_WB, 0}};
static struct firmware *fixture_firmware;
#define fixture (*fixture_firmware)
static uint64_t fixture_scratch; /* pages of the "payload" for arguments */

#define FIXTURE_SCRATCH_PAGES 32u
#define FIXTURE_SCRATCH_BYTES (FIXTURE_SCRATCH_PAGES * 4096u)
#define FIXTURE_BAD           0x4000000ull /* RAM, but nobody opened it */

static inline void fixture_stop(void)
{
        firmware_free(fixture_firmware);
        fixture_firmware = NULL;
}

/* setup: without memory; NULL for an empty one. */
static inline bool fixture_start(const struct firmware_setup *setup)
{
        const struct ram_range range = {fixture_memory[0].start, fixture_memory[0].end};
        struct firmware_setup all = setup ? *setup : (struct firmware_setup){.volume_fd = -1};
        struct error error = {0};
        struct ram *ram;

        all.memory = fixture_memory;
        all.n_memory = 1;
        all.budget_bytes = 32u << 20;
        if (ram_new(&range, 1, all.budget_bytes, &ram, &error) < 0 ||
                        firmware_new_on(&all, ram, &fixture_vcpu, &fixture_firmware, &error) < 0) {
                printf("# %s\n", error.text);
                return false;
        }
        fixture_scratch = UINT64_MAX;
        return fw_allocate_pages(&fixture, AllocateAnyPages, EfiLoaderData, FIXTURE_SCRATCH_PAGES,
                               &fixture_scratch) == EFI_SUCCESS;
}

/* Puts a NUL-terminated UTF-16 string at the offset of the scratch pages and gives its address. */
static inline uint64_t fixture_text(size_t offset, const char *text)
{
        struct buf b = {0};
        uint64_t address = fixture_scratch + offset;

        (void)utf8_to_utf16(text, &b);
        buf_put_u16(&b, 0);
        if (!ram_write(fixture.ram, address, b.data, b.size))
                address = 0;
        buf_release(&b);
        return address;
}

static inline uint64_t fixture_bytes(size_t offset, const void *data, size_t size)
{
        uint64_t address = fixture_scratch + offset;

        return ram_write(fixture.ram, address, data, size) ? address : 0;
}

static inline uint64_t fixture_u64(size_t offset, uint64_t value)
{
        uint64_t address = fixture_scratch + offset;

        return ram_put_u64(fixture.ram, address, value) ? address : 0;
}

static inline uint64_t fixture_get(uint64_t address)
{
        uint64_t value = 0xdeadull << 48;

        (void)ram_get_u64(fixture.ram, address, &value);
        return value;
}

/* Calls the function in slot number slot of the object or table at address, through its thunk's
 * row. */
static inline EFI_STATUS fixture_call(uint64_t address, size_t slot, const uint64_t *arg)
{
        const struct fw_service *row = NULL;
        uint64_t all[FW_MAX_ARGS] = {0};
        uint64_t thunk = fixture_get(address + 8 * slot);

        if (!thunks_find(&fixture, thunk, &row) || !row)
                return EFIERR(0x7777);
        memcpy(all, arg, strlen(row->args) * sizeof(all[0]));
        return row->run(&fixture, all);
}

/* FIXTURE_CALL(object, slot, arg, ...) */
#define FIXTURE_CALL(address, slot, ...) \
        fixture_call(address, slot, (const uint64_t[FW_MAX_ARGS]){__VA_ARGS__})
