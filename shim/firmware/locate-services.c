/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The edges of the services that search the handle database
 * (UEFI 2.10, 7.3.6, 7.3.8, 7.3.15, 7.3.16). */
#include <stdlib.h>

#include "base/cleanup.h"
#include "shim/firmware/boot-services.h"
#include "shim/firmware/handles.h"

/* The handles that a search gives; EFI_NOT_FOUND for none. ByRegisterNotify gives the oldest of
 * those that are new, and doesn't take it off yet. */
static EFI_STATUS search(struct firmware *fw, uint64_t type, uint64_t protocol, uint64_t key,
                uint64_t **ret, size_t *n)
{
        uint64_t handle, interface;
        EFI_STATUS status;
        EFI_GUID guid;

        *n = 0;
        switch ((uint32_t)type) {
        case AllHandles:
                return handles_with(fw, NULL, ret, n) ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
        case ByProtocol:
                if (!fw_get_guid(fw, protocol, &guid))
                        return EFI_INVALID_PARAMETER;
                if (!handles_with(fw, &guid, ret, n))
                        return EFI_OUT_OF_RESOURCES;
                return *n ? EFI_SUCCESS : EFI_NOT_FOUND;
        case ByRegisterNotify:
                if (!key)
                        return EFI_INVALID_PARAMETER;
                status = handles_next_registered(fw, key, false, &handle, &interface);
                if (efi_error(status))
                        return status;
                *ret = calloc(1, sizeof(**ret));
                if (!*ret)
                        return EFI_OUT_OF_RESOURCES;
                (*ret)[0] = handle;
                *n = 1;
                return EFI_SUCCESS;
        default:
                return EFI_INVALID_PARAMETER;
        }
}

static void search_took(struct firmware *fw, uint64_t type, uint64_t key)
{
        uint64_t handle, interface;

        if ((uint32_t)type == ByRegisterNotify)
                (void)handles_next_registered(fw, key, true, &handle, &interface);
}

static void put_handles(struct buf *b, const uint64_t *handles, size_t n)
{
        for (size_t i = 0; i < n; i++)
                buf_put_u64(b, handles[i]);
}

/* LocateHandle(SearchType, *Protocol, SearchKey, *BufferSize, *Buffer) */
BOOT_SERVICE(locate_handle)
{
        _cleanup_free_ uint64_t *handles = NULL;
        _cleanup_buf_ struct buf bytes = {0};
        uint64_t size;
        EFI_STATUS status;
        size_t n;

        if (!ram_get_u64(fw->ram, arg[3], &size) || (size && !arg[4]))
                return EFI_INVALID_PARAMETER;
        status = search(fw, arg[0], arg[1], arg[2], &handles, &n);
        if (efi_error(status))
                return status;
        if (!ram_put_u64(fw->ram, arg[3], 8 * n))
                return EFI_INVALID_PARAMETER;
        if (size < 8 * n)
                return EFI_BUFFER_TOO_SMALL;
        put_handles(&bytes, handles, n);
        if (buf_failed(&bytes))
                return EFI_OUT_OF_RESOURCES;
        if (!ram_write(fw->ram, arg[4], bytes.data, bytes.size))
                return EFI_INVALID_PARAMETER;
        search_took(fw, arg[0], arg[2]);
        return EFI_SUCCESS;
}

/* LocateHandleBuffer(SearchType, *Protocol, SearchKey, *NoHandles, **Buffer) */
BOOT_SERVICE(locate_handle_buffer)
{
        _cleanup_free_ uint64_t *handles = NULL;
        _cleanup_buf_ struct buf bytes = {0};
        uint64_t address;
        EFI_STATUS status;
        size_t n;

        /* As in edk2 nothing is left undefined if nothing is found: older kernels free what they
         * read there. */
        if (!arg[3] || !arg[4] || !ram_put_u64(fw->ram, arg[3], 0) ||
                        !ram_put_u64(fw->ram, arg[4], 0))
                return EFI_INVALID_PARAMETER;
        status = search(fw, arg[0], arg[1], arg[2], &handles, &n);
        if (efi_error(status))
                return status;
        put_handles(&bytes, handles, n);
        if (buf_failed(&bytes))
                return EFI_OUT_OF_RESOURCES;
        status = fw_pool_put(fw, EfiBootServicesData, buf_span(&bytes), &address);
        if (efi_error(status))
                return status;
        (void)ram_put_u64(fw->ram, arg[3], n);
        (void)ram_put_u64(fw->ram, arg[4], address);
        search_took(fw, arg[0], arg[2]);
        return EFI_SUCCESS;
}

/* LocateProtocol(*Protocol, *Registration, **Interface) */
BOOT_SERVICE(locate_protocol)
{
        uint64_t interface = 0, handle;
        EFI_STATUS status;
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[0], &guid) || !arg[2])
                return EFI_INVALID_PARAMETER;
        if (arg[1])
                status = handles_next_registered(fw, arg[1], true, &handle, &interface);
        else
                status = fw_locate_protocol(fw, &guid, &interface);
        return ram_put_u64(fw->ram, arg[2], interface) ? status : EFI_INVALID_PARAMETER;
}

/* LocateDevicePath(*Protocol, **DevicePath, *Device) */
BOOT_SERVICE(locate_device_path)
{
        uint64_t path, handle, remaining;
        EFI_STATUS status;
        EFI_GUID guid;

        if (!fw_get_guid(fw, arg[0], &guid) || !ram_get_u64(fw->ram, arg[1], &path) || !path)
                return EFI_INVALID_PARAMETER;
        status = fw_locate_device_path(fw, &guid, path, &handle, &remaining);
        if (efi_error(status))
                return status;
        return ram_put_u64(fw->ram, arg[2], handle) && ram_put_u64(fw->ram, arg[1], remaining)
                               ? EFI_SUCCESS
                               : EFI_INVALID_PARAMETER;
}
