/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory-map text: lines "m start end type", "r type pages phys virt attribute" and "o start pages"
 * (an earlier overlay's), each field as its sysfs file has it. What is taken merges into a map that
 * is sorted, aligned and free of overlaps, or is refused. */
#include <stdlib.h>
#include <string.h>

#include "base/efi-types.h"
#include "shim/handover/efi-map.h"
#include "shim/handover/host-memory.h"
#include "shim/handover/sysfs.h"

#define MAX_LINES 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to the separator (or the end); the rest stays in *text. */
static struct span field(struct span *text, char separator)
{
        const uint8_t *end = text->size ? memchr(text->data, separator, text->size) : NULL;
        size_t n = end ? (size_t)(end - text->data) : text->size;
        struct span found = SPAN(text->data, n);

        *text = end ? SPAN(text->data + n + 1, text->size - n - 1) : SPAN(text->data + n, 0);
        return found;
}

static void check_map(const struct host_memory *m)
{
        uint64_t ignored, end = 0;
        struct buf b = {0};

        for (size_t i = 0; i < m->n; i++) {
                if (m->ranges[i].start < end || m->ranges[i].end <= m->ranges[i].start ||
                                (m->ranges[i].start | m->ranges[i].end) % 4096 != 0 ||
                                m->ranges[i].end > HOST_MEMORY_LIMIT)
                        abort();
                if (m->ranges[i].type == EfiConventionalMemory && m->ranges[i].start < 0x100000)
                        abort();
                end = m->ranges[i].end;
        }
        if (efi_map_choose_virtual(m->ranges, m->n, 0x123000, 16, &ignored) &&
                        ignored < EFI_MAP_VA_END)
                abort();
        (void)efi_map_put(m->ranges, m->n, NULL, 48, &b);
        buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct host_entry entries[MAX_LINES];
        static struct fw_memory_range runtime[MAX_LINES];
        struct overlay_region old[OVERLAY_MAX_REGIONS];
        size_t n_entries = 0, n_runtime = 0, n_old = 0;
        struct span text = SPAN(data, size);
        struct host_memory map = {0};

        for (size_t i = 0; i < MAX_LINES && text.size > 0; i++) {
                struct span line = field(&text, '\n'), kind = field(&line, ' ');
                struct span a = field(&line, ' '), b = field(&line, ' '), c, d;
                uint64_t start, pages;

                if (kind.size != 1)
                        continue;
                if (kind.data[0] == 'm') {
                        n_entries += host_memory_parse_entry(a, b, line, &entries[n_entries]);
                } else if (kind.data[0] == 'r') {
                        c = field(&line, ' ');
                        d = field(&line, ' ');
                        n_runtime += host_memory_parse_runtime(
                                        a, b, c, d, line, &runtime[n_runtime]);
                } else if (kind.data[0] == 'o' && n_old < OVERLAY_MAX_REGIONS &&
                                sysfs_parse_number(a, &start) && sysfs_parse_number(b, &pages) &&
                                start % 4096 == 0 && start < HOST_MEMORY_LIMIT && pages > 0 &&
                                pages <= (HOST_MEMORY_LIMIT - start) / 4096) {
                        old[n_old++] = (struct overlay_region){start, pages};
                }
        }
        if (host_memory_merge(entries, n_entries, runtime, n_runtime, old, n_old, &map, NULL) == 0)
                check_map(&map);
        host_memory_release(&map);
        return 0;
}
