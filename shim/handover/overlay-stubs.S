/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The overlay's head (struct overlay_code_header) and the services that go through to the firmware: a jump
 * with everything as the caller left it. Linked with overlay-code.c by build-overlay.sh. */
#define OVERLAY_ASM
#include "shim/handover/overlay-layout.h"

        .section .head, "ax", @progbits
        .hidden overlay_data

        .globl overlay_code_start
        .hidden overlay_code_start
overlay_code_start:
        .quad   OVERLAY_CODE_MAGIC
        .long   overlay_data - overlay_code_start
        .long   slot_0 - overlay_code_start             /* GetTime */
        .long   slot_1 - overlay_code_start             /* SetTime */
        .long   slot_2 - overlay_code_start             /* GetWakeupTime */
        .long   slot_3 - overlay_code_start             /* SetWakeupTime */
        .long   overlay_set_virtual_address_map - overlay_code_start
        .long   unsupported - overlay_code_start        /* ConvertPointer: only during the former */
        .long   overlay_get_variable - overlay_code_start
        .long   overlay_get_next_variable_name - overlay_code_start
        .long   overlay_set_variable - overlay_code_start
        .long   slot_9 - overlay_code_start             /* GetNextHighMonotonicCount */
        .long   slot_10 - overlay_code_start            /* ResetSystem */
        .long   slot_11 - overlay_code_start            /* UpdateCapsule */
        .long   slot_12 - overlay_code_start            /* QueryCapsuleCapabilities */
        .long   slot_13 - overlay_code_start            /* QueryVariableInfo */

        .macro  through n
        .balign 16
slot_\n:
        movq    overlay_data+OVERLAY_FIRMWARE_FIELD(%rip), %rax
        testq   %rax, %rax
        jz      unsupported
        jmp     *(OVERLAY_TABLE_HEADER + 8 * \n)(%rax)
        .endm

        through 0
        through 1
        through 2
        through 3
        through 9
        through 10
        through 11
        through 12
        through 13

        .balign 16
unsupported:
        movabsq $0x8000000000000003, %rax               /* EFI_UNSUPPORTED */
        ret

        .section .note.GNU-stack, "", @progbits
