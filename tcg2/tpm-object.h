/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and NV indices as ESYS holds them, and their passwords: for tpm-nv.c, tpm-ak.c and
 * tpm-session.c. What a response code means is said by the caller, who knows what it asked for. */
#pragma once

#include <stdbool.h>

#include <tss2/tss2_esys.h>

#include "base/error.h"
#include "base/span.h"

struct tpm_object {
        ESYS_CONTEXT *esys;
        ESYS_TR tr;  /* ESYS_TR_NONE: there is none */
        bool loaded; /* by us, into the TPM's memory: closing it flushes it */
};
#define TPM_OBJECT_NONE ((struct tpm_object){.tr = ESYS_TR_NONE})

void tpm_object_close(struct tpm_object *object);
#define _cleanup_tpm_object_ __attribute__((cleanup(tpm_object_close)))

/* One that the TPM holds: TPM2_ReadPublic, or TPM2_NV_ReadPublic, by the handle's kind. */
TSS2_RC tpm_object_open(ESYS_CONTEXT *esys, TPM2_HANDLE handle, struct tpm_object *ret);

/* A hierarchy's storage key, made anew by TPM2_CreatePrimary: ECC NIST P-256 or RSA 2048. */
TSS2_RC tpm_object_make_storage_key(ESYS_CONTEXT *esys, ESYS_TR hierarchy, ESYS_TR session,
                bool rsa, struct tpm_object *ret);

/* What later commands prove to know of a key or hierarchy; empty: nothing. whose: "the owner's", to
 * name it in errors. -EINVAL: longer than any that a TPM takes. */
int tpm_password_set(ESYS_CONTEXT *esys, ESYS_TR tr, struct span password, const char *whose,
                struct error *error);
