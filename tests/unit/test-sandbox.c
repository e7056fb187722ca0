/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's own walls: a process that has entered the sandbox tries what it may not, and does
 * what its verb needs. Each row has a twin: the same call before, which gives another answer. No
 * call here would do harm if its wall were missing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/sandbox.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum { PREDICT = SANDBOX_PREDICT, LOAD = SANDBOX_LOAD, EXEC = SANDBOX_EXEC };
enum { RUN = PREDICT | LOAD, STAGE = LOAD | EXEC, ALL = RUN | EXEC };

static const enum sandbox_verb verbs[] = {SANDBOX_PREDICT, SANDBOX_LOAD, SANDBOX_EXEC};

/* What the verbs have: a volume with a file, /run/mkexec with one, and a file that is neither's. */
static struct {
        char outside[160], log[160];
        int volume_fd, state_fd;
} place;

static int result(long r)
{
        return r < 0 ? -errno : 0;
}

static int opened(int fd)
{
        int r = result(fd);

        if (fd >= 0)
                close(fd);
        return r;
}

/* ---- what is tried; 0 or -errno ---- */

static int try_open(void)
{
        return opened(open(place.outside, O_RDONLY));
}

static int try_open_shadow(void)
{
        return opened(open("/etc/shadow", O_RDONLY));
}

static int open2(int fd, const char *path, uint64_t flags)
{
        uint64_t how[3] = {flags, flags & O_CREAT ? 0600 : 0, 0};

        return opened((int)syscall(SYS_openat2, fd, path, how, sizeof(how)));
}

static int try_openat2(void)
{
        return open2(place.volume_fd, place.outside, O_RDONLY);
}

static int try_openat2_shadow(void)
{
        return open2(place.volume_fd, "/etc/shadow", O_RDONLY);
}

static int try_write_volume(void)
{
        return open2(place.volume_fd, "file", O_WRONLY);
}

static int try_create_in_volume(void)
{
        return open2(place.volume_fd, "new", O_RDWR | O_CREAT);
}

static int try_execve(void)
{
        char *none[] = {NULL};

        return result(execve("/nowhere/at/all", none, none));
}

static int try_fork(void)
{
        pid_t pid = (pid_t)syscall(SYS_clone, (long)SIGCHLD, NULL, NULL, NULL, NULL);

        if (pid == 0)
                _exit(0);
        return result(pid);
}

static int try_tcp(void)
{
        return opened(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_unix(void)
{
        return opened(socket(AF_UNIX, SOCK_STREAM, 0));
}

#define NOBODYS_PID 0x3ffffff

static int try_trace(void)
{
        return result(ptrace(PTRACE_ATTACH, NOBODYS_PID, NULL, NULL));
}

static int try_write_memory(void)
{
        return result(ptrace(PTRACE_POKEDATA, NOBODYS_PID, NULL, NULL));
}

static int try_signal(void)
{
        return result(kill(getppid(), 0));
}

static int try_code(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return page == MAP_FAILED ? -errno : result(munmap(page, 4096));
}

static int try_turn_into_code(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int r = page == MAP_FAILED ? -ENOMEM : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));

        munmap(page, 4096);
        return r;
}

static int try_mount(void)
{
        return result(mount("/nowhere", "/nowhere/at/all", NULL, MS_BIND, NULL));
}

static int try_namespace(void)
{
        return result(unshare(CLONE_FS));
}

static int try_module(void)
{
        return result(syscall(SYS_init_module, NULL, 0ul, ""));
}

static int try_bpf(void)
{
        return result(syscall(SYS_bpf, -1, NULL, 0));
}

static int try_perf(void)
{
        return result(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

static int try_set_limit(void)
{
        struct rlimit limit;

        return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno
                                                    : result(setrlimit(RLIMIT_NOFILE, &limit));
}

static int try_prctl(void)
{
        return result(prctl(PR_SET_NAME, "other", 0, 0, 0));
}

static int try_terminal_input(void)
{
        return result(ioctl(place.volume_fd, TIOCSTI, "x"));
}

static int try_dup(void)
{
        return opened(fcntl(place.volume_fd, F_DUPFD_CLOEXEC, 3));
}

/* More segments than can be, as in kexec_load_probe(): nothing is loaded even where it's allowed.
 */
static int kexec(unsigned long flags)
{
        return result(syscall(
                        SYS_kexec_load, 0ul, (unsigned long)KEXEC_SEGMENT_MAX + 1, NULL, flags));
}

static int try_kexec(void)
{
        return kexec(KEXEC_ARCH_X86_64);
}

static int try_kexec_on_crash(void)
{
        return kexec(KEXEC_ARCH_X86_64 | KEXEC_ON_CRASH);
}

static int try_kexec_file(void)
{
        return result(syscall(SYS_kexec_file_load, -1, -1, 0ul, NULL,
                        (unsigned long)KEXEC_FILE_NO_INITRAMFS));
}

static int try_kexec_file_on_crash(void)
{
        return result(syscall(SYS_kexec_file_load, -1, -1, 0ul, NULL,
                        (unsigned long)KEXEC_FILE_ON_CRASH));
}

/* With a wrong magic number nothing happens. */
static int try_reboot_kexec(void)
{
        return result(syscall(SYS_reboot, 0, 0, LINUX_REBOOT_CMD_KEXEC, NULL));
}

static int try_reboot_restart(void)
{
        return result(syscall(SYS_reboot, 0, 0, LINUX_REBOOT_CMD_RESTART, NULL));
}

static int try_read_volume(void)
{
        return open2(place.volume_fd, "file", O_RDONLY);
}

static int try_state_file(void)
{
        int fd = openat(place.state_fd, ".new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r;

        if (fd < 0)
                return -errno;
        r = result(ftruncate(fd, 4096));
        if (r == 0)
                r = result(fsync(fd));
        close(fd);
        if (r == 0)
                r = result(renameat(place.state_fd, ".new", place.state_fd, "kept"));
        return r == 0 ? result(unlinkat(place.state_fd, "kept", 0)) : r;
}

static int try_read_log(void)
{
        return opened(open(place.log, O_RDONLY));
}

static int try_read_switch(void)
{
        return opened(open("/proc/sys/kernel/ostype", O_RDONLY));
}

static int try_kill_child(void)
{
        return result(kill(NOBODYS_PID, SIGKILL));
}

/* ---- the tables ---- */

enum needs { NOTHING, LANDLOCK };

static const struct row {
        const char *name;
        int (*run)(void);
        unsigned denied, allowed; /* by which verbs' sandboxes */
        enum needs needs;
} rows[] = {
                {"open a file", try_open, ALL, 0, LANDLOCK},
                {"open /etc/shadow", try_open_shadow, ALL, 0, LANDLOCK},
                {"leave the volume", try_openat2, ALL, 0, LANDLOCK},
                {"leave the volume for /etc/shadow", try_openat2_shadow, ALL, 0, LANDLOCK},
                {"write to the volume", try_write_volume, ALL, 0, LANDLOCK},
                {"create in the volume", try_create_in_volume, ALL, 0, LANDLOCK},
                {"execve", try_execve, ALL, 0, NOTHING},
                {"fork", try_fork, ALL, 0, NOTHING},
                {"a TCP socket", try_tcp, ALL, 0, NOTHING},
                {"a Unix socket", try_unix, ALL, 0, NOTHING},
                {"trace another process", try_trace, ALL, 0, NOTHING},
                {"write to another process", try_write_memory, ALL, 0, NOTHING},
                {"a signal that isn't SIGKILL", try_signal, ALL, 0, NOTHING},
                {"executable memory", try_code, ALL, 0, NOTHING},
                {"memory that becomes executable", try_turn_into_code, ALL, 0, NOTHING},
                {"mount", try_mount, ALL, 0, NOTHING},
                {"unshare", try_namespace, ALL, 0, NOTHING},
                {"init_module", try_module, ALL, 0, NOTHING},
                {"bpf", try_bpf, ALL, 0, NOTHING},
                {"perf_event_open", try_perf, ALL, 0, NOTHING},
                {"setrlimit", try_set_limit, ALL, 0, NOTHING},
                {"prctl", try_prctl, ALL, 0, NOTHING},
                {"TIOCSTI", try_terminal_input, ALL, 0, NOTHING},
                {"a second descriptor", try_dup, ALL, 0, NOTHING},
                {"kexec_load", try_kexec, PREDICT, STAGE, NOTHING},
                {"kexec_load of a crash kernel", try_kexec_on_crash, ALL, 0, NOTHING},
                {"kexec_file_load", try_kexec_file, PREDICT, STAGE, NOTHING},
                {"kexec_file_load of a crash kernel", try_kexec_file_on_crash, ALL, 0, NOTHING},
                {"reboot into the image", try_reboot_kexec, RUN, EXEC, NOTHING},
                {"another reboot", try_reboot_restart, ALL, 0, NOTHING},
                {"read the volume", try_read_volume, EXEC, RUN, NOTHING},
                {"a file of /run/mkexec", try_state_file, PREDICT, STAGE, NOTHING},
                {"read a file that was named", try_read_log, PREDICT, STAGE, NOTHING},
                {"read what forbids kexec", try_read_switch, PREDICT, STAGE, NOTHING},
                {"SIGKILL", try_kill_child, EXEC, RUN, NOTHING},
};

static bool have_landlock; /* asked before any sandbox: inside nobody answers */

static bool behind_socket; /* the TPM */

static bool enter(enum sandbox_verb verb)
{
        struct sandbox sandbox = {.verb = verb,
                        .volume_fd = verb == SANDBOX_EXEC ? -1 : place.volume_fd,
                        .state_fd = verb == SANDBOX_PREDICT ? -1 : place.state_fd,
                        .sockets = behind_socket,
                        .files = {verb == SANDBOX_PREDICT ? NULL : place.log, "/nowhere/at/all"}};
        struct progress progress = progress_new(PROGRESS_QUIET);
        struct error error = {{0}};

        if (sandbox_enter(&sandbox, &progress, &error) < 0) {
                printf("# %s\n", error.text);
                fflush(stdout);
                return false;
        }
        return true;
}

/* In a process of its own; what it printed counts, and how it ended. */
static int in_child(bool sandboxed, enum sandbox_verb verb, int (*run)(void))
{
        pid_t pid;
        int status;

        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                if (sandboxed && !enter(verb))
                        _exit(255);
                _exit(-run());
        }
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 255)
                return 1;
        return -WEXITSTATUS(status);
}

static bool is_refusal(int r)
{
        return r == -ENOSYS || r == -EACCES;
}

/* What is denied fails as only the sandbox fails; without it the answer is another. False: it isn't
 * another here, so that nothing is said. */
static bool compare(const struct row *row, enum sandbox_verb verb)
{
        int inside = in_child(true, verb, row->run), outside = in_child(false, verb, row->run);
        int failures = tap_failures;

        CHECK((row->denied ^ row->allowed) & verb);
        if (is_refusal(outside)) {
                printf("# verb %d, %s: can't be told here\n", verb, row->name);
                return false;
        }
        if (row->denied & verb)
                CHECK(is_refusal(inside));
        else
                CHECK_EQ(inside, outside);
        if (tap_failures > failures)
                printf("# verb %d, %s: %d inside, %d outside\n", verb, row->name, inside, outside);
        return true;
}

static void compare_all(enum needs needs, size_t at_least)
{
        for (size_t v = 0; v < ARRAY_SIZE(verbs); v++) {
                size_t n = 0;

                for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                        if (rows[i].needs == needs)
                                n += compare(&rows[i], verbs[v]);
                CHECK(n >= at_least);
        }
}

static void test_calls(void)
{
        compare_all(NOTHING, 20);
}

/* tpm2-tss connects to swtpm for each command. */
static void test_sockets(void)
{
        behind_socket = true;
        for (size_t v = 0; v < ARRAY_SIZE(verbs); v++) {
                CHECK_EQ(in_child(true, verbs[v], try_unix), in_child(false, verbs[v], try_unix));
                CHECK_EQ(in_child(true, verbs[v], try_tcp), in_child(false, verbs[v], try_tcp));
                CHECK(is_refusal(in_child(true, verbs[v], try_execve)));
        }
        behind_socket = false;
}

static void test_files(void)
{
        if (!have_landlock)
                SKIP("this kernel has no Landlock");
        compare_all(LANDLOCK, 4);
}

/* ---- what others see of it ---- */

static bool proc_hex(pid_t pid, const char *key, uint64_t *ret)
{
        char path[64], line[256];
        bool found = false;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        f = fopen(path, "re");
        while (f && !found && fgets(line, sizeof(line), f)) {
                found = strncmp(line, key, strlen(key)) == 0;
                if (found)
                        *ret = strtoull(line + strlen(key), NULL, 16);
        }
        if (f)
                fclose(f);
        return found;
}

static uint64_t wanted_capabilities(enum sandbox_verb verb)
{
        static const uint64_t boot = 1ull << CAP_SYS_BOOT,
                              guest = 1ull << CAP_KILL | 1ull << CAP_DAC_READ_SEARCH;

        if (geteuid() != 0)
                return 0;
        return verb == SANDBOX_PREDICT ? guest : verb == SANDBOX_LOAD ? guest | boot : boot;
}

static void check_process(pid_t pid, enum sandbox_verb verb)
{
        const struct {
                const char *key;
                uint64_t value;
        } status[] = {
                        {"CapInh:\t", 0}, {"CapPrm:\t", wanted_capabilities(verb)},
                        {"CapEff:\t", wanted_capabilities(verb)}, {"CapAmb:\t", 0},
                        {"NoNewPrivs:\t", 1}, {"Seccomp:\t", 2},
                        {"CapBnd:\t", 0}, /* the last: only root can */
        };
        struct rlimit core = {1, 1};

        for (size_t i = 0; i < ARRAY_SIZE(status) - (geteuid() != 0); i++) {
                uint64_t value = ~0ull;

                CHECK(proc_hex(pid, status[i].key, &value));
                CHECK_EQ(value, status[i].value);
        }
        CHECK(prlimit(pid, RLIMIT_CORE, NULL, &core) == 0 || geteuid() != 0);
        CHECK(geteuid() != 0 || (core.rlim_cur == 0 && core.rlim_max == 0));
}

/* What /proc has of a process that isn't dumpable is root's, whoever it is. */
static void check_dumpable(pid_t pid, enum sandbox_verb verb)
{
        struct stat st = {.st_uid = 1};
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
        CHECK_EQ(stat(path, &st), 0);
        CHECK_EQ(st.st_uid, 0);
}

/* user: become that one first, 0: no. */
static void observe(enum sandbox_verb verb, uid_t user)
{
        int ready[2], end[2];
        pid_t pid;
        char byte;

        REQUIRE(pipe2(ready, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0);
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                close(end[1]);
                if (user && (setresuid(user, user, user) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0))
                        _exit(1);
                if (!enter(verb) || write(ready[1], "", 1) != 1)
                        _exit(1);
                _exit(read(end[0], &byte, 1) != 0);
        }
        close(ready[1]);
        close(end[0]);
        if (read(ready[0], &byte, 1) == 1)
                (user ? check_dumpable : check_process)(pid, verb);
        else
                CHECK(!"the sandbox was entered");
        close(ready[0]);
        close(end[1]);
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static void test_process(void)
{
        for (size_t v = 0; v < ARRAY_SIZE(verbs); v++)
                observe(verbs[v], 0);
}

static void test_not_dumpable(void)
{
        if (geteuid() != 0)
                SKIP("needs root to become somebody else");
        for (size_t v = 0; v < ARRAY_SIZE(verbs); v++)
                observe(verbs[v], 65534);
}

/* Numbers of another architecture would mean other calls. */
static int call_as_32_bit(void)
{
        long r;

        __asm__ volatile("int $0x80" : "=a"(r) : "a"(20 /* getpid */) : "memory");
        return r > 0 ? 0 : (int)r;
}

static void test_other_architecture(void)
{
        fflush(stdout);
        for (int sandboxed = 0; sandboxed < 2; sandboxed++) {
                pid_t pid = fork();
                int status = 0;

                if (pid == 0)
                        _exit((sandboxed && !enter(SANDBOX_PREDICT)) || call_as_32_bit() != 0);
                CHECK_EQ(waitpid(pid, &status, 0), pid);
                if (!sandboxed && (!WIFEXITED(status) || WEXITSTATUS(status)))
                        SKIP("this kernel has no 32-bit system calls");
                if (sandboxed)
                        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        }
}

/* A debugger's way out, said aloud. */
static int is_off(void)
{
        setenv("MKEXEC_SANDBOX", "off", 1);
        if (!enter(SANDBOX_LOAD))
                return 1;
        return opened(open(place.outside, O_RDONLY));
}

static void test_off(void)
{
        CHECK_EQ(in_child(false, SANDBOX_LOAD, is_off), 0);
}

static const struct tap_test tests[] = {
                {"system calls", test_calls},
                {"a TPM behind a socket can be connected to, and nothing else is won",
                                test_sockets},
                {"files", test_files},
                {"capabilities, limits, status", test_process},
                {"not dumpable", test_not_dumpable},
                {"system calls of another architecture", test_other_architecture},
                {"switched off", test_off},
};

int main(void)
{
        int r;

        have_landlock = syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) > 0;
        if (!scratch_new())
                return 2;
        scratch_mkdir("volume");
        scratch_write("volume/file", "x");
        scratch_mkdir("state");
        scratch_write("outside", "x");
        scratch_write("log", "x");
        snprintf(place.outside, sizeof(place.outside), "%s", scratch_path("outside"));
        snprintf(place.log, sizeof(place.log), "%s", scratch_path("log"));
        place.volume_fd = open(scratch_path("volume"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        place.state_fd = open(scratch_path("state"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = tap_main(tests, ARRAY_SIZE(tests));
        scratch_remove();
        return r;
}
