/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TPMS_ATTEST, TPMT_SIGNATURE and TPMT_PUBLIC on any bytes: u16, the first, u16, the second, the
 * third. What was read lies inside, is read from no prefix, and whatever OpenSSL makes of the key
 * ends in yes or no. Corpus: tests/corpus/quote/. */
#include <errno.h>
#include <stdlib.h>

#include "policy/ak-key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void require_inside(struct span part, struct span whole)
{
        require(part.size == 0 || (part.data >= whole.data && part.size <= whole.size &&
                                                  (size_t)(part.data - whole.data) <=
                                                                  whole.size - part.size));
}

static bool fuzz_attest(struct span attest)
{
        struct error error = {{0}};
        struct quote quote, shorter;
        struct replay none = {0};
        int r = quote_read(attest, &quote, &error);

        require((r == 0) == (error.text[0] == '\0'));
        if (r < 0)
                return false;
        require_inside(quote.qualified_signer, attest);
        require_inside(quote.nonce, attest);
        require_inside(quote.pcr_digest, attest);
        require(quote.n_selections <= QUOTE_SELECTIONS_MAX);
        require(quote_read(SPAN(attest.data, attest.size - 1), &shorter, NULL) == -EBADMSG);
        for (size_t i = 0; i < quote.n_selections; i++) {
                const struct quote_selection *s = &quote.selection[i];

                require(s->pcrs >> PCR_COUNT == 0 && (s->alg || s->pcrs == 0));
                require(!s->alg || quote_covers(&quote, s->alg->id) == s->pcrs);
                if (s->pcrs)
                        require(quote_check_values(&quote, &none, alg_by_id(TPM_ALG_SHA256),
                                                NULL) == -EPERM);
        }
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cursor c = CURSOR(SPAN(data, size));
        uint8_t name[TPM_NAME_MAX_BYTES];
        struct span attest, signature, area;
        struct quote_signature s;
        struct tpm_public public;
        struct ak_key *key = NULL;
        bool signed_by;
        int r;

        if (!tpm2b_take(&c, UINT16_MAX, &attest) || !tpm2b_take(&c, UINT16_MAX, &signature) ||
                        !cursor_take(&c, cursor_left(&c), &area))
                return 0;
        (void)fuzz_attest(attest);
        signed_by = quote_signature_read(signature, &s, NULL) == 0;
        if (signed_by) {
                require_inside(s.rsa, signature);
                require_inside(s.r, signature);
                require_inside(s.s, signature);
        }
        r = tpm_public_read(area, &public, NULL);
        require(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;
        require(tpm_public_name(&public, name) > 2);
        if (tpm_public_is_ak(&public, NULL) < 0 || ak_key_new(&public, &key, NULL) < 0)
                return 0;
        if (signed_by) {
                r = ak_key_verify(key, &s, attest, NULL);
                require(r == 0 || r == -EPERM);
        }
        ak_key_free(key);
        return 0;
}
