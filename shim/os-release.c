/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/os-release.h"

#include <string.h>

static bool is_blank(uint8_t c)
{
        return c == ' ' || c == '\t';
}

static struct span trimmed(struct span s)
{
        while (s.size > 0 && is_blank(s.data[0]))
                s = SPAN(s.data + 1, s.size - 1);
        while (s.size > 0 && is_blank(s.data[s.size - 1]))
                s.size--;
        return s;
}

/* The value of a line "KEY=value", without quotes around it; false if it is another line. */
static bool value_of(struct span line, const char *key, struct span *ret)
{
        size_t n = strlen(key);

        line = trimmed(line);
        if (line.size <= n || memcmp(line.data, key, n) != 0 || line.data[n] != '=')
                return false;
        line = SPAN(line.data + n + 1, line.size - n - 1);
        if (line.size >= 2 && line.data[0] == line.data[line.size - 1] &&
                        (line.data[0] == '"' || line.data[0] == '\''))
                line = SPAN(line.data + 1, line.size - 2);
        *ret = line;
        return true;
}

struct span os_release_find(struct span text, const char *key)
{
        struct span found = {0}, value;

        for (size_t start = 0, i = 0; i <= text.size; i++) {
                bool end = i == text.size || text.data[i] == '\0';

                if (!end && text.data[i] != '\n' && text.data[i] != '\r')
                        continue;
                if (value_of(SPAN(text.data + start, i - start), key, &value))
                        found = value;
                if (end)
                        break;
                start = i + 1;
        }
        return found;
}
