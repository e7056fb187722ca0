/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the fault injector share: the traced program, and the kernel that it thinks it
 * talks to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/user.h>

/* ---- faults.c: which system calls can fail, and how ---- */

enum {
        FAULT_SHORT = 10000, /* half of what was asked for is read or written */
        FAULT_GONE = 15000,  /* of ptrace: somebody has killed the process that it is about */
        FAULT_AFTER = 20000, /* + errno: it is done all the same (close) */
};

struct fault_row {
        long nr;
        const char *name;
        int actions[8]; /* an errno, FAULT_SHORT, FAULT_GONE, FAULT_AFTER + errno; 0 ends the list
                         */
};

const struct fault_row *fault_row(long nr); /* never NULL: calls without a row can't fail */
size_t fault_count(const struct fault_row *row);

/* ---- pretend.c: kexec, reboot and the like, which this machine must never see ---- */

struct pretend {
        const char *folder; /* what is loaded is written there, for the judge */
        const char *loaded; /* the file that says 1 or 0, as /sys/kernel/kexec_loaded */
        bool is_loaded, rebooted;
};

bool pretend_takes(long nr);
/* The answer of the made-up kernel: 0 or -errno. */
long pretend_call(struct pretend *p, pid_t pid, const struct user_regs_struct *regs);
