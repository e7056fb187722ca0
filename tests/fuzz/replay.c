/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs each file of the directories given as arguments through a fuzz target and prints TAP: the
 * ordinary test suite links every target with this instead of libFuzzer. A target that finds
 * something aborts, and the last line tells on which file. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_LIMIT (64u << 20)

static int n_tests, n_failed;

static int is_visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

/* The input in memory of exactly its size, so that a sanitizer sees the first byte beyond it. */
static void replay(const char *path)
{
        _cleanup_buf_ struct buf bytes = {0};
        _cleanup_free_ uint8_t *exact = NULL;
        struct error error = {0};

        n_tests++;
        printf("# %s\n", path);
        if (buf_read_file(path, INPUT_LIMIT, &bytes, &error) < 0 ||
                        !(exact = malloc(bytes.size + !bytes.size))) {
                printf("not ok %d - %s: %s\n", n_tests, path, error.text);
                n_failed++;
                return;
        }
        if (bytes.size > 0)
                memcpy(exact, bytes.data, bytes.size);
        (void)LLVMFuzzerTestOneInput(exact, bytes.size);
        printf("ok %d - %s\n", n_tests, path);
}

static void replay_directory(const char *directory)
{
        struct dirent **entries = NULL;
        int n = scandir(directory, &entries, is_visible, alphasort);

        if (n <= 0) {
                printf("not ok %d - %s: no inputs\n", ++n_tests, directory);
                n_failed++;
        }
        for (int i = 0; i < n; i++) {
                char path[PATH_MAX];

                if (snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name) <
                                (int)sizeof(path))
                        replay(path);
                free(entries[i]);
        }
        free(entries);
}

int main(int argc, char **argv)
{
        setvbuf(stdout, NULL, _IOLBF, 0);
        for (int i = 1; i < argc; i++)
                replay_directory(argv[i]);
        printf("1..%d\n", n_tests);
        return n_failed > 0;
}
