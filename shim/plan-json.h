/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plan as JSON: members of `predict --json` (docs/architecture.md, "JSON that other programs rely
 * on"), of the state that load leaves for exec, and back again. Reading treats the text as
 * untrusted: bounded, and everything that follows from the events is computed anew. */
#pragma once

#include <json-c/json.h>

#include "policy/predict.h"

/* Adds "registers" (PCRs of mask), "payload_view", "events" to object. */
int plan_to_json(const struct plan *plan, uint32_t mask, struct json_object *object);

/* Adds "files": what kexec_file_load gets. */
struct file_handover;
void files_to_json(const struct file_handover *files, struct json_object *object);

/* Adds what plan_from_json needs beyond that: "banks", "log_banks", "hop", "registers_mask",
 * "touched_mask", "start". */
int plan_state_to_json(const struct plan *plan, struct json_object *object);
int plan_state_from_json(struct json_object *object, struct plan *ret, struct error *error);
