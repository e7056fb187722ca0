/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names the privileged instruction at rip and carries out the few that payloads need before
 * ExitBootServices (one row each in instruction.c). Pure: bytes and registers in, registers out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "shim/machine/vcpu.h"

enum instruction_result {
        INSTRUCTION_EMULATED, /* regs are those after it, rip included */
        INSTRUCTION_REFUSED,  /* privileged, known, but not for payloads: name says which */
        INSTRUCTION_UNKNOWN,  /* not a privileged one: the #GP has another reason (a non-canonical
                               * address,  a bad selector, int); so it is never the hand-over point
                               */
};

struct instruction {
        char name[32]; /* "mov %cr0,%rax", "rdmsr 0xc0010131", "cli"; UNKNOWN: "iretq", "int $0x10"
                          or "" */
        unsigned length; /* bytes, 0 if unknown */
};

/* bytes: what is readable at rip, at most 15. code64: CS is a 64-bit code segment (else UNKNOWN).
 */
enum instruction_result instruction_emulate(
                struct span bytes, bool code64, struct vcpu_regs *regs, struct instruction *ret);
