/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the structures behind a service's pointer arguments out of guest memory, bounded and
 * checked: the conversions that every edge of shim/firmware/ shares. Strings are ram_read_utf16's.
 */
#include "base/cleanup.h"
#include "base/device-path.h"
#include "shim/firmware/internal.h"

bool fw_get_guid(struct firmware *fw, uint64_t address, EFI_GUID *ret)
{
        EFI_GUID guid;

        if (!ram_read(fw->ram, address, &guid, sizeof(guid)))
                return false;
        *ret = guid;
        return true;
}

bool fw_get_device_path(struct firmware *fw, uint64_t address, struct buf *ret)
{
        _cleanup_buf_ struct buf path = {0};
        uint64_t at = address;

        for (;;) {
                uint8_t header[4];
                struct span view;
                uint16_t length;

                if (at > UINT64_MAX - UINT16_MAX || !ram_read(fw->ram, at, header, sizeof(header)))
                        return false;
                length = (uint16_t)(header[2] | header[3] << 8);
                if (length < sizeof(header) || length > DEVICE_PATH_MAX_BYTES - path.size)
                        return false;
                if (!ram_view(fw->ram, at, length, &view))
                        return false;
                buf_put_span(&path, view);
                at += length;
                if (header[0] == DEVICE_PATH_END && header[1] == DEVICE_PATH_END_ENTIRE)
                        break;
        }
        if (buf_failed(&path))
                return false;
        buf_put_span(ret, buf_span(&path));
        return !buf_failed(ret);
}
