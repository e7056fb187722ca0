/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ptrace back end of the vCPU seam: run to the next stop, say what it was, keep the registers.
 * One PTRACE_GETREGS per stop and one PTRACE_SETREGS per change; everything else is in
 * guest-process.c (birth), address-space.c (memory) and guest-stop.c (meaning of a stop).
 *
 * The guest runs under PTRACE_SYSEMU: the kernel stops it at the entry of every system call and
 * carries none out, whatever its number and instruction. The child's seccomp filter catches what
 * doesn't enter that way (the vsyscall page) and remains if the tracer should fail; it alone isn't
 * enough, since Linux 6.14 and later let two calls of their own (uretprobe, uprobe) past any
 * filter. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "shim/machine/address-space.h"
#include "shim/machine/guest-process.h"
#include "shim/machine/guest-stop.h"
#include "shim/machine/vcpu.h"

#define USER64_CS 0x33
#define USER_SS   0x2b

/* CF PF AF ZF SF TF DF OF AC: what user code may set. The rest is the kernel's: IF, IOPL, NT, VM
 * ... */
#define RFLAGS_OF_USER 0x40dd5ull
#define RFLAGS_ALWAYS  0x202ull

struct vcpu_ptrace {
        struct vcpu vcpu;
        struct ram *ram;
        struct guest_process guest;
        struct user_regs_struct
                        regs; /* of the last stop, or what is to be set before the next run */
        bool is_changed;      /* regs differ from the process's own */
        bool is_expired;      /* the deadline ended it: no more runs */
};

static struct vcpu_ptrace *from_vcpu(struct vcpu *vcpu)
{
        return (struct vcpu_ptrace *)((char *)vcpu - offsetof(struct vcpu_ptrace, vcpu));
}

/* ---- run ---- */

static int resume(struct vcpu_ptrace *v)
{
        int r;

        if (v->guest.state != GUEST_STOPPED)
                return 0; /* running since a run() that a signal handler interrupted */
        if (v->is_changed) {
                v->regs.orig_rax = (uint64_t)-1; /* never restart what wasn't a system call */
                r = guest_process_set_regs(&v->guest, &v->regs);
                if (r < 0)
                        return r;
        }
        r = guest_process_resume(&v->guest, PTRACE_SYSEMU);
        if (r < 0)
                return r;
        v->is_changed = false;
        ram_lend(v->ram);
        return 0;
}

/* User code can load selectors and segment bases that PTRACE_SETREGS refuses (EIO): a selector with
 * RPL below 3, a base in the kernel's half by wrgsbase. No payload needs them, and none shall stop
 * the broker by them: the same descriptor with RPL 3, and base zero. */
static void accept_segments(struct user_regs_struct *regs)
{
        unsigned long long *const selectors[] = {&regs->ds, &regs->es, &regs->fs, &regs->gs};

        for (size_t i = 0; i < ARRAY_SIZE(selectors); i++)
                if (*selectors[i])
                        *selectors[i] |= 3;
        if (regs->fs_base >= END_OF_USER_SPACE)
                regs->fs_base = 0;
        if (regs->gs_base >= END_OF_USER_SPACE)
                regs->gs_base = 0;
}

/* 1: exit says what stopped it; 0: nothing of interest, go on; -errno. */
static int examine(struct vcpu_ptrace *v, int status, struct vcpu_exit *exit)
{
        siginfo_t info;
        int r = guest_process_get_regs(&v->guest, &v->regs);

        if (r < 0)
                return r;
        accept_segments(&v->regs);
        if (status >> 8 == (SIGTRAP | 0x80) ||
                        status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
                guest_stop_from_syscall(&v->regs, exit);
                v->regs.rax = v->regs.orig_rax; /* as the payload had it */
                v->is_changed = true;
                return 1;
        }
        if (status >> 16)
                return 0; /* PTRACE_EVENT_STOP: job control, not for us */
        if (ptrace(PTRACE_GETSIGINFO, v->guest.pid, NULL, &info) < 0)
                return -errno;
        if (guest_stop_from_signal(&info, &v->regs, exit)) {
                v->is_expired = exit->kind == VCPU_EXIT_DEADLINE;
                return 1;
        }
        if (guest_stop_is_ignored(info.si_signo))
                return 0;
        guest_process_end(&v->guest); /* somebody wants it to end: so it does, by name */
        return 1;
}

static int expired(struct vcpu_exit *exit)
{
        *exit = (struct vcpu_exit){
                        .kind = VCPU_EXIT_DEADLINE,
                        .signal = SIGXCPU,
                        .text = "deadline: the payload ran too long",
        };
        return 0;
}

static int ptrace_run(struct vcpu *vcpu, struct vcpu_exit *exit, struct error *error)
{
        struct vcpu_ptrace *v = from_vcpu(vcpu);
        int r = 0;

        while (r == 0) {
                int status = v->guest.status;

                if (v->is_expired || v->guest.is_expired)
                        return expired(exit);
                if (v->guest.state != GUEST_GONE) {
                        r = resume(v);
                        if (r == 0 || r == -ESRCH)
                                r = guest_process_wait(&v->guest, &status);
                        if (r == -EINTR)
                                return error_set(error, EINTR, "interrupted");
                        if (r < 0)
                                break;
                        ram_take_back(v->ram);
                }
                if (v->guest.state == GUEST_GONE) {
                        guest_stop_from_end(status, exit);
                        return 0;
                }
                r = examine(v, status, exit);
                if (r == -ESRCH)
                        r = 0; /* killed just now: the next wait says how */
        }
        if (r < 0)
                return error_set(error, -r, "guest process: ptrace: %s", strerror(-r));
        return 0;
}

/* ---- registers ---- */

/* The kernel's names in the order of vcpu.h. */
/* clang-format off */
#define EACH_REGISTER(X)       \
        X(VCPU_RAX, rax)       \
        X(VCPU_RCX, rcx)       \
        X(VCPU_RDX, rdx)       \
        X(VCPU_RBX, rbx)       \
        X(VCPU_RSP, rsp)       \
        X(VCPU_RBP, rbp)       \
        X(VCPU_RSI, rsi)       \
        X(VCPU_RDI, rdi)       \
        X(VCPU_R8, r8)         \
        X(VCPU_R9, r9)         \
        X(VCPU_R10, r10)       \
        X(VCPU_R11, r11)       \
        X(VCPU_R12, r12)       \
        X(VCPU_R13, r13)       \
        X(VCPU_R14, r14)       \
        X(VCPU_R15, r15)       \
        X(VCPU_RIP, rip)       \
        X(VCPU_RFLAGS, eflags)
/* clang-format on */

static int ptrace_get_regs(struct vcpu *vcpu, struct vcpu_regs *regs)
{
        struct vcpu_ptrace *v = from_vcpu(vcpu);

        if (v->guest.state != GUEST_STOPPED)
                return -ESRCH;
#define GET(index, name) regs->r[index] = v->regs.name;
        EACH_REGISTER(GET)
#undef GET
        return 0;
}

static int ptrace_set_regs(struct vcpu *vcpu, const struct vcpu_regs *regs)
{
        struct vcpu_ptrace *v = from_vcpu(vcpu);

        if (v->guest.state != GUEST_STOPPED)
                return -ESRCH;
#define SET(index, name) v->regs.name = regs->r[index];
        EACH_REGISTER(SET)
#undef SET
        v->regs.eflags = (v->regs.eflags & RFLAGS_OF_USER) | RFLAGS_ALWAYS;
        v->is_changed = true;
        return 0;
}

/* ---- memory ---- */

static int protect(struct vcpu *vcpu, uint64_t start, uint64_t end, bool is_open)
{
        struct vcpu_ptrace *v = from_vcpu(vcpu);
        struct span pages;

        if (v->guest.state != GUEST_STOPPED)
                return -ESRCH;
        /* What isn't committed would be allocated by the guest's touch, past the budget. */
        if ((start | end) % GUEST_PAGE_BYTES || start >= end ||
                        !ram_view(v->ram, start, end - start, &pages))
                return -EINVAL;
        v->is_changed = true; /* the call goes through the guest's registers */
        return address_space_protect(&v->guest, start, end, is_open);
}

static int ptrace_open(struct vcpu *vcpu, uint64_t start, uint64_t end)
{
        return protect(vcpu, start, end, true);
}

static int ptrace_close(struct vcpu *vcpu, uint64_t start, uint64_t end)
{
        return protect(vcpu, start, end, false);
}

/* ---- birth and end ---- */

static void ptrace_free(struct vcpu *vcpu)
{
        struct vcpu_ptrace *v;

        if (!vcpu)
                return;
        v = from_vcpu(vcpu);
        guest_process_end(&v->guest);
        ram_take_back(v->ram);
        free(v);
}

static const struct vcpu_ops ptrace_ops = {
                .run = ptrace_run,
                .get_regs = ptrace_get_regs,
                .set_regs = ptrace_set_regs,
                .open = ptrace_open,
                .close = ptrace_close,
                .free = ptrace_free,
};

static void vcpu_ptrace_freep(struct vcpu_ptrace **v)
{
        if (*v)
                ptrace_free(&(*v)->vcpu);
}

int vcpu_ptrace_new(struct ram *ram, uint64_t deadline_ms, struct vcpu **ret, struct error *error)
{
        _cleanup_(vcpu_ptrace_freep) struct vcpu_ptrace *v = calloc(1, sizeof(*v));
        int r;

        if (!v)
                return error_set(error, ENOMEM, "guest process: out of memory");
        v->vcpu.ops = &ptrace_ops;
        v->ram = ram;
        r = guest_process_start(ram_fd(ram), deadline_ms, &v->guest, error);
        if (r < 0)
                return r;
        r = address_space_become_ram(&v->guest, ram, error);
        if (r < 0)
                return r;
        r = guest_process_reset_fpu(&v->guest);
        if (r < 0)
                return error_set(error, -r, "guest process: FPU state: %s", strerror(-r));
        v->regs = (struct user_regs_struct){
                        .cs = USER64_CS, .ss = USER_SS, .eflags = RFLAGS_ALWAYS};
        v->is_changed = true;
        *ret = &TAKE_PTR(v)->vcpu;
        return 0;
}
