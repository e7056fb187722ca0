/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the running kernel was told at its start: e820 out of boot_params as the second source of
 * the memory map, and setup_data by type. */
#include "tests/unit/tap.h"

#include "base/cleanup.h"
#include "base/efi-types.h"
#include "shim/handover/host-e820.h"
#include "shim/handover/host-memory.h"
#include "shim/handover/host-setup-data.h"
#include "tests/unit/tree.h"

/* An OVMF machine of 512 MB with something odd at its end, as boot_params has it and as the kernel
 * says it in firmware/memmap. The last two stand in a SETUP_E820_EXT node. */
static const struct {
        uint64_t start, size;
        uint32_t type;
        const char *memmap;
} machine[] = {
                {0x0, 0xa0000, 1, "System RAM"},
                {0x100000, 0x700000, 1, "System RAM"},
                {0x800000, 0x8000, 4, "ACPI Non-volatile Storage"},
                {0x808000, 0x1dfe5000, 1, "System RAM"},
                {0x1e7ed000, 0x380000, 2, "Reserved"},
                {0, 0, 1, NULL}, /* some BIOSes have them; the kernel leaves them out */
                {0x1eb6d000, 0x12000, 3, "ACPI Tables"},
                {0x1eb7f000, 0x80000, 4, "ACPI Non-volatile Storage"},
                {0x1ebff000, 0x401000, 1, "System RAM"},
                {0x40000000, 0x1000, 5, "Unusable memory"},
                {0x50000000, 0x1000, 7, "Persistent Memory"},
                {0x60000000, 0x1000, 12, "Persistent Memory (legacy)"},
                {0x70000000, 0x1000, 0xefffffff, "Soft Reserved"},
                {0xb0000000, 0x10000000, 42, "Unknown E820 type"},
};
#define IN_TABLE (ARRAY_SIZE(machine) - 2)

static void put_entry(uint8_t *to, size_t i)
{
        memcpy(to, &machine[i].start, 8);
        memcpy(to + 8, &machine[i].size, 8);
        memcpy(to + 16, &machine[i].type, 4);
}

static void put_boot_params(const struct tree *t, uint8_t page[4096])
{
        uint8_t extension[40];

        memset(page, 0, 4096);
        page[0x1e8] = IN_TABLE;
        for (size_t i = 0; i < IN_TABLE; i++)
                put_entry(page + 0x2d0 + 20 * i, i);
        for (size_t i = 0; i < 2; i++)
                put_entry(extension + 20 * i, IN_TABLE + i);
        tree_put(t, "kernel/boot_params/data", page, 4096);
        tree_text(t, "kernel/boot_params/setup_data/0/type", "0x4\n");
        tree_text(t, "kernel/boot_params/setup_data/0/data", "not for us");
        tree_text(t, "kernel/boot_params/setup_data/3/type", "0x1\n");
        tree_put(t, "kernel/boot_params/setup_data/3/data", extension, sizeof(extension));
}

static void put_runtime(const struct tree *t)
{
        uint64_t attribute = EFI_MEMORY_RUNTIME | 0xf;

        tree_runtime(t, 0, EfiRuntimeServicesData, 0x1e9ed000, 256, 0xfffffffefe9ed000, attribute);
        tree_runtime(t, 1, EfiRuntimeServicesCode, 0x1eaed000, 128, 0xfffffffefe4ed000, attribute);
}

static void says_what_memmap_says(void)
{
        struct host_memory of_memmap = {0}, of_params = {0};
        struct error e = {0};
        uint8_t page[4096];
        struct tree t;

        tree_new(&t);
        put_runtime(&t);
        for (unsigned i = 0; i < ARRAY_SIZE(machine); i++)
                if (machine[i].memmap)
                        tree_memmap(&t, i, machine[i].start, machine[i].start + machine[i].size - 1,
                                        machine[i].memmap);
        CHECK_EQ(host_memory_read(t.root, NULL, &of_memmap, &e), 0);
        tree_free(&t);

        tree_new(&t);
        put_runtime(&t);
        put_boot_params(&t, page);
        CHECK_EQ(host_memory_read(t.root, NULL, &of_params, &e), 0);
        REQUIRE(of_memmap.n > 10 && of_params.n == of_memmap.n);
        CHECK(memcmp(of_params.ranges, of_memmap.ranges, of_params.n * sizeof(*of_params.ranges)) ==
                        0);
        host_memory_release(&of_memmap);
        host_memory_release(&of_params);
        tree_free(&t);
}

static void odd_pages_are_refused(void)
{
        static const struct {
                unsigned offset;
                uint8_t value;
                const char *says;
        } bad[] = {
                        {0x1e8, 0, "overlap"}, /* only the extension, see below */
                        {0x1e8, 129, "not a boot_params page"},
                        {0x2d0 + 27, 1, "makes no sense"}, /* start beyond what there can be */
                        {0x2d0 + 35, 1, "makes no sense"}, /* size */
                        {0x2d0 + 42, 0x81, "overlap"},     /* NVS in RAM */
        };
        struct tree t;
        struct host_memory m = {0};
        struct error e = {0};
        uint8_t page[4096];

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                tree_new(&t);
                put_boot_params(&t, page);
                page[bad[i].offset] = bad[i].value;
                tree_put(&t, "kernel/boot_params/data", page, sizeof(page));
                if (i == 0)
                        tree_put(&t, "kernel/boot_params/setup_data/3/data",
                                        "\0\0\1\0\0\0\0\0\0\x10\0\0\0\0\0\0\1\0\0\0"
                                        "\0\0\1\0\0\0\0\0\0\x10\0\0\0\0\0\0\2\0\0\0",
                                        40);
                CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -EINVAL);
                CHECK(strstr(e.text, bad[i].says));
                CHECK(m.ranges == NULL);
                tree_free(&t);
        }
        /* a page that is cut, an extension that is, nothing at all */
        tree_new(&t);
        put_boot_params(&t, page);
        tree_put(&t, "kernel/boot_params/data", page, 4095);
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -EINVAL);
        tree_put(&t, "kernel/boot_params/data", page, 4096);
        tree_text(&t, "kernel/boot_params/setup_data/3/data",
                        "0123456789012345678901234567890123456789");
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -EINVAL);
        tree_text(&t, "kernel/boot_params/setup_data/3/data", "0123456789");
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -EINVAL);
        CHECK(strstr(e.text, "boot_params/data"));
        tree_text(&t, "kernel/boot_params/setup_data/3/data", "");
        page[0x1e8] = 0;
        tree_put(&t, "kernel/boot_params/data", page, 4096);
        CHECK_EQ(host_memory_read(t.root, NULL, &m, &e), -EINVAL);
        CHECK(strstr(e.text, "no e820 entries"));
        tree_free(&t);
}

static void setup_data_by_type(void)
{
        struct tree t;
        struct host_setup_data data = {0};
        struct error e = {0};
        uint8_t rom[58] = {0};

        tree_new(&t);
        CHECK_EQ(host_setup_data_read(t.root, 3, &data, &e), 0);
        CHECK_EQ(data.n, 0);
        host_setup_data_release(&data);
        tree_text(&t, "kernel/boot_params/setup_data/0/type", "0x9\n");
        tree_text(&t, "kernel/boot_params/setup_data/0/data", "seed");
        tree_text(&t, "kernel/boot_params/setup_data/1/type", "0x3\n");
        tree_text(&t, "kernel/boot_params/setup_data/1/data", "rom");
        CHECK_EQ(host_setup_data_read(t.root, 3, &data, &e), 0);
        REQUIRE(data.n == 1);
        CHECK(data.nodes[0].size == 3 && memcmp(data.nodes[0].data, "rom", 3) == 0);
        host_setup_data_release(&data);
        tree_text(&t, "kernel/boot_params/setup_data/0/type", "three\n");
        CHECK_EQ(host_setup_data_read(t.root, 3, &data, &e), -EINVAL);
        CHECK(strstr(e.text, "setup_data/0/type"));
        tree_remove(&t, "kernel/boot_params/setup_data/0/type");
        CHECK_EQ(host_setup_data_read(t.root, 3, &data, &e), -ENOENT);
        CHECK(data.nodes == NULL);
        tree_free(&t);

        rom[8] = 10;
        CHECK(host_setup_data_is_rom(SPAN(rom, 58)));
        CHECK(!host_setup_data_is_rom(SPAN(rom, 57)));
        CHECK(!host_setup_data_is_rom(SPAN(rom, 12)));
        rom[15] = 0x80;
        CHECK(!host_setup_data_is_rom(SPAN(rom, 58)));
        memset(rom + 8, 0, 8);
        CHECK(!host_setup_data_is_rom(SPAN(rom, 58)));
}

static const struct tap_test tests[] = {
                {"boot_params say what memmap says", says_what_memmap_says},
                {"odd pages are refused", odd_pages_are_refused},
                {"setup_data by type, and ROMs that aren't", setup_data_by_type},
};
TAP_MAIN(tests)
