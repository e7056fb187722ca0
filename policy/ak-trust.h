/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose attestation keys a verifier takes: keys that it was given, keys that an authority
 * certified, or anybody's. Filled once, then only read: many threads may ask. No files. */
#pragma once

#include <openssl/types.h>
#include <time.h>

#include "base/error.h"
#include "base/span.h"
#include "policy/tpm-public.h"

enum ak_trusted {
        AK_NOT_TRUSTED,
        AK_GIVEN_AREA, /* its public area was given: what it says of itself holds, too */
        AK_GIVEN_KEY,  /* the key was given (PEM): whoever gave it knows that it is a TPM's */
        AK_CERTIFIED,  /* by an authority that was given */
        AK_ANYBODYS,   /* any key is taken: who signed isn't known */
};
const char *ak_trusted_text(enum ak_trusted trusted); /* "public area given" */

struct ak_trust;
int ak_trust_new(struct ak_trust **ret);
void ak_trust_free(struct ak_trust *trust);

/* A TPMT_PUBLIC or TPM2B_PUBLIC; public keys, PEM (any number) or DER. -EBADMSG: none of these. */
int ak_trust_add_keys(struct ak_trust *trust, struct span file, struct error *error);
/* Certificates of authorities, roots or not, PEM (any number) or DER. */
int ak_trust_add_authorities(struct ak_trust *trust, struct span file, struct error *error);
void ak_trust_take_anybodys(struct ak_trust *trust);
/* Whether it can trust any key at all. */
bool ak_trust_is_empty(const struct ak_trust *trust);

/* Whose key this is. certificates: of this key, as ak-certificate.h wants them. *ret is
 * AK_NOT_TRUSTED with a reason that says what is missing, else the best that holds. -ENOMEM. */
int ak_trust_judge(const struct ak_trust *trust, const struct tpm_public *public, EVP_PKEY *key,
                const struct span *certificates, size_t n_certificates, time_t now,
                enum ak_trusted *ret, struct error *reason);
