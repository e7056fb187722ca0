/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attestation key as OpenSSL has it, made once and then used for many quotes: making it costs
 * more than verifying with it. Not for two threads at once. */
#pragma once

#include <openssl/types.h>

#include "base/error.h"
#include "policy/tpm-public.h"

struct ak_key;
/* For a key that tpm_public_is_ak. -EBADMSG: its numbers are no key (a point off its curve). */
int ak_key_new(const struct tpm_public *public, struct ak_key **ret, struct error *error);
void ak_key_free(struct ak_key *key);

EVP_PKEY *ak_key_evp(const struct ak_key *key); /* stays the key's */

/* -EPERM: the signature isn't this key's over these bytes, or not by the key's own scheme. */
int ak_key_verify(struct ak_key *key, const struct quote_signature *signature, struct span bytes,
                struct error *error);
