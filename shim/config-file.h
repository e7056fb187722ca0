/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files in /etc/mkexec ($MKEXEC_CONFIG_DIR, for tests): lines 'key = value', '#' starts a comment,
 * each key once, no key that isn't known. What values mean is the caller's. */
#pragma once

#include <stddef.h>

#include "base/error.h"

struct config_key {
        const char *name;
        char **value; /* NULL before; allocated, the caller's; stays NULL if the key isn't there */
};

/* The path of one of them; free it. */
int config_file_path(const char *name, char **ret, struct error *error);
/* -ENOENT: there is no such file. -EINVAL names file:line. */
int config_file_read(const char *path, const struct config_key *keys, size_t n_keys,
                struct error *error);
