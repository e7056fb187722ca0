/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line of `verify --stream`: evidence in, verdict out. Buffers and keys are kept from line to
 * line, so that a line allocates next to nothing. One for each process. */
#pragma once

#include "base/buf.h"
#include "policy/verify.h"
#include "shim/verify-rules.h"

#define VERIFY_LINE_MAX_BYTES (64u * 1024 * 1024)

struct verify_line;
/* nonce: of all lines, which are evidence; empty: each line is an object with "nonce", "evidence"
 * and, if it likes, "id". rules must stay. */
int verify_line_new(const struct verify_rules *rules, struct span nonce, struct verify_line **ret);
void verify_line_free(struct verify_line *line);

/* Appends the verdict, one line with its newline, of line number from 1. text without newline. 0 or
 * -errno if no verdict could be reached, which says so in its line, too. */
int verify_line_judge(struct verify_line *line, struct span text, uint64_t number, struct buf *ret,
                enum verdict_kind *ret_kind);
/* The verdict of a line that is longer than it may be. */
void verify_line_too_long(uint64_t number, struct buf *ret);

#define VERIFY_NONCE_MIN 8 /* a shorter one comes again too soon */
/* VERIFY_NONCE_MIN to QUOTE_NONCE_MAX bytes of hex. */
bool verify_nonce_parse(const char *hex, uint8_t to[QUOTE_NONCE_MAX], struct span *ret);
