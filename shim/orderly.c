/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/orderly.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/extend.h"
#include "shim/handover/kexec.h"
#include "shim/hop-exec.h"
#include "shim/last-exec.h"
#include "shim/next-kernel.h"

/* systemd-shutdown gives its hooks DEFAULT_TIMEOUT_USEC in all and then goes on: 90 seconds, or 45
 * as Fedora builds it (-Ddefault-timeout-sec=). This leaves some for ending the hop. */
#define STEPS_DEADLINE_S 30

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what the process says until it ends or time is up. False: time is up. */
static bool listen_to(int fd, char *text, size_t size)
{
        int64_t until = now_ms() + STEPS_DEADLINE_S * 1000;
        size_t n = 0;

        for (;;) {
                struct pollfd wanted = {.fd = fd, .events = POLLIN};
                int64_t left = until - now_ms();
                ssize_t got;

                if (left <= 0 || poll(&wanted, 1, (int)left) == 0)
                        return false;
                got = read(fd, text + n, size - 1 - n);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        return true;
                n += (size_t)got;
                text[n] = '\0';
        }
}

/* The steps in a process of their own: it gives up what it doesn't need, and whatever becomes of
 * it, this one is still there to tell. */
static int steps(const struct state_dir *dir, enum hop_exec_end end, const char *tcti,
                struct progress *progress, struct error *error)
{
        struct error said = {{0}};
        int fd[2], status;
        bool in_time;
        pid_t pid;

        fflush(NULL);
        if (pipe2(fd, O_CLOEXEC) < 0)
                return error_set(error, errno, "can't make a pipe: %m");
        pid = fork();
        if (pid == 0) {
                int r = hop_exec(dir, end, tcti, progress, &said);

                if (r < 0 && write(fd[1], said.text, strlen(said.text)) < 0)
                        _exit(2);
                _exit(r < 0);
        }
        close(fd[1]);
        in_time = pid > 0 && listen_to(fd[0], said.text, sizeof(said.text));
        close(fd[0]);
        if (pid < 0)
                return error_set(error, errno, "can't start a process: %m");
        if (!in_time) {
                kill(pid, SIGKILL); /* and not waited for: see orderly_finish */
                return error_set(error, ETIME, "exec's steps took longer than %d s",
                                STEPS_DEADLINE_S);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        if (WIFSIGNALED(status))
                return error_set(error, EIO, "exec was killed by signal %d", WTERMSIG(status));
        return WEXITSTATUS(status) == 0 ? 0 : error_set(error, EIO, "%s", said.text);
}

/* ---- while the system runs ---- */

/* What the next boot is told if nobody comes to say more. */
static void tell_of_begin(const struct staged *staged)
{
        char text[LAST_EXEC_MAX];
        struct error note = {{0}};

        snprintf(text, sizeof(text),
                        "exec of %s (hop %u) began, and nothing came back from its shutdown hook: "
                        "it was missing or killed, or the machine was reset",
                        staged->payload, staged->plan.hop);
        if (last_exec_write("", text, &note) < 0)
                progress_warn("should exec fail, the next boot won't tell why: %s", note.text);
}

int orderly_begin(const struct state_dir *dir, const char *tcti, struct progress *progress,
                struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        int r;

        if (access(MKEXEC_SHUTDOWN_HOOK, X_OK) < 0)
                return error_set(error, errno,
                                "the hook %s isn't there to finish it: install it, or stop what "
                                "matters and take --now",
                                MKEXEC_SHUTDOWN_HOOK);
        r = steps(dir, HOP_EXEC_REHEARSE, tcti, progress, error);
        if (r == 0)
                r = staged_read(dir, STATE_PLAN, &staged, error);
        if (r < 0)
                return r;
        tell_of_begin(&staged);
        r = state_write(dir, STATE_ARMED, SPAN("", 0), error);
        if (r < 0)
                orderly_forget(dir);
        return r;
}

void orderly_forget(const struct state_dir *dir)
{
        state_remove(dir, STATE_ARMED);
        last_exec_remove("", NULL);
}

/* ---- at the end of the shutdown ---- */

/* Whatever was loaded since: the guard comes back, or nothing is loaded. Both end in a reset. */
static int guard(const struct state_dir *dir, bool armed, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        int r = staged_read(dir, STATE_PLAN, &staged, error);

        if (r == 0)
                r = next_kernel_load_guard(dir, &staged, error);
        if (r < 0)
                (void)kexec_unload(NULL);
        else if (!armed)
                tell_of_begin(&staged);
        return r;
}

static int not_asked_for(const struct state_dir *dir, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        int r = staged_read(dir, STATE_PLAN, &staged, error);

        return r < 0 ? r
                     : error_set(error, ECANCELED,
                                       "%.200s was loaded, but this systemd makes kexecs of "
                                       "reboots: only 'mkexec exec' starts it",
                                       staged.payload);
}

/* On the console: what a hook says on stderr doesn't get there. */
static void say(int level, const char *text, const char *rest)
{
        _cleanup_close_ int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
        char line[LAST_EXEC_MAX + 64];
        int n = snprintf(line, sizeof(line), "<%d>mkexec: %.*s; %s\n", level, LAST_EXEC_MAX, text,
                        rest);

        if (kmsg >= 0 && write(kmsg, line, (size_t)n) < 0)
                progress_warn("/dev/kmsg: %m");
}

/* For the console and the next boot. */
static void tell(const struct error *reason)
{
        struct error note = {{0}};

        if (last_exec_write("", reason->text, &note) < 0)
                progress_warn("the next boot won't tell why: %s", note.text);
        say(LOG_ERR, reason->text, "resetting");
}

static void tell_time(int64_t ms)
{
        char text[64];

        snprintf(text, sizeof(text), "exec's steps took %.1f s of %d s", (double)ms / 1000,
                        STEPS_DEADLINE_S);
        say(LOG_NOTICE, text, "starting the second kernel");
}

int orderly_finish(const struct state_dir *dir, bool only_armed, const char *tcti,
                struct progress *progress, struct error *error)
{
        struct error recovery = {{0}};
        bool armed = state_has(dir, STATE_ARMED);
        int64_t began = now_ms();
        int r;

        if (!armed && !state_has(dir, STATE_PLAN))
                return 0;
        r = guard(dir, armed, error);
        if (r == 0 && only_armed && !armed)
                r = not_asked_for(dir, error);
        if (r == 0)
                r = steps(dir, HOP_EXEC_READY, tcti, progress, error);
        if (r == 0) {
                tell_time(now_ms() - began);
                last_exec_remove("", NULL);
                r = kexec_reboot(error);
        }
        tell(error);
        /* What was killed ends the system call that it is in before it dies: a TPM's driver may
         * wait for minutes, and an image may still get loaded. Whoever ends us meanwhile leaves
         * the guard, or an image that is measured to its end; the next boot has been told. */
        while (wait(NULL) >= 0 || errno == EINTR)
                continue;
        /* Steps that came to an end of their own left nothing to recover, and the guard. */
        if (extend_recover(dir, tcti, &recovery) < 0)
                progress_warn("%s", recovery.text);
        return r;
}
