/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guard image: resets the machine by three ways, one after the other. Entered by kexec in 64-bit mode,
 * interrupts off; needs no stack and no memory but its own page. */

        .section .rodata.guard, "a", @progbits
        .balign 16
        .globl guard_code, guard_end
        .hidden guard_code, guard_end

        .macro  wait_a_little
        movl    $0x40000, %ecx
1:      pause
        decl    %ecx
        jnz     1b
        .endm

guard_code:
        cli
        lidt    .Lidtr(%rip)
        movw    $0xcf9, %dx     /* reset control register: hard reset requested, then done */
        movb    $0x02, %al
        outb    %al, %dx
        movb    $0x06, %al
        outb    %al, %dx
        wait_a_little
        movb    $0xfe, %al      /* keyboard controller: pulse the reset line */
        outb    %al, $0x64
        wait_a_little
        int3                    /* without an IDT: triple fault, which is a reset */
1:      hlt
        jmp     1b
        .balign 8
.Lidtr: .word   0
        .quad   0
guard_end:

        .section .note.GNU-stack, "", @progbits
