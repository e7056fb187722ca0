/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/json-values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/decode.h"
#include "shim/progress.h"
#include "shim/verb.h"

void json_print(struct json_object *object)
{
        const char *text = json_object_to_json_string_ext(
                        object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);

        if (!text) { /* what was done is done, but nobody shall take nothing for its result */
                progress_warn("no memory to print the result; 'mkexec status' tells what is "
                              "loaded");
                exit(EXIT_REFUSED);
        }
        puts(text);
        json_object_put(object);
}

struct json_object *json_from_text(struct buf *text)
{
        buf_put_u8(text, 0);
        return buf_failed(text) ? NULL : json_tokener_parse((const char *)text->data);
}

struct json_object *hex_to_json(struct span bytes)
{
        _cleanup_free_ char *text = malloc(2 * bytes.size + 1);

        if (!text)
                return NULL;
        hex_encode(bytes, text);
        return json_object_new_string(text);
}

const char *text_from_json(struct json_object *object, const char *key)
{
        struct json_object *member;

        if (!json_object_object_get_ex(object, key, &member) ||
                        !json_object_is_type(member, json_type_string))
                return NULL;
        return json_object_get_string(member);
}

bool hex_from_json(struct json_object *object, const char *key, struct buf *ret)
{
        const char *text = text_from_json(object, key);
        size_t size, before = ret->size;

        if (!text)
                return false;
        size = strlen(text) / 2;
        buf_put_zeros(ret, size);
        if (buf_failed(ret) || !hex_decode(text, ret->data + before, size)) {
                ret->size = before;
                return false;
        }
        return true;
}

bool number_from_json(struct json_object *object, const char *key, uint64_t max, uint64_t *ret)
{
        struct json_object *member;
        int64_t value;

        if (!json_object_object_get_ex(object, key, &member) ||
                        !json_object_is_type(member, json_type_int))
                return false;
        value = json_object_get_int64(member);
        if (value < 0 || (uint64_t)value > max)
                return false;
        *ret = (uint64_t)value;
        return true;
}

struct json_object *digests_to_json(const struct digests *digests)
{
        struct json_object *object = json_object_new_object();

        for (size_t i = 0; object && i < digests->n; i++) {
                const struct digest *d = &digests->d[i];

                json_object_object_add(
                                object, d->alg->name, hex_to_json(SPAN(d->bytes, d->alg->size)));
        }
        return object;
}

struct json_object *pcrs_to_json(
                const struct banks *banks, uint32_t mask, const struct digest values[][PCR_COUNT])
{
        struct json_object *object = json_object_new_object();

        for (uint32_t pcr = 0; object && pcr < PCR_COUNT; pcr++) {
                struct digests digests = {.n = banks->n};
                char key[12];

                if (!(mask & 1u << pcr))
                        continue;
                for (size_t b = 0; b < banks->n; b++)
                        digests.d[b] = values[b][pcr];
                snprintf(key, sizeof(key), "%u", pcr);
                json_object_object_add(object, key, digests_to_json(&digests));
        }
        return object;
}

int pcrs_from_json(struct json_object *object, const struct banks *banks,
                struct digest values[][PCR_COUNT], uint32_t *ret_mask, struct error *error)
{
        uint32_t mask = 0;

        if (!json_object_is_type(object, json_type_object))
                return error_set(error, EINVAL, "PCR values aren't an object");
        json_object_object_foreach(object, key, member)
        {
                char *end;
                unsigned long pcr = strtoul(key, &end, 10);

                if (*end || end == key || pcr >= PCR_COUNT)
                        return error_set(error, EINVAL, "'%.20s' isn't a PCR number", key);
                for (size_t b = 0; b < banks->n; b++) {
                        const char *hex = text_from_json(member, banks->alg[b]->name);

                        if (!hex || !hex_decode(hex, values[b][pcr].bytes, banks->alg[b]->size))
                                return error_set(error, EINVAL, "PCR %lu has no good %s value", pcr,
                                                banks->alg[b]->name);
                }
                mask |= 1u << pcr;
        }
        *ret_mask = mask;
        return 0;
}

struct json_object *banks_to_json(const struct banks *banks)
{
        struct json_object *array = json_object_new_array();

        for (size_t b = 0; array && b < banks->n; b++)
                json_object_array_add(array, json_object_new_string(banks->alg[b]->name));
        return array;
}

int banks_from_json(struct json_object *array, struct banks *ret, struct error *error)
{
        struct banks banks = {0};
        size_t n;

        if (!json_object_is_type(array, json_type_array))
                return error_set(error, EINVAL, "the banks aren't a list");
        n = json_object_array_length(array);
        for (size_t i = 0; i < n; i++) {
                const char *name = json_object_get_string(json_object_array_get_idx(array, i));
                const struct alg *alg = name ? alg_by_name(name) : NULL;

                if (!alg || !banks_add(&banks, alg))
                        return error_set(error, EINVAL, "unknown or repeated bank '%.20s'",
                                        name ? name : "");
        }
        if (banks.n == 0)
                return error_set(error, EINVAL, "there is no bank");
        *ret = banks;
        return 0;
}

void event_to_json(const struct tcg_event *event, struct json_object *object)
{
        _cleanup_buf_ struct buf text = {0};
        char type[EVENT_TYPE_TEXT_SIZE];

        event_text(event, &text);
        json_object_object_add(
                        object, "type", json_object_new_string(event_type_text(event->type, type)));
        json_object_object_add(object, "digests", digests_to_json(&event->digests));
        json_object_object_add(object, "data", hex_to_json(event->data));
        json_object_object_add(object, "text",
                        json_object_new_string_len((const char *)text.data, (int)text.size));
}
