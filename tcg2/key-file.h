/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file that names certificates or image hashes, as people have them: PEM, DER, signature lists,
 * or lines of hashes. For machines whose firmware has no key databases. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/* Appends the file as EFI_SIGNATURE_LISTs, whose owner is the zero GUID unless the file has lists.
 * Lines of hashes: Authenticode digests, SHA-256, SHA-384 or SHA-512 in hex, and anything behind a
 * space; '#' begins a comment. -EBADMSG with a reason: none of these, or nothing in it. */
int key_file_read(struct span file, struct buf *lists, struct error *error);
