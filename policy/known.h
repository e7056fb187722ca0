/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs that were judged: a machine that is asked again, and hasn't been started anew meanwhile,
 * sends the same logs and PCR values, byte for byte, under another quote. Kept by attestation key,
 * the last of each, in a table of fixed size. One for each thread, one set of references and
 * policy. */
#pragma once

#include "policy/evidence.h"
#include "policy/verdict.h"

struct known;
/* bytes_each: evidence with larger logs isn't kept. */
int known_new(size_t n, size_t bytes_each, struct known **ret);
void known_free(struct known *known);

/* What was said of these logs and values, into the verdict, which then borrows it until the next
 * known_put. True, and *ret_result is what verify_logs returned. */
bool known_find(struct known *known, const struct evidence *evidence, struct verdict *verdict,
                int *ret_result);

/* Keeps what was judged, 0 or -EPERM, in place of whatever was there; the verdict then borrows it.
 * Where it can't be kept the verdict stays as it is. */
void known_put(struct known *known, const struct evidence *evidence, struct verdict *verdict,
                int result);
