/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recorded sysfs-like trees for unit tests: a temporary folder, files put into it, removed at the
 * end. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
        char root[64];
};

static inline void tree_new(struct tree *t)
{
        snprintf(t->root, sizeof(t->root), "/tmp/mkexec-test-XXXXXX");
        if (!mkdtemp(t->root))
                abort();
}

/* Writes bytes to <root>/path, making folders as needed. */
static inline void tree_put(const struct tree *t, const char *path, const void *bytes, size_t size)
{
        char full[512];
        int fd;

        snprintf(full, sizeof(full), "%s/%s", t->root, path);
        for (char *p = full + strlen(t->root) + 1; (p = strchr(p, '/')); p++) {
                *p = '\0';
                if (mkdir(full, 0755) < 0 && errno != EEXIST)
                        abort();
                *p = '/';
        }
        fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
                abort();
        close(fd);
}

static inline void tree_text(const struct tree *t, const char *path, const char *text)
{
        tree_put(t, path, text, strlen(text));
}

static inline void tree_remove(const struct tree *t, const char *path)
{
        char full[512];

        snprintf(full, sizeof(full), "%s/%s", t->root, path);
        unlink(full);
}

static inline int tree_unlink_one(
                const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)st;
        (void)flag;
        (void)ftw;
        return remove(path);
}

static inline void tree_free(struct tree *t)
{
        nftw(t->root, tree_unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Entry n of firmware/memmap; end is inclusive there. */
static inline void tree_memmap(const struct tree *t, unsigned n, unsigned long long start,
                unsigned long long end, const char *type)
{
        char path[96], text[64];

        snprintf(path, sizeof(path), "firmware/memmap/%u/start", n);
        snprintf(text, sizeof(text), "0x%llx\n", start);
        tree_text(t, path, text);
        snprintf(path, sizeof(path), "firmware/memmap/%u/end", n);
        snprintf(text, sizeof(text), "0x%llx\n", end);
        tree_text(t, path, text);
        snprintf(path, sizeof(path), "firmware/memmap/%u/type", n);
        snprintf(text, sizeof(text), "%s\n", type);
        tree_text(t, path, text);
}

static inline void tree_runtime(const struct tree *t, unsigned n, unsigned type,
                unsigned long long phys, unsigned long long pages, unsigned long long virt,
                unsigned long long attribute)
{
        const struct {
                const char *name;
                unsigned long long value;
        } fields[] = {{"type", type}, {"phys_addr", phys}, {"num_pages", pages},
                        {"virt_addr", virt}, {"attribute", attribute}};

        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
                char path[96], text[64];

                snprintf(path, sizeof(path), "firmware/efi/runtime-map/%u/%s", n, fields[i].name);
                snprintf(text, sizeof(text), "0x%llx\n", fields[i].value);
                tree_text(t, path, text);
        }
}
