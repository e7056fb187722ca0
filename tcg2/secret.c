/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/secret.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int secret_new(size_t capacity, struct secret *ret, struct error *error)
{
        void *p = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int r;

        if (p == MAP_FAILED)
                return error_set(error, errno, "no memory for a secret: %m");
        if (mlock(p, capacity) < 0) {
                r = error_set(error, errno,
                                "can't lock %zu bytes for a secret into memory: %m (raise "
                                "RLIMIT_MEMLOCK)",
                                capacity);
                munmap(p, capacity);
                return r;
        }
        /* neither can fail for reasons that are ours: the mapping is anonymous and private */
        madvise(p, capacity, MADV_DONTDUMP);
        madvise(p, capacity, MADV_WIPEONFORK);
        *ret = (struct secret){p, 0, capacity};
        return 0;
}

void secret_release(struct secret *secret)
{
        if (secret->data) {
                explicit_bzero(secret->data, secret->capacity);
                munmap(secret->data, secret->capacity);
        }
        *secret = (struct secret){0};
}

int secret_read_fd(int fd, struct secret *ret, struct error *error)
{
        uint8_t more;
        ssize_t n;

        ret->size = 0;
        for (;;) {
                bool full = ret->size == ret->capacity;

                n = full ? read(fd, &more, 1)
                         : read(fd, ret->data + ret->size, ret->capacity - ret->size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                if (full) {
                        more = 0;
                        return error_set(error, E2BIG, "is longer than %zu bytes", ret->capacity);
                }
                ret->size += (size_t)n;
        }
        if (n < 0)
                return error_set(error, errno, "can't be read: %m");
        return ret->size > 0 ? 0 : error_set(error, ENODATA, "is empty");
}
