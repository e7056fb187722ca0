/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page and pool allocators over real guest RAM, with a vCPU that only counts what it was given:
 * where things are put, what is refused, and that what is freed is given back. */
#include <errno.h>

#include "base/cleanup.h"
#include "shim/firmware/dispatch.h"
#include "shim/firmware/memory.h"
#include "tests/unit/tap.h"

#define GIB  (1ull << 30)
#define PAGE EFI_PAGE_SIZE

static uint64_t opened_bytes;
static int open_error, close_error;

static int fake_open(struct vcpu *v, uint64_t start, uint64_t end)
{
        if (open_error)
                return open_error;
        opened_bytes += end - start;
        return 0;
}

static int fake_close(struct vcpu *v, uint64_t start, uint64_t end)
{
        if (close_error)
                return close_error;
        opened_bytes -= end - start;
        return 0;
}

static int fake_regs(struct vcpu *v, struct vcpu_regs *regs)
{
        *regs = (struct vcpu_regs){0};
        return 0;
}

static void fake_free(struct vcpu *v)
{
}

static const struct vcpu_ops fake_ops = {
                .open = fake_open, .close = fake_close, .get_regs = fake_regs, .free = fake_free};
static struct vcpu fake_vcpu = {&fake_ops};

static const struct fw_memory_range rows[] = {
                {0x100000, 0x4000000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
                {0x1000, 0xa0000, EfiConventionalMemory, EFI_MEMORY_WB, 0}, /* in any order */
                {0x4000000, 0x4010000, EfiACPIReclaimMemory, EFI_MEMORY_WB, 0},
                {0x4010000, 0x4020000, EfiRuntimeServicesData, EFI_MEMORY_WB | EFI_MEMORY_RUNTIME,
                                0xfffffffeee000000},
                {0x4020000, 0x8000000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
                {4 * GIB, 4 * GIB + 0x1000000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
                {4 * GIB + 0x1000000, 4 * GIB + 0x2000000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
};

static struct firmware *fw;
static char traced[1024];

static void trace(void *arg, const char *line)
{
        strncat(traced, line, sizeof(traced) - strlen(traced) - 1);
}

static bool start(struct firmware_setup *setup)
{
        _cleanup_free_ struct ram_range *ranges = NULL;
        struct error error = {0};
        struct ram *ram;
        size_t n;

        opened_bytes = 0;
        open_error = close_error = 0;
        traced[0] = '\0';
        if (!setup->memory) {
                setup->memory = rows;
                setup->n_memory = ARRAY_SIZE(rows);
        }
        setup->volume_fd = -1;
        setup->trace = trace;
        if (!setup->budget_bytes)
                setup->budget_bytes = 256u << 20;
        if (memory_ram_ranges(setup, &ranges, &n, &error) < 0 ||
                        ram_new(ranges, n, setup->budget_bytes, &ram, &error) < 0 ||
                        firmware_new_on(setup, ram, &fake_vcpu, &fw, &error) < 0) {
                printf("# %s\n", error.text);
                return false;
        }
        return true;
}

static void stop(void)
{
        firmware_free(fw);
        fw = NULL;
}

static EFI_STATUS take(uint32_t how, uint64_t n_pages, uint64_t *address)
{
        return fw_allocate_pages(fw, how, EfiLoaderData, n_pages, address);
}

/* The row of the map that has the address; type 99 if none. */
static struct fw_memory_range row_at(uint64_t address)
{
        struct fw_memory_range found = {.type = 99};
        _cleanup_free_ struct fw_memory_range *map = NULL;
        size_t n;

        if (firmware_memory_map(fw, &map, &n) < 0)
                return found;
        for (size_t i = 0; i < n; i++)
                if (address >= map[i].start && address < map[i].end)
                        found = map[i];
        return found;
}

static void test_places(void)
{
        struct firmware_setup setup = {0};
        uint64_t a = 0, b = 0, low = 0xfffff, none = 0xffff, high;

        REQUIRE(start(&setup));
        CHECK_EQ(take(AllocateAnyPages, 16, &a), EFI_SUCCESS);
        CHECK(a >= 0x4020000 && a < 0x8000000); /* below 4 GiB first, from the top */
        CHECK_EQ(take(AllocateAnyPages, 16, &b), EFI_SUCCESS);
        CHECK(b < a);
        high = UINT64_MAX;
        CHECK_EQ(take(AllocateMaxAddress, 0x3e00, &high), EFI_SUCCESS);
        CHECK(high < 4 * GIB);
        CHECK_EQ(take(AllocateAnyPages, 0x3e00, &b), EFI_SUCCESS);
        CHECK(b < 0x4000000);
        /* More than is left below: the upper range, whose two rows are one. */
        CHECK_EQ(take(AllocateAnyPages, 0x1800, &high), EFI_SUCCESS);
        CHECK_EQ(high, 4 * GIB + 0x800000);
        high = UINT64_MAX;
        CHECK_EQ(take(AllocateMaxAddress, 0x400, &high), EFI_SUCCESS);
        CHECK_EQ(high, 4 * GIB + 0x400000);
        CHECK_EQ(take(AllocateMaxAddress, 1, &low), EFI_SUCCESS);
        CHECK(low >= 0x10000 && low < 0xa0000);
        CHECK_EQ(take(AllocateMaxAddress, 1, &none), EFI_OUT_OF_RESOURCES);
        none = 0x5000;
        CHECK_EQ(take(AllocateAddress, 1, &none),
                        EFI_NOT_FOUND); /* RAM that the guest can't have */
        none = 0x20000;
        CHECK_EQ(take(AllocateAddress, 1, &none), EFI_SUCCESS);
        none = 0x4000000;
        CHECK_EQ(take(AllocateAddress, 1, &none), EFI_NOT_FOUND);
        none = 0x3fff000;
        CHECK_EQ(take(AllocateAddress, 2, &none), EFI_NOT_FOUND); /* across a boundary */
        stop();
}

static void test_any_never_below_1_mib(void)
{
        const struct fw_memory_range small[] = {
                        {0x10000, 0x100000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
                        {0x100000, 0x300000, EfiConventionalMemory, EFI_MEMORY_WB, 0},
        };
        struct firmware_setup setup = {.memory = small, .n_memory = 2};
        uint64_t a;

        REQUIRE(start(&setup));
        do
                a = 0;
        while (take(AllocateAnyPages, 1, &a) == EFI_SUCCESS && a >= 0x100000);
        CHECK_EQ(a, 0);
        a = UINT64_MAX;
        CHECK_EQ(take(AllocateMaxAddress, 1, &a), EFI_SUCCESS);
        CHECK_EQ(a, 0xff000);
        stop();
}

static void test_map(void)
{
        struct firmware_setup setup = {0};
        _cleanup_free_ struct fw_memory_range *map = NULL;
        uint64_t before, runtime = 0, total = 0;
        size_t n;

        REQUIRE(start(&setup));
        CHECK_EQ(row_at(0x1000).type, EfiBootServicesData);
        CHECK_EQ(row_at(0xffff).type, EfiBootServicesData);
        CHECK_EQ(row_at(0x10000).type, EfiConventionalMemory);
        CHECK_EQ(row_at(0x4010000).virtual_start, 0xfffffffeee000000);
        CHECK_EQ(row_at(0x4010000).attribute, EFI_MEMORY_WB | EFI_MEMORY_RUNTIME);
        CHECK_EQ(row_at(0xa0000).type, 99);
        CHECK_EQ(row_at(4 * GIB).end, 4 * GIB + 0x2000000);
        before = memory_map_key(fw);
        CHECK_EQ(fw_allocate_pages(fw, AllocateAnyPages, EfiRuntimeServicesData, 1, &runtime),
                        EFI_SUCCESS);
        CHECK_EQ(row_at(runtime).attribute, EFI_MEMORY_WB | EFI_MEMORY_RUNTIME);
        CHECK(memory_map_key(fw) != before);
        before = memory_map_key(fw);
        CHECK_EQ(fw_free_pages(fw, runtime, 2), EFI_NOT_FOUND);
        CHECK_EQ(memory_map_key(fw), before); /* a refusal changes nothing */
        CHECK_EQ(row_at(runtime).type, EfiRuntimeServicesData);
        CHECK_EQ(fw_free_pages(fw, runtime, 1), EFI_SUCCESS);
        CHECK_EQ(row_at(runtime).attribute, EFI_MEMORY_WB);
        REQUIRE(firmware_memory_map(fw, &map, &n) == 0);
        for (size_t i = 0; i < n; i++) {
                CHECK(i == 0 || map[i].start >= map[i - 1].end);
                total += map[i].end - map[i].start;
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                total -= rows[i].end - rows[i].start;
        CHECK_EQ(total, 0);
        stop();
}

static void test_foreign_pages(void)
{
        struct firmware_setup setup = {0};
        uint64_t a = 0, own = 0, pool = 0;

        REQUIRE(start(&setup));
        CHECK_EQ(fw_free_pages(fw, fw->system_table & ~(PAGE - 1), 1), EFI_NOT_FOUND);
        CHECK_EQ(fw_free_pages(fw, fw->stack_top - PAGE, 1), EFI_NOT_FOUND);
        CHECK_EQ(fw_free_pages(fw, 0x4000000, 1), EFI_NOT_FOUND); /* ACPI's */
        CHECK_EQ(fw_free_pages(fw, 0x1000, 1), EFI_NOT_FOUND);    /* below 64 KiB */
        CHECK_EQ(fw_free_pages(fw, 0x7f00000 & ~(PAGE - 1), 1), EFI_NOT_FOUND);
        CHECK_EQ(fw_allocate_pool(fw, EfiLoaderData, 100000, &pool), EFI_SUCCESS);
        CHECK_EQ(fw_free_pages(fw, pool, 1), EFI_NOT_FOUND);
        CHECK_EQ(firmware_allocate(fw, EfiBootServicesData, 2, 0x1000000, &own), EFI_SUCCESS);
        CHECK(own + 2 * PAGE <= 0x1000000);
        CHECK_EQ(fw_free_pages(fw, own, 2), EFI_NOT_FOUND);
        CHECK_EQ(take(AllocateAnyPages, 4, &a), EFI_SUCCESS);
        CHECK_EQ(fw_free_pages(fw, a + 1, 1), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_free_pages(fw, a, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_free_pages(fw, a, UINT64_MAX), EFI_NOT_FOUND);
        CHECK_EQ(fw_free_pages(fw, a, UINT64_MAX >> 12), EFI_NOT_FOUND);
        CHECK_EQ(fw_free_pages(fw, UINT64_MAX & ~(PAGE - 1), 1), EFI_NOT_FOUND);
        CHECK_EQ(fw_free_pages(fw, a, 4), EFI_SUCCESS);
        CHECK_EQ(fw_free_pages(fw, a, 4), EFI_NOT_FOUND);
        stop();
}

static void test_budget(void)
{
        struct firmware_setup setup = {.budget_bytes = 4u << 20};
        uint64_t used, a = 0, b = 0, before;
        uint8_t byte;

        REQUIRE(start(&setup));
        used = ram_committed_bytes(fw->ram);
        CHECK_EQ(opened_bytes, used);
        before = memory_map_key(fw);
        CHECK_EQ(take(AllocateAnyPages, 1025, &a), EFI_OUT_OF_RESOURCES);
        CHECK(strstr(traced, "budget"));
        CHECK_EQ(memory_map_key(fw), before);
        CHECK_EQ(ram_committed_bytes(fw->ram), used);
        CHECK_EQ(take(AllocateAnyPages, 512, &a), EFI_SUCCESS);
        CHECK(ram_put_u8(fw->ram, a, 0x55));
        CHECK_EQ(take(AllocateAnyPages, 512, &b), EFI_OUT_OF_RESOURCES);
        CHECK_EQ(fw_free_pages(fw, a, 512), EFI_SUCCESS);
        CHECK_EQ(ram_committed_bytes(fw->ram), used);
        CHECK_EQ(opened_bytes, used);
        CHECK(!ram_get_u8(fw->ram, a, &byte));
        b = a;
        CHECK_EQ(take(AllocateAddress, 512, &b), EFI_SUCCESS);
        CHECK(ram_get_u8(fw->ram, b, &byte) && byte == 0); /* what was in it is gone */
        stop();
}

static void test_back_end_fails(void)
{
        struct firmware_setup setup = {0};
        uint64_t used, a = 0;

        REQUIRE(start(&setup));
        used = ram_committed_bytes(fw->ram);
        open_error = -EIO;
        CHECK_EQ(take(AllocateAnyPages, 3, &a), EFI_OUT_OF_RESOURCES);
        CHECK_EQ(ram_committed_bytes(fw->ram), used);
        open_error = 0;
        CHECK_EQ(take(AllocateAnyPages, 3, &a), EFI_SUCCESS);
        close_error = -EIO; /* a page that stays open where others believe it free: the end */
        (void)fw_free_pages(fw, a, 3);
        CHECK(fw->ended);
        CHECK_EQ(fw->end.kind, FIRMWARE_STOPPED);
        close_error = 0;
        stop();
}

static void test_bad_maps(void)
{
        const struct {
                struct fw_memory_range rows[2];
                const char *what;
        } twins[] = {
                        {{{0x100000, 0x200000, 7}, {0x1ff000, 0x300000, 7}}, "overlap"},
                        {{{0x100000, 0x200000, 7}, {0x100000, 0x200000, 7}}, "overlap"},
                        {{{0x100000, 0x200000, 7}, {0x300000, 0x300000, 7}}, "bad range"},
                        {{{0x100000, 0x200000, 7}, {0x400000, 0x300000, 7}}, "bad range"},
                        {{{0x100000, 0x200000, 7}, {0x300800, 0x400000, 7}}, "bad range"},
                        {{{0x100000, 0x200000, 7}, {0x300000, 0x400001, 7}}, "bad range"},
                        {{{0x100000, 0x200000, 0}, {0x300000, 0x400000, 9}}, "no conventional"},
                        {{{0x1000, 0x2000, 7}, {0x300000, 0x400000, 9}}, "no conventional"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
                struct firmware_setup setup = {.memory = twins[i].rows, .n_memory = 2};
                _cleanup_free_ struct ram_range *ranges = NULL;
                struct error error = {0};
                size_t n;

                CHECK_EQ(memory_ram_ranges(&setup, &ranges, &n, &error), -EINVAL);
                CHECK(strstr(error.text, twins[i].what));
        }
}

static void test_contents(void)
{
        static const uint8_t bytes[] = "_SM3_ and what follows";
        const struct fw_contents contents[] = {
                        {0xf0010, SPAN(bytes, sizeof(bytes))},   /* outside of all rows */
                        {0x4000ff8, SPAN(bytes, sizeof(bytes))}, /* in ACPI memory, over a page's
                                                                    end */
                        {0x200010, SPAN(bytes, sizeof(bytes))},  /* in RAM */
                        {0x200800, SPAN(bytes, sizeof(bytes))},  /* the same page again */
                        {0x100, SPAN(bytes, sizeof(bytes))},     /* can't be had: left out */
                        {UINT64_MAX - 4, SPAN(bytes, sizeof(bytes))},
        };
        struct firmware_setup setup = {.contents = contents, .n_contents = ARRAY_SIZE(contents)};
        _cleanup_free_ struct fw_memory_range *allocated = NULL;
        uint8_t seen[sizeof(bytes)];
        uint64_t a = 0x200000;
        size_t n;

        REQUIRE(start(&setup));
        for (size_t i = 0; i < 4; i++) {
                CHECK(ram_read(fw->ram, contents[i].address, seen, sizeof(seen)));
                CHECK(memcmp(seen, bytes, sizeof(seen)) == 0);
        }
        CHECK_EQ(row_at(0x200010).type, EfiReservedMemoryType);
        CHECK_EQ(row_at(0x201000).type, EfiConventionalMemory);
        CHECK_EQ(row_at(0x4000ff8).type, EfiACPIReclaimMemory);
        CHECK_EQ(take(AllocateAddress, 1, &a), EFI_NOT_FOUND);
        CHECK_EQ(fw_free_pages(fw, 0x200000, 1), EFI_NOT_FOUND);
        REQUIRE(firmware_allocations(fw, &allocated, &n) == 0);
        for (size_t i = 0; i < n; i++)
                CHECK(allocated[i].start >
                                0x4001000); /* copies of the machine's are never handed over */
        stop();
}

/* Thousands of random calls against a plain array of page owners. */
static void test_pages_against_model(void)
{
        enum { FIRST = 0x5000, PAGES = 0x400 };
        static uint32_t model[PAGES];
        struct firmware_setup setup = {.budget_bytes = 16u << 20};
        uint64_t seed = 1, used;

        REQUIRE(start(&setup));
        memset(model, 0, sizeof(model));
        used = ram_committed_bytes(fw->ram);
        for (int step = 0; step < 20000; step++) {
                uint64_t page, n, address, busy = 0, taken = 0;
                EFI_STATUS status;

                seed = seed * 6364136223846793005u + 1442695040888963407u;
                page = seed >> 33 & (PAGES - 1);
                n = 1 + (seed >> 50 & 15);
                address = (FIRST + page) * PAGE;
                for (uint64_t i = page; i < page + n; i++) {
                        busy += i >= PAGES || model[i];
                        taken += i < PAGES && model[i];
                }
                if (page + n > PAGES)
                        continue;
                if (seed >> 60 & 1) {
                        uint32_t type = seed >> 58 & 1 ? EfiLoaderCode : EfiLoaderData;

                        status = fw_allocate_pages(fw, AllocateAddress, type, n, &address);
                        CHECK_EQ(status, busy ? EFI_NOT_FOUND : EFI_SUCCESS);
                        for (uint64_t i = page; !busy && i < page + n; i++)
                                model[i] = type;
                        used += busy ? 0 : n * PAGE;
                } else {
                        status = fw_free_pages(fw, address, n);
                        CHECK_EQ(status, taken == n ? EFI_SUCCESS : EFI_NOT_FOUND);
                        for (uint64_t i = page; taken == n && i < page + n; i++)
                                model[i] = 0;
                        used -= taken == n ? n * PAGE : 0;
                }
                if (tap_failures)
                        break;
                CHECK_EQ(ram_committed_bytes(fw->ram), used);
                CHECK_EQ(opened_bytes, used);
        }
        for (uint64_t i = 0; i < PAGES; i++)
                CHECK_EQ(row_at((FIRST + i) * PAGE).type,
                                model[i] ? model[i] : EfiConventionalMemory);
        stop();
}

static void test_pool(void)
{
        struct firmware_setup setup = {0};
        uint64_t a, b, own, used;

        REQUIRE(start(&setup));
        used = ram_committed_bytes(fw->ram);
        CHECK_EQ(fw_allocate_pool(fw, EfiLoaderData, 24, &a), EFI_SUCCESS);
        CHECK_EQ(fw_allocate_pool(fw, EfiLoaderData, 24, &b), EFI_SUCCESS);
        CHECK(a != b && a % 8 == 0 && b % 8 == 0);
        CHECK_EQ(fw_free_pool(fw, 0), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_free_pool(fw, UINT64_MAX), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_free_pool(fw, a + 1), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_free_pool(fw, a + 32 * 5), EFI_INVALID_PARAMETER); /* a slot that nobody has */
        CHECK_EQ(fw_free_pool(fw, a), EFI_SUCCESS);
        CHECK_EQ(fw_free_pool(fw, a), EFI_INVALID_PARAMETER);
        CHECK_EQ(pool_allocate_own(fw, EfiBootServicesData, 24, &own), EFI_SUCCESS);
        CHECK_EQ(fw_free_pool(fw, own), EFI_INVALID_PARAMETER);
        CHECK_EQ(pool_free_own(fw, b), EFI_INVALID_PARAMETER);
        CHECK_EQ(pool_free_own(fw, own), EFI_SUCCESS);
        CHECK_EQ(fw_free_pool(fw, b), EFI_SUCCESS);
        CHECK_EQ(ram_committed_bytes(fw->ram), used);
        CHECK_EQ(fw_allocate_pool(fw, EfiLoaderData, 5000, &a), EFI_SUCCESS);
        CHECK_EQ(ram_committed_bytes(fw->ram), used + 2 * PAGE);
        CHECK_EQ(fw_free_pool(fw, a + PAGE), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_free_pool(fw, a), EFI_SUCCESS);
        CHECK_EQ(fw_allocate_pool(fw, 0x80000001, 8, &a), EFI_SUCCESS); /* an OS loader's type */
        CHECK_EQ(row_at(a).type, 0x80000001);
        CHECK_EQ(fw_free_pool(fw, a), EFI_SUCCESS);
        CHECK_EQ(fw_allocate_pool(fw, 0x10, 8, &a), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_allocate_pool(fw, EfiConventionalMemory, 8, &a), EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_allocate_pool(fw, EfiLoaderData, UINT64_MAX, &a), EFI_OUT_OF_RESOURCES);
        CHECK_EQ(fw_allocate_pool(fw, EfiLoaderData, UINT64_MAX - PAGE + 1, &a),
                        EFI_OUT_OF_RESOURCES);
        CHECK_EQ(ram_committed_bytes(fw->ram), used);
        stop();
}

/* Random sizes and types; no two blocks may ever touch. */
static void test_pool_against_model(void)
{
        enum { BLOCKS = 300 };
        static struct {
                uint64_t address, size;
        } model[BLOCKS];
        struct firmware_setup setup = {0};
        uint64_t seed = 7, used;

        REQUIRE(start(&setup));
        memset(model, 0, sizeof(model));
        used = ram_committed_bytes(fw->ram);
        for (int step = 0; step < 20000 && !tap_failures; step++) {
                static const uint32_t types[] = {
                                EfiLoaderData, EfiACPIReclaimMemory, EfiBootServicesData};
                size_t i;

                seed = seed * 6364136223846793005u + 1442695040888963407u;
                i = (seed >> 33) % BLOCKS;
                if (model[i].address) {
                        CHECK_EQ(fw_free_pool(fw, model[i].address), EFI_SUCCESS);
                        model[i].address = 0;
                        continue;
                }
                model[i].size = 1 + (seed >> 40) % (seed >> 62 ? 200 : 9000);
                CHECK_EQ(fw_allocate_pool(fw, types[(seed >> 20) % 3], model[i].size,
                                         &model[i].address),
                                EFI_SUCCESS);
                for (size_t k = 0; k < BLOCKS; k++)
                        if (k != i && model[k].address)
                                CHECK(model[i].address + model[i].size <= model[k].address ||
                                                model[k].address + model[k].size <=
                                                                model[i].address);
        }
        for (size_t i = 0; i < BLOCKS; i++)
                if (model[i].address)
                        CHECK_EQ(fw_free_pool(fw, model[i].address), EFI_SUCCESS);
        CHECK_EQ(ram_committed_bytes(fw->ram), used);
        stop();
}

static const struct tap_test tests[] = {
                {"where pages are put", test_places},
                {"Any never goes below 1 MiB", test_any_never_below_1_mib},
                {"the memory map", test_map},
                {"pages that aren't the payload's", test_foreign_pages},
                {"the budget, and that freed memory is given back", test_budget},
                {"a vCPU that fails", test_back_end_fails},
                {"maps that are refused", test_bad_maps},
                {"the machine's tables in guest memory", test_contents},
                {"pages against a model", test_pages_against_model},
                {"pool", test_pool},
                {"pool against a model", test_pool_against_model},
};
TAP_MAIN(tests)
