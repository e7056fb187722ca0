/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device path to text on arbitrary bytes, as a node and as a path: reads nothing beyond them,
 * appends whole characters or, where it says no, nothing. */
#include <assert.h>

#include "base/device-path-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size > 65536)
                return 0;
        for (int i = 0; i < 4; i++) {
                struct buf text = {0};
                bool done;

                buf_put_u16(&text, '>');
                done = i & 2 ? device_path_to_text(SPAN(data, size), i & 1, &text)
                             : device_path_node_to_text(SPAN(data, size), i & 1, &text);
                assert(buf_failed(&text) ||
                                (text.size % 2 == 0 && (done ? text.size >= 2 : text.size == 2)));
                assert(buf_failed(&text) || text.size <= 2 + 16 * (size + 16));
                buf_release(&text);
        }
        return 0;
}
