/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/last-exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/efi-types.h"
#include "base/guid.h"

#define VARIABLE "MkexecLastExec"

enum { PATH_SIZE = 256, ATTRIBUTES_SIZE = 4 };

static void variable_path(const char *root, char ret[PATH_SIZE])
{
        char vendor[GUID_TEXT_SIZE];

        guid_to_text(&guid_mkexec, vendor);
        snprintf(ret, PATH_SIZE, "%s/sys/firmware/efi/efivars/" VARIABLE "-%s", root, vendor);
}

/* The kernel makes variables that it doesn't know immutable (fs/efivarfs/inode.c). Where the file
 * system has no such flags there is nothing to undo. */
static void make_mutable(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        int flags = 0;

        if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & FS_IMMUTABLE_FL))
                return;
        flags &= ~FS_IMMUTABLE_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* One write is one SetVariable; it begins with the attributes. */
int last_exec_write(const char *root, const char *text, struct error *error)
{
        char path[PATH_SIZE],
                        bytes[ATTRIBUTES_SIZE + LAST_EXEC_MAX] = {EFI_VARIABLE_NON_VOLATILE |
                                                                  EFI_VARIABLE_BOOTSERVICE_ACCESS |
                                                                  EFI_VARIABLE_RUNTIME_ACCESS};
        _cleanup_close_ int fd = -1;
        size_t size = ATTRIBUTES_SIZE + strnlen(text, LAST_EXEC_MAX);
        ssize_t n;

        memcpy(bytes + ATTRIBUTES_SIZE, text, size - ATTRIBUTES_SIZE);
        variable_path(root, path);
        make_mutable(path);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return error_set(error, errno, "can't create EFI variable " VARIABLE ": %m");
        n = write(fd, bytes, size);
        if (n < 0)
                return error_set(error, errno, "can't write EFI variable " VARIABLE ": %m");
        return (size_t)n == size ? 0 : error_set(error, EIO, VARIABLE " was cut");
}

int last_exec_read(const char *root, char ret[LAST_EXEC_MAX + 1], struct error *error)
{
        _cleanup_buf_ struct buf file = {0};
        char path[PATH_SIZE];
        size_t n = 0;
        int r;

        variable_path(root, path);
        r = buf_read_file(path, ATTRIBUTES_SIZE + LAST_EXEC_MAX, &file, error);
        if (r < 0)
                return r == -ENOTDIR ? -ENOENT : r;
        if (file.size <= ATTRIBUTES_SIZE)
                return error_set(error, EBADMSG, "EFI variable " VARIABLE " is empty");
        for (size_t i = ATTRIBUTES_SIZE; i < file.size; i++) {
                uint8_t c = file.data[i];

                ret[n++] = (char)(c >= ' ' && c < 0x7f ? c : '?');
        }
        ret[n] = '\0';
        return 0;
}

int last_exec_remove(const char *root, struct error *error)
{
        char path[PATH_SIZE];

        variable_path(root, path);
        make_mutable(path);
        if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
                return error_set(error, errno, "can't remove EFI variable " VARIABLE ": %m");
        return 0;
}
