/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device paths (UEFI 2.10, 10.3) as bytes: bounded walk, compare, prefix and the few builders that
 * the firmware needs. Pure: no guest, no allocation except through struct buf. Text is
 * device-path-text.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/efi-types.h"
#include "base/span.h"

#define DEVICE_PATH_MAX_BYTES 8192 /* of a whole path; ours, the specification has no limit */

enum {
        DEVICE_PATH_HARDWARE = 0x01,
        DEVICE_PATH_ACPI = 0x02,
        DEVICE_PATH_MESSAGING = 0x03,
        DEVICE_PATH_MEDIA = 0x04,
        DEVICE_PATH_BBS = 0x05,
        DEVICE_PATH_END = 0x7f,

        DEVICE_PATH_END_INSTANCE = 0x01,
        DEVICE_PATH_END_ENTIRE = 0xff,
        DEVICE_PATH_HARDWARE_MEMORY_MAPPED = 0x03,
        DEVICE_PATH_HARDWARE_VENDOR = 0x04,
        DEVICE_PATH_MEDIA_HARD_DRIVE = 0x01,
        DEVICE_PATH_MEDIA_VENDOR = 0x03,
        DEVICE_PATH_MEDIA_FILE = 0x04,
};

struct device_path_node {
        uint8_t type, subtype;
        struct span bytes; /* the whole node */
        struct span data;  /* what follows its 4-byte header */
};

/* Takes the next node, End nodes included; false: nothing left, or a length below 4 or past the end
 * (the cursor then stays where it is). */
bool device_path_next(struct cursor *c, struct device_path_node *ret);
bool device_path_is_end(const struct device_path_node *node); /* End of Entire Device Path */

/* Bytes up to and with the End of Entire node; 0 if there is none within the bytes. */
size_t device_path_size(struct span bytes);
/* The same path without its End node; false if it is malformed. */
bool device_path_nodes(struct span path, struct span *ret);

/* Whether path starts with all nodes of prefix (both with End nodes; compared node by node, so
 * never in the middle of one). *rest: what follows in path, its End node included; may be NULL. */
bool device_path_has_prefix(struct span path, struct span prefix, struct span *rest);

/* Builders: append to a buf that becomes a path once the End node is put. */
void device_path_put_node(struct buf *b, uint8_t type, uint8_t subtype, struct span data);
void device_path_put_end(struct buf *b);
/* A Media/File Path node of a UTF-8 name, '\' between its parts; false if it isn't UTF-8 or too
 * long. */
bool device_path_put_file(struct buf *b, const char *name);
