/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Judges everything that explains the PCRs of a machine, in one pass: structure, digests against
 * data, order and separators, hops, and (with values) the replay of all of it together. Each record
 * is shown to the caller as it is judged; memory doesn't grow with their number. Pure: no I/O, no
 * TPM. Rules and what they rest on: docs/architecture.md, "What log check checks". */
#pragma once

#include "base/error.h"
#include "eventlog/chain.h"
#include "eventlog/hop-check.h"

/* Of one record. What data explains is data; whether it is what was measured only values tell. */
enum check_status {
        CHECK_VERIFIED,     /* its data explains its digests */
        CHECK_UNVERIFIABLE, /* what was hashed isn't in the log, or nothing was extended */
        CHECK_MISMATCH,     /* it breaks a rule: the verdict is no */
        CHECK_MALFORMED,    /* its body isn't what its type promises (the verdict may be ok all the
                               same), or the record can't be read */
        CHECK_STATUSES,
};
const char *check_status_word(enum check_status status); /* "verified" */

/* What is worth a word: refused ones make the verdict a mismatch, remarks don't. Words, texts and
 * which is which: check-note.def. */
enum check_note {
#define CHECK_NOTE_ROW(name, word, refused, text) name,
#include "eventlog/check-note.def"
#undef CHECK_NOTE_ROW
        CHECK_NOTES,
};
const char *check_note_word(enum check_note note);
const char *check_note_text(enum check_note note);
bool check_note_refused(enum check_note note);

struct check_event {
        struct chain_place place;
        /* One of them; none where a record can't be read. */
        const struct tcg_event *tcg;
        const struct systemd_record *systemd;
        const struct ima_record *ima;
        enum check_status status;
        const char *reason; /* why it isn't verified; "" */
        uint32_t notes;     /* 1u << enum check_note */
};

struct check_input {
        struct chain chain;
        const struct replay *pcrs; /* values of a TPM (replay.h: measured is the mask of known
                                      ones), or NULL */
        bool systemd_lacks;        /* records of systemd's are known to be missing: said where a PCR
                                      differs */
        bool no_bodies;            /* none is decoded: CHECK_MALFORMED is only of records that can't
                                      be read. No verdict depends on bodies */
        /* Every record in the order of extends; may be NULL. What isn't 0 ends the check. */
        int (*event)(void *context, const struct check_event *event);
        void *context;
};

/* Of one PCR in one bank. */
enum check_pcr {
        CHECK_PCR_NOT_COMPARED, /* no value was given */
        CHECK_PCR_PROVED,       /* it reads what the logs give */
        CHECK_PCR_OPAQUE,       /* a value, but no log that explains it */
        CHECK_PCR_DIFFERS,      /* the logs give another value */
        CHECK_PCR_LACKING,      /* an event has no digest for this bank: another has to prove it */
        CHECK_PCR_STATUSES,
};
const char *check_pcr_word(enum check_pcr status); /* "proved" */

struct check_noted {
        size_t n;
        struct chain_place first;
        uint32_t pcrs; /* mask of those where it was seen */
};

struct check_result {
        enum hop_result result;
        struct error reason; /* unless ok: the first one */
        bool firmware;       /* there is a TCG log; cc: for measurement registers, not a TPM's */
        bool cc;
        bool compared;             /* values were given */
        struct hop_verdict hops;   /* of the firmware's log; nothing is compared there */
        struct chain_result chain; /* replay: what the logs give, in the order of its banks */
        size_t n_events[CHECK_STATUSES];
        struct check_noted notes[CHECK_NOTES];
        size_t padding_bytes; /* behind the firmware's log */
        enum check_pcr pcr[ALG_MAX][PCR_COUNT];
};
void check_result_release(struct check_result *result);
#define _cleanup_check_result_ __attribute__((cleanup(check_result_release)))

/* 0 with a result (release it), or -errno if none could be reached, or what input->event returned.
 * Banks are those of the firmware's log, else of the values, else all that IMA and systemd know. */
int check_logs(const struct check_input *input, struct check_result *ret, struct error *error);
