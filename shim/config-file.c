/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/config-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define CONFIG_DIR "/etc/mkexec"
#define CONFIG_MAX (64u * 1024)

int config_file_path(const char *name, char **ret, struct error *error)
{
        if (asprintf(ret, "%s/%s", getenv("MKEXEC_CONFIG_DIR") ?: CONFIG_DIR, name) >= 0)
                return 0;
        *ret = NULL;
        return error_set(error, ENOMEM, "out of memory");
}

static char *trim(char *text)
{
        size_t n;

        text += strspn(text, " \t");
        for (n = strlen(text); n > 0 && strchr(" \t\r", text[n - 1]); n--)
                ;
        text[n] = '\0';
        return text;
}

/* "there are a, b and c" */
static int unknown_key(
                const char *key, const struct config_key *keys, size_t n, struct error *error)
{
        char names[256] = "";
        size_t used = 0;

        for (size_t i = 0; i < n && used < sizeof(names); i++)
                used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
                                i == 0       ? ""
                                : i + 1 == n ? " and "
                                             : ", ",
                                keys[i].name);
        return error_set(error, EINVAL, "unknown key '%s': there are %s", key, names);
}

static int take_line(char *line, const struct config_key *keys, size_t n, struct error *error)
{
        char *value = strchr(line, '='), *name;

        if (!value)
                return error_set(error, EINVAL, "want 'key = value'");
        *value++ = '\0';
        name = trim(line);
        value = trim(value);
        for (size_t i = 0; i < n; i++) {
                if (strcmp(keys[i].name, name) != 0)
                        continue;
                if (*keys[i].value)
                        return error_set(error, EINVAL, "%s is said twice", name);
                *keys[i].value = strdup(value);
                return *keys[i].value ? 0 : error_set(error, ENOMEM, "out of memory");
        }
        return unknown_key(name, keys, n, error);
}

int config_file_read(
                const char *path, const struct config_key *keys, size_t n_keys, struct error *error)
{
        _cleanup_buf_ struct buf text = {0};
        int r = buf_read_file(path, CONFIG_MAX, &text, error);
        char *at, *line;

        if (r < 0)
                return r;
        buf_put_u8(&text, 0);
        if (buf_failed(&text))
                return error_set(error, ENOMEM, "out of memory");
        if (strlen((char *)text.data) + 1 != text.size)
                return error_set(error, EINVAL, "%s: not a text", path);
        at = (char *)text.data;
        for (unsigned number = 1; r == 0 && (line = strsep(&at, "\n")); number++) {
                line[strcspn(line, "#")] = '\0';
                line = trim(line);
                if (*line)
                        r = take_line(line, keys, n_keys, error);
                if (r < 0)
                        error_prefix(error, r, "%s:%u", path, number);
        }
        return r;
}
