/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The running kernel's setup_data, as /sys/kernel/boot_params/setup_data shows it: what the boot
 * before this one told the kernel beside boot_params. host-e820.c and the hand-over take the types
 * that they want; docs/machines.md says which reach the second kernel and why. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

#define HOST_SETUP_DATA_MAX_NODES 256u        /* a ROM for each function of a large machine */
#define HOST_SETUP_DATA_MAX_BYTES (64u << 20) /* of all nodes of a type */

struct host_setup_data {
        struct buf *nodes; /* without the header of the chain */
        size_t n;
};

void host_setup_data_release(struct host_setup_data *data);

/* All nodes of one type, in any order. No node, or no such folder: none. -E2BIG,
 * -EFBIG: more than the limits; -EINVAL: a type that makes no sense. The file is named. */
int host_setup_data_read(const char *sysfs_root, uint32_t type, struct host_setup_data *ret,
                struct error *error);

/* A SETUP_PCI node holds the ROM that it promises: the kernel believes its length. */
bool host_setup_data_is_rom(struct span node);
