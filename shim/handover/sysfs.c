/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PATH_SIZE 512

int sysfs_read(struct buf *ret, size_t limit, struct error *error, const char *root,
                const char *format, ...)
{
        char path[PATH_SIZE], name[PATH_SIZE / 2];
        va_list list;
        int n;

        va_start(list, format);
        n = vsnprintf(name, sizeof(name), format, list);
        va_end(list);
        if (n < 0 || (size_t)n >= sizeof(name))
                return error_set(error, ENAMETOOLONG, "%s: path too long", root);
        n = snprintf(path, sizeof(path), "%s/%s", root, name);
        if (n < 0 || (size_t)n >= sizeof(path))
                return error_set(error, ENAMETOOLONG, "%s: path too long", root);
        return buf_read_file(path, limit, ret, error);
}

bool sysfs_parse_number(struct span text, uint64_t *ret)
{
        uint64_t value = 0;

        if (text.size > 0 && text.data[text.size - 1] == '\n')
                text.size--;
        if (text.size < 3 || text.size > 18 || text.data[0] != '0' || text.data[1] != 'x')
                return false;
        for (size_t i = 2; i < text.size; i++) {
                uint8_t c = text.data[i];
                unsigned digit;

                if (c >= '0' && c <= '9')
                        digit = c - '0';
                else if (c >= 'a' && c <= 'f')
                        digit = c - 'a' + 10;
                else if (c >= 'A' && c <= 'F')
                        digit = c - 'A' + 10;
                else
                        return false;
                value = value << 4 | digit;
        }
        *ret = value;
        return true;
}

int sysfs_read_number(const char *root, const char *name, uint64_t *ret, struct error *error)
{
        _cleanup_buf_ struct buf text = {0};
        int r = sysfs_read(&text, 64, error, root, "%s", name);

        if (r < 0)
                return r;
        if (!sysfs_parse_number(buf_span(&text), ret))
                return error_set(error, EINVAL, "%s/%s: not a hexadecimal number", root, name);
        return 0;
}

int sysfs_list_numbers(const char *root, const char *name, unsigned *ret, size_t max, size_t *ret_n,
                struct error *error)
{
        char path[PATH_SIZE];
        struct dirent *entry;
        size_t n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "%s/%s", root, name);
        dir = opendir(path);
        if (!dir)
                return error_set(error, errno, "%s: %s", path, strerror(errno));
        while ((entry = readdir(dir))) {
                char *end;
                unsigned long value = strtoul(entry->d_name, &end, 10);

                if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || *end != '\0')
                        continue;
                if (n == max || value > 1000000) {
                        closedir(dir);
                        return error_set(error, E2BIG, "%s: more than %zu entries", path, max);
                }
                ret[n++] = (unsigned)value;
        }
        closedir(dir);
        *ret_n = n;
        return 0;
}

bool sysfs_exists(const char *root, const char *name)
{
        char path[PATH_SIZE];
        int n = snprintf(path, sizeof(path), "%s/%s", root, name);

        return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0;
}
