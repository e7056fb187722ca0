/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the lie that the load options name, and if all its answers were right hands over, as a
 * kernel would: what mkexec then says of the run is test_lies.py's. */
#include "tests/conformance/liar.h"

struct system_table *st;
struct boot_services *bs;
handle self;
struct tcg2 *tcg2;

status efi_main(handle image, struct system_table *table);

static const struct lie *const tables[] = {tcg2_lies, command_lies, memory_lies, image_lies,
                protocol_lies, variable_lies, file_lies};

status measure(uint64_t flags, uint32_t pcr, uint32_t type, const void *data, uint32_t size)
{
        static uint8_t buffer[1 << 17];
        struct tcg2_event *event = (struct tcg2_event *)buffer;

        if (size > sizeof(buffer) - sizeof(*event))
                return ABORTED;
        *event = (struct tcg2_event){18 + size, 14, 1, pcr, type};
        bs->copy_mem(event->data, data, size);
        return tcg2->hash_log_extend_event(tcg2, flags, (uint64_t)data, size, event);
}

uint8_t *pages(uint64_t n)
{
        uint64_t address = 0;

        return bs->allocate_pages(ANY_PAGES, LOADER_DATA, n, &address) == SUCCESS
                               ? (uint8_t *)address
                               : NULL;
}

/* The firmware gives pages from above, so the lower end of the largest free range stays free. */
uint8_t *last_page(void)
{
        static uint8_t map[32768];
        uint64_t size = sizeof(map), key, step, most = 0, address = 0;
        uint32_t version;

        if (bs->get_memory_map(&size, map, &key, &step, &version) != SUCCESS)
                return NULL;
        for (uint64_t at = 0; at < size; at += step) {
                const struct memory_descriptor *d = (const void *)(map + at);

                if (d->type == CONVENTIONAL && d->n_pages > most)
                        most = d->n_pages, address = d->physical_start + 4096;
        }
        return bs->allocate_pages(ADDRESS, LOADER_DATA, 1, &address) == SUCCESS ? (uint8_t *)address
                                                                                : NULL;
}

static bool is_named(const char16 *wide, const char *name)
{
        while (*name && *wide == (char16)*name)
                wide++, name++;
        return !*name && !*wide;
}

static const struct lie *find(const char16 *name)
{
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                for (const struct lie *lie = tables[i]; lie->name; lie++)
                        if (is_named(name, lie->name))
                                return lie;
        return NULL;
}

status efi_main(handle image, struct system_table *table)
{
        static const struct guid g = GUID_TCG2;
        const struct loaded_image *own;
        const struct lie *lie;

        st = table;
        bs = table->bs;
        self = image;
        own = loaded_image_of(image);
        lie = own && own->load_options ? find(own->load_options) : NULL;
        tcg2 = protocol(&g);
        if (!lie || !tcg2)
                return LOAD_ERROR;
        tap_test(lie->name, lie->run);
        if (tap_failures())
                return ABORTED;
        if (table->bs && leave_boot_services() != SUCCESS) /* unless the lie left them */
                return NOT_READY;
        __asm__ volatile("cli");
        return SUCCESS;
}
