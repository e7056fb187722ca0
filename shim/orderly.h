/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exec by way of an orderly shutdown: begun by `mkexec exec`, which then asks systemd to go down
 * for a kexec, or by whoever asks systemd for it while something is loaded; finished by
 * systemd-shutdown's hook when nothing runs any more and the file systems are unmounted or
 * read-only. In between and after anything that goes wrong the kernel holds the guard. */
#pragma once

#include "shim/progress.h"
#include "shim/state.h"

/* Checks all that can be checked now, and arms the hook. -errno: nothing was begun. */
int orderly_begin(const struct state_dir *dir, const char *tcti, struct progress *progress,
                struct error *error);
/* systemd didn't want to: as before orderly_begin. */
void orderly_forget(const struct state_dir *dir);

/* For the hook. only_armed: the call may mean a reboot, so that orderly_begin has to have said that
 * a kexec is meant. 0: nothing is loaded, and nothing was done; else it comes back only after a
 * failure, which it left for the next boot. */
int orderly_finish(const struct state_dir *dir, bool only_armed, const char *tcti,
                struct progress *progress, struct error *error);
