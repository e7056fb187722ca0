/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The second source of the machine's memory map: the e820 table that the running kernel was started
 * with, in its boot_params page and SETUP_E820_EXT nodes. host-memory.c asks for it where the
 * kernel has no /sys/firmware/memmap, which it makes of the same table. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/span.h"
#include "shim/handover/host-memory.h"

/* -EINVAL: no entries, or one that makes no sense; -E2BIG: more than `max`. */
int host_e820_parse(struct span page, const struct buf *extensions, size_t n_extensions,
                struct host_entry *entries, size_t max, size_t *ret_n, struct error *error);

/* -ENOENT: no page either. */
int host_e820_read(const char *sysfs_root, struct host_entry *entries, size_t max, size_t *ret_n,
                struct error *error);
