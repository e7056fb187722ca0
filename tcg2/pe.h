/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one reader of PE/COFF files (Microsoft PE Format; UEFI 2.10, 2.1.1): headers, data
 * directories and the section table, all bounds checked, nothing allocated. For image loading
 * (shim/firmware/image) and for the Authenticode digest. It doesn't load, relocate, or judge
 * machine type and subsystem. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum {
        IMAGE_FILE_MACHINE_I386 = 0x014c,
        IMAGE_FILE_MACHINE_X64 = 0x8664,
        IMAGE_FILE_MACHINE_AARCH64 = 0xaa64,
        IMAGE_SUBSYSTEM_EFI_APPLICATION = 10,
        IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER = 11,
        IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER = 12,
        IMAGE_DLLCHARACTERISTICS_NX_COMPAT = 0x0100,
        IMAGE_FILE_RELOCS_STRIPPED = 0x0001,
        IMAGE_SCN_MEM_EXECUTE = 0x20000000,
        IMAGE_SCN_MEM_WRITE = (int)0x80000000u,
};

struct pe_directory {
        uint32_t address; /* RVA; for the security directory an offset in the file */
        uint32_t size;    /* 0: absent */
};

struct pe {
        struct span file;
        bool pe32_plus; /* 64-bit optional header (magic 0x20b), else PE32 (0x10b) */
        uint16_t machine, characteristics, dll_characteristics, subsystem;
        uint16_t major_image_version; /* Linux x86 kernels: 0 = only the handover protocol */
        uint32_t time_date_stamp;
        uint32_t entry; /* RVA */
        uint64_t image_base;
        uint32_t size_of_image, size_of_headers, section_alignment, file_alignment;
        struct pe_directory security, reloc;
        size_t checksum_offset;       /* in the file, of the 4-byte CheckSum */
        size_t security_entry_offset; /* in the file, of the 8-byte directory entry; 0 if there is
                                         none */
        size_t sections_offset;       /* in the file, of the section table */
        unsigned n_sections;
};

struct pe_section {
        char name[9]; /* NUL-terminated; not unique, not necessarily text */
        uint32_t virtual_address, virtual_size;
        uint32_t raw_offset, raw_size;
        uint32_t characteristics;
        struct span raw; /* raw_size bytes of the file at raw_offset; empty if raw_size is 0 */
};

/* Reads the headers. After success: the section table lies inside SizeOfHeaders and the file, each
 * section's raw data and the security directory inside the file. What a loader needs more is
 * pe_check_layout's. -EINVAL with a reason (not MZ, TE image, truncated, no sections ...). */
int pe_parse(struct span file, struct pe *ret, struct error *error);

/* Section i < n_sections in the table's order; false beyond. */
bool pe_section(const struct pe *pe, unsigned i, struct pe_section *ret);
/* The first section of that name (at most 8 bytes); false if there is none. */
bool pe_find_section(const struct pe *pe, const char *name, struct pe_section *ret);

/* What must hold before the image is put into memory: headers, sections, entry point and the
 * relocation directory inside SizeOfImage, sections behind the headers and not over each other,
 * alignment a power of two. -EINVAL with a reason. A section without virtual size occupies raw_size
 * bytes (as in edk2). */
int pe_check_layout(const struct pe *pe, struct error *error);
