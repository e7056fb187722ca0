/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What makes a document of `predict --json` a reference value (policy/reference-values.h reads it,
 * docs/architecture.md lists its members). */
#pragma once

#include <json-c/json.h>

#include "policy/firmware-boot.h"
#include "shim/hop-run.h"

/* Adds "kind", "payload_sha256", "load_options_sha256", "initrd_sha256", "about", "banks". */
void reference_to_json(const struct hop_run *run, const char *kind, struct json_object *object);

/* Adds "pcrs" and "events" of a firmware boot. -ENOMEM. */
int firmware_boot_to_json(const struct firmware_boot *boot, struct json_object *object);
