/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps of exec (docs/architecture.md) over what is staged. Called by verb-exec.c and, at the
 * end of an orderly shutdown, by orderly.c. */
#pragma once

#include "policy/predict.h"
#include "shim/progress.h"
#include "shim/state.h"
#include "tcg2/tpm.h"

enum hop_exec_end {
        HOP_EXEC_REHEARSE, /* all that can be found out without changing anything */
        HOP_EXEC_READY,    /* extends, then gives the real image to the kernel, and comes back */
        HOP_EXEC_REBOOT, /* gives it the real image, extends, reboots; comes back if that failed */
};

/* Needs the lock, enters the sandbox: a process can call it once. 0 or -errno; after an error
 * nothing but the guard is in the kernel, and a hop that was begun is ended with abort.
 *
 * READY is for a machine that is going down in any case: whenever such a process is killed or runs
 * out of time, what the kernel holds is the guard or an image that is measured to its end. REBOOT
 * finds out first that the kernel takes the image, since otherwise the machine would run on with a
 * hop that was ended for that. */
int hop_exec(const struct state_dir *dir, enum hop_exec_end end, const char *tcti,
                struct progress *progress, struct error *error);

/* What would stop it, as far as that shows without looking into what is staged: the kernel, the
 * guard, registers that moved. Tickets that are missing: tickets_check. *plan then starts at what
 * the PCRs read now. */
int hop_exec_check(struct tpm *tpm, struct plan *plan, struct error *error);
