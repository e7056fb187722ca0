/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether kernels ran that no log tells of. A plain kexec leaves PCR 0-9 and the event log as they
 * were, but the IMA of each kernel begins its list with a record of them (boot_aggregate), which
 * goes into PCR 10. As many of these as the log tells of boots: nothing stood between. Pure.
 * Believes that each kernel has IMA and extended as Linux does. */
#pragma once

#include "base/error.h"
#include "eventlog/chain.h"
#include "eventlog/replay.h"

enum plain_kexec {
        PLAIN_KEXEC_POSSIBLE, /* nothing excludes it; the text says why */
        PLAIN_KEXEC_EXCLUDED, /* PCR 10 has exactly one boot_aggregate for each boot of the log */
        PLAIN_KEXEC_SEEN,     /* PCR 10 has more of them than the log has boots */
};

struct plain_kexec_verdict {
        enum plain_kexec kind;
        size_t n_more;     /* of SEEN: kernels that no log tells of */
        size_t after_boot; /* of SEEN: the first of them ran behind this boot, from 1 */
        size_t n_ima; /* records of IMA's list that PCR 10 was explained with, 0 if it wasn't */
        bool pcr10;   /* PCR 10 is explained by these boots and the list */
        struct error text; /* one line, for the verdict */
};

/* quoted: values of the quote, of one bank at least; measured tells which PCRs it has. -ENOMEM and
 * the like. */
int plain_kexec_check(const struct chain *chain, const struct replay *quoted,
                struct plain_kexec_verdict *ret, struct error *error);
