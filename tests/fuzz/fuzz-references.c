/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reference values: whatever the text, it is refused with a reason or read whole; what was read is
 * like itself. Corpus: tests/corpus/references/. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/reference-values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

/* A firmware boot with just these values is it, in each bank, and with another value it isn't. */
static void find_itself(const struct reference_set *set, const struct reference *reference)
{
        struct reference_found found;
        struct replay boot;

        replay_start_zero(&boot, &reference->banks);
        for (size_t b = 0; b < reference->banks.n; b++) {
                static const uint8_t pcrs[REFERENCE_VIEW_N] = {4, 9, 11, 12, 13};

                for (size_t i = 0; i < REFERENCE_VIEW_N; i++)
                        boot.pcr[b][pcrs[i]] = reference->view[b][i];
        }
        for (size_t b = 0; b < reference->banks.n; b++) {
                uint16_t alg = reference->banks.alg[b]->id;

                require(reference_match_firmware(set, &boot, alg, &found, NULL) == 0);
                require((found.match == REFERENCE_WHOLE) ==
                                (reference->kind == REFERENCE_FIRMWARE));
                boot.pcr[b][12].bytes[0] ^= 1;
                require(reference_match_firmware(set, &boot, alg, &found, NULL) == 0);
                require(found.match != REFERENCE_WHOLE && found.reason.text[0]);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct reference_set *set;
        struct error error = {{0}};
        int r;

        require(reference_set_new(&set) == 0);
        r = reference_set_add(set, SPAN(data, size), "fuzz", &error);
        require(r == 0 || (r == -EBADMSG && error.text[0]));
        require(reference_set_size(set) == (r == 0));
        require(reference_set_index(set) == 0);
        if (r == 0)
                find_itself(set, reference_set_at(set, 0));
        reference_set_free(set);
        return 0;
}
