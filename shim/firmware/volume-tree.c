/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tree of a volume: nodes, listing, names, paths. It grows as directories are looked at; nodes
 * live as long as the volume, so that what was listed stays so. Called by volume.c only. */
#include "shim/firmware/volume-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf16.h"

/* Of one directory, with the gaps of deleted entries. */
#define MAX_SLOTS (4 * VOLUME_MAX_ENTRIES)

DEFINE_CLEANUP(DIR *, closedir)

/* ---- the disk ---- */

int tree_open_beneath(int root, const char *path, int flags)
{
        struct open_how how = {
                        .flags = (unsigned)(flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY |
                                            O_NONBLOCK | O_NOATIME),
                        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                                   RESOLVE_NO_XDEV,
        };
        int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

        if (fd >= 0 || errno != EPERM)
                return fd;
        how.flags &= ~(uint64_t)O_NOATIME; /* only the owner may read without a trace */
        return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

EFI_STATUS tree_status_of_errno(int errnum)
{
        switch (errnum) {
        case ENOENT:
        case ENOTDIR:
        case ELOOP: /* a link now, was a file when listed */
        case EXDEV:
                return EFI_NOT_FOUND;
        case EACCES:
        case EPERM:
                return EFI_ACCESS_DENIED;
        case ENOMEM:
        case EMFILE:
        case ENFILE:
                return EFI_OUT_OF_RESOURCES;
        default:
                return EFI_DEVICE_ERROR;
        }
}

void tree_take_stat(struct volume_node *node, const struct stat *st)
{
        node->is_directory = S_ISDIR(st->st_mode);
        node->size = node->is_directory ? 0 : (uint64_t)st->st_size;
        node->attribute = node->is_directory ? EFI_FILE_DIRECTORY : EFI_FILE_ARCHIVE;
        node->created = st->st_mtim; /* FAT's creation time isn't in struct stat */
        node->accessed = st->st_atim;
        node->modified = st->st_mtim;
}

/* ---- names ---- */

/* What FAT allows in a name, minus what EFI paths give a meaning to. */
static bool is_valid_name(struct span utf16)
{
        struct cursor c = CURSOR(utf16);
        bool high = false;
        uint16_t unit;

        if (utf16.size == 0 || utf16.size % 2 || utf16.size > 2 * VOLUME_NAME_MAX_CHARS)
                return false;
        while (cursor_u16(&c, &unit)) {
                bool low = unit >= 0xdc00 && unit < 0xe000;

                if (low != high) /* half of a surrogate pair */
                        return false;
                high = unit >= 0xd800 && unit < 0xdc00;
                if (unit < 0x20 || (unit < 0x80 && strchr("\"*/:<>?\\|\x7f", unit)))
                        return false;
        }
        return !high;
}

static bool is_valid_disk_name(const char *name)
{
        _cleanup_buf_ struct buf utf16 = {0};

        return utf8_to_utf16(name, &utf16) && !buf_failed(&utf16) &&
               is_valid_name(buf_span(&utf16));
}

static char fold(char c)
{
        return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool same_name(const char *a, const char *b)
{
        for (; fold(*a) == fold(*b); a++, b++)
                if (!*a)
                        return true;
        return false;
}

/* ---- nodes ---- */

void tree_free_node(struct volume_node *node)
{
        if (node->fd >= 0)
                close(node->fd);
        buf_release(&node->contents);
        free(node->children);
        free(node->disk_path);
        free(node->name);
        free(node);
}

struct volume_node *tree_new_node(
                struct volume *volume, struct volume_node *parent, const char *name)
{
        struct volume_node *node;

        if (volume->n_nodes >= VOLUME_MAX_NODES)
                return NULL;
        node = calloc(1, sizeof(*node));
        if (!node)
                return NULL;
        node->fd = -1;
        node->parent = parent;
        node->name = strdup(name);
        if (!node->name) {
                tree_free_node(node);
                return NULL;
        }
        node->next = volume->all;
        volume->all = node;
        volume->n_nodes++;
        return node;
}

void tree_drop_node(struct volume *volume, struct volume_node *node)
{
        struct volume_node **p = &volume->all;

        while (*p != node)
                p = &(*p)->next;
        *p = node->next;
        volume->n_nodes--;
        tree_free_node(node);
}

bool tree_add_child(struct volume_node *directory, struct volume_node *child)
{
        struct volume_node **grown;

        while (directory->n_children > 0 && !directory->children[directory->n_children - 1])
                directory->n_children--;
        if (directory->n_children >= MAX_SLOTS)
                return false;
        grown = reallocarray(directory->children, directory->n_children + 1, sizeof(*grown));
        if (!grown)
                return false;
        directory->children = grown;
        directory->children[directory->n_children++] = child;
        child->parent = directory;
        return true;
}

void tree_remove_child(struct volume_node *child)
{
        struct volume_node *directory = child->parent;

        for (size_t i = 0; i < directory->n_children; i++)
                if (directory->children[i] == child)
                        directory->children[i] = NULL;
        child->parent = NULL;
}

/* ---- listing ---- */

static char *join(const char *directory, const char *name)
{
        char *path;

        if (!directory || strcmp(directory, ".") == 0)
                return strdup(name);
        return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static EFI_STATUS list_entry(
                struct volume *volume, struct volume_node *directory, int fd, const char *name)
{
        struct volume_node *node;
        struct stat st;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !is_valid_disk_name(name))
                return EFI_SUCCESS;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? EFI_SUCCESS : tree_status_of_errno(errno);
        if (st.st_dev != volume->device || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
                return EFI_SUCCESS;
        if (directory->n_children >= VOLUME_MAX_ENTRIES)
                return EFI_OUT_OF_RESOURCES;
        node = tree_new_node(volume, directory, name);
        if (!node)
                return EFI_OUT_OF_RESOURCES;
        tree_take_stat(node, &st);
        node->disk_path = join(directory->disk_path, name);
        if (!node->disk_path || !tree_add_child(directory, node)) {
                tree_drop_node(volume, node);
                return EFI_OUT_OF_RESOURCES;
        }
        return EFI_SUCCESS;
}

static int compare_nodes(const void *a, const void *b)
{
        const struct volume_node *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static EFI_STATUS list_disk(struct volume *volume, struct volume_node *directory)
{
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *entry;
        int fd = tree_open_beneath(volume->fd, directory->disk_path, O_DIRECTORY);

        if (fd < 0)
                return tree_status_of_errno(errno);
        d = fdopendir(fd);
        if (!d) {
                close(fd);
                return EFI_OUT_OF_RESOURCES;
        }
        for (errno = 0; (entry = readdir(d)); errno = 0) {
                EFI_STATUS status = list_entry(volume, directory, fd, entry->d_name);

                if (efi_error(status))
                        return status;
        }
        return errno ? tree_status_of_errno(errno) : EFI_SUCCESS;
}

EFI_STATUS tree_list(struct volume *volume, struct volume_node *directory)
{
        EFI_STATUS status;

        if (directory->listed || !directory->disk_path)
                return EFI_SUCCESS;
        status = list_disk(volume, directory);
        if (efi_error(status)) {
                for (size_t i = 0; i < directory->n_children; i++)
                        tree_drop_node(volume, directory->children[i]);
                directory->n_children = 0;
                return status == EFI_NOT_FOUND ? EFI_DEVICE_ERROR : status;
        }
        if (directory->n_children > 0)
                qsort(directory->children, directory->n_children, sizeof(*directory->children),
                                compare_nodes);
        directory->listed = true;
        return EFI_SUCCESS;
}

EFI_STATUS tree_lookup(struct volume *volume, struct volume_node *directory, const char *name,
                struct volume_node **ret)
{
        struct volume_node *found = NULL;
        bool ambiguous = false;
        EFI_STATUS status = tree_list(volume, directory);

        if (efi_error(status))
                return status;
        for (size_t i = 0; i < directory->n_children; i++) {
                struct volume_node *child = directory->children[i];

                if (!child || !same_name(child->name, name))
                        continue;
                if (strcmp(child->name, name) == 0) {
                        *ret = child;
                        return EFI_SUCCESS;
                }
                ambiguous = found != NULL;
                found = child;
        }
        if (ambiguous)
                return EFI_VOLUME_CORRUPTED;
        if (!found)
                return EFI_NOT_FOUND;
        *ret = found;
        return EFI_SUCCESS;
}

/* ---- paths ---- */

void tree_place_release(struct tree_place *p)
{
        free(p->name);
}

/* Up to the next '\'; the cursor then stands behind all that follow it. */
static struct span next_component(struct cursor *c)
{
        size_t start = c->offset;
        size_t end = start;
        uint16_t unit;

        while (cursor_u16(c, &unit) && unit != '\\')
                end = c->offset;
        for (struct cursor ahead = *c; cursor_u16(&ahead, &unit) && unit == '\\';)
                *c = ahead;
        return SPAN(c->bytes.data + start, end - start);
}

static bool component_is(struct span component, const char *text)
{
        size_t n = strlen(text);

        if (component.size != 2 * n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (component.data[2 * i] != text[i] || component.data[2 * i + 1])
                        return false;
        return true;
}

/* One step of the walk: what p->name says becomes the directory. */
static EFI_STATUS descend(struct volume *volume, struct tree_place *p)
{
        struct volume_node *node;
        EFI_STATUS status;

        if (!p->name)
                return EFI_SUCCESS;
        status = tree_lookup(volume, p->directory, p->name, &node);
        if (efi_error(status))
                return status;
        if (!node->is_directory)
                return EFI_NOT_FOUND;
        free(TAKE_PTR(p->name));
        p->directory = node;
        return EFI_SUCCESS;
}

static EFI_STATUS walk_component(struct volume *volume, struct tree_place *p, struct span component)
{
        EFI_STATUS status = descend(volume, p);

        if (efi_error(status) || component.size == 0 || component_is(component, "."))
                return status;
        if (component_is(component, "..")) {
                if (!p->directory->parent)
                        return EFI_INVALID_PARAMETER;
                p->directory = p->directory->parent;
                return EFI_SUCCESS;
        }
        if (!is_valid_name(component))
                return EFI_INVALID_PARAMETER;
        p->name = utf16_to_text(component);
        return p->name ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

EFI_STATUS tree_walk(struct volume *volume, struct volume_node *from, struct span path,
                struct tree_place *p)
{
        struct cursor c = CURSOR(path);
        EFI_STATUS status = EFI_SUCCESS;
        uint16_t last = 0;

        if (path.size % 2 || path.size > 2 * VOLUME_PATH_MAX_CHARS)
                return EFI_INVALID_PARAMETER;
        if (from->deleted)
                return EFI_DEVICE_ERROR;
        p->directory = from->is_directory ? from : from->parent;
        if (path.size > 0 && component_is(SPAN(path.data, 2), "\\"))
                p->directory = volume->root;
        while (!efi_error(status) && cursor_left(&c) > 0)
                status = walk_component(volume, p, next_component(&c));
        if (path.size > 0)
                last = (uint16_t)(path.data[path.size - 2] | path.data[path.size - 1] << 8);
        p->wants_directory = last == '\\';
        return status;
}
