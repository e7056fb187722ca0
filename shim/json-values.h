/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands in our JSON documents in many places, over json-c: bytes, numbers, digests, PCRs,
 * banks, events. Written, and read back as untrusted text. docs/architecture.md ("JSON that other
 * programs rely on") has the documents. */
#pragma once

#include <json-c/json.h>

#include "base/buf.h"
#include "base/error.h"
#include "eventlog/replay.h"

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
