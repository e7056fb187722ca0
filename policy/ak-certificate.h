/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether certificates lead from an attestation key to somebody who is trusted: for ak-trust.c,
 * whom the user trusts, and for policies, which name issuers. All cryptography is OpenSSL's. */
#pragma once

#include <openssl/types.h>
#include <time.h>

#include "base/error.h"
#include "base/span.h"

/* DER, and nothing behind it; NULL else. */
X509 *ak_certificate_read(struct span der);

/* certificates: DER, that of the key first, then any of its issuers; valid at now, each signed by
 * the next or by one of authorities, which may be roots or not. The first one's key is this one,
 * and it isn't for anything but attestation: with an extended key usage it has
 * tcg-kp-AIKCertificate, with a key usage digitalSignature. -EPERM with the reason; -ENOMEM. */
int ak_certificate_check(X509_STORE *authorities, EVP_PKEY *key, const struct span *certificates,
                size_t n_certificates, time_t now, struct error *reason);

/* The same for authorities as bytes. -EBADMSG: one of them is no certificate. */
int ak_certificate_check_issuers(const struct span *issuers, size_t n_issuers, EVP_PKEY *key,
                const struct span *certificates, size_t n_certificates, time_t now,
                struct error *reason);
