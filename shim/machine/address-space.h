/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guest process has mapped: first everything that fork() gave it, then guest RAM at
 * virtual address
 * == physical address and nothing else. Used by the ptrace back end only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shim/machine/guest-process.h"
#include "shim/machine/ram.h"

/* Empties the address space, maps every RAM range without access, closes the child's descriptors,
 * looks into /proc whether it is as it should be, and shuts /proc to others. 0 or -errno. */
int address_space_become_ram(
                struct guest_process *guest, const struct ram *ram, struct error *error);

/* Gives the guest read, write and execute access to [start, end), inside RAM, or takes it. 0 or
 * -errno. */
int address_space_protect(struct guest_process *guest, uint64_t start, uint64_t end, bool is_open);
