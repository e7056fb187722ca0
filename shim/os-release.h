/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text in the format of os-release(5), as it stands in sections of a UKI. Read as systemd's
 * src/boot/efi-string.c reads it: quotes around a value go, escapes in it aren't decoded. */
#pragma once

#include "base/span.h"

/* The value of the last line KEY= before the first NUL; empty if there is none. */
struct span os_release_find(struct span text, const char *key);
