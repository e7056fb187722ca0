/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a TPM command that a payload sends with SubmitCommand: a table with a row per
 * allowed command. Reads, hashes, random numbers, sessions, policies and load/unseal go to the TPM;
 * PCR_Read is answered from the payload's view, PCR_Extend and PCR_Event are recorded like
 * measurements; whatever else gets TPM_RC_COMMAND_CODE. So the TPM is only read, and what a payload
 * leaves open in it is flushed.
 *
 * TPM2_PolicyPCR, too, sees the payload's view: it is sent with the digest of these PCRs and fails
 * in the TPM unless they equal the real ones. Otherwise a payload could unseal at load time what
 * was sealed to the first boot's PCRs.
 *
 * A wrong authorization changes the TPM, too: it is counted (Part 1, 19.8, dictionary attacks), and
 * one for the lockout hierarchy locks that for hours and over resets. So the payload may not name
 * TPM_RH_LOCKOUT, and after one failure its commands with authorizations don't reach the TPM. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/alg.h"
#include "base/buf.h"
#include "base/error.h"
#include "tcg2/tpm.h"
#include "tcg2/view.h"

struct tpm_command;

#define SUBMIT_HANDLES_MAX 64 /* sessions and objects that a payload may have open at once */

/* A session or transient object that the payload opened. */
struct submit_handle {
        uint32_t handle;
        const struct alg *hash; /* of a session, if we know it */
        uint8_t session_type;   /* TPM2_SE_* */
};

struct submit {
        struct tpm *tpm; /* NULL: none, only what the view answers works */
        const struct view *view;
        struct banks implemented; /* what TPM2_PCR_Event answers for: the active banks and more */
        /* Records a measurement as protocol.c does for events. 0 or -errno. */
        int (*measure)(void *arg, uint32_t pcr, uint32_t type, const struct digests *digests,
                        struct span data);
        void *arg;
        bool has_failed_auth; /* the TPM counted a wrong authorization */
        size_t n_handles;
        struct submit_handle handles[SUBMIT_HANDLES_MAX];
};

/* Appends the response, which may be an error code of the TPM's. -ENODEV: this needs a TPM and
 * there is none; -EIO: the TPM can't be reached; -ENOMEM; what measure() gave. */
int submit_command(struct submit *submit, struct span command, struct buf *response,
                struct error *error);

/* TPM2_FlushContext for everything that is still open. */
void submit_flush(struct submit *submit);

/* ---- submit-pcr.c: rows of the table that the payload's view answers ---- */
int submit_pcr_read(struct submit *submit, const struct tpm_command *command, struct buf *response,
                struct error *error);
int submit_pcr_extend(struct submit *submit, const struct tpm_command *command,
                struct buf *response, struct error *error);
int submit_pcr_event(struct submit *submit, const struct tpm_command *command, struct buf *response,
                struct error *error);
int submit_policy_pcr(struct submit *submit, const struct tpm_command *command,
                struct buf *response, struct error *error);

/* ---- submit.c for submit-pcr.c ---- */
struct submit_handle *submit_find_handle(struct submit *submit, uint32_t handle);
/* Sends bytes for a command and checks that the answer is one. */
int submit_transmit(struct submit *submit, struct span bytes, struct buf *response,
                uint32_t *ret_rc, struct error *error);
/* Puts an error response and returns 0. */
int submit_refuse(struct buf *response, uint32_t rc);
