/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the payload file lies as EFI sees it: the volume (an ESP directory), the path on it, and
 * the volume's device path. Called by the verbs; knows files of this machine, no guest. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct esp {
        int fd;                 /* directory of the volume's root, -1: none */
        char *root;             /* its path on this machine */
        char *file_path;        /* "\EFI\Linux\b.efi": the payload on that volume */
        struct buf device_path; /* of the volume, with End node */
        bool is_partition; /* false: the payload is outside of any ESP and its own folder is the
                              volume */
};

#define ESP_NONE ((struct esp){.fd = -1})

/* directory: --esp, or NULL to look where bootctl looks ($SYSTEMD_ESP_PATH, /efi, /boot,
 * /boot/efi). A payload that is outside of the ESP gets its own folder as volume, under a vendor
 * device path of ours: firmware could not have started it from there, and its log shall not say so.
 * payload NULL: only the ESP itself (-ENOENT if there is none). log: the firmware log, whose
 * image-load events tell the full device path of the partition; may be empty (then the short form
 * HD(...) is made from sysfs). */
int esp_find(const char *directory, const char *payload, struct span log, struct esp *ret,
                struct error *error);
void esp_release(struct esp *esp);

/* The volume's device path of another machine (--machine) instead of this one's. */
int esp_set_device_path(struct esp *esp, struct span device_path);
