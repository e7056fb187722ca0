/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads an efivarfs directory into a snapshot of variables. Called by the verbs; only reads. */
#include "shim/firmware/efivarfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/utf16.h"

#define MAX_VARIABLES 4096u
#define MAX_BYTES     (1024u * 1024)      /* of one variable */
#define MAX_ALL_BYTES (16u * 1024 * 1024) /* firmware has 64 to 512 KiB */

DEFINE_CLEANUP(DIR *, closedir)

void efivarfs_free(struct fw_variable *variables, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                free(variables[i].name);
                free(variables[i].data);
        }
        free(variables);
}

struct snapshot {
        struct fw_variable *variables;
        size_t n;
        size_t bytes;
};

static void snapshot_release(struct snapshot *s)
{
        efivarfs_free(s->variables, s->n);
}

/* Splits "Name-GUID"; false if the file isn't a variable. *ret_name is malloc'ed, NULL: out of
 * memory. */
static bool split_name(const char *file, char **ret_name, EFI_GUID *ret_vendor)
{
        const size_t tail = GUID_TEXT_SIZE; /* '-' and 36 characters */
        size_t length = strlen(file);
        _cleanup_free_ char *name = NULL;
        _cleanup_buf_ struct buf utf16 = {0};

        if (length <= tail || file[length - tail] != '-' ||
                        !guid_from_text(file + length - tail + 1, ret_vendor))
                return false;
        name = strndup(file, length - tail);
        if (name && !utf8_to_utf16(name, &utf16)) /* firmware couldn't have named it so */
                return false;
        *ret_name = TAKE_PTR(name);
        return true;
}

/* Whether "not there" instead of "can't be read" would change how a payload judges the machine. */
static bool is_secure_boot_state(const EFI_GUID *vendor)
{
        return guid_equal(vendor, &guid_global_variable) ||
               guid_equal(vendor, &guid_image_security_database);
}

/* Attributes and data of one file; -ENODATA: no variable in it (empty while it is being created).
 */
static int read_value(int directory, const char *file, struct buf *ret)
{
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENODATA;
        r = buf_read_fd(fd, MAX_BYTES, ret);
        if (r < 0)
                return r;
        return ret->size < 4 ? -ENODATA : 0;
}

static int append(struct snapshot *s, char *name, const EFI_GUID *vendor, struct span file)
{
        struct cursor c = CURSOR(file);
        struct fw_variable *grown, v = {.vendor = *vendor, .name = name};

        if (!cursor_u32(&c, &v.attributes))
                return -ENODATA;
        v.size = cursor_left(&c);
        if (s->n >= MAX_VARIABLES || v.size > MAX_ALL_BYTES - s->bytes)
                return -EFBIG;
        grown = reallocarray(s->variables, s->n + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        s->variables = grown;
        v.data = malloc(v.size + 1);
        if (!v.data)
                return -ENOMEM;
        (void)cursor_copy(&c, v.data, v.size);
        s->variables[s->n++] = v;
        s->bytes += v.size;
        return 0;
}

/* A name is whatever somebody could store: no part of it may drive the terminal of who reads the
 * message. */
static void make_printable(const char *file, char to[NAME_MAX + 1])
{
        size_t n = 0;

        for (; file[n] && n < NAME_MAX; n++)
                to[n] = file[n] >= 0x20 && file[n] < 0x7f ? file[n] : '?';
        to[n] = '\0';
}

static int read_one(struct snapshot *s, int directory, const char *file, const char *path,
                struct error *error)
{
        char shown[NAME_MAX + 1];
        _cleanup_free_ char *name = NULL;
        _cleanup_buf_ struct buf value = {0};
        EFI_GUID vendor;
        int r;

        if (!split_name(file, &name, &vendor))
                return 0;
        make_printable(file, shown);
        r = name ? read_value(directory, file, &value) : -ENOMEM;
        if (r == 0)
                r = append(s, name, &vendor, buf_span(&value));
        if (r == 0)
                (void)TAKE_PTR(name);
        else if (r == -ENOMEM)
                return error_set(error, ENOMEM, "out of memory for EFI variables");
        else if (r == -EFBIG)
                return error_set(error, EFBIG,
                                "%s: more or larger EFI variables than any firmware has (at %s)",
                                path, shown);
        else if (r != -ENODATA && r != -ENOENT && is_secure_boot_state(&vendor))
                return error_set(error, -r, "can't read EFI variable %s/%s: %s", path, shown,
                                strerror(-r));
        return 0;
}

static int compare(const void *a, const void *b)
{
        const struct fw_variable *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        return r ? r : memcmp(&x->vendor, &y->vendor, sizeof(x->vendor));
}

int efivarfs_read(const char *path, struct fw_variable **ret, size_t *ret_n, struct error *error)
{
        _cleanup_(closedirp) DIR *directory = opendir(path);
        _cleanup_(snapshot_release) struct snapshot s = {0};
        struct dirent *entry;

        if (!directory)
                return error_set(error, errno, "can't read EFI variables from %s: %m", path);
        for (errno = 0; (entry = readdir(directory)); errno = 0) {
                int r = read_one(&s, dirfd(directory), entry->d_name, path, error);

                if (r < 0)
                        return r;
        }
        if (errno)
                return error_set(error, errno, "can't list EFI variables in %s: %m", path);
        if (s.n > 0)
                qsort(s.variables, s.n, sizeof(*s.variables), compare);
        *ret_n = s.n;
        *ret = TAKE_PTR(s.variables);
        s.n = 0;
        return 0;
}
