/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest process as the rest of the system sees it: no rights, no descriptors, nothing but RAM;
 * deadlines, signals from outside, and that it never outlives its vCPU or the broker. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tests/unit/machine-fixture.h"

PROGRAM(code_hlt, "1: inc %rax\n hlt\n jmp 1b");
PROGRAM(code_loop, "1: jmp 1b");

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

static void test_process_has_no_rights(void)
{
        _cleanup_machine_ struct machine m = {0};
        char text[256];
        pid_t pid;

        REQUIRE(machine_new(&m) == 0);
        pid = find_child();
        REQUIRE(pid > 0);
        CHECK(proc_line(pid, "status", "CapEff:\t", text, sizeof(text)) &&
                        strtoull(text, NULL, 16) == 0);
        CHECK(proc_line(pid, "status", "CapPrm:\t", text, sizeof(text)) &&
                        strtoull(text, NULL, 16) == 0);
        CHECK(proc_line(pid, "status", "NoNewPrivs:\t", text, sizeof(text)) && text[0] == '1');
        CHECK(proc_line(pid, "status", "Seccomp:\t", text, sizeof(text)) && text[0] == '2');
        CHECK(proc_line(pid, "status", "Threads:\t", text, sizeof(text)) && atoi(text) == 1);
        CHECK(getsid(pid) == pid);
        if (geteuid() == 0)
                CHECK(proc_line(pid, "status", "Uid:\t", text, sizeof(text)) &&
                                atoi(text) == 65534);
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

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_loop, 0));
        sigaction(SIGALRM, &action, &old);
        setitimer(ITIMER_REAL, &soon, NULL);
        CHECK_EQ(vcpu_run(m.vcpu, &m.exit, &m.error), -EINTR);
        sigaction(SIGALRM, &old, NULL);
        CHECK_EQ(vcpu_get_regs(m.vcpu, &(struct vcpu_regs){0}), -ESRCH); /* it runs */
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

static const struct tap_test tests[] = {
                {"process without rights", test_process_has_no_rights},
                {"address space is RAM and nothing else", test_address_space_is_ram},
                {"deadline ends a loop", test_deadline},
                {"deadline adds up over runs", test_deadline_adds_up},
                {"nothing is left after free", test_free_leaves_nothing},
                {"signals from outside", test_signals_from_outside},
                {"a signal handler interrupts run", test_interrupted_run},
                {"SIGCHLD ignored", test_sigchld_ignored},
                {"stdin, stdout and stderr closed", test_closed_stdio},
                {"the guest dies with the broker", test_broker_dies},
};

TAP_MAIN(tests)
