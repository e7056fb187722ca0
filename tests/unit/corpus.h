/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The corpus of real logs, which isn't part of the project: $MKEXEC_CORPUS, or ../shared/corpus
 * beside the source tree; tests are skipped where neither is. */
#pragma once

#include <dirent.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "tests/unit/tap.h"

#define LOG_BYTES_MAX (16u * 1024 * 1024)
#define NO_CORPUS     "NO CORPUS: set MKEXEC_CORPUS to run this on real logs"

/* The corpus' folder, NULL if it isn't here. */
static inline const char *corpus(void)
{
        static char path[4096];
        const char *set = getenv("MKEXEC_CORPUS");
        const char *file = strstr(__FILE__, "tests/unit/");

        if (set)
                snprintf(path, sizeof(path), "%s", set);
        else
                snprintf(path, sizeof(path), "%.*s../shared/corpus", (int)(file - __FILE__),
                                __FILE__);
        return access(path, R_OK) == 0 ? path : NULL;
}

static inline bool read_corpus(const char *name, struct buf *ret)
{
        char path[8192];
        struct error error;

        snprintf(path, sizeof(path), "%s/%s", corpus(), name);
        if (buf_read_file(path, LOG_BYTES_MAX, ret, &error) >= 0)
                return true;
        printf("# %s\n", error.text);
        return false;
}

/* Calls each(name) for the files of a folder of the corpus whose names begin and end so; returns
 * how many. */
static inline unsigned for_each(const char *folder, const char *end, void (*each)(const char *name))
{
        char path[8192];
        struct dirent *entry;
        unsigned n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "%s/%s", corpus(), folder);
        dir = opendir(path);
        if (!dir)
                return 0;
        while ((entry = readdir(dir))) {
                size_t size = strlen(entry->d_name);

                if (entry->d_name[0] == '.' || size < strlen(end) ||
                                strcmp(entry->d_name + size - strlen(end), end) != 0)
                        continue;
                snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
                each(path);
                n++;
        }
        closedir(dir);
        return n;
}
