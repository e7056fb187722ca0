/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_SIGNATURE_LIST and EFI_SIGNATURE_DATA (UEFI 2.10, 32.4.1): what db, dbx and shim's MokList
 * and MokListX are made of. Reads only; what an entry means for an image is image-policy's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/guid.h"
#include "base/span.h"

enum signature_kind {
        SIGNATURE_OTHER,            /* a type that decides nothing here: RSA keys, SHA-224 ... */
        SIGNATURE_X509,             /* a certificate, DER */
        SIGNATURE_IMAGE_HASH,       /* Authenticode digest of an image */
        SIGNATURE_CERTIFICATE_HASH, /* hash of a certificate's TBSCertificate, and an EFI_TIME */
};

struct signature {
        enum signature_kind kind;
        uint16_t alg;        /* TPM_ALG_ID of a hash, else 0 */
        EFI_GUID owner;      /* of the entry */
        struct span payload; /* certificate, or the hash alone */
        struct span entry;   /* the whole EFI_SIGNATURE_DATA: what firmware measures as authority */
};

/* Where one is in a row of lists: SIGNATURE_WALK(span), then signature_next until it isn't 1. */
struct signature_walk {
        struct cursor lists, entries;
        EFI_GUID type;
        uint32_t entry_bytes;
};

#define SIGNATURE_WALK(span_) ((struct signature_walk){.lists = CURSOR(span_)})

/* 1: *ret is the next one. 0: that was the last. -EBADMSG with a reason: a list or entry that isn't
 * whole, or has another size than its type must have. */
int signature_next(struct signature_walk *walk, struct signature *ret, struct error *error);

/* All of it is well-formed, or -EBADMSG with a reason. */
int signature_lists_check(struct span lists, struct error *error);

/* Appends a list of one entry. A hash of a certificate gets the time 0: revoked whenever. */
void signature_list_put(
                struct buf *to, const EFI_GUID *type, const EFI_GUID *owner, struct span payload);
