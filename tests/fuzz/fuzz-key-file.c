/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files for --db and --dbx. What is taken becomes well-formed lists with at least one entry, unless
 * it was an empty row of lists; what is refused appends nothing. */
#include <assert.h>

#include "tcg2/key-file.h"
#include "tcg2/signature-list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct error error = {0};
        struct buf lists = {0};

        if (key_file_read(SPAN(data, size), &lists, &error) < 0)
                assert(lists.size == 0 && error.text[0]);
        else
                assert(lists.size > 0 && signature_lists_check(buf_span(&lists), NULL) == 0);
        buf_release(&lists);
        return 0;
}
