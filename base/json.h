/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A reader of JSON (RFC 8259) in place, for untrusted text: event logs, evidence, state. The whole
 * text is checked once (json_parse); values are then slices of it, and nothing is allocated but the
 * text of a string that somebody asks for. Doesn't write JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
        JSON_NULL,
        JSON_FALSE,
        JSON_TRUE,
        JSON_NUMBER,
        JSON_STRING,
        JSON_ARRAY,
        JSON_OBJECT,
};

struct json {
        enum json_kind kind;
        struct span text; /* of the value: with quotes or brackets, without blanks around it */
};

/* Checks that text is one value and blanks: grammar, UTF-8, paired surrogates, nesting of at most
 * JSON_DEPTH_MAX. -EBADMSG with the offset in bytes. *ret refers to text, which must stay. */
int json_parse(struct span text, struct json *ret, struct error *error);

/* The same for one value of several: the one at *offset, behind blanks; *offset is then behind it.
 */
int json_take(struct span text, size_t *offset, struct json *ret, struct error *error);

/* The next member or element of an object or array; *offset starts at 0. key: a JSON_STRING, NULL
 * for arrays. Returns false behind the last, and at once for any other kind. */
bool json_next(const struct json *container, size_t *offset, struct json *key, struct json *ret);

/* The member of that name (UTF-8). Returns 1; 0 if there is none; -EBADMSG if the name is there
 * twice, since readers disagree on which one counts, or if object isn't one. */
int json_get(const struct json *object, const char *name, struct json *ret, struct error *error);

/* Whether a string, its escapes decoded, is this text. */
bool json_is(const struct json *string, const char *text);

/* Appends a string's UTF-8, escapes decoded (it may have NULs); false if value isn't a string. */
bool json_string(const struct json *value, struct buf *ret);

/* The same into a buffer of the caller's; false also if it doesn't fit with a NUL behind it, or has
 * one in it. */
bool json_text(const struct json *value, char *to, size_t size);

/* A whole number without sign, fraction and exponent that fits; else false. */
bool json_u64(const struct json *value, uint64_t *ret);
