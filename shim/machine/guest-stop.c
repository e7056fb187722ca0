/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One row for each way in which x86-64 Linux reports an exception (arch/x86/kernel/traps.c,
 * mm/fault.c); see guest-stop.h. Kernel-made signals have a positive si_code, other processes' have
 * not (kill(2), sigqueue(3)), so nobody can make a stop look like the guest's own. */
#include "shim/machine/guest-stop.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"

#define USER64_CS   0x33
#define ANY_CODE    INT_MIN /* not 0: that is SI_USER, somebody's kill(2) */
#define CODE_CPERR  10      /* SEGV_CPERR, Linux 6.6 */
#define CODE_BNDERR 3
#define CODE_MCE_AR 4 /* BUS_MCEERR_AR */
#define CODE_MCE_AO 5

static const struct row {
        int signal, code; /* code ANY_CODE: any that the kernel makes */
        enum vcpu_exit_kind kind;
        const char *what;
} rows[] = {
                {SIGSEGV, SI_KERNEL, VCPU_EXIT_PRIVILEGED, "general protection fault (#GP)"},
                {SIGSEGV, CODE_CPERR, VCPU_EXIT_FAULT, "control protection fault (#CP)"},
                {SIGSEGV, CODE_BNDERR, VCPU_EXIT_FAULT, "bound range exceeded (#BR)"},
                {SIGSEGV, ANY_CODE, VCPU_EXIT_PAGE_FAULT, "page fault (#PF)"},
                {SIGBUS, SI_KERNEL, VCPU_EXIT_FAULT, "stack or segment fault (#SS, #NP)"},
                {SIGBUS, BUS_ADRALN, VCPU_EXIT_FAULT, "alignment check (#AC)"},
                {SIGBUS, BUS_ADRERR, VCPU_EXIT_FAULT, "no memory for a page of guest RAM (SIGBUS)"},
                {SIGBUS, CODE_MCE_AR, VCPU_EXIT_FAULT, "memory error of the machine (#MC)"},
                {SIGBUS, CODE_MCE_AO, VCPU_EXIT_FAULT, "memory error of the machine (#MC)"},
                {SIGILL, ANY_CODE, VCPU_EXIT_FAULT, "invalid instruction (#UD)"},
                {SIGFPE, FPE_INTDIV, VCPU_EXIT_FAULT, "divide error (#DE)"},
                {SIGFPE, ANY_CODE, VCPU_EXIT_FAULT, "floating-point exception (#MF, #XM)"},
                {SIGTRAP, SI_KERNEL, VCPU_EXIT_FAULT, "breakpoint (#BP)"},
                {SIGTRAP, ANY_CODE, VCPU_EXIT_FAULT, "debug exception (#DB)"},
                {SIGXCPU, SI_TIMER, VCPU_EXIT_DEADLINE, "deadline: the payload ran too long"},
                {SIGXCPU, SI_KERNEL, VCPU_EXIT_DEADLINE,
                                "processor time limit (ulimit -t, RLIMIT_CPU)"},
};

static const struct row *find_row(const siginfo_t *info)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].signal == info->si_signo &&
                                (rows[i].code == info->si_code ||
                                                (rows[i].code == ANY_CODE && info->si_code > 0)))
                        return &rows[i];
        return NULL;
}

bool guest_stop_from_signal(
                const siginfo_t *info, const struct user_regs_struct *regs, struct vcpu_exit *exit)
{
        const struct row *row = find_row(info);

        *exit = (struct vcpu_exit){
                        .kind = VCPU_EXIT_DIED,
                        .code64 = regs->cs == USER64_CS,
                        .signal = info->si_signo,
                        .code = info->si_code,
        };
        if (!row) {
                snprintf(exit->text, sizeof(exit->text),
                                "guest process was sent SIG%s by process %d",
                                sigabbrev_np(info->si_signo) ?: "?",
                                info->si_code <= 0 ? info->si_pid : 0);
                return false;
        }
        exit->kind = row->kind;
        if (row->kind == VCPU_EXIT_PAGE_FAULT) {
                exit->address = (uint64_t)(uintptr_t)info->si_addr;
                snprintf(exit->text, sizeof(exit->text), "%s at 0x%" PRIx64 " (rip 0x%llx)",
                                row->what, exit->address, regs->rip);
        } else {
                snprintf(exit->text, sizeof(exit->text), "%s (rip 0x%llx)", row->what, regs->rip);
        }
        return true;
}

void guest_stop_from_syscall(const struct user_regs_struct *regs, struct vcpu_exit *exit)
{
        *exit = (struct vcpu_exit){.kind = VCPU_EXIT_SYSCALL, .code64 = regs->cs == USER64_CS};
        snprintf(exit->text, sizeof(exit->text), "system call %lld (rip 0x%llx)",
                        (long long)regs->orig_rax, regs->rip);
}

void guest_stop_from_end(int status, struct vcpu_exit *exit)
{
        *exit = (struct vcpu_exit){.kind = VCPU_EXIT_DIED};
        if (WIFSIGNALED(status)) {
                exit->signal = WTERMSIG(status);
                snprintf(exit->text, sizeof(exit->text), "guest process was killed by SIG%s%s",
                                sigabbrev_np(exit->signal) ?: "?",
                                exit->signal == SIGKILL ? " (out of memory?)" : "");
        } else {
                snprintf(exit->text, sizeof(exit->text), "guest process ended with status %d",
                                WEXITSTATUS(status));
        }
}

bool guest_stop_is_ignored(int signal)
{
        static const int ignored[] = {
                        SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD, SIGURG, SIGWINCH};

        for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
                if (ignored[i] == signal)
                        return true;
        return false;
}
