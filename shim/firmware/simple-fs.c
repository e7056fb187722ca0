/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_SIMPLE_FILE_SYSTEM_PROTOCOL (UEFI 2.10, 13.4) on the handle of the payload's volume, and the
 * reading of a whole file for LoadImage by path. There is no BlockIo under it: no payload needs
 * one, and the stub's look for a random seed on the ESP ends quietly at its absence. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/device-path.h"
#include "shim/firmware/file.h"
#include "shim/firmware/internal.h"
#include "shim/firmware/volume.h"

#define EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_REVISION 0x00010000ull

#define MAX_IMAGE_BYTES (1024ull * 1024 * 1024) /* of a file for LoadImage */

static EFI_STATUS run_open_volume(struct firmware *fw, const uint64_t arg[])
{
        struct mount *mount = fw_object_state(fw, FW_OBJECT_FILE_SYSTEM, arg[0]);

        if (!mount || !arg[1])
                return EFI_INVALID_PARAMETER;
        return file_give(fw, mount, volume_root(mount->volume), true, arg[1]);
}

static const struct fw_service functions[] = {
                {"SimpleFileSystem.OpenVolume", "pP", run_open_volume},
};

static void free_mount(void *state)
{
        mount_unref(state);
}

static int install(struct firmware *fw, struct volume *volume)
{
        struct mount *mount = calloc(1, sizeof(*mount));
        uint64_t address;

        if (!mount) {
                volume_free(volume);
                return -ENOMEM;
        }
        *mount = (struct mount){.volume = volume, .n_refs = 1};
        if (fw_object_new(fw, FW_OBJECT_FILE_SYSTEM, 16, mount, free_mount, &address) < 0) {
                mount_unref(mount);
                return -ENOMEM;
        }
        if (!ram_put_u64(fw->ram, address, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_REVISION) ||
                        fw_object_functions(fw, address, 1, functions, ARRAY_SIZE(functions)) < 0 ||
                        efi_error(fw_install_protocol(
                                        fw, &fw->device_handle, &guid_simple_file_system, address)))
                return -ENOMEM;
        return 0;
}

int fw_simple_fs_setup(struct firmware *fw, struct error *error)
{
        struct volume *volume;
        int r;

        if (fw->setup.volume_fd < 0)
                return 0;
        r = volume_new(fw->setup.volume_fd, &volume);
        if (r < 0)
                return error_set(error, -r, "can't open the volume's directory: %s", strerror(-r));
        if (install(fw, volume) < 0)
                return error_set(error, ENOMEM, "no guest memory for the file system protocol");
        return 0;
}

/* ---- a whole file, by the File nodes of a device path ---- */

static struct mount *our_mount(struct firmware *fw)
{
        uint64_t interface;

        if (efi_error(fw_handle_protocol(
                            fw, fw->device_handle, &guid_simple_file_system, &interface)))
                return NULL;
        return fw_object_state(fw, FW_OBJECT_FILE_SYSTEM, interface);
}

/* Joins the names of the nodes up to the End node with '\' (10.3.5.4). */
static EFI_STATUS join_nodes(struct span nodes, struct buf *ret)
{
        struct cursor c = CURSOR(nodes);
        struct device_path_node node;

        while (device_path_next(&c, &node) && !device_path_is_end(&node)) {
                struct cursor name = CURSOR(node.data);
                uint16_t unit;

                if (node.type != DEVICE_PATH_MEDIA || node.subtype != DEVICE_PATH_MEDIA_FILE)
                        return EFI_NOT_FOUND; /* it names no file of the volume */
                if (ret->size > 0)
                        buf_put_u16(ret, '\\');
                while (cursor_u16(&name, &unit) && unit)
                        buf_put_u16(ret, unit);
        }
        if (buf_failed(ret))
                return EFI_OUT_OF_RESOURCES;
        return ret->size > 0 ? EFI_SUCCESS : EFI_NOT_FOUND;
}

static EFI_STATUS read_whole(struct volume_node *node, struct buf *ret)
{
        _cleanup_free_ uint8_t *chunk = malloc(1024 * 1024);
        size_t n;

        if (!chunk)
                return EFI_OUT_OF_RESOURCES;
        do {
                EFI_STATUS status = volume_read(node, ret->size, chunk, 1024 * 1024, &n);

                if (efi_error(status))
                        return status;
                buf_put(ret, chunk, n);
                if (buf_failed(ret))
                        return EFI_OUT_OF_RESOURCES;
        } while (n > 0);
        return EFI_SUCCESS;
}

EFI_STATUS fw_read_file(struct firmware *fw, struct span file_path_nodes, struct buf *ret)
{
        struct mount *mount = our_mount(fw);
        _cleanup_buf_ struct buf path = {0}, bytes = {0};
        struct volume_node *root, *node;
        struct volume_info info;
        EFI_STATUS status;

        if (!mount)
                return EFI_NOT_FOUND;
        status = join_nodes(file_path_nodes, &path);
        if (efi_error(status))
                return status;
        root = volume_root(mount->volume);
        status = volume_open(mount->volume, root, buf_span(&path), false, 0, &node, NULL);
        volume_unref(mount->volume, root);
        if (efi_error(status))
                return status;
        volume_get_info(node, &info);
        if (volume_is_directory(node))
                status = EFI_NOT_FOUND;
        else if (info.size > MAX_IMAGE_BYTES)
                status = EFI_OUT_OF_RESOURCES;
        else
                status = read_whole(node, &bytes);
        volume_unref(mount->volume, node);
        if (efi_error(status))
                return status;
        *ret = bytes;
        bytes = (struct buf){0};
        return EFI_SUCCESS;
}
