/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recorded sysfs tree, and a guest made by hand behind the firmware's seam: what is handed over,
 * of both sides. Defines what shim/firmware does otherwise. */
#pragma once

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

static inline int compare(const void *a, const void *b)
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

static inline void put_file_of_machine(struct tree *t)
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

static inline void put_tables_of_guest(struct firmware *fw)
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

static inline void world_new(struct world *w)
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

static inline int world_prepare(struct world *w)
{
        return handover_prepare(&w->fw, &w->end, &w->setup, &w->image, &w->error);
}

static inline void world_free(struct world *w)
{
        handover_image_release(&w->image);
        handover_facts_release(&w->facts);
        ram_free(w->fw.ram);
        tree_free(&w->tree);
}

static inline uint64_t u64_at(struct world *w, uint64_t address)
{
        uint64_t v = 0;

        CHECK(ram_get_u64(w->fw.ram, address, &v));
        return v;
}

static inline uint32_t u32_at(struct world *w, uint64_t address)
{
        uint32_t v = 0;

        CHECK(ram_get_u32(w->fw.ram, address, &v));
        return v;
}

static inline uint64_t system_table(struct world *w)
{
        return u32_at(w, GUEST_PARAMS + 0x1c4) | (uint64_t)u32_at(w, GUEST_PARAMS + 0x1d8) << 32;
}

/* A log as far as the hand-over looks: Spec ID event and something behind it. */
static inline size_t a_log(uint8_t *to, size_t size)
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

/* Looks for bytes in a range of guest RAM. */
static inline bool has_bytes(
                struct world *w, uint64_t start, uint64_t end, const void *bytes, size_t size)
{
        struct span view;

        return ram_view(w->fw.ram, start, end - start, &view) &&
               memmem(view.data, view.size, bytes, size);
}
