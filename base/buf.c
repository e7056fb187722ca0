/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void buf_release(struct buf *b)
{
        free(b->data);
        *b = (struct buf){0};
}

/* Payloads and initrds are tens of megabytes, and a fault for each 4 KiB costs as much as hashing
 * the page in one bank. A wish that the kernel is free to ignore, for whole huge pages only. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

bool buf_reserve(struct buf *b, size_t capacity)
{
        uint8_t *p = realloc(b->data, capacity);
        size_t head = -(uintptr_t)p % HUGE_PAGE_BYTES;

        if (!p)
                return false;
        if (capacity >= head + HUGE_PAGE_BYTES)
                (void)madvise(p + head, (capacity - head) & ~(HUGE_PAGE_BYTES - 1), MADV_HUGEPAGE);
        b->data = p;
        b->capacity = capacity;
        return true;
}

uint8_t *buf_grow(struct buf *b, size_t size)
{
        if (b->failed)
                return NULL;
        if (size > b->capacity - b->size) {
                size_t wanted = b->capacity ? b->capacity : 64;

                if (size > SIZE_MAX / 2 - b->size) {
                        b->failed = true;
                        return NULL;
                }
                while (wanted - b->size < size)
                        wanted *= 2;
                if (!buf_reserve(b, wanted)) {
                        b->failed = true;
                        return NULL;
                }
        }
        b->size += size;
        return b->data ? b->data + b->size - size : NULL; /* nothing put into an empty one */
}

void buf_put(struct buf *b, const void *data, size_t size)
{
        uint8_t *p = buf_grow(b, size);

        if (p && size > 0)
                memcpy(p, data, size);
}

void buf_put_span(struct buf *b, struct span s)
{
        buf_put(b, s.data, s.size);
}

void buf_put_zeros(struct buf *b, size_t size)
{
        uint8_t *p = buf_grow(b, size);

        if (p && size > 0)
                memset(p, 0, size);
}

static void put_integer(struct buf *b, uint64_t value, unsigned size, bool big_endian)
{
        uint8_t *p = buf_grow(b, size);

        for (unsigned i = 0; p && i < size; i++)
                p[i] = (uint8_t)(value >> 8 * (big_endian ? size - 1 - i : i));
}

#define DEFINE_PUT(name, type, big_endian)                       \
        void buf_put_##name(struct buf *b, type value)           \
        {                                                        \
                put_integer(b, value, sizeof(type), big_endian); \
        }

DEFINE_PUT(u8, uint8_t, false)
DEFINE_PUT(u16, uint16_t, false)
DEFINE_PUT(u32, uint32_t, false)
DEFINE_PUT(u64, uint64_t, false)
DEFINE_PUT(be16, uint16_t, true)
DEFINE_PUT(be32, uint32_t, true)
DEFINE_PUT(be64, uint64_t, true)

void buf_format(struct buf *b, const char *format, ...)
{
        char text[256]; /* nearly always enough */
        va_list list, again;
        int n;

        va_start(list, format);
        va_copy(again, list);
        n = vsnprintf(text, sizeof(text), format, list);
        if (n < 0) {
                b->failed = true;
        } else if ((size_t)n < sizeof(text)) {
                buf_put(b, text, (size_t)n);
        } else {
                char *to = (char *)buf_grow(b, (size_t)n + 1);

                if (to) {
                        vsnprintf(to, (size_t)n + 1, format, again);
                        b->size--; /* the NUL */
                }
        }
        va_end(again);
        va_end(list);
}
