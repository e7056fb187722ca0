/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_LOADED_IMAGE_PROTOCOL (UEFI 2.10, 9.1): a structure of data in guest RAM, which loaders are
 * meant to write to. Nothing in it is believed later but the Unload function, and that only as an
 * address to call. */
#include <errno.h>

#include "shim/firmware/image.h"

#define EFI_LOADED_IMAGE_PROTOCOL_REVISION 0x1000u

/* Offsets of the members. */
enum {
        REVISION = 0,
        PARENT_HANDLE = 8,
        SYSTEM_TABLE = 16,
        DEVICE_HANDLE = 24,
        FILE_PATH = 32,
        LOAD_OPTIONS_SIZE = 48,
        LOAD_OPTIONS = 56,
        IMAGE_BASE = 64,
        IMAGE_SIZE = 72,
        IMAGE_CODE_TYPE = 80,
        IMAGE_DATA_TYPE = 84,
        UNLOAD = 88,
        STRUCTURE_BYTES = 96,
};

int loaded_image_new(struct firmware *fw, const struct loaded_image *what, uint64_t *ret_address)
{
        static char no_state;
        struct ram *ram = fw->ram;
        uint64_t a;

        if (fw_object_new(fw, FW_OBJECT_LOADED_IMAGE, STRUCTURE_BYTES, &no_state, NULL, &a) < 0)
                return -ENOMEM;
        if (!ram_put_u32(ram, a + REVISION, EFI_LOADED_IMAGE_PROTOCOL_REVISION) ||
                        !ram_put_u64(ram, a + PARENT_HANDLE, what->parent) ||
                        !ram_put_u64(ram, a + SYSTEM_TABLE, fw->system_table) ||
                        !ram_put_u64(ram, a + DEVICE_HANDLE, what->device_handle) ||
                        !ram_put_u64(ram, a + FILE_PATH, what->file_path) ||
                        !ram_put_u64(ram, a + IMAGE_BASE, what->place->base) ||
                        !ram_put_u64(ram, a + IMAGE_SIZE, what->place->size) ||
                        !ram_put_u32(ram, a + IMAGE_CODE_TYPE, what->place->code_type) ||
                        !ram_put_u32(ram, a + IMAGE_DATA_TYPE, what->place->data_type)) {
                fw_object_free(fw, a);
                return -ENOMEM;
        }
        *ret_address = a;
        return 0;
}

bool loaded_image_set_options(
                struct firmware *fw, uint64_t address, uint64_t options, uint32_t size)
{
        return ram_put_u64(fw->ram, address + LOAD_OPTIONS, options) &&
               ram_put_u32(fw->ram, address + LOAD_OPTIONS_SIZE, size);
}

bool loaded_image_get_unload(struct firmware *fw, uint64_t address, uint64_t *function)
{
        return ram_get_u64(fw->ram, address + UNLOAD, function);
}
