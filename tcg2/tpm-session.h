/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions with the TPM, for tpm-nv.c and tpm-ak.c: begun with the first command that needs one,
 * and kept for those that follow. Passwords don't pass the bus in either kind: HMACs prove them. */
#pragma once

#include <tss2/tss2_esys.h>

#include "base/error.h"

enum tpm_session_kind {
        TPM_SESSION_PLAIN,  /* nothing that is sent is a secret */
        TPM_SESSION_SECRET, /* salted; the first parameter of each command and answer is encrypted
                               where there is one */
        TPM_SESSION_SECRET_POLICY, /* the same, to meet a policy */
};

/* Begins *session where it is ESYS_TR_NONE. */
int tpm_session_need(ESYS_CONTEXT *esys, enum tpm_session_kind kind, ESYS_TR *session,
                struct error *error);
/* Ends it where there is one. */
void tpm_session_end(ESYS_CONTEXT *esys, ESYS_TR *session);
