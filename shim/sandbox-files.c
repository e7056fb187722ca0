/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which files the broker may still open, by Landlock; see sandbox.h. Everything that the kernel can
 * deny is denied but what the rows below give back. Descriptors that are open stay as they are. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/sandbox.h"

/* linux/landlock.h, whose newer half the oldest system that we build on hasn't got. Numbers of
 * system calls are the same on all processors. */
#define SYS_LANDLOCK_CREATE_RULESET 444
#define SYS_LANDLOCK_ADD_RULE       445
#define SYS_LANDLOCK_RESTRICT_SELF  446
#define RULESET_VERSION             1
#define RULE_PATH_BENEATH           1

#define FS_WRITE_FILE  (1ull << 1)
#define FS_READ_FILE   (1ull << 2)
#define FS_READ_DIR    (1ull << 3)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_REG    (1ull << 8)
#define FS_TRUNCATE    (1ull << 14)

#define READ  (FS_READ_FILE | FS_READ_DIR)
#define WRITE (READ | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_TRUNCATE)

struct ruleset {
        uint64_t files, net, scoped;
};

struct path_beneath {
        uint64_t allowed;
        int32_t parent_fd;
} __attribute__((packed));

/* What a kernel of this version can deny, and how much of struct ruleset it knows. Of the scopes
 * only abstract sockets: the guest is outside, and has to be killed by a signal. */
static const struct {
        int version;
        size_t size;
        struct ruleset handled;
} versions[] = {
                {1, offsetof(struct ruleset, net), {.files = (1ull << 13) - 1}},
                {2, offsetof(struct ruleset, net), {.files = (1ull << 14) - 1}},
                {3, offsetof(struct ruleset, net), {.files = (1ull << 15) - 1}},
                {4, offsetof(struct ruleset, scoped), {.files = (1ull << 15) - 1, .net = 3}},
                {5, offsetof(struct ruleset, scoped), {.files = (1ull << 16) - 1, .net = 3}},
                {6, sizeof(struct ruleset), {.files = (1ull << 16) - 1, .net = 3, .scoped = 1}},
};

static int version_index(void)
{
        long version = syscall(SYS_LANDLOCK_CREATE_RULESET, NULL, 0, RULESET_VERSION);
        int index = -1;

        for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
                if (version >= versions[i].version)
                        index = (int)i;
        return index;
}

static int allow(int ruleset, uint64_t handled, int fd, uint64_t rights)
{
        struct path_beneath rule = {.allowed = rights & handled, .parent_fd = fd};
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                rule.allowed &= FS_READ_FILE;
        if (syscall(SYS_LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
                return -errno;
        return 0;
}

/* What isn't there now can't be read later: that is what the verb would find, too. */
static int allow_path(int ruleset, uint64_t handled, const char *path, uint64_t rights)
{
        _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

        return fd < 0 ? 0 : allow(ruleset, handled, fd, rights);
}

static int put_rules(int ruleset, uint64_t handled, const struct sandbox *sandbox)
{
        /* Why the kernel refuses a kexec is read when it has. */
        static const char *const switches[] = {"/sys/kernel", "/proc/sys/kernel"};
        int r = sandbox->volume_fd < 0 ? 0 : allow(ruleset, handled, sandbox->volume_fd, READ);

        if (r == 0 && sandbox->state_fd >= 0)
                r = allow(ruleset, handled, sandbox->state_fd, WRITE);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(switches); i++)
                if (sandbox->verb != SANDBOX_PREDICT)
                        r = allow_path(ruleset, handled, switches[i], READ);
        for (size_t i = 0; r == 0 && i < SANDBOX_FILES_MAX; i++)
                if (sandbox->files[i])
                        r = allow_path(ruleset, handled, sandbox->files[i], READ);
        return r;
}

int sandbox_confine_files(const struct sandbox *sandbox, bool *ret, struct error *error)
{
        _cleanup_close_ int ruleset = -1;
        int index = version_index(), r;

        *ret = false;
        if (index < 0)
                return 0;
        ruleset = (int)syscall(SYS_LANDLOCK_CREATE_RULESET, &versions[index].handled,
                        versions[index].size, 0);
        r = ruleset < 0 ? -errno : put_rules(ruleset, versions[index].handled.files, sandbox);
        if (r == 0 && syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0) < 0)
                r = -errno;
        if (r < 0)
                return error_set(error, -r, "sandbox: Landlock: %s", strerror(-r));
        *ret = true;
        return 0;
}
