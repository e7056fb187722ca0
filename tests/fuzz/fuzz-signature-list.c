/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of EFI_SIGNATURE_LISTs: entries lie inside the input, in order and not over each other, and
 * what the walk says agrees with what the check says. */
#include <assert.h>

#include "base/alg.h"
#include "tcg2/signature-list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct signature_walk walk = SIGNATURE_WALK(SPAN(data, size));
        const uint8_t *last = data;
        struct error error = {0};
        struct signature s;
        int r;

        while ((r = signature_next(&walk, &s, &error)) > 0) {
                assert(s.entry.data >= last && s.entry.size >= 16);
                assert(s.entry.data + s.entry.size <= data + size);
                assert(s.payload.data == s.entry.data + 16);
                assert(s.payload.size <= s.entry.size - 16);
                assert(!s.alg || s.payload.size == alg_by_id(s.alg)->size);
                last = s.entry.data + s.entry.size;
        }
        assert(r == 0 || error.text[0]);
        assert(signature_lists_check(SPAN(data, size), NULL) == r);
        return 0;
}
