/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec exec: design page, "exec, step by step". Between the first extend and the reboot nothing
 * else happens; a failure there ends in abort, with the guard image in the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "shim/boot-log.h"
#include "shim/boot-systemd.h"
#include "shim/extend.h"
#include "shim/handover/carried-log.h"
#include "shim/handover/kexec.h"
#include "shim/next-kernel.h"
#include "shim/progress.h"
#include "shim/sandbox.h"
#include "shim/verb.h"

struct exec_options {
        const char *tcti;
        bool now;
        int progress;
};

enum { OPT_NOW = 256, OPT_TCTI, OPT_QUIET, OPT_VERBOSE, OPT_HELP };

static const struct option long_options[] = {
                {"now", no_argument, NULL, OPT_NOW},
                {"tcti", required_argument, NULL, OPT_TCTI},
                {"quiet", no_argument, NULL, OPT_QUIET},
                {"verbose", no_argument, NULL, OPT_VERBOSE},
                {"help", no_argument, NULL, OPT_HELP},
                {NULL},
};

static void help(void)
{
        puts("mkexec exec --now [OPTIONS]\n\n"
             "Put the final event log into what 'load' staged, extend the TPM as recorded, check "
             "the\n"
             "registers, and start the second kernel at once. No service is stopped, no file "
             "system is\n"
             "unmounted (they are synced).\n\n"
             "  --now                really do it\n"
             "  --tcti TCTI          the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)\n"
             "  --quiet, --verbose   no progress lines; progress lines though stderr is no "
             "terminal");
}

static int put_logs(const struct state_dir *dir, struct tpm *tpm, const struct plan *plan,
                struct next_kernel *next, struct boot_systemd *systemd, struct error *error)
{
        _cleanup_buf_ struct buf log = {0}, systemd_logs = {0};
        struct boot_log_parts parts;
        struct next_logs logs = {0};
        int r = boot_log_read(dir, tpm, &log, &parts, error);

        if (r == 0)
                r = boot_systemd_read("/sys", dir, buf_span(&log), &parts, systemd, error);
        if (r == 0)
                r = boot_systemd_hand_on(
                                systemd, dir, next->systemd_logs_room, &systemd_logs, error);
        if (r == 0 && log.size == 0)
                event_log_put_header(&log, &plan->banks);
        if (r == 0)
                r = plan_log(plan, plan->n_events, &log, error);
        if (r < 0)
                return r;
        if (buf_failed(&log))
                return error_set(error, ENOMEM, "out of memory");
        logs.log = buf_span(&log);
        logs.kernel_bytes = parts.kernel;
        logs.systemd_logs = buf_span(&systemd_logs);
        return next->ops->set_logs(dir, next, &logs, error);
}

static int prepare(const struct state_dir *dir, struct tpm *tpm, struct staged *staged,
                struct next_kernel *next, struct boot_systemd *systemd, struct error *error)
{
        int r = kexec_check_possible("", 2, error); /* the guard must be able to come back */

        if (r == 0 && kexec_loaded("") == 0)
                r = error_set(error, ENODATA,
                                "the guard image isn't in the kernel any more (kexec -u?): load "
                                "again");
        if (r == 0)
                r = extend_check_start(tpm, &staged->plan, error);
        if (r == 0)
                r = next_kernel_open(dir, staged, next, error);
        return r == 0 ? put_logs(dir, tpm, &staged->plan, next, systemd, error) : r;
}

/* From here to the reboot only SIGKILL ends us: a half-extended hop helps nobody. (After SIGKILL
 * the next call finishes it, see extend_recover.) */
static void block_signals(void)
{
        sigset_t all;

        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
}

/* The image's copy may be what uses up the memory; the kernel kills the largest process then, which
 * is us, and leaves the real image loaded with nothing extended. */
static void spare_from_oom(void)
{
        _cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (fd >= 0 && write(fd, "-1000", 5) != 5)
                return; /* a container may forbid it */
}

/* With the TPM open and nothing read of what others wrote. */
static int enter_sandbox(const struct state_dir *dir, const char *tcti, struct progress *progress,
                struct error *error)
{
        char variable[BOOT_SYSTEMD_VARIABLE_SIZE];
        struct sandbox sandbox = {
                        .verb = SANDBOX_EXEC,
                        .volume_fd = -1,
                        .state_fd = dir->fd,
                        .sockets = tpm_reconnects(tcti),
                        .files = {boot_log_path(), CARRIED_LOG_PATH, boot_systemd_path(), variable},
        };

        boot_systemd_variable("/sys", variable);
        return sandbox_enter(&sandbox, progress, error);
}

/* Steps 3 to 6. Returns only if one failed. */
static int point_of_no_return(struct tpm *tpm, const struct plan *plan, struct next_kernel *next,
                struct progress *progress, struct error *error)
{
        int r;

        block_signals();
        sync(); /* may take its time: not while the real image is loaded */
        r = next->ops->load(next, error);
        if (r < 0)
                return r;
        progress_done(progress, 0, "loaded the real image");
        r = extend_run(tpm, plan, error);
        if (r == 0)
                r = extend_check_end(tpm, plan, error);
        if (r < 0)
                return r;
        progress_done(progress, 0, "extended %zu events; the registers read as predicted",
                        plan->n_events);
        return kexec_reboot(error);
}

static int exec_hop(const struct state_dir *dir, const struct exec_options *options,
                struct error *error)
{
        _cleanup_(next_kernel_release) struct next_kernel next = NEXT_KERNEL_NONE;
        /* its lock is held to the end: what is measured meanwhile would stand in no log */
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        _cleanup_ticket_rules_ struct ticket_rules rules = TICKET_RULES_NONE;
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        struct progress progress = progress_new(options->progress);
        struct error abort_error = {{0}};
        size_t n = 0;
        int r, aborted;

        r = extend_recover(dir, options->tcti, error);
        if (r < 0)
                return r;
        if (!state_has(dir, STATE_PLAN))
                return error_set(
                                error, ENODATA, "nothing is loaded; 'mkexec load UKI' comes first");
        r = tpm_esys_open(options->tcti, &tpm, error);
        if (r == 0)
                r = ticket_rules_open(NULL, &rules, error);
        if (r < 0)
                return r;
        spare_from_oom(); /* takes a right that is given up now */
        r = enter_sandbox(dir, options->tcti, &progress, error);
        if (r == 0)
                r = staged_read(dir, STATE_PLAN, &staged, error);
        if (r == 0)
                r = prepare(dir, tpm, &staged, &next, &systemd, error);
        if (r == 0)
                r = staged_write(dir, STATE_JOURNAL, &staged, error);
        if (r == -ESTALE) /* load again: what tickets wait for won't come any more */
                tickets_drop_or_warn(tpm, &rules);
        if (r < 0) {
                state_remove(dir, STATE_SYSTEMD_NEXT);
                return r;
        }
        progress_done(&progress, 0, "prepared the final log and the journal");

        r = point_of_no_return(tpm, &staged.plan, &next, &progress, error);
        aborted = extend_abort(tpm, dir, &staged, &rules, &n, &abort_error);
        if (aborted < 0)
                return error_prefix(error, r, "exec failed, and ending the hop failed too (%.200s)",
                                abort_error.text);
        if (n > 0)
                return error_prefix(
                                error, r, "exec failed, the hop was ended with abort: load again");
        return error_prefix(error, r, "exec failed before the TPM was touched; %s",
                        state_has(dir, STATE_PLAN) ? "still loaded" : "load again");
}

static int parse(int argc, char **argv, struct exec_options *ret)
{
        int option;

        while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (option) {
                case OPT_NOW:
                        ret->now = true;
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
        return optind == argc ? 0 : 1 + usage_error("exec");
}

int verb_exec(int argc, char **argv)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        struct exec_options options = {0};
        struct error error = {{0}};
        int r = parse(argc, argv, &options);

        if (r > 0)
                return r - 1;
        if (!options.now && access("/run/systemd/system", F_OK) == 0)
                return fail_text(EXIT_REFUSED, "an orderly 'systemctl kexec' needs a shutdown hook "
                                               "that this version doesn't "
                                               "bring: stop what matters, then 'mkexec exec --now' "
                                               "reboots at once");
        if (!options.now)
                return fail_text(EXIT_USAGE, "exec reboots at once; say --now");
        r = state_open(&dir, &error);
        if (r == 0)
                exec_hop(&dir, &options, &error); /* comes back only if it failed */
        return fail(EXIT_REFUSED, &error);
}
