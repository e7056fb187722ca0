/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The prepared image, looked at as the second kernel would. */
#include "tests/unit/handover-fixture.h"

static void the_second_kernels_view(void)
{
        struct world w;
        uint64_t st, config, node, map;
        EFI_GUID guid;
        size_t logs = 0;

        world_new(&w);
        CHECK_EQ(world_prepare(&w), 0);
        st = system_table(&w);
        CHECK(st != GUEST_SYSTAB && u64_at(&w, st) == EFI_SYSTEM_TABLE_SIGNATURE);
        CHECK((u64_at(&w, st + 88) & 0xfffffff000000000) == 0xfffffff000000000); /* virtual */
        CHECK_EQ(u32_at(&w, st + 32), 0x1234);
        CHECK_EQ(u32_at(&w, u64_at(&w, st + 24)), 'm' | 'k' << 16);
        /* three tables: ACPI, initrd, and the log at our area */
        CHECK_EQ(u64_at(&w, st + 104), 3);
        config = u64_at(&w, st + 112);
        for (uint64_t i = 0; i < 3; i++) {
                CHECK(ram_read(w.fw.ram, config + 24 * i, &guid, 16));
                CHECK(!guid_equal(&guid, &guid_tcg2_final_events) &&
                                !guid_equal(&guid, &guid_memory_attributes_table));
                if (!guid_equal(&guid, &guid_linux_tpm_event_log))
                        continue;
                CHECK_EQ(u64_at(&w, config + 24 * i + 16), w.image.log.address);
                logs++;
        }
        CHECK_EQ(logs, 1);
        CHECK_EQ(w.image.log.address % 4096, 0); /* header and Spec ID event in one page */
        /* SETUP_EFI says the same as the system table */
        node = u64_at(&w, GUEST_PARAMS + 0x250);
        CHECK_EQ(u32_at(&w, node + 8), SETUP_EFI);
        CHECK_EQ(u64_at(&w, node + 16), u64_at(&w, st + 24));
        CHECK_EQ(u64_at(&w, node + 32), config);
        CHECK_EQ(u64_at(&w, node), GUEST_NODE);
        /* the map: the overlay and two regions of the machine's */
        map = u32_at(&w, GUEST_PARAMS + 0x1d0);
        CHECK_EQ(u32_at(&w, GUEST_PARAMS + 0x1d4), 3 * 48);
        CHECK_EQ(u32_at(&w, map), EfiRuntimeServicesCode);
        CHECK(u64_at(&w, map + 8) <= st && st < u64_at(&w, map + 8) + u64_at(&w, map + 24) * 4096);
        CHECK(u64_at(&w, st + 88) - u64_at(&w, map + 16) < u64_at(&w, map + 24) * 4096);
        CHECK(u64_at(&w, map + 16) + u64_at(&w, map + 24) * 4096 <= 0xfffffffefe818000);
        CHECK_EQ(u64_at(&w, map + 48 + 8), 0x2010000);
        CHECK(u64_at(&w, map + 48 + 16) == 0xfffffffefea10000);
        CHECK_EQ(u64_at(&w, map + 96 + 8), 0x2018000);
        /* framebuffer carried; ACPI is in the tables, so the RSDP is left alone */
        CHECK_EQ(u32_at(&w, GUEST_PARAMS + 0x0c) >> 24, 0x70);
        CHECK_EQ(u64_at(&w, GUEST_PARAMS + 0x70), 0);
        /* e820: overlay reserved, log ACPI */
        CHECK_EQ(u32_at(&w, GUEST_PARAMS + 0x1e8) & 0xff, 7);
        world_free(&w);
}

static void variables_and_record(void)
{
        struct world w;
        uint64_t map, start, end;
        struct overlay_record record;
        struct span view;
        const uint8_t *p;

        world_new(&w);
        CHECK_EQ(world_prepare(&w), 0);
        map = u32_at(&w, GUEST_PARAMS + 0x1d0);
        start = u64_at(&w, map + 8);
        end = start + u64_at(&w, map + 24) * 4096;
        CHECK(has_bytes(&w, start, end, u"StubInfo", 18));
        CHECK(!has_bytes(&w, start, end, u"StubPcrKernelImage", 38)); /* PCR 11 holds another UKI */
        CHECK(has_bytes(&w, start, end, u"LoaderInfo", 22));          /* in the hide list */
        CHECK(!has_bytes(&w, start, end, u"LoaderPcrSMBIOS", 32));    /* stays the firmware's */
        REQUIRE(ram_view(w.fw.ram, start, end - start, &view));
        p = memmem(view.data, view.size, "MKOV", 4);
        REQUIRE(p != NULL);
        /* 24 bytes, 32 regions, one name */
        CHECK_EQ(overlay_record_parse(SPAN(p, 24 + 512 + 2 + 10), &record, &w.error), 0);
        CHECK_EQ(record.n_regions, 3);
        CHECK_EQ(record.regions[0].start, start);
        CHECK_EQ(record.regions[1].start, w.image.log.address);
        CHECK_EQ(record.regions[2].start, GUEST_SYSTAB);
        CHECK(record.firmware_runtime == 0xfffffffefea10b98);
        CHECK(overlay_record_hides(&record, "LoaderInfo"));
        overlay_record_release(&record);
        world_free(&w);

        /* a map that leaves PCR 11 to itself shows StubPcrKernelImage */
        world_new(&w);
        w.setup.own_registers = 1u << 11;
        CHECK_EQ(world_prepare(&w), 0);
        map = u32_at(&w, GUEST_PARAMS + 0x1d0);
        start = u64_at(&w, map + 8);
        CHECK(has_bytes(&w, start, start + u64_at(&w, map + 24) * 4096, u"StubPcrKernelImage", 38));
        world_free(&w);
}

static void without_firmware(void)
{
        struct world w;
        uint64_t st, map;

        world_new(&w);
        w.facts.has_firmware = false;
        w.facts.firmware_runtime = 0;
        CHECK_EQ(world_prepare(&w), 0);
        st = system_table(&w);
        map = u32_at(&w, GUEST_PARAMS + 0x1d0);
        CHECK_EQ(u64_at(&w, GUEST_PARAMS + 0x250), GUEST_NODE); /* no SETUP_EFI */
        CHECK_EQ(u32_at(&w, GUEST_PARAMS + 0x1d4), 48);
        CHECK_EQ(u64_at(&w, map + 16), 0);
        CHECK(u64_at(&w, st + 88) > u64_at(&w, map + 8) &&
                        u64_at(&w, st + 88) < GUEST_END); /* physical */
        world_free(&w);
}

static void refusals(void)
{
        struct world w;
        uint8_t three = SECURE_BOOT_ENABLED;

        world_new(&w);
        w.end.kind = FIRMWARE_RETURNED;
        CHECK_EQ(world_prepare(&w), -ENOEXEC);
        w.end.kind = FIRMWARE_HANDOVER;
        w.facts.plain = true;
        CHECK_EQ(world_prepare(&w), -EOPNOTSUPP);
        w.facts.plain = false;
        w.facts.acpi_log.kind = ACPI_LOG_UNUSABLE;
        CHECK_EQ(world_prepare(&w), -EOPNOTSUPP);
        CHECK(strstr(w.error.text, "stale"));
        w.facts.acpi_log.kind = ACPI_LOG_AREA;
        w.facts.secure_boot = SECURE_BOOT_ENABLED;
        CHECK_EQ(world_prepare(&w), -EPERM);
        CHECK(ram_put_u8(w.fw.ram, GUEST_PARAMS + 0x1ec, three));
        w.facts.total_ram_bytes = 0x50000;
        CHECK_EQ(world_prepare(&w), -EFBIG);
        world_free(&w);

        world_new(&w);
        w.fw.full = true;
        CHECK_EQ(world_prepare(&w), -ENOMEM);
        w.fw.full = false;
        CHECK(ram_put_u8(w.fw.ram, GUEST_PARAMS + 0x1c0, 'X'));
        CHECK_EQ(world_prepare(&w), -ENOEXEC);
        CHECK(strstr(w.error.text, "boot_params"));
        CHECK(w.image.segments.n == 0);
        world_free(&w);
}

/* The second hop, from the tree that the first one leaves. */
static void the_next_hop(void)
{
        struct world w;
        struct overlay_record old = {.firmware_runtime = 0xfffffffefea10b98, .n_regions = 2};
        _cleanup_buf_ struct buf b = {0};
        char path[128], vendor[GUID_TEXT_SIZE];
        uint64_t map;

        world_new(&w);
        /* the overlay of hop 1 at the top of what was RAM, its log area below */
        tree_memmap(&w.tree, 1, GUEST_START, 0x1feffff, "System RAM");
        tree_memmap(&w.tree, 4, 0x1ff0000, 0x1ff7fff, "ACPI Tables");
        tree_memmap(&w.tree, 5, 0x1ff8000, 0x1ffffff, "Reserved");
        tree_runtime(&w.tree, 2, EfiRuntimeServicesCode, 0x1ff8000, 8, 0xfffffffefe5f8000, RT | 8);
        tree_text(&w.tree, "firmware/efi/runtime", "0xfffffffefe5f9040\n");
        old.regions[0] = (struct overlay_region){0x1ff8000, 8};
        old.regions[1] = (struct overlay_region){0x1ff0000, 8};
        CHECK_EQ(overlay_record_hide(&old, "StubInfo"), 0);
        guid_to_text(&guid_mkexec, vendor);
        snprintf(path, sizeof(path), "firmware/efi/efivars/MkexecOverlay-%s", vendor);
        buf_put_u32(&b, BS_RT);
        overlay_record_put(&old, &b);
        tree_put(&w.tree, path, b.data, b.size);
        handover_facts_release(&w.facts);
        CHECK_EQ(handover_facts_read(w.tree.root, false, &w.facts, &w.error), 0);
        CHECK(w.facts.has_old_overlay && w.facts.has_firmware);
        CHECK(w.facts.firmware_runtime == 0xfffffffefea10b98); /* not the overlay's own table */
        CHECK(host_memory_covers(w.facts.memory.ranges, w.facts.memory.n, GUEST_START, GUEST_END,
                        1u << EfiConventionalMemory));
        CHECK_EQ(world_prepare(&w), 0);
        map = u32_at(&w, GUEST_PARAMS + 0x1d0);
        CHECK_EQ(u32_at(&w, GUEST_PARAMS + 0x1d4), 3 * 48); /* one overlay, not two */
        /* the virtual address is taken below the firmware's regions again, not below the old
         * overlay */
        CHECK(u64_at(&w, map + 16) >= 0xfffffffefe400000);
        CHECK(has_bytes(&w, u64_at(&w, map + 8), u64_at(&w, map + 8) + 4096 * u64_at(&w, map + 24),
                        u"LoaderInfo", 22));
        overlay_record_release(&old);
        world_free(&w);
}

static const struct tap_test tests[] = {
                {"what the second kernel sees: tables, SETUP_EFI, EFI map, e820, screen",
                                the_second_kernels_view},
                {"variables shown and hidden, and the record for the next hop",
                                variables_and_record},
                {"without firmware: physical table, no SETUP_EFI", without_firmware},
                {"refusals have their reason", refusals},
                {"the next hop chains and doesn't stack up", the_next_hop},
};
TAP_MAIN(tests)
