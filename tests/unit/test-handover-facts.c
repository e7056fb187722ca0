/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of the machine before a run. */
#include "tests/unit/handover-fixture.h"

static void facts_of_a_machine(void)
{
        struct world w;
        uint8_t page[4096] = {0};

        world_new(&w);
        CHECK(w.facts.has_firmware && !w.facts.plain && !w.facts.has_old_overlay);
        CHECK(w.facts.firmware_runtime == 0xfffffffefea10b98);
        CHECK_EQ(w.facts.n_tables, 3);
        CHECK(guid_equal(&w.facts.tables[0].guid, &guid_acpi20));
        CHECK_EQ(w.facts.tables[0].address, 0x2001014);
        CHECK_EQ(w.facts.acpi_rsdp, 0x34);
        CHECK_EQ(w.facts.secure_boot, SECURE_BOOT_DISABLED);
        CHECK(w.facts.has_screen_info && w.facts.screen_info[0x12] == 0x99);
        CHECK_EQ(w.facts.acpi_log.kind, ACPI_LOG_AREA);
        CHECK_EQ(w.facts.total_ram_bytes, 0); /* of a recorded machine: not checked */
        handover_facts_release(&w.facts);

        /* a native driver took the framebuffer */
        tree_text(&w.tree, "class/graphics/fb0/name", "i915drmfb\n");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK(!w.facts.has_screen_info);
        handover_facts_release(&w.facts);
        tree_text(&w.tree, "class/graphics/fb0/name", "EFI VGA\n");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK(w.facts.has_screen_info);
        handover_facts_release(&w.facts);
        tree_put(&w.tree, "kernel/boot_params/data", page, sizeof(page));

        /* after a plain kexec the file has the virtual address */
        tree_text(&w.tree, "firmware/efi/runtime", "0xfffffffefea10b98\n");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK(w.facts.firmware_runtime == 0xfffffffefea10b98 && w.facts.has_firmware);
        CHECK(!w.facts.has_screen_info);
        handover_facts_release(&w.facts);
        tree_text(&w.tree, "firmware/efi/runtime", "0x5000\n");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), -EINVAL);
        CHECK(strstr(w.error.text, "runtime"));
        tree_text(&w.tree, "firmware/efi/runtime", "0x2010b98\n");
        tree_remove(&w.tree, "firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), -ENOENT);
        CHECK(strstr(w.error.text, "efivarfs"));
        world_free(&w);
}

static void facts_that_are_missing(void)
{
        struct world w;

        /* the state of Secure Boot is only there */
        world_new(&w);
        handover_facts_release(&w.facts);
        tree_remove(&w.tree, "kernel/boot_params/data");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), -ENOENT);
        CHECK(strstr(w.error.text, "boot_params/data"));
        world_free(&w);

        /* variables, but no map of the services behind them: the hop is possible, and says so */
        world_new(&w);
        CHECK(!w.facts.loses_firmware);
        handover_facts_release(&w.facts);
        tree_remove(&w.tree, "firmware/efi/runtime");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK(w.facts.loses_firmware && !w.facts.has_firmware);
        handover_facts_release(&w.facts);
        tree_remove(&w.tree, "firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK(!w.facts.loses_firmware && !w.facts.has_firmware);
        world_free(&w);
}

/* One as the EFI stub makes it of a device's ROM. */
static void put_rom(const struct tree *t, unsigned n, uint8_t length, uint8_t promised)
{
        uint8_t node[48 + 255] = {0x86, 0x80, 0x0e, 0x10};
        char path[96];

        node[8] = promised;
        node[32] = (uint8_t)n; /* device */
        memset(node + 48, 0x50 + (int)n, length);
        snprintf(path, sizeof(path), "kernel/boot_params/setup_data/%u/data", n);
        tree_put(t, path, node, 48u + length);
        snprintf(path, sizeof(path), "kernel/boot_params/setup_data/%u/type", n);
        tree_text(t, path, "0x3\n");
}

static void roms_are_carried(void)
{
        struct world w;
        uint64_t node;
        unsigned seen = 0;

        world_new(&w);
        handover_facts_release(&w.facts);
        put_rom(&w.tree, 1, 33, 33);
        put_rom(&w.tree, 2, 200, 200);
        tree_text(&w.tree, "kernel/boot_params/setup_data/3/type", "0x9\n");
        tree_text(&w.tree, "kernel/boot_params/setup_data/3/data", "a seed that was used up");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK_EQ(world_prepare(&w), 0);
        node = u64_at(&w, GUEST_PARAMS + 0x250);
        CHECK_EQ(u32_at(&w, node + 8), SETUP_EFI);
        for (node = u64_at(&w, node); node != GUEST_NODE && seen < 3; node = u64_at(&w, node)) {
                uint32_t device = u32_at(&w, node + 16 + 32), length = device == 1 ? 33 : 200;
                struct span rom;

                CHECK_EQ(u32_at(&w, node + 8), SETUP_PCI);
                CHECK_EQ(node % 8, 0);
                CHECK_EQ(u32_at(&w, node + 12), 48 + length);
                CHECK_EQ(u32_at(&w, node + 16), 0x100e8086);
                CHECK_EQ(u64_at(&w, node + 24), length);
                REQUIRE(ram_view(w.fw.ram, node + 64, length, &rom));
                for (uint32_t i = 0; i < length; i++)
                        CHECK_EQ(rom.data[i], 0x50 + device);
                seen++;
        }
        CHECK_EQ(seen, 2);
        CHECK_EQ(node, GUEST_NODE);
        CHECK(!has_bytes(&w, GUEST_PARAMS, GUEST_PARAMS + 4096, "a seed", 6));
        world_free(&w);

        /* a length that reaches beyond the node: the second kernel would map what follows it */
        world_new(&w);
        handover_facts_release(&w.facts);
        put_rom(&w.tree, 1, 33, 34);
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), -EINVAL);
        CHECK(strstr(w.error.text, "PCI ROM"));
        world_free(&w);
}

/* Where a BIOS started the kernel, boot_params alone can tell where ACPI's tables are. */
static void facts_after_a_bios(void)
{
        struct world w;
        uint8_t page[4096] = {0};

        world_new(&w);
        handover_facts_release(&w.facts);
        tree_remove(&w.tree, "firmware/efi/systab");
        tree_remove(&w.tree, "firmware/efi/runtime");
        tree_text(&w.tree, "firmware/acpi/tables/DSDT", "DSDT");
        page[0x70] = 0x40;
        tree_put(&w.tree, "kernel/boot_params/data", page, sizeof(page));
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK(w.facts.without_efi && !w.facts.has_firmware && w.facts.n_tables == 0);
        CHECK_EQ(w.facts.acpi_rsdp, 0x40);
        CHECK_EQ(world_prepare(&w), 0);
        handover_facts_release(&w.facts);
        /* twin: it doesn't, and the running kernel has ACPI; without ACPI nothing is lost */
        page[0x70] = 0;
        tree_put(&w.tree, "kernel/boot_params/data", page, sizeof(page));
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), -EOPNOTSUPP);
        CHECK(strstr(w.error.text, "ACPI"));
        tree_remove(&w.tree, "firmware/acpi/tables/DSDT");
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        world_free(&w);
}

static void plain_facts_for_predict(void)
{
        struct tree t;
        struct handover_facts facts = {0};
        struct error e = {0};

        tree_new(&t);
        CHECK_EQ(handover_facts_read(t.root, false, &facts, &e), -ENOENT);
        CHECK(facts.memory.ranges == NULL);
        CHECK_EQ(handover_facts_read(t.root, true, &facts, &e), 0);
        CHECK(facts.plain && facts.memory.n > 3);
        CHECK(strstr(facts.plain_reason, "memmap"));
        handover_facts_release(&facts);
        tree_free(&t);
}

static const struct tap_test tests[] = {
                {"facts of a recorded machine", facts_of_a_machine},
                {"facts that are missing", facts_that_are_missing},
                {"PCI ROMs are carried, used-up setup_data isn't", roms_are_carried},
                {"facts of a machine that a BIOS started", facts_after_a_bios},
                {"plain facts, for predict only", plain_facts_for_predict},
};
TAP_MAIN(tests)
