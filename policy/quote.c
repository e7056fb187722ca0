/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/quote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define TPM_GENERATED_VALUE 0xff544347u /* Part 2, 6.2 */
#define TPM_ST_ATTEST_QUOTE 0x8018u     /* Part 2, 6.9 */
#define NAME_MAX_BYTES      (2 + DIGEST_MAX_BYTES)
#define SELECT_MAX_BYTES    4 /* PC Client TPMs have 3 */

bool tpm2b_take(struct cursor *c, size_t most, struct span *ret)
{
        struct cursor at = *c;
        uint16_t size;

        if (!cursor_be16(&at, &size) || size > most || !cursor_take(&at, size, ret))
                return false;
        *c = at;
        return true;
}

const char *tpm_alg_text(uint16_t id, char text[7])
{
        static const struct {
                uint16_t id;
                const char *name;
        } names[] = {
                        {TPM_ALG_RSA, "RSA"},
                        {TPM_ALG_NULL, "none"},
                        {TPM_ALG_RSASSA, "RSASSA"},
                        {TPM_ALG_RSAPSS, "RSAPSS"},
                        {TPM_ALG_ECDSA, "ECDSA"},
                        {TPM_ALG_ECC, "ECC"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (names[i].id == id)
                        return names[i].name;
        snprintf(text, 7, "0x%04x", id);
        return text;
}

/* ---- TPMS_ATTEST ---- */

static int malformed(struct error *error, const char *what)
{
        return error_set(error, EBADMSG, "the quote (TPMS_ATTEST) %s", what);
}

/* TPMS_CLOCK_INFO and firmwareVersion */
static bool take_clock(struct cursor *c, struct quote *ret)
{
        uint8_t safe;

        if (!cursor_be64(c, &ret->clock_ms) || !cursor_be32(c, &ret->reset_count) ||
                        !cursor_be32(c, &ret->restart_count) || !cursor_u8(c, &safe) || safe > 1 ||
                        !cursor_be64(c, &ret->firmware_version))
                return false;
        ret->clock_safe = safe;
        return true;
}

/* TPMS_PCR_SELECTION */
static int take_selection(struct cursor *c, struct quote *quote, struct error *error)
{
        struct quote_selection s = {0};
        struct span bits;
        uint16_t id;
        uint8_t size;

        if (!cursor_be16(c, &id) || !cursor_u8(c, &size) || size > SELECT_MAX_BYTES ||
                        !cursor_take(c, size, &bits))
                return malformed(error, "is cut off in its selection of PCRs");
        for (size_t i = 0; i < bits.size; i++)
                s.pcrs |= (uint32_t)bits.data[i] << (8 * i);
        s.alg = alg_by_id(id);
        if (s.pcrs >> PCR_COUNT)
                return malformed(error, "selects PCRs above 23");
        if (!s.alg && s.pcrs)
                return error_set(error, EBADMSG,
                                "the quote (TPMS_ATTEST) selects PCRs of bank 0x%04x, which isn't "
                                "known",
                                id);
        for (size_t i = 0; s.alg && i < quote->n_selections; i++)
                if (quote->selection[i].alg == s.alg)
                        return error_set(error, EBADMSG,
                                        "the quote (TPMS_ATTEST) selects bank %s twice",
                                        s.alg->name);
        quote->selection[quote->n_selections++] = s;
        return 0;
}

/* TPMS_QUOTE_INFO */
static int take_quote(struct cursor *c, struct quote *quote, struct error *error)
{
        uint32_t n;
        int r = 0;

        if (!cursor_be32(c, &n) || n > QUOTE_SELECTIONS_MAX)
                return malformed(error, "has no list of selected banks");
        for (uint32_t i = 0; r == 0 && i < n; i++)
                r = take_selection(c, quote, error);
        if (r < 0)
                return r;
        if (!tpm2b_take(c, DIGEST_MAX_BYTES, &quote->pcr_digest))
                return malformed(error, "is cut off in its digest of PCR values");
        return cursor_left(c) == 0 ? 0 : malformed(error, "has bytes behind its end");
}

int quote_read(struct span attest, struct quote *ret, struct error *error)
{
        struct cursor c = CURSOR(attest);
        struct quote quote = {0};
        uint32_t magic;
        uint16_t type;
        int r;

        if (!cursor_be32(&c, &magic) || magic != TPM_GENERATED_VALUE)
                return malformed(error, "doesn't begin with TPM_GENERATED: no TPM made it");
        if (!cursor_be16(&c, &type) || type != TPM_ST_ATTEST_QUOTE)
                return malformed(error, "is an attestation of something else than PCRs");
        if (!tpm2b_take(&c, NAME_MAX_BYTES, &quote.qualified_signer))
                return malformed(error, "is cut off in the signer's name");
        if (!tpm2b_take(&c, QUOTE_NONCE_MAX, &quote.nonce))
                return malformed(error, "is cut off in the nonce");
        if (!take_clock(&c, &quote))
                return malformed(error, "is cut off in the clock, or its flag is neither 0 nor 1");
        r = take_quote(&c, &quote, error);
        if (r == 0)
                *ret = quote;
        return r;
}

/* ---- what it covers ---- */

uint32_t quote_covers(const struct quote *quote, uint16_t alg_id)
{
        for (size_t i = 0; i < quote->n_selections; i++)
                if (quote->selection[i].alg && quote->selection[i].alg->id == alg_id)
                        return quote->selection[i].pcrs;
        return 0;
}

static int check_cover(const struct quote *quote, const struct replay *pcrs, struct error *error)
{
        for (size_t b = 0; b < pcrs->banks.n; b++) {
                uint32_t beyond = pcrs->measured[b] & ~quote_covers(quote, pcrs->banks.alg[b]->id);

                if (beyond)
                        return error_set(error, EPERM,
                                        "PCR %d, bank %s: a value is claimed, but the quote "
                                        "doesn't cover it",
                                        __builtin_ctz(beyond), pcrs->banks.alg[b]->name);
        }
        for (size_t i = 0; i < quote->n_selections; i++) {
                const struct quote_selection *s = &quote->selection[i];
                int b = s->alg ? replay_bank(pcrs, s->alg->id) : -1;
                uint32_t lacking = s->pcrs & ~(b < 0 ? 0 : pcrs->measured[b]);

                if (lacking)
                        return error_set(error, EPERM,
                                        "PCR %d, bank %s: the quote covers it, but its value isn't "
                                        "there",
                                        __builtin_ctz(lacking), s->alg->name);
        }
        return 0;
}

/* TPM 2.0 Part 1, 17.5: selection by selection, PCRs ascending. */
static int hash_values(const struct quote *quote, const struct replay *pcrs, const struct alg *alg,
                struct digest *ret)
{
        uint8_t values[ALG_MAX * PCR_COUNT * DIGEST_MAX_BYTES];
        const struct banks banks = {1, {alg}};
        struct digests digests;
        size_t size = 0;
        int r;

        for (size_t i = 0; i < quote->n_selections; i++) {
                const struct quote_selection *s = &quote->selection[i];
                int b = s->pcrs ? replay_bank(pcrs, s->alg->id) : -1;

                for (unsigned pcr = 0; b >= 0 && pcr < PCR_COUNT; pcr++)
                        if (s->pcrs & 1u << pcr) {
                                memcpy(values + size, pcrs->pcr[b][pcr].bytes, s->alg->size);
                                size += s->alg->size;
                        }
        }
        r = hash_span(&banks, SPAN(values, size), &digests);
        if (r == 0)
                *ret = digests.d[0];
        return r;
}

int quote_check_values(const struct quote *quote, const struct replay *pcrs,
                const struct alg *signature_hash, struct error *error)
{
        struct digest digest;
        int r = check_cover(quote, pcrs, error);

        if (r == 0 && (r = hash_values(quote, pcrs, signature_hash, &digest)) < 0)
                return error_set(error, -r, "can't hash PCR values: %s", strerror(-r));
        if (r < 0 || span_equal(quote->pcr_digest, SPAN(digest.bytes, digest.alg->size)))
                return r;
        return error_set(error, EBADMSG, "the PCR values aren't those that were quoted");
}

/* ---- TPMT_SIGNATURE ---- */

int quote_signature_read(struct span signature, struct quote_signature *ret, struct error *error)
{
        struct cursor c = CURSOR(signature);
        struct quote_signature s = {0};
        uint16_t hash;
        char text[7];
        bool taken;

        if (!cursor_be16(&c, &s.scheme))
                return error_set(error, EBADMSG, "the signature (TPMT_SIGNATURE) is cut off");
        if (s.scheme != TPM_ALG_RSASSA && s.scheme != TPM_ALG_RSAPSS && s.scheme != TPM_ALG_ECDSA)
                return error_set(error, EBADMSG,
                                "the signature (TPMT_SIGNATURE) is of scheme %s; RSASSA, RSAPSS "
                                "and ECDSA are known",
                                tpm_alg_text(s.scheme, text));
        if (!cursor_be16(&c, &hash) || !(s.hash = alg_by_id(hash)))
                return error_set(error, EBADMSG,
                                "the signature (TPMT_SIGNATURE) has no hash that is known");
        if (s.scheme == TPM_ALG_ECDSA)
                taken = tpm2b_take(&c, 66, &s.r) && tpm2b_take(&c, 66, &s.s); /* of P-521 */
        else
                taken = tpm2b_take(&c, 512, &s.rsa); /* of 4096 bits */
        if (!taken || cursor_left(&c) > 0)
                return error_set(error, EBADMSG,
                                "the signature (TPMT_SIGNATURE) is cut off, too long, or has bytes "
                                "behind its end");
        *ret = s;
        return 0;
}
