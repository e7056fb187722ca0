/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/json-digests.h"

#include <errno.h>

#define NAME_MAX_BYTES 32 /* of an algorithm that we know */

static const struct alg *algorithm(const struct json *value)
{
        static const char *const names[][2] = {{"sm3-256", "sm3_256"}, {"sha3-256", "sha3_256"},
                        {"sha3-384", "sha3_384"}, {"sha3-512", "sha3_512"}};
        char text[NAME_MAX_BYTES];
        uint64_t id;

        if (json_u64(value, &id))
                return id <= UINT16_MAX ? alg_by_id((uint16_t)id) : NULL;
        if (!json_text(value, text, sizeof(text)))
                return NULL;
        for (char *c = text; *c; c++)
                if (*c >= 'A' && *c <= 'Z')
                        *c |= 0x20;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(text, names[i][0]) == 0)
                        return alg_by_name(names[i][1]);
        return alg_by_name(text);
}

static int take_digest(const struct json *row, struct digests *digests, struct error *error)
{
        char hex[2 * DIGEST_MAX_BYTES + 1];
        struct json name, value;
        struct digest digest = {0};
        int r;

        if ((r = json_get(row, "hashAlg", &name, error)) < 0 ||
                        (r > 0 && (r = json_get(row, "digest", &value, error)) < 0))
                return r;
        if (r == 0 || (name.kind != JSON_STRING && name.kind != JSON_NUMBER) ||
                        value.kind != JSON_STRING)
                return error_set(error, EBADMSG, "a digest without hashAlg or digest");
        digest.alg = algorithm(&name);
        if (!digest.alg)
                return 0;
        if (!json_text(&value, hex, sizeof(hex)) ||
                        !hex_decode(hex, digest.bytes, digest.alg->size))
                return error_set(error, EBADMSG, "a %s digest that isn't %u bytes in hex",
                                digest.alg->name, digest.alg->size);
        if (digests_find(digests, digest.alg->id))
                return error_set(error, EBADMSG, "two %s digests", digest.alg->name);
        digests->d[digests->n++] = digest;
        return 0;
}

int json_digests(const struct json *array, struct digests *ret, size_t *ret_unknown,
                struct error *error)
{
        struct digests digests = {0};
        struct json row;
        size_t offset = 0, n = 0;

        if (array->kind != JSON_ARRAY)
                return error_set(error, EBADMSG, "\"digests\" isn't an array");
        while (json_next(array, &offset, NULL, &row)) {
                int r = take_digest(&row, &digests, error);

                if (r < 0)
                        return r;
                n++;
        }
        if (ret_unknown)
                *ret_unknown = n - digests.n;
        *ret = digests;
        return 0;
}
