/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest process as the rest of the system sees it: no rights, no descriptors, nothing but RAM;
 * deadlines, signals from outside, and that it never outlives its vCPU or the broker. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "tests/unit/machine-fixture.h"

PROGRAM(code_hlt, "1: inc %rax\n hlt\n jmp 1b");
PROGRAM(code_loop, "1: jmp 1b");

/* Stands before glibc's prctl(), also for the child, and remembers what was asked: processors
 * without a control don't show that somebody wanted it. */
static struct {
        size_t n;
        struct {
                int option;
                unsigned long arg[2];
        } made[256];
} * calls;

int prctl(int option, ...)
{
        unsigned long arg[4];
        va_list ap;

        va_start(ap, option);
        for (size_t i = 0; i < ARRAY_SIZE(arg); i++)
                arg[i] = va_arg(ap, unsigned long);
        va_end(ap);
        if (calls && calls->n < ARRAY_SIZE(calls->made)) {
                calls->made[calls->n].option = option;
                memcpy(calls->made[calls->n].arg, arg, sizeof(calls->made[0].arg));
                calls->n++;
        }
        return (int)syscall(SYS_prctl, option, arg[0], arg[1], arg[2], arg[3]);
}

static bool proc_line(pid_t pid, const char *file, const char *key, char *value, size_t size)
{
        char path[64], line[256];
        bool found = false;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        f = fopen(path, "re");
        while (f && !found && fgets(line, sizeof(line), f)) {
                found = strncmp(line, key, strlen(key)) == 0;
                if (found)
                        snprintf(value, size, "%s", line + strlen(key));
        }
        if (f)
                fclose(f);
        return found;
}

/* Runs a test in a process of its own, whose limits and signals it may change. */
static int in_child(int (*run)(void))
{
        pid_t pid;
        int status;

        fflush(stdout);
        pid = fork();
        if (pid == 0)
                _exit(run());
        if (waitpid(pid, &status, 0) != pid)
                return -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- rights ---- */

static void check_capabilities(pid_t pid)
{
        static const char *const sets[] = {
                        "CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapBnd:\t", "CapAmb:\t"};
        char text[256];

        for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
                if (i == 3 && geteuid() != 0)
                        continue; /* whom no capability can be taken from has none to gain */
                REQUIRE(proc_line(pid, "status", sets[i], text, sizeof(text)));
                CHECK_EQ(strtoull(text, NULL, 16), 0);
        }
}

static void check_identity(pid_t pid)
{
        unsigned uid[4], gid[4];
        char text[256];

        REQUIRE(proc_line(pid, "status", "Uid:\t", text, sizeof(text)) &&
                        sscanf(text, "%u %u %u %u", &uid[0], &uid[1], &uid[2], &uid[3]) == 4);
        REQUIRE(proc_line(pid, "status", "Gid:\t", text, sizeof(text)) &&
                        sscanf(text, "%u %u %u %u", &gid[0], &gid[1], &gid[2], &gid[3]) == 4);
        for (size_t i = 0; i < 4; i++) {
                CHECK_EQ(uid[i], 65534);
                CHECK_EQ(gid[i], 65534);
        }
        REQUIRE(proc_line(pid, "status", "Groups:\t", text, sizeof(text)));
        CHECK_EQ(strspn(text, " \n"), strlen(text));
}

static void check_limits(pid_t pid)
{
        static const char *const limits[] = {
                        "Max core file size", "Max open files", "Max processes"};
        char text[256];

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                unsigned long soft = 1, hard = 1;

                CHECK(proc_line(pid, "limits", limits[i], text, sizeof(text)) &&
                                sscanf(text, "%lu %lu", &soft, &hard) == 2);
                CHECK_EQ(soft | hard, 0);
        }
}

/* What /proc has of a process that isn't dumpable is root's, whoever it is. */
static bool is_dumpable(pid_t pid)
{
        struct stat st;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
        return stat(path, &st) < 0 || st.st_uid != 0;
}

static void test_process_has_no_rights(void)
{
        _cleanup_machine_ struct machine m = {0};
        char text[256];
        pid_t pid;

        REQUIRE(machine_new(&m) == 0);
        pid = find_child();
        REQUIRE(pid > 0);
        check_capabilities(pid);
        check_limits(pid);
        CHECK(!is_dumpable(pid));
        CHECK(proc_line(pid, "status", "NoNewPrivs:\t", text, sizeof(text)) && text[0] == '1');
        CHECK(proc_line(pid, "status", "Seccomp:\t", text, sizeof(text)) && text[0] == '2');
        CHECK(proc_line(pid, "status", "Threads:\t", text, sizeof(text)) && atoi(text) == 1);
        CHECK(getsid(pid) == pid);
        if (geteuid() == 0)
                check_identity(pid);
}

static int as_nobody(void)
{
        struct machine m = {0};
        char text[256] = "";
        pid_t pid;

        /* Dumpable again, as a program is that nobody started. */
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0 ||
                        prctl(PR_SET_DUMPABLE, 1) < 0 || machine_new(&m) < 0)
                return 1;
        pid = find_child();
        if (!proc_line(pid, "status", "CapEff:\t", text, sizeof(text)) || strtoull(text, NULL, 16))
                return 2;
        if (is_dumpable(pid))
                return 3;
        if (!LOAD(&m, code_hlt, 0) || machine_run(&m) < 0 || m.exit.kind != VCPU_EXIT_PRIVILEGED)
                return 4;
        machine_release(&m);
        return 0;
}

static void test_no_rights_without_root(void)
{
        if (geteuid() != 0)
                SKIP("needs root to become somebody else");
        CHECK_EQ(in_child(as_nobody), 0);
}

static bool namespace_of(const char *process, const char *name, char *ret, size_t size)
{
        char path[64];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%s/ns/%s", process, name);
        n = readlink(path, ret, size - 1);
        ret[n > 0 ? n : 0] = '\0';
        return n > 0;
}

static void test_own_namespaces(void)
{
        static const char *const names[] = {"pid", "mnt", "ipc", "uts", "cgroup", "net"};
        _cleanup_machine_ struct machine m = {0};
        char pid[16];
        pid_t probe = (pid_t)syscall(SYS_clone,
                        CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                                        CLONE_NEWNET | SIGCHLD,
                        NULL, NULL, NULL, NULL);

        if (probe == 0)
                _exit(0);
        if (probe < 0)
                SKIP("namespaces aren't allowed here");
        CHECK_EQ(waitpid(probe, NULL, 0), probe);
        REQUIRE(machine_new(&m) == 0);
        snprintf(pid, sizeof(pid), "%d", (int)find_child());
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                char ours[64], its[64];

                REQUIRE(namespace_of("self", names[i], ours, sizeof(ours)));
                REQUIRE(namespace_of(pid, names[i], its, sizeof(its)));
                CHECK(strcmp(ours, its) != 0);
        }
}

/* Where processor and kernel can, status says what they do; what was asked for is seen anywhere. */
static void test_speculation_controls(void)
{
        static const struct {
                unsigned long feature, control;
                const char *status, *wanted;
        } rows[] = {
                        {PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE, "Speculation_Store_Bypass:\t",
                                        "thread force mitigated"},
                        {PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE,
                                        "SpeculationIndirectBranch:\t",
                                        "conditional force disabled"},
                        {2 /* PR_SPEC_L1D_FLUSH */, PR_SPEC_ENABLE, NULL, NULL},
        };
        _cleanup_machine_ struct machine m = {0};

        calls->n = 0;
        REQUIRE(machine_new(&m) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int possible = prctl(PR_GET_SPECULATION_CTRL, rows[i].feature, 0, 0, 0);
                char text[128] = "";
                bool asked = false;

                for (size_t k = 0; k < calls->n; k++)
                        asked |= calls->made[k].option == PR_SET_SPECULATION_CTRL &&
                                 calls->made[k].arg[0] == rows[i].feature &&
                                 calls->made[k].arg[1] == rows[i].control;
                CHECK(asked);
                printf("# speculation control %lu: %s\n", rows[i].feature,
                                possible > 0 && possible & PR_SPEC_PRCTL ? "per process"
                                                                         : "not per process here");
                if (possible <= 0 || !(possible & PR_SPEC_PRCTL) || !rows[i].status)
                        continue;
                CHECK(proc_line(find_child(), "status", rows[i].status, text, sizeof(text)));
                CHECK(strstr(text, rows[i].wanted));
        }
}

static void test_address_space_is_ram(void)
{
        _cleanup_machine_ struct machine m = {0};
        char path[64], line[512];
        uint64_t bytes = 0, gates = 0;
        FILE *f;
        DIR *fds;
        int n = 0;

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_hlt, 0));
        snprintf(path, sizeof(path), "/proc/%d/maps", (int)find_child());
        f = fopen(path, "re");
        if (!f)
                SKIP("/proc/PID/maps of the child isn't readable");
        while (fgets(line, sizeof(line), f)) {
                unsigned long start, end;
                bool known = false;

                REQUIRE(sscanf(line, "%lx-%lx", &start, &end) == 2);
                for (size_t i = 0; i < ARRAY_SIZE(plain_map); i++)
                        known |= start >= plain_map[i].start && end <= plain_map[i].end;
                if (known && strstr(line, "mkexec-ram")) {
                        bytes += end - start;
                        CHECK_EQ(strstr(line, "rwxs") != NULL, start == CODE);
                } else if (strstr(line, "r-xs") && strstr(line, "mkexec-gate")) {
                        gates++;
                } else if (!strstr(line, "[vsyscall]")) {
                        printf("# still mapped: %s", line);
                        CHECK(false);
                }
        }
        fclose(f);
        CHECK_EQ(bytes, 0x80000 + 63 * MIB + 2 * GIB);
        CHECK_EQ(gates, 1);
        snprintf(path, sizeof(path), "/proc/%d/fd", (int)find_child());
        fds = opendir(path);
        REQUIRE(fds);
        for (struct dirent *e; (e = readdir(fds));)
                n += e->d_name[0] != '.';
        closedir(fds);
        CHECK_EQ(n, 0);
}

static void test_deadline(void)
{
        _cleanup_machine_ struct machine m = {0};

        REQUIRE(machine_map(&m, plain_map, ARRAY_SIZE(plain_map), 150) == 0);
        REQUIRE(LOAD(&m, code_loop, 0));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_DEADLINE);
        REQUIRE(machine_run(&m) == 0); /* once is for good */
        CHECK_EQ(m.exit.kind, VCPU_EXIT_DEADLINE);
}

/* Short runs don't each get a new deadline. */
static void test_deadline_adds_up(void)
{
        _cleanup_machine_ struct machine m = {0};
        size_t n = 0;

        REQUIRE(machine_map(&m, plain_map, ARRAY_SIZE(plain_map), 100) == 0);
        REQUIRE(LOAD(&m, code_hlt, 0));
        do {
                REQUIRE(machine_run(&m) == 0);
                if (m.exit.kind == VCPU_EXIT_PRIVILEGED)
                        REQUIRE(set_reg(&m, VCPU_RIP, CODE));
        } while (m.exit.kind == VCPU_EXIT_PRIVILEGED && ++n < 10000000);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_DEADLINE);
        printf("# %zu runs\n", n);
}

static void test_free_leaves_nothing(void)
{
        struct machine m = {0};
        pid_t pid, other = fork();
        int status;

        if (other == 0)
                _exit(7);
        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_loop, 0));
        for (pid = other; pid == other;)
                pid = find_child(); /* whichever comes last: the guest, while the other is a zombie
                                     */
        machine_release(&m);
        CHECK(kill(pid, 0) < 0 && errno == ESRCH);
        /* The program's other children are its own to wait for. */
        CHECK_EQ(waitpid(other, &status, 0), other);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        CHECK(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD);
}

/* Another process, that signals the guest after a while. */
static pid_t send_later(pid_t to, int first, int second)
{
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        usleep(30000);
        kill(to, first);
        usleep(30000);
        kill(to, second);
        _exit(0);
}

static void test_signals_from_outside(void)
{
        static const struct {
                int first, second;
                const char *name;
        } rows[] = {
                        {SIGSTOP, SIGTERM, "SIGTERM"}, {SIGCONT, SIGUSR1, "SIGUSR1"},
                        {SIGWINCH, SIGSEGV, "SIGSEGV"}, /* a forged fault */
                        {SIGTSTP, SIGTRAP, "SIGTRAP"}, {SIGCONT, SIGKILL, "SIGKILL"},
                        {SIGCONT, SIGXCPU, "SIGXCPU"}, /* a forged deadline */
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_machine_ struct machine m = {0};
                pid_t sender;

                REQUIRE(machine_new(&m) == 0);
                REQUIRE(LOAD(&m, code_loop, 0));
                sender = send_later(find_child(), rows[i].first, rows[i].second);
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_DIED);
                CHECK(strstr(m.exit.text, rows[i].name));
                CHECK_EQ(waitpid(sender, NULL, 0), sender);
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_DIED);
                CHECK_EQ(vcpu_open(m.vcpu, CODE, CODE + 0x1000), -ESRCH);
        }
}

static void on_alarm(int signal)
{
}

static void test_interrupted_run(void)
{
        struct sigaction action = {.sa_handler = on_alarm}, old;
        struct itimerval soon = {.it_value.tv_usec = 50000};
        _cleanup_machine_ struct machine m = {0};
        uint8_t byte;

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_loop, 0));
        sigaction(SIGALRM, &action, &old);
        setitimer(ITIMER_REAL, &soon, NULL);
        CHECK_EQ(vcpu_run(m.vcpu, &m.exit, &m.error), -EINTR);
        sigaction(SIGALRM, &old, NULL);
        CHECK_EQ(vcpu_get_regs(m.vcpu, &(struct vcpu_regs){0}), -ESRCH); /* it runs */
        CHECK(!ram_read(m.ram, CODE, &byte, 1));
        CHECK_EQ(ram_commit(m.ram, AWAY, AWAY + 0x1000), -EBUSY);
        vcpu_free(TAKE_PTR(m.vcpu));
        CHECK(ram_read(m.ram, CODE, &byte, 1));
}

static int with_sigchld_ignored(void)
{
        struct machine m = {0};

        signal(SIGCHLD, SIG_IGN);
        if (machine_new(&m) < 0 || !LOAD(&m, code_hlt, 0) || machine_run(&m) < 0 ||
                        m.exit.kind != VCPU_EXIT_PRIVILEGED)
                return 1;
        machine_release(&m);
        return find_child() != 0;
}

static void test_sigchld_ignored(void)
{
        CHECK_EQ(in_child(with_sigchld_ignored), 0);
}

static int with_closed_stdio(void)
{
        struct machine m = {0};

        close(0);
        close(1);
        close(2);
        if (machine_new(&m) < 0 || !LOAD(&m, code_hlt, 0) || machine_run(&m) < 0)
                return 1;
        return m.exit.kind != VCPU_EXIT_PRIVILEGED;
}

static void test_closed_stdio(void)
{
        CHECK_EQ(in_child(with_closed_stdio), 0);
}

/* The broker is killed while the guest loops: the guest goes with it. */
static void test_broker_dies(void)
{
        int pipe_fds[2];
        pid_t broker, guest = 0;

        REQUIRE(pipe2(pipe_fds, O_CLOEXEC) == 0);
        broker = fork();
        if (broker == 0) {
                struct machine m = {0};

                if (machine_map(&m, plain_map, ARRAY_SIZE(plain_map), 0) < 0 ||
                                !LOAD(&m, code_loop, 0))
                        _exit(1);
                guest = find_child();
                if (write(pipe_fds[1], &guest, sizeof(guest)) < 0)
                        _exit(1);
                machine_run(&m);
                _exit(0);
        }
        CHECK(read(pipe_fds[0], &guest, sizeof(guest)) == sizeof(guest));
        REQUIRE(guest > 0);
        usleep(50000);
        CHECK_EQ(kill(guest, 0), 0);
        kill(broker, SIGKILL);
        CHECK_EQ(waitpid(broker, NULL, 0), broker);
        for (int i = 0; i < 100; i++) {
                char state[64] = "";

                usleep(10000);
                /* Nobody may be there to reap it. */
                if (!proc_line(guest, "status", "State:\t", state, sizeof(state)) ||
                                state[0] == 'Z') {
                        guest = 0;
                        break;
                }
        }
        CHECK_EQ(guest, 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

/* ---- the broker is killed while it makes its guest ---- */

#define MARK 0x6d6b /* no system call's number: the guest is made */

static _Noreturn void broker_to_be_killed(void)
{
        struct machine m = {0};

        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        if (machine_map(&m, plain_map, ARRAY_SIZE(plain_map), 0) < 0 || !LOAD(&m, code_loop, 0))
                _exit(1);
        syscall(MARK);
        machine_run(&m);
        _exit(0);
}

/* Lets the broker come to its stop number n at a system call, entry or exit; false if it has made
 * its guest before. */
static bool run_to_stop(pid_t broker, size_t n)
{
        int status, signal = 0;

        waitpid(broker, &status, 0);
        ptrace(PTRACE_SETOPTIONS, broker, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
        for (size_t i = 0; i < n;) {
                struct user_regs_struct regs;

                if (ptrace(PTRACE_SYSCALL, broker, NULL, signal) < 0 ||
                                waitpid(broker, &status, 0) != broker || !WIFSTOPPED(status) ||
                                ptrace(PTRACE_GETREGS, broker, NULL, &regs) < 0)
                        return false;
                signal = WSTOPSIG(status) & ~0x80;
                if (signal != SIGTRAP)
                        continue;
                signal = 0;
                if (regs.orig_rax == MARK)
                        return false;
                i++;
        }
        return true;
}

/* All that the broker left comes to us: 0 if it ends by itself, else one that doesn't. */
static pid_t wait_for_all(void)
{
        for (int i = 0; i < 300; i++) {
                pid_t pid;

                do
                        pid = waitpid(-1, NULL, WNOHANG | __WALL);
                while (pid > 0);
                if (pid < 0)
                        return 0;
                usleep(10000);
        }
        return find_child();
}

static void test_broker_dies_early(void)
{
        size_t n = 0, left = 0;
        bool is_early = true;

        REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
        fflush(stdout);
        for (; is_early && left == 0; n++) {
                pid_t broker = fork(), survivor;

                if (broker == 0)
                        broker_to_be_killed();
                is_early = run_to_stop(broker, n);
                kill(broker, SIGKILL);
                waitpid(broker, NULL, 0);
                survivor = wait_for_all();
                if (survivor == 0)
                        continue;
                left++;
                printf("# killed at stop %zu, and process %d goes on\n", n, (int)survivor);
                kill(survivor, SIGKILL);
                CHECK_EQ(wait_for_all(), 0);
        }
        printf("# killed at %zu stops\n", n);
        CHECK(n > 100);
        CHECK_EQ(left, 0);
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

static const struct tap_test tests[] = {
                {"process without rights", test_process_has_no_rights},
                {"process without rights, started by nobody", test_no_rights_without_root},
                {"own namespaces", test_own_namespaces},
                {"speculation controls", test_speculation_controls},
                {"address space is RAM and nothing else", test_address_space_is_ram},
                {"deadline ends a loop", test_deadline},
                {"deadline adds up over runs", test_deadline_adds_up},
                {"nothing is left after free", test_free_leaves_nothing},
                {"signals from outside", test_signals_from_outside},
                {"a signal handler interrupts run", test_interrupted_run},
                {"SIGCHLD ignored", test_sigchld_ignored},
                {"stdin, stdout and stderr closed", test_closed_stdio},
                {"the guest dies with the broker", test_broker_dies},
                {"the guest dies with the broker, killed at any system call",
                                test_broker_dies_early},
};

int main(void)
{
        calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                        0);
        if (calls == MAP_FAILED)
                return 2;
        return tap_main(tests, ARRAY_SIZE(tests));
}
