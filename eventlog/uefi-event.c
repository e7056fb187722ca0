/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/uefi-event.h"

#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/event.h"

/* ---- variables ---- */

int uefi_variable_read(struct span bytes, struct uefi_variable *ret, struct error *error)
{
        struct uefi_variable variable;
        struct cursor c = CURSOR(bytes);
        size_t there;

        if (!cursor_copy(&c, &variable.guid, sizeof(variable.guid)) ||
                        !cursor_u64(&c, &variable.name_units) ||
                        !cursor_u64(&c, &variable.data_bytes))
                return error_set(error, EBADMSG, "a variable of %zu bytes is cut off", bytes.size);
        if (variable.name_units > cursor_left(&c) / 2 ||
                        !cursor_take(&c, 2 * variable.name_units, &variable.name))
                return error_set(error, EBADMSG, "a name of %llu characters doesn't fit %zu bytes",
                                (unsigned long long)variable.name_units, cursor_left(&c));
        there = cursor_left(&c);
        (void)cursor_take(&c, variable.data_bytes < there ? variable.data_bytes : there,
                        &variable.data);
        (void)cursor_take(&c, cursor_left(&c), &variable.excess);
        *ret = variable;
        return variable.data_bytes == there
                               ? 0
                               : error_set(error, EBADMSG,
                                                 "%zu bytes where the variable's data should be "
                                                 "%llu",
                                                 there, (unsigned long long)variable.data_bytes);
}

static bool name_is(struct span utf16, const char *ascii)
{
        struct cursor c = CURSOR(utf16);
        uint16_t unit;

        for (; *ascii; ascii++)
                if (!cursor_u16(&c, &unit) || unit != (uint8_t)*ascii)
                        return false;
        /* Some firmware counts the NUL. */
        return cursor_left(&c) == 0 || (cursor_left(&c) == 2 && cursor_u16(&c, &unit) && unit == 0);
}

bool uefi_variable_is(const struct uefi_variable *variable, const char *ascii_name)
{
        return name_is(variable->name, ascii_name);
}

static bool is_load_option(struct span name)
{
        struct cursor c = CURSOR(name);
        uint16_t unit;

        if (name.size < 16 || !name_is(SPAN(name.data, 8), "Boot") ||
                        !name_is(SPAN(name.data + 16, name.size - 16), ""))
                return false;
        for (c.offset = 8; c.offset < 16;)
                if (!cursor_u16(&c, &unit) ||
                                !((unit >= '0' && unit <= '9') || (unit >= 'A' && unit <= 'F') ||
                                                (unit >= 'a' && unit <= 'f')))
                        return false;
        return true;
}

/* By name, and where the same name holds something else in another type of event, by type. */
static const struct {
        const char *name;
        enum variable_value value;
        enum { ANY, CONFIG, AUTHORITY } where;
} values[] = {
                {"SecureBoot", VALUE_BOOL, ANY},
                {"SetupMode", VALUE_BOOL, ANY},
                {"AuditMode", VALUE_BOOL, ANY},
                {"DeployedMode", VALUE_BOOL, ANY},
                {"MokListTrusted", VALUE_BOOL, ANY},
                {"MokSBState", VALUE_BOOL, ANY},
                {"PK", VALUE_SIGNATURES, CONFIG},
                {"KEK", VALUE_SIGNATURES, CONFIG},
                {"db", VALUE_SIGNATURES, CONFIG},
                {"dbx", VALUE_SIGNATURES, CONFIG},
                {"dbt", VALUE_SIGNATURES, CONFIG},
                {"dbr", VALUE_SIGNATURES, CONFIG},
                {"db", VALUE_SIGNATURE, AUTHORITY},
                {"dbx", VALUE_SIGNATURE, AUTHORITY},
                {"Shim", VALUE_SIGNATURE, AUTHORITY},
                {"MokList", VALUE_SIGNATURE, AUTHORITY},
                {"vendor_db", VALUE_SIGNATURE, AUTHORITY},
                {"devdb", VALUE_SIGNATURES, CONFIG}, /* of devices, for SPDM */
                {"devdb", VALUE_SIGNATURE, AUTHORITY},
                {"SbatLevel", VALUE_TEXT, ANY},
                {"BootOrder", VALUE_BOOT_ORDER, ANY},
};

enum variable_value uefi_variable_value(const struct uefi_variable *variable, uint32_t event_type)
{
        bool authority = event_type == EV_EFI_VARIABLE_AUTHORITY ||
                         event_type == EV_EFI_SPDM_DEVICE_AUTHORITY;

        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                if ((values[i].where == ANY || (values[i].where == AUTHORITY) == authority) &&
                                uefi_variable_is(variable, values[i].name))
                        return values[i].value;
        return is_load_option(variable->name) ? VALUE_LOAD_OPTION : VALUE_UNKNOWN;
}

bool load_option_read(struct span bytes, struct load_option *ret)
{
        struct load_option option = {0};
        struct cursor c = CURSOR(bytes);
        uint16_t paths_bytes, unit;
        size_t start;

        if (!cursor_u32(&c, &option.attributes) || !cursor_u16(&c, &paths_bytes))
                return false;
        start = c.offset;
        do
                if (!cursor_u16(&c, &unit))
                        return false;
        while (unit != 0);
        option.description = SPAN(bytes.data + start, c.offset - start - 2);
        option.paths_bytes = paths_bytes;
        if (!cursor_take(&c, paths_bytes, &option.paths))
                return false;
        (void)cursor_take(&c, cursor_left(&c), &option.optional_data);
        *ret = option;
        return true;
}

/* ---- images and disks ---- */

bool image_load_read(struct span bytes, struct image_load *ret)
{
        struct image_load image;
        struct cursor c = CURSOR(bytes);

        if (!cursor_u64(&c, &image.location) || !cursor_u64(&c, &image.length) ||
                        !cursor_u64(&c, &image.link_address) || !cursor_u64(&c, &image.path_bytes))
                return false;
        (void)cursor_take(&c, cursor_left(&c), &image.path);
        *ret = image;
        return true;
}

#define GPT_ENTRY_BYTES 128 /* that the specification defines; a disk's may be longer */

int gpt_read(struct span bytes, struct gpt *ret, struct error *error)
{
        struct cursor c = CURSOR(bytes);
        uint32_t reserved;
        struct gpt gpt;

        if (!cursor_take(&c, 8, &gpt.signature) || !cursor_u32(&c, &gpt.revision) ||
                        !cursor_u32(&c, &gpt.header_bytes) || !cursor_u32(&c, &gpt.header_crc) ||
                        !cursor_u32(&c, &reserved) || !cursor_u64(&c, &gpt.my_lba) ||
                        !cursor_u64(&c, &gpt.alternate_lba) || !cursor_u64(&c, &gpt.first_lba) ||
                        !cursor_u64(&c, &gpt.last_lba) ||
                        !cursor_copy(&c, &gpt.disk, sizeof(gpt.disk)) ||
                        !cursor_u64(&c, &gpt.entries_lba) || !cursor_u32(&c, &gpt.n_entries) ||
                        !cursor_u32(&c, &gpt.entry_bytes) || !cursor_u32(&c, &gpt.entries_crc) ||
                        !cursor_u64(&c, &gpt.n_partitions))
                return error_set(error, EBADMSG, "a partition table of %zu bytes is cut off",
                                bytes.size);
        (void)cursor_take(&c, cursor_left(&c), &gpt.partitions);
        *ret = gpt;
        if (gpt.entry_bytes < GPT_ENTRY_BYTES)
                return error_set(error, EBADMSG, "partition entries of %u bytes", gpt.entry_bytes);
        return gpt.n_partitions <= gpt.partitions.size / gpt.entry_bytes &&
                                               gpt.n_partitions * gpt.entry_bytes ==
                                                               gpt.partitions.size
                               ? 0
                               : error_set(error, EBADMSG, "%zu bytes aren't %llu partitions of %u",
                                                 gpt.partitions.size,
                                                 (unsigned long long)gpt.n_partitions,
                                                 gpt.entry_bytes);
}

bool gpt_partition_read(const struct gpt *gpt, uint64_t nth, struct gpt_partition *ret)
{
        struct gpt_partition partition;
        struct cursor c = CURSOR(gpt->partitions);

        if (gpt->entry_bytes < GPT_ENTRY_BYTES || nth >= gpt->n_partitions ||
                        nth > gpt->partitions.size / gpt->entry_bytes ||
                        !cursor_skip(&c, nth * gpt->entry_bytes) ||
                        !cursor_copy(&c, &partition.type, sizeof(partition.type)) ||
                        !cursor_copy(&c, &partition.guid, sizeof(partition.guid)) ||
                        !cursor_u64(&c, &partition.first_lba) ||
                        !cursor_u64(&c, &partition.last_lba) ||
                        !cursor_u64(&c, &partition.attributes) ||
                        !cursor_take(&c, 72, &partition.name))
                return false;
        *ret = partition;
        return true;
}

/* ---- firmware ---- */

bool firmware_blob_read(struct span bytes, struct firmware_blob *ret)
{
        struct firmware_blob blob = {0};
        struct cursor c = CURSOR(bytes);

        if (!cursor_u64(&c, &blob.base) || !cursor_u64(&c, &blob.length) || cursor_left(&c) != 0)
                return false;
        *ret = blob;
        return true;
}

bool firmware_blob2_read(struct span bytes, struct firmware_blob *ret)
{
        struct firmware_blob blob;
        struct cursor c = CURSOR(bytes);
        uint8_t size;

        if (!cursor_u8(&c, &size) || !cursor_take(&c, size, &blob.description) ||
                        !cursor_u64(&c, &blob.base) || !cursor_u64(&c, &blob.length) ||
                        cursor_left(&c) != 0)
                return false;
        *ret = blob;
        return true;
}

bool spec_id_read(struct span bytes, struct spec_id *ret)
{
        struct spec_id id;
        struct cursor c = CURSOR(bytes);
        uint8_t vendor_bytes;

        if (!cursor_take(&c, 16, &id.signature) || !cursor_u32(&c, &id.platform_class) ||
                        !cursor_u8(&c, &id.minor) || !cursor_u8(&c, &id.major) ||
                        !cursor_u8(&c, &id.errata) || !cursor_u8(&c, &id.uintn_size) ||
                        !cursor_u32(&c, &id.n_algorithms) ||
                        id.n_algorithms > cursor_left(&c) / 4 ||
                        !cursor_take(&c, 4 * (size_t)id.n_algorithms, &id.algorithms) ||
                        !cursor_u8(&c, &vendor_bytes) ||
                        !cursor_take(&c, vendor_bytes, &id.vendor_info))
                return false;
        *ret = id;
        return true;
}
