/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory map text and its merging, the second kernel's EFI map, e820, ACPI log area, segments,
 * kexec's early refusals: the parts of shim/handover that need no guest. */
#include "tests/unit/tap.h"

#include "base/cleanup.h"
#include "base/efi-types.h"
#include "shim/handover/acpi-log.h"
#include "shim/handover/e820.h"
#include "shim/handover/efi-map.h"
#include "shim/handover/guard.h"
#include "shim/handover/host-memory.h"
#include "shim/handover/kexec.h"
#include "shim/handover/segments.h"
#include "tests/unit/tree.h"

#define RT      EFI_MEMORY_RUNTIME
#define TEXT(t) SPAN(t, strlen(t))

/* An OVMF machine of 512 MB, as its sysfs shows it. */
static void ovmf(struct tree *t)
{
        tree_new(t);
        tree_memmap(t, 0, 0x0, 0x9ffff, "System RAM");
        tree_memmap(t, 1, 0x100000, 0x7fffff, "System RAM");
        tree_memmap(t, 2, 0x800000, 0x807fff, "ACPI Non-volatile Storage");
        tree_memmap(t, 3, 0x808000, 0x1e7ecfff, "System RAM");
        tree_memmap(t, 4, 0x1e7ed000, 0x1eb6cfff, "Reserved");
        tree_memmap(t, 5, 0x1eb6d000, 0x1eb7efff, "ACPI Tables");
        tree_memmap(t, 6, 0x1eb7f000, 0x1ebfefff, "ACPI Non-volatile Storage");
        tree_memmap(t, 7, 0x1ebff000, 0x1effffff, "System RAM");
        tree_memmap(t, 8, 0xb0000000, 0xbfffffff, "reserved");
        tree_runtime(t, 0, EfiRuntimeServicesData, 0x1e9ed000, 0x100, 0xfffffffefe9ed000, RT | 0xf);
        tree_runtime(t, 1, EfiRuntimeServicesCode, 0x1eaed000, 0x80, 0xfffffffefe4ed000, RT | 0xf);
}

static const struct fw_memory_range *at(const struct host_memory *m, uint64_t address)
{
        for (size_t i = 0; i < m->n; i++)
                if (address >= m->ranges[i].start && address < m->ranges[i].end)
                        return &m->ranges[i];
        return NULL;
}

static void check_order(const struct host_memory *m)
{
        for (size_t i = 0; i < m->n; i++) {
                CHECK(m->ranges[i].start < m->ranges[i].end);
                CHECK_EQ(m->ranges[i].start % 4096 + m->ranges[i].end % 4096, 0);
                CHECK(i == 0 || m->ranges[i - 1].end <= m->ranges[i].start);
        }
}

static void reads_a_machine(void)
{
        struct tree t;
        struct host_memory m = {0};
        struct error e = {0};

        ovmf(&t);
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), 0);
        check_order(&m);
        REQUIRE(at(&m, 0x1000) && at(&m, 0x200000) && at(&m, 0x1e9ed000) && at(&m, 0x1eaed000));
        CHECK_EQ(at(&m, 0x1000)->type, EfiBootServicesData);
        CHECK_EQ(at(&m, 0x200000)->type, EfiConventionalMemory);
        CHECK_EQ(at(&m, 0x200000)->start, 0x100000);
        CHECK_EQ(at(&m, 0x800000)->type, EfiACPIMemoryNVS);
        CHECK_EQ(at(&m, 0x1eb6d000)->type, EfiACPIReclaimMemory);
        CHECK_EQ(at(&m, 0xb0000000)->type, EfiReservedMemoryType);
        CHECK(at(&m, 0xa0000) == NULL);
        CHECK_EQ(at(&m, 0x1e9ed000)->type, EfiRuntimeServicesData);
        CHECK(at(&m, 0x1e9ed000)->attribute == (RT | 0xf));
        CHECK(at(&m, 0x1eaed000)->virtual_start == 0xfffffffefe4ed000);
        CHECK_EQ(at(&m, 0x1eaed000)->end, 0x1eb6d000);
        CHECK_EQ(at(&m, 0x1e7ed000)->type, EfiReservedMemoryType);
        CHECK_EQ(at(&m, 0x1e7ed000)->end, 0x1e9ed000);
        host_memory_release(&m);
        tree_free(&t);
}

static void bytes_become_pages(void)
{
        struct host_entry entries[] = {
                        {0x100000, 0x200800, EfiConventionalMemory},
                        {0x200800, 0x300000, EfiReservedMemoryType},
                        {0x300000, 0x3ffe00, EfiConventionalMemory},
                        {0x400100, 0x500000, EfiACPIMemoryNVS},
                        {0x4ff000, 0x500000, EfiACPIMemoryNVS}, /* twice the same is nothing new */
        };
        struct host_memory m = {0};

        CHECK_EQ(host_memory_merge(entries, 5, NULL, 0, NULL, 0, &m, NULL), 0);
        check_order(&m);
        REQUIRE(m.n == 4);
        CHECK_EQ(m.ranges[0].end, 0x200000);
        CHECK_EQ(m.ranges[1].start, 0x200000);
        CHECK_EQ(m.ranges[2].end, 0x3ff000);
        CHECK_EQ(m.ranges[3].start, 0x400000);
        host_memory_release(&m);
}

static void an_earlier_overlay_is_ram_again(void)
{
        struct overlay_record old = {.regions = {{0x1e7ee000, 4}, {0x1eb6d000, 2}}, .n_regions = 2};
        struct tree t;
        struct host_memory m = {0};
        struct error e = {0};

        ovmf(&t);
        tree_runtime(&t, 2, EfiRuntimeServicesCode, 0x1e7ee000, 4, 0xfffffffefe3ee000, RT | 8);
        CHECK_EQ(host_memory_read(t.root, &old, &m, &e), 0);
        check_order(&m);
        REQUIRE(at(&m, 0x1e7ee000) && at(&m, 0x1eb6e000));
        CHECK_EQ(at(&m, 0x1e7ee000)->type, EfiConventionalMemory);
        CHECK_EQ(at(&m, 0x1e7ee000)->end, 0x1e7f2000);
        CHECK_EQ(at(&m, 0x1eb6e000)->type, EfiConventionalMemory);
        CHECK_EQ(at(&m, 0x1eb6f000)->type, EfiACPIReclaimMemory);
        host_memory_release(&m);

        /* a record that claims RAM, or what is nowhere */
        old.regions[1].start = 0x200000;
        CHECK_EQ(host_memory_read(t.root, &old, &m, &e), -EINVAL);
        old.regions[1].start = 0xc0000000;
        CHECK_EQ(host_memory_read(t.root, &old, &m, &e), -EINVAL);
        CHECK(m.ranges == NULL);
        tree_free(&t);
}

static void refuses_odd_text(void)
{
        static const struct {
                const char *file, *text;
        } bad[] = {
                        {"firmware/memmap/3/start", "808000\n"},
                        {"firmware/memmap/3/start", "0x"},
                        {"firmware/memmap/3/start", "0x10000000000000000\n"},
                        {"firmware/memmap/3/start", "0x80g000\n"},
                        {"firmware/memmap/3/start", "0x808000\n\n"},
                        {"firmware/memmap/3/start", ""},
                        {"firmware/memmap/3/end", "0x807fff\n"}, /* end < start - 1 */
                        {"firmware/memmap/3/end",
                                        "0xffffffffffffffff\n"},   /* beyond physical addresses */
                        {"firmware/memmap/3/end", "0x1e7fffff\n"}, /* overlaps 4, another type */
                        {"firmware/memmap/3/type", "System RAM?\n"},
                        {"firmware/memmap/3/type", "\n"},
                        {"firmware/efi/runtime-map/1/num_pages", "0x0\n"},
                        {"firmware/efi/runtime-map/1/num_pages", "0x10000000000000\n"},
                        {"firmware/efi/runtime-map/1/phys_addr", "0x1eaed001\n"},
                        {"firmware/efi/runtime-map/1/phys_addr", "0x1eaec000\n"}, /* overlaps 0 */
                        {"firmware/efi/runtime-map/1/type", "0x10\n"},
                        {"firmware/efi/runtime-map/1/attribute", "-1\n"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct tree t;
                struct host_memory m = {0};
                struct error e = {0};

                ovmf(&t);
                tree_text(&t, bad[i].file, bad[i].text);
                CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -EINVAL);
                CHECK(strstr(e.text, "memmap") || strstr(e.text, "runtime-map") ||
                                strstr(e.text, "the machine's memory map"));
                CHECK(m.ranges == NULL);
                tree_free(&t);
        }
}

static void refuses_missing_and_endless(void)
{
        struct tree t;
        struct host_memory m = {0};
        struct error e = {0};
        char folder[64];

        tree_new(&t);
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -ENOENT);
        CHECK(strstr(e.text, "firmware/memmap") && strstr(e.text, "boot_params/data"));
        for (unsigned i = 0; i <= HOST_MEMORY_MAX_ENTRIES; i++) {
                snprintf(folder, sizeof(folder), "firmware/memmap/%u/start", i);
                tree_text(&t, folder, "0x0\n");
        }
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -E2BIG);
        tree_free(&t);

        ovmf(&t);
        tree_remove(&t, "firmware/memmap/3/end");
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -ENOENT);
        CHECK(strstr(e.text, "memmap/3/end"));
        tree_free(&t);
}

static void plain_map(void)
{
        struct host_memory m = {0};
        uint64_t low = 0, high = 0;

        CHECK_EQ(host_memory_plain(&m), 0);
        check_order(&m);
        for (size_t i = 0; i < m.n; i++)
                if (m.ranges[i].type == EfiConventionalMemory)
                        *(m.ranges[i].start < 1ull << 32 ? &low : &high) += m.ranges[i].end -
                                                                            m.ranges[i].start;
        CHECK(low > 2ull << 30);
        CHECK(high > 2ull << 30);
        host_memory_release(&m);
}

static void covers(void)
{
        const struct fw_memory_range r[] = {
                        {0x1000, 0x3000, EfiACPIMemoryNVS, 0, 0},
                        {0x3000, 0x4000, EfiACPIReclaimMemory, 0, 0},
                        {0x5000, 0x6000, EfiACPIMemoryNVS, 0, 0},
        };
        uint32_t acpi = 1u << EfiACPIMemoryNVS | 1u << EfiACPIReclaimMemory;

        CHECK(host_memory_covers(r, 3, 0x1001, 0x3fff, acpi));
        CHECK(host_memory_covers(r, 3, 0x1000, 0x4000, acpi));
        CHECK(!host_memory_covers(r, 3, 0x1000, 0x4001, acpi));
        CHECK(!host_memory_covers(r, 3, 0x0fff, 0x2000, acpi));
        CHECK(!host_memory_covers(r, 3, 0x2fff, 0x3001, 1u << EfiACPIMemoryNVS));
        CHECK(!host_memory_covers(r, 3, 0x3fff, 0x5001, acpi));
        CHECK(!host_memory_covers(r, 3, 0x2000, 0x2000, acpi));
        CHECK(!host_memory_covers(r, 3, 0x5fff, UINT64_MAX, acpi));
}

static void virtual_addresses(void)
{
        const struct fw_memory_range r[] = {
                        {0x1000, 0x3000, EfiConventionalMemory, 0xf, 0},
                        {0x9ed000, 0xaed000, EfiRuntimeServicesData, RT, 0xfffffffefe9ed000},
                        {0xaed000, 0xb6d000, EfiRuntimeServicesCode, RT, 0xfffffffefe4ed000},
        };
        uint64_t v;

        REQUIRE(efi_map_to_virtual(r, 3, 0xaee018, &v));
        CHECK(v == 0xfffffffefe4ee018);
        CHECK(!efi_map_to_virtual(r, 3, 0x1000, &v));
        CHECK(!efi_map_to_virtual(r, 3, 0xb6d000, &v));
        for (uint64_t physical = 0x100000; physical < 0x900000; physical += 0x3f000) {
                REQUIRE(efi_map_choose_virtual(r, 3, physical, 40, &v));
                CHECK(v + 40 * 4096 <= 0xfffffffefe4ed000);
                CHECK(v >= EFI_MAP_VA_END);
                CHECK_EQ((v ^ physical) & 0x1fffff, 0);
                CHECK(0xfffffffefe4ed000 - v < 0x400000 + 40 * 4096); /* no waste */
        }
        CHECK(!efi_map_choose_virtual(r, 3, 0x1000, 0, &v));
        CHECK(!efi_map_choose_virtual(r, 3, 0x1000, UINT64_MAX / 4096, &v));
}

static void efi_map(void)
{
        const struct fw_memory_range r[] = {
                        {0x1000, 0x3000, EfiConventionalMemory, 0xf, 0},
                        {0x8000, 0xa000, EfiRuntimeServicesData, RT | 0xf, 0xfffffffefe9e8000},
        };
        const struct fw_memory_range ours = {
                        0x5000, 0x6000, EfiRuntimeServicesCode, RT | 8, 0xfffffffefe205000};
        _cleanup_buf_ struct buf b = {0};
        static const uint8_t first[48] = {5, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x50, 0, 0, 0, 0, 0, 0,
                        0x00, 0x50, 0x20, 0xfe, 0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 8,
                        0, 0, 0, 0, 0, 0, 0x80};

        CHECK_EQ(efi_map_put(r, 2, &ours, 48, &b), 2);
        REQUIRE(b.size == 96);
        CHECK(memcmp(b.data, first, 48) == 0);
        CHECK_EQ(b.data[48], EfiRuntimeServicesData);
        buf_release(&b);
        CHECK_EQ(efi_map_put(r, 2, NULL, 40, &b), 1);
        CHECK_EQ(b.size, 40);
}

static void e820(void)
{
        struct e820_map *m = calloc(1, sizeof(*m));

        CHECK(e820_add(m, 0x100000, 0x100000, E820_RAM));
        CHECK(e820_add(m, 0, 0xa0000, E820_RAM));
        CHECK(e820_add(m, 0x200000, 0x1000, E820_ACPI));
        CHECK(!e820_add(m, 0x1000, 0, E820_RAM));
        CHECK(!e820_add(m, UINT64_MAX, 2, E820_RAM));
        CHECK(e820_sort(m));
        CHECK(e820_retype(m, 0x140000, 0x141000, E820_RAM, E820_RESERVED));
        CHECK_EQ(m->n, 5);
        CHECK(m->entries[2].start == 0x140000 && m->entries[2].size == 0x1000 &&
                        m->entries[2].type == 2);
        CHECK(m->entries[3].start == 0x141000 && m->entries[3].size == 0xbf000);
        CHECK(e820_retype(m, 0x1ff000, 0x200000, E820_RAM, E820_ACPI)); /* joins its neighbour */
        CHECK_EQ(m->n, 5);
        CHECK(m->entries[4].start == 0x1ff000 && m->entries[4].size == 0x2000);
        /* not all RAM: nothing changes */
        CHECK(!e820_retype(m, 0x13f000, 0x142000, E820_RAM, E820_ACPI));
        CHECK(!e820_retype(m, 0x9f000, 0xa1000, E820_RAM, E820_ACPI));
        CHECK(!e820_retype(m, 0x9f000, 0x9f000, E820_RAM, E820_ACPI));
        CHECK_EQ(m->n, 5);
        CHECK(e820_add(m, 0x9f000, 0x2000, E820_RESERVED));
        CHECK(!e820_sort(m));
        free(m);
}

static void tpm2_table(uint8_t table[76], uint32_t length, uint32_t laml, uint64_t lasa)
{
        memset(table, 0, 76);
        memcpy(table, "TPM2", 4);
        memcpy(table + 4, &length, 4);
        memcpy(table + 64, &laml, 4);
        memcpy(table + 68, &lasa, 8);
}

static void acpi_log(void)
{
        const struct fw_memory_range r[] = {{0x800000, 0x808000, EfiACPIMemoryNVS, 0, 0},
                        {0x808000, 0x900000, EfiConventionalMemory, 0xf, 0}};
        uint8_t table[76];
        struct acpi_log log;
        struct tree t;

        tpm2_table(table, 76, 0x4000, 0x800123);
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_AREA);
        CHECK_EQ(log.address, 0x800123);
        CHECK_EQ(log.n_bytes, 0x4000);
        tpm2_table(table, 76, 0x8000, 0x800000);
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_AREA);
        /* one byte beyond, in RAM, wrapping */
        tpm2_table(table, 76, 0x8001, 0x800000);
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_UNUSABLE);
        CHECK(strstr(log.reason, "0x800000"));
        tpm2_table(table, 76, 0x1000, 0x810000);
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_UNUSABLE);
        tpm2_table(table, 76, 0x1000, UINT64_MAX - 16);
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_UNUSABLE);
        /* zero fields, a short table, a length that lies, another table */
        tpm2_table(table, 76, 0, 0x800000);
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_ABSENT);
        tpm2_table(table, 64, 0x1000, 0x800000);
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_ABSENT);
        tpm2_table(table, 76, 0x1000, 0x800000);
        acpi_log_parse(SPAN(table, 75), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_ABSENT);
        table[0] = 'X';
        acpi_log_parse(SPAN(table, 76), r, 2, &log);
        CHECK_EQ(log.kind, ACPI_LOG_ABSENT);

        tree_new(&t);
        CHECK_EQ(acpi_log_read(t.root, r, 2, &log, NULL), 0);
        CHECK_EQ(log.kind, ACPI_LOG_ABSENT);
        tpm2_table(table, 76, 0x4000, 0x800123);
        tree_put(&t, "firmware/acpi/tables/TPM2", table, sizeof(table));
        CHECK_EQ(acpi_log_read(t.root, r, 2, &log, NULL), 0);
        CHECK_EQ(log.kind, ACPI_LOG_AREA);
        tree_free(&t);
}

/* As QEMU's BIOS has it: the last pages below the end of RAM. */
static void acpi_log_in_reserved_memory(void)
{
        const struct fw_memory_range r[] = {{0x100000, 0x800000, EfiConventionalMemory, 0xf, 0},
                        {0x800000, 0x1000000, EfiReservedMemoryType, 0, 0},
                        {0x1000000, 0x1008000, EfiACPIMemoryNVS, 0, 0},
                        {0x1008000, 0x1009000, EfiRuntimeServicesData, EFI_MEMORY_RUNTIME, 0}};
        static const struct {
                uint64_t lasa;
                uint32_t laml;
                const char *wrong; /* NULL: it is taken */
        } rows[] = {
                        {0x810000, 0x10000, NULL},
                        {0x800000, 0x400000, NULL},
                        {0x810100, 0x10000, "whole pages"},
                        {0x810000, 0x0ff00, "whole pages"},
                        {0x810000, 1, "whole pages"},
                        {0x800000, 0x401000, "4 MiB"},
                        {0x7ff000, 0x2000, "neither"},
                        {0xfff000, 0x2000, "neither"}, /* half in each */
                        {0x1008000, 0x1000, "neither"},
                        {0x2000000, 0x1000, "neither"},
                        {0xfffffffffffff000, 0x1000, "neither"},
        };
        uint8_t table[76];
        struct acpi_log log;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                tpm2_table(table, 76, rows[i].laml, rows[i].lasa);
                acpi_log_parse(SPAN(table, 76), r, 4, &log);
                CHECK_EQ(log.kind, rows[i].wrong ? ACPI_LOG_UNUSABLE : ACPI_LOG_PAGES);
                CHECK_EQ(log.address, rows[i].lasa);
                CHECK_EQ(log.n_bytes, rows[i].laml);
                CHECK(rows[i].wrong ? strstr(log.reason, rows[i].wrong) != NULL : !log.reason[0]);
        }
}

static struct ram *ram_of(uint64_t start, uint64_t end)
{
        struct ram_range range = {start, end};
        struct ram *ram = NULL;

        return ram_new(&range, 1, 64 << 20, &ram, NULL) == 0 ? ram : NULL;
}

static void segments(void)
{
        struct ram *ram = ram_of(0x100000, 0x2000000);
        struct fw_memory_range a[40];
        struct segments s = {0};
        struct error e = {0};
        uint8_t page[4096];

        REQUIRE(ram);
        CHECK_EQ(segments_plan(ram, a, 0, NULL, 0, &s, &e), -ENOENT);
        a[0] = (struct fw_memory_range){0x100000, 0x104000, EfiLoaderCode, 0, 0};
        a[1] = (struct fw_memory_range){0x104000, 0x105000, EfiLoaderData, 0, 0};
        a[2] = (struct fw_memory_range){0x200000, 0x203000, EfiLoaderData, 0, 0};
        CHECK_EQ(ram_commit(ram, 0x100000, 0x105000), 0);
        CHECK_EQ(ram_commit(ram, 0x201000, 0x203000), 0); /* the first page isn't there */
        CHECK_EQ(segments_plan(ram, a, 3, NULL, 0, &s, &e), 0);
        REQUIRE(s.n == 2);
        CHECK_EQ(s.s[0].end, 0x105000);
        CHECK_EQ(s.s[1].start, 0x201000);
        CHECK_EQ(segments_bytes(&s), 0x7000);
        CHECK_EQ(segments_plan(ram, a, 3, NULL, 0xe000, &s, &e), 0);
        CHECK_EQ(segments_plan(ram, a, 3, NULL, 0xdfff, &s, &e), -EFBIG);

        /* 40 pieces: the smallest gaps go first */
        for (unsigned i = 0; i < 40; i++) {
                uint64_t start = 0x400000 + 0x10000ull * i + (i >= 20 ? 0x100000 : 0);

                a[i] = (struct fw_memory_range){start, start + 0x1000, EfiLoaderData, 0, 0};
                CHECK_EQ(ram_commit(ram, start, start + 0x1000), 0);
        }
        CHECK(ram_put_u64(ram, 0x400000, 0x1122334455667788));
        CHECK_EQ(segments_plan(ram, a, 40, NULL, 0, &s, &e), 0);
        CHECK_EQ(s.n, SEGMENTS_MAX);
        CHECK_EQ(s.s[0].start, 0x400000);
        CHECK_EQ(s.s[s.n - 1].end, 0x400000 + 0x10000 * 39 + 0x100000 + 0x1000);
        for (size_t i = 0; i < s.n; i++) /* the big hole is none of those filled */
                CHECK(!(s.s[i].start < 0x540000 && s.s[i].end > 0x600000));
        segments_read(ram, 0x400000, page, sizeof(page));
        CHECK_EQ(page[0], 0x88);
        segments_read(ram, 0x401000, page, sizeof(page)); /* in a gap */
        CHECK_EQ(page[0], 0);
        ram_free(ram);
}

/* Pages outside of guest RAM: a segment of their own, in its place, counted like the others. */
static void segments_with_an_extra_one(void)
{
        struct ram *ram = ram_of(0x100000, 0x2000000);
        struct segment extra = {0x2000000, 0x2002000};
        struct fw_memory_range a[40];
        struct segments s = {0};
        struct error e = {0};
        uint8_t page[4096];

        REQUIRE(ram);
        for (unsigned i = 0; i < 40; i++) {
                uint64_t start = 0x400000 + 0x10000ull * i;

                a[i] = (struct fw_memory_range){start, start + 0x1000, EfiLoaderData, 0, 0};
                CHECK_EQ(ram_commit(ram, start, start + 0x1000), 0);
        }
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0, &s, &e), 0);
        REQUIRE(s.n == 3);
        CHECK(s.s[1].start == 0x410000 && s.s[2].start == 0x2000000 && s.s[2].end == 0x2002000);
        memset(page, 1, sizeof(page));
        segments_read(ram, 0x2000000, page, sizeof(page)); /* nothing is behind it yet */
        CHECK(page[0] == 0 && page[4095] == 0);
        extra = (struct segment){0x405000, 0x406000};
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0, &s, &e), 0);
        REQUIRE(s.n == 3);
        CHECK(s.s[0].end == 0x401000 && s.s[1].start == 0x405000 && s.s[2].start == 0x410000);
        extra = (struct segment){0x401000, 0x410000}; /* touches both and joins neither */
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0, &s, &e), 0);
        CHECK_EQ(s.n, 3);
        /* all of them together: 16 */
        extra = (struct segment){0x2000000, 0x2002000};
        CHECK_EQ(segments_plan(ram, a, 40, &extra, 0, &s, &e), 0);
        CHECK(s.n == SEGMENTS_MAX && s.s[s.n - 1].start == 0x2000000);
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0x8000, &s, &e), 0);
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0x7fff, &s, &e), -EFBIG);
        /* over the payload's pages, at either end, in a gap that is filled */
        extra = (struct segment){0x400000, 0x401000};
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0, &s, &e), -EEXIST);
        extra = (struct segment){0x3ff000, 0x401000};
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0, &s, &e), -EEXIST);
        extra = (struct segment){0x405000, 0x411000};
        CHECK_EQ(segments_plan(ram, a, 2, &extra, 0, &s, &e), -EEXIST);
        extra = (struct segment){0x405000, 0x406000};
        CHECK_EQ(segments_plan(ram, a, 40, &extra, 0, &s, &e), -EEXIST);
        ram_free(ram);
}

static void gaps_stay_out_of_what_is_not_ram(void)
{
        struct ram_range ranges[20];
        struct fw_memory_range a[20];
        struct ram *ram = NULL;
        struct segments s = {0};
        struct error e = {0};

        for (unsigned i = 0; i < 20; i++) {
                ranges[i] = (struct ram_range){0x100000 + 0x2000ull * i, 0x101000 + 0x2000ull * i};
                a[i] = (struct fw_memory_range){
                                ranges[i].start, ranges[i].end, EfiLoaderData, 0, 0};
        }
        REQUIRE(ram_new(ranges, 20, 1 << 20, &ram, &e) == 0);
        for (unsigned i = 0; i < 20; i++)
                CHECK_EQ(ram_commit(ram, ranges[i].start, ranges[i].end), 0);
        CHECK_EQ(segments_plan(ram, a, 20, NULL, 0, &s, &e), -ENOSPC);
        CHECK_EQ(segments_plan(ram, a, 16, &(struct segment){0x80000000, 0x80001000}, 0, &s, &e),
                        -ENOSPC);
        CHECK_EQ(segments_plan(ram, a, 16, NULL, 0, &s, &e), 0);
        CHECK_EQ(s.n, 16);
        ram_free(ram);
}

static void guard_page(void)
{
        const struct fw_memory_range r[] = {
                        {0x0, 0xa0000, EfiBootServicesData, 0xf, 0},
                        {0x80000, 0x100000, EfiConventionalMemory, 0xf, 0},
                        {0x100000, 0x200000, EfiReservedMemoryType, 0, 0},
                        {0x200000, 0x300000, EfiConventionalMemory, 0xf, 0},
                        {1ull << 32, 1ull << 33, EfiConventionalMemory, 0xf, 0},
        };
        uint64_t page = 0;

        CHECK(guard_choose_page(r, 5, &page));
        CHECK_EQ(page, 0x200000);
        CHECK(!guard_choose_page(r + 4, 1, &page));
        CHECK(!guard_choose_page(r, 3, &page));
}

static void kexec_refusals(void)
{
        struct tree t;
        struct error e = {0};

        tree_new(&t);
        CHECK_EQ(kexec_loaded(t.root), -ENOENT);
        if (geteuid() == 0) {
                CHECK_EQ(kexec_check_possible(t.root, 3, &e), -ENOSYS);
                tree_text(&t, "sys/kernel/kexec_loaded", "0\n");
                CHECK_EQ(kexec_check_possible(t.root, 3, &e), 0);
                tree_text(&t, "sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
                CHECK(!kexec_locked_down(t.root));
                tree_text(&t, "sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
                CHECK(kexec_locked_down(t.root));
                CHECK_EQ(kexec_check_possible(t.root, 3, &e), 0); /* kexec_file_load may work */
                tree_text(&t, "proc/sys/kernel/kexec_load_disabled", "1\n");
                CHECK_EQ(kexec_check_possible(t.root, 3, &e), -EPERM);
                CHECK(strstr(e.text, "kexec_load_disabled"));
                tree_text(&t, "proc/sys/kernel/kexec_load_disabled", "0\n");
                tree_text(&t, "proc/sys/kernel/kexec_load_limit_reboot", "0\n");
                CHECK_EQ(kexec_check_possible(t.root, 3, &e), -EPERM);
                CHECK(strstr(e.text, "limit_reboot"));
        }
        tree_text(&t, "sys/kernel/kexec_loaded", "0\n");
        CHECK_EQ(kexec_loaded(t.root), 0);
        tree_text(&t, "sys/kernel/kexec_loaded", "1\n");
        CHECK_EQ(kexec_loaded(t.root), 1);
        CHECK_EQ(kexec_load(0, NULL, 0, &e), -EINVAL);
        CHECK_EQ(kexec_load(0, NULL, 17, &e), -EINVAL);
        tree_free(&t);
}

static const struct tap_test tests[] = {
                {"an OVMF machine's map is read and merged", reads_a_machine},
                {"bytes become pages, RAM inward and others outward", bytes_become_pages},
                {"an earlier overlay is RAM again, a false claim isn't",
                                an_earlier_overlay_is_ram_again},
                {"odd text is refused with the file's name", refuses_odd_text},
                {"missing files and endless lists are refused", refuses_missing_and_endless},
                {"the plain map has room below and above 4 GB", plain_map},
                {"covered ranges", covers},
                {"virtual addresses of runtime regions", virtual_addresses},
                {"the second kernel's EFI map", efi_map},
                {"e820 changes types, or nothing", e820},
                {"the ACPI log area and its forged twins", acpi_log},
                {"the ACPI log area in reserved memory: whole pages only",
                                acpi_log_in_reserved_memory},
                {"segments: merged, committed only, limited", segments},
                {"segments: one outside of guest RAM", segments_with_an_extra_one},
                {"segments: gaps are filled over RAM only", gaps_stay_out_of_what_is_not_ram},
                {"the guard's page", guard_page},
                {"kexec is refused early, with the reason", kexec_refusals},
};
TAP_MAIN(tests)
