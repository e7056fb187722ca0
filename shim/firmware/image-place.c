/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts a PE file into guest memory: pages, headers, sections, base relocations (Microsoft PE
 * Format; UEFI 2.10, 2.1.1). Everything is checked against SizeOfImage again where it is written,
 * whatever the headers' check said. Called by image.c. */
#include "base/cleanup.h"
#include "shim/firmware/image.h"
#include "shim/firmware/memory.h"

#define MAX_ALIGN_BYTES (64u << 20)

enum { IMAGE_REL_BASED_ABSOLUTE = 0, IMAGE_REL_BASED_HIGHLOW = 3, IMAGE_REL_BASED_DIR64 = 10 };

static const char *machine_name(uint16_t machine)
{
        static const struct {
                uint16_t machine;
                const char *name;
        } rows[] = {
                        {IMAGE_FILE_MACHINE_I386, "i386"},
                        {IMAGE_FILE_MACHINE_AARCH64, "aarch64"},
                        {0x01c2, "arm"},
                        {0x5064, "riscv64"},
                        {0x6264, "loongarch64"},
                        {0x0ebc, "EFI byte code"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].machine == machine)
                        return rows[i].name;
        return "unknown";
}

EFI_STATUS image_check(struct firmware *fw, const struct pe *pe)
{
        struct error error = {0};

        if (pe->machine != IMAGE_FILE_MACHINE_X64) {
                image_refuse(fw, "machine type 0x%04x (%s), not x86-64", pe->machine,
                                machine_name(pe->machine));
                return EFI_UNSUPPORTED;
        }
        if (!pe->pe32_plus) {
                image_refuse(fw, "x86-64 with a 32-bit optional header");
                return EFI_UNSUPPORTED;
        }
        if (pe->subsystem != IMAGE_SUBSYSTEM_EFI_APPLICATION &&
                        pe->subsystem != IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER) {
                /* A runtime driver would have to live on in the second kernel, where nothing of
                 * this firmware is left. */
                image_refuse(fw, "subsystem %u is no application or boot service driver",
                                pe->subsystem);
                return EFI_UNSUPPORTED;
        }
        if (pe_check_layout(pe, &error) < 0) {
                image_refuse(fw, "%s", error.text);
                return EFI_LOAD_ERROR;
        }
        if (pe->section_alignment > MAX_ALIGN_BYTES) {
                image_refuse(fw, "sections aligned to 0x%x bytes", pe->section_alignment);
                return EFI_LOAD_ERROR;
        }
        return EFI_SUCCESS;
}

static EFI_STATUS take_pages(struct firmware *fw, const struct pe *pe, struct image_place *p)
{
        struct memory_request request = {
                        .allocate_type = AllocateAnyPages,
                        .memory_type = p->code_type,
                        .owner = MEMORY_FIRMWARE,
                        .n_pages = p->n_pages,
                        .align_bytes = pe->section_alignment,
        };

        if (pe->characteristics & IMAGE_FILE_RELOCS_STRIPPED) {
                request.allocate_type = AllocateAddress;
                p->base = pe->image_base;
        }
        return memory_allocate(fw, &request, &p->base);
}

static bool copy_sections(struct firmware *fw, const struct pe *pe, const struct image_place *p)
{
        struct span headers;
        struct pe_section s;

        if (!span_sub(pe->file, 0, pe->size_of_headers, &headers) || headers.size > p->size ||
                        !ram_write(fw->ram, p->base, headers.data, headers.size))
                return false;
        for (unsigned i = 0; i < pe->n_sections; i++) {
                uint64_t bytes;

                if (!pe_section(pe, i, &s))
                        return false;
                /* What the section has more in memory than in the file is zero: the pages are new.
                 */
                bytes = s.raw.size;
                if (s.virtual_size && s.virtual_size < bytes)
                        bytes = s.virtual_size;
                if (s.virtual_address > p->size || bytes > p->size - s.virtual_address)
                        return false;
                if (!ram_write(fw->ram, p->base + s.virtual_address, s.raw.data, bytes))
                        return false;
        }
        return true;
}

static uint64_t get_le(const uint8_t *at, unsigned bytes)
{
        uint64_t value = 0;

        for (unsigned i = bytes; i-- > 0;)
                value = value << 8 | at[i];
        return value;
}

static void put_le(uint8_t *at, unsigned bytes, uint64_t value)
{
        for (unsigned i = 0; i < bytes; i++)
                at[i] = (uint8_t)(value >> 8 * i);
}

/* HIGHLOW in a 64-bit image is the low half of an address, as edk2 relocates it: Xen's images have
 * some in code that runs below 4 GiB. */
static bool relocate_one(uint8_t *image, uint64_t size, uint64_t rva, unsigned type, uint64_t delta)
{
        unsigned bytes = type == IMAGE_REL_BASED_DIR64 ? 8 : 4;

        if (type == IMAGE_REL_BASED_ABSOLUTE)
                return true; /* padding */
        if ((type != IMAGE_REL_BASED_DIR64 && type != IMAGE_REL_BASED_HIGHLOW) || rva > size ||
                        size - rva < bytes)
                return false;
        put_le(image + rva, bytes, get_le(image + rva, bytes) + delta);
        return true;
}

/* table: a copy, since a relocation may lie in the table itself. */
static bool relocate(uint8_t *image, uint64_t size, struct span table, uint64_t delta)
{
        struct cursor c = CURSOR(table);

        while (cursor_left(&c) >= 8) {
                struct span entries;
                struct cursor e;
                uint32_t page, bytes;
                uint16_t entry;

                if (!cursor_u32(&c, &page) || !cursor_u32(&c, &bytes))
                        return false;
                if (!page && !bytes)
                        return true; /* zero fill behind the last block, as some linkers leave it */
                if (bytes < 8 || bytes % 2 || !cursor_take(&c, bytes - 8, &entries))
                        return false;
                e = CURSOR(entries);
                while (cursor_u16(&e, &entry))
                        if (!relocate_one(image, size, (uint64_t)page + (entry & 0xfff),
                                            entry >> 12, delta))
                                return false;
        }
        return true;
}

static bool relocate_image(struct firmware *fw, const struct pe *pe, const struct image_place *p)
{
        uint64_t delta = p->base - pe->image_base;
        _cleanup_buf_ struct buf table = {0};
        struct span whole, directory;
        uint8_t *image;

        if (!delta || !pe->reloc.size)
                return true;
        if (!ram_view(fw->ram, p->base, p->size, &whole) ||
                        !span_sub(whole, pe->reloc.address, pe->reloc.size, &directory) ||
                        !ram_view_writable(fw->ram, p->base, p->size, &image))
                return false;
        buf_put_span(&table, directory);
        if (buf_failed(&table))
                return false;
        return relocate(image, p->size, buf_span(&table), delta);
}

EFI_STATUS image_place(struct firmware *fw, const struct pe *pe, struct image_place *ret)
{
        bool driver = pe->subsystem == IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER;
        struct image_place p = {
                        .size = pe->size_of_image,
                        .n_pages = ((uint64_t)pe->size_of_image + EFI_PAGE_SIZE - 1) >>
                                   EFI_PAGE_SHIFT,
                        .code_type = driver ? EfiBootServicesCode : EfiLoaderCode,
                        .data_type = driver ? EfiBootServicesData : EfiLoaderData,
        };
        EFI_STATUS status = take_pages(fw, pe, &p);

        if (efi_error(status)) {
                image_refuse(fw, "no place for 0x%llx bytes%s", (unsigned long long)p.size,
                                pe->characteristics & IMAGE_FILE_RELOCS_STRIPPED
                                                ? " at the address that it is linked for"
                                                : "");
                return EFI_OUT_OF_RESOURCES;
        }
        p.entry = p.base + pe->entry;
        if (pe->entry >= p.size || !copy_sections(fw, pe, &p) || !relocate_image(fw, pe, &p)) {
                image_refuse(fw, "a section or relocation lies outside the image");
                image_remove(fw, &p);
                return EFI_LOAD_ERROR;
        }
        *ret = p;
        return EFI_SUCCESS;
}

void image_remove(struct firmware *fw, const struct image_place *place)
{
        (void)memory_free(fw, place->base, place->n_pages, MEMORY_FIRMWARE);
}
