/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IMA's boot_aggregate: the first record of every kernel's list, over what PCR 0-9 read when it
 * started (security/integrity/ima/ima_init.c, ima_crypto.c). What each boot of a log must have got,
 * and what a record says. Pure. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/chain.h"

/* When a kernel may have begun: PCR 0-9 read then as they did in no other moment. */
struct boot_moment {
        size_t boot;   /* of the log, from 1 */
        bool is_start; /* a kernel of the log began here; false: only one that the
                          log doesn't tell of can have */
        struct digest aggregate[ALG_MAX]; /* of each bank: over its PCR 0-9, of SHA-1 over PCR 0-7
                                           */
};

struct boot_moments {
        struct banks banks;
        struct boot_moment *moments;
        size_t n;
};
void boot_moments_release(struct boot_moments *moments);
#define _cleanup_boot_moments_ __attribute__((cleanup(boot_moments_release)))

/* The start of each boot, and each extend of PCR 0-9 by its systemd that a log tells of; an aborted
 * hop starts no kernel. IMA's list isn't looked at. -EBADMSG: the logs are malformed; -ENOMEM. */
int boot_moments_find(const struct chain *chain, const struct banks *banks,
                struct boot_moments *ret, struct error *error);

/* Linux's templates of a boot_aggregate; those with the same bytes are one. */
#define BOOT_AGGREGATE_TEMPLATES 6
/* Appends the template data that is hashed; false: the template can't have this algorithm. */
bool boot_aggregate_data(size_t template, const struct digest *aggregate, struct buf *ret);
/* The template of a list's record, by its name; 0, the usual one, if it isn't known. */
size_t boot_aggregate_template(struct span name);

/* Whether a record is one, by its file's name, which no measured file has (those are paths);
 * *ret: what it says. alg NULL if that can't be read. */
bool boot_aggregate_is(const struct ima_record *record, struct digest *ret);
