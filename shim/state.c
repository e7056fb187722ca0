/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOCK_WAIT_MS 10000
#define LOCK_POLL_MS 50

static const char *directory(void)
{
        const char *moved = getenv("MKEXEC_RUN_DIR");

        return moved && moved[0] == '/' ? moved : "/run/mkexec";
}

static void temporary_name(const char *name, char ret[64])
{
        snprintf(ret, 64, ".%s.new", name);
}

/* Nobody else may have prepared this folder for us. */
static int check_folder(int fd, struct error *error)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set(error, errno, "can't stat %s: %m", directory());
        if (st.st_uid != geteuid() || st.st_mode & 077)
                return error_set(error, EPERM,
                                "%s must belong to root alone (owner %u, mode %o); remove it",
                                directory(), st.st_uid, st.st_mode & 07777);
        return 0;
}

static int take_lock(struct state_dir *dir, struct error *error)
{
        char pid[16] = "?";
        ssize_t n;

        dir->lock = openat(dir->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (dir->lock < 0)
                return error_set(error, errno, "can't open %s/lock: %m", directory());
        for (unsigned waited = 0; flock(dir->lock, LOCK_EX | LOCK_NB) < 0; waited += LOCK_POLL_MS) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_set(error, errno, "can't lock %s/lock: %m", directory());
                if (waited >= LOCK_WAIT_MS) {
                        n = pread(dir->lock, pid, sizeof(pid) - 1, 0);
                        pid[n > 0 ? n : 0] = '\0';
                        return error_set(error, EBUSY,
                                        "another mkexec (process %s) is at work; try later", pid);
                }
                nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_MS * 1000000L}, NULL);
        }
        n = snprintf(pid, sizeof(pid), "%d", getpid());
        if (ftruncate(dir->lock, 0) < 0 || pwrite(dir->lock, pid, (size_t)n, 0) != n)
                return error_set(error, errno, "can't write %s/lock: %m", directory());
        return 0;
}

/* What a mkexec that was killed had begun to write: nobody's now that the lock is ours, and memory
 * of the machine's. */
static void discard_all(const struct state_dir *dir)
{
        static const char *const names[] = {STATE_PLAN, STATE_IMAGE, STATE_KERNEL, STATE_INITRD,
                        STATE_JOURNAL, STATE_ARMED, STATE_ABORTED, STATE_UNEXPLAINED, STATE_SYSTEMD,
                        STATE_SYSTEMD_NEXT};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                state_discard(dir, names[i]);
}

int state_open(struct state_dir *ret, struct error *error)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        int r;

        if (geteuid() != 0)
                return error_set(error, EPERM, "must be root (the TPM, kexec and %s are root's)",
                                directory());
        if (mkdir(directory(), 0700) < 0 && errno != EEXIST)
                return error_set(error, errno, "can't create %s: %m", directory());
        dir.fd = open(directory(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir.fd < 0)
                return error_set(error, errno, "can't open %s: %m", directory());
        r = check_folder(dir.fd, error);
        if (r == 0)
                r = take_lock(&dir, error);
        if (r < 0)
                return r;
        discard_all(&dir);
        *ret = dir;
        dir = STATE_DIR_NONE;
        return 0;
}

int state_open_read(struct state_dir *ret, struct error *error)
{
        int fd = open(directory(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return error_set(error, errno, "can't open %s: %m", directory());
        *ret = (struct state_dir){.fd = fd, .lock = -1};
        return 0;
}

void state_close(struct state_dir *dir)
{
        if (dir->lock >= 0)
                close(dir->lock);
        if (dir->fd >= 0)
                close(dir->fd);
        *dir = STATE_DIR_NONE;
}

/* What can't be looked for may be there: whoever reads it then gets the error. */
bool state_has(const struct state_dir *dir, const char *name)
{
        return faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

int state_open_file(const struct state_dir *dir, const char *name, int flags, int *ret_fd,
                struct error *error)
{
        int fd = openat(dir->fd, name, flags | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return error_set(error, errno, "can't open %s/%s: %m", directory(), name);
        *ret_fd = fd;
        return 0;
}

int state_read(const struct state_dir *dir, const char *name, size_t limit, struct buf *ret,
                struct error *error)
{
        _cleanup_close_ int fd = -1;
        int r = state_open_file(dir, name, O_RDONLY, &fd, error);

        if (r < 0)
                return r;
        r = buf_read_fd(fd, limit, ret);
        if (r < 0)
                return error_set(
                                error, -r, "can't read %s/%s: %s", directory(), name, strerror(-r));
        return 0;
}

int state_create(const struct state_dir *dir, const char *name, int *ret_fd, struct error *error)
{
        char temporary[64];
        int fd;

        temporary_name(name, temporary);
        fd = openat(dir->fd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return error_set(error, errno, "can't create %s/%s: %m", directory(), temporary);
        *ret_fd = fd;
        return 0;
}

int state_open_new(const struct state_dir *dir, const char *name, int *ret_fd, struct error *error)
{
        char temporary[64];

        temporary_name(name, temporary);
        return state_open_file(dir, temporary, O_RDONLY, ret_fd, error);
}

int state_commit(const struct state_dir *dir, const char *name, struct error *error)
{
        char temporary[64];

        temporary_name(name, temporary);
        if (renameat(dir->fd, temporary, dir->fd, name) < 0 || fsync(dir->fd) < 0)
                return error_set(error, errno, "can't put %s/%s in place: %m", directory(), name);
        return 0;
}

static int write_synced(const struct state_dir *dir, const char *name, int fd, struct span bytes,
                struct error *error)
{
        while (bytes.size > 0) {
                ssize_t n = write(fd, bytes.data, bytes.size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set(error, errno, "can't write %s/%s: %m", directory(), name);
                bytes = SPAN(bytes.data + n, bytes.size - (size_t)n);
        }
        if (fsync(fd) < 0)
                return error_set(error, errno, "can't write %s/%s: %m", directory(), name);
        return 0;
}

int state_write(const struct state_dir *dir, const char *name, struct span bytes,
                struct error *error)
{
        _cleanup_close_ int fd = -1;
        int r = state_create(dir, name, &fd, error);

        if (r == 0)
                r = write_synced(dir, name, fd, bytes, error);
        if (r == 0)
                r = state_commit(dir, name, error);
        if (r < 0)
                state_discard(dir, name);
        return r;
}

void state_discard(const struct state_dir *dir, const char *name)
{
        char temporary[64];

        temporary_name(name, temporary);
        unlinkat(dir->fd, temporary, 0);
}

int state_remove(const struct state_dir *dir, const char *name)
{
        state_discard(dir, name);
        if (unlinkat(dir->fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}
