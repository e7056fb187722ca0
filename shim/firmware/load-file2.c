/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_LOAD_FILE2_PROTOCOL (UEFI 2.10, 13.2) on Linux's vendor device path for the initrd, for
 * kernels that are started without a UKI around them. Not installed without an initrd: stubs up to
 * 257 take a second instance for an error, and bring their own. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/device-path.h"
#include "shim/firmware/internal.h"

/* LoadFile(This, FilePath, BootPolicy, *BufferSize, Buffer). FilePath is what LocateDevicePath
 * left: End. */
static EFI_STATUS run_load_file(struct firmware *fw, const uint64_t arg[])
{
        struct span initrd = fw->setup.initrd;
        _cleanup_buf_ struct buf path = {0};
        struct device_path_node node;
        struct cursor c;
        uint64_t size;

        if (!fw_object_state(fw, FW_OBJECT_LOAD_FILE2, arg[0]) || !arg[1] || !arg[3] ||
                        !fw_get_device_path(fw, arg[1], &path))
                return EFI_INVALID_PARAMETER;
        c = CURSOR(buf_span(&path));
        if (!device_path_next(&c, &node) || !device_path_is_end(&node))
                return EFI_INVALID_PARAMETER;
        if (arg[2] & 0xff)
                return EFI_UNSUPPORTED; /* BootPolicy is LoadFile's, not LoadFile2's */
        if (!ram_get_u64(fw->ram, arg[3], &size) || !ram_put_u64(fw->ram, arg[3], initrd.size))
                return EFI_INVALID_PARAMETER;
        if (!arg[4] || size < initrd.size)
                return EFI_BUFFER_TOO_SMALL;
        return ram_write(fw->ram, arg[4], initrd.data, initrd.size) ? EFI_SUCCESS
                                                                    : EFI_INVALID_PARAMETER;
}

static const struct fw_service functions[] = {
                {"LoadFile2.LoadFile", "pdbPp", run_load_file},
};

int fw_load_file2_setup(struct firmware *fw, struct error *error)
{
        static char present;
        _cleanup_buf_ struct buf path = {0};
        uint64_t address, path_address, handle = 0;

        if (fw->setup.initrd.size == 0)
                return 0;
        device_path_put_node(&path, DEVICE_PATH_MEDIA, DEVICE_PATH_MEDIA_VENDOR,
                        SPAN(&guid_linux_initrd_media, sizeof(guid_linux_initrd_media)));
        device_path_put_end(&path);
        if (buf_failed(&path) ||
                        efi_error(fw_pool_put(
                                        fw, EfiBootServicesData, buf_span(&path), &path_address)) ||
                        fw_object_new(fw, FW_OBJECT_LOAD_FILE2, 8, &present, NULL, &address) < 0 ||
                        fw_object_functions(fw, address, 0, functions, ARRAY_SIZE(functions)) < 0 ||
                        efi_error(fw_install_protocol(
                                        fw, &handle, &guid_device_path, path_address)) ||
                        efi_error(fw_install_protocol(fw, &handle, &guid_load_file2, address)))
                return error_set(error, ENOMEM, "no guest memory for the initrd's protocol");
        return 0;
}
