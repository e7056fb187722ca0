/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PKCS#7 as it stands in an image. What can be read has a name and an algorithm, isn't the
 * signature of an image of zeros, and leads to no certificate but its own. */
#include <assert.h>

#include "tcg2/authenticode-signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct authenticode_signature *s = NULL;
        struct error error = {0};
        struct digest zero = {0};
        char name[64];

        certificate_name(SPAN(data, size), name, sizeof(name));
        assert(name[0]);
        (void)certificate_is_for_images(SPAN(data, size));
        if (authenticode_signature_new(SPAN(data, size), &s, &error) < 0) {
                assert(error.text[0] && !s);
                return 0;
        }
        zero.alg = authenticode_signature_alg(s);
        assert(zero.alg && authenticode_signature_signer(s)[0]);
        assert(!authenticode_signature_is_of(s, &zero));
        assert(!authenticode_signature_chains_to(s, SPAN(data, size)));
        assert(!authenticode_signature_has_certificate(s, SPAN(data, size), &zero));
        authenticode_signature_free(s);
        return 0;
}
