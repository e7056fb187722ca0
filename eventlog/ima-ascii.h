/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IMA's ASCII lists, for ima-log.c alone: the line's fields are put together again as the bytes
 * that were hashed. */
#pragma once

#include "eventlog/ima-log.h"

/* As ima_log_next, for a list of lines. */
int ima_ascii_next(struct span log, size_t *offset, size_t *index, struct buf *scratch,
                struct ima_record *ret, struct error *error);
