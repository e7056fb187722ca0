/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory of a test's own, and whether anything in it has changed. */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_root[64];

static inline bool scratch_new(void)
{
        snprintf(scratch_root, sizeof(scratch_root), "/tmp/mkexec-test-XXXXXX");
        return mkdtemp(scratch_root) != NULL;
}

#define SCRATCH_MAIN(tests)                                              \
        int main(void)                                                   \
        {                                                                \
                int r;                                                   \
                                                                         \
                if (!scratch_new())                                      \
                        return 2;                                        \
                r = tap_main(tests, sizeof(tests) / sizeof((tests)[0])); \
                scratch_remove();                                        \
                return r;                                                \
        }

/* Valid until the third next call. */
static inline const char *scratch_path(const char *name)
{
        static char paths[3][512];
        static unsigned next;
        char *path = paths[next++ % 3];

        snprintf(path, sizeof(paths[0]), "%s/%s", scratch_root, name);
        return path;
}

static inline void scratch_mkdir(const char *name)
{
        if (mkdir(scratch_path(name), 0755) < 0)
                abort();
}

static inline void scratch_write_bytes(const char *name, const void *data, size_t size)
{
        FILE *f = fopen(scratch_path(name), "w");

        if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
                abort();
}

static inline void scratch_write(const char *name, const char *text)
{
        scratch_write_bytes(name, text, strlen(text));
}

static inline int scratch_remove_one(
                const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)st, (void)flag, (void)ftw;
        return remove(path);
}

static inline void scratch_remove(void)
{
        nftw(scratch_root, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- a sum over all names, modes, times (of access, too) and contents ---- */

static uint64_t scratch_sum, scratch_before;

static inline void scratch_add(const void *data, size_t size)
{
        for (size_t i = 0; i < size; i++)
                scratch_sum = (scratch_sum ^ ((const uint8_t *)data)[i]) * 0x100000001b3ull;
}

static inline int scratch_add_one(
                const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        char bytes[4096];
        int fd;

        (void)ftw;
        scratch_add(path, strlen(path));
        scratch_add(&st->st_mode, sizeof(st->st_mode));
        scratch_add(&st->st_mtim, sizeof(st->st_mtim));
        scratch_add(&st->st_size, sizeof(st->st_size));
        scratch_add(&st->st_ino, sizeof(st->st_ino));
        if (flag != FTW_F || !S_ISREG(st->st_mode))
                return 0;
        scratch_add(&st->st_atim, sizeof(st->st_atim));
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOATIME);
        if (fd < 0)
                return -1;
        for (ssize_t n; (n = read(fd, bytes, sizeof(bytes))) > 0;)
                scratch_add(bytes, (size_t)n);
        close(fd);
        return 0;
}

static inline uint64_t scratch_hash(void)
{
        scratch_sum = 0xcbf29ce484222325ull;
        if (nftw(scratch_root, scratch_add_one, 16, FTW_PHYS) != 0)
                abort();
        return scratch_sum;
}

static inline void scratch_remember(void)
{
        scratch_before = scratch_hash();
}

static inline bool scratch_unchanged(void)
{
        return scratch_hash() == scratch_before;
}
