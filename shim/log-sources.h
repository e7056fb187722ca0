/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the words of `mkexec log` get their bytes: files, standard input, or this machine's logs.
 * Doesn't read what is in them. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "eventlog/log-kind.h"

struct log_source {
        const char *name; /* for people: the path as given, "standard input", or what it is */
        char *own_name;   /* name, if it is ours to free */
        enum log_kind kind;
        /* systemd's log */
        uint32_t boot;   /* that it is of, from 1 (a hop that was aborted counts): struct chain's
                            systemd[boot - 1]; 0: it isn't known, a file */
        bool incomplete; /* a measurement that isn't in it may have been made (the writer marks the
                            file while it extends) */
        bool lost;       /* there may have been one: it didn't come along, bytes are empty */
        bool cut;        /* its oldest records didn't fit and were left behind at a hop */
        struct span bytes;
        struct buf read;    /* where the bytes are, */
        struct span mapped; /* or here: mapped-file.h */
};

/* Why PCRs can't be proved by it, as half a sentence ("lacks ..."); NULL: nothing is known to be
 * missing. */
const char *log_source_lacks(const struct log_source *source);

struct log_sources {
        size_t n;
        struct log_source *source;
};

/* One of them: the file, "-" for standard input, or with NULL this boot's event log as
 * boot_log_read has it; -ENOENT if there is none. On failure *ret may have to be released all the
 * same. */
int log_source_read(const char *path, struct log_source *ret, struct error *error);

void log_source_release(struct log_source *source);
void log_sources_release(struct log_sources *sources);
#define _cleanup_log_source_  __attribute__((cleanup(log_source_release)))
#define _cleanup_log_sources_ __attribute__((cleanup(log_sources_release)))

/* The files in their order; "-" is standard input, once. n_paths 0: this machine's logs: firmware's
 * (as boot_log_read has it), systemd's of this boot and those before (shim/boot-systemd.h), IMA's,
 * as far as they exist; -ENOENT if none does. A log that exists and can't be read is an error. */
int log_sources_read(
                char *const *paths, size_t n_paths, struct log_sources *ret, struct error *error);

/* This machine's, but one that can't be read is left out with a warning, and having none is no
 * error: for evidence, in which what is missing counts against the machine and nothing else. */
struct tpm;
int log_sources_read_machine(struct tpm *tpm, struct log_sources *ret, struct error *error);
int log_source_read_ima(struct log_source *ret, struct error *error);
