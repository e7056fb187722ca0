/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This boot's event log: what the kernel shows of firmware's log (with the hops before this kernel,
 * if they were handed over by kexec_load), behind it what the boot before left in the initrd
 * (kexec_file_load), and behind that what aborted hops of this boot left in the TPM, which only
 * /run/mkexec remembers. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/hop-check.h"
#include "shim/state.h"
#include "tcg2/tpm.h"

#define BOOT_LOG_MAX_BYTES (64u * 1024 * 1024)

/* Bytes of it by where they come from. */
struct boot_log_parts {
        size_t kernel, carried, aborted;
};

/* Whether the boot before left a log that this process can read. */
bool boot_log_is_carried(const struct state_dir *state);

/* Where the kernel's own part is read. */
const char *boot_log_path(void);

/* Appends the log to *ret, without padding. An empty result: there is none; -ENXIO: that can't be
 * seen. state and parts may be NULL. A log that the boot before left is data that nobody measured:
 * what isn't well-formed or doesn't continue the kernel's log is left out with a warning, and so
 * is, if there is a tpm, what doesn't explain PCR 8 where the log without it does. */
int boot_log_read(const struct state_dir *state, struct tpm *tpm, struct buf *ret,
                struct boot_log_parts *parts, struct error *error);

/* The logs of systemd that stand in the initrd beside the log which continues the kernel's (its
 * first parts.kernel bytes), as shim/handover/systemd-logs.h has them. -ENOENT: the boot before
 * left nothing there; -EACCES: only root can tell; -EBADMSG: it isn't of this log. */
int boot_log_read_systemd_logs(const struct state_dir *state, struct span kernel, struct buf *ret,
                struct error *error);

/* Whether a kexec started the running kernel that the log doesn't tell of: a plain one, or a hop by
 * kexec_file_load whose log was lost. 1, by the kernel's boot_params; 0: these don't say so, which
 * proves nothing; -errno: they can't be read. */
int boot_log_lacks_this_boot(const char *sysfs_root, const struct boot_log_parts *parts);

/* Whether PCR 8, the registers of earlier hops and those of the next one (mask) are explained by
 * the log, compared with the TPM: 0, -EBADMSG with the reason. verdict: release it, also on
 * -EBADMSG. */
int boot_log_check(struct span log, struct tpm *tpm, const struct banks *banks, uint32_t registers,
                struct hop_verdict *verdict, struct error *error);

/* What the log of the next kernel can carry: the banks of the header, which must be the TPM's
 * active ones, in a crypto-agile log. -EPROTO with the reason: a SHA-1 log, a bank of the header
 * that isn't active, or (unless accepted; then *left_out names them) an active bank that isn't in
 * the header. */
int boot_log_check_banks(struct span log, const struct banks *active, bool accept,
                struct banks *ret, struct error *left_out, struct error *error);
