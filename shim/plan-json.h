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

/* Prints a document on stdout, for people too, and lets it go. Without the memory for it: says so
 * and ends the program with EXIT_REFUSED. */
void json_print(struct json_object *object);
/* Parses a JSON text (a NUL is added to it); NULL if it isn't one. */
struct json_object *json_from_text(struct buf *text);
/* Adds "type", "digests", "data", "text" of an event. */
void event_to_json(const struct tcg_event *event, struct json_object *object);
/* {"sha256": "..."} of the banks; NULL if out of memory. */
struct json_object *digests_to_json(const struct digests *digests);
/* Hex string of bytes. */
struct json_object *hex_to_json(struct span bytes);
/* A member that is a string, or NULL. Valid as long as object. */
const char *text_from_json(struct json_object *object, const char *key);
/* A member that is a hex string, appended to *ret; false if it is absent or anything else. */
bool hex_from_json(struct json_object *object, const char *key, struct buf *ret);
/* A member that is an unsigned number of at most max; false else. */
bool number_from_json(struct json_object *object, const char *key, uint64_t max, uint64_t *ret);
/* A struct replay-like matrix as {"8": {"sha256": "..."}}, only PCRs of mask. */
struct json_object *pcrs_to_json(
                const struct banks *banks, uint32_t mask, const struct digest values[][PCR_COUNT]);
/* And back, into values that are already zero and have their alg; other PCRs and banks are refused.
 */
int pcrs_from_json(struct json_object *object, const struct banks *banks,
                struct digest values[][PCR_COUNT], uint32_t *ret_mask, struct error *error);
struct json_object *banks_to_json(const struct banks *banks);
int banks_from_json(struct json_object *array, struct banks *ret, struct error *error);
