/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Certificates out of a file as people have them: PEM, any number of them, or one in DER. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#define CERTIFICATE_FILE_MAX_BYTES (1u << 20)

/* DER of each, in their order; they are copied to bytes, which is appended to. sizes: of each; *n
 * is the room, and then their number. -EBADMSG: none, or one that can't be read; -E2BIG: no room.
 */
int certificate_file_read(
                struct span file, struct buf *bytes, size_t *sizes, size_t *n, struct error *error);
