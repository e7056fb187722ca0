/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm-command.h"

enum { SESSION_MIN_BYTES = 4 + 2 + 1 + 2 }; /* handle, nonce, attributes, HMAC */

TPM2_RC tpm_command_parse_header(struct span bytes, struct tpm_command *ret)
{
        struct tpm_command command = {.bytes = bytes};
        struct cursor c = CURSOR(bytes);
        uint32_t size;

        if (!cursor_be16(&c, &command.tag) || !cursor_be32(&c, &size) ||
                        !cursor_be32(&c, &command.code))
                return TPM2_RC_COMMAND_SIZE;
        if (command.tag != TPM2_ST_NO_SESSIONS && command.tag != TPM2_ST_SESSIONS)
                return TPM2_RC_BAD_TAG;
        if (size != bytes.size)
                return TPM2_RC_COMMAND_SIZE;
        *ret = command;
        return TPM2_RC_SUCCESS;
}

static bool take_sized(struct cursor *c, struct span *ret)
{
        uint16_t size;

        return cursor_be16(c, &size) && cursor_take(c, size, ret);
}

static TPM2_RC parse_sessions(struct span area, struct tpm_command *command)
{
        struct cursor c = CURSOR(area);

        while (cursor_left(&c) > 0) {
                struct tpm_command_session s;

                if (command->n_sessions == TPM_COMMAND_SESSIONS)
                        return RC_AT_SESSION(TPM2_RC_SIZE, TPM_COMMAND_SESSIONS + 1);
                if (!cursor_be32(&c, &s.handle) || !take_sized(&c, &s.nonce) ||
                                !cursor_u8(&c, &s.attributes) || !take_sized(&c, &s.hmac))
                        return RC_AT_SESSION(TPM2_RC_INSUFFICIENT, command->n_sessions + 1);
                command->session[command->n_sessions++] = s;
        }
        return TPM2_RC_SUCCESS;
}

TPM2_RC tpm_command_parse_areas(struct tpm_command *command, size_t n_handles)
{
        struct cursor c = CURSOR(command->bytes);
        struct span area;
        uint32_t area_bytes;
        TPM2_RC rc;

        c.offset = TPM_HEADER_BYTES;
        command->n_handles = n_handles;
        for (size_t i = 0; i < n_handles; i++)
                if (!cursor_be32(&c, &command->handle[i]))
                        return RC_AT_HANDLE(TPM2_RC_INSUFFICIENT, i + 1);
        if (command->tag == TPM2_ST_SESSIONS) {
                if (!cursor_be32(&c, &area_bytes))
                        return TPM2_RC_INSUFFICIENT;
                if (area_bytes < SESSION_MIN_BYTES || !cursor_take(&c, area_bytes, &area))
                        return TPM2_RC_SIZE; /* so the reference code, where Part 3 says AUTHSIZE */
                rc = parse_sessions(area, command);
                if (rc != TPM2_RC_SUCCESS)
                        return rc;
        }
        cursor_take(&c, cursor_left(&c), &command->parameters);
        return TPM2_RC_SUCCESS;
}

void tpm_response_error(struct buf *response, TPM2_RC rc)
{
        /* Part 1, 18.4: a command whose tag can't be read is answered as a TPM 1.2 would */
        buf_put_be16(response, rc == TPM2_RC_BAD_TAG ? TPM2_ST_RSP_COMMAND : TPM2_ST_NO_SESSIONS);
        buf_put_be32(response, TPM_HEADER_BYTES);
        buf_put_be32(response, rc);
}

void tpm_response_success(
                struct buf *response, const struct tpm_command *command, struct span parameters)
{
        bool sessions = command->tag == TPM2_ST_SESSIONS;
        size_t size = TPM_HEADER_BYTES + parameters.size;

        if (sessions)
                size += 4 + 5 * command->n_sessions;
        buf_put_be16(response, command->tag);
        buf_put_be32(response, (uint32_t)size);
        buf_put_be32(response, TPM2_RC_SUCCESS);
        if (sessions)
                buf_put_be32(response, (uint32_t)parameters.size);
        buf_put_span(response, parameters);
        if (!sessions)
                return;
        for (size_t i = 0; i < command->n_sessions; i++) {
                buf_put_be16(response, 0); /* nonce */
                buf_put_u8(response, TPM_SESSION_ATTRIBUTES_CONTINUE);
                buf_put_be16(response, 0); /* HMAC */
        }
}

bool tpm_response_code(struct span response, TPM2_RC *ret)
{
        struct cursor c = CURSOR(response);
        uint16_t tag;
        uint32_t size, code;

        if (!cursor_be16(&c, &tag) || !cursor_be32(&c, &size) || !cursor_be32(&c, &code) ||
                        size != response.size)
                return false;
        *ret = code;
        return true;
}
