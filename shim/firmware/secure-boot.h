/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secure Boot as the firmware enforces it: what every LoadImage has to pass, and what firmware
 * measures of it in PCR 7. Works on setup.image_policy; without one nothing is demanded and nothing
 * is measured there. Judging is tcg2/image-policy's. */
#pragma once

#include "shim/firmware/internal.h"
#include "tcg2/pe.h"

/* Measures SecureBoot, PK, KEK, db and dbx as firmware does before anything is loaded. */
int fw_secure_boot_setup(struct firmware *fw, struct error *error);

/* May the file be loaded? vouched: it is a part of an image that was. EFI_ACCESS_DENIED as edk2
 * answers, with image_refuse's line; an authority is measured, once. */
EFI_STATUS fw_verify_image(struct firmware *fw, struct span file, bool vouched);
void fw_secure_boot_free(struct firmware *fw);

/* What of an accepted image may be loaded without a signature of its own: its sections, each as a
 * whole. So does shim, and so do UKIs of systemd's stub up to 257 demand it of firmware: the kernel
 * in .linux needn't be signed, since the UKI is. */
struct image_parts {
        struct image_part *part;
        size_t n;
};

/* Nothing without setup.image_policy. False: out of memory. */
bool image_parts_note(const struct firmware *fw, const struct pe *pe, struct image_parts *ret);
bool image_parts_have(const struct image_parts *parts, struct span file);
void image_parts_release(struct image_parts *parts);
