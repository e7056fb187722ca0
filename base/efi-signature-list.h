/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1), as it is on the wire: what db, dbx, KEK, PK and shim's
 * lists are made of. What an entry of a type must look like, and what it means, is
 * tcg2/signature-list's; a log may hold any. */
#pragma once

#include "base/error.h"
#include "base/guid.h"
#include "base/span.h"

#define EFI_SIGNATURE_OWNER_BYTES 16

struct efi_signature_list {
        EFI_GUID type;
        uint32_t list_bytes, header_bytes;
        uint32_t entry_bytes; /* >= EFI_SIGNATURE_OWNER_BYTES: each entry begins with its owner */
        struct span header;
        struct span entries; /* a multiple of entry_bytes */
};

/* The next list; the cursor then stands behind it. -EBADMSG with the offset if it isn't whole. */
int efi_signature_list_take(struct cursor *c, struct efi_signature_list *ret, struct error *error);
