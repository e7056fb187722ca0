/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guard image: what `load` gives to the kernel, so that a stray `kexec -e` or `systemctl kexec`
 * resets the machine (port 0xcf9, keyboard controller, triple fault) instead of starting anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/firmware/firmware.h"

#define GUARD_SIZE 4096u /* one page, entry at its start */

void guard_build(uint8_t page[GUARD_SIZE]);
/* A page of conventional memory below 4 GB, not in the first MiB. */
bool guard_choose_page(const struct fw_memory_range *memory, size_t n, uint64_t *ret);
