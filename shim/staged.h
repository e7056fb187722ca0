/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `load` leaves for `exec`: the plan, and by which call the second kernel is to be handed over
 * with what that call needs. shim/next-kernel.h does something with it. */
#pragma once

#include "base/error.h"
#include "policy/predict.h"
#include "policy/ticket.h"
#include "shim/state.h"

enum handover {
        HANDOVER_LOAD, /* kexec_load: the payload's memory as it was at the hand-over */
        HANDOVER_FILE, /* kexec_file_load: inner kernel, initrd, command line */
};

extern const char *const handover_names[]; /* "load", "file": as --handover and status have them */
#define N_HANDOVERS 2

#define STAGED_TICKETS_MAX TICKET_SLOTS

struct staged_ticket {
        char name[TICKET_NAME_MAX + 1];
        uint32_t handle; /* of its NV index; 0: it is still to be made */
};

struct staged {
        char *payload; /* path, as it was named */
        struct plan plan;
        enum handover handover;
        /* HANDOVER_LOAD */
        uint64_t guard_page; /* physical address of the guard image */
        uint64_t image_id;   /* that the image of this plan has in its header; 63 random bits */
        /* HANDOVER_FILE */
        uint8_t kernel_sha256[32];  /* of the file STATE_KERNEL */
        uint8_t initrd_sha256[32];  /* of STATE_INITRD from log_room on */
        uint64_t log_room;          /* bytes before the initrd for the event log's archive */
        uint64_t systemd_logs_room; /* of these */
        char *command_line;
        /* secrets that are to wait in the TPM for this kernel, without which exec doesn't start it:
         * names, which the TPM can't tell yet */
        size_t n_tickets;
        struct staged_ticket tickets[STAGED_TICKETS_MAX];
};

void staged_release(struct staged *staged);
#define STAGED_NONE ((struct staged){0})

/* Puts the description in place, under name STATE_PLAN or STATE_JOURNAL. */
int staged_write(const struct state_dir *dir, const char *name, const struct staged *staged,
                struct error *error);
/* -ENOENT: nothing is there under that name. */
int staged_read(const struct state_dir *dir, const char *name, struct staged *ret,
                struct error *error);
/* Whether the plan wants tickets; whoever can't read it can't know, and that counts as yes. */
bool staged_may_have_tickets(const struct state_dir *dir);

/* Removes plan, image, files and that exec was begun: nothing is loaded any more as far as we are
 * concerned. -errno: the plan can't be removed and all is as it was, or some of the files are left.
 */
int staged_drop(const struct state_dir *dir);
