/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes that must not leave the process by accident: pages of their own, locked into memory, in no
 * core dump, in no child, overwritten before they are given back. */
#pragma once

#include "base/error.h"
#include "base/span.h"

struct secret {
        uint8_t *data;
        size_t size;     /* bytes that count */
        size_t capacity; /* bytes that are there */
};

/* capacity zero bytes, size 0. -ENOMEM; -EPERM or -ENOMEM with the advice to raise the limit if
 * they can't be locked. */
int secret_new(size_t capacity, struct secret *ret, struct error *error);
void secret_release(struct secret *secret); /* overwrites; *secret is then empty */
#define _cleanup_secret_ __attribute__((cleanup(secret_release)))

/* All that fd gives, to its end, by read() alone. -E2BIG: more than capacity; -ENODATA: nothing. */
int secret_read_fd(int fd, struct secret *ret, struct error *error);

static inline struct span secret_span(const struct secret *secret)
{
        return SPAN(secret->data, secret->size);
}
