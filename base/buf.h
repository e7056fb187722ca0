/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A growing byte buffer and the writers for it. A failed allocation sticks: later puts do nothing
 * and buf_failed() tells, so that a long row of puts needs one check. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct buf {
        uint8_t *data;
        size_t size;
        size_t capacity;
        bool failed;
};

void buf_release(struct buf *b); /* frees the bytes and zeroes *b */

static inline bool buf_failed(const struct buf *b)
{
        return b->failed;
}

static inline struct span buf_span(const struct buf *b)
{
        return SPAN(b->data, b->size);
}

/* Room for capacity bytes in all, where one knows how many come; false if there is none. */
bool buf_reserve(struct buf *b, size_t capacity);
/* Puts size bytes that the caller then writes, and returns where; NULL if it failed. */
uint8_t *buf_grow(struct buf *b, size_t size);

void buf_put(struct buf *b, const void *data, size_t size);
void buf_put_span(struct buf *b, struct span s);
void buf_put_zeros(struct buf *b, size_t size);
void buf_put_u8(struct buf *b, uint8_t value);
void buf_put_u16(struct buf *b, uint16_t value); /* little-endian, as EFI and event logs want it */
void buf_put_u32(struct buf *b, uint32_t value);
void buf_put_u64(struct buf *b, uint64_t value);
void buf_put_be16(struct buf *b, uint16_t value); /* big-endian, as the TPM wants it */
void buf_put_be32(struct buf *b, uint32_t value);
void buf_put_be64(struct buf *b, uint64_t value);

/* Text as printf makes it, without a NUL. */
void buf_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* buf-read.c: reads a whole file, at most limit bytes (EFBIG beyond). Works for /proc, /sys and
 * securityfs files of reported size 0. Returns 0 or -errno; on failure *ret is unchanged. */
struct error;
int buf_read_file(const char *path, size_t limit, struct buf *ret, struct error *error);
int buf_read_fd(int fd, size_t limit, struct buf *ret);

#define _cleanup_buf_ __attribute__((cleanup(buf_release)))
