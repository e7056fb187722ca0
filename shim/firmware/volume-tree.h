/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tree of a volume, for volume.c only: nodes, the one-time listing of directories, names and
 * paths. Here and nowhere else the disk is opened, and only for reading. */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "shim/firmware/volume.h"

struct volume_node {
        struct volume_node *parent; /* NULL: the root, or deleted */
        struct volume_node *next;   /* all nodes of the volume */
        char *name;
        char *disk_path; /* from the volume's root; NULL: not on the disk */
        bool is_directory, deleted;
        bool listed;    /* directory: children are all there */
        bool in_memory; /* file: contents, not the disk, has the bytes */
        struct volume_node **children;
        size_t n_children; /* slots; NULL where an entry was deleted */
        unsigned n_refs;
        int fd; /* of a disk file while it is held */
        uint64_t size, attribute;
        struct buf contents;
        struct timespec created, accessed, modified;
};

struct volume {
        int fd;
        dev_t device;
        uint64_t size;
        struct volume_node *root, *all;
        size_t n_nodes;
        uint64_t overlay_bytes;
};

/* Opens below root and nowhere else: no links on the way, no mount points, no "..". Never for
 * writing; O_NONBLOCK because what was a file a moment ago may be a pipe now. The descriptor or -1
 * and errno. */
int tree_open_beneath(int root, const char *path, int flags);
EFI_STATUS tree_status_of_errno(int errnum);

struct volume_node *tree_new_node(
                struct volume *volume, struct volume_node *parent, const char *name);
/* Takes a node that nobody holds and no directory lists out of the volume. */
void tree_drop_node(struct volume *volume, struct volume_node *node);
void tree_free_node(struct volume_node *node);
void tree_take_stat(struct volume_node *node, const struct stat *st);
bool tree_add_child(struct volume_node *directory, struct volume_node *child);
void tree_remove_child(struct volume_node *child);

/* Reads the directory once. All or nothing: half a directory would be measured as if it were whole.
 * Never EFI_NOT_FOUND. Fine for a file, too. */
EFI_STATUS tree_list(struct volume *volume, struct volume_node *directory);

/* The entry with that very name, else the only one that differs in case alone. On a FAT volume
 * there is never a second; elsewhere firmware's choice can't be known, so there is none:
 * EFI_VOLUME_CORRUPTED. */
EFI_STATUS tree_lookup(struct volume *volume, struct volume_node *directory, const char *name,
                struct volume_node **ret);

/* Where a path leads: the directory, and the last name in it; name NULL: the directory itself. */
struct tree_place {
        struct volume_node *directory;
        char *name;
        bool wants_directory; /* '\' at the end */
};

EFI_STATUS tree_walk(struct volume *volume, struct volume_node *from, struct span path,
                struct tree_place *p);
void tree_place_release(struct tree_place *p);
