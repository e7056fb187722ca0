/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON written as it comes, without a tree in memory. Names of members are ours, texts are
 * escaped. */
#pragma once

#include "base/buf.h"
#include "eventlog/escape.h"

struct json_writer {
        struct buf *out;
        bool first; /* nothing stands yet in the innermost object or array */
};

/* As it is, and values. */
void json_put(struct json_writer *w, const char *text);
void json_put_hex(struct json_writer *w, struct span bytes); /* without quotes */
void json_put_number(struct json_writer *w, uint64_t number);
void json_put_string(struct json_writer *w, struct span text, enum text_encoding encoding);

/* A comma where one belongs, and the name; NULL: an element of an array. */
void json_member(struct json_writer *w, const char *name);
void json_open(struct json_writer *w, const char *name, const char *bracket);
void json_close(struct json_writer *w, const char *bracket);
void json_member_number(struct json_writer *w, const char *name, uint64_t number);
void json_member_hex(struct json_writer *w, const char *name, struct span bytes);
void json_member_text(struct json_writer *w, const char *name, struct span text);
