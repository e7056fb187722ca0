/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether an event's data explains its digest: the data itself, or one of the forms in which
 * firmware and boot loaders are known to hash it. Used for foreign events of PCR 8 (hop-check.h)
 * and for `log check`. */
#pragma once

#include "base/alg.h"
#include "base/buf.h"
#include "eventlog/event.h"

enum explained {
        UNEXPLAINED,
        EXPLAINED_BY_DATA,  /* the digests are those of the data */
        EXPLAINED_BY_TEXT,  /* EV_IPL: of its text without NUL, behind the first blank (GRUB:
                               "grub_cmd: "), as UTF-8 (systemd-stub), with its NUL made whole (old
                               systemd-boot) */
        EXPLAINED_BY_VALUE, /* of the variable's value alone: EV_EFI_VARIABLE_BOOT, and in logs with
                               SHA-1 alone EV_EFI_VARIABLE_DRIVER_CONFIG; the name isn't bound */
};

struct explanation {
        enum explained how;
        struct span preimage;    /* the bytes that were hashed, in the event's data or in scratch */
        const struct alg *other; /* unexplained: the first bank whose digest isn't the data's */
};

/* All digests of the event must be explained by the same bytes. hasher: over (at least) the banks
 * of the log. 0 or -errno. */
int event_explain(const struct tcg_event *event, struct hasher *hasher, struct buf *scratch,
                struct explanation *ret);
