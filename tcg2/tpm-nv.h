/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NV indices of a TPM, over tpm2-tss (TPM 2.0 Part 3, section 31). What is secret of what passes
 * the bus is encrypted by sessions that are salted with a key of the TPM's null hierarchy, made for
 * this purpose: an eavesdropper on the bus learns nothing; somebody who can put himself in between
 * could pose as the TPM.
 *
 * Errors of all: -EIO and -EREMOTEIO as in tpm.h, and
 *   -ENOENT  no such index                 -EEXIST  the handle is taken
 *   -ENOSPC  the TPM's NV space is full    -EACCES  the owner's password is another one
 *   -ENODATA the index was never written, or not since the TPM's last reset
 *   -EBUSY   locked for this operation until the next reset
 *   -EKEYREJECTED  the PCRs aren't those of the policy
 *   -EAGAIN  a PCR was extended while the session was open: once more */
#pragma once

#include "tcg2/secret.h"
#include "eventlog/replay.h"
#include "tcg2/nv-index.h"
#include "tcg2/tpm.h"

struct tpm_nv;

/* owner: the owner's password; empty if there is none. The TPM stays the caller's. */
int tpm_nv_open(struct tpm *tpm, struct span owner, struct tpm_nv **ret, struct error *error);
void tpm_nv_close(struct tpm_nv *nv);
DEFINE_CLEANUP(struct tpm_nv *, tpm_nv_close)

/* Handles from first to last that are in use, ascending; *n is the room, and then their number
 * (those that don't fit are left out). */
int tpm_nv_list(struct tpm_nv *nv, uint32_t first, uint32_t last, uint32_t *ret, size_t *n,
                struct error *error);
/* Bytes that one index can hold, at most. */
uint32_t tpm_nv_limit(const struct tpm_nv *nv);

/* -EPROTO: there is an index, of a kind that struct nv_index can't describe. */
int tpm_nv_public(struct tpm_nv *nv, uint32_t handle, struct nv_index *ret, struct error *error);

/* By the owner. What is written to must have exactly this public area (-EPROTO): a secret goes
 * nowhere else. */
int tpm_nv_define(struct tpm_nv *nv, const struct nv_index *index, struct error *error);
int tpm_nv_write(struct tpm_nv *nv, const struct nv_index *index, struct span bytes,
                struct error *error);
int tpm_nv_write_zeros(struct tpm_nv *nv, const struct nv_index *index, struct error *error);
int tpm_nv_write_lock(struct tpm_nv *nv, uint32_t handle, struct error *error);
int tpm_nv_undefine(struct tpm_nv *nv, uint32_t handle, struct error *error);

/* Under PolicyPCR over the PCRs of mask, all of banks. The index must have exactly this public area
 * (-EPROTO), which the session's authorization is then bound to. Bytes [offset, offset + size) are
 * appended to *ret, which must have room for them. */
struct tpm_nv_policy {
        const struct banks *banks;
        uint32_t mask;
};
int tpm_nv_read(struct tpm_nv *nv, const struct nv_index *index, const struct tpm_nv_policy *policy,
                uint16_t offset, uint16_t size, struct secret *ret, struct error *error);
int tpm_nv_read_lock(struct tpm_nv *nv, const struct nv_index *index,
                const struct tpm_nv_policy *policy, struct error *error);
