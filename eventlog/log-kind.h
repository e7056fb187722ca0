/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What kind of log some bytes are. */
#pragma once

#include "base/span.h"

enum log_kind {
        LOG_UNKNOWN,  /* none of these: event_log_open() says what is wrong with it */
        LOG_TCG,      /* crypto-agile or SHA-1, eventlog/parse.h */
        LOG_CC,       /* the same for measurement registers: CCEL */
        LOG_SYSTEMD,  /* eventlog/systemd-log.h */
        LOG_IMA,      /* binary or ASCII, eventlog/ima-log.h */
        LOG_CEL_JSON, /* TCG Canonical Event Log: an array, or records one by one */
        LOG_CEL_TLV,
};

/* One of those that are gone through together. */
struct named_log {
        const char *name; /* for people: a path */
        enum log_kind kind;
        struct span bytes;
        uint32_t boot;     /* of systemd's: which boot measured it, from 1; 0: not known */
        const char *lacks; /* what is known to be missing, for people; NULL: nothing */
};

/* By the first bytes; a guess that the reader of that kind may still refuse. */
enum log_kind log_kind_of(struct span bytes);
const char *log_kind_word(enum log_kind kind); /* "tcg": for programs */
const char *log_kind_name(enum log_kind kind); /* "TCG event log": for people */
