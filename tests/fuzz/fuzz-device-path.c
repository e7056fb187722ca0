/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device paths from any bytes: walking ends, sizes agree with it, prefixes are prefixes. The first
 * byte says where the input is cut into path and prefix. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/device-path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(e)                                                                 \
        do {                                                                    \
                if (!(e)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #e); \
                        abort();                                                \
                }                                                               \
        } while (0)

static size_t walk(struct span bytes)
{
        struct cursor c = CURSOR(bytes);
        struct device_path_node node;
        size_t total = 0;

        while (device_path_next(&c, &node)) {
                MUST(node.bytes.size >= 4 && node.data.size == node.bytes.size - 4);
                total += node.bytes.size;
                MUST(total == c.offset && total <= bytes.size);
                if (device_path_is_end(&node))
                        return total;
        }
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buf_ struct buf copy = {0};
        struct span path, prefix, nodes, rest;
        size_t cut;

        if (size < 1)
                return 0;
        cut = 1 + data[0] % size;
        path = SPAN(data + 1, cut - 1);
        prefix = SPAN(data + cut, size - cut);
        MUST(device_path_size(path) == walk(path));
        MUST(device_path_nodes(path, &nodes) == (walk(path) > 0));
        if (walk(path)) {
                MUST(nodes.size + 4 <= walk(path));
                buf_put_span(&copy, nodes);
                device_path_put_end(&copy);
                MUST(device_path_has_prefix(path, buf_span(&copy), &rest));
                MUST(rest.size == path.size - nodes.size);
        }
        if (device_path_has_prefix(path, prefix, &rest)) {
                MUST(device_path_nodes(prefix, &nodes));
                MUST(path.size - rest.size == nodes.size);
                MUST(nodes.size == 0 || memcmp(path.data, nodes.data, nodes.size) == 0);
        }
        return 0;
}
