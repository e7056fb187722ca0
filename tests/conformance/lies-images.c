/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lies to the image services: PE files that were tampered with, and images that aren't where the
 * firmware left them. */
#include "tests/conformance/liar.h"

static uint8_t *child;
static uint64_t child_size;
static uint32_t pe;

static void read_image(const char16 *name)
{
        child = read_file(name, &child_size);
        CHECK(child);
        pe = *(uint32_t *)(child + 60);
}

static void read_child(void)
{
        read_image(u"\\child.efi");
}

static uint8_t *section(uint64_t n)
{
        return child + pe + 24 + *(uint16_t *)(child + pe + 20) + 40 * n;
}

static status load(handle *h)
{
        *h = NULL;
        return bs->load_image(false, self, NULL, child, child_size, h);
}

/* One field of the file at a time is replaced; what the answer must be stands beside it. Offsets:
 * of the PE signature, the optional header 24 behind it, data directories 112 behind that. */
enum base { FILE_START, PE_START, SECTION };

static const struct change {
        enum base base;
        uint32_t offset;
        uint8_t bytes;
        uint32_t value;
        status answer;
} changes[] = {
                {FILE_START, 0, 2, 0x5a56, LOAD_ERROR},      /* "VZ": a TE image */
                {FILE_START, 60, 4, 0xfffffff0, LOAD_ERROR}, /* the PE header far outside */
                {FILE_START, 60, 4, 2, LOAD_ERROR}, {PE_START, 0, 4, 0x4550 + 1, LOAD_ERROR},
                {PE_START, 4, 2, 0x014c, UNSUPPORTED}, {PE_START, 4, 2, 0xaa64, UNSUPPORTED},
                {PE_START, 6, 2, 0xffff, LOAD_ERROR}, /* NumberOfSections */
                {PE_START, 20, 2, 0, LOAD_ERROR},     /* SizeOfOptionalHeader */
                {PE_START, 20, 2, 0xffff, LOAD_ERROR},
                {PE_START, 24, 2, 0x10b, UNSUPPORTED},          /* PE32 */
                {PE_START, 24, 2, 0x107, LOAD_ERROR},           /* a ROM image */
                {PE_START, 24 + 16, 4, 0xffffff00, LOAD_ERROR}, /* the entry point */
                {PE_START, 24 + 32, 4, 0, LOAD_ERROR},          /* SectionAlignment */
                {PE_START, 24 + 32, 4, 3, LOAD_ERROR},
                {PE_START, 24 + 32, 4, 0x80000000, LOAD_ERROR},
                {PE_START, 24 + 56, 4, 0, LOAD_ERROR}, /* SizeOfImage */
                {PE_START, 24 + 56, 4, 0x200, LOAD_ERROR},
                {PE_START, 24 + 56, 4, 0xfffff000, OUT_OF_RESOURCES},
                {PE_START, 24 + 60, 4, 0xfffff000, LOAD_ERROR}, /* SizeOfHeaders */
                {PE_START, 24 + 60, 4, 8, LOAD_ERROR},
                {PE_START, 24 + 68, 2, 12, UNSUPPORTED}, /* a runtime driver */
                {PE_START, 24 + 68, 2, 1, UNSUPPORTED},
                {PE_START, 24 + 108, 4, 0xffffffff, LOAD_ERROR},      /* NumberOfRvaAndSizes */
                {PE_START, 24 + 112 + 40, 4, 0xfffff000, LOAD_ERROR}, /* the relocations */
                {PE_START, 24 + 112 + 44, 4, 0x7fffffff, LOAD_ERROR},
                {SECTION, 8, 4, 0xffffffff, LOAD_ERROR},  /* VirtualSize */
                {SECTION, 12, 4, 0xfffff000, LOAD_ERROR}, /* VirtualAddress: negative */
                {SECTION, 12, 4, 0x80001000, LOAD_ERROR},
                {SECTION, 12, 4, 0, LOAD_ERROR},          /* over the headers */
                {SECTION, 16, 4, 0xffffffff, LOAD_ERROR}, /* SizeOfRawData */
                {SECTION, 20, 4, 0xfffffff0, LOAD_ERROR}, /* PointerToRawData */
                {SECTION + 1, 12, 4, 0x1000, LOAD_ERROR}, /* the second over the first */
};

static uint8_t *place_of(const struct change *c)
{
        if (c->base == FILE_START)
                return child + c->offset;
        if (c->base == PE_START)
                return child + pe + c->offset;
        return section(c->base - SECTION) + c->offset;
}

static void tampered(void)
{
        handle h;

        read_child();
        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                uint8_t *at = place_of(&changes[i]), was[4];
                status got;

                bs->copy_mem(was, at, 4);
                bs->copy_mem(at, (void *)&changes[i].value, changes[i].bytes);
                got = load(&h);
                if (got != changes[i].answer)
                        CHECK_EQ(i, ~0ull); /* which of them */
                CHECK_EQ(got, changes[i].answer);
                CHECK_EQ(h, NULL);
                bs->copy_mem(at, was, 4);
        }
        CHECK_EQ(load(&h), SUCCESS);
        CHECK_EQ(bs->unload_image(h), SUCCESS);
}

/* Its end is at each byte of the headers, and somewhere in the sections. */
static void cut_short(void)
{
        uint64_t whole = 0;
        handle h;

        read_child();
        for (uint16_t i = 0; i < *(uint16_t *)(child + pe + 6); i++) {
                uint64_t end = *(uint32_t *)(section(i) + 16) + *(uint32_t *)(section(i) + 20);

                whole = end > whole ? end : whole;
        }
        for (child_size = 1; child_size < 0x300; child_size++)
                CHECK(load(&h) != SUCCESS && !h);
        for (child_size = 0x300; child_size < whole; child_size += 509)
                CHECK_EQ(load(&h), LOAD_ERROR);
}

/* The base relocations themselves: the first block's page, size, first entry. */
static void relocations(void)
{
        static const struct {
                uint32_t offset, bytes, value;
        } rows[] = {{0, 4, 0xfffff000}, {0, 4, 0x7ffff000}, {4, 4, 0xffffffff}, {4, 4, 4},
                        {4, 4, 9}, {8, 2, 0x4000}, {8, 2, 0xf000}};
        uint8_t *table = NULL;
        uint32_t address;
        handle h;

        read_image(u"\\liar.efi"); /* which has pointers, and so relocations */
        address = *(uint32_t *)(child + pe + 24 + 112 + 40);
        for (uint16_t i = 0; i < *(uint16_t *)(child + pe + 6); i++)
                if (*(uint32_t *)(section(i) + 12) == address)
                        table = child + *(uint32_t *)(section(i) + 20);
        CHECK(table);
        for (size_t i = 0; table && i < sizeof(rows) / sizeof(rows[0]); i++) {
                uint8_t was[4];

                bs->copy_mem(was, table + rows[i].offset, 4);
                bs->copy_mem(table + rows[i].offset, (void *)&rows[i].value, rows[i].bytes);
                CHECK_EQ(load(&h), LOAD_ERROR);
                bs->copy_mem(table + rows[i].offset, was, 4);
        }
}

/* No sections at all, and an entry point in the headers. */
static void no_sections(void)
{
        handle h;

        read_child();
        *(uint16_t *)(child + pe + 6) = 0;
        *(uint32_t *)(child + pe + 24 + 112 + 40) = 0; /* relocations would be in one */
        *(uint32_t *)(child + pe + 24 + 112 + 44) = 0;
        CHECK_EQ(load(&h), LOAD_ERROR);
        *(uint32_t *)(child + pe + 24 + 16) = 64;
        CHECK_EQ(load(&h), LOAD_ERROR);
        *(uint32_t *)(child + pe + 24 + 16) = 0;
        CHECK_EQ(load(&h), LOAD_ERROR);
}

static void wild_sources(void)
{
        handle h = NULL;

        read_child();
        CHECK_EQ(bs->load_image(false, self, NULL, (void *)0x10, 4096, &h), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, NULL, child, ~0ull, &h), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, NULL, (void *)~0xfffull, 0x2000, &h),
                        INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, (void *)0x10, NULL, 0, &h), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, st, NULL, child, child_size, &h), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, NULL, child, child_size, (void *)0x10),
                        INVALID_PARAMETER);
        CHECK_EQ(h, NULL);
}

/* Each is measured, too: the limit of images comes first. */
static void too_many_images(void)
{
        static handle handles[2000];
        int n = 0;

        read_child();
        while (n < 2000 && load(&handles[n]) == SUCCESS)
                n++;
        CHECK(n > 100 && n < 1100);
        while (n > 0)
                CHECK_EQ(bs->unload_image(handles[--n]), SUCCESS);
}

/* ---- Loaded Image, overwritten ---- */

static void lying_loaded_image(void)
{
        struct loaded_image *image, *own = loaded_image_of(self);
        handle h;

        read_child();
        CHECK_EQ(load(&h), SUCCESS);
        image = loaded_image_of(h);
        bs->set_mem(&image->base, 16, 0xff);
        image->parent = st;
        image->revision = 0;
        CHECK_EQ(bs->unload_image(h), SUCCESS);
        own->base = (void *)0x10;
        own->size = ~0ull;
        own->device = own;
        own->file_path = (void *)8;
        CHECK_EQ(bs->unload_image(self), UNSUPPORTED);
}

static int unloads;

/* Started and returned, which only a driver outlives. */
static handle start_driver(void)
{
        static const char16 options[] = u"return";
        handle h;

        read_child();
        child[pe + 24 + 68] = 11;
        CHECK_EQ(load(&h), SUCCESS);
        loaded_image_of(h)->load_options = (char16 *)options;
        CHECK_EQ(bs->start_image(h, NULL, NULL), SUCCESS);
        return h;
}

static status unload_again(handle h)
{
        unloads++;
        CHECK_EQ(bs->unload_image(h), INVALID_PARAMETER);
        CHECK_EQ(bs->start_image(h, NULL, NULL), INVALID_PARAMETER);
        return SUCCESS;
}

static void unload_within_unload(void)
{
        handle h = start_driver();

        loaded_image_of(h)->unload = unload_again;
        CHECK_EQ(bs->unload_image(h), SUCCESS);
        CHECK_EQ(unloads, 1);
        CHECK_EQ(bs->unload_image(h), INVALID_PARAMETER);
}

static void wild_unload(void)
{
        handle h = start_driver();

        loaded_image_of(h)->unload = (void *)0x10;
        bs->unload_image(h);
        CHECK(!"still here");
}

/* Its protocols are taken away, and it is used all the same. */
static void without_protocols(void)
{
        static const struct guid image = GUID_LOADED_IMAGE, path = GUID_LOADED_IMAGE_PATH;
        void *interface;
        handle h;

        read_child();
        CHECK_EQ(load(&h), SUCCESS);
        CHECK_EQ(bs->handle_protocol(h, &image, &interface), SUCCESS);
        CHECK_EQ(bs->uninstall_protocol(h, &image, interface), SUCCESS);
        CHECK_EQ(bs->handle_protocol(h, &path, &interface), SUCCESS);
        CHECK_EQ(bs->uninstall_protocol(h, &path, interface), SUCCESS);
        bs->start_image(h, NULL, NULL); /* and the child looks for its Loaded Image */
        CHECK(!"still here");
}

static void exit_of_others(void)
{
        handle h;

        read_child();
        CHECK_EQ(bs->exit(st, SUCCESS, 0, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->exit(NULL, SUCCESS, 0, NULL), INVALID_PARAMETER);
        CHECK_EQ(load(&h), SUCCESS);
        CHECK_EQ(bs->exit(h, SUCCESS, ~0ull, (void *)0x10), SUCCESS); /* unloaded */
        CHECK_EQ(bs->start_image(h, NULL, NULL), INVALID_PARAMETER);
}

static void overwritten_code(void)
{
        struct loaded_image *image;
        handle h;

        read_child();
        CHECK_EQ(load(&h), SUCCESS);
        image = loaded_image_of(h);
        bs->set_mem(image->base, image->size, 0xcc); /* what was measured isn't what runs */
        bs->start_image(h, NULL, NULL);
        CHECK(!"still here");
}

const struct lie image_lies[] = {
                {"tampered-images", tampered},
                {"images-cut-short", cut_short},
                {"relocations-outside", relocations},
                {"no-sections", no_sections},
                {"wild-sources", wild_sources},
                {"too-many-images", too_many_images},
                {"lying-loaded-image", lying_loaded_image},
                {"unload-within-unload", unload_within_unload},
                {"wild-unload", wild_unload},
                {"without-protocols", without_protocols},
                {"exit-of-others", exit_of_others},
                {"overwritten-code", overwritten_code},
                {0},
};
