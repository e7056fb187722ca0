/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first code on the bare machine after kexec: makes the processor what the payload's next
 * instruction expects (GDT, SSE), carries out the copies into the ACPI log area, restores 16
 * registers and flags, and jumps. The code is trampoline.S; here its page is filled in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "shim/machine/vcpu.h"

#define TRAMPOLINE_SIZE     4096u /* one page of its own; entry at its start */
#define TRAMPOLINE_MAX_JOBS 4u

/* Copies n_bytes, or writes zeros if source is 0. Any alignment; never touches a byte beside. */
struct trampoline_job {
        uint64_t destination, source, n_bytes; /* physical */
};

/* regs: the state at the hand-over. IF, TF, NT, AC and what else isn't an arithmetic flag are
 * cleared. */
void trampoline_build(const struct vcpu_regs *regs, uint8_t page[TRAMPOLINE_SIZE]);
/* Replaces the jobs. False: too many, or a job wraps around. */
bool trampoline_set_jobs(
                uint8_t page[TRAMPOLINE_SIZE], const struct trampoline_job *jobs, size_t n);
/* Is this a page that trampoline_build made? (For images read from a file.) */
bool trampoline_is(struct span page);
/* Offset of the routine that does the jobs, callable as a C function without arguments (for the
 * test). */
size_t trampoline_jobs_offset(void);
