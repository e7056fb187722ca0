/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As little as can be loaded: measures a text and a file of its volume, sets a variable, makes a
 * boot_params page and leaves boot services as Linux's stub does. Small, so that a fault at each
 * point of a load can be tried. Its "kernel" is never started. */
#include "../conformance/guest.h"

#define PAGES         4u
#define LOADER_ACCESS 6u /* boot services, runtime */
#define E820_MAX      128u

struct system_table *st;
struct boot_services *bs;
handle self;

status efi_main(handle image, struct system_table *table);

static const struct guid measurer_protocol = {0x607f766c, 0x7455, 0x42be,
                                         {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}},
                         vendor_loader = {0x4a67b082, 0x0a4c, 0x41cf,
                                         {0xb6, 0xc7, 0x44, 0x0b, 0x29, 0xbb, 0x8c, 0x4f}};

struct measured {
        uint32_t size, header_size;
        uint16_t header_version;
        uint32_t pcr, type;
        uint8_t data[16];
} __attribute__((packed));

struct measurer {
        void *get_capability, *get_event_log;
        status (*hash_log_extend_event)(struct measurer *this, uint64_t flags, uint64_t data,
                        uint64_t size, struct measured *event);
};

static status measure(uint32_t pcr, uint32_t type, const void *bytes, uint64_t size)
{
        struct measured event = {sizeof(event), 14, 1, pcr, type, "fault injection"};
        struct measurer *tcg2;
        status s = bs->locate_protocol(&measurer_protocol, NULL, (void **)&tcg2);

        return s != SUCCESS ? s
                            : tcg2->hash_log_extend_event(tcg2, 0, (uint64_t)bytes, size, &event);
}

/* Not CopyMem: each call of a service is some stops of this process, and so some points. */
static void copy(volatile uint8_t *to, const void *from, uint64_t size)
{
        for (uint64_t i = 0; i < size; i++)
                to[i] = ((const uint8_t *)from)[i];
}

static void put(uint8_t *page, unsigned offset, uint64_t value, unsigned size)
{
        copy(page + offset, &value, size);
}

/* Documentation/arch/x86/zero-page.rst; RAM is what the memory map calls so. */
static void fill_e820(uint8_t *page, const uint8_t *map, uint64_t size, uint64_t step)
{
        unsigned n = 0;

        for (uint64_t at = 0; at + step <= size && n < E820_MAX; at += step) {
                const struct memory_descriptor *d = (const void *)(map + at);

                if (d->type == 0 || d->type > CONVENTIONAL || d->type == 5 || d->type == 6)
                        continue;
                put(page, 0x2d0 + 20 * n, d->physical_start, 8);
                put(page, 0x2d8 + 20 * n, d->n_pages * 4096, 8);
                put(page, 0x2e0 + 20 * n, 1, 4);
                n++;
        }
        put(page, 0x1e8, n, 1);
}

static status start_kernel(uint8_t *page)
{
        uint8_t *map = page + 4096, *command_line = page + 3 * 4096, *initrd = command_line + 256;
        uint64_t size = 2 * 4096, key, step;
        uint32_t version;
        status s;

        bs->set_mem(page, PAGES * 4096, 0);
        copy(command_line, "quiet", 6);
        copy(initrd, "an initrd", 9);
        s = measure(9, 6, initrd, 9);
        if (s == SUCCESS)
                s = bs->get_memory_map(&size, map, &key, &step, &version);
        if (s != SUCCESS)
                return s;
        copy(page + 0x1c0, "EL64", 4);
        put(page, 0x1c4, (uint64_t)st, 4);
        put(page, 0x1c8, step, 4);
        put(page, 0x1cc, version, 4);
        put(page, 0x1d0, (uint64_t)map, 4);
        put(page, 0x1d4, size, 4);
        put(page, 0x1d8, (uint64_t)st >> 32, 4);
        put(page, 0x1dc, (uint64_t)map >> 32, 4);
        put(page, 0x1ec, 2, 1); /* Secure Boot is off */
        put(page, 0x218, (uint64_t)initrd, 4);
        put(page, 0x21c, 9, 4);
        put(page, 0x0c0, (uint64_t)initrd >> 32, 4);
        put(page, 0x228, (uint64_t)command_line, 4);
        put(page, 0x0c8, (uint64_t)command_line >> 32, 4);
        fill_e820(page, map, size, step);
        s = bs->exit_boot_services(self, key);
        if (s == SUCCESS)
                __asm__ volatile("cli" : : "S"(page) : "memory");
        return s;
}

status efi_main(handle image, struct system_table *table)
{
        static const char16 value[] = u"a value";
        uint64_t page, size;
        status s;
        void *file;

        st = table;
        bs = table->bs;
        self = image;
        file = read_file(u"\\EFI\\extra", &size);
        if (!file)
                return NOT_FOUND;
        s = measure(12, 13, file, size);
        if (s == SUCCESS)
                s = measure(11, 13, "a section", 9);
        if (s == SUCCESS)
                s = bs->free_pool(file);
        if (s == SUCCESS)
                s = st->rt->set_variable(
                                u"StubInfo", &vendor_loader, LOADER_ACCESS, sizeof(value), value);
        if (s == SUCCESS)
                s = bs->allocate_pages(ANY_PAGES, LOADER_DATA, PAGES, &page);
        return s == SUCCESS ? start_kernel((uint8_t *)page) : s;
}
