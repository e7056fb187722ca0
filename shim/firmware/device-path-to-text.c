/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_DEVICE_PATH_TO_TEXT_PROTOCOL (UEFI 2.10, 10.6.2): functions without This that return a
 * CHAR16 * of pool, or NULL. AllowShortcuts is ignored: it only abbreviates the vendor nodes of
 * terminals. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/device-path-text.h"
#include "shim/firmware/internal.h"

static uint64_t give_text(struct firmware *fw, struct buf *utf16)
{
        uint64_t address = 0;

        buf_put_u16(utf16, 0);
        if (buf_failed(utf16) ||
                        efi_error(fw_pool_put(fw, EfiBootServicesData, buf_span(utf16), &address)))
                return 0;
        return address;
}

static EFI_STATUS run_node_to_text(struct firmware *fw, const uint64_t arg[])
{
        _cleanup_buf_ struct buf node = {0}, text = {0};
        uint16_t length;
        struct span view;

        if (!arg[0] || arg[0] > UINT64_MAX - 4 || !ram_get_u16(fw->ram, arg[0] + 2, &length) ||
                        !ram_view(fw->ram, arg[0], length, &view))
                return 0;
        if (!device_path_node_to_text(view, arg[1] & 0xff, &text))
                return 0;
        return give_text(fw, &text);
}

static EFI_STATUS run_path_to_text(struct firmware *fw, const uint64_t arg[])
{
        _cleanup_buf_ struct buf path = {0}, text = {0};

        if (!arg[0] || !fw_get_device_path(fw, arg[0], &path) ||
                        !device_path_to_text(buf_span(&path), arg[1] & 0xff, &text))
                return 0;
        return give_text(fw, &text);
}

static const struct fw_service functions[] = {
                {"DevicePathToText.ConvertDeviceNodeToText", "pbb", run_node_to_text},
                {"DevicePathToText.ConvertDevicePathToText", "dbb", run_path_to_text},
};

int fw_device_path_text_setup(struct firmware *fw, struct error *error)
{
        uint64_t address, handle = 0;

        if (fw_object_new(fw, FW_OBJECT_DEVICE_PATH_TO_TEXT,
                            sizeof(uint64_t) * ARRAY_SIZE(functions), NULL, NULL, &address) < 0 ||
                        fw_object_functions(fw, address, 0, functions, ARRAY_SIZE(functions)) < 0 ||
                        efi_error(fw_install_protocol(
                                        fw, &handle, &guid_device_path_to_text, address)))
                return error_set(error, ENOMEM,
                                "no guest memory for the device-path-to-text protocol");
        return 0;
}
