/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The corpora that are made, tests/corpus/FOLDER: what is called "ok-..." or "real..." there is to
 * be read, everything else to be refused. */
#pragma once

#include <dirent.h>
#include <errno.h>

#include "base/buf.h"
#include "base/error.h"
#include "tests/unit/tap.h"

static inline bool made_corpus_read(const char *folder, const char *name, struct buf *ret)
{
        char path[8192];

        snprintf(path, sizeof(path), "%.*scorpus/%s/%s",
                        (int)(strstr(__FILE__, "unit/") - __FILE__), __FILE__, folder, name);
        return buf_read_file(path, 1 << 20, ret, NULL) == 0;
}

/* Has all of them read: 0, or -EBADMSG or -E2BIG with a reason. At least so many must be of either
 * kind. */
static inline void made_corpus_judge(const char *folder,
                int (*read)(struct span bytes, const char *name, struct error *error),
                size_t least_read, size_t least_refused)
{
        char path[4096];
        size_t n_read = 0, n_refused = 0;
        struct dirent *entry;
        DIR *dir;

        snprintf(path, sizeof(path), "%.*scorpus/%s", (int)(strstr(__FILE__, "unit/") - __FILE__),
                        __FILE__, folder);
        dir = opendir(path);
        REQUIRE(dir);
        while ((entry = readdir(dir))) {
                _cleanup_buf_ struct buf bytes = {0};
                struct error error = {{0}};
                const char *name = entry->d_name;
                bool ok = strncmp(name, "ok-", 3) == 0 || strncmp(name, "real", 4) == 0;
                int r;

                if (name[0] == '.' || !made_corpus_read(folder, name, &bytes))
                        continue;
                r = read(buf_span(&bytes), name, &error);
                if (ok ? r != 0 : r != -EBADMSG && r != -E2BIG) {
                        printf("# %s: %d %s\n", name, r, error.text);
                        CHECK(false);
                }
                CHECK((r == 0) == (error.text[0] == '\0'));
                n_read += r == 0;
                n_refused += r < 0;
        }
        closedir(dir);
        CHECK(n_read >= least_read && n_refused >= least_refused);
}
