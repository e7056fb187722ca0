/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include "tcg2/pcr-selection.h"
#include "tcg2/tpm-ak-parts.h"
#include "tcg2/tpm-rc.h"

void tpm_quote_release(struct tpm_quote *quote)
{
        buf_release(&quote->attest);
        buf_release(&quote->signature);
}

/* pcrDigest as it has to be (TPM 2.0 Part 1, 17.5): the values in the order of the selection,
 * hashed by the signature's algorithm. */
static int hash_pcrs(const struct replay *pcrs, uint32_t mask, uint16_t alg_id, struct digests *ret,
                struct error *error)
{
        _cleanup_buf_ struct buf values = {0};
        struct banks banks = {.n = 1, .alg = {alg_by_id(alg_id)}};

        if (!banks.alg[0])
                return error_set(error, EINVAL, "the key signs with hash 0x%04x, which isn't known",
                                alg_id);
        for (size_t b = 0; b < pcrs->banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (mask & 1u << pcr)
                                buf_put(&values, pcrs->pcr[b][pcr].bytes, pcrs->banks.alg[b]->size);
        if (buf_failed(&values))
                return error_set(error, ENOMEM, "out of memory");
        return hash_span(&banks, buf_span(&values), ret) < 0
                               ? error_set(error, EIO, "can't hash PCR values")
                               : 0;
}

/* 1: they are; 0: a PCR moved in between. */
static int is_about(const TPM2B_ATTEST *quoted, const TPMT_SIGNATURE *signature,
                const struct replay *pcrs, uint32_t mask, struct error *error)
{
        const TPM2B_DIGEST *digest;
        struct digests wanted;
        TPMS_ATTEST attest;
        size_t end = 0;
        TSS2_RC rc = Tss2_MU_TPMS_ATTEST_Unmarshal(
                        quoted->attestationData, quoted->size, &end, &attest);
        int r;

        if (rc != TSS2_RC_SUCCESS)
                return tpm_rc_error(error, rc, "TPM2_Quote");
        if (end != quoted->size || attest.type != TPM2_ST_ATTEST_QUOTE)
                return error_set(error, EIO, "TPM2_Quote: the TPM gave no quote");
        r = hash_pcrs(pcrs, mask, signature->signature.any.hashAlg, &wanted, error);
        if (r < 0)
                return r;
        digest = &attest.attested.quote.pcrDigest;
        return digest->size == wanted.d[0].alg->size &&
               memcmp(digest->buffer, wanted.d[0].bytes, digest->size) == 0;
}

static int put_answer(const TPM2B_ATTEST *quoted, const TPMT_SIGNATURE *signature,
                struct tpm_quote *ret, struct error *error)
{
        uint8_t bytes[sizeof(*signature)];
        size_t size = 0;
        TSS2_RC rc = Tss2_MU_TPMT_SIGNATURE_Marshal(signature, bytes, sizeof(bytes), &size);

        if (rc != TSS2_RC_SUCCESS)
                return tpm_rc_error(error, rc, "TPM2_Quote's signature");
        buf_put(&ret->attest, quoted->attestationData, quoted->size);
        buf_put(&ret->signature, bytes, size);
        return buf_failed(&ret->attest) || buf_failed(&ret->signature)
                               ? error_set(error, ENOMEM, "out of memory")
                               : 0;
}

/* 1: done; 0: a PCR moved in between. */
static int quote_once(struct tpm_ak *ak, const TPM2B_DATA *nonce, const struct banks *banks,
                uint32_t mask, struct tpm_quote *ret, struct error *error)
{
        static const TPMT_SIG_SCHEME keys_own = {.scheme = TPM2_ALG_NULL};
        _cleanup_esys_ TPM2B_ATTEST *quoted = NULL;
        _cleanup_esys_ TPMT_SIGNATURE *signature = NULL;
        TPML_PCR_SELECTION selection;
        ESYS_TR session;
        TSS2_RC rc;
        int r = tpm_ak_session(ak, &session, error);

        if (r == 0)
                r = tpm_pcr_read(ak->tpm, banks, mask, &ret->pcrs, error);
        if (r < 0)
                return r;
        pcr_selection(banks, mask, &selection);
        rc = Esys_Quote(ak->key.esys, ak->key.tr, session, ESYS_TR_NONE, ESYS_TR_NONE, nonce,
                        &keys_own, &selection, &quoted, &signature);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_ak_error(error, rc, "TPM2_Quote");
        r = is_about(quoted, signature, &ret->pcrs, mask, error);
        if (r <= 0)
                return r;
        r = put_answer(quoted, signature, ret, error);
        return r < 0 ? r : 1;
}

int tpm_quote(struct tpm_ak *ak, struct span nonce, const struct banks *banks, uint32_t mask,
                struct tpm_quote *ret, struct error *error)
{
        enum { TRIES = 16 }; /* IMA may extend PCR 10 at any time */
        _cleanup_tpm_quote_ struct tpm_quote quote = {0};
        TPM2B_DATA data = {.size = (uint16_t)nonce.size};
        int r = 0;

        if (nonce.size > TPM_QUOTE_NONCE_MAX || nonce.size > sizeof(data.buffer))
                return error_set(
                                error, EINVAL, "a nonce has at most %d bytes", TPM_QUOTE_NONCE_MAX);
        if (nonce.size > 0)
                memcpy(data.buffer, nonce.data, nonce.size);
        for (unsigned i = 0; r == 0 && i < TRIES; i++)
                r = quote_once(ak, &data, banks, mask, &quote, error);
        if (r < 0)
                return r;
        if (r == 0)
                return error_set(error, EAGAIN, "PCRs change all the time, try again");
        *ret = quote;
        quote = (struct tpm_quote){0};
        return 0;
}
