/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/ticket-output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Zeros over what is there, in place, and then no file: nothing to erase is as good. */
static int erase(int folder, const char *file)
{
        static const uint8_t zeros[4096];
        _cleanup_close_ int fd = -1;
        struct stat st = {0};
        int r = 0;

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

static int open_folder(const char *path, int *ret, struct error *error)
{
        *ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret < 0 ? error_set(error, errno, "%s: %m", path) : 0;
}

/* ---- one secret ---- */

/* folder and name are there. The secret is taken out of the TPM only when there is a place for it.
 */
static int open_new(struct ticket_output *output)
{
        struct stat st;

        if (fstatat(output->folder, output->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return -EEXIST;
        output->fd = openat(output->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0400);
        output->unnamed = output->fd >= 0;
        if (output->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
                output->fd = openat(output->folder, output->name,
                                O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
        return output->fd < 0 ? -errno : 0;
}

int ticket_output_open(const char *path, struct ticket_output *ret, struct error *error)
{
        _cleanup_ticket_output_ struct ticket_output output = TICKET_OUTPUT_NONE;
        const char *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path;
        _cleanup_free_ char *folder = NULL;
        int r;

        if (!path && isatty(STDOUT_FILENO))
                return error_set(error, EINVAL,
                                "a secret isn't for a terminal: say --output FILE, or pipe it");
        if (!path) {
                ret->fd = dup(STDOUT_FILENO);
                return ret->fd < 0 ? error_set(error, errno, "can't write to standard output: %m")
                                   : 0;
        }
        if (!name[0] || strlen(name) > NAME_MAX)
                return error_set(error, EINVAL, "'%s' isn't the name of a file", path);
        folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
        if (!folder)
                return error_set(error, ENOMEM, "out of memory");
        r = open_folder(folder, &output.folder, error);
        if (r < 0)
                return r;
        strcpy(output.name, name);
        r = open_new(&output);
        if (r < 0) {
                output.name[0] = '\0';
                return error_set(error, -r, "can't make %s: %s", path, strerror(-r));
        }
        *ret = output;
        output = TICKET_OUTPUT_NONE;
        return 0;
}

/* Without a right that root has, only the name in /proc can be linked. */
static int give_name(const struct ticket_output *output)
{
        char path[32];

        if (linkat(output->fd, "", output->folder, output->name, AT_EMPTY_PATH) == 0)
                return 0;
        if (errno != ENOENT)
                return -errno;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", output->fd);
        return linkat(AT_FDCWD, path, output->folder, output->name, AT_SYMLINK_FOLLOW) < 0 ? -errno
                                                                                           : 0;
}

int ticket_output_finish(struct ticket_output *output, struct span secret, struct error *error)
{
        int r = write_all(output->fd, secret);

        if (r == 0 && output->unnamed)
                r = give_name(output);
        if (r == 0)
                output->name[0] = '\0';
        return r < 0 ? error_set(error, -r,
                                       "the ticket is used up, but its secret couldn't be written: "
                                       "%s",
                                       strerror(-r))
                     : 0;
}

void ticket_output_close(struct ticket_output *output)
{
        if (output->fd >= 0 && output->name[0] && !output->unnamed)
                (void)erase(output->folder, output->name);
        closep(&output->fd);
        closep(&output->folder);
        *output = TICKET_OUTPUT_NONE;
}

/* ---- key files ---- */

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

int key_file_open(const char *folder, const char *name, struct ticket_output *ret,
                struct error *error)
{
        _cleanup_ticket_output_ struct ticket_output output = TICKET_OUTPUT_NONE;
        char file[FILE_NAME_BYTES];
        struct stat st;
        int r;

        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return error_set(error, errno, "can't make %s: %m", folder);
        r = open_folder(folder, &output.folder, error);
        if (r < 0)
                return r;
        file_name(name, file);
        if (fstatat(output.folder, file, &st, AT_SYMLINK_NOFOLLOW) == 0) /* not ours to erase */
                return error_set(error, EEXIST, "%s/%s is there already", folder, file);
        r = append_to_list(output.folder, name);
        if (r < 0)
                return error_set(error, -r, "can't write to %s/" LIST ": %s", folder, strerror(-r));
        strcpy(output.name, file);
        r = open_new(&output);
        if (r < 0) {
                output.name[0] = '\0';
                return error_set(error, -r, "can't make %s/%s: %s", folder, file, strerror(-r));
        }
        *ret = output;
        output = TICKET_OUTPUT_NONE;
        return 0;
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
                char file[FILE_NAME_BYTES];
                int s = 0;

                if (ticket_name_ok(name)) {
                        file_name(name, file);
                        s = erase(folder, file);
                }

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
