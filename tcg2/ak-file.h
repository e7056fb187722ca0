/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TPM's key outside of the TPM, as a file: "TSS2 PRIVATE KEY" of the "ASN.1 Specification for TPM
 * 2.0 Key Files" (draft-bottomley-tpm2-keys), which tpm2_encodeobject and OpenSSL's tpm2 provider
 * write, too. Its private part is encrypted by the TPM that made it. Pure; tpm-ak.h loads it. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#define AK_FILE_MAX_BYTES 65536

/* Parents that aren't persistent handles: the hierarchy's storage key (TPM_RH_OWNER). */
#define AK_FILE_PARENT_OWNER 0x40000001u

struct ak_file {
        uint32_t parent;
        bool rsa_parent;     /* the hierarchy's storage key is one of RSA, not of P-256 */
        bool has_auth;       /* the key has a password */
        struct span public;  /* TPM2B_PUBLIC */
        struct span private; /* TPM2B_PRIVATE */
};

/* PEM or DER. *ret refers to bytes, which the DER is appended to. -EBADMSG: neither, malformed, or
 * a key with what isn't done here (policies, one that has to be imported), by its name. */
int ak_file_read(struct span file, struct buf *bytes, struct ak_file *ret, struct error *error);

/* Appends the file as PEM. */
void ak_file_write(const struct ak_file *file, struct buf *ret);
