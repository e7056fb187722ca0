/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The code of the trampoline page (trampoline.c fills in the rest): position independent, no stack but its
 * own, entered by kexec in 64-bit mode with interrupts off and all registers zero (relocate_kernel_64.S). It
 * is data in our own program; nothing here ever runs in the broker. */

        .section .rodata.trampoline, "a", @progbits
        .balign 16
        .globl trampoline_code, trampoline_jobs, trampoline_params, trampoline_end
        .hidden trampoline_code, trampoline_jobs, trampoline_params, trampoline_end

        .set CODE, 0x10         /* __BOOT_CS, __BOOT_DS of the Linux/x86 boot protocol */
        .set DATA, 0x18

trampoline_code:
        cli
        cld
        leaq    .Lstack_top(%rip), %rsp
        leaq    .Lgdt(%rip), %rax
        movq    %rax, .Lgdtr+2(%rip)
        lgdt    .Lgdtr(%rip)
        lidt    .Lidtr(%rip)            /* a fault from here on is a reset, not a jump into nowhere */
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        pushq   $CODE
        leaq    .Lcode64(%rip), %rax
        pushq   %rax
        lretq
.Lcode64:
        /* kexec leaves SSE unusable; firmware (UEFI 2.10, 2.3.4) leaves it on, and so does our guest */
        movq    %cr0, %rax
        andq    $~((1 << 2) | (1 << 3) | (1 << 18)), %rax       /* EM, TS, AM */
        orq     $((1 << 1) | (1 << 5)), %rax                    /* MP, NE */
        movq    %rax, %cr0
        movq    %cr4, %rax
        orq     $((1 << 9) | (1 << 10)), %rax                   /* OSFXSR, OSXMMEXCPT */
        movq    %rax, %cr4
        fninit
        ldmxcsr .Lmxcsr(%rip)
        call    .Ljobs

        pushq   .Lparams+17*8(%rip)     /* RFLAGS; nothing below touches them */
        popfq
        movq    .Lparams+0*8(%rip), %rax
        movq    .Lparams+1*8(%rip), %rcx
        movq    .Lparams+2*8(%rip), %rdx
        movq    .Lparams+3*8(%rip), %rbx
        movq    .Lparams+4*8(%rip), %rsp
        movq    .Lparams+5*8(%rip), %rbp
        movq    .Lparams+6*8(%rip), %rsi
        movq    .Lparams+7*8(%rip), %rdi
        movq    .Lparams+8*8(%rip), %r8
        movq    .Lparams+9*8(%rip), %r9
        movq    .Lparams+10*8(%rip), %r10
        movq    .Lparams+11*8(%rip), %r11
        movq    .Lparams+12*8(%rip), %r12
        movq    .Lparams+13*8(%rip), %r13
        movq    .Lparams+14*8(%rip), %r14
        movq    .Lparams+15*8(%rip), %r15
        jmp     *.Lparams+16*8(%rip)

/* The jobs: bytes, so that an area that begins or ends inside a page keeps its neighbours. Uses
 * caller-saved registers of the System V ABI only. */
trampoline_jobs:
.Ljobs:
        leaq    .Lparams+19*8(%rip), %r8
        movq    .Lparams+18*8(%rip), %r9
1:      testq   %r9, %r9
        jz      4f
        movq    (%r8), %rdi
        movq    8(%r8), %rsi
        movq    16(%r8), %rcx
        testq   %rsi, %rsi
        jz      2f
        rep movsb
        jmp     3f
2:      xorl    %eax, %eax
        rep stosb
3:      addq    $24, %r8
        decq    %r9
        jmp     1b
4:      ret

        .balign 8
.Lgdt:  .quad   0
        .quad   0
        .quad   0x00af9b000000ffff      /* CODE: 64-bit */
        .quad   0x00cf93000000ffff      /* DATA: flat */
.Lgdt_end:
        .balign 8
        .skip   6                       /* so that the base in it is aligned */
.Lgdtr: .word   .Lgdt_end - .Lgdt - 1
        .quad   0
.Lidtr: .word   0
        .quad   0
        .balign 8
.Lmxcsr:
        .long   0x1f80
        .balign 16
        .skip   64
.Lstack_top:

/* Filled in: 18 registers in the order of shim/machine/vcpu.h, number of jobs, jobs. */
trampoline_params:
.Lparams:
        .skip   (18 + 1 + 4 * 3) * 8
trampoline_end:

        .section .note.GNU-stack, "", @progbits
