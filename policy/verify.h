/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The judge of evidence: a pure function of evidence, nonce, keys that are trusted, reference
 * values and policy. What is checked in which order: docs/attestation.md, "Verify"; the words of
 * its refusals: verdict-word.def. No TPM, no files, no clock of its own. */
#pragma once

#include "policy/evidence.h"
#include "policy/known.h"
#include "policy/verdict.h"
#include "policy/verify-policy.h"

struct verify_input {
        struct span nonce;                      /* that the quote must have; never empty */
        struct ak_cache *keys;                  /* whose keys are trusted */
        struct known *known;                    /* logs judged before; NULL: none are kept */
        const struct reference_set *references; /* NULL: none */
        const struct verify_policy *policy;     /* never NULL: verify_policy_default */
        time_t now;                             /* for certificates */
};

/* 0 with a verdict (release it before the next with the same keys and known), or -errno if none
 * could be reached: -ENOMEM and the like. */
int verify_evidence(const struct verify_input *input, const struct evidence *evidence,
                struct verdict *ret, struct error *error);

/* The same of a document, which is read into *scratch: what can't be read is a verdict, too. */
int verify_document(const struct verify_input *input, struct span text, struct evidence *scratch,
                struct verdict *ret, struct error *error);
