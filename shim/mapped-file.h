/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Large files as bytes without a copy of them. Whoever may write to such a file may do so while it
 * is read: its readers must not rely on bytes that were checked before (base/span doesn't). A file
 * that is cut off meanwhile raises SIGBUS: a line then says so, and the program ends with exit
 * code 2. */
#pragma once

#include "base/span.h"

/* Maps a regular file of a MiB or more, from its beginning. False: it isn't one, or it can't be
 * mapped: read it. name must stay as long as the mapping. */
bool mapped_file_open(int fd, const char *name, struct span *ret);
void mapped_file_close(struct span bytes);
