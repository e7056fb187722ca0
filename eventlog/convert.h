/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs of one form as another: `mkexec log convert`. All that a machine's logs tell, in the order
 * in which it happened (chain.h), becomes one Canonical Event Log, or one of its parts a log of its
 * own kind. What a form can't hold is left out and counted. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/chain.h"

enum convert_form {
        CONVERT_AGILE,    /* TCG, crypto-agile: events of firmware and of hops */
        CONVERT_CEL_JSON, /* an array as systemd-pcrlock writes it, numbered from 1 */
        CONVERT_CEL_TLV,  /* numbered from 0 */
        CONVERT_SYSTEMD,  /* tpm2-measure.log: systemd's records */
};

struct convert_input {
        struct chain chain;
        const struct span *cel; /* behind the chain's logs, one behind the other */
        size_t n_cel;
};

struct convert_options {
        enum convert_form form;
        /* CEL without the records that extend nothing: what systemd-pcrlock writes. Such a log has
         * lost its header and the start value of PCR 0. */
        bool measured_only;
        /* NULL, or takes what was written so far, and empties it; called again and again. */
        int (*flush)(void *context, struct buf *out);
        void *context;
};

/* Records by who made them. */
enum convert_class {
        CONVERT_EVENT, /* firmware's and mkexec's */
        CONVERT_BY_SYSTEMD,
        CONVERT_BY_IMA,
        CONVERT_OTHER,
        CONVERT_INFORMS, /* extend nothing: no-action events, management */
        CONVERT_CLASSES,
};

struct convert_result {
        size_t n_written; /* records; without a header that was made for them */
        size_t n_left_out[CONVERT_CLASSES];
        bool unknown_digests; /* of algorithms that we don't know were left out */
};

/* Appends to out. All of the input is read before anything is written. A firmware log that is agile
 * already is copied byte for byte, padding included, if there is no CEL input; else the header is
 * that of the records or, where they have none, one made of their banks. Firmware's log gets the
 * management record firmware_end at its end, and where a hop was closed state_trans. -EBADMSG: a
 * malformed input, or records that don't make a log: a digest that the header doesn't declare, none
 * at all, PCRs and registers. -ENODATA: nothing in it that the form can hold. -ENOMEM; what flush
 * gives. */
int convert(const struct convert_input *input, const struct convert_options *options,
                struct buf *out, struct convert_result *ret, struct error *error);

/* The TCG log in a CEL log. */
int convert_cel_to_agile(struct span cel, struct buf *ret, struct error *error);

/* A CEL log as the logs that a chain is made of: TCG's, empty if there is none, and systemd's of
 * each boot that it tells of, with a newline where there is no record; none of systemd's if there
 * is no record of its at all. IMA's records and others are left out. */
struct convert_parts {
        struct buf firmware, systemd[CHAIN_BOOTS_MAX];
        size_t n_systemd, n_left_out;
};
void convert_parts_release(struct convert_parts *parts);
#define _cleanup_convert_parts_ __attribute__((cleanup(convert_parts_release)))
int convert_cel_to_parts(struct span cel, struct convert_parts *ret, struct error *error);
