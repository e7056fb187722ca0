/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/json-digests.h"

#include <errno.h>

static const struct alg *algorithm(const struct json *value)
{
        static const char *const names[][2] = {{"sm3-256", "sm3_256"}, {"sha3-256", "sha3_256"},
                        {"sha3-384", "sha3_384"}, {"sha3-512", "sha3_512"}};
        _cleanup_buf_ struct buf text = {0};
        uint64_t id;

        if (json_u64(value, &id))
                return id <= UINT16_MAX ? alg_by_id((uint16_t)id) : NULL;
        if (!json_string(value, &text))
                return NULL;
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] >= 'A' && text.data[i] <= 'Z')
                        text.data[i] |= 0x20;
        buf_put_u8(&text, 0);
        if (buf_failed(&text))
                return NULL;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp((const char *)text.data, names[i][0]) == 0)
                        return alg_by_name(names[i][1]);
        return alg_by_name((const char *)text.data);
}

static int take_digest(const struct json *row, struct digests *digests, struct error *error)
{
        _cleanup_buf_ struct buf hex = {0};
        struct json name, value;
        struct digest digest = {0};
        int r;

        if ((r = json_get(row, "hashAlg", &name, error)) < 0 ||
                        (r > 0 && (r = json_get(row, "digest", &value, error)) < 0))
                return r;
        if (r == 0 || (name.kind != JSON_STRING && name.kind != JSON_NUMBER) ||
                        !json_string(&value, &hex))
                return error_set(error, EBADMSG, "a digest without hashAlg or digest");
        digest.alg = algorithm(&name);
        if (!digest.alg)
                return 0;
        buf_put_u8(&hex, 0);
        if (buf_failed(&hex))
                return error_set(error, ENOMEM, "out of memory");
        if (hex.size != 2u * digest.alg->size + 1 ||
                        !hex_decode((const char *)hex.data, digest.bytes, digest.alg->size))
                return error_set(error, EBADMSG, "a %s digest that isn't %u bytes in hex",
                                digest.alg->name, digest.alg->size);
        if (digests_find(digests, digest.alg->id))
                return error_set(error, EBADMSG, "two %s digests", digest.alg->name);
        digests->d[digests->n++] = digest;
        return 0;
}

int json_digests(const struct json *array, struct digests *ret, struct error *error)
{
        struct digests digests = {0};
        struct json row;
        size_t offset = 0;

        if (array->kind != JSON_ARRAY)
                return error_set(error, EBADMSG, "\"digests\" isn't an array");
        while (json_next(array, &offset, NULL, &row)) {
                int r = take_digest(&row, &digests, error);

                if (r < 0)
                        return r;
        }
        *ret = digests;
        return 0;
}
