/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attestation keys that were judged, by public area and certificates: evidence comes by few keys
 * many times, and making and judging a key costs more than a verification. Of fixed size. One for
 * each thread. */
#pragma once

#include "policy/ak-key.h"
#include "policy/ak-trust.h"

struct ak {
        struct tpm_public public;
        uint8_t name_bytes[TPM_NAME_MAX_BYTES];
        struct span name; /* TPM Name: algorithm and digest of the public area */
        struct ak_key *key;
        enum ak_trusted trusted;
        struct error reason; /* of AK_NOT_TRUSTED */
};

struct ak_cache;
/* trust must stay. n_keys: that are kept at most. */
int ak_cache_new(const struct ak_trust *trust, size_t n_keys, struct ak_cache **ret);
void ak_cache_free(struct ak_cache *cache);

/* The key, judged now or less than a minute ago; valid until the next call. -EBADMSG: malformed;
 * -EPERM: no attestation key; both with a reason. */
int ak_cache_get(struct ak_cache *cache, struct span public, const struct span *certificates,
                size_t n_certificates, time_t now, const struct ak **ret, struct error *error);

const struct ak_trust *ak_cache_trust(const struct ak_cache *cache);
