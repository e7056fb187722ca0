/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/submit.h"

#include <errno.h>

#include "base/cleanup.h"
#include "tcg2/tpm-command.h"

/* What a successful command does to the set of open handles. */
enum effect {
        NO_EFFECT,
        OPENS_OBJECT,  /* response begins with a transient handle (or a session's, TPM2_ContextLoad)
                        */
        OPENS_SESSION, /* response begins with a session handle */
        CLOSES_HANDLE, /* the first handle of the handle area is gone */
        FLUSHES,       /* the handle in the parameters is gone (TPM2_FlushContext) */
};

struct row {
        TPM2_CC code;
        uint8_t n_handles;
        enum effect effect;
        int (*run)(struct submit *submit, const struct tpm_command *command, struct buf *response,
                        struct error *error); /* NULL: goes to the TPM as it is */
};

/* Part 3 of the library specification. Not here on purpose: whatever writes NV, PCRs, hierarchies,
 * clock, lockout or the random number generator's state, Startup and Shutdown,
 * EventSequenceComplete (extends), and what signs (a quote would tell of the real PCRs, not of the
 * payload's). */
static const struct row rows[] = {
                {TPM2_CC_PCR_Read, 0, NO_EFFECT, submit_pcr_read},
                {TPM2_CC_PCR_Extend, 1, NO_EFFECT, submit_pcr_extend},
                {TPM2_CC_PCR_Event, 1, NO_EFFECT, submit_pcr_event},
                /* reads */
                {TPM2_CC_GetCapability, 0},
                {TPM2_CC_GetTestResult, 0},
                {TPM2_CC_ReadClock, 0},
                {TPM2_CC_ReadPublic, 1},
                {TPM2_CC_NV_ReadPublic, 1},
                {TPM2_CC_NV_Read, 2},
                {TPM2_CC_TestParms, 0},
                {TPM2_CC_ECC_Parameters, 0},
                {TPM2_CC_VerifySignature, 1}, /* gives the ticket that PolicyAuthorize wants */
                /* hashes and random numbers */
                {TPM2_CC_Hash, 0},
                {TPM2_CC_HashSequenceStart, 0, OPENS_OBJECT},
                {TPM2_CC_SequenceUpdate, 1},
                {TPM2_CC_SequenceComplete, 1, CLOSES_HANDLE},
                {TPM2_CC_GetRandom, 0},
                /* objects, for Unseal, below a parent that the TPM has already */
                {TPM2_CC_Load, 1, OPENS_OBJECT},
                {TPM2_CC_LoadExternal, 0, OPENS_OBJECT},
                {TPM2_CC_Unseal, 1},
                {TPM2_CC_ContextSave, 1},
                {TPM2_CC_ContextLoad, 0, OPENS_OBJECT},
                {TPM2_CC_FlushContext, 0, FLUSHES},
                /* sessions and policies */
                {TPM2_CC_StartAuthSession, 2, OPENS_SESSION},
                {TPM2_CC_PolicyRestart, 1},
                {TPM2_CC_PolicyGetDigest, 1},
                {TPM2_CC_PolicyPCR, 1, NO_EFFECT, submit_policy_pcr},
                {TPM2_CC_PolicySigned, 2},
                {TPM2_CC_PolicySecret, 2},
                {TPM2_CC_PolicyTicket, 1},
                {TPM2_CC_PolicyOR, 1},
                {TPM2_CC_PolicyLocality, 1},
                {TPM2_CC_PolicyNV, 3},
                {TPM2_CC_PolicyCounterTimer, 1},
                {TPM2_CC_PolicyCommandCode, 1},
                {TPM2_CC_PolicyPhysicalPresence, 1},
                {TPM2_CC_PolicyCpHash, 1},
                {TPM2_CC_PolicyNameHash, 1},
                {TPM2_CC_PolicyDuplicationSelect, 1},
                {TPM2_CC_PolicyAuthorize, 1},
                {TPM2_CC_PolicyAuthValue, 1},
                {TPM2_CC_PolicyPassword, 1},
                {TPM2_CC_PolicyNvWritten, 1},
                {TPM2_CC_PolicyTemplate, 1},
                {TPM2_CC_PolicyAuthorizeNV, 3},
};

static const struct row *find_row(TPM2_CC code)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].code == code)
                        return &rows[i];
        return NULL;
}

/* ---- handles ---- */

static uint8_t handle_type(uint32_t handle)
{
        return (uint8_t)(handle >> 24);
}

/* Handles that belong to whoever opened them, and not to the TPM's owner like persistent ones. */
static bool is_volatile_handle(uint32_t handle)
{
        uint8_t type = handle_type(handle);

        return type == TPM2_HT_HMAC_SESSION || type == TPM2_HT_POLICY_SESSION ||
               type == TPM2_HT_TRANSIENT;
}

struct submit_handle *submit_find_handle(struct submit *submit, uint32_t handle)
{
        for (size_t i = 0; i < submit->n_handles; i++)
                if (submit->handles[i].handle == handle)
                        return &submit->handles[i];
        return NULL;
}

static void forget_handle(struct submit *submit, uint32_t handle)
{
        struct submit_handle *h = submit_find_handle(submit, handle);

        if (h)
                *h = submit->handles[--submit->n_handles];
}

/* There is room: submit_command() looked before it sent the command. */
static void remember_handle(struct submit *submit, const struct submit_handle *handle)
{
        if (!submit_find_handle(
                            submit, handle->handle)) /* TPM2_ContextLoad of a session: the same */
                submit->handles[submit->n_handles++] = *handle;
}

/* A payload may name volatile handles that it opened and no others: without a resource manager the
 * TPM shows those of everybody. The codes are those for handles that aren't loaded. */
static TPM2_RC check_handles(struct submit *submit, const struct tpm_command *command)
{
        for (size_t i = 0; i < command->n_handles; i++) {
                if (command->handle[i] == TPM2_RH_LOCKOUT)
                        return TPM2_RC_LOCKOUT;
                if (is_volatile_handle(command->handle[i]) &&
                                !submit_find_handle(submit, command->handle[i]))
                        return TPM2_RC_REFERENCE_H0 + (TPM2_RC)i;
        }
        for (size_t i = 0; i < command->n_sessions; i++)
                if (command->session[i].handle != TPM2_RH_PW &&
                                !submit_find_handle(submit, command->session[i].handle))
                        return TPM2_RC_REFERENCE_S0 + (TPM2_RC)i;
        return TPM2_RC_SUCCESS;
}

/* What TPM2_StartAuthSession will open: type and hash of the session, for PolicyPCR. */
static TPM2_RC parse_start_session(const struct tpm_command *command, struct submit_handle *ret)
{
        struct cursor c = CURSOR(command->parameters);
        uint16_t size, symmetric, hash;

        if (!cursor_be16(&c, &size) || !cursor_skip(&c, size)) /* nonceCaller */
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1);
        if (!cursor_be16(&c, &size) || !cursor_skip(&c, size)) /* encryptedSalt */
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 2);
        if (!cursor_u8(&c, &ret->session_type))
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 3);
        if (!cursor_be16(&c, &symmetric) ||
                        (symmetric != TPM2_ALG_NULL &&
                                        !cursor_skip(&c, 2)) /* key bits, or the hash of XOR */
                        || (symmetric != TPM2_ALG_NULL && symmetric != TPM2_ALG_XOR &&
                                           !cursor_skip(&c, 2)))
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 4);
        if (!cursor_be16(&c, &hash))
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 5);
        if (cursor_left(&c) > 0)
                return TPM2_RC_SIZE;
        ret->hash = alg_by_id(hash);
        return TPM2_RC_SUCCESS;
}

/* Only what the payload opened may be flushed. */
static TPM2_RC parse_flush(struct submit *submit, const struct tpm_command *command, uint32_t *ret)
{
        struct cursor c = CURSOR(command->parameters);

        if (command->n_sessions > 0)
                return TPM2_RC_AUTH_CONTEXT;
        if (!cursor_be32(&c, ret))
                return RC_AT_PARAMETER(TPM2_RC_INSUFFICIENT, 1);
        if (cursor_left(&c) > 0)
                return TPM2_RC_SIZE;
        if (!submit_find_handle(submit, *ret))
                return RC_AT_PARAMETER(TPM2_RC_HANDLE, 1);
        return TPM2_RC_SUCCESS;
}

/* ---- to the TPM ---- */

int submit_refuse(struct buf *response, uint32_t rc)
{
        tpm_response_error(response, rc);
        return buf_failed(response) ? -ENOMEM : 0;
}

int submit_transmit(struct submit *submit, struct span bytes, struct buf *response,
                uint32_t *ret_rc, struct error *error)
{
        size_t start = response->size;
        int r;

        if (!submit->tpm)
                return error_set(error, ENODEV, "the payload sends a command, but there is no TPM");
        r = tpm_transmit(submit->tpm, bytes, response, error);
        if (r < 0)
                return r;
        if (response->size == start ||
                        !tpm_response_code(SPAN(response->data + start, response->size - start),
                                        ret_rc))
                return error_set(
                                error, EIO, "the TPM's answer to a payload's command is malformed");
        return 0;
}

/* TPM_RC_AUTH_FAIL, for whichever session: "the authorization HMAC check failed and DA counter
 * incremented". */
static bool is_counted_failure(uint32_t rc)
{
        return (rc & (TPM2_RC_FMT1 | 0x3f)) == TPM2_RC_AUTH_FAIL;
}

/* What changed in the TPM by a command that succeeded. */
static void apply_effect(struct submit *submit, const struct row *row,
                const struct tpm_command *command, struct span response,
                struct submit_handle *opened, uint32_t flushed)
{
        struct cursor c = CURSOR(response);

        for (size_t i = 0; i < command->n_sessions; i++)
                if (!(command->session[i].attributes & TPM_SESSION_ATTRIBUTES_CONTINUE))
                        forget_handle(submit, command->session[i].handle);
        switch (row->effect) {
        case OPENS_OBJECT:
        case OPENS_SESSION:
                if (cursor_skip(&c, TPM_HEADER_BYTES) && cursor_be32(&c, &opened->handle))
                        remember_handle(submit, opened);
                break;
        case CLOSES_HANDLE:
                forget_handle(submit, command->handle[0]);
                break;
        case FLUSHES:
                forget_handle(submit, flushed);
                break;
        case NO_EFFECT:
                break;
        }
}

static int forward(struct submit *submit, const struct row *row, const struct tpm_command *command,
                struct buf *response, struct error *error)
{
        struct submit_handle opened = {};
        size_t start = response->size;
        uint32_t flushed = 0, rc = TPM2_RC_SUCCESS;
        bool opens = row->effect == OPENS_OBJECT || row->effect == OPENS_SESSION;
        int r;

        if (row->effect == OPENS_SESSION)
                rc = parse_start_session(command, &opened);
        else if (row->effect == FLUSHES)
                rc = parse_flush(submit, command, &flushed);
        if (rc == TPM2_RC_SUCCESS && submit->has_failed_auth && command->n_sessions > 0)
                rc = TPM2_RC_LOCKOUT;
        if (rc == TPM2_RC_SUCCESS && opens && submit->n_handles == SUBMIT_HANDLES_MAX)
                rc = row->effect == OPENS_SESSION ? TPM2_RC_SESSION_HANDLES : TPM2_RC_OBJECT_MEMORY;
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);
        r = submit_transmit(submit, command->bytes, response, &rc, error);
        if (r < 0)
                return r;
        if (is_counted_failure(rc))
                submit->has_failed_auth = true;
        if (rc == TPM2_RC_SUCCESS)
                apply_effect(submit, row, command,
                                SPAN(response->data + start, response->size - start), &opened,
                                flushed);
        return 0;
}

int submit_command(
                struct submit *submit, struct span bytes, struct buf *response, struct error *error)
{
        struct tpm_command command;
        const struct row *row;
        TPM2_RC rc;

        rc = tpm_command_parse_header(bytes, &command);
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);
        row = find_row(command.code);
        if (!row)
                return submit_refuse(response, TPM2_RC_COMMAND_CODE);
        rc = tpm_command_parse_areas(&command, row->n_handles);
        if (rc == TPM2_RC_SUCCESS)
                rc = check_handles(submit, &command);
        if (rc != TPM2_RC_SUCCESS)
                return submit_refuse(response, rc);
        if (row->run)
                return row->run(submit, &command, response, error);
        return forward(submit, row, &command, response, error);
}

void submit_flush(struct submit *submit)
{
        while (submit->tpm && submit->n_handles > 0) {
                _cleanup_buf_ struct buf command = {}, response = {};

                buf_put_be16(&command, TPM2_ST_NO_SESSIONS);
                buf_put_be32(&command, TPM_HEADER_BYTES + 4);
                buf_put_be32(&command, TPM2_CC_FlushContext);
                buf_put_be32(&command, submit->handles[--submit->n_handles].handle);
                /* fails if the TPM closed it itself, which is as good */
                if (!buf_failed(&command))
                        tpm_transmit(submit->tpm, buf_span(&command), &response, NULL);
        }
}
