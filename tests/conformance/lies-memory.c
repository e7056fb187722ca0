/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lies about memory, the memory map and ExitBootServices. */
#include "tests/conformance/liar.h"

static uint8_t map[32768];

static uint64_t map_key(void)
{
        uint64_t size = sizeof(map), key = 0, descriptor;
        uint32_t version;

        CHECK_EQ(bs->get_memory_map(&size, map, &key, &descriptor, &version), SUCCESS);
        return key;
}

static void double_free(void)
{
        uint8_t *block, *other, *page = pages(2);

        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 100, (void **)&block), SUCCESS);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 100, (void **)&other), SUCCESS);
        CHECK_EQ(bs->free_pool(block + 8), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pool(block + 1), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pool(block - 8), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pool(block), SUCCESS);
        CHECK_EQ(bs->free_pool(block), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pool(page), INVALID_PARAMETER);                    /* pages aren't pool */
        CHECK_EQ(bs->free_pages((uint64_t)other & ~0xfffull, 1), NOT_FOUND); /* nor pool pages */
        CHECK_EQ(bs->free_pool(other), SUCCESS);
        CHECK_EQ(bs->free_pages((uint64_t)page, 2), SUCCESS);
        CHECK_EQ(bs->free_pages((uint64_t)page, 2), NOT_FOUND);
        CHECK_EQ(bs->free_pages((uint64_t)page + 4096, 1), NOT_FOUND);
}

/* What belongs to the firmware can't be given back by the payload. */
static void free_foreign(void)
{
        struct loaded_image *image = loaded_image_of(self);
        void *foreign[] = {st, bs, st->rt, st->tables, image, image->base, image->load_options,
                        image->file_path, st->con_out, tcg2, __builtin_frame_address(0),
                        st->firmware_vendor, NULL, self, (void *)~0ull};

        for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
                CHECK_EQ(bs->free_pool(foreign[i]), INVALID_PARAMETER);
                CHECK(bs->free_pages((uint64_t)foreign[i] & ~0xfffull, 1) != SUCCESS);
        }
}

static void address_over_live(void)
{
        struct loaded_image *image = loaded_image_of(self);
        uint64_t live[] = {(uint64_t)image->base, (uint64_t)st & ~0xfffull,
                        (uint64_t)__builtin_frame_address(0) & ~0xfffull, (uint64_t)pages(1), 0,
                        0xfffffffffffff000, 0x7ffffffff000};

        for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
                uint64_t at = live[i];

                CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_DATA, 1, &at), NOT_FOUND);
                CHECK_EQ(at, live[i]);
                at = live[i] - 4096; /* into it from below */
                if (live[i])
                        CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_DATA, 1ull << 32, &at),
                                        NOT_FOUND);
        }
}

static void page_counts(void)
{
        static const uint64_t counts[] = {
                        1ull << 40, 1ull << 51, 1ull << 52, (1ull << 52) + 1, ~0ull};
        uint64_t at;

        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                at = ~0ull;
                CHECK_EQ(bs->allocate_pages(MAX_ADDRESS, LOADER_DATA, counts[i], &at),
                                OUT_OF_RESOURCES);
                CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, counts[i], &at),
                                OUT_OF_RESOURCES);
                CHECK(bs->free_pages((uint64_t)st & ~0xfffull, counts[i]) != SUCCESS);
        }
        at = 0;
        CHECK(bs->allocate_pages(ANY_PAGES, LOADER_DATA, 0, &at) != SUCCESS);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, ~0ull, (void **)&at), OUT_OF_RESOURCES);
        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 1ull << 47, (void **)&at), OUT_OF_RESOURCES);
}

static void memory_types(void)
{
        static const int wrong[] = {CONVENTIONAL, 14, 15, 16, 0x6fffffff};
        uint64_t at = 0;
        void *block;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                CHECK_EQ(bs->allocate_pages(ANY_PAGES, wrong[i], 1, &at), INVALID_PARAMETER);
                CHECK_EQ(bs->allocate_pool(wrong[i], 8, &block), INVALID_PARAMETER);
        }
        CHECK_EQ(bs->allocate_pages(3, LOADER_DATA, 1, &at), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pages(-1, LOADER_DATA, 1, &at), INVALID_PARAMETER);
}

static void wild_pointers(void)
{
        uint64_t size = sizeof(map), key, descriptor;
        uint32_t version;
        void *wild[] = {NULL, (void *)8, (void *)0x7ffffffff000, (void *)0xffffffff80000000,
                        (void *)~0ull};

        for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
                CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, 1, wild[i]), INVALID_PARAMETER);
                CHECK_EQ(bs->allocate_pool(LOADER_DATA, 8, wild[i]), INVALID_PARAMETER);
                CHECK_EQ(bs->free_pool(wild[i]), INVALID_PARAMETER);
                CHECK_EQ(bs->get_memory_map(wild[i], map, &key, &descriptor, &version),
                                INVALID_PARAMETER);
                size = sizeof(map);
                CHECK_EQ(bs->get_memory_map(&size, wild[i], &key, &descriptor, &version),
                                INVALID_PARAMETER);
                CHECK_EQ(bs->calculate_crc32(wild[i], 8, &version), INVALID_PARAMETER);
                CHECK_EQ(bs->calculate_crc32(map, 8, wild[i]), INVALID_PARAMETER);
                CHECK_EQ(bs->get_next_monotonic_count(wild[i]), INVALID_PARAMETER);
                CHECK_EQ(bs->install_configuration_table(wild[i], map), INVALID_PARAMETER);
        }
        CHECK_EQ(bs->calculate_crc32(map, ~0ull, &version), INVALID_PARAMETER);
}

/* Refused, and refused again, until it is the right one. */
static void stale_key(void)
{
        uint64_t key = map_key();
        void *block;

        CHECK_EQ(bs->allocate_pool(LOADER_DATA, 8, &block), SUCCESS);
        CHECK_EQ(bs->exit_boot_services(self, key), INVALID_PARAMETER);
        CHECK_EQ(bs->exit_boot_services(self, 0), INVALID_PARAMETER);
        CHECK_EQ(bs->exit_boot_services(self, ~0ull), INVALID_PARAMETER);
        CHECK_EQ(bs->free_pool(block), SUCCESS);
        CHECK_EQ(bs->exit_boot_services(self, key), INVALID_PARAMETER); /* the same map again */
        CHECK_EQ(bs->exit_boot_services(NULL, map_key()), INVALID_PARAMETER);
        CHECK_EQ(bs->exit_boot_services(st, map_key()), INVALID_PARAMETER);
}

static struct boot_services *kept;

static void exit_twice(void)
{
        uint64_t key;

        kept = bs;
        key = map_key();
        CHECK_EQ(bs->exit_boot_services(self, key), SUCCESS);
        CHECK_EQ(st->bs, NULL);
        kept->exit_boot_services(self, key);
}

static void allocate_after_exit(void)
{
        void *block;

        kept = bs;
        CHECK_EQ(leave_boot_services(), SUCCESS);
        kept->allocate_pool(LOADER_DATA, 8, &block);
}

static void print_after_exit(void)
{
        struct text_output *out = st->con_out;

        CHECK_EQ(leave_boot_services(), SUCCESS);
        out->output_string(out, u"late");
}

static void return_after_exit(void)
{
        CHECK_EQ(leave_boot_services(), SUCCESS);
        __asm__ volatile("ud2");
}

/* ExitBootServices out of its own notification. */
static status inner = 99;

static void exit_again(event e, void *context)
{
        (void)e, (void)context;
        if (inner != 99)
                return;
        inner = NOT_READY;
        inner = bs->exit_boot_services(self, map_key());
}

static void exit_within_exit(void)
{
        event e;

        CHECK_EQ(bs->create_event(EVT_SIGNAL_EBS, TPL_NOTIFY, exit_again, NULL, &e), SUCCESS);
        CHECK_EQ(bs->exit_boot_services(self, map_key()), INVALID_PARAMETER);
        CHECK_EQ(inner, SUCCESS);
        CHECK_EQ(st->bs, NULL);
}

/* The map changes while it is being left. */
static void allocate_on_exit(event e, void *context)
{
        (void)e, (void)context;
        CHECK(pages(1));
}

static void change_on_exit(void)
{
        event e;

        CHECK_EQ(bs->create_event(EVT_SIGNAL_EBS, TPL_NOTIFY, allocate_on_exit, NULL, &e), SUCCESS);
        CHECK_EQ(leave_boot_services(), SUCCESS);
}

/* Everything that there is, in pieces: mkexec's own memory has its bounds, too. */
static void exhaust(void)
{
        uint64_t blocks = 0, at = 0;
        void *block;

        while (blocks < 20000 && bs->allocate_pool(LOADER_DATA, 1, &block) == SUCCESS)
                blocks++;
        CHECK(blocks > 1000);
        while (bs->allocate_pages(ANY_PAGES, LOADER_DATA, 4096, &at) == SUCCESS)
                ;
        while (bs->allocate_pages(ANY_PAGES, LOADER_DATA, 1, &at) == SUCCESS)
                ;
        CHECK_EQ(bs->allocate_pages(ANY_PAGES, LOADER_DATA, 1, &at), OUT_OF_RESOURCES);
}

static void copy_outside(void)
{
        bs->copy_mem((void *)0x7ffffffff000, map, 16);
}

static void set_outside(void)
{
        bs->set_mem(map, ~0ull, 0);
}

static void stack_outside(void)
{
        __asm__ volatile(
                        "mov %0, %%rax\n\tmov $0x7ffffffff000, %%rsp\n\tjmp *%%rax" ::"r"(bs->stall)
                        : "rax");
}

/* The tables that the firmware calls its own are in the payload's memory. */
static void overwrite_tables(void)
{
        bs->set_mem(st->tables, 24 * st->n_tables, 0xff);
        st->n_tables = ~0ull;
        bs->set_mem(st->rt, 136, 0);
        st->header.signature = 0;
}

static void call_null(void)
{
        bs->stall = NULL;
        bs->stall(1);
}

const struct lie memory_lies[] = {
                {"double-free", double_free},
                {"free-foreign", free_foreign},
                {"address-over-live", address_over_live},
                {"page-counts", page_counts},
                {"memory-types", memory_types},
                {"wild-pointers", wild_pointers},
                {"stale-key", stale_key},
                {"exit-twice", exit_twice},
                {"allocate-after-exit", allocate_after_exit},
                {"print-after-exit", print_after_exit},
                {"fault-after-exit", return_after_exit},
                {"exit-within-exit", exit_within_exit},
                {"change-on-exit", change_on_exit},
                {"exhaust-memory", exhaust},
                {"copy-outside", copy_outside},
                {"set-outside", set_outside},
                {"stack-outside", stack_outside},
                {"overwrite-tables", overwrite_tables},
                {"call-null", call_null},
                {0},
};
