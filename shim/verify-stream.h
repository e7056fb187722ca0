/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `verify --stream`: lines of evidence from a descriptor, verdicts in the same order to another, by
 * several processes, in memory that doesn't grow with their number. */
#pragma once

#include "shim/verify-line.h"

#define VERIFY_JOBS_MAX 256

struct verify_stream {
        const struct verify_rules *rules;
        struct span nonce; /* verify-line.h */
        unsigned jobs;     /* processes that judge; 1: this one */
        int in, out;
};

/* Until the input ends. 0 and the worst verdict, or -errno. */
int verify_stream_run(const struct verify_stream *stream, enum verdict_kind *ret_worst,
                struct error *error);
