/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reference values: kernels that a verifier knows, each as `mkexec predict --json` wrote it down
 * (docs/attestation.md, "Reference values"). A set of them is an allow-list: made once, then asked
 * for each boot of each evidence. Reads untrusted text; no files, no TPM. */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "eventlog/hop-check.h"
#include "eventlog/parse.h"
#include "eventlog/replay.h"

#define REFERENCE_MAX_BYTES (64u * 1024 * 1024)
#define REFERENCE_VIEW      0x3a10u /* PCR 4, 9, 11, 12, 13: what tells kernels apart */
#define REFERENCE_VIEW_N    5

enum reference_kind {
        REFERENCE_KEXEC,    /* predict: what a hop to it gives */
        REFERENCE_FIRMWARE, /* predict --firmware: what the PCRs of REFERENCE_VIEW read */
};

struct reference_event {
        uint32_t payload_pcr, type;
        uint8_t data_sha256[32];
};

struct reference {
        enum reference_kind kind;
        char *name; /* as the caller named it, its file for example */
        /* For people; NULL: not known. Nothing that is measured rests on them. */
        char *kernel, *os, *command_line, *signer;
        struct banks banks;
        uint8_t payload_sha256[32], load_options_sha256[32];
        size_t n_initrds;
        uint8_t initrd_sha256[HOP_INITRDS_MAX][32];
        struct reference_event *events; /* of the payload, without open and close */
        size_t n_events;
        uint8_t *digests; /* of event 0 in all banks, then of event 1 ... */
        struct digest view[ALG_MAX][REFERENCE_VIEW_N]; /* [bank][nth PCR of REFERENCE_VIEW], from
                                                          the events; zero without any */
        uint8_t key[32];                               /* of all that a ledger tells */
};

struct reference_set;
int reference_set_new(struct reference_set **ret);
void reference_set_free(struct reference_set *set);
/* One document. -EBADMSG with the member that is wrong; nothing is added then. */
int reference_set_add(
                struct reference_set *set, struct span text, const char *name, struct error *error);
/* Behind the last add, before the first question. After it the set is only read: many threads may
 * ask. */
int reference_set_index(struct reference_set *set);
size_t reference_set_size(const struct reference_set *set);
const struct reference *reference_set_at(const struct reference_set *set, size_t i);

enum reference_match {
        REFERENCE_UNKNOWN, /* none is like it */
        REFERENCE_PART,  /* kexec: PCRs of the payload view read alike; firmware: some of them do */
        REFERENCE_WHOLE, /* kexec: file, load options, initrds and all events; firmware: all PCRs of
                            REFERENCE_VIEW */
};

struct reference_found {
        enum reference_match match;
        const struct reference *reference; /* the nearest; NULL if nothing is like it */
        uint32_t equal;                    /* PCRs of REFERENCE_VIEW that read as its do */
        struct error reason;               /* unless WHOLE: what isn't equal, in words */
};

/* Of a hop that hop_check found whole, in the bank alg_id of the log. Independent of hop number,
 * map, close list and start values. An aborted hop is compared as far as it was extended, and by
 * its whole ledger. -EINVAL: the log doesn't have that bank. */
int reference_match_hop(const struct reference_set *set, const struct event_log *log,
                const struct hop_info *hop, uint16_t alg_id, struct reference_found *ret,
                struct error *error);

/* Of the firmware's boot: boot is the replay of the log's events before the first open, of
 * firmware's log alone. */
int reference_match_firmware(const struct reference_set *set, const struct replay *boot,
                uint16_t alg_id, struct reference_found *ret, struct error *error);
