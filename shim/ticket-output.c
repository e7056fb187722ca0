/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/ticket-output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "policy/ticket.h"

#define LIST            ".mkexec-keys" /* a name that no ticket can have, a line each */
#define LIST_MAX_BYTES  65536
#define SUFFIX          ".key"
#define FILE_NAME_BYTES (TICKET_NAME_MAX + sizeof(SUFFIX))

int ticket_output_open(const char *path, int *ret, struct error *error)
{
        if (!path && isatty(STDOUT_FILENO))
                return error_set(error, EINVAL,
                                "a secret isn't for a terminal: say --output FILE, or pipe it");
        *ret = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400)
                    : dup(STDOUT_FILENO);
        return *ret < 0 ? error_set(error, errno, "can't write to %s: %m",
                                          path ?: "standard output")
                        : 0;
}

static int write_all(int fd, struct span bytes)
{
        while (bytes.size > 0) {
                ssize_t n = write(fd, bytes.data, bytes.size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                bytes = SPAN(bytes.data + n, bytes.size - (size_t)n);
        }
        return 0;
}

int ticket_output_write(int fd, struct span secret, struct error *error)
{
        int r = write_all(fd, secret);

        return r < 0 ? error_set(error, -r,
                                       "the ticket is used up, but its secret couldn't be written: "
                                       "%s",
                                       strerror(-r))
                     : 0;
}

/* ---- key files ---- */

static int open_folder(const char *path, int *ret, struct error *error)
{
        *ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret < 0 ? error_set(error, errno, "%s: %m", path) : 0;
}

static void file_name(const char *name, char ret[FILE_NAME_BYTES])
{
        snprintf(ret, FILE_NAME_BYTES, "%s" SUFFIX, name);
}

static int append_to_list(int folder, const char *name)
{
        char line[TICKET_NAME_MAX + 2];
        int n = snprintf(line, sizeof(line), "%s\n", name);
        _cleanup_close_ int fd = openat(
                        folder, LIST, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

        return fd < 0 ? -errno : write_all(fd, SPAN((const uint8_t *)line, (size_t)n));
}

int key_file_open(const char *folder, const char *name, int *ret, struct error *error)
{
        _cleanup_close_ int dir = -1;
        char file[FILE_NAME_BYTES];
        struct stat st;
        int r;

        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return error_set(error, errno, "can't make %s: %m", folder);
        r = open_folder(folder, &dir, error);
        if (r < 0)
                return r;
        file_name(name, file);
        if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0) /* not ours to erase */
                return error_set(error, EEXIST, "%s/%s is there already", folder, file);
        r = append_to_list(dir, name);
        if (r < 0)
                return error_set(error, -r, "can't write to %s/" LIST ": %s", folder, strerror(-r));
        *ret = openat(dir, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
        return *ret < 0 ? error_set(error, errno, "can't make %s/%s: %m", folder, file) : 0;
}

/* Zeros over what is there, in place, and then no file: nothing to erase is as good. */
static int erase(int folder, const char *name)
{
        static const uint8_t zeros[4096];
        char file[FILE_NAME_BYTES];
        _cleanup_close_ int fd = -1;
        struct stat st = {0};
        int r = 0;

        file_name(name, file);
        fd = openat(folder, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || fstat(fd, &st) < 0)
                r = -errno;
        for (off_t left = S_ISREG(st.st_mode) ? st.st_size : 0; r == 0 && left > 0;) {
                size_t n = left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros);

                r = write_all(fd, SPAN(zeros, n));
                left -= (off_t)n;
        }
        return unlinkat(folder, file, 0) < 0 ? -errno : r;
}

void key_file_remove(const char *folder, const char *name)
{
        _cleanup_close_ int dir = -1;
        struct error error;

        if (open_folder(folder, &dir, &error) == 0)
                (void)erase(dir, name); /* what fails here is tried again by key_files_erase */
}

static int erase_listed(int folder, struct buf *list, struct error *error)
{
        char *name, *rest;
        int q = 0;

        buf_put_u8(list, '\0');
        if (buf_failed(list))
                return error_set(error, ENOMEM, "out of memory");
        rest = (char *)list->data;
        while ((name = strsep(&rest, "\n"))) {
                int s = ticket_name_ok(name) ? erase(folder, name) : 0;

                if (s < 0)
                        q = error_set(error, -s, "can't erase the key file of '%s': %s", name,
                                        strerror(-s));
        }
        return q;
}

int key_files_erase(const char *folder, struct error *error)
{
        _cleanup_close_ int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
        _cleanup_buf_ struct buf list = {0};
        int r;

        if (dir >= 0)
                fd = openat(dir, LIST, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return errno == ENOENT ? 0 : error_set(error, errno, "%s: %m", folder);
        r = buf_read_fd(fd, LIST_MAX_BYTES, &list);
        if (r < 0)
                return error_set(error, -r, "can't read %s/" LIST ": %s", folder, strerror(-r));
        r = erase_listed(dir, &list, error);
        if (r == 0 && unlinkat(dir, LIST, 0) < 0)
                r = error_set(error, errno, "can't remove %s/" LIST ": %m", folder);
        return r;
}
