/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The frame of 'mkexec ticket' and of mkexec-ticket: options, what the TPM says, and the words that
 * need nothing else (no JSON, no state in /run/mkexec). verb-ticket.c and mkexec-ticket.c have a
 * table of words each. */
#pragma once

#include "shim/ticket-rules.h"
#include "shim/verb.h"

#define TICKET_ROOM (4 * TICKET_SLOTS)

struct ticket_arguments {
        const char *name; /* NULL: none given */
        const char *tcti, *owner_auth, *output, *directory;
        uint32_t pcrs;
        unsigned wait_seconds;
        bool json, all, left;
};

/* A TPM, its PCRs and the rules: what each word but put works with. */
struct ticket_session {
        struct ticket_rules rules;
        struct tpm *tpm;
        struct tpm_nv *nv;
        struct replay now;
        bool any; /* something is in the range of tickets; else now wasn't read */
};

#define TICKET_SESSION_NONE ((struct ticket_session){.rules = TICKET_RULES_NONE})

/* Without a TPM, where firmware knows of none, too, there are no tickets: ret->nv is NULL then, and
 * error has the words for who wants one. */
int ticket_session_open(
                const struct ticket_arguments *a, struct ticket_session *ret, struct error *error);
void ticket_session_close(struct ticket_session *t);
#define _cleanup_ticket_session_ __attribute__((cleanup(ticket_session_close)))

int ticket_word_get(const struct ticket_arguments *a, struct error *error);
int ticket_word_drop(const struct ticket_arguments *a, struct error *error); /* --all or --left */
int ticket_word_lock(const struct ticket_arguments *a, struct error *error);

struct ticket_word {
        const char *word;
        /* which of NAME, --all and --left it takes: exactly one of them, if any */
        bool name, all, left;
        int (*run)(const struct ticket_arguments *a, struct error *error);
};

struct ticket_program {
        const char *usage, *about; /* of its help */
        const struct ticket_word *words;
        size_t n_words;
};

/* Runs the word argv[1]; returns an exit code. */
int ticket_verb(int argc, char **argv, const struct ticket_program *program);
