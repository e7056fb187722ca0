/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/pe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
        DOS_HEADER_BYTES = 64,
        DOS_LFANEW_OFFSET = 0x3c,
        FILE_HEADER_BYTES = 24, /* with the "PE\0\0" signature */
        SECTION_HEADER_BYTES = 40,
        DIRECTORY_ENTRY_BYTES = 8,
        OPTIONAL_HEADER_MAGIC_PE32 = 0x10b,
        OPTIONAL_HEADER_MAGIC_PE32_PLUS = 0x20b,
        OPTIONAL_CHECKSUM_OFFSET = 64, /* the same in both */
        MAX_SECTIONS = 96,             /* what Windows' loader takes; UKIs have about a dozen */
        DIRECTORY_SECURITY = 4,
        DIRECTORY_BASE_RELOCATION = 5,
};

/* The signature and COFF file header; leaves c at the optional header. */
static int parse_file_header(
                struct cursor *c, struct pe *pe, uint16_t *ret_optional_bytes, struct error *error)
{
        uint32_t signature, lfanew;
        uint16_t magic, n_sections;

        if (!cursor_u16(c, &magic) || magic != 0x5a4d)
                return error_set(error, EINVAL, "not a PE file: no MZ header");
        if (pe->file.size < DOS_HEADER_BYTES)
                return error_set(error, EINVAL, "not a PE file: shorter than its MZ header");
        c->offset = DOS_LFANEW_OFFSET;
        if (!cursor_u32(c, &lfanew) || lfanew > pe->file.size)
                return error_set(error, EINVAL, "PE header lies outside of the file");
        c->offset = lfanew;
        if (!cursor_u32(c, &signature) || signature != 0x00004550)
                return error_set(error, EINVAL, "not a PE file: no PE signature at offset 0x%x",
                                lfanew);
        if (!cursor_u16(c, &pe->machine) || !cursor_u16(c, &n_sections) ||
                        !cursor_u32(c, &pe->time_date_stamp) || !cursor_skip(c, 8) ||
                        !cursor_u16(c, ret_optional_bytes) || !cursor_u16(c, &pe->characteristics))
                return error_set(error, EINVAL, "PE file header is cut off");
        if (n_sections == 0)
                return error_set(error, EINVAL, "PE file has no sections");
        if (n_sections > MAX_SECTIONS)
                return error_set(error, EINVAL, "PE file has %u sections, more than %u", n_sections,
                                MAX_SECTIONS);
        pe->n_sections = n_sections;
        return 0;
}

/* ImageBase and what stands before it, which differ between PE32 and PE32+. */
static bool parse_standard_fields(struct cursor *c, struct pe *pe)
{
        uint32_t base32;

        /* linker version, SizeOfCode, SizeOfInitializedData, SizeOfUninitializedData; BaseOfCode,
         * and in PE32 BaseOfData */
        if (!cursor_skip(c, 14) || !cursor_u32(c, &pe->entry) ||
                        !cursor_skip(c, pe->pe32_plus ? 4 : 8))
                return false;
        if (pe->pe32_plus)
                return cursor_u64(c, &pe->image_base);
        if (!cursor_u32(c, &base32))
                return false;
        pe->image_base = base32;
        return true;
}

static int parse_directories(struct cursor *c, struct pe *pe, struct error *error)
{
        uint32_t n;

        if (!cursor_u32(c, &n))
                return error_set(error, EINVAL, "PE optional header is cut off");
        if (n > cursor_left(c) / DIRECTORY_ENTRY_BYTES)
                return error_set(error, EINVAL,
                                "PE file claims %u data directories, more than its header holds",
                                n);
        for (uint32_t i = 0; i < n; i++) {
                struct pe_directory d;
                size_t at = c->offset;

                if (!cursor_u32(c, &d.address) || !cursor_u32(c, &d.size))
                        return error_set(error, EINVAL, "PE data directories are cut off");
                if (i == DIRECTORY_SECURITY) {
                        pe->security = d;
                        pe->security_entry_offset = at;
                } else if (i == DIRECTORY_BASE_RELOCATION) {
                        pe->reloc = d;
                }
        }
        return 0;
}

/* c: the optional header's bytes only, but with offsets of the file. */
static int parse_optional_header(struct cursor *c, struct pe *pe, struct error *error)
{
        size_t start = c->offset;
        uint16_t magic;

        if (!cursor_u16(c, &magic))
                return error_set(error, EINVAL, "PE file has no optional header");
        if (magic != OPTIONAL_HEADER_MAGIC_PE32 && magic != OPTIONAL_HEADER_MAGIC_PE32_PLUS)
                return error_set(error, EINVAL, "PE optional header has unknown magic 0x%x", magic);
        pe->pe32_plus = magic == OPTIONAL_HEADER_MAGIC_PE32_PLUS;
        pe->checksum_offset = start + OPTIONAL_CHECKSUM_OFFSET;

        if (!parse_standard_fields(c, pe) || !cursor_u32(c, &pe->section_alignment) ||
                        !cursor_u32(c, &pe->file_alignment) ||
                        !cursor_skip(c, 4) /* OS version */ ||
                        !cursor_u16(c, &pe->major_image_version) ||
                        !cursor_skip(c, 2 + 4 + 4) /* its minor, subsystem version,
                                                      Win32VersionValue */
                        || !cursor_u32(c, &pe->size_of_image) ||
                        !cursor_u32(c, &pe->size_of_headers) || !cursor_skip(c, 4) /* CheckSum */ ||
                        !cursor_u16(c, &pe->subsystem) ||
                        !cursor_u16(c, &pe->dll_characteristics) ||
                        !cursor_skip(c, pe->pe32_plus ? 4 * 8 + 4
                                                      : 4 * 4 + 4) /* stack, heap, LoaderFlags */)
                return error_set(error, EINVAL, "PE optional header is cut off");
        return parse_directories(c, pe, error);
}

static int check_extents(const struct pe *pe, struct error *error)
{
        size_t size = pe->file.size;
        struct span ignored;

        if (pe->size_of_headers > size)
                return error_set(error, EINVAL, "PE SizeOfHeaders 0x%x is beyond the file's end",
                                pe->size_of_headers);
        if (pe->sections_offset + (size_t)pe->n_sections * SECTION_HEADER_BYTES >
                        pe->size_of_headers)
                return error_set(error, EINVAL, "PE section table is outside of SizeOfHeaders 0x%x",
                                pe->size_of_headers);
        if (pe->security.size > 0 &&
                        !span_sub(pe->file, pe->security.address, pe->security.size, &ignored))
                return error_set(error, EINVAL, "PE certificates lie outside of the file");
        for (unsigned i = 0; i < pe->n_sections; i++) {
                struct pe_section s;

                if (!pe_section(pe, i, &s))
                        return error_set(
                                        error, EINVAL, "PE section %u lies outside of the file", i);
        }
        return 0;
}

int pe_parse(struct span file, struct pe *ret, struct error *error)
{
        struct cursor c = CURSOR(file), optional;
        struct pe pe = {.file = file};
        uint16_t optional_bytes;
        int r;

        if (file.size >= 2 && file.data[0] == 'V' && file.data[1] == 'Z')
                return error_set(error, EINVAL, "a TE image, not a PE file");
        r = parse_file_header(&c, &pe, &optional_bytes, error);
        if (r < 0)
                return r;
        if (optional_bytes > cursor_left(&c))
                return error_set(error, EINVAL, "PE optional header is cut off");
        optional = CURSOR(SPAN(file.data, c.offset + optional_bytes));
        optional.offset = c.offset;
        pe.sections_offset = c.offset + optional_bytes;
        r = parse_optional_header(&optional, &pe, error);
        if (r < 0)
                return r;
        r = check_extents(&pe, error);
        if (r < 0)
                return r;
        *ret = pe;
        return 0;
}

bool pe_section(const struct pe *pe, unsigned i, struct pe_section *ret)
{
        struct pe_section s = {};
        struct cursor c = CURSOR(pe->file);

        if (i >= pe->n_sections)
                return false;
        c.offset = pe->sections_offset + (size_t)i * SECTION_HEADER_BYTES;
        if (!cursor_copy(&c, s.name, 8) || !cursor_u32(&c, &s.virtual_size) ||
                        !cursor_u32(&c, &s.virtual_address) || !cursor_u32(&c, &s.raw_size) ||
                        !cursor_u32(&c, &s.raw_offset) ||
                        !cursor_skip(&c, 12) /* COFF relocations and line numbers: not for images */
                        || !cursor_u32(&c, &s.characteristics))
                return false;
        if (s.raw_size > 0 && !span_sub(pe->file, s.raw_offset, s.raw_size, &s.raw))
                return false;
        *ret = s;
        return true;
}

bool pe_find_section(const struct pe *pe, const char *name, struct pe_section *ret)
{
        struct pe_section s;

        for (unsigned i = 0; pe_section(pe, i, &s); i++)
                if (strcmp(s.name, name) == 0) {
                        *ret = s;
                        return true;
                }
        return false;
}

/* Where a section lies in the loaded image. */
struct extent {
        uint64_t start, end; /* end exclusive */
        char name[9];
};

static int by_start(const void *a, const void *b)
{
        const struct extent *x = a, *y = b;

        if (x->start != y->start)
                return x->start < y->start ? -1 : 1;
        return (x->end > y->end) - (x->end < y->end);
}

static int check_sections(const struct pe *pe, struct error *error)
{
        struct extent extents[MAX_SECTIONS];
        struct pe_section s;
        size_t n = 0;

        for (unsigned i = 0; i < pe->n_sections && pe_section(pe, i, &s); i++) {
                struct extent *e = &extents[n];
                uint32_t size = s.virtual_size ? s.virtual_size : s.raw_size;

                if (size == 0)
                        continue;
                e->start = s.virtual_address;
                e->end = e->start + size;
                memcpy(e->name, s.name, sizeof(e->name));
                if (e->end > pe->size_of_image)
                        return error_set(error, EINVAL,
                                        "PE section %u ends at 0x%llx, beyond SizeOfImage 0x%x", i,
                                        (unsigned long long)e->end, pe->size_of_image);
                if (e->start < pe->size_of_headers)
                        return error_set(error, EINVAL,
                                        "PE section %u lies over the headers (address 0x%x)", i,
                                        s.virtual_address);
                n++;
        }
        if (n == 0)
                return error_set(error, EINVAL, "PE file has only empty sections");
        qsort(extents, n, sizeof(extents[0]), by_start);
        for (size_t i = 1; i < n; i++)
                if (extents[i].start < extents[i - 1].end)
                        return error_set(error, EINVAL,
                                        "PE sections overlap at address 0x%llx of the image",
                                        (unsigned long long)extents[i].start);
        return 0;
}

int pe_check_layout(const struct pe *pe, struct error *error)
{
        uint32_t alignment = pe->section_alignment;

        if (alignment == 0 || (alignment & (alignment - 1)) != 0)
                return error_set(error, EINVAL, "PE SectionAlignment 0x%x isn't a power of two",
                                alignment);
        if (pe->size_of_headers > pe->size_of_image)
                return error_set(error, EINVAL, "PE headers are larger than SizeOfImage 0x%x",
                                pe->size_of_image);
        if (pe->entry >= pe->size_of_image) /* 0: nothing to start, as in addons */
                return error_set(error, EINVAL, "PE entry point 0x%x is outside of the image",
                                pe->entry);
        if ((uint64_t)pe->reloc.address + pe->reloc.size > pe->size_of_image)
                return error_set(error, EINVAL, "PE relocations lie outside of the image");
        return check_sections(pe, error);
}
