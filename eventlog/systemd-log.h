/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of systemd's userspace measurement log, /run/log/systemd/tpm2-measure.log: a JSON text
 * sequence (RFC 7464) with a record for each extend that systemd-pcrextend, systemd-cryptsetup and
 * others made. Doesn't open files: that the file's sticky bit says "a measurement may be missing
 * here" (systemd sets it around each extend) is for the caller to look at. */
#pragma once

#include <stdbool.h>

#include "base/alg.h"
#include "base/error.h"
#include "base/json.h"
#include "base/span.h"

struct systemd_record {
        bool has_pcr, has_nv_index; /* one of the two: PCR, or NvPCR (systemd 259 and newer) */
        uint32_t pcr, nv_index;
        struct digests digests; /* of known algorithms */
        /* JSON_NULL where the record has none. string is what was measured, C-escaped before it
         * became JSON; event_type is a name as "phase". */
        struct json string, event_type, boot_id;
        uint64_t timestamp_us; /* since the machine was switched on; 0 if unknown */
        size_t index, offset, size;
};

/* The record at *offset, which has number *index; both then stand on the next; start at 0 and 0.
 * Records are separated by 0x1e; a log that doesn't begin with one is read as one record a line.
 * Returns 1, 0 at the end, -EBADMSG for a malformed record, with its index and offset in the text,
 * and then both stand on the next one all the same, so that a reader may go on. */
int systemd_log_next(struct span log, size_t *offset, size_t *index, struct systemd_record *ret,
                struct error *error);

/* The bytes that were measured, as the record tells them: JSON's and then C's escapes decoded.
 * false: there is no string, or it isn't C-escaped text. */
bool systemd_record_measured(const struct systemd_record *record, struct buf *ret);

/* The same from the string, which is C-escaped. */
bool systemd_unescape(struct span string, struct buf *ret);

enum systemd_explained {
        SYSTEMD_UNVERIFIABLE, /* the record doesn't tell what was hashed: a volume key's digest is
                                 keyed */
        SYSTEMD_VERIFIED,
        SYSTEMD_MISMATCH, /* of a type whose digest is always that of its string */
};
/* Whether the string explains every digest of the record. -errno if hashing fails. */
int systemd_record_explain(const struct systemd_record *record, enum systemd_explained *ret);
