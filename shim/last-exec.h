/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What became of the last orderly exec, for the boot that comes after a reset: by then no file can
 * be written, so it is a line of text in an EFI variable of ours, MkexecLastExec. Written before
 * the shutdown begins, replaced by the reason when exec fails in it, removed when it succeeds. */
#pragma once

#include "base/error.h"

#define LAST_EXEC_MAX 400 /* bytes of text */

/* root: "" or a recorded tree's prefix. -ENOENT: a machine without EFI variables. */
int last_exec_write(const char *root, const char *text, struct error *error);
/* As text that can be shown. -ENOENT: there is none. */
int last_exec_read(const char *root, char ret[LAST_EXEC_MAX + 1], struct error *error);
/* 0 also if there is none. */
int last_exec_remove(const char *root, struct error *error);
