/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Base64 (RFC 4648, section 4) with padding and without anything between: each value has one text,
 * every other text is refused. Into buffers of the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Characters of size bytes; size is at most 3/4 of SIZE_MAX. */
static inline size_t base64_size(size_t size)
{
        return (size / 3 + (size % 3 != 0)) * 4;
}

/* Room that base64_decode needs for so many characters. */
static inline size_t base64_room(size_t n_characters)
{
        return n_characters / 4 * 3;
}

/* Exactly base64_size(bytes.size) characters, no NUL. */
void base64_encode(struct span bytes, char *to);

/* *ret: the number of bytes. False if text isn't what base64_encode gives for any bytes; what
 * stands in to is then of no use. */
bool base64_decode(struct span text, uint8_t *to, size_t *ret);
