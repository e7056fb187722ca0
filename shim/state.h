/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /run/mkexec: root only, one lock, whole files or none. The folder can be moved by $MKEXEC_RUN_DIR
 * for tests. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* what is loaded: the plan and where it came from (load writes, unload removes) */
#define STATE_PLAN "state.json"
/* for kexec_load: the staged segments (shim/handover/handover.h) */
#define STATE_IMAGE "image"
/* for kexec_file_load (shim/next-files.c): the inner kernel's file, and the initrd with room for
 * the event log before it */
#define STATE_KERNEL "kernel"
#define STATE_INITRD "initrd"
/* exists from just before the first extend until the reboot: a mkexec that died in between is
 * finished by the next call of a verb that needs root (shim/extend.h) */
#define STATE_JOURNAL "journal"
/* an orderly exec was begun: the shutdown's hook is to finish it (shim/orderly.h). Empty */
#define STATE_ARMED "armed"
/* events that hops which came to nothing left in the TPM; part of this boot's log */
#define STATE_ABORTED "aborted.log"
/* a journal whose hop could not be made out from the registers; for people to look at */
#define STATE_UNEXPLAINED "unexplained"
/* systemd's logs up to a hop of this boot that was aborted (shim/boot-systemd.h); exec writes it
 * under the second name, in case that it comes to that */
#define STATE_SYSTEMD      "systemd.logs"
#define STATE_SYSTEMD_NEXT "systemd.logs-if-aborted"
/* what the boot before left of the log (shim/handover/carried-log.h), put here by a unit or hook
 * before the initrd's root goes away */
#define STATE_CARRIED "carried.log"

struct state_dir {
        int fd;   /* the folder */
        int lock; /* held while open */
};

#define STATE_DIR_NONE ((struct state_dir){-1, -1})

/* Creates the folder (0700) if need be, checks owner and mode, takes the lock. Another mkexec that
 * holds it: waits up to 10 s, then -EBUSY naming its process. -EACCES/-EPERM: not root. */
int state_open(struct state_dir *ret, struct error *error);
/* For status without root or without a folder: no lock, -ENOENT if there is none. */
int state_open_read(struct state_dir *ret, struct error *error);
void state_close(struct state_dir *dir);

bool state_has(const struct state_dir *dir, const char *name);
int state_read(const struct state_dir *dir, const char *name, size_t limit, struct buf *ret,
                struct error *error);
/* Atomic and durable as far as tmpfs goes: written beside, synced, renamed. */
int state_write(const struct state_dir *dir, const char *name, struct span bytes,
                struct error *error);
/* A new file under a temporary name for large contents; commit renames it. */
int state_create(const struct state_dir *dir, const char *name, int *ret_fd, struct error *error);
/* The same file for reading, before commit; no descriptor for writing may be left (kexec_file_load
 * and the kernel's deny_write_access). */
int state_open_new(const struct state_dir *dir, const char *name, int *ret_fd, struct error *error);
int state_commit(const struct state_dir *dir, const char *name, struct error *error);
void state_discard(const struct state_dir *dir, const char *name); /* instead of commit */
int state_open_file(const struct state_dir *dir, const char *name, int flags, int *ret_fd,
                struct error *error);
int state_remove(const struct state_dir *dir, const char *name); /* 0 also if it isn't there */
