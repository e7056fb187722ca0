/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of a set of reference values (reference-set.c), for the reader of one document
 * (reference-values.c) and for the comparison (reference-match.c). Nobody else includes it. */
#pragma once

#include "base/cleanup.h"
#include "policy/reference-values.h"

/* An entry of an index: a hash that names what is alike, and who has it. */
struct reference_index {
        uint8_t key[32];
        const struct reference *reference;
};

struct reference_set {
        struct reference **references;
        size_t n;
        struct reference_index *ledgers; /* of REFERENCE_KEXEC, by reference.key; sorted */
        size_t n_ledgers;
        struct reference_index *views; /* of all, by reference_view_key in each bank; sorted */
        size_t n_views;
        struct reference_index *files; /* of REFERENCE_KEXEC, by payload_sha256; sorted */
        struct reference_index *nears; /* of all, by reference_near_key; sorted */
        size_t n_nears;
};

/* One document; *ret is new. Errors as of reference_set_add. */
int reference_read(struct span text, const char *name, struct reference **ret, struct error *error);
void reference_free(struct reference *reference);
DEFINE_CLEANUP(struct reference *, reference_free)

/* The PCRs of REFERENCE_VIEW in their order. */
extern const uint8_t reference_view_pcrs[REFERENCE_VIEW_N];
/* The place of a PCR in them, or -1. */
int reference_view_place(uint32_t pcr);

/* Image events tell where an image lay, in memory and on which disk: that differs from machine to
 * machine, and isn't what their digest is of. */
bool reference_ignores_data(uint32_t type);

/* What a hop's open commits to, as bytes that are equal if and only if all of it is: put the head,
 * then each event. */
void reference_put_head(struct buf *buf, const uint8_t payload_sha256[32],
                const uint8_t load_options_sha256[32], const uint8_t (*initrd_sha256)[32],
                size_t n_initrds, size_t n_events);
void reference_put_event(struct buf *buf, uint32_t payload_pcr, uint32_t type,
                const uint8_t data_sha256[32]);

/* SHA-256 of kind, algorithm and values. */
int reference_view_key(enum reference_kind kind, const struct alg *alg,
                const struct digest view[REFERENCE_VIEW_N], uint8_t ret[32]);

/* SHA-256 of algorithm and one PCR's value, PCR 11 or 4: by these the nearest one is found. */
int reference_near_key(const struct digest *value, uint32_t pcr, uint8_t ret[32]);
bool reference_is_zero(const struct digest *value);

/* The digest of event i in bank b of its banks. */
const uint8_t *reference_digest(const struct reference *reference, size_t i, size_t b);
