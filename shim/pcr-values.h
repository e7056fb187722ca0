/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCRs as people write them: values in a text file, for --base and --pcrs (lines "bank pcr hex",
 * '#' starts a comment), and lists. */
#pragma once

#include "base/error.h"
#include "eventlog/replay.h"

/* Banks in the order of their first line; measured: what the file names, the rest is at its start
 * value. -EINVAL names file:line. */
int pcr_values_read(const char *path, struct replay *ret, struct error *error);

/* "0,4,7" as a mask; false if it is anything else. */
bool pcr_list_parse(const char *text, uint32_t *ret);
