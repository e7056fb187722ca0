/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walk, compare and build device paths (UEFI 2.10, 10.3). Everything read comes from the guest or
 * from a file: lengths are believed only after the cursor has checked them. */
#include "base/device-path.h"

#include "base/cleanup.h"
#include "base/utf16.h"

#define HEADER_BYTES 4u

bool device_path_next(struct cursor *c, struct device_path_node *ret)
{
        struct cursor probe = *c;
        uint8_t type, subtype;
        uint16_t length;
        struct span bytes;

        if (!cursor_u8(&probe, &type) || !cursor_u8(&probe, &subtype) ||
                        !cursor_u16(&probe, &length))
                return false;
        if (length < HEADER_BYTES || !cursor_take(c, length, &bytes))
                return false;
        *ret = (struct device_path_node){
                        .type = type,
                        .subtype = subtype,
                        .bytes = bytes,
                        .data = SPAN(bytes.data + HEADER_BYTES, bytes.size - HEADER_BYTES),
        };
        return true;
}

bool device_path_is_end(const struct device_path_node *node)
{
        return node->type == DEVICE_PATH_END && node->subtype == DEVICE_PATH_END_ENTIRE;
}

size_t device_path_size(struct span bytes)
{
        struct cursor c = CURSOR(bytes);
        struct device_path_node node;

        while (device_path_next(&c, &node))
                if (device_path_is_end(&node))
                        return c.offset;
        return 0;
}

bool device_path_nodes(struct span path, struct span *ret)
{
        struct cursor c = CURSOR(path);
        struct device_path_node node;

        while (device_path_next(&c, &node))
                if (device_path_is_end(&node)) {
                        *ret = SPAN(path.data, c.offset - node.bytes.size);
                        return true;
                }
        return false;
}

bool device_path_has_prefix(struct span path, struct span prefix, struct span *rest)
{
        struct cursor a = CURSOR(path), b = CURSOR(prefix);
        struct device_path_node node, wanted;

        for (;;) {
                size_t behind = a.offset;

                if (!device_path_next(&b, &wanted))
                        return false;
                if (device_path_is_end(&wanted)) {
                        if (rest)
                                *rest = SPAN(path.data + behind, path.size - behind);
                        return true;
                }
                if (!device_path_next(&a, &node) || !span_equal(node.bytes, wanted.bytes))
                        return false;
        }
}

void device_path_put_node(struct buf *b, uint8_t type, uint8_t subtype, struct span data)
{
        if (data.size > UINT16_MAX - HEADER_BYTES) {
                b->failed = true;
                return;
        }
        buf_put_u8(b, type);
        buf_put_u8(b, subtype);
        buf_put_u16(b, (uint16_t)(data.size + HEADER_BYTES));
        buf_put_span(b, data);
}

void device_path_put_end(struct buf *b)
{
        device_path_put_node(b, DEVICE_PATH_END, DEVICE_PATH_END_ENTIRE, SPAN(NULL, 0));
}

bool device_path_put_file(struct buf *b, const char *name)
{
        _cleanup_buf_ struct buf text = {0};

        if (!utf8_to_utf16(name, &text))
                return false;
        buf_put_u16(&text, 0);
        if (buf_failed(&text) || text.size > UINT16_MAX - HEADER_BYTES)
                return false;
        device_path_put_node(b, DEVICE_PATH_MEDIA, DEVICE_PATH_MEDIA_FILE, buf_span(&text));
        return true;
}
