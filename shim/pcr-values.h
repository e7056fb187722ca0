/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCR values from a text file, for --base and --pcrs: lines "bank pcr hex", '#' starts a comment.
 */
#pragma once

#include "base/error.h"
#include "eventlog/replay.h"

/* Banks in the order of their first line; measured: what the file names, the rest is at its start
 * value. -EINVAL names file:line. */
int pcr_values_read(const char *path, struct replay *ret, struct error *error);
