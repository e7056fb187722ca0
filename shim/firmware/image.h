/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images: loaded, started, left and unloaded (UEFI 2.10, 7.4), as firmware.c and the service edges
 * see them. */
#pragma once

#include "shim/firmware/internal.h"
#include "tcg2/pe.h"

#define IMAGE_MAX_NESTING 16u /* of StartImage */

int images_setup(struct firmware *fw, struct error *error);
void images_release(struct firmware *fw);

bool image_exists(const struct firmware *fw, uint64_t handle);

/* Why an image isn't loaded: a line in the trace, and kept for the message about the payload
 * itself. */
void image_refuse(struct firmware *fw, const char *format, ...)
                __attribute__((format(printf, 2, 3)));
const char *image_refusal(const struct firmware *fw); /* of the last one; "" */

/* May the file be loaded, by the signatures that are demanded? As edk2 before anything else, so
 * that a malformed file, too, is denied then. An authority is measured. EFI_ACCESS_DENIED. */
EFI_STATUS image_verify(
                struct firmware *fw, uint64_t parent, struct span device_path, struct span file);
/* Loads what was verified. measured: false only for what firmware wouldn't measure, either. */
EFI_STATUS image_load_verified(struct firmware *fw, uint64_t parent, struct span device_path,
                struct span file, bool measured, uint64_t *handle);
/* Verifies, checks, measures, places and relocates a PE file and gives it a handle with Loaded
 * Image and Loaded Image Device Path. parent may be 0. device_path: whole path with End node, or
 * empty. file must not be guest memory. EFI_LOAD_ERROR: malformed; EFI_UNSUPPORTED: another
 * machine's or not a program; what can't be measured isn't loaded. */
EFI_STATUS image_load(struct firmware *fw, uint64_t parent, struct span device_path,
                struct span file, uint64_t *handle);
/* False: the files that are kept would take more memory than the payload may. */
bool image_has_room(const struct firmware *fw, uint64_t bytes);
/* Makes the bytes of the image's file the image's own, if setup.keep_files; file is empty then. */
void image_keep_file(struct firmware *fw, uint64_t handle, struct buf *file);
/* Sets the load options of a loaded image (a copy in guest memory). */
EFI_STATUS image_set_load_options(struct firmware *fw, uint64_t handle, struct span options);
/* Runs it until it returns or exits; its status is the result. EFI_INVALID_PARAMETER: no image, or
 * started already. *exit_data: pool block of the caller's, or 0. If the run ended meanwhile:
 * EFI_ABORTED. */
EFI_STATUS image_start(struct firmware *fw, uint64_t handle, uint64_t *exit_data_size,
                uint64_t *exit_data);
/* The Exit service: EFI_SUCCESS means that the caller must not be returned to (fw->unwind_to is
 * set), or that the image wasn't started and is unloaded. */
EFI_STATUS image_exit(struct firmware *fw, uint64_t handle, EFI_STATUS status, uint64_t data_size,
                uint64_t data);
EFI_STATUS image_unload(struct firmware *fw, uint64_t handle);

/* "b.efi+0x1234" for messages; false if no image is there. */
bool image_locate(const struct firmware *fw, uint64_t address, char *to, size_t size);

/* ---- image-place.c: PE file into guest memory ---- */
struct image_place {
        uint64_t base, n_pages;
        uint64_t size;  /* SizeOfImage */
        uint64_t entry; /* address */
        uint32_t code_type, data_type;
};

/* Judges what pe_parse read: layout, machine, kind of program. EFI_LOAD_ERROR, EFI_UNSUPPORTED with
 * a line in the trace. */
EFI_STATUS image_check(struct firmware *fw, const struct pe *pe);
EFI_STATUS image_place(struct firmware *fw, const struct pe *pe, struct image_place *ret);
void image_remove(struct firmware *fw, const struct image_place *place);

/* ---- loaded-image.c: EFI_LOADED_IMAGE_PROTOCOL (9.1) in guest memory ---- */
struct loaded_image {
        uint64_t parent, device_handle, file_path;
        const struct image_place *place;
};

int loaded_image_new(struct firmware *fw, const struct loaded_image *what, uint64_t *ret_address);
bool loaded_image_set_options(
                struct firmware *fw, uint64_t address, uint64_t options, uint32_t size);
bool loaded_image_get_unload(struct firmware *fw, uint64_t address, uint64_t *function);
