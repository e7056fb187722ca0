/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A verdict as JSON and as a page for people. Text of logs and certificates leaves escaped. */
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "eventlog/json-writer.h"
#include "policy/verdict.h"

/* The members of the document, into an object that is open. */
void verdict_json(const struct verdict *verdict, struct json_writer *w);

/* Lines of text. */
void verdict_text(const struct verdict *verdict, FILE *out);

/* "db: CN=...": the variable, and whose certificate is in it; any bytes, to be escaped. */
void verdict_authority(struct span variable_data, struct buf *ret);
const char *plain_kexec_word(enum plain_kexec kind);         /* "possible" */
const char *reference_word(const struct verdict_boot *boot); /* "whole" */
