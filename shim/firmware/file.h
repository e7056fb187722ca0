/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_FILE_PROTOCOL objects over a volume, for simple-fs.c. */
#pragma once

#include "shim/firmware/internal.h"
#include "shim/firmware/volume.h"

#define FILES_MAX_OPEN 256u

/* The volume of a SimpleFileSystem object and of all files that were opened through it; freed with
 * the last of them, since objects go in any order when a run ends. */
struct mount {
        struct volume *volume;
        unsigned n_refs;
        unsigned n_files;
};

void mount_unref(struct mount *mount);

/* A new handle, whose address goes to *place in guest memory; takes over the caller's reference to
 * node, also if it fails. */
EFI_STATUS file_give(struct firmware *fw, struct mount *mount, struct volume_node *node,
                bool writable, uint64_t place);
