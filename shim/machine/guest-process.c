/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Birth and death of the guest process; see guest-process.h. The child is born into namespaces of
 * its own where that is allowed, and gives up everything that it could do harm with before the
 * first payload byte exists: session, descriptors, limits, identity, capabilities; then it loads a
 * filter of one instruction, "trace", which looks at neither number nor architecture. */
#include "shim/machine/guest-process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "shim/machine/remote-syscall.h"

#ifndef PR_SPEC_L1D_FLUSH
#define PR_SPEC_L1D_FLUSH 2 /* Linux 5.15 */
#endif

#define NOBODY 65534 /* the kernel's overflow uid */

/* What the child knows; everything is set before it is born. */
struct child {
        int ram_fd;
        int channel;         /* a byte comes in when it may start, a struct child_report goes out if
                                a step fails */
        int brokers_channel; /* the other end, which the child inherits */
        bool drop_identity;
        uint64_t deadline_ms;
        uint64_t gate;
};

struct child_report {
        int step;
        int errnum;
};

/* ---- the child: system calls only, no allocation, nothing that takes a lock ---- */

/* The byte comes once the tracer holds the child so that it dies with the broker. Until then the
 * end of the channel tells: it comes only if nobody but the broker has the other side. */
static int wait_for_start(struct child *child)
{
        char byte;
        ssize_t n;

        close(child->brokers_channel);
        do
                n = read(child->channel, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n == 1)
                return 0;
        errno = EPIPE;
        return -1;
}

static int leave_session(struct child *child)
{
        sigset_t none;

        sigemptyset(&none);
        if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
                return -1;
        /* Neither ^C nor ^Z of the terminal is for the guest: the broker ends it. */
        return setsid() < 0 ? -1 : 0;
}

static void close_all_from(int first)
{
        struct rlimit limit;

        if (syscall(SYS_close_range, first, ~0U, 0) == 0)
                return;
        /* Before Linux 5.9. The broker looks afterwards whether anything is left. */
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 1 << 20)
                limit.rlim_cur = 1 << 20;
        for (int fd = first; fd < (int)limit.rlim_cur; fd++)
                close(fd);
}

static int close_descriptors(struct child *child)
{
        int ram = fcntl(child->ram_fd, F_DUPFD, 3), report = fcntl(child->channel, F_DUPFD, 3);

        if (ram < 0 || report < 0 || dup2(ram, GUEST_RAM_FD) < 0 ||
                        dup2(report, GUEST_REPORT_FD) < 0)
                return -1;
        close_all_from(GUEST_REPORT_FD + 1);
        child->channel = GUEST_REPORT_FD;
        return 0;
}

/* After the descriptors: none can be made any more, not even by a system call that slips through.
 */
static int limit_resources(struct child *child)
{
        static const int limits[] = {RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_NPROC};
        static const struct rlimit none = {0, 0};

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (syscall(SYS_prlimit64, 0, limits[i], &none, NULL) < 0)
                        return -1;
        return 0;
}

/* While the child has CAP_SETPCAP; whoever never had it can't, and the set means nothing then: with
 * no_new_privs nothing is gained by execve(). */
static void empty_bounding_set(void)
{
        for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
                (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

/* Raw system calls: glibc's wrappers want to tell all threads. In a user namespace that has no
 * mapping for nobody (EINVAL) or forbids setgroups (EPERM) the child keeps its identity; the
 * capabilities go anyway. */
static int drop_identity(struct child *child)
{
        empty_bounding_set();
        if (!child->drop_identity)
                return 0;
        if (syscall(SYS_setgroups, 0, NULL) < 0 && errno != EPERM)
                return -1;
        if (syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL)
                return -1;
        if (syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL)
                return -1;
        /* Other processes of nobody's mustn't reach its memory (fs.suid_dumpable might say
         * otherwise). A child that keeps its user stays readable for now, as the broker has to look
         * into its /proc: address_space_become_ram() ends that. */
        return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int drop_capabilities(struct child *child)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -1;
        /* Before Linux 4.3 there is no ambient set; capset() empties it, too. */
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        return (int)syscall(SYS_capset, &header, data);
}

/* Beside the tracer's PTRACE_O_EXITKILL, which stands since the first step. After the change of
 * identity, which clears it. */
static int die_with_parent(struct child *child)
{
        return prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* The broker shares cores with the payload. A kernel that can't do one of these (any error) doesn't
 * need it on this processor, or does it for everybody; flushing L1D wants l1d_flush=on, too. */
static int control_speculation(struct child *child)
{
        static const struct {
                unsigned long feature, control;
        } rows[] = {
                        {PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE},
                        {PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE},
                        {PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                (void)prctl(PR_SET_SPECULATION_CTRL, rows[i].feature, rows[i].control, 0, 0);
        (void)prctl(PR_SET_NAME, "mkexec-guest");
        return 0;
}

/* glibc's addresses, which will be gone: the kernel would write to them when the process ends.
 * rseq, the third of the kind, has to stay registered until the last C code ran; the broker takes
 * it back. */
static int forget_libc(struct child *child)
{
        if (syscall(SYS_set_robust_list, NULL, 3 * sizeof(void *)) < 0)
                return -1;
        (void)syscall(SYS_set_tid_address, NULL);
        return 0;
}

/* Processor time of this process: the guest can neither sleep nor reach the timer. */
static int arm_deadline(struct child *child)
{
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};
        struct itimerspec when = {
                        .it_value = {(time_t)(child->deadline_ms / 1000),
                                        (long)(child->deadline_ms % 1000) * 1000000},
        };
        int timer;

        if (child->deadline_ms == 0)
                return 0;
        if (syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer) < 0)
                return -1;
        return (int)syscall(SYS_timer_settime, timer, 0, &when, NULL);
}

static int stop_every_syscall(struct child *child)
{
        struct sock_filter filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE)};
        struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};

        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static const struct {
        const char *what;
        int (*run)(struct child *child);
} steps[] = {
                {"waiting for the tracer", wait_for_start},
                {"own session", leave_session},
                {"closing descriptors", close_descriptors},
                {"resource limits", limit_resources},
                {"giving up root", drop_identity},
                {"giving up capabilities", drop_capabilities},
                {"parent-death signal", die_with_parent},
                {"speculation control", control_speculation},
                {"giving up glibc's registrations", forget_libc},
                {"deadline timer", arm_deadline},
                {"seccomp filter (kernel without CONFIG_SECCOMP_FILTER?)", stop_every_syscall},
};

static _Noreturn void child_main(struct child child)
{
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                struct child_report report = {.step = (int)i};

                if (steps[i].run(&child) == 0)
                        continue;
                report.errnum = errno;
                (void)!write(child.channel, &report, sizeof(report));
                _exit(1);
        }
        /* The gate's system call stops; from here on the broker says what happens. */
        __asm__ volatile("jmp *%0" : : "r"(child.gate), "a"((long)SYS_getpid) : "memory");
        __builtin_unreachable();
}

/* ---- the broker's side ---- */

/* Only who keeps the right to trace, signal and inspect another user's process can give the child
 * one. */
static bool may_drop_identity(void)
{
        static const unsigned needed[] = {CAP_SYS_PTRACE, CAP_KILL, CAP_SETUID, CAP_SETGID};
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

        if (geteuid() != 0 || syscall(SYS_capget, &header, data) < 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
                if (!(data[CAP_TO_INDEX(needed[i])].effective & CAP_TO_MASK(needed[i])))
                        return false;
        return true;
}

/* A child in namespaces of its own: no network, no other processes, no mounts or IPC of the
 * machine's. Who isn't root may have them together with a user namespace. Kernels, containers and
 * policies that don't allow all of them may allow fewer, and none is what the other walls have to
 * do without. Not fork(): glibc's can't, and the child runs no code that would need its handlers.
 */
static pid_t new_process(void)
{
        static const unsigned long without_network = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
                                                     CLONE_NEWUTS | CLONE_NEWCGROUP;
        unsigned long user = geteuid() == 0 ? 0 : CLONE_NEWUSER;
        const unsigned long sets[] = {
                        user | without_network | CLONE_NEWNET,
                        user | without_network,
                        0,
        };
        pid_t pid = -1;

        for (size_t i = 0; i < ARRAY_SIZE(sets) && pid < 0; i++)
                pid = (pid_t)syscall(SYS_clone, sets[i] | SIGCHLD, NULL, NULL, NULL, NULL);
        return pid;
}

static bool file_starts_with(const char *path, char wanted)
{
        _cleanup_buf_ struct buf b = {0};

        return buf_read_file(path, 64, &b, NULL) == 0 && b.size > 0 && b.data[0] == (uint8_t)wanted;
}

static int ptrace_error(int errnum, struct error *error)
{
        const char *reason = "";

        if (file_starts_with("/proc/sys/kernel/yama/ptrace_scope", '3'))
                reason = ": kernel.yama.ptrace_scope is 3, which forbids ptrace until the next "
                         "boot";
        else if (file_starts_with("/proc/sys/kernel/yama/ptrace_scope", '2'))
                reason = ": kernel.yama.ptrace_scope is 2, which needs CAP_SYS_PTRACE";
        else if (file_starts_with("/sys/fs/selinux/enforce", '1'))
                reason = ": SELinux (deny_ptrace?), another tracer (strace -f, gdb) or a "
                         "container's filter";
        else if (errnum == EPERM || errnum == EACCES || errnum == ENOSYS)
                reason = ": another tracer (strace -f, gdb) or a container's seccomp filter";
        return error_set(error, errnum, "guest process: ptrace: %s%s", strerror(errnum), reason);
}

static int report_error(int channel, const struct guest_process *guest, struct error *error)
{
        struct child_report report;
        ssize_t n = recv(channel, &report, sizeof(report), MSG_DONTWAIT);

        if (n == sizeof(report) && report.step >= 0 && (size_t)report.step < ARRAY_SIZE(steps))
                return error_set(error, report.errnum, "guest process: %s: %s",
                                steps[report.step].what, strerror(report.errnum));
        if (WIFSIGNALED(guest->status))
                return error_set(error, EIO,
                                "guest process: killed by signal %d while it was set up",
                                WTERMSIG(guest->status));
        return error_set(error, EIO, "guest process: ended while it was set up");
}

/* Lets the child go through its steps until it sits in the gate. */
static int run_to_gate(struct guest_process *guest, int channel, struct error *error)
{
        for (;;) {
                struct user_regs_struct regs;
                int status, r = guest_process_wait(guest, &status);

                if (r == -EINTR)
                        continue;
                if (r < 0)
                        return error_set(error, -r, "guest process: wait: %s", strerror(-r));
                if (guest->state == GUEST_GONE)
                        return report_error(channel, guest, error);
                if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
                        r = guest_process_get_regs(guest, &regs);
                        if (r < 0 || regs.rip != guest->gate + GATE_SYSCALL_BYTES)
                                return error_set(error, EIO,
                                                "guest process: stopped before its gate");
                        return 0;
                }
                /* A crash of the set-up shall be one; other signals aren't for it. */
                if (WSTOPSIG(status) == SIGSEGV || WSTOPSIG(status) == SIGSYS)
                        kill(guest->pid, SIGKILL);
                r = guest_process_resume(guest, PTRACE_CONT);
                if (r < 0 && r != -ESRCH)
                        return error_set(error, -r, "guest process: ptrace: %s", strerror(-r));
        }
}

static int adopt(struct guest_process *guest, int channel, struct error *error)
{
        long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD;

        if (ptrace(PTRACE_SEIZE, guest->pid, NULL, options) < 0)
                return ptrace_error(errno, error);
        if (send(channel, "", 1, MSG_NOSIGNAL) != 1)
                return error_set(error, errno, "guest process: %s", strerror(errno));
        return run_to_gate(guest, channel, error);
}

int guest_process_start(
                int ram_fd, uint64_t deadline_ms, struct guest_process *ret, struct error *error)
{
        struct guest_process guest = {.pid = -1};
        struct child child = {.ram_fd = ram_fd,
                        .deadline_ms = deadline_ms,
                        .drop_identity = may_drop_identity()};
        _cleanup_close_ int channel = -1;
        int pair[2], r;

        r = gate_map(&guest.gate, error);
        if (r < 0)
                return r;
        child.gate = guest.gate;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
                gate_unmap(guest.gate);
                return error_set(error, errno, "guest process: socketpair: %s", strerror(errno));
        }
        channel = pair[0];
        child.brokers_channel = pair[0];
        child.channel = pair[1];
        guest.pid = new_process();
        if (guest.pid == 0)
                child_main(child);
        r = -errno;
        gate_unmap(guest.gate);
        close(pair[1]);
        if (guest.pid < 0)
                return error_set(error, -r, "guest process: fork: %s", strerror(-r));
        guest.state = GUEST_RUNNING;
        r = adopt(&guest, channel, error);
        if (r < 0) {
                guest_process_end(&guest);
                return r;
        }
        *ret = guest;
        return 0;
}

int guest_process_wait(struct guest_process *guest, int *status)
{
        /* This child only: what other children the program has is not ours to reap. */
        if (waitpid(guest->pid, status, __WALL) < 0) {
                if (errno == EINTR)
                        return -EINTR;
                /* Somebody ignores SIGCHLD, so that the kernel has reaped it. */
                guest->state = GUEST_GONE;
                guest->status = *status = SIGKILL;
                return errno == ECHILD ? 0 : -errno;
        }
        if (WIFSTOPPED(*status)) {
                guest->state = GUEST_STOPPED;
        } else {
                guest->state = GUEST_GONE;
                guest->status = *status;
        }
        return 0;
}

void guest_process_end(struct guest_process *guest)
{
        int status;

        if (guest->state == GUEST_GONE)
                return;
        /* A policy may forbid the signal; who traces may send it all the same, to what is stopped.
         */
        if (kill(guest->pid, SIGKILL) < 0 && guest->state == GUEST_STOPPED)
                (void)ptrace(PTRACE_CONT, guest->pid, NULL, SIGKILL);
        while (guest->state != GUEST_GONE) {
                /* A stop that was queued before the signal: the signal takes it out by itself. */
                if (guest_process_wait(guest, &status) == 0 && guest->state == GUEST_STOPPED)
                        (void)ptrace(PTRACE_CONT, guest->pid, NULL, SIGKILL);
        }
}

int guest_process_get_regs(const struct guest_process *guest, struct user_regs_struct *ret)
{
        return ptrace(PTRACE_GETREGS, guest->pid, NULL, ret) < 0 ? -errno : 0;
}

int guest_process_set_regs(const struct guest_process *guest, const struct user_regs_struct *regs)
{
        return ptrace(PTRACE_SETREGS, guest->pid, NULL, regs) < 0 ? -errno : 0;
}

int guest_process_resume(struct guest_process *guest, int request)
{
        if (ptrace((enum __ptrace_request)request, guest->pid, NULL, 0) < 0)
                return -errno;
        guest->state = GUEST_RUNNING;
        return 0;
}

/* Offsets in the XSAVE area (SDM volume 1, 13.4): the FXSAVE image first, then the header's
 * XSTATE_BV, whose clear bits mean "initial state". */
#define FXSAVE_FCW     0
#define FXSAVE_MXCSR   24
#define FXSAVE_BYTES   512
#define XSTATE_BV      512
#define XSTATE_LARGEST 65536

int guest_process_reset_fpu(const struct guest_process *guest)
{
        static const uint16_t fcw = 0x37f;
        static const uint32_t mxcsr = 0x1f80;
        static const uint64_t x87_and_sse = 3;
        _cleanup_free_ uint8_t *area = calloc(1, XSTATE_LARGEST);
        struct iovec iov = {area, XSTATE_LARGEST};
        long set = NT_X86_XSTATE;

        if (!area)
                return -ENOMEM;
        if (ptrace(PTRACE_GETREGSET, guest->pid, set, &iov) < 0) {
                set = NT_PRFPREG; /* no XSAVE: the FXSAVE image is all there is */
                iov = (struct iovec){area, FXSAVE_BYTES};
        }
        memset(area, 0, XSTATE_LARGEST);
        memcpy(area + FXSAVE_FCW, &fcw, sizeof(fcw));
        memcpy(area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
        if (iov.iov_len > FXSAVE_BYTES)
                memcpy(area + XSTATE_BV, &x87_and_sse, sizeof(x87_and_sse));
        return ptrace(PTRACE_SETREGSET, guest->pid, set, &iov) < 0 ? -errno : 0;
}
