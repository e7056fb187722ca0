/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/efi-signature-list.h"

#include <errno.h>

#define LIST_HEADER_BYTES 28 /* SignatureType, SignatureListSize, -HeaderSize, SignatureSize */

int efi_signature_list_take(struct cursor *c, struct efi_signature_list *ret, struct error *error)
{
        struct efi_signature_list list;
        struct cursor ahead = *c;
        size_t at = c->offset;

        if (!cursor_copy(&ahead, &list.type, sizeof(list.type)) ||
                        !cursor_u32(&ahead, &list.list_bytes) ||
                        !cursor_u32(&ahead, &list.header_bytes) ||
                        !cursor_u32(&ahead, &list.entry_bytes))
                return error_set(error, EBADMSG, "signature list at offset %zu is cut off", at);
        if (list.list_bytes < LIST_HEADER_BYTES ||
                        list.header_bytes > list.list_bytes - LIST_HEADER_BYTES ||
                        !cursor_take(&ahead, list.header_bytes, &list.header) ||
                        !cursor_take(&ahead,
                                        list.list_bytes - LIST_HEADER_BYTES - list.header_bytes,
                                        &list.entries))
                return error_set(error, EBADMSG,
                                "signature list at offset %zu claims %u bytes and a header of %u",
                                at, list.list_bytes, list.header_bytes);
        if (list.entry_bytes < EFI_SIGNATURE_OWNER_BYTES ||
                        list.entries.size % list.entry_bytes != 0)
                return error_set(error, EBADMSG,
                                "signature list at offset %zu: %zu bytes aren't entries of %u", at,
                                list.entries.size, list.entry_bytes);
        *c = ahead;
        *ret = list;
        return 0;
}
