/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON: whatever the bytes, the reader stays inside, json-c accepts what it accepts, and both find
 * the same values. Corpus: tests/corpus/json/. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void compare(const struct json *ours, struct json_object *theirs);

static void compare_string(const struct json *ours, const char *text, size_t size)
{
        _cleanup_buf_ struct buf buf = {0};

        require(json_string(ours, &buf) && !buf_failed(&buf));
        require(span_equal(buf_span(&buf), SPAN(text, size)));
        if (!memchr(text, 0, size))
                require(json_is(ours, text));
}

static void compare_object(const struct json *ours, struct json_object *theirs)
{
        struct json key, value, found;
        size_t offset = 0;

        while (json_next(ours, &offset, &key, &value)) {
                _cleanup_buf_ struct buf name = {0};

                require(json_string(&key, &name));
                buf_put_u8(&name, 0);
                /* json-c's names end at a NUL, and the last of two counts. */
                if (strlen((char *)name.data) + 1 != name.size ||
                                json_get(ours, (char *)name.data, &found, NULL) != 1)
                        continue;
                struct json_object *member;

                require(json_object_object_get_ex(theirs, (char *)name.data, &member));
                compare(&found, member);
        }
}

static void compare(const struct json *ours, struct json_object *theirs)
{
        static const enum json_type types[] = {
                        [JSON_NULL] = json_type_null,
                        [JSON_FALSE] = json_type_boolean,
                        [JSON_TRUE] = json_type_boolean,
                        [JSON_STRING] = json_type_string,
                        [JSON_ARRAY] = json_type_array,
                        [JSON_OBJECT] = json_type_object,
        };
        struct json element;
        size_t offset = 0, n = 0;
        uint64_t number;

        if (ours->kind != JSON_NUMBER)
                require(json_object_get_type(theirs) == types[ours->kind]);
        else if (json_u64(ours, &number))
                require(json_object_get_uint64(theirs) == number);
        if (ours->kind == JSON_STRING)
                compare_string(ours, json_object_get_string(theirs),
                                (size_t)json_object_get_string_len(theirs));
        if (ours->kind == JSON_OBJECT)
                compare_object(ours, theirs);
        if (ours->kind != JSON_ARRAY)
                return;
        while (json_next(ours, &offset, NULL, &element))
                compare(&element, json_object_array_get_idx(theirs, n++));
        require(n == json_object_array_length(theirs));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct json value;
        struct error error;
        struct json_tokener *tokener;
        struct json_object *theirs;

        if (size > 1 << 16 || json_parse(SPAN(data, size), &value, &error) < 0)
                return 0;
        tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
        require(tokener);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        theirs = json_tokener_parse_ex(
                        tokener, (const char *)value.text.data, (int)value.text.size);
        if (json_tokener_get_error(tokener) == json_tokener_continue)
                theirs = json_tokener_parse_ex(tokener, "\n", 1); /* a number ends at last */
        require(json_tokener_get_error(tokener) == json_tokener_success);
        compare(&value, theirs);
        json_object_put(theirs);
        json_tokener_free(tokener);
        return 0;
}
