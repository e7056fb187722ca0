/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kexec_file_load(2): the call that a locked-down kernel allows, because it gets the kernel as a
 * file and can check its signature. The errors say what to sign, and which keyring must have the
 * key. */
#pragma once

#include "base/error.h"

/* Replaces what is loaded. initrd_fd -1: none. Neither file may be open for writing. 0 or -errno
 * with the reason; what the kernel calls EINVAL is -EIO here, as for kexec_load. */
int kexec_file_load(int kernel_fd, int initrd_fd, const char *command_line, struct error *error);

/* The guard of this mode. A locked-down kernel takes no code of ours, only a kernel that it trusts:
 * so the guard is the second kernel itself, without an initrd and with a command line under which
 * it finds neither an init nor a root file system, and panics, which resets the machine
 * (panic=-1). It runs no program and opens no disk. */
int kexec_file_load_guard(int kernel_fd, struct error *error);

#define KEXEC_FILE_GUARD_COMMAND_LINE                                                         \
        "panic=-1 oops=panic noresume rdinit=/.mkexec/none init=/.mkexec/none root=PARTUUID=" \
        "none/none"
