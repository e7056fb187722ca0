/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files into a buf: all of base/ that does I/O, and no part of the event-log library. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

#define READ_BYTES 65536u

/* Room for all of a regular file at once, so that large payloads aren't moved around while they
 * grow. */
static void reserve_for_file(struct buf *b, int fd, size_t limit)
{
        struct stat st;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
                        (uint64_t)st.st_size > limit)
                return;
        (void)buf_reserve(b, (size_t)st.st_size + READ_BYTES);
}

int buf_read_fd(int fd, size_t limit, struct buf *ret)
{
        _cleanup_buf_ struct buf b = {0};

        reserve_for_file(&b, fd, limit);
        for (;;) {
                uint8_t *to = buf_grow(&b, READ_BYTES);
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
