/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

void buf_release(struct buf *b)
{
        free(b->data);
        *b = (struct buf){0};
}

/* Payloads and initrds are tens of megabytes, and a fault for each 4 KiB costs as much as hashing
 * the page in one bank. A wish that the kernel is free to ignore, for whole huge pages only. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static bool set_capacity(struct buf *b, size_t capacity)
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

/* Makes room for size more bytes and returns where they go, or NULL. */
static uint8_t *grow(struct buf *b, size_t size)
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
                if (!set_capacity(b, wanted)) {
                        b->failed = true;
                        return NULL;
                }
        }
        b->size += size;
        return b->data ? b->data + b->size - size : NULL; /* nothing put into an empty one */
}

void buf_put(struct buf *b, const void *data, size_t size)
{
        uint8_t *p = grow(b, size);

        if (p && size > 0)
                memcpy(p, data, size);
}

void buf_put_span(struct buf *b, struct span s)
{
        buf_put(b, s.data, s.size);
}

void buf_put_zeros(struct buf *b, size_t size)
{
        uint8_t *p = grow(b, size);

        if (p && size > 0)
                memset(p, 0, size);
}

static void put_integer(struct buf *b, uint64_t value, unsigned size, bool big_endian)
{
        uint8_t *p = grow(b, size);

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

#define READ_BYTES 65536u

/* Room for all of a regular file at once, so that large payloads aren't moved around while they
 * grow. */
static void reserve_for_file(struct buf *b, int fd, size_t limit)
{
        struct stat st;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
                        (uint64_t)st.st_size > limit)
                return;
        (void)set_capacity(b, (size_t)st.st_size + READ_BYTES);
}

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
                char *to = (char *)grow(b, (size_t)n + 1);

                if (to) {
                        vsnprintf(to, (size_t)n + 1, format, again);
                        b->size--; /* the NUL */
                }
        }
        va_end(again);
        va_end(list);
}

int buf_read_fd(int fd, size_t limit, struct buf *ret)
{
        _cleanup_buf_ struct buf b = {0};

        reserve_for_file(&b, fd, limit);
        for (;;) {
                uint8_t *to = grow(&b, READ_BYTES);
                ssize_t n;

                if (!to)
                        return -ENOMEM;
                n = read(fd, to, READ_BYTES);
                b.size -= READ_BYTES - (n > 0 ? (size_t)n : 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                if (b.size > limit)
                        return -EFBIG;
        }
        *ret = b;
        b = (struct buf){0};
        return 0;
}

int buf_read_file(const char *path, size_t limit, struct buf *ret, struct error *error)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int r;

        if (fd < 0)
                return error_set(error, errno, "can't open %s: %m", path);
        r = buf_read_fd(fd, limit, ret);
        if (r == -EFBIG)
                return error_set(error, EFBIG, "%s is larger than %zu bytes", path, limit);
        if (r < 0)
                return error_set(error, -r, "can't read %s: %s", path, strerror(-r));
        return 0;
}
