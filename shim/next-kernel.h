/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The staged second kernel behind one seam, whichever call hands it over: exec's order and recovery
 * are the same for both. One row each: next-image.c (kexec_load) and next-files.c
 * (kexec_file_load).
 */
#pragma once

#include "shim/handover/handover.h"
#include "shim/staged.h"

/* What exec puts into it: this boot's log with the hop, and systemd's of this boot and before. */
struct next_logs {
        struct span log;
        size_t kernel_bytes;      /* of the log, at its start: what this kernel shows of it */
        struct span systemd_logs; /* as shim/handover/systemd-logs.h has them */
};

struct next_kernel {
        const struct next_kernel_ops *ops;
        uint64_t systemd_logs_room;  /* bytes */
        struct handover_image image; /* next-image.c */
        int kernel_fd, initrd_fd;    /* next-files.c */
        const struct staged *staged; /* borrowed */
};

struct next_kernel_ops {
        /* Gives the guard to the kernel: nothing of the second kernel starts then. */
        int (*load_guard)(const struct state_dir *dir, const struct staged *staged,
                        struct error *error);
        /* Opens what load staged, and checks that it is what the plan was made for. */
        int (*open)(const struct state_dir *dir, struct next_kernel *next, struct error *error);
        int (*set_logs)(const struct state_dir *dir, struct next_kernel *next,
                        const struct next_logs *logs, struct error *error);
        int (*load)(struct next_kernel *next, struct error *error);
        void (*release)(struct next_kernel *next);
        /* What the second kernel doesn't get this way, for status; NULL-terminated. */
        const char *const *not_handed_over;
};

extern const struct next_kernel_ops next_image_ops, next_files_ops;

const struct next_kernel_ops *next_kernel_ops_of(enum handover handover);
int next_kernel_load_guard(
                const struct state_dir *dir, const struct staged *staged, struct error *error);
/* staged must outlive *ret. */
int next_kernel_open(const struct state_dir *dir, const struct staged *staged,
                struct next_kernel *ret, struct error *error);
void next_kernel_release(struct next_kernel *next);
#define NEXT_KERNEL_NONE ((struct next_kernel){.kernel_fd = -1, .initrd_fd = -1})
