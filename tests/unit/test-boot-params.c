/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boot_params in guest RAM: found, checked with a forged twin for each check, completed. */
#include "tests/unit/tap.h"

#include <errno.h>

#include "base/cleanup.h"
#include "shim/handover/boot-params.h"
#include "shim/handover/e820.h"
#include "tests/unit/guest-page.h"

static const struct fw_memory_range memory[] = {
                {0, 0xa0000, EfiBootServicesData, 0xf, 0},
                {GUEST_START, GUEST_END, EfiConventionalMemory, 0xf, 0},
                {0x2000000, 0x2010000, EfiACPIMemoryNVS, 0, 0},
};
static const struct fw_memory_range allocations[] = {{0x200000, 0x220000, EfiLoaderData, 0xf, 0},
                {0x300000, 0x310000, EfiLoaderData, 0xf, 0}};

static struct ram *guest(void)
{
        struct ram_range range = {GUEST_START, GUEST_END};
        struct ram *ram = NULL;

        if (ram_new(&range, 1, 64 << 20, &ram, NULL) < 0 ||
                        ram_commit(ram, 0x200000, 0x220000) < 0 ||
                        ram_commit(ram, 0x300000, 0x310000) < 0 || !guest_page_fill(ram))
                abort();
        return ram;
}

static void found_by_register_or_scan(void)
{
        static const int registers[] = {VCPU_RDI, VCPU_RSI, VCPU_RBX, VCPU_RBP};
        struct ram *ram = guest();
        struct vcpu_regs regs = {0};
        struct error e = {0};
        uint64_t at = 0;
        uint8_t page[4096];

        CHECK_EQ(boot_params_find(ram, &regs, GUEST_SYSTAB, allocations, 2, &at, &e), 0);
        CHECK_EQ(at, GUEST_PARAMS);
        CHECK_EQ(boot_params_find(ram, &regs, GUEST_SYSTAB + 1, allocations, 2, &at, &e), -ENOENT);
        /* a copy at an odd place: the scan can't tell, a register can */
        CHECK(ram_read(ram, GUEST_PARAMS, page, sizeof(page)) &&
                        ram_write(ram, 0x300ffc, page, sizeof(page)));
        CHECK_EQ(boot_params_find(ram, &regs, GUEST_SYSTAB, allocations, 2, &at, &e), -EINVAL);
        for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
                regs = (struct vcpu_regs){.r = {[VCPU_RAX] = GUEST_PARAMS}};
                regs.r[registers[i]] = 0x300ffc;
                CHECK_EQ(boot_params_find(ram, &regs, GUEST_SYSTAB, allocations, 2, &at, &e), 0);
                CHECK_EQ(at, 0x300ffc);
        }
        /* registers that point nowhere, or to the end of memory */
        regs.r[VCPU_RDI] = UINT64_MAX - 100;
        regs.r[VCPU_RSI] = 0x21fff0;
        regs.r[VCPU_RBX] = 0x100000;
        regs.r[VCPU_RBP] = GUEST_PARAMS;
        CHECK_EQ(boot_params_find(ram, &regs, GUEST_SYSTAB, allocations, 2, &at, &e), 0);
        CHECK_EQ(at, GUEST_PARAMS);
        ram_free(ram);
}

static void good_ones_pass(void)
{
        struct ram *ram = guest();
        struct error e = {0};

        CHECK_EQ(boot_params_check(ram, GUEST_PARAMS, memory, 3, &e), 0);
        CHECK_EQ(boot_params_secure_boot(ram, GUEST_PARAMS), SECURE_BOOT_DISABLED);
        CHECK(ram_put_u64(ram, GUEST_PARAMS + 0x250, 0) &&
                        ram_put_u64(ram, GUEST_PARAMS + 0x218, 0) &&
                        ram_put_u32(ram, GUEST_PARAMS + 0x228,
                                        0)); /* no chain, no initrd, no command line */
        CHECK_EQ(boot_params_check(ram, GUEST_PARAMS, memory, 3, &e), 0);
        ram_free(ram);
}

static void forged_twins_are_refused(void)
{
        static const struct {
                uint64_t address;
                uint32_t value;
                const char *reason;
        } twins[] = {
                        {GUEST_PARAMS + 0x1e8, 0, "e820"},
                        {GUEST_PARAMS + 0x1e8, 129, "e820"},
                        {GUEST_PARAMS + 0x1e8, 4, "e820"},      /* an entry of size 0 */
                        {GUEST_PARAMS + 0x2d0, 0x50000, "RAM"}, /* RAM where the hole is */
                        {GUEST_PARAMS + 0x2d0 + 28, 0x1f00001, "overlap"},
                        {GUEST_PARAMS + 0x2d0 + 56, 1, "RAM"}, /* NVS as RAM */
                        {GUEST_PARAMS + 0x2d0 + 4, 0xffffffff, "RAM"},
                        {GUEST_PARAMS + 0x250, 0x21fff8, "setup_data"}, /* header over the end */
                        {GUEST_PARAMS + 0x250, 0x100000, "setup_data"}, /* not committed */
                        {GUEST_NODE, GUEST_NODE, "64 nodes"},           /* a loop */
                        {GUEST_NODE + 12, 0x80000, "setup_data"},
                        {GUEST_NODE + 12, 0xffffffff, "setup_data"},
                        {GUEST_NODE + 8, SETUP_E820_EXT, "e820"}, /* 64 is no multiple of 20 */
                        {GUEST_PARAMS + 0x228, 0x100000, "command line"},
                        {GUEST_PARAMS + 0x0c8, 1, "command line"},
                        {GUEST_PARAMS + 0x21c, 0x10001, "initrd"},
                        {GUEST_PARAMS + 0x0c0, 1, "initrd"},
                        {GUEST_PARAMS + 0x0c4, 1, "initrd"},
                        {GUEST_PARAMS + 0x1c8, 32, "EFI memory map"},
                        {GUEST_PARAMS + 0x1c8, 0, "EFI memory map"},
                        {GUEST_PARAMS + 0x1cc, 2, "EFI memory map"},
                        {GUEST_PARAMS + 0x1d4, 0, "EFI memory map"},
                        {GUEST_PARAMS + 0x1d4, 49, "EFI memory map"},
                        {GUEST_PARAMS + 0x1d0, 0x100000, "EFI memory map"},
                        {GUEST_PARAMS + 0x1ec, 4, "secure_boot"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
                struct ram *ram = guest();
                struct error e = {0};

                CHECK(ram_put_u32(ram, twins[i].address, twins[i].value));
                if (boot_params_check(ram, GUEST_PARAMS, memory, 3, &e) != -EINVAL ||
                                !strstr(e.text, twins[i].reason)) {
                        printf("# twin %zu: %s\n", i, e.text);
                        CHECK(false);
                }
                ram_free(ram);
        }
        struct ram *ram = guest();
        CHECK_EQ(boot_params_check(ram, 0x21f001, memory, 3, NULL), -EINVAL);
        CHECK_EQ(boot_params_check(ram, 0, memory, 3, NULL), -EINVAL);
        ram_free(ram);
}

static uint64_t u64_at(const struct ram *ram, uint64_t address)
{
        uint64_t v = 0;

        CHECK(ram_get_u64(ram, address, &v));
        return v;
}

static uint32_t u32_at(const struct ram *ram, uint64_t address)
{
        uint32_t v = 0;

        CHECK(ram_get_u32(ram, address, &v));
        return v;
}

static void completed(void)
{
        struct ram *ram = guest();
        const struct fw_memory_range taken[] = {{0x400000, 0x410000, EfiRuntimeServicesCode, 0, 0},
                        {0x500000, 0x501000, EfiACPIReclaimMemory, 0, 0}};
        uint8_t screen[SCREEN_INFO_SIZE];
        const uint64_t nodes[] = {0x303000, 0x301000};
        struct boot_params_completion c = {
                        .system_table = 0x123456789000,
                        .efi_map = 0x300000,
                        .efi_map_size = 96,
                        .efi_descriptor_size = 48,
                        .nodes = nodes,
                        .n_nodes = 2,
                        .acpi_rsdp = 0x7f00,
                        .screen_info = SPAN(screen, sizeof(screen)),
                        .taken = taken,
                        .n_taken = 2,
                        .spare = 0x302000,
                        .spare_size = 0x1000,
        };
        struct error e = {0};
        uint8_t n = 0;

        memset(screen, 0x70, sizeof(screen));
        CHECK(boot_params_put_setup_efi(ram, 0x301000, 0x1111, 0x2222));
        CHECK(boot_params_put_node(ram, 0x303000, SETUP_PCI, SPAN("0123456789", 10)));
        CHECK_EQ(boot_params_complete(ram, GUEST_PARAMS, &c, &e), 0);
        CHECK_EQ(u32_at(ram, GUEST_PARAMS + 0x1c4), 0x56789000);
        CHECK_EQ(u32_at(ram, GUEST_PARAMS + 0x1d8), 0x1234);
        CHECK_EQ(u32_at(ram, GUEST_PARAMS + 0x1d0), 0x300000);
        CHECK_EQ(u32_at(ram, GUEST_PARAMS + 0x1d4), 96);
        CHECK_EQ(u64_at(ram, GUEST_PARAMS + 0x70), 0x7f00);
        CHECK_EQ(u32_at(ram, GUEST_PARAMS), 0x70707070);
        /* ours, the last first, then what was there */
        CHECK_EQ(u64_at(ram, GUEST_PARAMS + 0x250), 0x301000);
        CHECK_EQ(u64_at(ram, 0x301000), 0x303000);
        CHECK_EQ(u64_at(ram, 0x303000), GUEST_NODE);
        CHECK_EQ(u32_at(ram, 0x303008), 3);
        CHECK_EQ(u32_at(ram, 0x30300c), 10);
        CHECK_EQ(u64_at(ram, 0x303010), 0x3736353433323130);
        CHECK_EQ(u32_at(ram, 0x301008), SETUP_EFI);
        CHECK_EQ(u32_at(ram, 0x30100c), 96);
        CHECK_EQ(u64_at(ram, 0x301010), 0x1111);
        CHECK_EQ(u64_at(ram, 0x301020), 0x2222);
        CHECK_EQ(u64_at(ram, 0x301028), 0);
        /* e820: 3 entries became 7 */
        CHECK(ram_get_u8(ram, GUEST_PARAMS + 0x1e8, &n));
        CHECK_EQ(n, 7);
        CHECK_EQ(u64_at(ram, GUEST_PARAMS + 0x2d0 + 40), 0x400000);
        CHECK_EQ(u64_at(ram, GUEST_PARAMS + 0x2d0 + 48), 0x10000);
        CHECK_EQ(u32_at(ram, GUEST_PARAMS + 0x2d0 + 56), 2);
        CHECK_EQ(u32_at(ram, GUEST_PARAMS + 0x2d0 + 96), 3);
        /* still what the check wants, though the map changed */
        const struct fw_memory_range after[] = {memory[0],
                        {GUEST_START, 0x400000, EfiLoaderData, 0, 0}, taken[0],
                        {0x410000, 0x500000, EfiConventionalMemory, 0, 0}, taken[1],
                        {0x501000, GUEST_END, EfiConventionalMemory, 0, 0}, memory[2]};
        CHECK_EQ(boot_params_check(ram, GUEST_PARAMS, after, ARRAY_SIZE(after), &e), 0);
        /* the same pages again: they aren't RAM any more */
        CHECK_EQ(boot_params_complete(ram, GUEST_PARAMS, &c, &e), -EINVAL);
        ram_free(ram);
}

static void more_entries_than_the_table_has(void)
{
        struct ram *ram = guest();
        struct fw_memory_range taken[100];
        struct boot_params_completion c = {
                        .efi_map = 0x300000,
                        .efi_map_size = 96,
                        .efi_descriptor_size = 48,
                        .taken = taken,
                        .n_taken = 100,
                        .spare = 0x302000,
                        .spare_size = 0x1000,
        };
        struct error e = {0};
        uint8_t n = 0;

        /* an extension node of the stub's: two entries of RAM above everything else */
        CHECK(ram_put_u32(ram, GUEST_NODE + 8, SETUP_E820_EXT) &&
                        ram_put_u32(ram, GUEST_NODE + 12, 40));
        for (uint64_t i = 0; i < 2; i++)
                CHECK(ram_put_u64(ram, GUEST_NODE + 16 + 20 * i, 0x100000000 + 0x10000 * i) &&
                                ram_put_u64(ram, GUEST_NODE + 24 + 20 * i, 0x1000) &&
                                ram_put_u32(ram, GUEST_NODE + 32 + 20 * i, E820_RAM));
        for (size_t i = 0; i < 100; i++)
                taken[i] = (struct fw_memory_range){0x1000000 + 0x2000 * i, 0x1001000 + 0x2000 * i,
                                EfiRuntimeServicesData, 0, 0};
        c.spare_size = 0x100;
        CHECK_EQ(boot_params_complete(ram, GUEST_PARAMS, &c, &e), -ENOSPC);
        ram_free(ram);

        ram = guest();
        CHECK(ram_put_u32(ram, GUEST_NODE + 8, SETUP_E820_EXT) &&
                        ram_put_u32(ram, GUEST_NODE + 12, 40));
        for (uint64_t i = 0; i < 2; i++)
                CHECK(ram_put_u64(ram, GUEST_NODE + 16 + 20 * i, 0x100000000 + 0x10000 * i) &&
                                ram_put_u64(ram, GUEST_NODE + 24 + 20 * i, 0x1000) &&
                                ram_put_u32(ram, GUEST_NODE + 32 + 20 * i, E820_RAM));
        c.spare_size = 0x2000;
        CHECK_EQ(boot_params_complete(ram, GUEST_PARAMS, &c, &e), 0);
        CHECK(ram_get_u8(ram, GUEST_PARAMS + 0x1e8, &n));
        CHECK_EQ(n, 128);
        /* 3 + 2 + 2 * 100 entries; the old node is out of the chain */
        CHECK_EQ(u64_at(ram, GUEST_PARAMS + 0x250), 0x302000);
        CHECK_EQ(u64_at(ram, 0x302000), GUEST_NODE2);
        CHECK_EQ(u32_at(ram, 0x302008), SETUP_E820_EXT);
        CHECK_EQ(u32_at(ram, 0x30200c), (205 - 128) * 20);
        CHECK_EQ(u64_at(ram, 0x302010 + 76 * 20), 0x100010000);
        ram_free(ram);
}

static void the_running_kernels_page(void)
{
        uint8_t page[4096] = {0};
        struct boot_params_host h;

        boot_params_of_host(SPAN(page, 100), &h); /* nothing is known */
        CHECK(!h.without_efi && !h.is_efi_framebuffer && h.acpi_rsdp == 0);
        page[0x0f] = 0x70;
        page[0x71] = 0x40;
        memcpy(page + 0x1c0, "EL64", 4);
        page[0x1ec] = 3;
        boot_params_of_host(SPAN(page, sizeof(page)), &h);
        CHECK(h.is_efi_framebuffer && !h.without_efi);
        CHECK_EQ(h.acpi_rsdp, 0x4000);
        CHECK_EQ(h.secure_boot, SECURE_BOOT_ENABLED);
        page[0x1ec] = 9;
        memcpy(page + 0x1c0, "EL32", 4);
        boot_params_of_host(SPAN(page, sizeof(page)), &h);
        CHECK(!h.without_efi);
        memset(page + 0x1c0, 0, 4);
        page[0x0f] = 0x23; /* VESA: of a BIOS boot, nobody could use it */
        boot_params_of_host(SPAN(page, sizeof(page)), &h);
        CHECK(!h.is_efi_framebuffer && h.secure_boot == 0 && h.without_efi);
        CHECK(!h.by_kexec);
        page[0x210] = 0xd0; /* as kexec-tools 2.0.25 and Linux 6.1 leave it */
        boot_params_of_host(SPAN(page, sizeof(page)), &h);
        CHECK(h.by_kexec);
        page[0x210] = 0x21; /* of the EFI stub */
        boot_params_of_host(SPAN(page, sizeof(page)), &h);
        CHECK(!h.by_kexec);
}

static const struct tap_test tests[] = {
                {"found by register, else by scan, ambiguity refused", found_by_register_or_scan},
                {"good ones pass", good_ones_pass},
                {"forged twins are refused with their reason", forged_twins_are_refused},
                {"completed: SETUP_EFI, maps, e820, screen_info, RSDP", completed},
                {"more e820 entries than the table has", more_entries_than_the_table_has},
                {"the running kernel's page", the_running_kernels_page},
};
TAP_MAIN(tests)
