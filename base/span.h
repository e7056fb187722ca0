/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A read-only view of bytes and the bounded cursor over it, the only reader of raw input in mkexec.
 * No allocation. Every take either succeeds as a whole or leaves cursor and output as they were. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
        const uint8_t *data;
        size_t size;
};

#define SPAN(pointer, length) ((struct span){(const uint8_t *)(pointer), (length)})

/* The bytes [offset, offset + size) of s; false if they aren't all inside. Overflow-safe. */
static inline bool span_sub(struct span s, uint64_t offset, uint64_t size, struct span *ret)
{
        if (offset > s.size || size > s.size - offset)
                return false;
        *ret = SPAN(s.data + offset, (size_t)size);
        return true;
}

static inline bool span_equal(struct span a, struct span b)
{
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct cursor {
        struct span bytes;
        size_t offset; /* of the next byte, from the start of bytes */
};

#define CURSOR(span_) ((struct cursor){.bytes = (span_)})

static inline size_t cursor_left(const struct cursor *c)
{
        return c->bytes.size - c->offset;
}

static inline bool cursor_take(struct cursor *c, uint64_t size, struct span *ret)
{
        if (!span_sub(c->bytes, c->offset, size, ret))
                return false;
        c->offset += (size_t)size;
        return true;
}

static inline bool cursor_skip(struct cursor *c, uint64_t size)
{
        struct span ignored;

        return cursor_take(c, size, &ignored);
}

/* Copies size bytes to a buffer of the caller. */
bool cursor_copy(struct cursor *c, void *to, size_t size);

/* Little-endian (EFI, TCG event logs) and big-endian (TPM) integers. */
bool cursor_u8(struct cursor *c, uint8_t *ret);
bool cursor_u16(struct cursor *c, uint16_t *ret);
bool cursor_u32(struct cursor *c, uint32_t *ret);
bool cursor_u64(struct cursor *c, uint64_t *ret);
bool cursor_be16(struct cursor *c, uint16_t *ret);
bool cursor_be32(struct cursor *c, uint32_t *ret);
bool cursor_be64(struct cursor *c, uint64_t *ret);
