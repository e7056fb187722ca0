/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls that the broker makes in the guest's name (mmap, mprotect ...), through the gate:
 * one page outside RAM, readable and executable but not writable, with `syscall` at its start. It
 * gives a payload nothing that it couldn't write into its own memory: whoever runs it stops, and
 * only the broker's own sequence of stops lets a call through. */
#pragma once

#include <stdint.h>

#include "shim/machine/guest-process.h"

#define GATE_SYSCALL_BYTES 2

/* Maps the gate into the caller, from where the child inherits it; unmap with gate_unmap() after
 * fork(). */
int gate_map(uint64_t *ret, struct error *error);
void gate_unmap(uint64_t gate);

/* Carries out a system call in the stopped guest; its registers are lost (the caller keeps them).
 * *ret is what the kernel answered (-errno included). 0, or -errno if the guest didn't do as it was
 * told. */
int remote_syscall(struct guest_process *guest, long number, const uint64_t args[6], int64_t *ret);

#define REMOTE_SYSCALL(guest, ret, number, ...) \
        remote_syscall((guest), (number), (const uint64_t[6]){__VA_ARGS__}, (ret))
