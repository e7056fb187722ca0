/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether an event's data explains its digest: the data itself, or one of the forms in which boot
 * loaders are known to hash it. Used for foreign events of PCR 8 (hop.h) and for `log check`. */
#pragma once

#include "base/alg.h"
#include "base/buf.h"
#include "eventlog/event.h"

/* Looks for the bytes that were hashed: the data; for EV_IPL also without its last NUL, the text
 * behind the first blank (GRUB: "grub_cmd: ") with and without NUL, and the UTF-8 form of UTF-16
 * data with and without NUL (systemd-stub), and UTF-16 data with its NUL made whole (old
 * systemd-boot). Returns 1 and the bytes in *preimage (replaced) if their digests equal all of the
 * event's, 0 if nothing fits, else -errno. hasher: over (at least) the banks of the log. */
int event_explain(const struct tcg_event *event, struct hasher *hasher, struct buf *preimage);
