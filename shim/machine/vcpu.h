/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The processor that runs the payload: a seam, so that another back end (KVM, an emulator, a
 * recorded run) can stand in for the ptrace one. The vCPU knows guest RAM and registers; it knows
 * no EFI. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "shim/machine/ram.h"

/* In the order of x86 register numbers (ModRM), then rip and rflags. Not REG_RAX and so on: glibc's
 * <signal.h> has those, with other numbers. */
enum {
        VCPU_RAX,
        VCPU_RCX,
        VCPU_RDX,
        VCPU_RBX,
        VCPU_RSP,
        VCPU_RBP,
        VCPU_RSI,
        VCPU_RDI,
        VCPU_R8,
        VCPU_R9,
        VCPU_R10,
        VCPU_R11,
        VCPU_R12,
        VCPU_R13,
        VCPU_R14,
        VCPU_R15,
        VCPU_RIP,
        VCPU_RFLAGS,
        VCPU_REGS,
};

struct vcpu_regs {
        uint64_t r[VCPU_REGS];
};

enum vcpu_exit_kind {
        VCPU_EXIT_PRIVILEGED, /* a privileged instruction (#GP) at rip: firmware call or to be
                                 emulated */
        VCPU_EXIT_SYSCALL,    /* the payload tried a system call, by whatever entry */
        VCPU_EXIT_PAGE_FAULT, /* access to memory that isn't open; address below */
        VCPU_EXIT_FAULT,      /* any other exception: #UD, #DE, #DB, #BP, #MF, #AC ... */
        VCPU_EXIT_DEADLINE,   /* ran longer than allowed */
        VCPU_EXIT_DIED,       /* the process is gone */
};

struct vcpu_exit {
        enum vcpu_exit_kind kind;
        bool code64; /* CS is the 64-bit code segment (the payload may switch to 32-bit code) */
        int signal;  /* where a signal brought it, else 0 */
        int code;    /* si_code */
        uint64_t address; /* PAGE_FAULT: what was accessed */
        char text[128];   /* one line for an error message: "page fault at 0x... (rip 0x...)" */
};

struct vcpu;

struct vcpu_ops {
        /* Runs until something of the above; registers are then valid. 0 or -errno (back end
         * broken). */
        int (*run)(struct vcpu *vcpu, struct vcpu_exit *exit, struct error *error);
        int (*get_regs)(struct vcpu *vcpu, struct vcpu_regs *regs);
        int (*set_regs)(struct vcpu *vcpu, const struct vcpu_regs *regs);
        /* Gives the guest access to [start, end) (a committed range) or takes it away. Called by
         * the firmware's allocator right after ram_commit and right before ram_release. */
        int (*open)(struct vcpu *vcpu, uint64_t start, uint64_t end);
        int (*close)(struct vcpu *vcpu, uint64_t start, uint64_t end);
        void (*free)(struct vcpu *vcpu);
};

struct vcpu {
        const struct vcpu_ops *ops;
};

/* The ptrace back end: a child process whose address space is guest RAM and nothing else.
 * deadline_ms: for all of the payload's running time together (processor time of the guest; 0:
 * none). Errors name Yama, SELinux or seccomp where they are the reason. All calls must come from
 * the thread that made the vCPU; run() gives -EINTR if a signal handler of the caller's ran
 * (vcpu_free() is then the thing to do). */
int vcpu_ptrace_new(struct ram *ram, uint64_t deadline_ms, struct vcpu **ret, struct error *error);

static inline int vcpu_run(struct vcpu *v, struct vcpu_exit *exit, struct error *error)
{
        return v->ops->run(v, exit, error);
}

static inline int vcpu_get_regs(struct vcpu *v, struct vcpu_regs *regs)
{
        return v->ops->get_regs(v, regs);
}

static inline int vcpu_set_regs(struct vcpu *v, const struct vcpu_regs *regs)
{
        return v->ops->set_regs(v, regs);
}

static inline int vcpu_open(struct vcpu *v, uint64_t start, uint64_t end)
{
        return v->ops->open(v, start, end);
}

static inline int vcpu_close(struct vcpu *v, uint64_t start, uint64_t end)
{
        return v->ops->close(v, start, end);
}

static inline void vcpu_free(struct vcpu *v)
{
        v->ops->free(v);
}
