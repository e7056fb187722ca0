/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The gate and the calls through it; see remote-syscall.h. */
#include "shim/machine/remote-syscall.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#define USER64_CS \
        0x33 /* Linux's GDT; a guest in 32-bit code has another, the gate needs this one */
#define USER_SS 0x2b

static int fill_gate(int fd)
{
        uint8_t page[GUEST_PAGE_BYTES];

        memset(page, 0xf4, sizeof(page)); /* hlt: whatever else runs here stops at once */
        page[0] = 0x0f;                   /* syscall */
        page[1] = 0x05;
        return write(fd, page, sizeof(page)) == sizeof(page) ? 0 : -EIO;
}

/* From a file, not anonymous memory: SELinux's execmem is about the latter. */
int gate_map(uint64_t *ret, struct error *error)
{
        _cleanup_close_ int fd = memfd_create("mkexec-gate", MFD_CLOEXEC);
        void *page;

        if (fd < 0 || fill_gate(fd) < 0)
                return error_set(error, errno ? errno : EIO,
                                "guest process: memfd for the gate: %s", strerror(errno));
        page = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
                return error_set(error, errno, "guest process: executable mapping of a memfd: %s%s",
                                strerror(errno),
                                errno == EACCES || errno == EPERM ? " (SELinux or another LSM?)"
                                                                  : "");
        *ret = (uint64_t)(uintptr_t)page;
        return 0;
}

void gate_unmap(uint64_t gate)
{
        munmap((void *)(uintptr_t)gate, GUEST_PAGE_BYTES);
}

/* Runs on until the stop that is wanted. Other stops on the way can only be signals from outside
 * and the deadline's: the first are dropped, the second is kept for the next run. */
static int resume_until(struct guest_process *guest, int request, int wanted)
{
        for (;;) {
                int status, r = guest_process_resume(guest, request);

                if (r < 0)
                        return r;
                do
                        r = guest_process_wait(guest, &status);
                while (r == -EINTR);
                if (r < 0)
                        return r;
                if (guest->state == GUEST_GONE)
                        return -ESRCH;
                if (status >> 8 == wanted)
                        return 0;
                switch (status >> 8) {
                case SIGXCPU:
                        guest->is_expired = true;
                        break;
                case SIGSEGV:
                case SIGBUS:
                case SIGILL:
                case SIGTRAP:
                        return -EIO;
                }
        }
}

int remote_syscall(struct guest_process *guest, long number, const uint64_t args[6], int64_t *ret)
{
        struct user_regs_struct regs = {
                        .rax = (uint64_t)number,
                        .rdi = args[0],
                        .rsi = args[1],
                        .rdx = args[2],
                        .r10 = args[3],
                        .r8 = args[4],
                        .r9 = args[5],
                        .rip = guest->gate,
                        .eflags = 0x202,
                        .cs = USER64_CS,
                        .ss = USER_SS,
                        .orig_rax = (uint64_t)-1,
        };
        int r;

        if (guest->state != GUEST_STOPPED)
                return -ESRCH;
        r = guest_process_set_regs(guest, &regs);
        if (r < 0)
                return r;
        /* PTRACE_CONT: no stop at entry but the filter's, after which the kernel lets the call
         * through; PTRACE_SYSCALL: stop at its end, before anything of the guest runs again. */
        r = resume_until(guest, PTRACE_CONT, SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
        if (r < 0)
                return r;
        r = resume_until(guest, PTRACE_SYSCALL, SIGTRAP | 0x80);
        if (r < 0)
                return r;
        r = guest_process_get_regs(guest, &regs);
        if (r < 0)
                return r;
        if (regs.rip != guest->gate + GATE_SYSCALL_BYTES)
                return -EIO;
        *ret = (int64_t)regs.rax;
        return 0;
}
