/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The frame of a raw TPM 2.0 command and response (TPM 2.0 Library, Part 1, 18; Part 3, 5): header,
 * handle area, authorization area, parameters. For submit.c, which reads a payload's commands. It
 * checks what can be checked without knowing the command, and answers with the response codes that
 * a TPM gives for it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <tss2/tss2_tpm2_types.h>

#include "base/buf.h"
#include "base/span.h"

#define TPM_HEADER_BYTES                10
#define TPM_COMMAND_HANDLES             3
#define TPM_COMMAND_SESSIONS            3
#define TPM_SESSION_ATTRIBUTES_CONTINUE 0x01

/* Response codes of format one with their place (Part 2, 6.6.3): handle, session, parameter i
 * from 1. */
#define RC_AT_HANDLE(rc, i)    ((rc) + TPM2_RC_H + TPM2_RC_1 * (uint32_t)(i))
#define RC_AT_SESSION(rc, i)   ((rc) + TPM2_RC_S + TPM2_RC_1 * (uint32_t)(i))
#define RC_AT_PARAMETER(rc, i) ((rc) + TPM2_RC_P + TPM2_RC_1 * (uint32_t)(i))

struct tpm_command_session {
        uint32_t handle;
        struct span nonce, hmac;
        uint8_t attributes; /* TPMA_SESSION */
};

struct tpm_command {
        struct span bytes;
        uint16_t tag;
        uint32_t code;
        size_t n_handles;
        uint32_t handle[TPM_COMMAND_HANDLES];
        size_t n_sessions; /* 0 with TPM2_ST_NO_SESSIONS */
        struct tpm_command_session session[TPM_COMMAND_SESSIONS];
        struct span parameters;
};

/* Both return TPM2_RC_SUCCESS or the code to answer with. The second needs the first, and the
 * number of handles that the command code has. */
TPM2_RC tpm_command_parse_header(struct span bytes, struct tpm_command *ret);
TPM2_RC tpm_command_parse_areas(struct tpm_command *command, size_t n_handles);

/* A response without anything but its code (Part 3, 5.9). */
void tpm_response_error(struct buf *response, TPM2_RC rc);
/* A successful one: parameters as they are, and an acknowledgment for each (password) session. */
void tpm_response_success(
                struct buf *response, const struct tpm_command *command, struct span parameters);
/* The code of a TPM's response; false if it isn't one. */
bool tpm_response_code(struct span response, TPM2_RC *ret);
