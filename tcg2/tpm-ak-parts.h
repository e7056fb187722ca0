/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tpm-ak.c and tpm-quote.c share. */
#pragma once

#include <tss2/tss2_esys.h>

#include "tcg2/tpm-ak.h"
#include "tcg2/tpm-object.h"

struct tpm_ak {
        struct tpm *tpm;
        struct tpm_object key;
        ESYS_TR session; /* ESYS_TR_NONE until it is needed */
        size_t public_size;
        uint8_t public[sizeof(TPMT_PUBLIC)]; /* as on the wire, which is never longer */
};

/* As the errnos in tpm-ak.h. */
int tpm_ak_error(struct error *error, TSS2_RC rc, const char *command);

/* The session that proves passwords by HMACs. */
int tpm_ak_session(struct tpm_ak *ak, ESYS_TR *ret, struct error *error);
