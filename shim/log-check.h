/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `log check` prints of a result of eventlog/check.h. */
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "eventlog/check.h"
#include "shim/log-chain.h"

struct log_check {
        const struct log_sources *sources;
        const struct log_chain *logs;
        const struct replay *pcrs; /* NULL: nothing to compare with */
        FILE *out;
};

/* All of it as JSON, rows as they are judged. Returns 0 and the verdict, or -errno. */
int log_check_json(const struct log_check *check, enum hop_result *ret, struct error *error);
/* For people: the verdict, boots, PCRs, remarks; with verbose each event that isn't verified. */
int log_check_text(const struct log_check *check, bool verbose, enum hop_result *ret,
                struct error *error);

const char *log_check_verdict(enum hop_result result); /* "ok" */

/* Parts of the latter: PCRs by what is known of them, a line each (the last one begins with
 * without_value); remarks. */
void log_check_print_pcrs(FILE *out, const struct check_result *result, const char *without_value);
void log_check_print_remarks(FILE *out, const struct check_result *result);
