/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Staging for a hand-over by kexec_file_load; what exec does with it is behind shim/next-kernel.h.
 */
#pragma once

#include "shim/handover/file-handover.h"
#include "shim/staged.h"

/* Writes kernel and initrd beside those of an earlier load and fills staged's members of this mode.
 * Gives the guard to the kernel. log_room: as carried_log_room says. */
int next_files_stage(const struct state_dir *dir, const struct file_handover *files,
                uint64_t log_room, struct staged *staged, struct error *error);
int next_files_commit(const struct state_dir *dir, struct error *error);
