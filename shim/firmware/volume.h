/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory of this machine as the payload's FAT volume: read-only on the disk, confined to the
 * directory, with what the payload writes, creates, renames or deletes kept in memory. Plain C; the
 * EFI side (SimpleFileSystem, File) is simple-fs.c and file.c.
 *
 * Names are as FAT has them: not case-sensitive (ASCII), no two entries that differ only in case. A
 * directory is read once, sorted, and stays as it was read. Only regular files and directories
 * exist; links, devices, pipes, mount points and names that EFI can't spell don't. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/efi-types.h"
#include "base/span.h"

#define VOLUME_NAME_MAX_CHARS 255 /* of one component, UTF-16 units */
#define VOLUME_PATH_MAX_CHARS 4096
#define VOLUME_MAX_ENTRIES    16384u                /* of one directory */
#define VOLUME_MAX_NODES      65536u                /* of all directories that were looked at */
#define VOLUME_OVERLAY_BYTES  (16ull * 1024 * 1024) /* of all changed and new files together */

enum {
        EFI_FILE_READ_ONLY = 0x1,
        EFI_FILE_HIDDEN = 0x2,
        EFI_FILE_SYSTEM = 0x4,
        EFI_FILE_DIRECTORY = 0x10,
        EFI_FILE_ARCHIVE = 0x20,
        EFI_FILE_VALID_ATTR = 0x37
};

struct volume;
struct volume_node; /* a file or directory; counted, see volume_unref */

struct volume_info {
        const char *name;   /* UTF-8; "" for the root */
        uint64_t size;      /* bytes; 0 for a directory */
        uint64_t attribute; /* EFI_FILE_* */
        struct timespec created, accessed, modified;
};

/* directory_fd: stays the caller's; O_PATH is enough. 0 or -errno. */
int volume_new(int directory_fd, struct volume **ret);
void volume_free(struct volume *volume); /* no node may be held any more */
uint64_t volume_size(const struct volume *volume);
uint64_t volume_free_bytes(const struct volume *volume); /* what the overlay can still take */

struct volume_node *volume_root(struct volume *volume); /* a new reference */
void volume_unref(struct volume *volume, struct volume_node *node);

/* Opens path (UTF-16LE, '\' between names, a leading one means the root) from a directory or, as
 * UEFI 13.5 has it, from any file's directory. creates: make the last component if it is missing,
 * with attribute; *ret_created (may be NULL) says whether that happened. EFI_NOT_FOUND,
 * EFI_INVALID_PARAMETER (names, ".." above the root), EFI_ACCESS_DENIED, EFI_VOLUME_CORRUPTED (two
 * entries that differ only in case), EFI_VOLUME_FULL, EFI_OUT_OF_RESOURCES, EFI_DEVICE_ERROR. */
EFI_STATUS volume_open(struct volume *volume, struct volume_node *from, struct span path,
                bool creates, uint64_t attribute, struct volume_node **ret, bool *ret_created);

bool volume_is_directory(const struct volume_node *node);
bool volume_is_root(const struct volume_node *node);
bool volume_is_deleted(const struct volume_node *node);
void volume_get_info(const struct volume_node *node, struct volume_info *ret);

/* Files. read: up to size bytes, *ret_size tells how many. */
EFI_STATUS volume_read(
                struct volume_node *node, uint64_t offset, void *to, size_t size, size_t *ret_size);
EFI_STATUS volume_write(
                struct volume *volume, struct volume_node *node, uint64_t offset, struct span from);
EFI_STATUS volume_resize(struct volume *volume, struct volume_node *node, uint64_t size);

/* Directories: the first entry at or after *index, whose index it becomes; EFI_NOT_FOUND: there is
 * none. Entries keep their index: new ones come last, deleted ones leave a gap. */
EFI_STATUS volume_entry(struct volume *volume, struct volume_node *directory, size_t *index,
                struct volume_info *ret);

/* Changes, overlay only. delete: not the root, no directory with entries. */
EFI_STATUS volume_delete(struct volume *volume, struct volume_node *node);
/* path: from the node's own directory, or from the root with a leading '\'. EFI_ACCESS_DENIED: the
 * root, something else has the name, or a directory would come to lie inside itself. */
EFI_STATUS volume_rename(struct volume *volume, struct volume_node *node, struct span path);
void volume_set_attribute(struct volume_node *node, uint64_t attribute);
void volume_set_times(struct volume_node *node, const struct timespec *created,
                const struct timespec *accessed,
                const struct timespec *modified); /* NULL: as it is */
