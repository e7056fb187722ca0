/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The PCR commands of TPM 2.0 Library, Part 3, 22 and 23.7, over the payload's view. Called by
 * submit.c's table. Authorization of a PCR is the empty password, as on every PC: other sessions
 * are refused. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "tcg2/submit.h"
#include "tcg2/tpm-command.h"

enum {
        PCR_SELECT_BYTES = 3, /* 24 PCRs; PC TPMs take this size only */
        MAX_EVENT_BYTES = 1024,
        READ_MAX_DIGESTS = 8, /* TPML_DIGEST */
        MAX_LIST = 16,        /* HASH_COUNT: more rows in a list than a TPM has algorithms */
};

/* ---- TPML_PCR_SELECTION ---- */

struct selection {
        const struct alg *alg;
        uint32_t mask;
};

struct selections {
        size_t n;
        struct selection s[MAX_LIST];
};

/* parameter: its number in the command, for the error code. */
static TPM2_RC take_selections(struct cursor *c, unsigned parameter, struct selections *ret)
{
        uint32_t n;

        if (!cursor_be32(c, &n))
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, parameter);
        if (n > MAX_LIST)
                return RC_AT_PARAMETER(TPM2_RC_SIZE, parameter);
        for (ret->n = 0; ret->n < n; ret->n++) {
                struct selection *s = &ret->s[ret->n];
                uint8_t size, bits[PCR_SELECT_BYTES];
                uint16_t id;

                if (!cursor_be16(c, &id))
                        return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, parameter);
                s->alg = alg_by_id(id);
                if (!s->alg)
                        return RC_AT_PARAMETER(TPM2_RC_HASH, parameter);
                if (!cursor_u8(c, &size))
                        return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, parameter);
                if (size != PCR_SELECT_BYTES)
                        return RC_AT_PARAMETER(TPM2_RC_VALUE, parameter);
                if (!cursor_copy(c, bits, sizeof(bits)))
                        return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, parameter);
                s->mask = bits[0] | (uint32_t)bits[1] << 8 | (uint32_t)bits[2] << 16;
        }
        return TPM2_RC_SUCCESS;
}

/* The value of a PCR in the view; NULL if the bank isn't active. */
static const struct digest *view_value(const struct view *view, const struct alg *alg, unsigned pcr)
{
        int bank = replay_bank(&view->pcrs, alg->id);

        return bank < 0 ? NULL : &view->pcrs.pcr[bank][pcr];
}

/* Sessions beyond the n handles that want authorization: passwords have no use there, and sessions
 * that audit or encrypt would need an answer that only the TPM can give. */
static TPM2_RC check_extra_sessions(const struct tpm_command *command, size_t n)
{
        for (size_t i = n; i < command->n_sessions; i++)
                return command->session[i].handle == TPM2_RH_PW
                                       ? RC_AT_SESSION(TPM2_RC_HANDLE, i + 1)
                                       : TPM2_RC_AUTH_CONTEXT;
        return TPM2_RC_SUCCESS;
}

/* ---- TPM2_PCR_Read ---- */

/* Writes the values of the first eight PCRs that are selected, and takes all others out of the
 * selection. */
static uint32_t put_values(
                const struct view *view, struct selections *selections, struct buf *values)
{
        uint32_t n = 0;

        for (size_t i = 0; i < selections->n; i++) {
                struct selection *s = &selections->s[i];

                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        const struct digest *value = view_value(view, s->alg, pcr);

                        if (!(s->mask & 1u << pcr))
                                continue;
                        if (!value || n == READ_MAX_DIGESTS) {
                                s->mask &= ~(1u << pcr);
                                continue;
                        }
                        buf_put_be16(values, s->alg->size);
                        buf_put(values, value->bytes, s->alg->size);
                        n++;
                }
        }
        return n;
}

int submit_pcr_read(struct submit *submit, const struct tpm_command *command, struct buf *response,
                struct error *error)
{
        _cleanup_buf_ struct buf values = {}, parameters = {};
        struct cursor c = CURSOR(command->parameters);
        struct selections selections;
        uint32_t n;
        TPM2_RC rc;

        rc = check_extra_sessions(command, 0);
        if (rc == TPM2_RC_SUCCESS)
                rc = take_selections(&c, 1, &selections);
        if (rc == TPM2_RC_SUCCESS && cursor_left(&c) > 0)
                rc = TPM2_RC_SIZE;
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);

        n = put_values(submit->view, &selections, &values);
        buf_put_be32(&parameters, submit->view->update_counter);
        buf_put_be32(&parameters, (uint32_t)selections.n);
        for (size_t i = 0; i < selections.n; i++) {
                buf_put_be16(&parameters, selections.s[i].alg->id);
                buf_put_u8(&parameters, PCR_SELECT_BYTES);
                for (unsigned byte = 0; byte < PCR_SELECT_BYTES; byte++)
                        buf_put_u8(&parameters, (uint8_t)(selections.s[i].mask >> (8 * byte)));
        }
        buf_put_be32(&parameters, n);
        buf_put_span(&parameters, buf_span(&values));
        tpm_response_success(response, command, buf_span(&parameters));
        return buf_failed(&values) || buf_failed(&parameters) || buf_failed(response) ? -ENOMEM : 0;
}

/* ---- TPM2_PCR_Extend and TPM2_PCR_Event ---- */

/* The handle is a PCR or TPM_RH_NULL, authorized by the empty password. */
static TPM2_RC check_pcr_authorization(const struct tpm_command *command)
{
        const struct tpm_command_session *s = &command->session[0];

        if (command->handle[0] >= PCR_COUNT && command->handle[0] != TPM2_RH_NULL)
                return RC_AT_HANDLE(TPM2_RC_VALUE, 1);
        if (command->n_sessions == 0)
                return TPM2_RC_AUTH_MISSING;
        if (s->handle != TPM2_RH_PW)
                return RC_AT_SESSION(TPM2_RC_HANDLE, 1);
        if (s->attributes & ~TPM_SESSION_ATTRIBUTES_CONTINUE)
                return RC_AT_SESSION(TPM2_RC_ATTRIBUTES, 1);
        if (s->nonce.size > 0)
                return RC_AT_SESSION(TPM2_RC_NONCE, 1);
        if (s->hmac.size > 0)
                return RC_AT_SESSION(TPM2_RC_BAD_AUTH, 1);
        return check_extra_sessions(command, 1);
}

/* TPML_DIGEST_VALUES to one digest per active bank. Digests of inactive banks don't count, as in
 * the TPM. A TPM would also take a list that leaves active banks out or names one twice; no event
 * can tell of that (a log's event has each bank once), so it is refused. */
static TPM2_RC take_digests(struct cursor *c, const struct banks *banks, struct digests *ret)
{
        struct digests digests = {.n = banks->n};
        uint32_t n;

        if (!cursor_be32(c, &n))
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1);
        if (n > MAX_LIST)
                return RC_AT_PARAMETER(TPM2_RC_SIZE, 1);
        for (uint32_t i = 0; i < n; i++) {
                const struct alg *alg;
                struct span value;
                uint16_t id;

                if (!cursor_be16(c, &id))
                        return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1);
                alg = alg_by_id(id);
                if (!alg)
                        return RC_AT_PARAMETER(TPM2_RC_HASH, 1);
                if (!cursor_take(c, alg->size, &value))
                        return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1);
                for (size_t b = 0; b < banks->n; b++) {
                        if (banks->alg[b] != alg)
                                continue;
                        if (digests.d[b].alg)
                                return RC_AT_PARAMETER(TPM2_RC_VALUE, 1);
                        digests.d[b].alg = alg;
                        memcpy(digests.d[b].bytes, value.data, alg->size);
                }
        }
        for (size_t b = 0; b < banks->n; b++)
                if (!digests.d[b].alg)
                        return RC_AT_PARAMETER(TPM2_RC_VALUE, 1);
        if (cursor_left(c) > 0)
                return TPM2_RC_SIZE;
        *ret = digests;
        return TPM2_RC_SUCCESS;
}

static int measure(struct submit *submit, const struct tpm_command *command,
                const struct digests *digests, struct span data)
{
        if (command->handle[0] == TPM2_RH_NULL) /* Part 3, 22.2: "no action" */
                return 0;
        /* EV_COMPACT_HASH: a digest whose preimage the log needn't have */
        return submit->measure(submit->arg, command->handle[0], EV_COMPACT_HASH, digests, data);
}

int submit_pcr_extend(struct submit *submit, const struct tpm_command *command,
                struct buf *response, struct error *error)
{
        static const char text[] = "TPM2_PCR_Extend";
        struct cursor c = CURSOR(command->parameters);
        struct digests digests;
        TPM2_RC rc;
        int r;

        rc = check_pcr_authorization(command);
        if (rc == TPM2_RC_SUCCESS)
                rc = take_digests(&c, &submit->view->banks, &digests);
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);
        r = measure(submit, command, &digests, SPAN(text, sizeof(text) - 1));
        if (r < 0)
                return r;
        tpm_response_success(response, command, SPAN(NULL, 0));
        return buf_failed(response) ? -ENOMEM : 0;
}

int submit_pcr_event(struct submit *submit, const struct tpm_command *command, struct buf *response,
                struct error *error)
{
        _cleanup_buf_ struct buf parameters = {};
        struct cursor c = CURSOR(command->parameters);
        struct digests digests = {}, all;
        struct span data;
        uint16_t size;
        TPM2_RC rc;
        int r;

        rc = check_pcr_authorization(command);
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);
        if (!cursor_be16(&c, &size))
                return submit_refuse(response, RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1));
        if (size > MAX_EVENT_BYTES)
                return submit_refuse(response, RC_AT_PARAMETER(TPM2_RC_SIZE, 1));
        if (!cursor_take(&c, size, &data))
                return submit_refuse(response, RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1));
        if (cursor_left(&c) > 0)
                return submit_refuse(response, TPM2_RC_SIZE);
        r = hash_span(&submit->implemented, data, &all);
        if (r < 0)
                return r;
        for (; digests.n < submit->view->banks.n; digests.n++)
                digests.d[digests.n] = *digests_find(&all, submit->view->banks.alg[digests.n]->id);
        r = measure(submit, command, &digests, data);
        if (r < 0)
                return r;
        buf_put_be32(&parameters, (uint32_t)all.n);
        for (size_t i = 0; i < all.n; i++) {
                buf_put_be16(&parameters, all.d[i].alg->id);
                buf_put(&parameters, all.d[i].bytes, all.d[i].alg->size);
        }
        tpm_response_success(response, command, buf_span(&parameters));
        return buf_failed(&parameters) || buf_failed(response) ? -ENOMEM : 0;
}

/* ---- TPM2_PolicyPCR ---- */

static int digest_of_selections(const struct view *view, const struct selections *selections,
                const struct alg *alg, struct digest *ret)
{
        _cleanup_buf_ struct buf values = {};
        struct banks banks = {.n = 1, .alg = {alg}};
        struct digests digests;
        int r;

        for (size_t i = 0; i < selections->n; i++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        const struct selection *s = &selections->s[i];
                        const struct digest *value = view_value(view, s->alg, pcr);

                        if (value && s->mask & 1u << pcr)
                                buf_put(&values, value->bytes, s->alg->size);
                }
        if (buf_failed(&values))
                return -ENOMEM;
        r = hash_span(&banks, buf_span(&values), &digests);
        if (r < 0)
                return r;
        *ret = digests.d[0];
        return 0;
}

/* Whether the view has measurements in one of them. It starts at zero, so a payload that measures
 * what the first boot has measured makes it read as the real PCR: that must open nothing. */
static bool has_measurements(const struct view *view, const struct selections *selections)
{
        for (size_t i = 0; i < selections->n; i++) {
                int bank = replay_bank(&view->pcrs, selections->s[i].alg->id);

                if (bank >= 0 && selections->s[i].mask & view->pcrs.measured[bank])
                        return true;
        }
        return false;
}

/* Sends the command with the digest of the view: the TPM then compares it with the real PCRs. */
static int transmit_policy_pcr(struct submit *submit, const struct tpm_command *command,
                const struct digest *digest, struct span selections, struct buf *response,
                struct error *error)
{
        _cleanup_buf_ struct buf bytes = {};
        uint32_t rc;

        buf_put_be16(&bytes, TPM2_ST_NO_SESSIONS);
        buf_put_be32(&bytes,
                        (uint32_t)(TPM_HEADER_BYTES + 4 + 2 + digest->alg->size + selections.size));
        buf_put_be32(&bytes, TPM2_CC_PolicyPCR);
        buf_put_be32(&bytes, command->handle[0]);
        buf_put_be16(&bytes, digest->alg->size);
        buf_put(&bytes, digest->bytes, digest->alg->size);
        buf_put_span(&bytes, selections);
        if (buf_failed(&bytes))
                return -ENOMEM;
        return submit_transmit(submit, buf_span(&bytes), response, &rc, error);
}

int submit_policy_pcr(struct submit *submit, const struct tpm_command *command,
                struct buf *response, struct error *error)
{
        struct cursor c = CURSOR(command->parameters);
        const struct submit_handle *session = submit_find_handle(submit, command->handle[0]);
        struct selections selections;
        struct span given, raw;
        struct digest digest;
        uint16_t size;
        TPM2_RC rc;
        int r;

        if (!session || !session->hash)
                return submit_refuse(response, RC_AT_HANDLE(TPM2_RC_HANDLE, 1));
        rc = check_extra_sessions(command, 0); /* which could encrypt the parameters or sign them */
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);
        if (!cursor_be16(&c, &size) || !cursor_take(&c, size, &given))
                return submit_refuse(response, RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1));
        raw = SPAN(c.bytes.data + c.offset, cursor_left(&c));
        rc = take_selections(&c, 2, &selections);
        if (rc == TPM2_RC_SUCCESS && cursor_left(&c) > 0)
                rc = TPM2_RC_SIZE;
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);
        r = digest_of_selections(submit->view, &selections, session->hash, &digest);
        if (r < 0)
                return r;
        if (given.size > 0 && !span_equal(given, SPAN(digest.bytes, digest.alg->size))) {
                /* a trial session takes any digest: that is how policies are made */
                if (session->session_type != TPM2_SE_TRIAL || given.size != digest.alg->size)
                        return submit_refuse(response, RC_AT_PARAMETER(TPM2_RC_VALUE, 1));
                memcpy(digest.bytes, given.data, given.size);
        }
        if (session->session_type != TPM2_SE_TRIAL && has_measurements(submit->view, &selections))
                return submit_refuse(response, RC_AT_PARAMETER(TPM2_RC_VALUE, 1));
        return transmit_policy_pcr(submit, command, &digest, raw, response, error);
}
