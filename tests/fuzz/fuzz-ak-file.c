/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Key files: whatever the bytes, the parts lie inside, and written and read again they are the
 * same. Corpus: tests/corpus/ak-file/. */
#include <errno.h>
#include <stdlib.h>

#include "tcg2/ak-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buf_ struct buf bytes = {0}, text = {0}, again = {0};
        struct error error = {{0}};
        struct ak_file file, same;
        int r = ak_file_read(SPAN(data, size), &bytes, &file, &error);

        require(r == 0 || (r == -EBADMSG && error.text[0]));
        if (r < 0)
                return 0;
        require(file.public.data >= bytes.data && file.private.data > file.public.data &&
                        file.private.data + file.private.size == bytes.data + bytes.size);
        ak_file_write(&file, &text);
        require(ak_file_read(buf_span(&text), &again, &same, NULL) == 0);
        require(same.parent == file.parent && same.rsa_parent == file.rsa_parent &&
                        same.has_auth == file.has_auth && span_equal(same.public, file.public) &&
                        span_equal(same.private, file.private));
        return 0;
}
