/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/host-setup-data.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "shim/handover/sysfs.h"

#define FOLDER "kernel/boot_params/setup_data"

/* struct pci_setup_rom behind its setup_data header (arch/x86/include/asm/pci.h): vendor and device
 * id, u64 length at 8, then segment, bus, device and function as u64, then the ROM. */
#define ROM_LENGTH 8
#define ROM_IMAGE  48

void host_setup_data_release(struct host_setup_data *data)
{
        for (size_t i = 0; i < data->n; i++)
                buf_release(&data->nodes[i]);
        free(data->nodes);
        *data = (struct host_setup_data){0};
}

int host_setup_data_read(
                const char *root, uint32_t type, struct host_setup_data *ret, struct error *error)
{
        _cleanup_(host_setup_data_release) struct host_setup_data data = {0};
        unsigned numbers[HOST_SETUP_DATA_MAX_NODES];
        size_t n = 0, room = HOST_SETUP_DATA_MAX_BYTES;
        int r = 0;

        if (sysfs_exists(root, FOLDER))
                r = sysfs_list_numbers(root, FOLDER, numbers, HOST_SETUP_DATA_MAX_NODES, &n, error);
        if (r < 0)
                return r;
        data.nodes = calloc(n + 1, sizeof(data.nodes[0]));
        if (!data.nodes)
                return error_set(error, ENOMEM, "out of memory for setup_data");
        for (size_t i = 0; i < n; i++) {
                char name[64];
                uint64_t found;

                snprintf(name, sizeof(name), FOLDER "/%u/type", numbers[i]);
                r = sysfs_read_number(root, name, &found, error);
                if (r == 0 && found == type)
                        r = sysfs_read(&data.nodes[data.n++], room, error, root, FOLDER "/%u/data",
                                        numbers[i]);
                if (r < 0)
                        return r;
                if (found == type)
                        room -= data.nodes[data.n - 1].size;
        }
        *ret = data;
        data = (struct host_setup_data){0};
        return 0;
}

bool host_setup_data_is_rom(struct span node)
{
        struct span field;
        struct cursor c;
        uint64_t length;

        if (node.size < ROM_IMAGE || !span_sub(node, ROM_LENGTH, 8, &field))
                return false;
        c = CURSOR(field);
        return cursor_u64(&c, &length) && length > 0 && length <= node.size - ROM_IMAGE;
}
