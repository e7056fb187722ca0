/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A row for each system call that can fail: what the kernel may answer, the likeliest first. Calls
 * without a row (getpid, exit_group ...) only are places to be killed at. */
#include "inject.h"

#include <errno.h>
#include <sys/syscall.h>

static const struct fault_row rows[] = {
                {SYS_read, "read", {EIO, FAULT_SHORT, EINTR}},
                {SYS_pread64, "pread64", {EIO, FAULT_SHORT}},
                {SYS_write, "write", {ENOSPC, FAULT_SHORT, EINTR}},
                {SYS_pwrite64, "pwrite64", {ENOSPC, FAULT_SHORT, EINTR}},
                {SYS_open, "open", {EMFILE, EIO}},
                {SYS_openat, "openat", {EMFILE, EIO}},
                {SYS_close, "close", {FAULT_AFTER + EIO}},
                {SYS_stat, "stat", {ENOMEM}},
                {SYS_fstat, "fstat", {EIO}},
                {SYS_newfstatat, "newfstatat", {EIO}},
                {SYS_statfs, "statfs", {EIO}},
                {SYS_access, "access", {EIO}},
                {SYS_faccessat, "faccessat", {EIO}},
                {SYS_faccessat2, "faccessat2", {EIO, ENOSYS}},
                {SYS_readlink, "readlink", {EIO}},
                {SYS_getdents64, "getdents64", {EIO}},
                {SYS_lseek, "lseek", {EIO}},
                {SYS_mmap, "mmap", {ENOMEM}},
                {SYS_mprotect, "mprotect", {ENOMEM}},
                {SYS_munmap, "munmap", {ENOMEM}},
                {SYS_mremap, "mremap", {ENOMEM}},
                {SYS_madvise, "madvise", {ENOMEM}},
                {SYS_brk, "brk", {ENOMEM}},
                {SYS_memfd_create, "memfd_create", {EMFILE}},
                {SYS_ftruncate, "ftruncate", {ENOSPC}},
                {SYS_fallocate, "fallocate", {ENOSPC, EINTR}},
                {SYS_fsync, "fsync", {EIO}},
                {SYS_rename, "rename", {ENOSPC}},
                {SYS_renameat, "renameat", {ENOSPC}},
                {SYS_renameat2, "renameat2", {ENOSPC}},
                {SYS_unlink, "unlink", {EIO}},
                {SYS_unlinkat, "unlinkat", {EIO}},
                {SYS_mkdir, "mkdir", {ENOSPC}},
                {SYS_mkdirat, "mkdirat", {ENOSPC}},
                {SYS_flock, "flock", {ENOLCK, EINTR}},
                {SYS_fcntl, "fcntl", {EMFILE}},
                {SYS_ioctl, "ioctl", {EIO}},
                {SYS_dup, "dup", {EMFILE}},
                {SYS_fork, "fork", {EAGAIN}},
                {SYS_clone, "clone", {EAGAIN}},
                {SYS_clone3, "clone3", {EAGAIN, ENOSYS}},
                {SYS_wait4, "wait4", {EINTR}},
                {SYS_kill, "kill", {EPERM}},
                {SYS_ptrace, "ptrace", {EIO, FAULT_GONE}},
                {SYS_process_vm_readv, "process_vm_readv", {EFAULT, FAULT_SHORT}},
                {SYS_process_vm_writev, "process_vm_writev", {EFAULT, FAULT_SHORT}},
                {SYS_socketpair, "socketpair", {EMFILE}},
                {SYS_socket, "socket", {EMFILE}},
                {SYS_connect, "connect", {ECONNREFUSED, EINTR}},
                {SYS_sendto, "sendto", {EPIPE, FAULT_SHORT, EINTR}},
                {SYS_recvfrom, "recvfrom", {EIO, FAULT_SHORT, EINTR}},
                {SYS_poll, "poll", {ENOMEM, EINTR}},
                {SYS_prctl, "prctl", {EINVAL}},
                {SYS_seccomp, "seccomp", {EINVAL}},
                {SYS_landlock_create_ruleset, "landlock_create_ruleset", {ENOSYS}},
                {SYS_landlock_add_rule, "landlock_add_rule", {ENOMEM}},
                {SYS_landlock_restrict_self, "landlock_restrict_self", {E2BIG}},
                {SYS_capget, "capget", {EPERM}},
                {SYS_capset, "capset", {EPERM}},
                {SYS_getrandom, "getrandom", {ENOSYS, FAULT_SHORT}},
                {SYS_sysinfo, "sysinfo", {EFAULT}},
                {SYS_prlimit64, "prlimit64", {EPERM}},
                {SYS_clock_nanosleep, "clock_nanosleep", {EINTR}},
                {SYS_kexec_load, "kexec_load",
                                {ENOMEM, EBUSY, EPERM, EINVAL, EADDRNOTAVAIL, EACCES}},
                {SYS_kexec_file_load, "kexec_file_load",
                                {ENOMEM, EBUSY, EPERM, EKEYREJECTED, ETXTBSY, EINVAL}},
                {SYS_reboot, "reboot", {EPERM, EINVAL}},
};

const struct fault_row *fault_row(long nr)
{
        static struct fault_row other = {.name = "other"};

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                if (rows[i].nr == nr)
                        return &rows[i];
        other.nr = nr;
        return &other;
}

size_t fault_count(const struct fault_row *row)
{
        size_t n = 0;

        while (n < sizeof(row->actions) / sizeof(row->actions[0]) && row->actions[n])
                n++;
        return n;
}
