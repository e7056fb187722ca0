/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of Linux' IMA measurement lists: /sys/kernel/security/ima/{binary,ascii}_runtime_
 * measurements, also those with a bank in their name. The list goes into PCR 10 (or the PCR of a
 * policy rule) record by record. Says what a record extends; whether the values fit is for replay.
 */
#pragma once

#include <stdbool.h>

#include "base/alg.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct ima_log {
        struct span bytes;
        bool ascii;
        size_t digest_size; /* binary: of a template digest, which the list itself doesn't tell */
};

struct ima_record {
        uint32_t pcr;
        struct span name; /* of the template ("ima-ng"), or its format ("d-ng|n-ng") */
        uint8_t digest[DIGEST_MAX_BYTES]; /* of the template data, as the list has it */
        size_t digest_size;
        bool violation;   /* digest of zeros: something changed while it was measured; the PCR was
                             extended by ones */
        bool data_known;  /* always in binary lists; not where a text can't be told apart */
        struct span data; /* the bytes that were hashed, in the list or in scratch */
        struct span file; /* the file's name, where the template has one */
        size_t index, offset, size;
};

/* Finds out the form; a binary list's digest size is the one with which the first record's digest
 * is that of its data, else one with which the whole list can be read. -EBADMSG if there is none.
 */
int ima_log_open(struct ima_log *ret, struct span bytes, struct error *error);

/* The record at *offset with number *index; both then stand on the next; start at 0 and 0. scratch
 * is the caller's, for data that must be put together; it is valid until the next call. Returns 1,
 * 0 at the end, -EBADMSG with index and offset in the text, -ENOMEM. */
int ima_log_next(const struct ima_log *log, size_t *offset, size_t *index, struct buf *scratch,
                struct ima_record *ret, struct error *error);

/* The file's name in template data as it is hashed; empty where the template has none. */
struct span ima_template_file(struct span name, struct span data);

enum ima_explained { IMA_UNVERIFIABLE, IMA_VERIFIED, IMA_MISMATCH };
/* Whether the data explains the digest; a violation has none to explain. -errno if hashing fails.
 */
int ima_record_explain(const struct ima_record *record, enum ima_explained *ret);

/* What Linux (5.8 and newer) extends for it: each bank the data's hash, or ones. Where the data
 * isn't known only banks of the digest's size get one. */
int ima_record_digests(
                const struct ima_record *record, const struct banks *banks, struct digests *ret);
