/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles of a UKI: the first line of the input is what is wanted, the rest are the texts of
 * .profile sections with 0xff between them. A number finds the profile of that number and no other,
 * and what an ID finds, the text has. */
#include <assert.h>
#include <errno.h>

#include "base/cleanup.h"
#include "shim/profile.h"
#include "tests/unit/tiny-uki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROFILES_MAX 12u

static unsigned add_profiles(struct buf *uki, struct span rest, struct span texts[PROFILES_MAX])
{
        unsigned n = 0;

        while (rest.size > 0 && n < PROFILES_MAX) {
                const uint8_t *end = memchr(rest.data, 0xff, rest.size);
                size_t length = end ? (size_t)(end - rest.data) : rest.size;

                texts[n] = SPAN(rest.data, length);
                tiny_uki_add(uki, ".profile", rest.data, (uint32_t)length);
                n++;
                length += end != NULL;
                rest = SPAN(rest.data + length, rest.size - length);
        }
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t length = line ? (size_t)(line - data) : 0;
        _cleanup_buf_ struct buf uki = {0};
        struct span texts[PROFILES_MAX];
        unsigned n, number = 1000;
        struct error error = {{0}};
        char wanted[64], digits[16];
        int r;

        if (!line || length >= sizeof(wanted) || size > 65536)
                return 0;
        memcpy(wanted, data, length);
        wanted[length] = '\0';
        tiny_uki_add_text(&uki, ".sdmagic", TINY_STUB("257"));
        n = add_profiles(&uki, SPAN(line + 1, size - length - 1), texts);
        r = profile_find(buf_span(&uki), wanted, &number, &error);
        assert(r == 0 ? number < n || number == 0 : r == -EINVAL && error.text[0]);
        if (r == 0 && wanted[strspn(wanted, "0123456789")])
                assert(n > 0 && memmem(texts[number].data, texts[number].size, wanted,
                                                strlen(wanted)));
        for (unsigned i = 0; i <= n; i++) {
                snprintf(digits, sizeof(digits), "%u", i);
                r = profile_find(buf_span(&uki), digits, &number, &error);
                assert(i < n || i == 0 ? r == 0 && number == i : r == -EINVAL);
        }
        return 0;
}
