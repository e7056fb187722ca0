/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kexec_load(2) and what stands around it, with errors that say which switch refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct kexec_part {
        const void *bytes; /* bytes_size of them; the rest of the segment is zero */
        uint64_t bytes_size;
        uint64_t address, size; /* physical, page-aligned */
};

/* Replaces what is loaded. 0 or -errno with the reason in one line; what the kernel calls EINVAL is
 * -EIO here, since no input of the user's is malformed. */
int kexec_load(uint64_t entry, const struct kexec_part *parts, size_t n, struct error *error);
int kexec_unload(struct error *error);
/* Whether the kernel would take a kexec_load now: 0, or -errno with what forbids it. Changes
 * nothing, but counts as a load where kernel.kexec_load_limit_reboot counts. */
int kexec_load_probe(struct error *error);
/* 1, 0 or -errno (-ENOENT: kernel without kexec). root: "" or a recorded tree's prefix. */
int kexec_loaded(const char *root);
bool kexec_locked_down(const char *root);
/* EPERM that is about both kexec calls: CAP_SYS_BOOT, kernel.kexec_load_disabled, the limit. -EPERM
 * with the reason that begins with the call's name, or 0: it is something else. */
int kexec_explain_eperm(const char *call, struct error *error);
/* Early refusal of what holds for both kexec calls: no CAP_SYS_BOOT, kernel.kexec_load_disabled, no
 * kexec in this kernel. loads_needed: kernel.kexec_load_limit_reboot counts each: probe, guard,
 * real image, guard again. */
int kexec_check_possible(const char *root, unsigned loads_needed, struct error *error);
/* sync and reboot(LINUX_REBOOT_CMD_KEXEC); returns only on failure (-EIO for EINVAL, as above). */
int kexec_reboot(struct error *error);
