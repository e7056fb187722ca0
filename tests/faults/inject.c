/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a program under ptrace and lets one of its system calls fail, or kills it there. kexec and
 * reboot are answered by pretend.c. Called by the other files of this folder, many thousand times:
 * it stops at each call only until the fault is there, and from then on at those that a seccomp
 * filter picks for it.
 *
 *   inject --folder DIR --loaded FILE --report FILE [--trace FILE] [--preload LIBRARY] [--forks]
 *          [--at N (--variant K [--from] | --kill)] PROGRAM [ARGUMENT...]
 *
 * With --forks its children's kexec and reboot are answered as well; none of them may be a guest.
 * The report has lines "hit N NAME ACTION", "reboot", "left N" (processes that outlived the
 * program) and "exit CODE" or "signal NUMBER". SIGTERM kills the program. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEFT_WAIT_MS 3000

struct run {
        pid_t pid;
        FILE *report, *trace;
        const char *preload;
        struct pretend pretend;
        unsigned long at, variant, calls;
        bool from, kill, forks;
        bool each;    /* stop at each call; else at those in the filter */
        long from_nr; /* --from: this call fails from the first hit on */

        struct user_regs_struct entry; /* of the call that is under way */
        bool replaced;                 /* it isn't made, or is made but answers otherwise */
        long answer;
};

static volatile sig_atomic_t ended;
static pid_t program;

static void on_term(int signal)
{
        (void)signal;
        ended = 1;
        if (program > 0)
                kill(program, SIGKILL);
}

static void die(const char *what)
{
        perror(what);
        exit(99);
}

/* Twice walled off: neither we nor the program have the right, and pretend.c answers anyway. The
 * flags are wrong on purpose: who has the right is told so, and nothing is done. */
static void give_up_boot(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];

        if (syscall(SYS_capget, &header, data) < 0)
                die("capget");
        data[0].effective &= ~(1u << CAP_SYS_BOOT);
        data[0].permitted &= ~(1u << CAP_SYS_BOOT);
        data[0].inheritable &= ~(1u << CAP_SYS_BOOT);
        if (prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0) < 0 && errno != EINVAL)
                die("PR_CAPBSET_DROP");
        if (syscall(SYS_capset, &header, data) < 0 ||
                        prctl(PR_CAPBSET_READ, CAP_SYS_BOOT, 0, 0, 0) != 0)
                die("giving up CAP_SYS_BOOT");
}

static void check_no_kexec(void)
{
        if (syscall(SYS_kexec_load, 0, 0, NULL, ~0ul) == 0 || (errno != EPERM && errno != ENOSYS))
                die("kexec is possible here, or its answer is strange");
}

/* kexec, reboot and sync stop for us. The guest inherits this; it may call none of them. */
static void pick_calls(void)
{
        static const unsigned calls[] = {SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_sync};
        struct sock_filter filter[16] = {
                        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
        struct sock_fprog picks = {.len = 1, .filter = filter};

        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
                filter[picks.len++] = (struct sock_filter)BPF_JUMP(
                                BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
                filter[picks.len++] = (struct sock_filter)BPF_STMT(
                                BPF_RET | BPF_K, SECCOMP_RET_TRACE);
        }
        filter[picks.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &picks, 0, 0) < 0)
                die("PR_SET_SECCOMP");
}

/* The program shall believe that it may kexec: root of a user namespace has CAP_SYS_BOOT, and it is
 * worth nothing. All users are themselves in there. */
static void map_users(pid_t pid)
{
        static const char *const files[] = {"uid_map", "gid_map"}, all[] = "0 0 4294967295\n";

        for (size_t i = 0; i < 2; i++) {
                char path[64];
                int fd;

                snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
                fd = open(path, O_WRONLY | O_CLOEXEC);
                if (fd < 0 || write(fd, all, sizeof(all) - 1) < 0)
                        die(path);
                close(fd);
        }
}

static pid_t start(const struct run *run, char **argv)
{
        pid_t pid = fork();
        int status;

        if (pid < 0)
                die("fork");
        if (pid > 0) {
                if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
                        die("the program didn't start");
                map_users(pid);
                return pid;
        }
        signal(SIGTERM, SIG_DFL);
        personality(ADDR_NO_RANDOMIZE); /* the same calls in each run */
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                die("PTRACE_TRACEME");
        if (unshare(CLONE_NEWUSER) < 0)
                die("a user namespace");
        if (run->preload)
                setenv("LD_PRELOAD", run->preload, 1);
        check_no_kexec();
        pick_calls();
        raise(SIGSTOP);
        execv(argv[0], argv);
        die(argv[0]);
        return -1;
}

/* ---- one system call ---- */

static void set_regs(const struct run *run, const struct user_regs_struct *regs)
{
        if (ptrace(PTRACE_SETREGS, run->pid, NULL, regs) < 0 && errno != ESRCH)
                die("PTRACE_SETREGS");
}

/* In place of the call another one that does nothing, and that no filter of the program's own will
 * refuse: close(-1). */
static void replace(struct run *run, long answer)
{
        struct user_regs_struct regs = run->entry;

        regs.orig_rax = SYS_close;
        regs.rdi = (unsigned long)-1;
        set_regs(run, &regs);
        run->replaced = true;
        run->answer = answer;
}

static void shorten(struct run *run)
{
        struct user_regs_struct regs = run->entry;
        struct iovec iov, local = {&iov, sizeof(iov)}, remote = {(void *)regs.rsi, sizeof(iov)};

        switch (regs.orig_rax) {
        case SYS_getrandom:
                regs.rsi = regs.rsi > 1 ? regs.rsi / 2 : regs.rsi;
                break;
        case SYS_process_vm_readv:
        case SYS_process_vm_writev: /* the program's own array: it is made anew for each call */
                if (process_vm_readv(run->pid, &local, 1, &remote, 1, 0) != sizeof(iov))
                        return;
                iov.iov_len = iov.iov_len > 1 ? iov.iov_len / 2 : iov.iov_len;
                process_vm_writev(run->pid, &local, 1, &remote, 1, 0);
                return;
        default:
                regs.rdx = regs.rdx > 1 ? regs.rdx / 2 : regs.rdx;
        }
        set_regs(run, &regs);
}

static void fail(struct run *run, const struct fault_row *row)
{
        int action = row->actions[run->variant < fault_count(row) ? run->variant : 0];

        fprintf(run->report, "hit %lu %s %s%s\n", run->calls, row->name,
                        action > FAULT_AFTER ? "done, but " : "",
                        action == FAULT_SHORT  ? "half"
                        : action == FAULT_GONE ? "guest killed"
                                               : strerrorname_np(action % FAULT_SHORT));
        if (action == FAULT_SHORT) {
                shorten(run);
                return;
        }
        if (action == FAULT_GONE) { /* the second argument of ptrace is a process */
                if ((pid_t)run->entry.rsi > 1)
                        kill((pid_t)run->entry.rsi, SIGKILL);
                return;
        }
        if (run->entry.orig_rax == SYS_brk) { /* which says so by the break that there was */
                struct user_regs_struct regs = run->entry;

                regs.rdi = 0;
                set_regs(run, &regs);
                return;
        }
        if (action < FAULT_AFTER) {
                replace(run, -action);
                return;
        }
        run->replaced = true;
        run->answer = -(action - FAULT_AFTER);
}

/* Where the program crashed, and whose code called that, if it was in the C library. */
static void print_crash(const struct run *run)
{
        static struct {
                uint64_t from, to, offset;
                char name[256];
        } code[128];
        uint64_t stack[512] = {0};
        struct iovec local = {stack, sizeof(stack)}, remote = {NULL, sizeof(stack)};
        struct user_regs_struct regs;
        char line[512], path[64];
        size_t n_code = 0;
        FILE *maps;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/maps", run->pid);
        maps = fopen(path, "re");
        if (!maps || ptrace(PTRACE_GETREGS, run->pid, NULL, &regs) < 0)
                die(path);
        while (n_code < 128 && fgets(line, sizeof(line), maps))
                n_code += sscanf(line, "%lx-%lx r-xp %lx %*s %*s %255s", &code[n_code].from,
                                          &code[n_code].to, &code[n_code].offset,
                                          code[n_code].name) == 4;
        fclose(maps);
        remote.iov_base = (void *)regs.rsp;
        n = process_vm_readv(run->pid, &local, 1, &remote, 1, 0);
        for (ssize_t i = -1; i < n / 8; i++) {
                uint64_t at = i < 0 ? regs.rip : stack[i];

                for (size_t c = 0; c < n_code; c++)
                        if (code[c].from <= at && at < code[c].to &&
                                        !strstr(code[c].name, "/libc.so")) {
                                fprintf(run->report, "crash in %s+%#lx\n", code[c].name,
                                                at - code[c].from + code[c].offset);
                                return;
                        }
        }
        fputs("crash somewhere\n", run->report);
}

/* The path of open and its like, for those who read a failed point. */
static void print_path(const struct run *run)
{
        const struct user_regs_struct *regs = &run->entry;
        uint64_t at = 0;
        char path[200] = "";
        struct iovec local = {path, sizeof(path) - 1}, remote;

        switch (regs->orig_rax) {
        case SYS_open:
        case SYS_access:
        case SYS_mkdir:
                at = regs->rdi;
                break;
        case SYS_openat:
        case SYS_newfstatat:
        case SYS_unlinkat:
        case SYS_faccessat:
        case SYS_faccessat2:
                at = regs->rsi;
        }
        if (!at)
                return;
        remote = (struct iovec){(void *)at, sizeof(path) - 1};
        if (at % 4096 + sizeof(path) > 4096)
                remote.iov_len = local.iov_len = 4096 - at % 4096;
        if (process_vm_readv(run->pid, &local, 1, &remote, 1, 0) > 0)
                fprintf(run->trace, " %s", path);
}

static void enter(struct run *run)
{
        const struct fault_row *row = fault_row((long)run->entry.orig_rax);

        run->replaced = false;
        run->calls++;
        if (run->trace) {
                fprintf(run->trace, "%lu %s %zu", run->calls, row->name, fault_count(row));
                print_path(run);
                fputc('\n', run->trace);
        }
        if (run->calls == run->at && run->kill) {
                fprintf(run->report, "hit %lu %s killed\n", run->calls, row->name);
                kill(run->pid, SIGKILL);
                return;
        }
        if (!run->kill && (run->calls == run->at || row->nr == run->from_nr) && fault_count(row)) {
                run->from_nr = run->from ? row->nr : -1;
                fail(run, row);
                return;
        }
        if (!pretend_takes((long)run->entry.orig_rax))
                return;
        replace(run, pretend_call(&run->pretend, run->pid, &run->entry));
        if (run->pretend.rebooted)
                kill(run->pid, SIGKILL); /* the machine is gone */
}

static void leave(struct run *run, const struct user_regs_struct *now)
{
        struct user_regs_struct regs = run->entry;

        /* whatever was changed for the call's sake goes back */
        if (run->entry.orig_rax == SYS_execve || run->entry.orig_rax == SYS_arch_prctl)
                return;
        regs.rax = run->replaced ? (unsigned long)run->answer : now->rax;
        regs.rcx = now->rcx;
        regs.r11 = now->r11;
        if (run->replaced || regs.rdi != now->rdi || regs.rsi != now->rsi || regs.rdx != now->rdx)
                set_regs(run, &regs);
}

/* A call that the filter picked, and that no more than that shall happen to. */
static void picked(struct run *run, const struct user_regs_struct *now)
{
        struct user_regs_struct regs = *now;

        regs.rax = (unsigned long)pretend_call(&run->pretend, run->pid, &regs);
        regs.orig_rax = (unsigned long)-1; /* it isn't made */
        set_regs(run, &regs);
        if (run->pretend.rebooted)
                kill(run->pid, SIGKILL); /* the machine is gone */
}

/* ---- the run ---- */

/* The program has stopped. The signal that it is to get, or 0. */
static int look(struct run *run, int status, bool *inside)
{
        struct user_regs_struct regs;

        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8) ||
                        status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8))
                return 0;
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
                if (ptrace(PTRACE_GETREGS, run->pid, NULL, &regs) == 0)
                        picked(run, &regs);
                return 0;
        }
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
                if (WSTOPSIG(status) == SIGSEGV || WSTOPSIG(status) == SIGABRT)
                        print_crash(run);
                return WSTOPSIG(status);
        }
        if (ptrace(PTRACE_GETREGS, run->pid, NULL, &regs) < 0)
                return 0; /* killed meanwhile */
        *inside = !*inside;
        if (*inside) {
                run->entry = regs;
                enter(run);
        } else {
                leave(run, &regs);
                run->each = run->trace || run->from || run->calls < run->at;
        }
        return 0;
}

/* A child of the program has stopped: at a call that the filter picked, or at its first
 * instruction. */
static void look_at_child(struct run *run, pid_t child, int status)
{
        bool at_call = status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
        int number = WSTOPSIG(status);
        struct user_regs_struct regs;
        pid_t pid = run->pid;

        if (at_call && ptrace(PTRACE_GETREGS, child, NULL, &regs) == 0) {
                run->pid = child;
                picked(run, &regs);
                run->pid = pid;
        }
        if (number == SIGTRAP || number == SIGSTOP)
                number = 0;
        (void)ptrace(PTRACE_CONT, child, NULL,
                        (void *)(long)number); /* or it was killed meanwhile */
}

/* The next stop, or the end, of the program. */
static int wait_for_program(struct run *run)
{
        int status;

        for (;;) {
                pid_t pid = waitpid(run->forks ? -1 : run->pid, &status, __WALL);

                if (pid == run->pid)
                        return status;
                if (pid < 0 && errno != EINTR)
                        die("waitpid");
                if (pid > 0 && WIFSTOPPED(status))
                        look_at_child(run, pid, status);
        }
}

static int trace_program(struct run *run)
{
        bool inside = false;
        int status, signal_number = 0;

        if (ptrace(PTRACE_SETOPTIONS, run->pid, NULL,
                            PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC |
                                            PTRACE_O_TRACESECCOMP |
                                            (run->forks ? PTRACE_O_TRACEFORK : 0)) < 0)
                die("PTRACE_SETOPTIONS");
        run->each = run->trace || run->at;
        for (;;) {
                if (ptrace(run->each ? PTRACE_SYSCALL : PTRACE_CONT, run->pid, NULL,
                                    (void *)(long)signal_number) < 0 &&
                                errno != ESRCH)
                        die("going on");
                status = wait_for_program(run);
                if (!WIFSTOPPED(status))
                        return status;
                signal_number = look(run, status, &inside);
        }
}

/* Orphans come to us: all must end by themselves, and soon. */
static unsigned count_left(void)
{
        const struct timespec pause = {.tv_nsec = 2000000};
        unsigned left = 0;

        for (int waited = 0; waited < LEFT_WAIT_MS; waited += 2) {
                pid_t pid = waitpid(-1, NULL, __WALL | WNOHANG);

                if (pid < 0)
                        return 0;
                if (pid == 0)
                        nanosleep(&pause, NULL);
        }
        for (;;) {
                char line[256] = "", path[64];
                int fd;

                snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
                        return left;
                close(fd);
                kill((pid_t)atoi(line), SIGKILL);
                waitpid((pid_t)atoi(line), NULL, __WALL);
                left++;
        }
}

static FILE *open_output(const char *path)
{
        FILE *f = fopen(path, "we");

        if (!f)
                die(path);
        return f;
}

static void parse(int argc, char **argv, struct run *run)
{
        static const struct option options[] = {{"folder", 1, NULL, 'f'}, {"loaded", 1, NULL, 'l'},
                        {"report", 1, NULL, 'r'}, {"preload", 1, NULL, 'p'},
                        {"trace", 1, NULL, 't'}, {"at", 1, NULL, 'a'}, {"variant", 1, NULL, 'v'},
                        {"from", 0, NULL, 'F'}, {"kill", 0, NULL, 'k'}, {"forks", 0, NULL, 'c'},
                        {NULL}};
        int option;

        while ((option = getopt_long(argc, argv, "+", options, NULL)) >= 0)
                switch (option) {
                case 'f':
                        run->pretend.folder = optarg;
                        break;
                case 'l':
                        run->pretend.loaded = optarg;
                        break;
                case 'r':
                        run->report = open_output(optarg);
                        break;
                case 'p':
                        run->preload = optarg;
                        break;
                case 't':
                        run->trace = open_output(optarg);
                        break;
                case 'a':
                        run->at = strtoul(optarg, NULL, 10);
                        break;
                case 'v':
                        run->variant = strtoul(optarg, NULL, 10);
                        break;
                case 'F':
                        run->from = true;
                        break;
                case 'k':
                        run->kill = true;
                        break;
                case 'c':
                        run->forks = true;
                        break;
                default:
                        exit(99);
                }
        if (!run->pretend.folder || !run->pretend.loaded || !run->report || optind == argc)
                exit(99);
}

int main(int argc, char **argv)
{
        struct run run = {.from_nr = -1};
        char loaded = '0';
        int status, fd;

        parse(argc, argv, &run);
        fd = open(run.pretend.loaded, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, &loaded, 1) != 1)
                die(run.pretend.loaded);
        close(fd);
        run.pretend.is_loaded = loaded == '1';
        give_up_boot();
        if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                die("PR_SET_CHILD_SUBREAPER");
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
        program = run.pid = start(&run, argv + optind);
        status = trace_program(&run);
        program = -1;
        if (ended)
                fputs("ended\n", run.report);
        if (run.pretend.rebooted)
                fputs("reboot\n", run.report);
        fprintf(run.report, "left %u\n", count_left());
        if (WIFSIGNALED(status))
                fprintf(run.report, "signal %d\n", WTERMSIG(status));
        else
                fprintf(run.report, "exit %d\n", WEXITSTATUS(status));
        if (run.trace)
                fclose(run.trace);
        return fclose(run.report) == 0 ? 0 : 99;
}
