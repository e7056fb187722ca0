/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the payload's last state in user space to what kexec_file_load takes: the inner kernel's
 * file, its initrd and its command line. What of it the payload measured must be what is handed
 * over, and that is compared by digest: nothing but the kernel's own start would tell otherwise. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "shim/firmware/firmware.h"
#include "tcg2/record.h"

struct file_handover {
        struct span kernel; /* part of the payload's file, or of one that it had LoadImage load */
        struct span initrd; /* as the kernel's EFI stub left it in guest RAM; empty: none */
        struct buf command_line; /* as that stub read it, without NUL */
};

/* fw must have its image files (firmware_image_files), and fw and its payload must outlive *ret.
 * -ENOEXEC: no Linux hand-over; -ENOTSUP: the kernel's file can't be told, or wasn't measured, or
 * the initrd isn't the one that was measured; -EINVAL, -EPERM as handover_find_boot_params. */
int file_handover_prepare(struct firmware *fw, const struct firmware_end *end,
                uint8_t host_secure_boot, const struct record *record, struct file_handover *ret,
                struct error *error);
void file_handover_release(struct file_handover *files);
