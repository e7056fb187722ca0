/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Authenticode digest of a PE image (Microsoft, "Windows Authenticode Portable Executable
 * Signature Format"; PE/COFF specification, Appendix A): what firmware measures for LoadImage and
 * for HashLogExtendEvent with PE_COFF_IMAGE, and what a Secure Boot signature signs. */
#pragma once

#include "base/alg.h"
#include "base/error.h"
#include "base/span.h"

/* Hashes the file as edk2 does, for all banks in one pass: the headers without CheckSum and the
 * security directory entry, the sections by file offset, what follows them without the
 * certificates. -EINVAL with a reason if it isn't such an image (EFI_UNSUPPORTED at the protocol).
 */
int authenticode_digest(struct span file, const struct banks *banks, struct digests *ret,
                struct error *error);
