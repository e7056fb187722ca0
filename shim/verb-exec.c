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
#include "shim/orderly.h"
#include "shim/verb.h"

struct exec_options {
        const char *tcti;
        bool now, arm, at_shutdown, only_armed;
        int progress;
};

enum {
        OPT_NOW = 256,
        OPT_ARM,
        OPT_AT_SHUTDOWN,
        OPT_ONLY_ARMED,
        OPT_TCTI,
        OPT_QUIET,
        OPT_VERBOSE,
        OPT_HELP
};

static const struct option long_options[] = {
                {"now", no_argument, NULL, OPT_NOW},
                {"arm", no_argument, NULL, OPT_ARM},
                {"at-shutdown", no_argument, NULL, OPT_AT_SHUTDOWN},
                {"only-armed", no_argument, NULL, OPT_ONLY_ARMED},
                {"tcti", required_argument, NULL, OPT_TCTI},
                {"quiet", no_argument, NULL, OPT_QUIET},
                {"verbose", no_argument, NULL, OPT_VERBOSE},
                {"help", no_argument, NULL, OPT_HELP},
                {NULL},
};

static void help(void)
{
        puts("mkexec exec [--now | --arm] [OPTIONS]\n\n"
             "Shut the system down as 'systemctl kexec' does, and then put the final event log "
             "into what\n"
             "'load' staged, extend the TPM as recorded, check the registers, and start the second "
             "kernel.\n\n"
             "  --now                at once: no service is stopped, no file system is unmounted "
             "(they are\n"
             "                       synced)\n"
             "  --arm                check as always, but leave it to you when the system goes "
             "down: a kexec\n"
             "                       of systemd's then starts the second kernel, also one that it "
             "makes of a reboot\n"
             "  --at-shutdown        the end of it, for the hook in systemd's system-shutdown "
             "directory\n"
             "  --only-armed         with --at-shutdown: not without an 'exec' before\n"
             "  --tcti TCTI          the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)\n"
             "  --quiet, --verbose   no progress lines; progress lines though stderr is no "
             "terminal");
}

static int parse(int argc, char **argv, struct exec_options *ret)
{
        int option;

        while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (option) {
                case OPT_NOW:
                        ret->now = true;
                        break;
                case OPT_ARM:
                        ret->arm = true;
                        break;
                case OPT_AT_SHUTDOWN:
                        ret->at_shutdown = true;
                        break;
                case OPT_ONLY_ARMED:
                        ret->only_armed = true;
                        break;
                case OPT_TCTI:
                        ret->tcti = optarg;
                        break;
                case OPT_QUIET:
                        ret->progress = PROGRESS_QUIET;
                        break;
                case OPT_VERBOSE:
                        ret->progress = PROGRESS_VERBOSE;
                        break;
                case 'h':
                case OPT_HELP:
                        help();
                        return 1 + EXIT_DONE;
                default:
                        return 1 + usage_error("exec");
                }
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

static int exec_orderly(const struct state_dir *dir, const struct exec_options *options,
                struct progress *progress, struct error *error)
{
        int r = orderly_begin(dir, options->tcti, progress, error);

        if (r == 0 && options->arm)
                progress_done(progress, 0, "armed: a kexec of systemd's starts it");
        if (r < 0 || options->arm)
                return r;
        r = systemctl_kexec(error);
        if (r < 0)
                orderly_forget(dir);
        return r;
}

int verb_exec(int argc, char **argv)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        struct exec_options options = {0};
        struct error error = {{0}};
        struct progress progress;
        int r = parse(argc, argv, &options);

        if (r > 0)
                return r - 1;
        if (!options.now && !options.at_shutdown && access("/run/systemd/system", F_OK) < 0)
                return fail_text(EXIT_USAGE, "without systemd there is no orderly shutdown to wait "
                                             "for: stop what matters, then 'mkexec exec --now'");
        progress = progress_new(options.progress);
        r = state_open(&dir, &error);
        if (r == 0)
                r = extend_recover(&dir, options.tcti, &error);
        if (r < 0)
                return fail(EXIT_REFUSED, &error);
        if (options.now)
                r = hop_exec(&dir, HOP_EXEC_REBOOT, options.tcti, &progress, &error);
        else if (options.at_shutdown)
                r = orderly_finish(&dir, options.only_armed, options.tcti, &progress, &error);
        else
                r = exec_orderly(&dir, &options, &progress, &error);
        return r < 0 ? fail(EXIT_REFUSED, &error) : EXIT_DONE;
}
