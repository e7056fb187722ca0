/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/host-e820.h"

#include <errno.h>

#include "base/cleanup.h"
#include "shim/handover/boot-params.h"
#include "shim/handover/e820.h"
#include "shim/handover/host-setup-data.h"
#include "shim/handover/sysfs.h"

/* Offsets in struct boot_params (arch/x86/include/uapi/asm/bootparam.h). */
#define BP_E820_ENTRIES 0x1e8
#define BP_E820_TABLE   0x2d0

/* What isn't here is reserved, as it is to the kernel (e820__memory_setup). */
static const struct {
        uint32_t e820, efi;
} types[] = {
                {E820_RAM, EfiConventionalMemory},
                {E820_ACPI, EfiACPIReclaimMemory},
                {E820_NVS, EfiACPIMemoryNVS},
                {E820_UNUSABLE, EfiUnusableMemory},
                {E820_PMEM, EfiPersistentMemory},
                {E820_SOFT_RESERVED, EfiBootServicesData},
};

static uint32_t efi_type_of(uint32_t e820)
{
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (types[i].e820 == e820)
                        return types[i].efi;
        return EfiReservedMemoryType;
}

static int parse_entries(struct span table, struct host_entry *entries, size_t max, size_t *n,
                struct error *error)
{
        struct cursor c = CURSOR(table);

        while (cursor_left(&c) > 0) {
                uint64_t start, size;
                uint32_t type;

                if (!cursor_u64(&c, &start) || !cursor_u64(&c, &size) || !cursor_u32(&c, &type))
                        return error_set(error, EINVAL, "an e820 table of %zu bytes", table.size);
                if (size == 0)
                        continue; /* some BIOSes have them; the kernel leaves them out, too */
                if (*n == max)
                        return error_set(error, E2BIG, "more than %zu e820 entries", max);
                if (start >= HOST_MEMORY_LIMIT || size > HOST_MEMORY_LIMIT - start)
                        return error_set(error, EINVAL, "the e820 entry at 0x%llx makes no sense",
                                        (unsigned long long)start);
                entries[(*n)++] = (struct host_entry){start, start + size, efi_type_of(type)};
        }
        return 0;
}

int host_e820_parse(struct span page, const struct buf *extensions, size_t n_extensions,
                struct host_entry *entries, size_t max, size_t *ret_n, struct error *error)
{
        struct span table;
        size_t n = 0;
        int r;

        if (page.size < BOOT_PARAMS_SIZE || page.data[BP_E820_ENTRIES] > E820_TABLE_SLOTS ||
                        !span_sub(page, BP_E820_TABLE,
                                        page.data[BP_E820_ENTRIES] * (size_t)E820_ENTRY_SIZE,
                                        &table))
                return error_set(error, EINVAL, "not a boot_params page");
        r = parse_entries(table, entries, max, &n, error);
        for (size_t i = 0; r == 0 && i < n_extensions; i++)
                r = parse_entries(buf_span(&extensions[i]), entries, max, &n, error);
        if (r == 0 && n == 0)
                r = error_set(error, EINVAL, "no e820 entries");
        if (r == 0)
                *ret_n = n;
        return r;
}

int host_e820_read(const char *root, struct host_entry *entries, size_t max, size_t *ret_n,
                struct error *error)
{
        _cleanup_(host_setup_data_release) struct host_setup_data extensions = {0};
        _cleanup_buf_ struct buf page = {0};
        int r = sysfs_read(&page, 2 * BOOT_PARAMS_SIZE, error, root, "kernel/boot_params/data");

        if (r == 0)
                r = host_setup_data_read(root, SETUP_E820_EXT, &extensions, error);
        if (r < 0)
                return r;
        r = host_e820_parse(buf_span(&page), extensions.nodes, extensions.n, entries, max, ret_n,
                        error);
        return r < 0 ? error_prefix(error, r, "%s/kernel/boot_params/data", root) : 0;
}
