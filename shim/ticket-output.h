/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where 'ticket get' leaves secrets: a file, standard output, or key files in a folder that
 * whoever opens encrypted volumes looks into (systemd: /run/cryptsetup-keys.d). */
#pragma once

#include <limits.h>

#include "base/error.h"
#include "base/span.h"

/* Of one secret. A file has its name only when all of it is there (O_TMPFILE); where the file
 * system can't do that, it is there from the beginning. */
struct ticket_output {
        int fd;
        int folder;              /* -1: standard output */
        char name[NAME_MAX + 1]; /* in folder; "" when it is done */
        bool unnamed;
};

#define TICKET_OUTPUT_NONE ((struct ticket_output){.fd = -1, .folder = -1})

/* A new file, mode 0400, or standard output (path NULL). -EINVAL: that is a terminal; -EEXIST. */
int ticket_output_open(const char *path, struct ticket_output *ret, struct error *error);

/* NAME.key of a ticket in folder, mode 0400; the folder (0700) is made if it isn't there. Its name
 * goes into the folder's list first, so that key_files_erase() knows it whatever happens then.
 * -EEXIST: somebody has put a file of that name there. */
int key_file_open(const char *folder, const char *name, struct ticket_output *ret,
                struct error *error);

int ticket_output_finish(struct ticket_output *output, struct span secret, struct error *error);
void ticket_output_close(struct ticket_output *output); /* one that isn't done is erased */
#define _cleanup_ticket_output_ __attribute__((cleanup(ticket_output_close)))

/* Overwrites and removes the files of the folder's list, and then the list; other people's files
 * stay. 0 also if there is no list. */
int key_files_erase(const char *folder, struct error *error);
