/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of Canonical Event Logs (TCG CEL 1.0), as JSON and as TLV: what one log of all that a
 * machine measures looks like. Reads what systemd-pcrlock, libcel, tpm2-tss and Google's
 * go-tpm-tools write. Nothing is allocated per record. It says what is written; cel-write.h writes
 * it, cel-replay.h tells what it extends. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "eventlog/event.h"

/* Content types, numbers of the TLV form; 11 is libcel's, 80 and the registers are Google's. */
enum {
        CEL_MANAGEMENT = 4,
        CEL_PCCLIENT_STD = 5,
        CEL_IMA_TEMPLATE = 7,
        CEL_IMA_TLV = 8,
        CEL_SYSTEMD = 11,
        CEL_COS = 80,
        CEL_NAMED = 256, /* JSON only: a name that has no number here */
};

enum cel_management_type {
        CEL_VERSION = 1,
        CEL_FIRMWARE_END = 2,
        CEL_TIMESTAMP = 80,
        CEL_STATE_TRANS = 81,
};

enum { CEL_SUSPEND, CEL_HIBERNATE, CEL_KEXEC };

#define CEL_MANAGEMENT_MAX 8

struct cel_management {
        enum cel_management_type type;
        uint64_t value; /* major version; timestamp; what happened: CEL_KEXEC ... */
        uint64_t minor;
};

enum cel_place { CEL_PCR, CEL_NV_INDEX, CEL_REGISTER }; /* a register's number is RTMR's plus 1 */

struct cel_record {
        /* Of any record: index, offset, size; digests, of known algorithms; pcr, which is the
         * number of the register if there is one; data. type is that of pcclient_std. */
        struct tcg_event event;
        enum cel_place place;
        uint32_t nv_index;
        bool has_recnum; /* systemd's log has none */
        uint64_t recnum;
        unsigned content_type;
        size_t n_unknown; /* digests of other algorithms */
        /* Whether event.data is what the content holds: event data, template data, systemd's string
         * (still C-escaped), the bytes of other TLV contents. Not where JSON has an object instead.
         */
        bool data_known;
        struct span name; /* systemd's event type, IMA's template */
        uint64_t timestamp_us;
        bool has_boot_id;
        uint8_t boot_id[16];
        size_t n_management;
        struct cel_management management[CEL_MANAGEMENT_MAX];
        /* JSON_NULL in the TLV form. */
        struct json type_json, content_json;
};

/* Where a reader stands. */
struct cel_log {
        struct span bytes;
        bool json, array;
        bool ended; /* behind the array's bracket */
        size_t offset, index;
        uint64_t least[PCR_COUNT + 1]; /* record number of the next in each PCR; the last: others */
        uint32_t nv_index;             /* whose numbers the last one counts */
};

/* By its first byte: JSON (an array, or records with blanks or 0x1e between them), or TLV.
 * -EBADMSG: empty. */
int cel_open(struct cel_log *ret, struct span bytes, struct error *error);

/* The next record. scratch is the caller's, for what must be decoded; it is valid until the next
 * call. Record numbers must ascend in each PCR, since some number by PCR and others by log. Returns
 * 1, 0 at the end, -EBADMSG with index and offset in the text, -ENOMEM. */
int cel_next(struct cel_log *log, struct buf *scratch, struct cel_record *ret, struct error *error);

/* "pcclient_std"; NULL if it has no name. */
const char *cel_content_name(unsigned content_type);
const char *cel_management_name(enum cel_management_type type);
const char *cel_transition_name(uint64_t transition);

/* The one field of Google's content: its number, and text. */
bool cel_cos_field(const struct cel_record *record, uint8_t *ret_type, struct span *ret_text);
