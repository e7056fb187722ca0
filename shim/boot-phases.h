/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Boot phases of systemd before 255, which measured them into PCR 11 and wrote no log: found out
 * from what PCR 11 reads. There are few words, in one order, so whatever combination gives that
 * value is what was extended. Used by boot-systemd.c where there is no log of systemd's. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/chain.h"

/* Kernels since 5.12 show PCRs there to everybody. */
#define BOOT_PHASES_PCRS "/sys/class/tpm/tpm0"

/* Appends records as systemd would have written them to *ret, for the phases since the end of what
 * chain explains; none if PCR 11 is explained already, can't be seen, or fits no phases. */
int boot_phases_find(const char *sysfs_root, const struct chain *chain, struct buf *ret,
                struct error *error);
