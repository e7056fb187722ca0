/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device paths as text, in edk2's spelling (UEFI 2.10, 10.6.1.6), for
 * EFI_DEVICE_PATH_TO_TEXT_PROTOCOL and for traces. Bounded and total: a node that is shorter than
 * its type asks for, or unknown, comes out in the generic form, and nothing is read beyond the
 * span. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends UTF-16LE (without NUL). node: one node with its header. display_only: the short form
 * where edk2 has one. False: not a node (length field below 4 or beyond the span), nothing
 * appended. */
bool device_path_node_to_text(struct span node, bool display_only, struct buf *utf16);

/* A whole path up to its End node; nodes are joined by '/', instances by ','. A path that breaks
 * off is false, nothing appended. */
bool device_path_to_text(struct span path, bool display_only, struct buf *utf16);
