/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The structures that event data is made of (PC Client Platform Firmware Profile 1.06, section 10):
 * one reader each, for everybody who shows them. No allocation; spans point into the log. */
#pragma once

#include "base/error.h"
#include "base/guid.h"
#include "base/span.h"

/* UEFI_VARIABLE_DATA, PFP 10.2.6 */
struct uefi_variable {
        EFI_GUID guid;
        uint64_t name_units, data_bytes; /* as it says itself */
        struct span name;                /* UTF-16 */
        struct span data;                /* data_bytes of it, or what is there */
        struct span excess;              /* behind the data: nothing should be */
};

/* -EBADMSG: the name doesn't fit, or (ret is set all the same) there isn't as much data, or more,
 * than it says. */
int uefi_variable_read(struct span bytes, struct uefi_variable *ret, struct error *error);
bool uefi_variable_is(const struct uefi_variable *variable, const char *ascii_name);

/* What kind of data the variables that the specification or shim names have. */
enum variable_value {
        VALUE_UNKNOWN,
        VALUE_BOOL,       /* one byte, or none */
        VALUE_SIGNATURES, /* signature lists */
        VALUE_SIGNATURE,  /* one EFI_SIGNATURE_DATA: owner and the rest */
        VALUE_BOOT_ORDER, /* numbers of load options */
        VALUE_LOAD_OPTION,
        VALUE_TEXT,
};
enum variable_value uefi_variable_value(const struct uefi_variable *variable, uint32_t event_type);

/* EFI_LOAD_OPTION, UEFI 3.1.3 */
struct load_option {
        uint32_t attributes;
        struct span description; /* UTF-16, without NUL */
        size_t paths_bytes;
        struct span paths, optional_data;
};
bool load_option_read(struct span bytes, struct load_option *ret);

/* UEFI_IMAGE_LOAD_EVENT, PFP 10.2.3 */
struct image_load {
        uint64_t location, length, link_address, path_bytes;
        struct span path; /* all that follows; path_bytes should be its size */
};
bool image_load_read(struct span bytes, struct image_load *ret);

/* UEFI_GPT_DATA, PFP 10.2.7; the header is UEFI_PARTITION_TABLE_HEADER, UEFI 5.3.2 */
struct gpt {
        struct span signature;
        uint32_t revision, header_bytes, header_crc, n_entries, entry_bytes, entries_crc;
        uint64_t my_lba, alternate_lba, first_lba, last_lba, entries_lba, n_partitions;
        EFI_GUID disk;
        struct span partitions; /* those that are there */
};
struct gpt_partition {
        EFI_GUID type, guid;
        uint64_t first_lba, last_lba, attributes;
        struct span name; /* UTF-16, 36 units */
};
/* -EBADMSG: the header is cut off, or (ret is set) partitions aren't as many bytes as it says. */
int gpt_read(struct span bytes, struct gpt *ret, struct error *error);
/* The nth partition; false behind the last that is whole. */
bool gpt_partition_read(const struct gpt *gpt, uint64_t nth, struct gpt_partition *ret);

/* UEFI_PLATFORM_FIRMWARE_BLOB and -BLOB2, PFP 10.2.4 and 10.2.5 */
struct firmware_blob {
        struct span description; /* empty in the first form */
        uint64_t base, length;
};
bool firmware_blob_read(struct span bytes, struct firmware_blob *ret);
bool firmware_blob2_read(struct span bytes, struct firmware_blob *ret);

/* TCG_EfiSpecIdEventStruct, PFP 10.4.5.1, up to the algorithms */
struct spec_id {
        struct span signature; /* 16 bytes */
        uint32_t platform_class;
        uint8_t minor, major, errata, uintn_size;
        uint32_t n_algorithms;
        struct span algorithms; /* 4 bytes each: id, size */
        struct span vendor_info;
};
bool spec_id_read(struct span bytes, struct spec_id *ret);
