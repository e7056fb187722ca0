/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The running kernel's boot_params page, and behind it one setup_data node, taken once for more
 * e820 entries and once for a PCI ROM. Entries that are taken lie in what physical memory can be.
 */
#include <stdlib.h>
#include <string.h>

#include "shim/handover/boot-params.h"
#include "shim/handover/host-e820.h"
#include "shim/handover/host-setup-data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct host_entry entries[HOST_MEMORY_MAX_ENTRIES];
        size_t page_size = size < BOOT_PARAMS_SIZE ? size : BOOT_PARAMS_SIZE, n = 0;
        struct host_memory map = {0};
        struct boot_params_host host;
        struct buf node = {0};
        uint64_t length;

        buf_put_span(&node, SPAN(data + page_size, size - page_size));
        if (host_setup_data_is_rom(buf_span(&node))) {
                memcpy(&length, node.data + 8, sizeof(length));
                if (length > node.size)
                        abort();
        }
        boot_params_of_host(SPAN(data, page_size), &host);
        if (host_e820_parse(SPAN(data, page_size), &node, 1, entries, HOST_MEMORY_MAX_ENTRIES, &n,
                            NULL) == 0) {
                if (n == 0 || n > HOST_MEMORY_MAX_ENTRIES)
                        abort();
                for (size_t i = 0; i < n; i++)
                        if (entries[i].start >= entries[i].end ||
                                        entries[i].end > HOST_MEMORY_LIMIT)
                                abort();
                (void)host_memory_merge(entries, n, NULL, 0, NULL, 0, &map, NULL);
        }
        host_memory_release(&map);
        buf_release(&node);
        return 0;
}
