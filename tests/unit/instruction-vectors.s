# SPDX-License-Identifier: LGPL-2.1-or-later
# What test-instruction.c checks the decoder with: assembled by gas and disassembled by objdump into
# instruction-vectors.def (instruction-vectors.sh). Sections tell what is expected.
        .section privileged, "ax"
        hlt
        cli
        sti
        clts
        invd
        wbinvd
        wbnoinvd
        swapgs
        xsetbv
        rdpmc
        rdmsr
        wrmsr
        sysretl
        sysretq
        sysexitl
        sysexitq
        mov %cr2, %rax
        mov %cr3, %rax
        mov %cr3, %r15
        mov %cr8, %rdi
        mov %rax, %cr0
        mov %rbx, %cr3
        mov %r9, %cr4
        mov %r14, %cr8
        mov %db7, %rax
        mov %db0, %r12
        mov %rcx, %db7
        mov %r8, %db6
        in $0x60, %al
        in $0x40, %ax
        in $0x40, %eax
        out %al, $0x80
        out %al, $0x43
        out %ax, $0x43
        out %eax, $0x43
        in (%dx), %al
        in (%dx), %ax
        in (%dx), %eax
        out %al, (%dx)
        out %ax, (%dx)
        out %eax, (%dx)
        insb (%dx), %es:(%rdi)
        insw (%dx), %es:(%rdi)
        insl (%dx), %es:(%rdi)
        rep insl (%dx), %es:(%rdi)
        outsb (%rsi), (%dx)
        outsw (%rsi), (%dx)
        outsl (%rsi), (%dx)
        rep outsb (%rsi), (%dx)
        lgdt (%rax)
        lgdt 0x1234(%rip)
        lgdt -8(%rsp)
        lgdt 0x12345678(%r12,%r13,8)
        lgdt 0x1000
        lgdt (,%rbx,4)
        lgdt (%ebp)
        lidt (%rbp)
        lidt 8(%r13)
        sgdt (%rsp)
        sidt (%rax,%rax)
        invlpg (%rdi)
        invlpg (%r15)
        lmsw %ax
        lmsw (%rdi)
        smsw %eax
        smsw (%rdi)
        lldt %ax
        lldt (%rbx)
        ltr %cx
        ltr (%r8)
        sldt %eax
        sldt (%rax)
        str %eax
        str (%rax)
        xsaves (%rdi)
        xsaves64 (%rdi)
        xrstors (%rsi)
        xrstors64 (%rsi)
        invpcid (%rdi), %rax
        invpcid 0x10(%rsp), %r9
        rex.W hlt
        .byte 0x66, 0xf4
        .byte 0x3e, 0xfa

        .section emulated, "ax"
        mov %cr0, %rax
        mov %cr0, %rdx
        mov %cr0, %r8
        mov %cr0, %r15
        mov %cr4, %rax
        mov %cr4, %rbx
        mov %cr4, %rsp
        mov %cr4, %r13
        in $0x40, %al

        .section unprivileged, "ax"
        iretl
        iretw
        iretq
        lretl
        lretq
        lretl $0x10
        lretq $0x10
        int $0x10
        int $0x80
        mov %eax, %ds
        mov (%rax), %ss
        lcall *(%rax)
        ljmp *0x10(%rsp)
        rex.W ljmp *(%rdi)
        xgetbv
        sysenter

        .section others, "ax"
        nop
        ret
        syscall
        cpuid
        rdtsc
        rdtscp
        ud2
        int3
        mov (%rax), %rbx
        mov %rax, 0x10(%rsp)
        push %rax
        call *%rax
        jmp *(%rdi)
        rdrand %eax
        rdfsbase %rax
        wrfsbase %rax
        movups %xmm0, (%rax)
        vmovdqu %ymm0, (%rax)
        cmpxchg16b (%rdi)
        lock cmpxchg16b (%rdi)
        rep movsb
        xsave (%rdi)
        xrstor (%rdi)
        fxsave (%rdi)
        vmcall
        vmmcall
        monitor
        mwait
        clac
        stac
        sfence
        pushfq
        popfq
        invept (%rdi), %rax
        .byte 0xf0, 0xfa
