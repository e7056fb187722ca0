/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What verify.h has to say of a piece of evidence. Everything in it was signed, or follows from
 * what was signed: nothing is repeated that the evidence only claims. Spans point into the
 * evidence, the reference values and the cache of keys, which must stay. */
#pragma once

#include "base/error.h"
#include "eventlog/check.h"
#include "eventlog/escape.h"
#include "policy/ak-cache.h"
#include "policy/plain-kexec.h"
#include "policy/quote.h"
#include "policy/reference-values.h"

enum verdict_kind {
        VERDICT_TRUSTED,
        VERDICT_NOT_TRUSTED,
        VERDICT_MALFORMED, /* something in it can't be read */
};
const char *verdict_kind_text(enum verdict_kind kind); /* "trusted", "not trusted", "malformed" */

enum verdict_word {
#define VERDICT_WORD_ROW(name, word) name,
#include "policy/verdict-word.def"
#undef VERDICT_WORD_ROW
        VERDICT_WORDS,
};
const char *verdict_word_text(enum verdict_word word); /* "nonce" */

#define VERDICT_LINES_MAX       8
#define VERDICT_AUTHORITIES_MAX 8

struct verdict_text {
        struct span text;
        enum text_encoding encoding;
};

/* A kernel that ran, or (aborted) that was to. */
struct verdict_boot {
        const struct hop_info *hop; /* that began it; NULL: firmware's boot */
        size_t reported_by;         /* the boot (from 1) whose kernel says so; 0: firmware's */
        bool found_known; /* found has been filled: there were references, and the log holds */
        struct reference_found found;
        bool known;   /* wholly as one of the references, in all that the policy asks for */
        bool trusted; /* known or allowed not to be, so are all before it, and the logs are true.
                         See verdict_boot_trusted */
        struct verdict_text lines[VERDICT_LINES_MAX]; /* command lines, whole in the log */
        size_t n_lines;
        struct span authorities[VERDICT_AUTHORITIES_MAX]; /* UEFI_VARIABLE_DATA of PCR 7 by whose
                                                             word images were started */
        size_t n_authorities;
        bool cut; /* there were more of either */
};

struct verdict {
        enum verdict_kind kind;
        enum verdict_word word; /* WORD_NONE if it is trusted */
        struct error reason;    /* the first one; "" */

        /* Once the quote is read, signed by a key that attests, with the nonce: else nothing below
         * is set. */
        bool quoted;
        struct quote quote;
        struct quote_signature signature;
        const struct ak *ak;
        const struct replay *pcrs; /* the quoted values, once these are true; NULL: they aren't */

        /* Once the logs were compared with them. */
        bool judged;
        const struct alg *bank;   /* that decides */
        bool weak;                /* it is SHA-1 */
        struct check_result logs; /* of all but PCR 10, and hops; PCR 10 has been filled in */
        struct plain_kexec_verdict plain_kexec;
        uint32_t unexplained;       /* PCRs quoted in this bank that the logs don't explain */
        struct verdict_boot *boots; /* n_hops + 1 of them */
        size_t n_boots;

        bool borrowed;         /* what was judged belongs to a known.h: it isn't freed here */
        struct buf *kept_text; /* and there, of borrowed ones, a writer may keep what it made of
                                  it for this kind; NULL: nowhere */
};
/* Whether this boot (from 0) is trusted: by itself and all before it, or because the policy takes
 * the whole. */
bool verdict_boot_trusted(const struct verdict *verdict, size_t i);
void verdict_release(struct verdict *verdict);
#define _cleanup_verdict_ __attribute__((cleanup(verdict_release)))

/* Sets kind, word and reason; returns -EPERM, so that `return verdict_refuse(...)` ends a step. */
int verdict_refuse(struct verdict *verdict, enum verdict_kind kind, enum verdict_word word,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
