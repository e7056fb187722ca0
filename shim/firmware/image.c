/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images: LoadImage, StartImage, Exit and UnloadImage as plain functions (UEFI 2.10, 7.4). An image
 * that runs has a place in the chain of those that run and can't be unloaded; image structures are
 * looked up again after every call into the guest. */
#include "shim/firmware/image.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "base/device-path.h"
#include "shim/firmware/events.h"
#include "shim/firmware/handles.h"
#include "shim/firmware/memory.h"
#include "shim/firmware/secure-boot.h"

#define MAX_IMAGES 1024u
#define MAX_DENIED 16u /* that are told; a payload may try forever */

enum image_state { IMAGE_LOADED, IMAGE_RUNNING, IMAGE_RETURNED };

struct image {
        uint64_t handle;
        enum image_state state;
        uint16_t subsystem;
        struct image_place place;
        uint64_t protocol; /* Loaded Image */
        uint64_t path;     /* copy of the device path, or 0 */
        uint64_t options;
        struct buf file; /* its bytes, if setup.keep_files */
        bool verified;
        struct image_parts parts;
        bool unloading;
        char name[40];

        /* while it runs */
        struct image *previous;
        unsigned depth; /* of the call of its entry point */
        bool exited;
        EFI_STATUS exit_status;
        uint64_t exit_data, exit_data_size;
};

struct fw_images {
        struct image **images;
        size_t n;
        struct image *current;
        struct image *last; /* the one that ran when the run ended */
        unsigned nesting;
        uint64_t kept_bytes; /* of all files */
        char refusal[512];
        char denied[MAX_DENIED][600];
        size_t n_denied;
};

int images_setup(struct firmware *fw, struct error *error)
{
        fw->images = calloc(1, sizeof(*fw->images));
        return fw->images ? 0 : error_set(error, ENOMEM, "out of memory");
}

void images_release(struct firmware *fw)
{
        if (!fw->images)
                return;
        for (size_t i = 0; i < fw->images->n; i++) {
                buf_release(&fw->images->images[i]->file);
                image_parts_release(&fw->images->images[i]->parts);
                free(fw->images->images[i]);
        }
        free(fw->images->images);
        free(fw->images);
        fw->images = NULL;
}

static struct image *image_find(const struct firmware *fw, uint64_t handle)
{
        for (size_t i = 0; i < fw->images->n; i++)
                if (fw->images->images[i]->handle == handle)
                        return fw->images->images[i];
        return NULL;
}

bool image_exists(const struct firmware *fw, uint64_t handle)
{
        return image_find(fw, handle);
}

bool image_locate(const struct firmware *fw, uint64_t address, char *to, size_t size)
{
        for (size_t i = 0; i < fw->images->n; i++) {
                const struct image *im = fw->images->images[i];

                if (address - im->place.base >= im->place.size)
                        continue;
                snprintf(to, size, "%s+0x%llx", im->name,
                                (unsigned long long)(address - im->place.base));
                return true;
        }
        return false;
}

void image_refuse(struct firmware *fw, const char *format, ...)
{
        char *text = fw->images->refusal;
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(fw->images->refusal), format, ap);
        va_end(ap);
        fw_trace(fw, "  not loaded: %s", text);
}

const char *image_refusal(const struct firmware *fw)
{
        return fw->images->refusal;
}

/* The last file name of the path, for messages; what *to holds stays if there is none. */
static void name_from_path(struct span path, char *to, size_t size)
{
        struct cursor c = CURSOR(path);
        struct device_path_node node;
        const char *base;

        while (device_path_next(&c, &node)) {
                _cleanup_free_ char *text = NULL;

                if (node.type != DEVICE_PATH_MEDIA || node.subtype != DEVICE_PATH_MEDIA_FILE)
                        continue;
                text = utf16_to_text(node.data);
                base = text ? strrchr(text, '\\') : NULL;
                base = base ? base + 1 : text;
                if (base && *base)
                        snprintf(to, size, "%s", base);
        }
        for (char *p = to; *p; p++) /* it ends in messages on somebody's terminal */
                if (*p < ' ' || *p > '~')
                        *p = '?';
}

static void image_set_name(struct image *im, struct span path)
{
        snprintf(im->name, sizeof(im->name), "image#%llu",
                        (unsigned long long)handle_number(im->handle));
        name_from_path(path, im->name, sizeof(im->name));
}

/* ---- loading ---- */

static void image_free(struct firmware *fw, struct image *im)
{
        struct fw_images *all = fw->images;
        uint64_t interface;

        for (size_t i = 0; i < all->n; i++)
                if (all->images[i] == im) {
                        memmove(&all->images[i], &all->images[i + 1],
                                        (all->n - i - 1) * sizeof(*all->images));
                        all->n--;
                        break;
                }
        if (im->handle) {
                handles_close_agent(fw, im->handle);
                /* The payload may have reinstalled them; what it holds open by a driver stays, as a
                 * pointer to memory that is gone. */
                if (!efi_error(fw_handle_protocol(
                                    fw, im->handle, &guid_loaded_image_device_path, &interface)))
                        (void)fw_uninstall_protocol(
                                        fw, im->handle, &guid_loaded_image_device_path, interface);
                if (!efi_error(fw_handle_protocol(fw, im->handle, &guid_loaded_image, &interface)))
                        (void)fw_uninstall_protocol(fw, im->handle, &guid_loaded_image, interface);
        }
        if (im->protocol)
                fw_object_free(fw, im->protocol);
        if (im->path)
                (void)pool_free_own(fw, im->path);
        if (im->options)
                (void)pool_free_own(fw, im->options);
        if (im->place.n_pages)
                image_remove(fw, &im->place);
        all->kept_bytes -= im->file.size;
        buf_release(&im->file);
        image_parts_release(&im->parts);
        free(im);
}

static struct image *image_new(struct fw_images *all)
{
        struct image **grown;
        struct image *im;

        if (all->n >= MAX_IMAGES)
                return NULL;
        grown = reallocarray(all->images, all->n + 1, sizeof(struct image *));
        if (!grown)
                return NULL;
        all->images = grown;
        im = calloc(1, sizeof(*im));
        if (im)
                all->images[all->n++] = im;
        return im;
}

static EFI_STATUS put_own(struct firmware *fw, struct span bytes, uint64_t *address)
{
        EFI_STATUS status = pool_allocate_own(fw, EfiBootServicesData, bytes.size, address);

        if (efi_error(status)) {
                *address = 0;
                return status;
        }
        return ram_write(fw->ram, *address, bytes.data, bytes.size) ? EFI_SUCCESS
                                                                    : EFI_OUT_OF_RESOURCES;
}

/* Device handle and what of the path is behind it, as edk2 splits it; without such a device the
 * whole path. */
static EFI_STATUS image_set_path(
                struct firmware *fw, struct image *im, struct span path, struct loaded_image *what)
{
        EFI_STATUS status;

        if (!path.size)
                return EFI_SUCCESS;
        status = put_own(fw, path, &im->path);
        if (efi_error(status))
                return status;
        what->file_path = im->path;
        (void)fw_locate_device_path(
                        fw, &guid_device_path, im->path, &what->device_handle, &what->file_path);
        return EFI_SUCCESS;
}

static EFI_STATUS image_install(
                struct firmware *fw, struct image *im, uint64_t parent, struct span path)
{
        struct loaded_image what = {.parent = parent, .place = &im->place};
        EFI_STATUS status = image_set_path(fw, im, path, &what);

        if (efi_error(status))
                return status;
        if (loaded_image_new(fw, &what, &im->protocol) < 0)
                return EFI_OUT_OF_RESOURCES;
        status = fw_install_protocol(fw, &im->handle, &guid_loaded_image, im->protocol);
        if (!efi_error(status))
                status = fw_install_protocol(
                                fw, &im->handle, &guid_loaded_image_device_path, im->path);
        return status;
}

EFI_STATUS image_verify(
                struct firmware *fw, uint64_t parent, struct span device_path, struct span file)
{
        const struct image *loader = image_find(fw, parent);
        struct fw_images *all = fw->images;
        EFI_STATUS status = fw_verify_image(fw, file,
                        loader && loader->verified && image_parts_have(&loader->parts, file));
        char name[40] = "an image from memory";

        if (status != EFI_ACCESS_DENIED || all->n_denied == MAX_DENIED)
                return status;
        name_from_path(device_path, name, sizeof(name));
        snprintf(all->denied[all->n_denied++], sizeof(all->denied[0]), "%s: %s", name,
                        all->refusal);
        return status;
}

EFI_STATUS image_load(struct firmware *fw, uint64_t parent, struct span device_path,
                struct span file, uint64_t *handle)
{
        EFI_STATUS status = image_verify(fw, parent, device_path, file);

        return efi_error(status) ? status
                                 : image_load_verified(fw, parent, device_path, file, true, handle);
}

EFI_STATUS image_load_verified(struct firmware *fw, uint64_t parent, struct span device_path,
                struct span file, bool measured, uint64_t *handle)
{
        struct error error = {0};
        EFI_STATUS status;
        struct image *im;
        struct pe pe;

        if (pe_parse(file, &pe, &error) < 0) {
                image_refuse(fw, "%s", error.text);
                return EFI_LOAD_ERROR;
        }
        status = image_check(fw, &pe);
        if (efi_error(status))
                return status;
        if (measured)
                status = fw_measure_image(fw, file, device_path, pe.image_base, pe.subsystem);
        if (efi_error(status)) {
                image_refuse(fw, "it couldn't be measured");
                return status;
        }
        im = image_new(fw->images);
        if (!im)
                return EFI_OUT_OF_RESOURCES;
        im->subsystem = pe.subsystem;
        im->verified = measured && fw->setup.image_policy;
        status = image_parts_note(fw, &pe, &im->parts) ? image_place(fw, &pe, &im->place)
                                                       : EFI_OUT_OF_RESOURCES;
        if (!efi_error(status))
                status = image_install(fw, im, parent, device_path);
        if (efi_error(status)) {
                image_free(fw, im);
                return status;
        }
        image_set_name(im, device_path);
        fw_trace(fw, "  %s is at 0x%llx-0x%llx, entry 0x%llx", im->name,
                        (unsigned long long)im->place.base,
                        (unsigned long long)(im->place.base + im->place.size - 1),
                        (unsigned long long)im->place.entry);
        *handle = im->handle;
        return EFI_SUCCESS;
}

void image_keep_file(struct firmware *fw, uint64_t handle, struct buf *file)
{
        struct image *im = image_find(fw, handle);

        if (!im || !fw->setup.keep_files)
                return;
        im->file = *file;
        fw->images->kept_bytes += file->size;
        *file = (struct buf){0};
}

bool image_has_room(const struct firmware *fw, uint64_t bytes)
{
        uint64_t room = ram_budget_bytes(fw->ram);

        return !fw->setup.keep_files ||
               (fw->images->kept_bytes <= room && bytes <= room - fw->images->kept_bytes);
}

EFI_STATUS image_set_load_options(struct firmware *fw, uint64_t handle, struct span options)
{
        struct image *im = image_find(fw, handle);
        EFI_STATUS status;

        if (!im || im->options || options.size > UINT32_MAX)
                return EFI_INVALID_PARAMETER;
        if (!options.size)
                return EFI_SUCCESS;
        status = put_own(fw, options, &im->options);
        if (efi_error(status))
                return status;
        return loaded_image_set_options(fw, im->protocol, im->options, (uint32_t)options.size)
                               ? EFI_SUCCESS
                               : EFI_OUT_OF_RESOURCES;
}

/* ---- running ---- */

static EFI_STATUS image_finish(struct firmware *fw, struct image *im, EFI_STATUS status,
                uint64_t tpl, uint64_t *exit_data_size, uint64_t *exit_data)
{
        im->state = IMAGE_RETURNED;
        if (im->exited)
                status = im->exit_status;
        *exit_data = im->exit_data;
        *exit_data_size = im->exit_data_size;
        if (fw->exited_boot_services)
                return status;
        events_set_tpl(fw, tpl);
        /* 7.4.2: applications and whatever failed don't stay. */
        if (efi_error(status) || im->subsystem == IMAGE_SUBSYSTEM_EFI_APPLICATION)
                image_free(fw, im);
        return status;
}

EFI_STATUS image_start(
                struct firmware *fw, uint64_t handle, uint64_t *exit_data_size, uint64_t *exit_data)
{
        const uint64_t args[2] = {handle, fw->system_table};
        struct fw_images *all = fw->images;
        struct image *im = image_find(fw, handle);
        uint64_t result, tpl = events_tpl(fw);
        int r;

        *exit_data = *exit_data_size = 0;
        if (!im || im->state != IMAGE_LOADED || im->unloading)
                return EFI_INVALID_PARAMETER;
        if (all->nesting >= IMAGE_MAX_NESTING) {
                fw_trace(fw, "  not started: %u images run within each other", all->nesting);
                return EFI_OUT_OF_RESOURCES;
        }
        im->state = IMAGE_RUNNING;
        im->previous = all->current;
        im->depth = fw->depth + 1;
        all->current = im;
        all->nesting++;
        /* It stays in memory and in the list while it runs: image_unload refuses. */
        r = fw_call(fw, im->place.entry, args, ARRAY_SIZE(args), &result);
        all->nesting--;
        all->current = im->previous;
        if (r == -ELOOP) {
                im->state = IMAGE_LOADED;
                return EFI_OUT_OF_RESOURCES;
        }
        if (r < 0) {
                im->state = IMAGE_RETURNED;
                if (fw->ended && !all->last)
                        all->last = im; /* the innermost comes here first */
                return EFI_ABORTED;
        }
        return image_finish(fw, im, result, tpl, exit_data_size, exit_data);
}

EFI_STATUS image_exit(struct firmware *fw, uint64_t handle, EFI_STATUS status, uint64_t data_size,
                uint64_t data)
{
        struct image *im = image_find(fw, handle);
        struct span bytes;

        if (!im || im->unloading)
                return EFI_INVALID_PARAMETER;
        if (im->state == IMAGE_LOADED) {
                image_free(fw, im);
                return EFI_SUCCESS;
        }
        if (im != fw->images->current)
                return EFI_INVALID_PARAMETER;
        im->exited = true;
        im->exit_status = status;
        im->exit_data = im->exit_data_size = 0;
        if (data && data_size && !fw->exited_boot_services &&
                        ram_view(fw->ram, data, data_size, &bytes)) {
                _cleanup_buf_ struct buf copy = {0};

                buf_put_span(&copy, bytes);
                if (!buf_failed(&copy) && !efi_error(fw_pool_put(fw, EfiBootServicesData,
                                                          buf_span(&copy), &im->exit_data)))
                        im->exit_data_size = data_size;
        }
        fw->unwind_to = im->depth;
        return EFI_SUCCESS;
}

EFI_STATUS image_unload(struct firmware *fw, uint64_t handle)
{
        struct image *im = image_find(fw, handle);
        uint64_t function, result;
        int r;

        if (!im || im->unloading)
                return EFI_INVALID_PARAMETER;
        if (im->state == IMAGE_RUNNING)
                return EFI_UNSUPPORTED;
        if (im->state == IMAGE_RETURNED) {
                if (!loaded_image_get_unload(fw, im->protocol, &function) || !function)
                        return EFI_UNSUPPORTED;
                im->unloading = true;
                r = fw_call(fw, function, &handle, 1, &result);
                im->unloading = false; /* nothing frees an image that is being unloaded */
                if (r < 0)
                        return EFI_ABORTED;
                if (efi_error(result))
                        return result;
        }
        image_free(fw, im);
        return EFI_SUCCESS;
}

/* ---- for those who run the firmware ---- */

const char *firmware_denied(const struct firmware *fw, size_t i)
{
        return i < fw->images->n_denied ? fw->images->denied[i] : NULL;
}

int firmware_image_files(const struct firmware *fw, struct fw_image_file **ret, size_t *n)
{
        const struct fw_images *all = fw->images;
        struct fw_image_file *files;

        if (!fw->setup.keep_files)
                return -ENODATA;
        files = calloc(all->n + 1, sizeof(*files));
        if (!files)
                return -ENOMEM;
        for (size_t i = 0; i < all->n; i++) {
                const struct image *im = all->images[i];

                files[i].file = buf_span(&im->file);
                files[i].is_payload = im->handle == fw->image_handle;
                files[i].verified = im->verified;
                files[i].ran_last = im == all->last;
                memcpy(files[i].name, im->name, sizeof(files[i].name));
        }
        *ret = files;
        *n = all->n;
        return 0;
}
