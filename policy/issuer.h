/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a chain of certificates leads from a key to an issuer that somebody names: for policies
 * that bind evidence to machines whose keys an authority has certified. All cryptography is
 * OpenSSL's. */
#pragma once

#include <time.h>

#include "base/error.h"
#include "base/span.h"

/* certificates: DER, that of the key first; spki: the key's SubjectPublicKeyInfo. issuers: DER,
 * each trusted by itself, root or not. All certificates on the way must be valid at that time.
 * -EPERM with the reason; -EBADMSG: one of issuers is no certificate. */
int issuer_check(const struct span *certificates, size_t n_certificates, struct span spki,
                const struct span *issuers, size_t n_issuers, time_t now, struct error *error);
