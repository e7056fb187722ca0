/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From facts to image: a recorded sysfs tree, a guest made by hand behind the firmware's seam, the
 * prepared image looked at as the second kernel would, the staged file and its forged twins. */
#include "tests/unit/tap.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/efi-types.h"
#include "shim/handover/handover.h"
#include "shim/handover/trampoline.h"
#include "tests/unit/guest-page.h"
#include "tests/unit/tree.h"

#define RT         EFI_MEMORY_RUNTIME
#define BS_RT      (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)
#define CONFIG     (GUEST_SYSTAB + 0x800)
#define VENDOR     (GUEST_SYSTAB + 0x400)
#define ACPI_LOG   0x2000123u
#define ACPI_PAGES 0x2020000u /* reserved, behind the machine's runtime regions */

/* ---- a firmware after its run: what handover_prepare sees of it ---- */

struct firmware {
        struct ram *ram;
        struct fw_memory_range allocations[64];
        size_t n;
        uint64_t top; /* next allocation ends here */
        const struct fw_variable *variables;
        size_t n_variables, n_tables;
        bool full;
};

struct ram *firmware_ram(struct firmware *fw)
{
        return fw->ram;
}

uint64_t firmware_system_table(const struct firmware *fw)
{
        return GUEST_SYSTAB;
}

uint64_t firmware_config_tables(const struct firmware *fw, size_t *n)
{
        *n = fw->n_tables;
        return CONFIG;
}

static int compare(const void *a, const void *b)
{
        const struct fw_memory_range *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

int firmware_allocations(const struct firmware *fw, struct fw_memory_range **ret, size_t *n)
{
        *ret = malloc(sizeof(fw->allocations));
        memcpy(*ret, fw->allocations, sizeof(fw->allocations));
        qsort(*ret, fw->n, sizeof(**ret), compare);
        *n = fw->n;
        return 0;
}

/* Good enough for the check of e820: all of RAM is RAM. */
int firmware_memory_map(const struct firmware *fw, struct fw_memory_range **ret, size_t *n)
{
        static const struct fw_memory_range map[] = {{0, 0xa0000, EfiBootServicesData, 0xf, 0},
                        {GUEST_START, GUEST_END, EfiConventionalMemory, 0xf, 0},
                        {0x2000000, 0x2010000, EfiACPIMemoryNVS, 0, 0}};

        *ret = malloc(sizeof(map));
        memcpy(*ret, map, sizeof(map));
        *n = 3;
        return 0;
}

EFI_STATUS firmware_allocate(
                struct firmware *fw, uint32_t type, uint64_t n_pages, uint64_t below, uint64_t *ret)
{
        if (fw->full || fw->n == 64)
                return EFI_OUT_OF_RESOURCES;
        fw->top -= n_pages * 4096 + 0x3000; /* with a gap, so that segments don't all merge */
        *ret = fw->top;
        if (ram_commit(fw->ram, *ret, *ret + n_pages * 4096) < 0)
                return EFI_OUT_OF_RESOURCES;
        fw->allocations[fw->n++] = (struct fw_memory_range){
                        *ret, *ret + n_pages * 4096, type, 0xf, 0};
        return EFI_SUCCESS;
}

int firmware_variables(const struct firmware *fw, const struct fw_variable **ret, size_t *n)
{
        *ret = fw->variables;
        *n = fw->n_variables;
        return 0;
}

/* ---- the machine and the guest of these tests ---- */

struct world {
        struct tree tree;
        struct handover_facts facts;
        struct firmware fw;
        struct firmware_end end;
        struct handover_setup setup;
        struct handover_image image;
        struct error error;
};

static struct fw_variable of_boot[3], of_machine[3];

static void put_file_of_machine(struct tree *t)
{
        uint8_t table[76] = "TPM2", page[4096] = {0};
        uint32_t length = 76, laml = 0x1000;
        uint64_t lasa = ACPI_LOG;

        tree_memmap(t, 0, 0x0, 0x9ffff, "System RAM");
        tree_memmap(t, 1, GUEST_START, GUEST_END - 1, "System RAM");
        tree_memmap(t, 2, 0x2000000, 0x200ffff, "ACPI Non-volatile Storage");
        tree_memmap(t, 3, 0x2010000, 0x201ffff, "Reserved");
        tree_runtime(t, 0, EfiRuntimeServicesData, 0x2010000, 8, 0xfffffffefea10000, RT | 0xf);
        tree_runtime(t, 1, EfiRuntimeServicesCode, 0x2018000, 8, 0xfffffffefe818000, RT | 0xf);
        tree_text(t, "firmware/efi/runtime", "0x2010b98\n");
        tree_text(t, "firmware/efi/systab",
                        "ACPI20=0x2001014\nACPI=0x2001000\nSMBIOS3=0x201f000\nESRT=0x3\n");
        tree_text(t, "firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                        "\7\0\0\0\0");
        memcpy(table + 4, &length, 4);
        memcpy(table + 64, &laml, 4);
        memcpy(table + 68, &lasa, 8);
        tree_put(t, "firmware/acpi/tables/TPM2", table, sizeof(table));
        page[0x0f] = 0x70;
        page[0x12] = 0x99;
        page[0x1ec] = SECURE_BOOT_DISABLED;
        page[0x70] = 0x34;
        tree_put(t, "kernel/boot_params/data", page, sizeof(page));
        tree_text(t, "bus/platform/devices/simple-framebuffer.0/modalias",
                        "platform:simple-framebuffer\n");
}

static void put_tables_of_guest(struct firmware *fw)
{
        const EFI_GUID *guids[] = {&guid_acpi20, &guid_tcg2_final_events,
                        &guid_memory_attributes_table, &guid_linux_tpm_event_log,
                        &guid_linux_initrd_media};

        for (size_t i = 0; i < ARRAY_SIZE(guids); i++)
                CHECK(ram_write(fw->ram, CONFIG + 24 * i, guids[i], 16) &&
                                ram_put_u64(fw->ram, CONFIG + 24 * i + 16, 0x1000 * (i + 1)));
        fw->n_tables = ARRAY_SIZE(guids);
        CHECK(ram_put_u64(fw->ram, GUEST_SYSTAB + 24, VENDOR) &&
                        ram_put_u32(fw->ram, GUEST_SYSTAB + 32, 0x1234));
        CHECK(ram_write(fw->ram, VENDOR, u"mkexec", 14));
}

static void world_new(struct world *w)
{
        struct ram_range range = {GUEST_START, GUEST_END};

        memset(w, 0, sizeof(*w));
        tree_new(&w->tree);
        put_file_of_machine(&w->tree);
        if (handover_facts_read(w->tree.root, false, &w->facts, &w->error) < 0)
                printf("# facts: %s\n", w->error.text);
        if (ram_new(&range, 1, 64 << 20, &w->fw.ram, &w->error) < 0)
                abort();
        w->fw.allocations[0] = (struct fw_memory_range){0x200000, 0x220000, EfiLoaderData, 0xf, 0};
        w->fw.allocations[1] = (struct fw_memory_range){
                        GUEST_SYSTAB, GUEST_SYSTAB + 0x2000, EfiRuntimeServicesData, 0xf, 0};
        w->fw.n = 2;
        w->fw.top = 0x1e00000;
        if (ram_commit(w->fw.ram, 0x200000, 0x220000) < 0 ||
                        ram_commit(w->fw.ram, GUEST_SYSTAB, GUEST_SYSTAB + 0x2000) < 0 ||
                        !guest_page_fill(w->fw.ram))
                abort();
        put_tables_of_guest(&w->fw);
        of_boot[0] = (struct fw_variable){
                        guid_loader, (char *)"StubInfo", BS_RT, (uint8_t *)u"x", 4};
        of_boot[1] = (struct fw_variable){
                        guid_loader, (char *)"StubPcrKernelImage", BS_RT, (uint8_t *)u"11", 6};
        of_machine[0] = (struct fw_variable){
                        guid_loader, (char *)"LoaderInfo", BS_RT, (uint8_t *)u"y", 4};
        of_machine[1] = (struct fw_variable){
                        guid_loader, (char *)"LoaderPcrSMBIOS", BS_RT, (uint8_t *)u"1", 4};
        w->fw.variables = of_boot;
        w->fw.n_variables = 2;
        w->end = (struct firmware_end){.kind = FIRMWARE_HANDOVER};
        w->end.regs.r[VCPU_RSI] = GUEST_PARAMS;
        w->end.regs.r[VCPU_RIP] = 0x210010;
        w->setup = (struct handover_setup){
                        .facts = &w->facts,
                        .machine_variables = of_machine,
                        .n_machine_variables = 2,
                        .log_capacity = 10000,
                        .systemd_logs_capacity = 3000,
        };
}

static int world_prepare(struct world *w)
{
        return handover_prepare(&w->fw, &w->end, &w->setup, &w->image, &w->error);
}

static void world_free(struct world *w)
{
        handover_image_release(&w->image);
        handover_facts_release(&w->facts);
        ram_free(w->fw.ram);
        tree_free(&w->tree);
}

static uint64_t u64_at(struct world *w, uint64_t address)
{
        uint64_t v = 0;

        CHECK(ram_get_u64(w->fw.ram, address, &v));
        return v;
}

static uint32_t u32_at(struct world *w, uint64_t address)
{
        uint32_t v = 0;

        CHECK(ram_get_u32(w->fw.ram, address, &v));
        return v;
}

static uint64_t system_table(struct world *w)
{
        return u32_at(w, GUEST_PARAMS + 0x1c4) | (uint64_t)u32_at(w, GUEST_PARAMS + 0x1d8) << 32;
}

/* A log as far as the hand-over looks: Spec ID event and something behind it. */
static size_t a_log(uint8_t *to, size_t size)
{
        static const uint8_t head[] = {0, 0, 0, 0, 3, 0, 0, 0};

        memset(to, 0, 32);
        memcpy(to, head, sizeof(head));
        to[28] = 33;
        memcpy(to + 32, "Spec ID Event03", 16);
        memset(to + 48, 1, 17);
        memset(to + 65, 0x42, size - 65);
        return size;
}

/* ---- tests ---- */

/* Looks for bytes in a range of guest RAM. */
static bool has_bytes(struct world *w, uint64_t start, uint64_t end, const void *bytes, size_t size)
{
        struct span view;

        return ram_view(w->fw.ram, start, end - start, &view) &&
               memmem(view.data, view.size, bytes, size);
}

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

static uint8_t log_bytes[0x4000];

/* The trampoline's page in the mapping. */
static uint64_t job(const struct handover_image *image, size_t field)
{
        struct kexec_part parts[SEGMENTS_MAX];
        size_t n = handover_image_parts(image, parts);
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                if (image->entry >= parts[i].address &&
                                image->entry < parts[i].address + parts[i].size) {
                        const uint8_t *page = (const uint8_t *)parts[i].bytes +
                                              (image->entry - parts[i].address);
                        struct vcpu_regs regs = {.r = {[VCPU_RAX] = 0x5a5a5a5a5a5a5a5a}};
                        uint8_t probe[TRAMPOLINE_SIZE];
                        const uint8_t *params;

                        trampoline_build(&regs, probe);
                        params = memmem(probe, sizeof(probe), "ZZZZZZZZ", 8);
                        memcpy(&v, page + (params - probe) + 18 * 8 + 8 * field, 8);
                }
        return v;
}

static const uint8_t *mapped(const struct handover_image *image, uint64_t address)
{
        struct kexec_part parts[SEGMENTS_MAX];
        size_t n = handover_image_parts(image, parts);

        for (size_t i = 0; i < n; i++)
                if (address >= parts[i].address && address < parts[i].address + parts[i].size)
                        return (const uint8_t *)parts[i].bytes + (address - parts[i].address);
        return NULL;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
        return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static void staged_and_finished(void)
{
        struct world w;
        struct handover_image image = {0};
        struct kexec_part parts[SEGMENTS_MAX];
        _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
        _cleanup_buf_ struct buf guest = {0};
        struct stat before, after;
        const uint8_t *area;
        uint32_t size;
        size_t n;

        world_new(&w);
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(handover_image_parts(&w.image, parts), 0); /* only a mapped one has them */
        for (size_t i = 0; i < w.image.segments.n; i++)
                for (uint64_t at = w.image.segments.s[i].start; at < w.image.segments.s[i].end;
                                at += 4096) {
                        struct span s;

                        REQUIRE(ram_view(w.fw.ram, at, 4096, &s));
                        buf_put_span(&guest, s);
                }
        CHECK_EQ(handover_image_write(&w.image, fd, &w.error), 0);
        for (size_t i = 0; i < w.image.segments.n; i++) { /* nothing is in memory twice */
                uint8_t byte;

                CHECK(!ram_get_u8(w.fw.ram, w.image.segments.s[i].start, &byte) &&
                                !ram_get_u8(w.fw.ram, w.image.segments.s[i].end - 1, &byte));
        }
        REQUIRE(fstat(fd, &before) == 0 && before.st_blocks * 512 < before.st_size);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        n = handover_image_parts(&image, parts);
        CHECK(n > 1 && n == w.image.segments.n);
        for (size_t i = 0, done = 0; i < n; done += parts[i++].size) /* as they were in the guest */
                CHECK(done + parts[i].size <= guest.size &&
                                memcmp(guest.data + done, parts[i].bytes, parts[i].size) == 0);
        /* that all of it was read gave no hole memory */
        CHECK(fstat(fd, &after) == 0 && after.st_blocks == before.st_blocks);
        CHECK(image.entry == w.image.entry && image.log.capacity >= 10000);

        /* a log that fits the ACPI area: copied there, and zeros behind it */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        area = mapped(&image, image.log.address);
        memcpy(&size, area, 4);
        CHECK_EQ(size, 3000 + HANDOVER_LOG_SLACK);
        CHECK(area[4] == 0 && area[8] == 2 && memcmp(area + 9, log_bytes, 3000) == 0 &&
                        area[3009] == 0);
        CHECK_EQ(job(&image, 0), 2);
        CHECK_EQ(job(&image, 1), ACPI_LOG);
        CHECK_EQ(job(&image, 2), image.log.address + 9);
        CHECK_EQ(job(&image, 3), 3000);
        CHECK_EQ(job(&image, 4), ACPI_LOG + 3000);
        CHECK_EQ(job(&image, 5), 0);
        CHECK_EQ(job(&image, 6), 0x1000 - 3000);
        /* a longer one: the area's header goes */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 0x1000)), &w.error), 0);
        CHECK_EQ(job(&image, 0), 1);
        CHECK_EQ(job(&image, 1), ACPI_LOG);
        CHECK_EQ(job(&image, 2), 0);
        CHECK_EQ(job(&image, 3), 64);
        /* too long, not a log, nothing but a header: refused, and what was there stays */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, image.log.capacity + 1)),
                                 &w.error),
                        -ENOSPC);
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, 65), &w.error), -EINVAL);
        log_bytes[32] = 'X';
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, 3000), &w.error), -EINVAL);
        memcpy(&size, area, 4);
        CHECK_EQ(size, 0x1000 + HANDOVER_LOG_SLACK);

        CHECK_EQ(handover_set_systemd_logs(&image, SPAN("{}\n", 3), &w.error), 0);
        memcpy(&size, mapped(&image, image.systemd_logs_size), 4);
        CHECK_EQ(size, 3);
        CHECK(memcmp(mapped(&image, image.systemd_logs.address), "{}\n", 4) == 0);
        CHECK_EQ(handover_set_systemd_logs(&image, SPAN(log_bytes, 3001), &w.error), -ENOSPC);
        handover_image_release(&image);
        /* the file is as it was */
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        CHECK(mapped(&image, image.log.address)[0] == 0);
        handover_image_release(&image);
        world_free(&w);
}

/* An ACPI area that only kexec can write: its pages are a segment, and the trampoline has nothing
 * to do. */
static void log_area_as_a_segment(void)
{
        struct world w;
        struct handover_image image = {0};
        _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
        const uint8_t *area;
        uint8_t header[4096];
        uint64_t end = ACPI_PAGES + 0x3000, entry;

        world_new(&w);
        w.facts.acpi_log = (struct acpi_log){
                        .kind = ACPI_LOG_PAGES, .address = ACPI_PAGES, .n_bytes = 0x3000};
        w.setup.log_capacity = 0x3000;
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(w.image.segments.s[w.image.segments.n - 1].start, ACPI_PAGES);
        CHECK_EQ(w.image.segments.s[w.image.segments.n - 1].end, end);
        /* as load does, before there is anything behind these pages */
        CHECK_EQ(handover_set_log(&w.image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        CHECK_EQ(handover_image_write(&w.image, fd, &w.error), 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        area = mapped(&image, ACPI_PAGES);
        REQUIRE(area != NULL);
        CHECK(area == mapped(&image, end - 1) - 0x2fff && is_zero(area, 0x3000));

        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 0x2fe0)), &w.error), 0);
        CHECK_EQ(job(&image, 0), 0);
        CHECK(memcmp(area, log_bytes, 0x2fe0) == 0 && is_zero(area + 0x2fe0, 0x20));
        CHECK(memcmp(mapped(&image, image.log.address) + 9, log_bytes, 0x2fe0) == 0);
        /* a shorter one leaves nothing of it, a longer one leaves no header */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        CHECK(memcmp(area, log_bytes, 3000) == 0 && is_zero(area + 3000, 0x3000 - 3000));
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 0x2fe1)), &w.error), 0);
        CHECK(is_zero(area, 0x3000));
        CHECK_EQ(job(&image, 0), 0);
        /* one that is refused changes nothing */
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, a_log(log_bytes, 3000)), &w.error), 0);
        CHECK_EQ(handover_set_log(&image, SPAN(log_bytes, 65), &w.error), -EINVAL);
        CHECK(memcmp(area, log_bytes, 3000) == 0);
        /* for a twin below: the trampoline's page, where it mustn't be */
        REQUIRE(pwrite(fd, mapped(&image, image.entry), TRAMPOLINE_SIZE,
                                lseek(fd, 0, SEEK_END) - 0x3000) == TRAMPOLINE_SIZE);
        handover_image_release(&image);

        /* twins: the area a page longer or shorter than its segment, an image of the version
         * before, the trampoline's page in it */
        REQUIRE(pread(fd, header, sizeof(header), 0) == sizeof(header));
        for (unsigned i = 0; i < 4; i++) {
                uint8_t forged[4096];

                memcpy(forged, header, sizeof(forged));
                entry = ACPI_PAGES;
                forged[96 + 1] += i == 0 ? 0x10 : i == 1 ? -0x10 : 0;
                forged[8] -= i == 2;
                if (i == 3)
                        memcpy(forged + 32, &entry, 8);
                REQUIRE(pwrite(fd, forged, sizeof(forged), 0) == sizeof(forged));
                CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
        }
        REQUIRE(pwrite(fd, header, sizeof(header), 0) == sizeof(header));
        CHECK_EQ(handover_image_map(fd, &image, &w.error), 0);
        handover_image_release(&image);
        world_free(&w);
}

static void without_a_log(void)
{
        struct world w;

        world_new(&w);
        w.setup.log_capacity = 0;
        w.setup.systemd_logs_capacity = 0;
        w.facts.acpi_log = (struct acpi_log){
                        .kind = ACPI_LOG_PAGES, .address = ACPI_PAGES, .n_bytes = 0x3000};
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(u64_at(&w, system_table(&w) + 104), 2);
        CHECK(w.image.segments.s[w.image.segments.n - 1].end <= GUEST_END);
        CHECK_EQ(handover_set_log(&w.image, SPAN(log_bytes, a_log(log_bytes, 100)), &w.error),
                        -ENOENT);
        CHECK_EQ(handover_set_systemd_logs(&w.image, SPAN("", 0), &w.error), -ENOENT);
        world_free(&w);
}

static void forged_images(void)
{
        struct world w;
        struct handover_image image = {0};
        _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
        uint8_t header[512];
        unsigned refused = 0;
        off_t size;

        world_new(&w);
        CHECK_EQ(world_prepare(&w), 0);
        CHECK_EQ(handover_image_write(&w.image, fd, &w.error), 0);
        REQUIRE(pread(fd, header, sizeof(header), 0) == sizeof(header));
        size = lseek(fd, 0, SEEK_END);
        /* every byte of the header, three ways: refused, or everything still inside (ASan watches)
         */
        for (size_t i = 0; i < 136 + 24 * w.image.segments.n; i++)
                for (unsigned way = 0; way < 3; way++) {
                        uint8_t b = way == 0   ? header[i] ^ 0xff
                                    : way == 1 ? header[i] + 1
                                               : header[i] ^ 0x80;

                        REQUIRE(pwrite(fd, &b, 1, (off_t)i) == 1);
                        if (handover_image_map(fd, &image, &w.error) == 0) {
                                (void)handover_set_log(&image,
                                                SPAN(log_bytes, a_log(log_bytes, 200)), NULL);
                                (void)handover_set_systemd_logs(&image, SPAN("x", 1), NULL);
                                handover_image_release(&image);
                        } else {
                                refused++;
                        }
                        REQUIRE(pwrite(fd, header + i, 1, (off_t)i) == 1);
                }
        CHECK(refused > 300);
        /* cut off, longer, empty */
        REQUIRE(ftruncate(fd, size - 1) == 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
        REQUIRE(ftruncate(fd, size + 4096) == 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
        REQUIRE(ftruncate(fd, 0) == 0);
        CHECK_EQ(handover_image_map(fd, &image, &w.error), -EINVAL);
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
                {"facts of a recorded machine", facts_of_a_machine},
                {"facts that are missing", facts_that_are_missing},
                {"PCI ROMs are carried, used-up setup_data isn't", roms_are_carried},
                {"facts of a machine that a BIOS started", facts_after_a_bios},
                {"plain facts, for predict only", plain_facts_for_predict},
                {"what the second kernel sees: tables, SETUP_EFI, EFI map, e820, screen",
                                the_second_kernels_view},
                {"variables shown and hidden, and the record for the next hop",
                                variables_and_record},
                {"without firmware: physical table, no SETUP_EFI", without_firmware},
                {"refusals have their reason", refusals},
                {"staged, mapped, finished with the logs", staged_and_finished},
                {"an ACPI log area that is a segment", log_area_as_a_segment},
                {"without a TPM there is no log table", without_a_log},
                {"forged staged files", forged_images},
                {"the next hop chains and doesn't stack up", the_next_hop},
};
TAP_MAIN(tests)
