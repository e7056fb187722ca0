/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/ak-file.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/cleanup.h"

#define BEGIN   "-----BEGIN TSS2 PRIVATE KEY-----"
#define END     "-----END TSS2 PRIVATE KEY-----"
#define COLUMNS 64

/* DER (X.690), as far as it is in these files. */
enum {
        DER_BOOLEAN = 0x01,
        DER_INTEGER = 0x02,
        DER_OCTETS = 0x04,
        DER_OID = 0x06,
        DER_SEQUENCE = 0x30,
        DER_CONTEXT = 0xa0, /* and its number */
};

/* 2.23.133.10.1.3, a key that TPM2_Load takes. */
static const uint8_t loadable[] = {0x67, 0x81, 0x05, 0x0a, 0x01, 0x03};

/* ---- reading ---- */

/* The next element, whatever its tag; lengths in their shortest form, at most 65535. */
static bool take(struct cursor *c, uint8_t *tag, struct span *ret)
{
        struct cursor start = *c;
        uint8_t first, byte;
        uint16_t size;

        if (cursor_u8(c, tag) && cursor_u8(c, &first)) {
                size = first;
                if ((first < 0x80 ||
                                    (first == 0x81 && cursor_u8(c, &byte) &&
                                                    (size = byte) >= 0x80) ||
                                    (first == 0x82 && cursor_be16(c, &size) && size > 0xff)) &&
                                cursor_take(c, size, ret))
                        return true;
        }
        *c = start;
        return false;
}

static bool take_tag(struct cursor *c, uint8_t wanted, struct span *ret)
{
        struct cursor start = *c;
        uint8_t tag;

        if (take(c, &tag, ret) && tag == wanted)
                return true;
        *c = start;
        return false;
}

/* Nothing stands behind it. */
static bool take_only(struct span bytes, uint8_t tag, struct span *ret)
{
        struct cursor c = CURSOR(bytes);

        return take_tag(&c, tag, ret) && cursor_left(&c) == 0;
}

/* tpm2_encodeobject 5.4 writes 1 for true, which DER doesn't have. */
static bool take_boolean(struct span bytes, bool *ret)
{
        struct span value;

        if (!take_only(bytes, DER_BOOLEAN, &value) || value.size != 1)
                return false;
        *ret = value.data[0];
        return true;
}

/* The elements with a number, each at most once, ascending. */
static int take_options(struct cursor *c, struct ak_file *file, struct error *error)
{
        static const char *const refused[] = {[1] = "a policy",
                        [2] = "a secret to import it with",
                        [3] = "policies to choose from"};
        bool empty_auth = false;
        struct span value;

        for (unsigned i = 0; i <= 5; i++) {
                bool ok = true;

                if (!take_tag(c, (uint8_t)(DER_CONTEXT + i), &value))
                        continue;
                switch (i) {
                case 0:
                        ok = take_boolean(value, &empty_auth);
                        break;
                case 4: /* a description, for people */
                        break;
                case 5:
                        ok = take_boolean(value, &file->rsa_parent);
                        break;
                default:
                        return error_set(error, EBADMSG, "a key with %s, which isn't done here",
                                        refused[i]);
                }
                if (!ok)
                        return error_set(error, EBADMSG, "malformed element [%u]", i);
        }
        file->has_auth = !empty_auth;
        return 0;
}

/* Unsigned, of at most 32 bits. Some write a handle as the negative number of the same bits. */
static bool take_handle(struct cursor *c, uint32_t *ret)
{
        struct span value;
        uint32_t sum = 0;

        if (!take_tag(c, DER_INTEGER, &value) || value.size == 0)
                return false;
        if (value.size == 5 && value.data[0] == 0)
                value = SPAN(value.data + 1, 4);
        if (value.size > 4)
                return false;
        for (size_t i = 0; i < value.size; i++)
                sum = sum << 8 | value.data[i];
        *ret = sum;
        return true;
}

/* A TPM2B that fills its octets. */
static bool take_tpm2b(struct cursor *c, struct span *ret)
{
        struct cursor inside;
        uint16_t size;

        if (!take_tag(c, DER_OCTETS, ret))
                return false;
        inside = CURSOR(*ret);
        return cursor_be16(&inside, &size) && size > 0 && cursor_left(&inside) == size;
}

static int read_der(struct span der, struct ak_file *ret, struct error *error)
{
        struct ak_file file = {0};
        struct span sequence, oid;
        struct cursor c;
        int r;

        if (!take_only(der, DER_SEQUENCE, &sequence))
                return error_set(error, EBADMSG, "neither PEM nor DER of a TPM's key");
        c = CURSOR(sequence);
        if (!take_tag(&c, DER_OID, &oid) || !span_equal(oid, SPAN(loadable, sizeof(loadable))))
                return error_set(error, EBADMSG, "not a key that a TPM loads");
        r = take_options(&c, &file, error);
        if (r < 0)
                return r;
        if (!take_handle(&c, &file.parent) || !take_tpm2b(&c, &file.public) ||
                        !take_tpm2b(&c, &file.private) || cursor_left(&c) > 0)
                return error_set(error, EBADMSG,
                                "malformed: handle of the parent, public part, private part");
        *ret = file;
        return 0;
}

static bool is_blank(uint8_t c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What stands between the lines that begin and end it, if there are such. */
static bool find_pem(struct span file, struct span *ret)
{
        const uint8_t *begin = memmem(file.data, file.size, BEGIN, strlen(BEGIN)), *end;

        if (!begin)
                return false;
        begin += strlen(BEGIN);
        end = memmem(begin, (size_t)(file.data + file.size - begin), END, strlen(END));
        if (!end)
                return false;
        *ret = SPAN(begin, (size_t)(end - begin));
        return true;
}

static int decode_pem(struct span text, struct buf *bytes, struct error *error)
{
        _cleanup_buf_ struct buf characters = {0};
        size_t size;
        uint8_t *to;

        for (size_t i = 0; i < text.size; i++)
                if (!is_blank(text.data[i]))
                        buf_put_u8(&characters, text.data[i]);
        to = buf_grow(bytes, base64_room(characters.size));
        if (buf_failed(&characters) || buf_failed(bytes))
                return error_set(error, ENOMEM, "out of memory");
        if (!base64_decode(buf_span(&characters), to, &size))
                return error_set(error, EBADMSG, "not base64 between the lines of its PEM");
        bytes->size -= base64_room(characters.size) - size;
        return 0;
}

int ak_file_read(struct span file, struct buf *bytes, struct ak_file *ret, struct error *error)
{
        size_t start = bytes->size;
        struct span text;
        int r = 0;

        if (file.size > AK_FILE_MAX_BYTES)
                return error_set(error, EBADMSG, "larger than %d bytes", AK_FILE_MAX_BYTES);
        if (find_pem(file, &text))
                r = decode_pem(text, bytes, error);
        else
                buf_put_span(bytes, file);
        if (r < 0)
                return r;
        if (buf_failed(bytes))
                return error_set(error, ENOMEM, "out of memory");
        return read_der(SPAN(bytes->data + start, bytes->size - start), ret, error);
}

/* ---- writing ---- */

static void put(struct buf *out, uint8_t tag, struct span value)
{
        buf_put_u8(out, tag);
        if (value.size > 0xff)
                buf_put_u8(out, 0x82);
        else if (value.size >= 0x80)
                buf_put_u8(out, 0x81);
        if (value.size > 0xff)
                buf_put_be16(out, (uint16_t)value.size);
        else
                buf_put_u8(out, (uint8_t)value.size);
        buf_put_span(out, value);
}

static void put_boolean(struct buf *out, unsigned number)
{
        static const uint8_t is_true[] = {DER_BOOLEAN, 1, 0xff};

        put(out, (uint8_t)(DER_CONTEXT + number), SPAN(is_true, sizeof(is_true)));
}

static void put_handle(struct buf *out, uint32_t handle)
{
        const uint8_t bytes[] = {0, (uint8_t)(handle >> 24), (uint8_t)(handle >> 16),
                        (uint8_t)(handle >> 8), (uint8_t)handle};
        size_t spare = 0;

        while (spare < sizeof(bytes) - 1 && bytes[spare] == 0 && !(bytes[spare + 1] & 0x80))
                spare++;
        put(out, DER_INTEGER, SPAN(bytes + spare, sizeof(bytes) - spare));
}

void ak_file_write(const struct ak_file *file, struct buf *ret)
{
        _cleanup_buf_ struct buf inside = {0}, der = {0}, text = {0};
        uint8_t *to;

        put(&inside, DER_OID, SPAN(loadable, sizeof(loadable)));
        if (!file->has_auth)
                put_boolean(&inside, 0);
        if (file->rsa_parent)
                put_boolean(&inside, 5);
        put_handle(&inside, file->parent);
        put(&inside, DER_OCTETS, file->public);
        put(&inside, DER_OCTETS, file->private);
        put(&der, DER_SEQUENCE, buf_span(&inside));
        to = buf_grow(&text, base64_size(der.size));
        if (buf_failed(&inside) || buf_failed(&der) || buf_failed(&text)) {
                ret->failed = true;
                return;
        }
        base64_encode(buf_span(&der), (char *)to);
        buf_format(ret, "%s\n", BEGIN);
        for (size_t at = 0; at < text.size; at += COLUMNS) {
                size_t left = text.size - at;

                buf_put(ret, text.data + at, left < COLUMNS ? left : COLUMNS);
                buf_put_u8(ret, '\n');
        }
        buf_format(ret, "%s\n", END);
}
