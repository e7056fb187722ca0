/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From logs of any kinds to what is replayed together: `log replay` and `log check`. */
#pragma once

#include "eventlog/chain.h"
#include "shim/log-sources.h"

struct log_chain {
        struct chain chain;
        /* Which of the sources is what. */
        size_t firmware, systemd[CHAIN_BOOTS_MAX], ima;
        bool of_files; /* systemd's logs don't tell of which boots they are */
        bool lacking;  /* one of systemd's is known to lack records */
};

/* One TCG or CCEL log, systemd's in the order of boots, one IMA list. If systemd's are fewer than
 * the boots, they are those of the last ones. -EPROTO: two where there can be one, kinds that can't
 * be replayed; -EBADMSG: an empty file, which isn't a log. The bytes stay the sources'. */
int log_chain_make(const struct log_sources *sources, struct log_chain *ret, struct error *error);

/* Canonical Event Logs among the sources become what they are made of: a TCG log and systemd's of
 * each boot, of the same name. Records of others are left out with a warning. */
int log_chain_part_cel(struct log_sources *sources, struct error *error);

/* Both of these for files, or for this machine's logs (log_sources_read). *sources has to be
 * released in any case, and must stay. */
int log_chain_read(char *const *paths, size_t n_paths, struct log_sources *sources,
                struct log_chain *ret, struct error *error);

/* The source of a record. */
size_t log_chain_source(const struct log_chain *chain, const struct chain_place *place);
