/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attestation keys in a TPM, over tpm2-tss: one that is there, one out of a file, a new one.
 * Passwords don't pass the bus, sessions' HMACs prove them.
 *
 * Errors of all: -EIO and -EREMOTEIO as in tpm.h, and
 *   -ENOENT  no key at this handle          -EEXIST  the handle is taken
 *   -ENOSPC  the TPM's storage is full      -EACCES  a password is another one
 *   -EBADMSG a key that the TPM doesn't load: of another TPM, damaged
 *   -EBUSY   too many wrong passwords: the TPM is in lockout
 *   -EINVAL  the TPM can't do this with that key, or has no such kind */
#pragma once

#include "base/buf.h"
#include "tcg2/ak-file.h"
#include "tcg2/tpm.h"

enum tpm_ak_type { TPM_AK_RSA_2048, TPM_AK_ECC_P256 };

/* Passwords, empty if there is none: of the owner (for what is made, made persistent, and to load a
 * file's key under the owner's storage key), of the key. */
struct tpm_ak_auth {
        struct span owner, key;
};

struct tpm_ak;

/* A key that the TPM holds. */
int tpm_ak_open(struct tpm *tpm, uint32_t handle, const struct tpm_ak_auth *auth,
                struct tpm_ak **ret, struct error *error);
/* A key out of a file. */
int tpm_ak_load(struct tpm *tpm, const struct ak_file *file, const struct tpm_ak_auth *auth,
                struct tpm_ak **ret, struct error *error);
/* A new one, under the owner's storage key: restricted, to sign; RSASSA or ECDSA with SHA-256, as
 * tpm2_createak makes them. *file refers to bytes, which are appended to. */
int tpm_ak_create(struct tpm *tpm, enum tpm_ak_type type, const struct tpm_ak_auth *auth,
                struct buf *bytes, struct ak_file *file, struct tpm_ak **ret, struct error *error);
/* Lets the TPM hold it, at a persistent handle of the owner's (0x81000000-0x817fffff). */
int tpm_ak_persist(struct tpm_ak *ak, uint32_t handle, struct error *error);

struct span tpm_ak_public(const struct tpm_ak *ak); /* TPMT_PUBLIC */

void tpm_ak_close(struct tpm_ak *ak); /* the TPM stays the caller's */
DEFINE_CLEANUP(struct tpm_ak *, tpm_ak_close)

/* What TPM2_Quote answers, and the PCRs that it is about. */
struct tpm_quote {
        struct buf attest;    /* TPMS_ATTEST */
        struct buf signature; /* TPMT_SIGNATURE */
        struct replay pcrs;
};

void tpm_quote_release(struct tpm_quote *quote);
#define _cleanup_tpm_quote_ __attribute__((cleanup(tpm_quote_release)))

#define TPM_QUOTE_NONCE_MAX 64 /* TPM2B_DATA; 32 with TPMs that know nothing beyond SHA-256 */

/* The PCRs of mask in all banks, by the key's own scheme. The PCR values are those of the quote: if
 * one moves in between, all is done again; -EAGAIN after some tries. -ENXIO: a bank hasn't got one
 * of the PCRs. */
int tpm_quote(struct tpm_ak *ak, struct span nonce, const struct banks *banks, uint32_t mask,
                struct tpm_quote *ret, struct error *error);
