/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UTF-16LE as EFI has it (UCS-2 in the specification, surrogates in practice) to and from UTF-8.
 * Input is bytes, since guest memory and logs needn't be aligned. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uchar.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends the UTF-8 form (no NUL) to *ret. Stops at a NUL character or the end; unpaired surrogates
 * become U+FFFD; an odd last byte is ignored. */
void utf16_to_utf8(struct span utf16le, struct buf *ret);

/* The same as a malloc'ed C string, NULL if out of memory. */
char *utf16_to_text(struct span utf16le);

/* Appends UTF-16LE (without NUL) of a UTF-8 string; false on invalid UTF-8 (nothing appended then).
 */
bool utf8_to_utf16(const char *text, struct buf *ret);
