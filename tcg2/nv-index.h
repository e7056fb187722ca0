/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public area of an NV index (TPM 2.0 Part 2, section 13.5, TPMS_NV_PUBLIC) and its Name. Pure;
 * tcg2/tpm-nv.h asks a TPM. */
#pragma once

#include "base/span.h"

#define NV_NAME_BYTES 34 /* TPM_ALG_SHA256 and the digest */

/* TPMA_NV, those that mkexec uses or has to know. */
enum {
        NV_OWNERWRITE = 1u << 1,
        NV_WRITELOCKED = 1u << 11,
        NV_WRITE_STCLEAR = 1u << 14,
        NV_POLICYREAD = 1u << 19,
        NV_NO_DA = 1u << 25,
        NV_CLEAR_STCLEAR = 1u << 27,
        NV_READLOCKED = 1u << 28,
        NV_WRITTEN = 1u << 29,
};
#define NV_READ_STCLEAR (1u << 31) /* doesn't fit an int */

/* An ordinary index, nameAlg SHA-256. */
struct nv_index {
        uint32_t handle;
        uint32_t attributes;
        uint8_t policy[32]; /* */
        uint16_t size;      /* bytes of its contents */
};

/* The Name (Part 1, section 16): what a session's authorization is bound to. */
int nv_index_name(const struct nv_index *index, uint8_t ret[NV_NAME_BYTES]);
