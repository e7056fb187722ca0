/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boot_params: a good guest with changes from the input (records of u32 offset and u64 value,
 * little-endian) is searched, checked and, if it passed, completed; what passed must still pass
 * with the changed memory map. */
#include <stdlib.h>

#include "base/span.h"
#include "shim/handover/boot-params.h"
#include "tests/unit/guest-page.h"

#define WINDOW     0x200000u
#define WINDOW_END 0x220000u
#define OURS       0x300000u
#define OURS_END   0x310000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fw_memory_range memory[] = {
                {0, 0xa0000, EfiBootServicesData, 0xf, 0},
                {GUEST_START, GUEST_END, EfiConventionalMemory, 0xf, 0},
                {0x2000000, 0x2010000, EfiACPIMemoryNVS, 0, 0},
};
static const struct fw_memory_range after[] = {
                {0, 0xa0000, EfiBootServicesData, 0xf, 0},
                {GUEST_START, 0x400000, EfiConventionalMemory, 0xf, 0},
                {0x400000, 0x408000, EfiRuntimeServicesCode, 0xf, 0},
                {0x408000, GUEST_END, EfiConventionalMemory, 0xf, 0},
                {0x2000000, 0x2010000, EfiACPIMemoryNVS, 0, 0},
};

static void complete(struct ram *ram, uint64_t address)
{
        const uint64_t node = OURS + 0x1000;
        const struct boot_params_completion c = {
                        .system_table = 0x400000,
                        .efi_map = OURS,
                        .efi_map_size = 96,
                        .efi_descriptor_size = 48,
                        .nodes = &node,
                        .n_nodes = 1,
                        .acpi_rsdp = 0xe0000,
                        .taken = &after[2],
                        .n_taken = 1,
                        .spare = OURS + 0x2000,
                        .spare_size = 0x8000,
        };

        if (!boot_params_put_setup_efi(ram, node, 1, 2))
                abort();
        if (boot_params_complete(ram, address, &c, NULL) == 0 &&
                        boot_params_check(ram, address, after, 5, NULL) < 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct fw_memory_range allocation = {WINDOW, WINDOW_END, EfiLoaderData, 0xf, 0};
        struct ram_range range = {GUEST_START, GUEST_END};
        struct vcpu_regs regs = {0};
        struct cursor c = CURSOR(SPAN(data, size));
        struct ram *ram = NULL;
        uint64_t value, address;
        uint32_t offset;

        if (ram_new(&range, 1, 64 << 20, &ram, NULL) < 0 ||
                        ram_commit(ram, WINDOW, WINDOW_END) < 0 ||
                        ram_commit(ram, OURS, OURS_END) < 0 || !guest_page_fill(ram))
                abort();
        while (cursor_u32(&c, &offset) && cursor_u64(&c, &value)) {
                regs.r[VCPU_RDI] = value;
                (void)ram_put_u64(ram, WINDOW + offset % (WINDOW_END - WINDOW), value);
        }
        if (boot_params_find(ram, &regs, GUEST_SYSTAB, &allocation, 1, &address, NULL) == 0 &&
                        boot_params_check(ram, address, memory, 3, NULL) == 0)
                complete(ram, address);
        ram_free(ram);
        return 0;
}
