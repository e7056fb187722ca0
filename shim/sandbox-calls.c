/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which system calls the broker still makes, by libseccomp; see sandbox.h. Others fail with ENOSYS,
 * as on a kernel without them: libraries then use what they have instead, an unforeseen one becomes
 * an error with a message, and an exec that is under way still ends in its abort. Killing the
 * process there would do none of it. Calls by another architecture's numbers kill. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/sandbox.h"

enum {
        PREDICT = SANDBOX_PREDICT,
        LOAD = SANDBOX_LOAD,
        EXEC = SANDBOX_EXEC,
        RUN = PREDICT | LOAD, /* with a guest */
        STAGE = LOAD | EXEC,  /* with /run/mkexec and kexec */
        ALL = PREDICT | LOAD | EXEC,
        SOCKETS = 8, /* any of them, where the TPM is behind a socket */
};

struct row {
        unsigned verbs;
        int call;
};

/* Whatever the arguments are. */
static const struct row calls[] = {
                /* descriptors that are open */
                {ALL, SCMP_SYS(read)},
                {ALL, SCMP_SYS(readv)},
                {ALL, SCMP_SYS(pread64)},
                {ALL, SCMP_SYS(write)},
                {ALL, SCMP_SYS(writev)},
                {ALL, SCMP_SYS(close)},
                {ALL, SCMP_SYS(lseek)},
                {ALL, SCMP_SYS(fstat)},
                {ALL, SCMP_SYS(newfstatat)},
                {ALL, SCMP_SYS(statx)},
                {ALL, SCMP_SYS(poll)},
                {ALL, SCMP_SYS(ppoll)},
                {ALL, SCMP_SYS(select)},
                {ALL, SCMP_SYS(pselect6)},
                /* a TPM behind a socket that is there */
                {ALL, SCMP_SYS(sendto)},
                {ALL, SCMP_SYS(sendmsg)},
                {ALL, SCMP_SYS(recvfrom)},
                {ALL, SCMP_SYS(recvmsg)},
                {ALL, SCMP_SYS(shutdown)},
                /* and one that is connected to anew for each command */
                {SOCKETS, SCMP_SYS(socket)},
                {SOCKETS, SCMP_SYS(connect)},
                {SOCKETS, SCMP_SYS(bind)},
                {SOCKETS, SCMP_SYS(getsockname)},
                {SOCKETS, SCMP_SYS(getsockopt)},
                {SOCKETS, SCMP_SYS(setsockopt)},
                /* memory */
                {ALL, SCMP_SYS(brk)},
                {ALL, SCMP_SYS(munmap)},
                {ALL, SCMP_SYS(mremap)},
                {ALL, SCMP_SYS(madvise)},
                {ALL, SCMP_SYS(futex)},
                /* this process */
                {ALL, SCMP_SYS(getpid)},
                {ALL, SCMP_SYS(gettid)},
                {ALL, SCMP_SYS(getuid)},
                {ALL, SCMP_SYS(geteuid)},
                {ALL, SCMP_SYS(getgid)},
                {ALL, SCMP_SYS(getegid)},
                {ALL, SCMP_SYS(capget)},
                {ALL, SCMP_SYS(getrlimit)},
                {ALL, SCMP_SYS(sysinfo)},
                {ALL, SCMP_SYS(uname)},
                {ALL, SCMP_SYS(rt_sigaction)},
                {ALL, SCMP_SYS(rt_sigprocmask)},
                {ALL, SCMP_SYS(rt_sigreturn)},
                {ALL, SCMP_SYS(sigaltstack)},
                {ALL, SCMP_SYS(restart_syscall)},
                {ALL, SCMP_SYS(sched_yield)},
                {ALL, SCMP_SYS(exit)},
                {ALL, SCMP_SYS(exit_group)},
                /* time and chance */
                {ALL, SCMP_SYS(clock_gettime)},
                {ALL, SCMP_SYS(clock_getres)},
                {ALL, SCMP_SYS(gettimeofday)},
                {ALL, SCMP_SYS(time)},
                {ALL, SCMP_SYS(nanosleep)},
                {ALL, SCMP_SYS(clock_nanosleep)},
                {ALL, SCMP_SYS(getrandom)},
                /* the guest and its memory, the volume */
                {RUN, SCMP_SYS(wait4)},
                {RUN, SCMP_SYS(fallocate)},
                {RUN, SCMP_SYS(openat2)},
                {RUN, SCMP_SYS(getdents64)},
                /* /run/mkexec, the logs, what forbids a kexec */
                {STAGE, SCMP_SYS(open)},
                {STAGE, SCMP_SYS(openat)},
                {STAGE, SCMP_SYS(access)},
                {STAGE, SCMP_SYS(faccessat)},
                {STAGE, SCMP_SYS(faccessat2)},
                {STAGE, SCMP_SYS(stat)},
                {STAGE, SCMP_SYS(lstat)},
                {STAGE, SCMP_SYS(statfs)},
                {STAGE, SCMP_SYS(readlink)},
                {STAGE, SCMP_SYS(readlinkat)},
                {STAGE, SCMP_SYS(getcwd)},
                {STAGE, SCMP_SYS(pwrite64)},
                {STAGE, SCMP_SYS(ftruncate)},
                {STAGE, SCMP_SYS(fsync)},
                {STAGE, SCMP_SYS(flock)},
                {STAGE, SCMP_SYS(rename)},
                {STAGE, SCMP_SYS(renameat)},
                {STAGE, SCMP_SYS(renameat2)},
                {STAGE, SCMP_SYS(unlink)},
                {STAGE, SCMP_SYS(unlinkat)},
                {LOAD, SCMP_SYS(fstatfs)}, /* how full /run is */
                {LOAD, SCMP_SYS(mlock)},   /* tickets */
                {EXEC, SCMP_SYS(sync)},
};

/* Only with these values; the mask says which bits of the argument count. */
static const struct {
        struct row row;
        unsigned argument;
        uint64_t mask, value;
} limited[] = {
                /* no code is made, and none is loaded: libraries are all there */
                {{ALL, SCMP_SYS(mmap)}, 2, PROT_EXEC, 0},
                {{ALL, SCMP_SYS(mprotect)}, 2, PROT_EXEC, 0},
                {{ALL, SCMP_SYS(prlimit64)}, 2, UINT64_MAX, 0}, /* asked, not set */
                /* stdio on a terminal, opendir() and TCTIs */
                {{ALL, SCMP_SYS(ioctl)}, 1, UINT32_MAX, TCGETS},
                {{ALL, SCMP_SYS(fcntl)}, 1, UINT32_MAX, F_GETFL},
                {{ALL, SCMP_SYS(fcntl)}, 1, UINT32_MAX, F_SETFL},
                {{ALL, SCMP_SYS(fcntl)}, 1, UINT32_MAX, F_GETFD},
                {{ALL, SCMP_SYS(fcntl)}, 1, UINT32_MAX, F_SETFD},
                /* the guest, the only process that is traced already */
                {{RUN, SCMP_SYS(kill)}, 1, UINT32_MAX, SIGKILL},
                {{RUN, SCMP_SYS(ptrace)}, 0, UINT64_MAX, PTRACE_GETREGS},
                {{RUN, SCMP_SYS(ptrace)}, 0, UINT64_MAX, PTRACE_SETREGS},
                {{RUN, SCMP_SYS(ptrace)}, 0, UINT64_MAX, PTRACE_GETSIGINFO},
                {{RUN, SCMP_SYS(ptrace)}, 0, UINT64_MAX, PTRACE_CONT},
                {{RUN, SCMP_SYS(ptrace)}, 0, UINT64_MAX, PTRACE_SYSCALL},
                {{RUN, SCMP_SYS(ptrace)}, 0, UINT64_MAX, PTRACE_SYSEMU},
                {{STAGE, SCMP_SYS(kexec_load)}, 3, UINT64_MAX, KEXEC_ARCH_X86_64},
                {{STAGE, SCMP_SYS(kexec_file_load)}, 4,
                                ~(uint64_t)(KEXEC_FILE_UNLOAD | KEXEC_FILE_NO_INITRAMFS), 0},
                {{EXEC, SCMP_SYS(reboot)}, 2, UINT32_MAX, LINUX_REBOOT_CMD_KEXEC},
};

static int put_rows(scmp_filter_ctx filter, unsigned verb)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++)
                if (calls[i].verbs & verb)
                        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i].call, 0);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(limited); i++)
                if (limited[i].row.verbs & verb)
                        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, limited[i].row.call, 1,
                                        SCMP_CMP(limited[i].argument, SCMP_CMP_MASKED_EQ,
                                                        limited[i].mask, limited[i].value));
        /* abort() of glibc, of a sanitizer or of a library: this process only */
        return r < 0 ? r
                     : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

int sandbox_filter_calls(enum sandbox_verb verb, bool sockets, struct error *error)
{
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
        int r;

        if (!filter)
                return error_set(error, ENOMEM, "sandbox: out of memory");
        /* TCTIs that talk to D-Bus have threads. */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
        /* What is refused stands in the kernel's log, where the kernel can do that. */
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
        if (r == 0)
                r = put_rows(filter, verb | (sockets ? SOCKETS : 0u));
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        if (r < 0)
                return error_set(error, -r, "sandbox: seccomp filter: %s", strerror(-r));
        return 0;
}
