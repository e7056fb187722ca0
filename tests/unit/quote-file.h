/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of tests/corpus/quote, which make-quote.py wrote: quotes by swtpm, and forged ones. */
#pragma once

#include "base/buf.h"
#include "policy/quote.h"
#include "tests/unit/tap.h"

struct quote_file {
        struct buf bytes;
        struct span attest, signature, public;
};

static inline void quote_file_release(struct quote_file *f)
{
        buf_release(&f->bytes);
}
#define _cleanup_quote_file_ __attribute__((cleanup(quote_file_release)))

static inline bool read_quote_file(const char *name, struct quote_file *ret)
{
        const char *file = strstr(__FILE__, "tests/unit/");
        struct cursor c;
        char path[4096];
        struct error error;

        snprintf(path, sizeof(path), "%.*stests/corpus/quote/%s.bin", (int)(file - __FILE__),
                        __FILE__, name);
        *ret = (struct quote_file){0};
        if (buf_read_file(path, 1 << 16, &ret->bytes, &error) < 0) {
                printf("# %s\n", error.text);
                return false;
        }
        c = CURSOR(buf_span(&ret->bytes));
        return tpm2b_take(&c, 1 << 15, &ret->attest) && tpm2b_take(&c, 1 << 15, &ret->signature) &&
               cursor_take(&c, cursor_left(&c), &ret->public);
}
