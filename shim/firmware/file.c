/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_FILE_PROTOCOL (UEFI 2.10, 13.5), revision 1: the functions of revision 2 (OpenEx ...) have
 * their slots and answer EFI_UNSUPPORTED. The logic is volume.c; here are checks, positions and
 * EFI's structures. Data goes between the volume and guest RAM without a copy in between. */
#include "shim/firmware/file.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/firmware/efi-time.h"

#define EFI_FILE_MODE_READ   1ull
#define EFI_FILE_MODE_WRITE  2ull
#define EFI_FILE_MODE_CREATE (1ull << 63)

#define EFI_FILE_PROTOCOL_REVISION   0x00010000ull
#define SIZE_OF_EFI_FILE_PROTOCOL    (15 * 8)
#define SIZE_OF_EFI_FILE_INFO        80 /* without FileName */
#define SIZE_OF_EFI_FILE_SYSTEM_INFO 36 /* without VolumeLabel */
#define SECTOR                       512u

struct file {
        struct mount *mount;
        struct volume_node *node;
        bool writable;
        uint64_t position; /* of a directory: number of the next entry, "." and ".." counted */
};

void mount_unref(struct mount *mount)
{
        if (--mount->n_refs > 0)
                return;
        volume_free(mount->volume);
        free(mount);
}

static void free_file(void *state)
{
        struct file *f = state;

        f->mount->n_files--;
        volume_unref(f->mount->volume, f->node);
        mount_unref(f->mount);
        free(f);
}

/* The file behind This, or NULL. */
static struct file *get_file(struct firmware *fw, uint64_t address)
{
        return fw_object_state(fw, FW_OBJECT_FILE, address);
}

/* ---- EFI_FILE_INFO and its like ---- */

static void put_name(struct buf *out, const char *name)
{
        (void)utf8_to_utf16(name, out); /* valid: the volume has no other names */
        buf_put_u16(out, 0);
}

/* 13.5.15 */
static void put_file_info(struct buf *out, const struct volume_info *info)
{
        _cleanup_buf_ struct buf name = {0};

        put_name(&name, info->name);
        buf_put_u64(out, SIZE_OF_EFI_FILE_INFO + name.size);
        buf_put_u64(out, info->size);
        buf_put_u64(out, (info->size + SECTOR - 1) / SECTOR * SECTOR);
        efi_time_put(out, info->created);
        efi_time_put(out, info->accessed);
        efi_time_put(out, info->modified);
        buf_put_u64(out, info->attribute);
        buf_put_span(out, buf_span(&name));
        out->failed = out->failed || name.failed;
}

/* 13.5.16 */
static void put_file_system_info(struct buf *out, const struct volume *volume)
{
        buf_put_u64(out, SIZE_OF_EFI_FILE_SYSTEM_INFO + 2);
        buf_put_u8(out, 0); /* ReadOnly: writes work, into the overlay */
        buf_put_zeros(out, 7);
        buf_put_u64(out, volume_size(volume));
        buf_put_u64(out, volume_free_bytes(volume));
        buf_put_u32(out, SECTOR);
        put_name(out, ""); /* the label isn't known */
}

/* Hands a structure over as GetInfo and Read of a directory do. */
static EFI_STATUS give(struct firmware *fw, const struct buf *bytes, uint64_t size_address,
                uint64_t buffer)
{
        uint64_t size;

        if (buf_failed(bytes))
                return EFI_OUT_OF_RESOURCES;
        if (!ram_get_u64(fw->ram, size_address, &size) ||
                        !ram_put_u64(fw->ram, size_address, bytes->size))
                return EFI_INVALID_PARAMETER;
        if (size < bytes->size)
                return EFI_BUFFER_TOO_SMALL;
        if (!buffer || !ram_write(fw->ram, buffer, bytes->data, bytes->size))
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

/* ---- Open, Close, Delete ---- */

static EFI_STATUS check_mode(uint64_t mode, uint64_t attributes)
{
        if (mode != EFI_FILE_MODE_READ && mode != (EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE) &&
                        mode != (EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE | EFI_FILE_MODE_CREATE))
                return EFI_INVALID_PARAMETER;
        if (mode & EFI_FILE_MODE_CREATE && attributes & ~(uint64_t)EFI_FILE_VALID_ATTR)
                return EFI_INVALID_PARAMETER;
        return EFI_SUCCESS;
}

static EFI_STATUS run_open(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);
        uint64_t mode = arg[3];
        bool writable = mode & EFI_FILE_MODE_WRITE, created;
        _cleanup_buf_ struct buf name = {0};
        struct volume_info info;
        struct volume_node *node;
        EFI_STATUS status;

        if (!f || !arg[1] || !arg[2])
                return EFI_INVALID_PARAMETER;
        status = check_mode(mode, arg[4]);
        if (efi_error(status))
                return status;
        if (!ram_read_utf16(fw->ram, arg[2], VOLUME_PATH_MAX_CHARS + 1, &name))
                return EFI_INVALID_PARAMETER;
        status = volume_open(f->mount->volume, f->node, buf_span(&name),
                        mode & EFI_FILE_MODE_CREATE, arg[4], &node, &created);
        if (efi_error(status))
                return status;
        volume_get_info(node, &info);
        if (writable && !created && !volume_is_directory(node) &&
                        info.attribute & EFI_FILE_READ_ONLY) {
                volume_unref(f->mount->volume, node);
                return EFI_ACCESS_DENIED;
        }
        return file_give(fw, f->mount, node, writable, arg[1]);
}

static EFI_STATUS run_close(struct firmware *fw, const uint64_t arg[])
{
        if (!get_file(fw, arg[0]))
                return EFI_INVALID_PARAMETER;
        fw_object_free(fw, arg[0]);
        return EFI_SUCCESS;
}

/* Closes in any case; that the file is still there is only a warning. */
static EFI_STATUS run_delete(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);
        EFI_STATUS status = EFI_ACCESS_DENIED;

        if (!f)
                return EFI_INVALID_PARAMETER;
        if (f->writable)
                status = volume_delete(f->mount->volume, f->node);
        fw_object_free(fw, arg[0]);
        return efi_error(status) ? EFI_WARN_DELETE_FAILURE : EFI_SUCCESS;
}

/* ---- Read, Write, positions ---- */

/* What FAT has first in every directory but the root. */
static const char *const dot_names[] = {".", ".."};

static EFI_STATUS read_directory(
                struct firmware *fw, struct file *f, uint64_t size, uint64_t buffer)
{
        _cleanup_buf_ struct buf bytes = {0};
        size_t dots = volume_is_root(f->node) ? 0 : ARRAY_SIZE(dot_names), index = 0;
        struct volume_info info;
        EFI_STATUS status = EFI_SUCCESS;

        if (f->position < dots) {
                volume_get_info(f->node, &info);
                info.name = dot_names[f->position];
        } else {
                index = (size_t)f->position - dots;
                status = volume_entry(f->mount->volume, f->node, &index, &info);
        }
        if (status == EFI_NOT_FOUND)
                return ram_put_u64(fw->ram, size, 0) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
        if (efi_error(status))
                return status;
        put_file_info(&bytes, &info);
        status = give(fw, &bytes, size, buffer);
        if (!efi_error(status))
                f->position = f->position < dots ? f->position + 1 : dots + index + 1;
        return status;
}

static EFI_STATUS read_file(
                struct firmware *fw, struct file *f, uint64_t size_address, uint64_t buffer)
{
        struct volume_info info;
        uint64_t size;
        size_t done = 0;
        uint8_t *to;
        EFI_STATUS status;

        volume_get_info(f->node, &info);
        if (f->position > info.size)
                return EFI_DEVICE_ERROR; /* 13.5.5: "the current file position is beyond the end" */
        if (!ram_get_u64(fw->ram, size_address, &size))
                return EFI_INVALID_PARAMETER;
        if (size > info.size - f->position)
                size = info.size - f->position;
        if (size > 0) {
                if (!buffer || !ram_view_writable(fw->ram, buffer, size, &to))
                        return EFI_INVALID_PARAMETER;
                status = volume_read(f->node, f->position, to, (size_t)size, &done);
                if (efi_error(status))
                        return status;
        }
        f->position += done;
        return ram_put_u64(fw->ram, size_address, done) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

static EFI_STATUS run_read(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);

        if (!f || !arg[1])
                return EFI_INVALID_PARAMETER;
        if (volume_is_deleted(f->node))
                return EFI_DEVICE_ERROR;
        return volume_is_directory(f->node) ? read_directory(fw, f, arg[1], arg[2])
                                            : read_file(fw, f, arg[1], arg[2]);
}

static EFI_STATUS run_write(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);
        struct span from;
        uint64_t size;
        EFI_STATUS status;

        if (!f || !arg[1] || !ram_get_u64(fw->ram, arg[1], &size))
                return EFI_INVALID_PARAMETER;
        if (volume_is_deleted(f->node))
                return EFI_DEVICE_ERROR;
        if (volume_is_directory(f->node))
                return EFI_UNSUPPORTED;
        if (!f->writable)
                return EFI_ACCESS_DENIED;
        if (size == 0)
                return EFI_SUCCESS;
        if (!arg[2] || !ram_view(fw->ram, arg[2], size, &from))
                return EFI_INVALID_PARAMETER;
        status = volume_write(f->mount->volume, f->node, f->position, from);
        if (efi_error(status))
                return ram_put_u64(fw->ram, arg[1], 0) ? status : EFI_INVALID_PARAMETER;
        f->position += size;
        return EFI_SUCCESS;
}

static EFI_STATUS run_get_position(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);

        if (!f || !arg[1])
                return EFI_INVALID_PARAMETER;
        if (volume_is_directory(f->node))
                return EFI_UNSUPPORTED;
        if (volume_is_deleted(f->node))
                return EFI_DEVICE_ERROR;
        return ram_put_u64(fw->ram, arg[1], f->position) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

static EFI_STATUS run_set_position(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);
        struct volume_info info;

        if (!f)
                return EFI_INVALID_PARAMETER;
        if (volume_is_deleted(f->node))
                return EFI_DEVICE_ERROR;
        if (volume_is_directory(f->node)) {
                if (arg[1] != 0)
                        return EFI_UNSUPPORTED;
                f->position = 0;
                return EFI_SUCCESS;
        }
        volume_get_info(f->node, &info);
        f->position = arg[1] == UINT64_MAX ? info.size : arg[1];
        return EFI_SUCCESS;
}

/* Nothing waits to be written: the overlay is memory, and the disk is never written. */
static EFI_STATUS run_flush(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);

        if (!f)
                return EFI_INVALID_PARAMETER;
        if (volume_is_deleted(f->node))
                return EFI_DEVICE_ERROR;
        return f->writable ? EFI_SUCCESS : EFI_ACCESS_DENIED;
}

/* ---- GetInfo, SetInfo ---- */

static EFI_STATUS run_get_info(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);
        _cleanup_buf_ struct buf bytes = {0};
        struct volume_info info;
        EFI_GUID type;

        if (!f || !arg[2] || !fw_get_guid(fw, arg[1], &type))
                return EFI_INVALID_PARAMETER;
        if (volume_is_deleted(f->node))
                return EFI_DEVICE_ERROR;
        if (guid_equal(&type, &guid_file_info)) {
                volume_get_info(f->node, &info);
                put_file_info(&bytes, &info);
        } else if (guid_equal(&type, &guid_file_system_info)) {
                put_file_system_info(&bytes, f->mount->volume);
        } else if (guid_equal(&type, &guid_file_system_volume_label)) {
                put_name(&bytes, "");
        } else {
                return EFI_UNSUPPORTED;
        }
        return give(fw, &bytes, arg[2], arg[3]);
}

/* What SetInfo may change, out of an EFI_FILE_INFO. */
struct new_info {
        uint64_t size, attribute;
        struct timespec time[3];
        bool has_time[3];
        struct span name; /* UTF-16 without NUL */
};

static bool take_time(struct cursor *c, struct timespec *ret, bool *has)
{
        static const uint8_t zero[EFI_TIME_SIZE];
        struct cursor ahead = *c;
        struct span bytes;

        *has = false;
        if (cursor_take(&ahead, EFI_TIME_SIZE, &bytes) &&
                        span_equal(bytes, SPAN(zero, sizeof(zero)))) {
                *c = ahead;
                return true; /* 13.5.15: leave it as it is */
        }
        *has = efi_time_take(c, ret);
        return *has;
}

static bool parse_info(struct span bytes, struct new_info *ret)
{
        struct cursor c = CURSOR(bytes);
        uint64_t size, physical;
        struct span name;
        size_t n = 0;

        if (!cursor_u64(&c, &size) || size > bytes.size || size < SIZE_OF_EFI_FILE_INFO + 2 ||
                        !cursor_u64(&c, &ret->size) || !cursor_u64(&c, &physical))
                return false;
        for (int i = 0; i < 3; i++)
                if (!take_time(&c, &ret->time[i], &ret->has_time[i]))
                        return false;
        if (!cursor_u64(&c, &ret->attribute) ||
                        !cursor_take(&c, size - SIZE_OF_EFI_FILE_INFO, &name))
                return false;
        while (n + 1 < name.size && (name.data[n] || name.data[n + 1]))
                n += 2;
        if (n + 1 >= name.size)
                return false; /* no NUL */
        ret->name = SPAN(name.data, n);
        return true;
}

static bool name_differs(const struct volume_info *info, struct span name)
{
        _cleanup_buf_ struct buf now = {0};

        (void)utf8_to_utf16(info->name, &now);
        return !span_equal(buf_span(&now), name);
}

static EFI_STATUS set_file_info(struct file *f, const struct new_info *new)
{
        struct volume *volume = f->mount->volume;
        struct volume_info info;
        bool directory = volume_is_directory(f->node), renames, resizes;
        EFI_STATUS status = EFI_SUCCESS;

        volume_get_info(f->node, &info);
        renames = name_differs(&info, new->name);
        resizes = new->size != info.size;
        if (new->attribute & ~(uint64_t)EFI_FILE_VALID_ATTR)
                return EFI_INVALID_PARAMETER;
        if ((new->attribute ^ info.attribute) & EFI_FILE_DIRECTORY)
                return EFI_ACCESS_DENIED;
        if ((renames || resizes) && !f->writable)
                return EFI_ACCESS_DENIED;
        if (resizes && (directory || info.attribute & EFI_FILE_READ_ONLY))
                return EFI_ACCESS_DENIED;
        if (resizes)
                status = volume_resize(volume, f->node, new->size);
        if (!efi_error(status) && renames)
                status = volume_rename(volume, f->node, new->name);
        if (efi_error(status))
                return status;
        volume_set_attribute(f->node, new->attribute);
        volume_set_times(f->node, new->has_time[0] ? &new->time[0] : NULL,
                        new->has_time[1] ? &new->time[1] : NULL,
                        new->has_time[2] ? &new->time[2] : NULL);
        return EFI_SUCCESS;
}

static EFI_STATUS run_set_info(struct firmware *fw, const uint64_t arg[])
{
        struct file *f = get_file(fw, arg[0]);
        struct new_info new;
        struct span bytes;
        EFI_GUID type;

        if (!f || !arg[3] || !fw_get_guid(fw, arg[1], &type))
                return EFI_INVALID_PARAMETER;
        if (volume_is_deleted(f->node))
                return EFI_DEVICE_ERROR;
        if (guid_equal(&type, &guid_file_system_info))
                return arg[2] < SIZE_OF_EFI_FILE_SYSTEM_INFO + 2 ? EFI_BAD_BUFFER_SIZE
                                                                 : EFI_WRITE_PROTECTED;
        if (guid_equal(&type, &guid_file_system_volume_label)) /* it belongs to the disk */
                return arg[2] < 2 ? EFI_BAD_BUFFER_SIZE : EFI_WRITE_PROTECTED;
        if (!guid_equal(&type, &guid_file_info))
                return EFI_UNSUPPORTED;
        if (arg[2] < SIZE_OF_EFI_FILE_INFO + 2)
                return EFI_BAD_BUFFER_SIZE;
        if (arg[2] > SIZE_OF_EFI_FILE_INFO + 2 * (VOLUME_PATH_MAX_CHARS + 1) ||
                        !ram_view(fw->ram, arg[3], arg[2], &bytes) || !parse_info(bytes, &new))
                return EFI_INVALID_PARAMETER;
        return set_file_info(f, &new);
}

static EFI_STATUS run_unsupported(struct firmware *fw, const uint64_t arg[])
{
        return EFI_UNSUPPORTED;
}

static const struct fw_service functions[] = {
                {"File.Open", "pPsnn", run_open},
                {"File.Close", "p", run_close},
                {"File.Delete", "p", run_delete},
                {"File.Read", "pPp", run_read},
                {"File.Write", "pPp", run_write},
                {"File.GetPosition", "pP", run_get_position},
                {"File.SetPosition", "pn", run_set_position},
                {"File.GetInfo", "pgPp", run_get_info},
                {"File.SetInfo", "pgnp", run_set_info},
                {"File.Flush", "p", run_flush},
                {"File.OpenEx", "pPsnnp", run_unsupported},
                {"File.ReadEx", "pp", run_unsupported},
                {"File.WriteEx", "pp", run_unsupported},
                {"File.FlushEx", "pp", run_unsupported},
};

EFI_STATUS file_give(struct firmware *fw, struct mount *mount, struct volume_node *node,
                bool writable, uint64_t place)
{
        struct file *f = mount->n_files < FILES_MAX_OPEN ? calloc(1, sizeof(*f)) : NULL;
        uint64_t address;

        if (!f) {
                volume_unref(mount->volume, node);
                return EFI_OUT_OF_RESOURCES;
        }
        *f = (struct file){.mount = mount, .node = node, .writable = writable};
        mount->n_refs++;
        mount->n_files++;
        if (fw_object_new(fw, FW_OBJECT_FILE, SIZE_OF_EFI_FILE_PROTOCOL, f, free_file, &address) <
                        0) {
                free_file(f);
                return EFI_OUT_OF_RESOURCES;
        }
        if (!ram_put_u64(fw->ram, address, EFI_FILE_PROTOCOL_REVISION) ||
                        fw_object_functions(fw, address, 1, functions, ARRAY_SIZE(functions)) < 0) {
                fw_object_free(fw, address);
                return EFI_OUT_OF_RESOURCES;
        }
        if (!ram_put_u64(fw->ram, place, address)) {
                fw_object_free(fw, address);
                return EFI_INVALID_PARAMETER;
        }
        return EFI_SUCCESS;
}
