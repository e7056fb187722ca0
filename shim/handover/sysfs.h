/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small files under /sys, or under a recorded tree that looks like it: the only way in which this
 * folder reads the machine. Errors name the whole path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Reads <root>/<name> (printf-like, so that numbered folders are easy) into *ret. */
int sysfs_read(struct buf *ret, size_t limit, struct error *error, const char *root,
                const char *format, ...) __attribute__((format(printf, 5, 6)));
/* "0x" and 1-16 hex digits, then nothing but one line end. */
bool sysfs_parse_number(struct span text, uint64_t *ret);
/* A file that holds one such number. */
int sysfs_read_number(const char *root, const char *name, uint64_t *ret, struct error *error);
/* The folders 0, 1, 2 ... under <root>/<name>, in any order and with any gaps. -E2BIG: more than
 * max. */
int sysfs_list_numbers(const char *root, const char *name, unsigned *ret, size_t max, size_t *ret_n,
                struct error *error);
bool sysfs_exists(const char *root, const char *name);
