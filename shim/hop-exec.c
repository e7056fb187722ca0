/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/hop-exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "shim/boot-log.h"
#include "shim/boot-phases.h"
#include "shim/boot-systemd.h"
#include "shim/extend.h"
#include "shim/handover/carried-log.h"
#include "shim/handover/kexec.h"
#include "shim/next-kernel.h"
#include "shim/sandbox.h"

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

int hop_exec_check(struct tpm *tpm, struct plan *plan, struct error *error)
{
        int r = kexec_check_possible("", 2, error); /* the guard must be able to come back */

        if (r == 0 && kexec_loaded("") == 0)
                r = error_set(error, ENODATA,
                                "the guard image isn't in the kernel any more (kexec -u?): load "
                                "again");
        return r == 0 ? extend_check_start(tpm, plan, error) : r;
}

static int prepare(const struct state_dir *dir, struct tpm *tpm, struct staged *staged,
                struct next_kernel *next, struct boot_systemd *systemd, struct error *error)
{
        uint32_t missing;
        int r = hop_exec_check(tpm, &staged->plan, error);

        if (r == 0)
                r = tickets_check(tpm, staged, &missing, error);
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
                        .files = {boot_log_path(), CARRIED_LOG_PATH, boot_systemd_path(), variable,
                                        BOOT_PHASES_PCRS},
        };

        boot_systemd_variable("/sys", variable);
        return sandbox_enter(&sandbox, progress, error);
}

static int load_image(struct next_kernel *next, struct progress *progress, struct error *error)
{
        int r = next->ops->load(next, error);

        if (r == 0)
                progress_done(progress, 0, "loaded the real image");
        return r;
}

static int extend(struct tpm *tpm, const struct plan *plan, struct progress *progress,
                struct error *error)
{
        int r = extend_run(tpm, plan, error);

        if (r == 0)
                r = extend_check_end(tpm, plan, error);
        if (r == 0)
                progress_done(progress, 0, "extended %zu events; the registers read as predicted",
                                plan->n_events);
        return r;
}

/* Steps 3 to 6. 0 only if the end isn't REBOOT. */
static int point_of_no_return(enum hop_exec_end end, struct tpm *tpm, const struct plan *plan,
                struct next_kernel *next, struct progress *progress, struct error *error)
{
        int r;

        block_signals();
        sync(); /* may take its time: not while the real image is loaded */
        if (end == HOP_EXEC_READY) {
                r = extend(tpm, plan, progress, error);
                return r == 0 ? load_image(next, progress, error) : r;
        }
        r = load_image(next, progress, error);
        if (r == 0)
                r = extend(tpm, plan, progress, error);
        return r == 0 ? kexec_reboot(error) : r;
}

/* Returns the error of what failed, with what became of the hop before it. */
static int end_hop(const struct state_dir *dir, struct tpm *tpm, struct staged *staged,
                struct ticket_rules *rules, int failed, struct error *error)
{
        struct error why = {{0}};
        size_t n = 0;

        if (extend_abort(tpm, dir, staged, rules, &n, &why) < 0)
                return error_prefix(error, failed,
                                "exec failed, and ending the hop failed too (%.200s)", why.text);
        if (n > 0)
                return error_prefix(error, failed,
                                "exec failed, the hop was ended with abort: load again");
        return error_prefix(error, failed, "exec failed before the TPM was touched; %s",
                        state_has(dir, STATE_PLAN) ? "still loaded" : "load again");
}

int hop_exec(const struct state_dir *dir, enum hop_exec_end end, const char *tcti,
                struct progress *progress, struct error *error)
{
        _cleanup_(next_kernel_release) struct next_kernel next = NEXT_KERNEL_NONE;
        /* its lock is held to the end: what is measured meanwhile would stand in no log */
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        _cleanup_ticket_rules_ struct ticket_rules rules = TICKET_RULES_NONE;
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        int r;

        if (!state_has(dir, STATE_PLAN))
                return error_set(
                                error, ENODATA, "nothing is loaded; 'mkexec load UKI' comes first");
        r = tpm_esys_open(tcti, &tpm, error);
        if (r == 0)
                r = ticket_rules_open(NULL, &rules, error);
        if (r < 0)
                return r;
        (void)tpm_keep_spare(tpm, tcti, NULL); /* /dev/tpm0 has one user at a time */
        spare_from_oom();                      /* takes a right that is given up now */
        r = enter_sandbox(dir, tcti, progress, error);
        if (r == 0)
                r = staged_read(dir, STATE_PLAN, &staged, error);
        if (r == 0)
                r = prepare(dir, tpm, &staged, &next, &systemd, error);
        if (r == 0 && end != HOP_EXEC_REHEARSE)
                r = staged_write(dir, STATE_JOURNAL, &staged, error);
        if (r == -ESTALE) /* load again: what tickets wait for won't come any more */
                tickets_drop_or_warn(tpm, &rules);
        if (r < 0 || end == HOP_EXEC_REHEARSE) {
                state_remove(dir, STATE_SYSTEMD_NEXT);
                return r;
        }
        progress_done(progress, 0, "prepared the final log and the journal");
        r = point_of_no_return(end, tpm, &staged.plan, &next, progress, error);
        return r < 0 ? end_hop(dir, tpm, &staged, &rules, r, error) : 0;
}
