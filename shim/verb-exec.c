/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec exec: at once, or by way of an orderly shutdown. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/extend.h"
#include "shim/hop-exec.h"
#include "shim/options.h"
#include "shim/orderly.h"
#include "shim/verb.h"

struct exec_options {
        const char *tcti;
        bool now, arm, at_shutdown, only_armed;
        int progress;
};

static const struct option_row rows[] = {
                {"now", NULL,
                                "at once: no service is stopped, no file system is unmounted (they "
                                "are synced)",
                                OPTION_FLAG(struct exec_options, now)},
                {"arm", NULL,
                                "check as always, but leave it to you when the system goes down: a "
                                "kexec of systemd's then starts the second kernel, also one that "
                                "it makes of a reboot",
                                OPTION_FLAG(struct exec_options, arm)},
                {"at-shutdown", NULL,
                                "the end of it, for the hook in systemd's system-shutdown "
                                "directory",
                                OPTION_FLAG(struct exec_options, at_shutdown)},
                {"only-armed", NULL, "with --at-shutdown: not without an 'exec' before",
                                OPTION_FLAG(struct exec_options, only_armed)},
                {"tcti", "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)",
                                OPTION_TEXT(struct exec_options, tcti)},
                {"quiet", NULL, "no progress lines",
                                OPTION_NUMBER(struct exec_options, progress, PROGRESS_QUIET)},
                {"verbose", NULL, "progress lines though stderr is no terminal",
                                OPTION_NUMBER(struct exec_options, progress, PROGRESS_VERBOSE)},
};

static const struct options options = {
                .verb = "exec",
                .usage = "mkexec exec [--now | --arm] [OPTIONS]",
                .about = "Shut the system down as 'systemctl kexec' does, and then put the final "
                         "event log into what 'load' staged, extend the TPM as recorded, check the "
                         "registers, and start the second kernel.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

static int parse(int argc, char **argv, struct exec_options *ret)
{
        int r = options_parse(&options, argc, argv, ret);

        if (r > 0)
                return r;
        if (optind != argc || ret->now + ret->arm + ret->at_shutdown > 1 ||
                        (ret->only_armed && !ret->at_shutdown))
                return 1 + usage_error("exec");
        return 0;
}

/* It comes back as soon as systemd has taken the job. */
static int systemctl_kexec(struct error *error)
{
        char program[] = "systemctl", word[] = "kexec", *argv[] = {program, word, NULL};
        int status, r;
        pid_t pid;

        r = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
        if (r != 0)
                return error_set(error, r, "can't start systemctl: %s", strerror(r));
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return error_set(error, errno, "waiting for systemctl: %m");
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        return error_set(error, EIO,
                        "'systemctl kexec' failed, so the system stays up; still loaded");
}

static int exec_orderly(const struct state_dir *dir, const struct exec_options *wanted,
                struct progress *progress, struct error *error)
{
        int r = orderly_begin(dir, wanted->tcti, progress, error);

        if (r == 0 && wanted->arm)
                progress_done(progress, 0, "armed: a kexec of systemd's starts it");
        if (r < 0 || wanted->arm)
                return r;
        r = systemctl_kexec(error);
        if (r < 0)
                orderly_forget(dir);
        return r;
}

int verb_exec(int argc, char **argv)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        struct exec_options wanted = {0};
        struct error error = {{0}};
        struct progress progress;
        int r = parse(argc, argv, &wanted);

        if (r > 0)
                return r - 1;
        if (!wanted.now && !wanted.at_shutdown && access("/run/systemd/system", F_OK) < 0)
                return fail_text(EXIT_USAGE, "without systemd there is no orderly shutdown to wait "
                                             "for: stop what matters, then 'mkexec exec --now'");
        progress = progress_new(wanted.progress);
        r = state_open(&dir, &error);
        if (r == 0)
                r = extend_recover(&dir, wanted.tcti, &error);
        if (r < 0)
                return fail(EXIT_REFUSED, &error);
        if (wanted.now)
                r = hop_exec(&dir, HOP_EXEC_REBOOT, wanted.tcti, &progress, &error);
        else if (wanted.at_shutdown)
                r = orderly_finish(&dir, wanted.only_armed, wanted.tcti, &progress, &error);
        else
                r = exec_orderly(&dir, &wanted, &progress, &error);
        return r < 0 ? fail(EXIT_REFUSED, &error) : EXIT_DONE;
}
