/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where 'ticket get' leaves secrets: a file, standard output, or key files in a folder that
 * whoever opens encrypted volumes looks into (systemd: /run/cryptsetup-keys.d). */
#pragma once

#include "base/error.h"
#include "base/span.h"

/* A new file, mode 0400, or standard output (path NULL). -EINVAL: that is a terminal. */
int ticket_output_open(const char *path, int *ret, struct error *error);
int ticket_output_write(int fd, struct span secret, struct error *error);

/* NAME.key of a ticket in folder, mode 0400; the folder (0700) is made if it isn't there. Its name
 * goes into the folder's list first, so that key_files_erase() knows it whatever happens then.
 * -EEXIST: somebody has put a file of that name there. */
int key_file_open(const char *folder, const char *name, int *ret, struct error *error);
void key_file_remove(const char *folder, const char *name); /* after a failure */

/* Overwrites and removes the files of the folder's list, and then the list; other people's files
 * stay. 0 also if there is no list. */
int key_files_erase(const char *folder, struct error *error);
