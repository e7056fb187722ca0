/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence: whatever the text, what is read lies inside the evidence's own memory, and written and
 * read again it is the same, also where the memory is an earlier one's. Corpus:
 * tests/corpus/evidence/. */
#include <errno.h>
#include <stdlib.h>

#include "policy/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void check_inside(const struct evidence *e, struct span s)
{
        require(s.size == 0 || (s.data >= e->bytes.data && s.size <= e->bytes.size &&
                                               s.data <= e->bytes.data + e->bytes.size - s.size));
}

static void check(const struct evidence *e)
{
        struct chain chain;

        check_inside(e, e->attest);
        check_inside(e, e->signature);
        check_inside(e, e->ak_public);
        check_inside(e, e->firmware_log);
        check_inside(e, e->ima);
        require(e->attest.size > 0 && e->signature.size > 0 && e->ak_public.size > 0);
        require(e->n_certificates <= EVIDENCE_CERTIFICATES_MAX && e->n_systemd <= CHAIN_BOOTS_MAX);
        for (size_t i = 0; i < e->n_certificates; i++)
                check_inside(e, e->certificate[i]);
        for (size_t i = 0; i < e->n_systemd; i++) {
                check_inside(e, e->systemd[i].log);
                require(e->systemd[i].boot > (i > 0 ? e->systemd[i - 1].boot : 0));
        }
        evidence_chain(e, &chain);
        require(chain.n_systemd <= CHAIN_BOOTS_MAX);
        require(e->pcrs.banks.n > 0 && e->pcrs.measured[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct evidence used; /* as `verify --stream` does */
        struct evidence fresh = {0};
        _cleanup_buf_ struct buf first = {0}, second = {0};
        struct error error = {{0}};
        int r = evidence_read(SPAN(data, size), &used, &error);

        require(r == 0 || (r == -EBADMSG || r == -E2BIG));
        require((r == 0) == (error.text[0] == '\0'));
        if (r == 0) {
                check(&used);
                require(evidence_write(&used, &first, NULL) == 0);
                require(evidence_read(buf_span(&first), &fresh, NULL) == 0);
                check(&fresh);
                require(evidence_write(&fresh, &second, NULL) == 0);
                require(span_equal(buf_span(&first), buf_span(&second)));
        } else {
                require(used.attest.data == NULL && used.n_systemd == 0);
        }
        evidence_release(&fresh);
        return 0;
}
