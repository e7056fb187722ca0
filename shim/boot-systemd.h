/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What systemd (systemd-pcrextend and others) wrote down of its own measurements in each boot since
 * firmware ran: the logs that the boots before handed on, and the running system's. Data that
 * nobody measured, all of it; only a replay that gives what the TPM reads proves it. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "shim/boot-log.h"
#include "shim/handover/systemd-logs.h"
#include "shim/state.h"

struct boot_systemd {
        uint32_t boot; /* the running one's number: the event log opens one hop less. An aborted
                          hop counts, and what was measured after it is the next boot's */
        struct systemd_logs logs; /* of boots 1 to this one; for_boot is the next */
        struct buf past, running; /* what logs points into */
        int lock;                 /* shared, on the running system's log: nobody measures by
                                     systemd's rules while it is held; -1: there is no such file */
};

/* Where they are read: the running system's log, and the variable of the overlay. */
const char *boot_systemd_path(void);
#define BOOT_SYSTEMD_VARIABLE_SIZE 512
void boot_systemd_variable(const char *sysfs_root, char ret[BOOT_SYSTEMD_VARIABLE_SIZE]);

void boot_systemd_release(struct boot_systemd *systemd);
#define BOOT_SYSTEMD_NONE ((struct boot_systemd){.lock = -1})

/* log: this boot's, with parts as boot_log_read gave them. What an earlier boot handed on is looked
 * for in state (after an aborted hop), in the initrd, in EFI's variables; where it should be and
 * isn't, the boots before are marked as lost, with a warning that says why. state may be NULL. An
 * error is one of the running system's file, which exists and can't be read. */
int boot_systemd_read(const char *sysfs_root, const struct state_dir *state, struct span log,
                const struct boot_log_parts *parts, struct boot_systemd *ret, struct error *error);

/* What is replayed together with firmware's log; without IMA's list. */
void boot_systemd_chain(
                const struct boot_systemd *systemd, struct span firmware, struct chain *ret);

/* Before the hop: leaves out what doesn't fit into room bytes, with a warning, and writes the rest
 * to *ret. What is to be remembered if the hop is aborted goes to state. */
int boot_systemd_hand_on(struct boot_systemd *systemd, const struct state_dir *state, uint64_t room,
                struct buf *ret, struct error *error);
/* The hop was aborted: what the system measures from here on is a boot of its own number. May be
 * repeated. */
int boot_systemd_aborted(const struct state_dir *state, struct error *error);

/* Room for what is to be handed on, if it is read at load and handed on at exec. */
uint32_t boot_systemd_room(const struct boot_systemd *systemd);
