/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's own walls: once a verb has opened what it needs, it gives up the rest, so that
 * whoever finds a mistake in the broker finds little else. predict and load do it between the
 * guest's birth and the first look into the payload, exec once the TPM is open. There is no way
 * back in this process. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "shim/progress.h"

enum sandbox_verb {
        SANDBOX_PREDICT = 1,
        SANDBOX_LOAD = 2,
        SANDBOX_EXEC = 4,
};

#define SANDBOX_FILES_MAX 5

struct sandbox {
        enum sandbox_verb verb;
        int volume_fd; /* the folder that is read while the payload runs; -1: none */
        int state_fd;  /* the folder that is written to; -1: none */
        bool sockets;  /* the TPM is behind one, and connected to for each command */
        const char *files[SANDBOX_FILES_MAX]; /* others that are still to be read, or folders of
                                                 them; may not exist */
};

/* Core dumps and /proc to others, capabilities, files (Landlock), system calls (seccomp), in this
 * order. 0 or -errno; a kernel without Landlock is no error, and the line of progress says so. With
 * $MKEXEC_SANDBOX=off, for debuggers and sanitizers, it warns and does nothing. */
int sandbox_enter(const struct sandbox *sandbox, struct progress *progress, struct error *error);

/* sandbox-files.c: false if this kernel can't (any reason), or -errno. */
int sandbox_confine_files(const struct sandbox *sandbox, bool *ret, struct error *error);
/* sandbox-calls.c */
int sandbox_filter_calls(enum sandbox_verb verb, bool sockets, struct error *error);
