/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_TIME (UEFI 2.10, 8.3), 16 bytes, to and from the Unix clock. Always written as UTC. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/span.h"

#define EFI_TIME_SIZE            16
#define EFI_UNSPECIFIED_TIMEZONE 0x07ff

void efi_time_put(struct buf *to, struct timespec time);
/* False: the cursor has too few bytes, or a field is out of the specification's range. All fields
 * zero is false too: File.SetInfo uses that for "leave it". */
bool efi_time_take(struct cursor *from, struct timespec *ret);
