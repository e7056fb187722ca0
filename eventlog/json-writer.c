/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/json-writer.h"

#include <string.h>

#include "base/alg.h"

void json_put(struct json_writer *w, const char *text)
{
        buf_put(w->out, text, strlen(text));
}

void json_put_hex(struct json_writer *w, struct span bytes)
{
        size_t before = w->out->size;

        buf_put_zeros(w->out, 2 * bytes.size + 1);
        if (buf_failed(w->out))
                return;
        hex_encode(bytes, (char *)w->out->data + before);
        w->out->size--;
}

void json_put_number(struct json_writer *w, uint64_t number)
{
        char digits[20];
        size_t at = sizeof(digits);

        do
                digits[--at] = (char)('0' + number % 10);
        while (number /= 10);
        buf_put(w->out, digits + at, sizeof(digits) - at);
}

void json_put_string(struct json_writer *w, struct span text, enum text_encoding encoding)
{
        json_put(w, "\"");
        escape_text(text, encoding, ESCAPE_JSON, w->out);
        json_put(w, "\"");
}

/* A comma where one belongs, and the name of a member, which is one of ours. */
void json_member(struct json_writer *w, const char *name)
{
        if (!w->first)
                json_put(w, ",");
        w->first = false;
        if (!name)
                return;
        json_put(w, "\"");
        json_put(w, name);
        json_put(w, "\":");
}

void json_open(struct json_writer *w, const char *name, const char *bracket)
{
        json_member(w, name);
        json_put(w, bracket);
        w->first = true;
}

void json_close(struct json_writer *w, const char *bracket)
{
        json_put(w, bracket);
        w->first = false;
}

void json_member_number(struct json_writer *w, const char *name, uint64_t number)
{
        json_member(w, name);
        json_put_number(w, number);
}

void json_member_hex(struct json_writer *w, const char *name, struct span bytes)
{
        json_member(w, name);
        json_put(w, "\"");
        json_put_hex(w, bytes);
        json_put(w, "\"");
}

void json_member_text(struct json_writer *w, const char *name, struct span text)
{
        json_member(w, name);
        json_put_string(w, text, TEXT_UTF8);
}
