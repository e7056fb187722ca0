/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The child process that is the guest's processor: how it is born (no descriptors but RAM, no
 * rights, every system call stopped, held by ptrace), waited for and ended. Used by the ptrace back
 * end only. What its address space holds is address-space.c's business. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "base/error.h"

enum guest_state {
        GUEST_GONE,    /* no process (any more) */
        GUEST_STOPPED, /* in a ptrace stop; registers may be read and set */
        GUEST_RUNNING,
};

struct guest_process {
        pid_t pid;
        enum guest_state state;
        int status;      /* GUEST_GONE: how it ended, as waitpid() says */
        uint64_t gate;   /* address of the page with `syscall`, see remote-syscall.h */
        bool is_expired; /* its deadline came while something else was waited for */
};

#define GUEST_RAM_FD      0 /* the only descriptors that the child has until the broker closes them */
#define GUEST_REPORT_FD   1
#define GUEST_PAGE_BYTES  4096ull
#define END_OF_USER_SPACE 0x7ffffffff000ull /* with 4-level paging, and without asking for more */

/* Starts the child and brings it to its first stop, in the gate. deadline_ms: processor time after
 * which it gets SIGXCPU (0: never). */
int guest_process_start(
                int ram_fd, uint64_t deadline_ms, struct guest_process *ret, struct error *error);

/* Kills and reaps it; any state will do. */
void guest_process_end(struct guest_process *guest);

/* Waits for the next stop or the end. 0 (state says which), or -EINTR if a signal handler ran. */
int guest_process_wait(struct guest_process *guest, int *status);

/* One ptrace request on the stopped guest; 0 or -errno. A guest that was killed meanwhile gives
 * -ESRCH. */
int guest_process_get_regs(const struct guest_process *guest, struct user_regs_struct *ret);
int guest_process_set_regs(const struct guest_process *guest, const struct user_regs_struct *regs);
/* request: PTRACE_CONT, PTRACE_SYSCALL or PTRACE_SYSEMU. */
int guest_process_resume(struct guest_process *guest, int request);

/* x87, SSE and all further state as UEFI 2.10, 2.3.4 wants it at entry: control word 0x37f, MXCSR
 * 0x1f80, everything else as after a reset, so that nothing of the broker's is left in a vector
 * register. */
int guest_process_reset_fpu(const struct guest_process *guest);
