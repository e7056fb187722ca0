/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The "digests" array of CEL-JSON records (TCG Canonical Event Log 1.0, 5.3), as systemd's
 * measurement log has it, too: [{"hashAlg": "sha256", "digest": "hex"}, ...]. */
#pragma once

#include "base/alg.h"
#include "base/error.h"
#include "base/json.h"

/* hashAlg is a name in either case ("sm3-256" counts as "sm3_256", SHA-3's alike) or a TPM_ALG_ID.
 * Digests of unknown algorithms are left out, and counted where ret_unknown isn't NULL. -EBADMSG:
 * another shape, a digest of a wrong size, an algorithm twice. */
int json_digests(const struct json *array, struct digests *ret, size_t *ret_unknown,
                struct error *error);
