/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The edges of the image services (UEFI 2.10, 7.4), and where LoadImage's bytes come from: a buffer
 * of the caller's, a file of our volume or of one of the payload's own, or a LoadFile protocol. */
#include "base/cleanup.h"
#include "shim/firmware/boot-services.h"
#include "shim/firmware/handles.h"
#include "shim/firmware/image.h"
#include "shim/firmware/memory.h"
#include "shim/firmware/security-arch.h"

/* Two calls of LoadFile(This, FilePath, BootPolicy, *BufferSize, Buffer), in the guest: size, then
 * contents. place is 8 bytes of guest memory for the size. */
static EFI_STATUS call_load_file(struct firmware *fw, uint64_t interface, uint64_t rest,
                bool boot_policy, uint64_t place, struct buf *ret)
{
        uint64_t args[5] = {interface, rest, boot_policy, place, 0}, function, size, pages, status;
        struct memory_request request = {
                        .allocate_type = AllocateAnyPages,
                        .memory_type = EfiBootServicesData,
                        .owner = MEMORY_FIRMWARE,
        };
        EFI_STATUS result;
        struct span bytes;

        if (!ram_get_u64(fw->ram, interface, &function) || !ram_put_u64(fw->ram, place, 0))
                return EFI_NOT_FOUND;
        if (fw_call(fw, function, args, ARRAY_SIZE(args), &status) < 0)
                return EFI_ABORTED;
        if (status != EFI_BUFFER_TOO_SMALL)
                return efi_error(status) ? status : EFI_LOAD_ERROR;
        if (!ram_get_u64(fw->ram, place, &size) || !size || size > ram_budget_bytes(fw->ram))
                return EFI_OUT_OF_RESOURCES;
        request.n_pages = pages = (size + EFI_PAGE_SIZE - 1) >> EFI_PAGE_SHIFT;
        result = memory_allocate(fw, &request, &args[4]);
        if (efi_error(result))
                return result;
        if (fw_call(fw, function, args, ARRAY_SIZE(args), &status) < 0)
                result = EFI_ABORTED;
        else if (efi_error(status))
                result = status;
        else if (!ram_get_u64(fw->ram, place, &size) || size > pages << EFI_PAGE_SHIFT ||
                        !ram_view(fw->ram, args[4], size, &bytes))
                result = EFI_LOAD_ERROR;
        else
                buf_put_span(ret, bytes);
        (void)memory_free(fw, args[4], pages, MEMORY_FIRMWARE);
        return result;
}

static EFI_STATUS read_by_load_file(struct firmware *fw, const EFI_GUID *protocol, uint64_t path,
                bool boot_policy, struct buf *ret)
{
        uint64_t handle, rest, interface, place;
        EFI_STATUS status = fw_locate_device_path(fw, protocol, path, &handle, &rest);

        if (efi_error(status))
                return status;
        status = fw_handle_protocol(fw, handle, protocol, &interface);
        if (efi_error(status))
                return status;
        status = pool_allocate_own(fw, EfiBootServicesData, sizeof(uint64_t), &place);
        if (efi_error(status))
                return status;
        status = call_load_file(fw, interface, rest, boot_policy, place, ret);
        (void)pool_free_own(fw, place);
        return status;
}

static EFI_STATUS read_from_volume(
                struct firmware *fw, uint64_t path, struct span bytes, struct buf *ret)
{
        uint64_t handle, rest, interface;
        struct span nodes;
        EFI_STATUS status = fw_locate_device_path(
                        fw, &guid_simple_file_system, path, &handle, &rest);

        if (efi_error(status))
                return status;
        if (rest < path || !span_sub(bytes, rest - path, bytes.size - (rest - path), &nodes))
                return EFI_INVALID_PARAMETER;
        if (handle == fw->device_handle)
                return fw_read_file(fw, nodes, ret);
        status = fw_handle_protocol(fw, handle, &guid_simple_file_system, &interface);
        return efi_error(status) ? status : fw_read_guest_file(fw, interface, nodes, ret);
}

/* In the order of 7.4.1: a way that can't give the file leaves it to the next, as in edk2. The
 * answer is what the last one said that knew the path. path: address of the device path whose bytes
 * are given. */
static EFI_STATUS read_by_path(struct firmware *fw, uint64_t path, struct span bytes,
                bool boot_policy, struct buf *ret)
{
        EFI_STATUS status, answer = read_from_volume(fw, path, bytes, ret);

        if (efi_error(answer) && !boot_policy) {
                status = read_by_load_file(fw, &guid_load_file2, path, false, ret);
                answer = status == EFI_NOT_FOUND ? answer : status;
        }
        if (efi_error(answer)) {
                status = read_by_load_file(fw, &guid_load_file, path, boot_policy, ret);
                answer = status == EFI_NOT_FOUND ? answer : status;
        }
        return answer;
}

/* Asks whoever is to be asked, and loads it. */
static EFI_STATUS authenticate_and_load(
                struct firmware *fw, const struct security_question *q, uint64_t *handle)
{
        EFI_STATUS status = EFI_ACCESS_DENIED;
        bool verified;

        switch (fw_security_ask(fw, q, &verified, &status)) {
        case SECURITY_ASK_FIRMWARE:
                return verified ? image_load_verified(fw, q->parent, q->path, q->file, true, handle)
                                : image_load(fw, q->parent, q->path, q->file, handle);
        case SECURITY_OVERRIDDEN:
                return image_load_verified(fw, q->parent, q->path, q->file, false, handle);
        case SECURITY_DENIED:
                break;
        }
        return status;
}

/* LoadImage(BootPolicy, ParentImageHandle, *DevicePath, SourceBuffer, SourceSize, *ImageHandle) */
BOOT_SERVICE(load_image)
{
        _cleanup_buf_ struct buf path = {0}, file = {0};
        uint64_t handle, before;
        struct span source;
        EFI_STATUS status;

        if (!image_exists(fw, arg[1]) || !ram_get_u64(fw->ram, arg[5], &before))
                return EFI_INVALID_PARAMETER;
        if (!arg[2] && !arg[3])
                return EFI_NOT_FOUND;
        if (arg[2] && !fw_get_device_path(fw, arg[2], &path))
                return EFI_INVALID_PARAMETER;
        if (arg[3]) {
                if (!arg[4])
                        return EFI_LOAD_ERROR; /* as edk2 */
                if (!ram_view(fw->ram, arg[3], arg[4], &source))
                        return EFI_INVALID_PARAMETER;
                /* A copy: loading opens and closes pages. */
                buf_put_span(&file, source);
        } else {
                status = read_by_path(fw, arg[2], buf_span(&path), arg[0] & 0xff, &file);
                if (efi_error(status))
                        return status;
        }
        if (buf_failed(&file) || !image_has_room(fw, file.size))
                return EFI_OUT_OF_RESOURCES;
        status = authenticate_and_load(fw,
                        &(struct security_question){.parent = arg[1],
                                        .path = buf_span(&path),
                                        .file = buf_span(&file),
                                        .path_at = arg[2],
                                        .file_at = arg[3],
                                        .boot_policy = arg[0] & 0xff},
                        &handle);
        if (efi_error(status))
                return status;
        image_keep_file(fw, handle, &file);
        return ram_put_u64(fw->ram, arg[5], handle) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

/* StartImage(ImageHandle, *ExitDataSize, **ExitData) */
BOOT_SERVICE(start_image)
{
        uint64_t size, data;
        EFI_STATUS status = image_start(fw, arg[0], &size, &data);

        if (fw->ended || fw->unwind_to || fw->exited_boot_services)
                return status;
        /* Without a place to put them the block is nobody's. */
        if (!arg[1] || !arg[2] || !ram_put_u64(fw->ram, arg[1], size) ||
                        !ram_put_u64(fw->ram, arg[2], data)) {
                if (data)
                        (void)fw_free_pool(fw, data);
        }
        return status;
}

/* Exit(ImageHandle, ExitStatus, ExitDataSize, *ExitData) */
BOOT_SERVICE(exit)
{
        return image_exit(fw, arg[0], arg[1], arg[2], arg[3]);
}

BOOT_SERVICE(unload_image)
{
        return image_unload(fw, arg[0]);
}
