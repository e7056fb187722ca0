/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conformance of the memory services and utilities (UEFI 2.10, 7.2 and 7.5). */
#include "guest.h"

static uint64_t key_now(void)
{
        static uint8_t map[16384];
        uint64_t size = sizeof(map), key = 0, descriptor;
        uint32_t version;

        CHECK_EQ(bs->get_memory_map(&size, map, &key, &descriptor, &version), SUCCESS);
        return key;
}

/* Type of the page at address, 99 if the map doesn't have it. */
static uint32_t type_of(uint64_t address)
{
        static uint8_t map[16384];
        uint64_t size = sizeof(map), key, descriptor;
        uint32_t version;

        CHECK_EQ(bs->get_memory_map(&size, map, &key, &descriptor, &version), SUCCESS);
        for (uint64_t at = 0; at < size; at += descriptor) {
                struct memory_descriptor *d = (void *)(map + at);

                if (address - d->physical_start < d->n_pages * 4096)
                        return d->type;
        }
        return 99;
}

static void memory_map(void)
{
        static uint8_t map[16384];
        uint64_t size = 0, key = 0, descriptor = 0, last = 0, total = 0, again;
        uint32_t version = 0;

        CHECK_EQ(bs->get_memory_map(&size, NULL, &key, &descriptor, &version), BUFFER_TOO_SMALL);
        CHECK(size > 0 && size < sizeof(map));
        CHECK_EQ(descriptor, 48);
        CHECK_EQ(version, 1);
        CHECK_EQ(size % descriptor, 0);
        again = size - 1;
        CHECK_EQ(bs->get_memory_map(&again, map, &key, &descriptor, &version), BUFFER_TOO_SMALL);
        CHECK_EQ(again, size);
        CHECK_EQ(bs->get_memory_map(&size, map, &key, &descriptor, &version), SUCCESS);
        for (uint64_t at = 0; at < size; at += descriptor) {
                struct memory_descriptor *d = (void *)(map + at);

                CHECK(d->physical_start >= last);
                CHECK(d->n_pages > 0);
                last = d->physical_start + d->n_pages * 4096;
                total += d->n_pages;
        }
        CHECK(total > 0);
        CHECK_EQ(bs->get_memory_map(NULL, map, &key, &descriptor, &version), INVALID_PARAMETER);
        size = sizeof(map);
        CHECK_EQ(bs->get_memory_map(&size, NULL, &key, &descriptor, &version), INVALID_PARAMETER);
        CHECK_EQ(key_now(), key_now());
}

static void map_key_changes(void)
{
        uint64_t before = key_now(), pages = 0;
        void *block;

        CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, 1, &pages), SUCCESS);
        CHECK(key_now() != before);
        before = key_now();
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 16, &block), SUCCESS);
        CHECK(key_now() != before);
        before = key_now();
        CHECK_EQ(bs->free_pool(block), SUCCESS);
        CHECK(key_now() != before);
        before = key_now();
        CHECK_EQ(bs->free_pages(pages, 1), SUCCESS);
        CHECK(key_now() != before);
}

static void pages(void)
{
        uint64_t a = 0, b, c;

        CHECK_EQ(bs->allocate_pages(ANY_PAGES, ACPI_RECLAIM, 3, &a), SUCCESS);
        CHECK_EQ(a % 4096, 0);
        CHECK(a >= 1 << 20);
        CHECK_EQ(type_of(a), ACPI_RECLAIM);
        CHECK_EQ(type_of(a + 2 * 4096), ACPI_RECLAIM);
        CHECK_EQ(*(volatile uint64_t *)(a + 8), 0);
        *(volatile uint64_t *)(a + 8) = 1;
        b = a + 4096;
        CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_DATA, 1, &b), NOT_FOUND);
        CHECK_EQ(bs->free_pages(a + 1, 1), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pages(a, 0), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pages(a, 1ull << 52), NOT_FOUND);
        CHECK_EQ(bs->free_pages(a + 4096, 1), SUCCESS); /* a part of it */
        CHECK_EQ(type_of(a + 4096), CONVENTIONAL);
        CHECK_EQ(bs->free_pages(a + 4096, 1), NOT_FOUND);
        CHECK_EQ(bs->free_pages(a, 3), NOT_FOUND);
        CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_CODE, 1, &b), SUCCESS);
        CHECK_EQ(b, a + 4096);
        CHECK_EQ(bs->free_pages(a, 3), SUCCESS); /* across types */
        c = 0x1000000;
        CHECK_EQ(bs->allocate_pages(MAX_ADDRESS, LOADER_DATA, 2, &c), SUCCESS);
        CHECK(c + 2 * 4096 - 1 <= 0x1000000);
        CHECK_EQ(bs->free_pages(c, 2), SUCCESS);
        c = ~0ull;
        CHECK_EQ(bs->allocate_pages(MAX_ADDRESS, LOADER_DATA, 1, &c), SUCCESS);
        CHECK_EQ(bs->free_pages(c, 1), SUCCESS);
        c = 0xfff;
        CHECK_EQ(bs->allocate_pages(MAX_ADDRESS, LOADER_DATA, 1, &c), OUT_OF_RESOURCES);
}

static void pages_refused(void)
{
        uint64_t a = 0x1001;

        CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, 1, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pages(3, LOADER_DATA, 1, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pages(ANY_PAGES, CONVENTIONAL, 1, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pages(ANY_PAGES, 16, 1, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, 0, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_DATA, 1, &a), NOT_FOUND);
        CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, ~0ull, &a), OUT_OF_RESOURCES);
        CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, 1ull << 51, &a), OUT_OF_RESOURCES);
        a = ~0ull & ~4095ull;
        CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_DATA, 2, &a), NOT_FOUND);
        CHECK_EQ(bs->free_pages((uint64_t)bs & ~4095ull, 1), NOT_FOUND);
        CHECK_EQ(bs->free_pages((uint64_t)st & ~4095ull, 1), NOT_FOUND);
        CHECK_EQ(bs->free_pages(0, 1), NOT_FOUND);
}

/* Above 4 GiB, where kernels that know KASLR put themselves. */
static void pages_high(void)
{
        uint64_t a = 0x110000000;

        CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_CODE, 512, &a), SUCCESS);
        *(volatile uint8_t *)(a + 512 * 4096 - 1) = 1;
        CHECK_EQ(bs->free_pages(a, 512), SUCCESS);
}

static void pool(void)
{
        void *blocks[200], *big;

        for (int i = 0; i < 200; i++) {
                CHECK_EQ(bs->allocate_pool(i % 2 ? LOADER_DATA : ACPI_RECLAIM, (uint64_t)(i * 13),
                                         &blocks[i]),
                                SUCCESS);
                CHECK_EQ((uint64_t)blocks[i] % 8, 0);
                bs->set_mem(blocks[i], (uint64_t)(i * 13), (uint8_t)i);
        }
        CHECK_EQ(type_of((uint64_t)blocks[4]), ACPI_RECLAIM);
        CHECK_EQ(type_of((uint64_t)blocks[5]), LOADER_DATA);
        for (int i = 0; i < 200; i++)
                for (int k = 0; k < i * 13; k++)
                        if (((uint8_t *)blocks[i])[k] != (uint8_t)i) {
                                CHECK(false);
                                break;
                        }
        for (int i = 0; i < 200; i++)
                CHECK_EQ(bs->free_pool(blocks[i]), SUCCESS);
        CHECK_EQ(bs->free_pool(blocks[7]), INVALID_PARAMETER); /* twice */
        CHECK_EQ(bs->free_pool(NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 64, &blocks[0]), SUCCESS);
        CHECK_EQ(bs->free_pool((uint8_t *)blocks[0] + 8), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pool(blocks[0]), SUCCESS);
        CHECK_EQ(bs->free_pool(st), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pool(st->con_out), INVALID_PARAMETER); /* not the payload's */
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 3 << 20, &big), SUCCESS);
        ((volatile uint8_t *)big)[(3 << 20) - 1] = 1;
        CHECK_EQ(bs->free_pool((uint8_t *)big + 4096), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pages((uint64_t)big, 1), NOT_FOUND);
        CHECK_EQ(bs->free_pool(big), SUCCESS);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, ~0ull, &big), OUT_OF_RESOURCES);
        CHECK_EQ(bs->allocate_pool(CONVENTIONAL, 8, &big), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 8, NULL), INVALID_PARAMETER);
}

static void utilities(void)
{
        uint8_t bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        const uint8_t up[16] = {0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15};
        const uint8_t down[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 9, 12, 13, 14, 15};
        uint32_t crc = 0;
        uint64_t one, two;

        bs->copy_mem(bytes + 2, bytes, 10);
        CHECK(same_bytes(bytes, up, sizeof(up)));
        bs->copy_mem(bytes, bytes + 2, 10);
        CHECK(same_bytes(bytes, down, sizeof(down)));
        bs->copy_mem(NULL, NULL, 0);
        CHECK_EQ(bs->calculate_crc32("123456789", 9, &crc), SUCCESS);
        CHECK_EQ(crc, 0xcbf43926); /* the check value of the algorithm */
        CHECK_EQ(bs->calculate_crc32(NULL, 9, &crc), INVALID_PARAMETER);
        CHECK_EQ(bs->calculate_crc32("1", 0, &crc), INVALID_PARAMETER);
        CHECK_EQ(bs->calculate_crc32("1", 1, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->get_next_monotonic_count(&one), SUCCESS);
        CHECK_EQ(bs->get_next_monotonic_count(&two), SUCCESS);
        CHECK(two > one);
        CHECK_EQ(bs->get_next_monotonic_count(NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->stall(60 * 1000 * 1000), SUCCESS);
        CHECK_EQ(bs->set_watchdog_timer(300, 0x10000, 0, NULL), SUCCESS);
        CHECK_EQ(bs->reserved(), UNSUPPORTED);
}

static void check_table(struct table_header *header, uint64_t signature, uint32_t size)
{
        uint32_t stored = header->crc32, crc = 0;

        CHECK_EQ(header->signature, signature);
        CHECK_EQ(header->size, size);
        CHECK_EQ(header->revision, 2u << 16 | 70);
        CHECK_EQ(header->reserved, 0);
        header->crc32 = 0;
        CHECK_EQ(bs->calculate_crc32(header, header->size, &crc), SUCCESS);
        header->crc32 = stored;
        CHECK_EQ(crc, stored);
}

static void tables(void)
{
        void **slots;

        check_table(&st->header, 0x5453595320494249, sizeof(*st));
        check_table(&bs->header, 0x56524553544f4f42, sizeof(*bs));
        check_table(&st->rt->header, 0x56524553544e5552, sizeof(*st->rt));
        slots = (void **)(&bs->header + 1);
        for (size_t i = 0; i < 44; i++)
                CHECK(slots[i]);
        slots = (void **)(&st->rt->header + 1);
        for (size_t i = 0; i < 14; i++)
                CHECK(slots[i]);
        CHECK(same_text(st->firmware_vendor, u"conformance"));
        CHECK(st->con_out && st->con_in && st->std_err && st->con_out_handle);
        CHECK_EQ(type_of((uint64_t)st), ACPI_RECLAIM);
        CHECK_EQ(type_of((uint64_t)st->tables), ACPI_RECLAIM);
}

static void configuration_tables(void)
{
        static const struct guid one = GUID_TEST(1), two = GUID_TEST(2);
        uint64_t n = st->n_tables;
        int a, b;

        CHECK_EQ(bs->install_configuration_table(&one, NULL), NOT_FOUND);
        CHECK_EQ(bs->install_configuration_table(NULL, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->install_configuration_table(&one, &a), SUCCESS);
        CHECK_EQ(bs->install_configuration_table(&two, &a), SUCCESS);
        CHECK_EQ(st->n_tables, n + 2);
        CHECK(same_guid(&st->tables[n].guid, &one));
        CHECK_EQ(st->tables[n].table, &a);
        CHECK_EQ(bs->install_configuration_table(&one, &b), SUCCESS);
        CHECK_EQ(st->n_tables, n + 2);
        CHECK_EQ(st->tables[n].table, &b);
        check_table(&st->header, 0x5453595320494249, sizeof(*st));
        CHECK_EQ(bs->install_configuration_table(&one, NULL), SUCCESS);
        CHECK_EQ(st->n_tables, n + 1);
        CHECK(same_guid(&st->tables[n].guid, &two));
        CHECK_EQ(bs->install_configuration_table(&two, NULL), SUCCESS);
        CHECK_EQ(st->n_tables, n);
        check_table(&st->header, 0x5453595320494249, sizeof(*st));
        for (uint16_t i = 0; i < 200; i++) {
                const struct guid many = GUID_TEST(i);

                if (bs->install_configuration_table(&many, &a) == OUT_OF_RESOURCES)
                        n = i;
        }
        CHECK(n > 100);
        for (uint16_t i = 0; i < 200; i++) {
                const struct guid many = GUID_TEST(i);

                (void)bs->install_configuration_table(&many, NULL);
        }
}

void test_memory_services(void)
{
        tap_test("system table, service tables, CRCs", tables);
        tap_test("GetMemoryMap", memory_map);
        tap_test("the map key changes with every allocation", map_key_changes);
        tap_test("AllocatePages and FreePages", pages);
        tap_test("AllocatePages refuses", pages_refused);
        tap_test("AllocatePages above 4 GiB", pages_high);
        tap_test("AllocatePool and FreePool", pool);
        tap_test("CopyMem, SetMem, CalculateCrc32, counters", utilities);
        tap_test("InstallConfigurationTable", configuration_tables);
}
