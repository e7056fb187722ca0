/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads an efivarfs directory (normally /sys/firmware/efi/efivars) into the snapshot that a run of
 * the firmware starts from. Only reads; knows nothing of what a payload may see. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "shim/firmware/firmware.h"

/* Files are called Name-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx and hold 4 bytes of attributes (little
 * endian) and the data; what has another name or is no regular file is passed over. The result is
 * sorted by name, then GUID, and is the caller's (efivarfs_free).
 *
 * -ENOENT: no such directory (a machine without EFI); -EFBIG: beyond any sane size. A variable that
 * can't be read is left out (buggy firmware gives EIO for some), unless it is one of the Secure
 * Boot state, where "absent" would be a wrong answer: then the error is the read's own. */
int efivarfs_read(const char *directory, struct fw_variable **ret, size_t *ret_n,
                struct error *error);
void efivarfs_free(struct fw_variable *variables, size_t n);
