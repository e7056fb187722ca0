/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SbatLevel and .sbat, with a line "--" between them. Raising nothing revokes nothing, and a level
 * of itself is always reached. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tcg2/sbat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *mark = size ? memmem(data, size, "\n--\n", 4) : NULL;
        struct span level, section;
        struct error error = {0};
        int r;

        if (!mark)
                return 0;
        level = SPAN(data, (size_t)(mark - data));
        section = SPAN(mark + 4, size - (size_t)(mark + 4 - data));
        r = sbat_check(level, section, &error);
        assert(r == 0 || r == -EBADMSG || r == -EKEYREVOKED);
        assert((r == 0) == (error.text[0] == '\0'));
        assert(sbat_check(SPAN(NULL, 0), section, NULL) == 0);
        assert(sbat_check(level, SPAN(NULL, 0), NULL) != -EKEYREVOKED);
        return 0;
}
