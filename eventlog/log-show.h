/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop of `log show` over logs and records. What a log's records are read from may change while
 * it is read (shim/mapped-file.h): that changes what is shown, no more. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/log-kind.h"

#define LOG_SHOW_ALL_PCRS UINT32_MAX

enum log_show_form { LOG_SHOW_TABLE, LOG_SHOW_JSON, LOG_SHOW_YAML };

struct log_show_options {
        enum log_show_form form;
        uint32_t pcrs;          /* mask of those that are shown; other records are left out */
        const struct alg *bank; /* of the table; NULL: each record's first */
        bool color;
        /* Takes what was written so far, and empties it; called again and again. */
        int (*flush)(void *context, struct buf *out);
        void *context;
};

/* Writes all logs. -EBADMSG: one of them couldn't be read to its end, and which; all that could be
 * read was written, and so was the reason. -EPROTO: kinds that the form can't show. -errno of
 * flush; -ENOMEM. */
int log_show_write(const struct named_log *logs, size_t n_logs,
                const struct log_show_options *options, struct error *error);

/* Whether a log of that kind is shown as a TCG log: also what is no log at all, so that the reader
 * says why. */
bool log_show_is_tcg(enum log_kind kind);
