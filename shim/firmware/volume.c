/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory of this machine as the payload's FAT volume, see volume.h: opening, contents,
 * changes. Called by simple-fs.c and file.c. A file that is changed is copied to memory first (its
 * disk file is closed then). */
#include "shim/firmware/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/firmware/volume-tree.h"

#define CREATED_COST 1024u /* what a new node takes of the overlay's budget */

/* ---- opening ---- */

static EFI_STATUS open_disk_file(struct volume *volume, struct volume_node *node)
{
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (node->is_directory || node->in_memory || node->fd >= 0)
                return EFI_SUCCESS;
        fd = tree_open_beneath(volume->fd, node->disk_path, 0);
        if (fd < 0)
                return tree_status_of_errno(errno);
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_dev != volume->device ||
                        st.st_size < 0)
                return EFI_DEVICE_ERROR;
        node->size = (uint64_t)st.st_size;
        node->fd = TAKE_FD(fd);
        return EFI_SUCCESS;
}

static EFI_STATUS create(struct volume *volume, struct tree_place *p, uint64_t attribute,
                struct volume_node **ret)
{
        struct volume_node *node;
        struct timespec now;

        if (p->wants_directory && !(attribute & EFI_FILE_DIRECTORY))
                return EFI_INVALID_PARAMETER;
        if (volume_free_bytes(volume) < CREATED_COST)
                return EFI_VOLUME_FULL;
        node = tree_new_node(volume, p->directory, p->name);
        if (!node)
                return EFI_OUT_OF_RESOURCES;
        if (!tree_add_child(p->directory, node)) {
                tree_drop_node(volume, node);
                return EFI_OUT_OF_RESOURCES;
        }
        volume->overlay_bytes += CREATED_COST;
        clock_gettime(CLOCK_REALTIME, &now);
        node->created = node->accessed = node->modified = now;
        node->is_directory = attribute & EFI_FILE_DIRECTORY;
        node->attribute = attribute & EFI_FILE_VALID_ATTR;
        node->in_memory = !node->is_directory;
        *ret = node;
        return EFI_SUCCESS;
}

EFI_STATUS volume_open(struct volume *volume, struct volume_node *from, struct span path,
                bool creates, uint64_t attribute, struct volume_node **ret, bool *ret_created)
{
        _cleanup_(tree_place_release) struct tree_place p = {0};
        struct volume_node *node;
        bool created = false;
        EFI_STATUS status;

        status = tree_walk(volume, from, path, &p);
        if (efi_error(status))
                return status;
        node = path.size == 0 ? from : p.directory;
        if (p.name)
                status = tree_lookup(volume, p.directory, p.name, &node);
        if (status == EFI_NOT_FOUND && creates) {
                status = create(volume, &p, attribute, &node);
                created = !efi_error(status);
        } else if (!efi_error(status) && creates &&
                        node->is_directory != !!(attribute & EFI_FILE_DIRECTORY)) {
                status = EFI_ACCESS_DENIED; /* it exists, as the other kind */
        }
        if (!efi_error(status) && p.wants_directory && !node->is_directory)
                status = EFI_NOT_FOUND;
        if (!efi_error(status))
                status = open_disk_file(volume, node);
        if (efi_error(status))
                return status;
        node->n_refs++;
        *ret = node;
        if (ret_created)
                *ret_created = created;
        return EFI_SUCCESS;
}

struct volume_node *volume_root(struct volume *volume)
{
        volume->root->n_refs++;
        return volume->root;
}

void volume_unref(struct volume *volume, struct volume_node *node)
{
        if (--node->n_refs > 0)
                return;
        if (node->fd >= 0)
                close(TAKE_FD(node->fd));
        if (node->deleted)
                tree_drop_node(volume, node);
}

/* ---- what is known of a node ---- */

bool volume_is_directory(const struct volume_node *node)
{
        return node->is_directory;
}

bool volume_is_root(const struct volume_node *node)
{
        return !node->parent && !node->deleted;
}

bool volume_is_deleted(const struct volume_node *node)
{
        return node->deleted;
}

void volume_get_info(const struct volume_node *node, struct volume_info *ret)
{
        *ret = (struct volume_info){
                        .name = node->name,
                        .size = node->size,
                        .attribute = node->attribute,
                        .created = node->created,
                        .accessed = node->accessed,
                        .modified = node->modified,
        };
}

EFI_STATUS volume_entry(struct volume *volume, struct volume_node *directory, size_t *index,
                struct volume_info *ret)
{
        EFI_STATUS status = tree_list(volume, directory);

        if (efi_error(status))
                return status;
        for (size_t i = *index; i < directory->n_children; i++)
                if (directory->children[i]) {
                        volume_get_info(directory->children[i], ret);
                        *index = i;
                        return EFI_SUCCESS;
                }
        return EFI_NOT_FOUND;
}

/* ---- contents ---- */

static void release_contents(struct volume *volume, struct volume_node *node)
{
        volume->overlay_bytes -= node->contents.size;
        buf_release(&node->contents);
}

EFI_STATUS volume_read(
                struct volume_node *node, uint64_t offset, void *to, size_t size, size_t *ret_size)
{
        size_t done = 0;

        if (offset >= node->size)
                size = 0;
        else if (size > node->size - offset)
                size = (size_t)(node->size - offset);
        if (node->in_memory && size > 0) {
                memcpy(to, node->contents.data + offset, size);
                done = size;
        }
        while (done < size) {
                ssize_t n = pread(node->fd, (uint8_t *)to + done, size - done,
                                (off_t)(offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return EFI_DEVICE_ERROR;
                if (n == 0)
                        break; /* it became shorter meanwhile */
                done += (size_t)n;
        }
        *ret_size = done;
        return EFI_SUCCESS;
}

/* Gives the file size bytes in memory, the old ones in front. */
static EFI_STATUS grow_contents(struct volume *volume, struct volume_node *node, uint64_t size)
{
        uint64_t left = volume_free_bytes(volume);

        if (size <= node->contents.size)
                return EFI_SUCCESS;
        if (size - node->contents.size > left)
                return EFI_VOLUME_FULL;
        volume->overlay_bytes += size - node->contents.size;
        buf_put_zeros(&node->contents, (size_t)size - node->contents.size);
        if (!buf_failed(&node->contents))
                return EFI_SUCCESS;
        node->contents.failed = false; /* nothing was appended */
        volume->overlay_bytes -= size - node->contents.size;
        return EFI_OUT_OF_RESOURCES;
}

/* Moves the file from the disk to memory; only its first keep bytes are wanted. */
static EFI_STATUS copy_up(struct volume *volume, struct volume_node *node, uint64_t keep)
{
        EFI_STATUS status;
        size_t n = 0;

        if (node->in_memory)
                return EFI_SUCCESS;
        if (keep > node->size)
                keep = node->size;
        status = grow_contents(volume, node, keep);
        if (!efi_error(status))
                status = volume_read(node, 0, node->contents.data, (size_t)keep, &n);
        if (!efi_error(status) && n < keep)
                status = EFI_DEVICE_ERROR;
        if (efi_error(status)) {
                release_contents(volume, node);
                return status;
        }
        node->in_memory = true;
        node->size = keep;
        if (node->fd >= 0)
                close(TAKE_FD(node->fd));
        return EFI_SUCCESS;
}

static void touch(struct volume_node *node)
{
        clock_gettime(CLOCK_REALTIME, &node->modified);
        node->attribute |= EFI_FILE_ARCHIVE;
}

EFI_STATUS volume_write(
                struct volume *volume, struct volume_node *node, uint64_t offset, struct span from)
{
        EFI_STATUS status;

        if (from.size == 0)
                return EFI_SUCCESS;
        if (offset > VOLUME_OVERLAY_BYTES || from.size > VOLUME_OVERLAY_BYTES)
                return EFI_VOLUME_FULL;
        status = copy_up(volume, node, UINT64_MAX);
        if (!efi_error(status))
                status = grow_contents(volume, node, offset + from.size);
        if (efi_error(status))
                return status;
        memcpy(node->contents.data + offset, from.data, from.size);
        node->size = node->contents.size;
        touch(node);
        return EFI_SUCCESS;
}

/* What a shorter file no longer needs is memory that the overlay's budget no longer counts. */
static void trim_contents(struct volume_node *node)
{
        struct buf *b = &node->contents;
        uint8_t *data;

        if (b->size == 0) {
                buf_release(b);
                return;
        }
        data = realloc(b->data, b->size);
        if (data) {
                b->data = data;
                b->capacity = b->size;
        }
}

EFI_STATUS volume_resize(struct volume *volume, struct volume_node *node, uint64_t size)
{
        EFI_STATUS status;

        if (size == node->size)
                return EFI_SUCCESS;
        if (size > VOLUME_OVERLAY_BYTES)
                return EFI_VOLUME_FULL;
        status = copy_up(volume, node, size);
        if (!efi_error(status))
                status = grow_contents(volume, node, size);
        if (efi_error(status))
                return status;
        if (size < node->contents.size) {
                volume->overlay_bytes -= node->contents.size - size;
                node->contents.size = (size_t)size;
                trim_contents(node);
        }
        node->size = size;
        touch(node);
        return EFI_SUCCESS;
}

/* ---- changes of the tree ---- */

static bool is_empty(const struct volume_node *directory)
{
        for (size_t i = 0; i < directory->n_children; i++)
                if (directory->children[i])
                        return false;
        return true;
}

EFI_STATUS volume_delete(struct volume *volume, struct volume_node *node)
{
        EFI_STATUS status;

        if (node->deleted)
                return EFI_DEVICE_ERROR;
        if (!node->parent)
                return EFI_ACCESS_DENIED;
        status = tree_list(volume, node);
        if (node->is_directory && efi_error(status))
                return status;
        if (!is_empty(node))
                return EFI_ACCESS_DENIED;
        tree_remove_child(node);
        node->deleted = true;
        release_contents(volume, node);
        if (!node->disk_path)
                volume->overlay_bytes -= CREATED_COST;
        node->size = 0;
        return EFI_SUCCESS;
}

static bool is_inside(const struct volume_node *node, const struct volume_node *directory)
{
        for (; node; node = node->parent)
                if (node == directory)
                        return true;
        return false;
}

EFI_STATUS volume_rename(struct volume *volume, struct volume_node *node, struct span path)
{
        _cleanup_(tree_place_release) struct tree_place p = {0};
        struct volume_node *other, *old = node->parent;
        EFI_STATUS status;

        if (node->deleted)
                return EFI_DEVICE_ERROR;
        if (!old)
                return EFI_ACCESS_DENIED;
        status = tree_walk(volume, old, path, &p);
        if (efi_error(status))
                return status;
        if (!p.name)
                return EFI_ACCESS_DENIED; /* that names a directory that is there */
        if (p.wants_directory && !node->is_directory)
                return EFI_INVALID_PARAMETER;
        status = tree_lookup(volume, p.directory, p.name, &other);
        if (status != EFI_NOT_FOUND && (efi_error(status) || other != node))
                return efi_error(status) ? status : EFI_ACCESS_DENIED;
        if (is_inside(p.directory, node))
                return EFI_ACCESS_DENIED;
        if (p.directory != old) {
                tree_remove_child(node);
                if (!tree_add_child(p.directory, node)) {
                        (void)tree_add_child(old, node); /* has room: its own slot became free */
                        return EFI_OUT_OF_RESOURCES;
                }
        }
        free(node->name);
        node->name = TAKE_PTR(p.name);
        return EFI_SUCCESS;
}

void volume_set_attribute(struct volume_node *node, uint64_t attribute)
{
        node->attribute = attribute & EFI_FILE_VALID_ATTR;
}

void volume_set_times(struct volume_node *node, const struct timespec *created,
                const struct timespec *accessed, const struct timespec *modified)
{
        if (created)
                node->created = *created;
        if (accessed)
                node->accessed = *accessed;
        if (modified)
                node->modified = *modified;
}

/* ---- the volume ---- */

int volume_new(int directory_fd, struct volume **ret)
{
        struct volume *volume = calloc(1, sizeof(*volume));
        _cleanup_close_ int fd = -1;
        struct statvfs fs;
        struct stat st;
        int r = -ENOMEM;

        if (!volume)
                return -ENOMEM;
        volume->fd = -1;
        fd = tree_open_beneath(directory_fd, ".", O_DIRECTORY);
        if (fd < 0 || fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0) {
                r = -errno;
                free(volume);
                return r;
        }
        volume->device = st.st_dev;
        volume->size = (uint64_t)fs.f_blocks * fs.f_frsize;
        volume->root = tree_new_node(volume, NULL, "");
        if (volume->root) {
                tree_take_stat(volume->root, &st);
                volume->root->disk_path = strdup(".");
        }
        if (!volume->root || !volume->root->disk_path) {
                volume_free(volume);
                return r;
        }
        volume->fd = TAKE_FD(fd);
        *ret = volume;
        return 0;
}

void volume_free(struct volume *volume)
{
        if (!volume)
                return;
        while (volume->all) {
                struct volume_node *node = volume->all;

                volume->all = node->next;
                tree_free_node(node);
        }
        if (volume->fd >= 0)
                close(volume->fd);
        free(volume);
}

uint64_t volume_size(const struct volume *volume)
{
        return volume->size;
}

uint64_t volume_free_bytes(const struct volume *volume)
{
        return VOLUME_OVERLAY_BYTES - volume->overlay_bytes;
}
