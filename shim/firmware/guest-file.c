/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads a file through a SimpleFileSystem whose functions are the guest's own (UEFI 2.10, 13.4 and
 * 13.5), for LoadImage by path: a boot loader that gives its payload a volume of its own has the
 * stub's add-ons there. Called by image-services.c. Whatever the guest answers is checked; files
 * are closed on every way out that the guest still runs on. */
#include "base/cleanup.h"
#include "base/device-path.h"
#include "shim/firmware/internal.h"
#include "shim/firmware/memory.h"

#define EFI_FILE_MODE_READ 1ull
#define EFI_FILE_DIRECTORY 0x10ull

/* Offsets of members: of the file system, of a file, and of EFI_FILE_INFO. */
enum {
        OPEN_VOLUME = 8,
        OPEN = 8,
        CLOSE = 16,
        READ = 32,
        GET_INFO = 64,
        INFO_FILE_SIZE = 8,
        INFO_ATTRIBUTE = 72,
        INFO_BYTES = 80,
};

/* What the calls need of guest memory: an out pointer or size, a GUID, and a name or a file's
 * info. */
enum { OUT = 0, GUID = 8, BLOCK = 24, BLOCK_BYTES = 8192 };

struct guest_file {
        struct firmware *fw;
        uint64_t place; /* of what the calls need */
        uint64_t file;  /* EFI_FILE_PROTOCOL, 0: none is open */
};

/* args[0] is the object, whose member is called. */
static EFI_STATUS call(struct firmware *fw, unsigned member, const uint64_t *args, size_t n)
{
        uint64_t function, status;

        if (!ram_get_u64(fw->ram, args[0] + member, &function))
                return EFI_LOAD_ERROR;
        return fw_call(fw, function, args, n, &status) < 0 ? EFI_ABORTED : status;
}

static void close_file(struct guest_file *g)
{
        if (g->file && !g->fw->ended && !g->fw->unwind_to)
                (void)call(g->fw, CLOSE, &g->file, 1);
        g->file = 0;
}

/* Calls OpenVolume or Open, whose second argument takes the new file, and lets go of the old. */
static EFI_STATUS open_next(struct guest_file *g, unsigned member, const uint64_t *args, size_t n)
{
        uint64_t opened;
        EFI_STATUS status;

        if (!ram_put_u64(g->fw->ram, g->place + OUT, 0))
                return EFI_OUT_OF_RESOURCES;
        status = call(g->fw, member, args, n);
        if (efi_error(status))
                return status;
        if (!ram_get_u64(g->fw->ram, g->place + OUT, &opened) || !opened)
                return EFI_LOAD_ERROR;
        close_file(g);
        g->file = opened;
        return EFI_SUCCESS;
}

/* Each File node is relative to the one before (10.3.5.4). */
static EFI_STATUS open_nodes(struct guest_file *g, struct span nodes)
{
        struct cursor c = CURSOR(nodes);
        struct device_path_node node;

        while (device_path_next(&c, &node) && !device_path_is_end(&node)) {
                uint64_t args[5] = {
                                g->file, g->place + OUT, g->place + BLOCK, EFI_FILE_MODE_READ, 0};
                EFI_STATUS status;

                if (node.type != DEVICE_PATH_MEDIA || node.subtype != DEVICE_PATH_MEDIA_FILE)
                        return EFI_NOT_FOUND; /* it names no file of the volume */
                if (node.data.size > BLOCK_BYTES - 2)
                        return EFI_NOT_FOUND;
                if (!ram_write(g->fw->ram, args[2], node.data.data, node.data.size) ||
                                !ram_write(g->fw->ram, args[2] + node.data.size, u"", 2))
                        return EFI_OUT_OF_RESOURCES;
                status = open_next(g, OPEN, args, ARRAY_SIZE(args));
                if (efi_error(status))
                        return status;
        }
        return EFI_SUCCESS;
}

static EFI_STATUS get_size(struct guest_file *g, uint64_t *ret)
{
        uint64_t args[4] = {g->file, g->place + GUID, g->place + OUT, g->place + BLOCK};
        struct ram *ram = g->fw->ram;
        uint64_t attribute, written;
        EFI_STATUS status;

        if (!ram_write(ram, args[1], &guid_file_info, sizeof(guid_file_info)) ||
                        !ram_put_u64(ram, args[2], BLOCK_BYTES))
                return EFI_OUT_OF_RESOURCES;
        status = call(g->fw, GET_INFO, args, ARRAY_SIZE(args));
        if (efi_error(status))
                return status;
        if (!ram_get_u64(ram, args[2], &written) || written < INFO_BYTES || written > BLOCK_BYTES ||
                        !ram_get_u64(ram, args[3] + INFO_FILE_SIZE, ret) ||
                        !ram_get_u64(ram, args[3] + INFO_ATTRIBUTE, &attribute))
                return EFI_LOAD_ERROR;
        return attribute & EFI_FILE_DIRECTORY ? EFI_NOT_FOUND : EFI_SUCCESS;
}

/* To the end of the file or of size bytes; a Read may give less than was asked for. */
static EFI_STATUS read_into(struct guest_file *g, uint64_t address, uint64_t size, uint64_t *done)
{
        uint64_t n = 1;

        for (*done = 0; *done < size && n > 0; *done += n) {
                uint64_t args[3] = {g->file, g->place + OUT, address + *done};
                EFI_STATUS status;

                if (!ram_put_u64(g->fw->ram, args[1], size - *done))
                        return EFI_OUT_OF_RESOURCES;
                status = call(g->fw, READ, args, ARRAY_SIZE(args));
                if (efi_error(status))
                        return status;
                if (!ram_get_u64(g->fw->ram, args[1], &n) || n > size - *done)
                        return EFI_LOAD_ERROR;
        }
        return EFI_SUCCESS;
}

static EFI_STATUS read_whole(struct guest_file *g, struct buf *ret)
{
        struct memory_request request = {
                        .allocate_type = AllocateAnyPages,
                        .memory_type = EfiBootServicesData,
                        .owner = MEMORY_FIRMWARE,
        };
        uint64_t address = 0, size = 0, done;
        EFI_STATUS status = get_size(g, &size);
        struct span bytes;

        if (efi_error(status))
                return status;
        if (size == 0 || size > ram_budget_bytes(g->fw->ram))
                return size ? EFI_OUT_OF_RESOURCES : EFI_LOAD_ERROR;
        request.n_pages = (size + EFI_PAGE_SIZE - 1) >> EFI_PAGE_SHIFT;
        status = memory_allocate(g->fw, &request, &address);
        if (efi_error(status))
                return status;
        status = read_into(g, address, size, &done);
        if (!efi_error(status) && !ram_view(g->fw->ram, address, done, &bytes))
                status = EFI_LOAD_ERROR;
        if (!efi_error(status))
                buf_put_span(ret, bytes);
        (void)memory_free(g->fw, address, request.n_pages, MEMORY_FIRMWARE);
        return status;
}

EFI_STATUS fw_read_guest_file(struct firmware *fw, uint64_t file_system,
                struct span file_path_nodes, struct buf *ret)
{
        struct guest_file g = {.fw = fw};
        EFI_STATUS status = pool_allocate_own(
                        fw, EfiBootServicesData, BLOCK + BLOCK_BYTES, &g.place);

        if (efi_error(status))
                return status;
        status = open_next(&g, OPEN_VOLUME, (uint64_t[]){file_system, g.place + OUT}, 2);
        if (!efi_error(status))
                status = open_nodes(&g, file_path_nodes);
        if (!efi_error(status))
                status = read_whole(&g, ret);
        close_file(&g);
        (void)pool_free_own(fw, g.place);
        return status;
}
