/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/signature-list.h"

#include <errno.h>

#include "base/alg.h"
#include "base/cleanup.h"
#include "base/efi-signature-list.h"

enum {
        LIST_HEADER_BYTES = 28, /* SignatureType, SignatureListSize, -HeaderSize, SignatureSize */
        OWNER_BYTES = EFI_SIGNATURE_OWNER_BYTES,
        TIME_BYTES = 16, /* EFI_TIME behind the hash of a certificate */
};

static const struct type_row {
        const EFI_GUID *guid;
        enum signature_kind kind;
        uint16_t alg;
} types[] = {
                {&guid_cert_x509, SIGNATURE_X509, 0},
                {&guid_cert_sha1, SIGNATURE_IMAGE_HASH, TPM_ALG_SHA1},
                {&guid_cert_sha256, SIGNATURE_IMAGE_HASH, TPM_ALG_SHA256},
                {&guid_cert_sha384, SIGNATURE_IMAGE_HASH, TPM_ALG_SHA384},
                {&guid_cert_sha512, SIGNATURE_IMAGE_HASH, TPM_ALG_SHA512},
                {&guid_cert_x509_sha256, SIGNATURE_CERTIFICATE_HASH, TPM_ALG_SHA256},
                {&guid_cert_x509_sha384, SIGNATURE_CERTIFICATE_HASH, TPM_ALG_SHA384},
                {&guid_cert_x509_sha512, SIGNATURE_CERTIFICATE_HASH, TPM_ALG_SHA512},
};

static const struct type_row *find_type(const EFI_GUID *guid)
{
        static const struct type_row other = {NULL, SIGNATURE_OTHER, 0};

        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (guid_equal(types[i].guid, guid))
                        return &types[i];
        return &other;
}

/* Bytes behind the owner that an entry must have; 0: any number. */
static uint32_t payload_bytes(const struct type_row *type)
{
        if (!type->alg)
                return 0;
        return alg_by_id(type->alg)->size +
               (type->kind == SIGNATURE_CERTIFICATE_HASH ? TIME_BYTES : 0u);
}

static int next_list(struct signature_walk *w, struct error *error)
{
        size_t at = w->lists.offset;
        struct efi_signature_list list;
        uint32_t must;
        int r = efi_signature_list_take(&w->lists, &list, error);

        if (r < 0)
                return r;
        must = payload_bytes(find_type(&list.type));
        if (must > 0 && list.entry_bytes != OWNER_BYTES + must)
                return error_set(error, EBADMSG,
                                "signature list at offset %zu: entries of %u bytes, not %u", at,
                                list.entry_bytes, OWNER_BYTES + must);
        w->type = list.type;
        w->entry_bytes = list.entry_bytes;
        w->entries = CURSOR(list.entries);
        return 0;
}

int signature_next(struct signature_walk *w, struct signature *ret, struct error *error)
{
        const struct type_row *type;
        struct signature s = {0};
        struct cursor c;

        while (cursor_left(&w->entries) == 0) {
                int r;

                if (cursor_left(&w->lists) == 0)
                        return 0;
                r = next_list(w, error);
                if (r < 0)
                        return r;
        }
        type = find_type(&w->type);
        s.kind = type->kind;
        s.alg = type->alg;
        if (!cursor_take(&w->entries, w->entry_bytes, &s.entry))
                return error_set(error, EBADMSG, "signature list is cut off");
        c = CURSOR(s.entry);
        if (!cursor_copy(&c, &s.owner, sizeof(s.owner)) ||
                        !cursor_take(&c, type->alg ? alg_by_id(type->alg)->size : cursor_left(&c),
                                        &s.payload))
                return error_set(error, EBADMSG, "signature list is cut off");
        *ret = s;
        return 1;
}

int signature_lists_check(struct span lists, struct error *error)
{
        struct signature_walk walk = SIGNATURE_WALK(lists);
        struct signature ignored;
        int r;

        do
                r = signature_next(&walk, &ignored, error);
        while (r > 0);
        return r;
}

void signature_list_put(
                struct buf *to, const EFI_GUID *type, const EFI_GUID *owner, struct span payload)
{
        bool timed = find_type(type)->kind == SIGNATURE_CERTIFICATE_HASH;
        uint32_t entry = (uint32_t)(OWNER_BYTES + payload.size + (timed ? TIME_BYTES : 0));

        buf_put(to, type, sizeof(*type));
        buf_put_u32(to, LIST_HEADER_BYTES + entry);
        buf_put_u32(to, 0);
        buf_put_u32(to, entry);
        buf_put(to, owner, sizeof(*owner));
        buf_put_span(to, payload);
        if (timed)
                buf_put_zeros(to, TIME_BYTES);
}
