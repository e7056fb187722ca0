/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/acpi-log.h"

#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "shim/handover/host-memory.h"
#include "shim/handover/sysfs.h"

/* TCG ACPI Specification, table "TPM2": header 36, class and control area up to 52, 12 bytes of
 * start method parameters, then LAML and LASA. The kernel looks at them from length 76 on (acpi.c,
 * struct acpi_tpm2_phy). */
#define TPM2_LAML     64
#define TPM2_LASA     68
#define TPM2_MIN_SIZE 76
/* Of reserved pages: the kernel takes a page of RAM for each, and its reader has room for less than
 * this (kmalloc) anyway. */
#define PAGES_MAX_BYTES (4u << 20)

static bool in_memory(const struct acpi_log *log, const struct fw_memory_range *memory, size_t n,
                uint32_t types)
{
        return log->address <= UINT64_MAX - log->n_bytes &&
               host_memory_covers(memory, n, log->address, log->address + log->n_bytes, types);
}

/* Why an area that isn't in ACPI memory can't be written, NULL if it can. */
static const char *what_is_wrong(
                const struct acpi_log *log, const struct fw_memory_range *memory, size_t n)
{
        if (!in_memory(log, memory, n, 1u << EfiReservedMemoryType))
                return "is neither in ACPI nor in reserved memory";
        if (log->address % EFI_PAGE_SIZE != 0 || log->n_bytes % EFI_PAGE_SIZE != 0)
                return "is in reserved memory, where kexec writes whole pages only";
        if (log->n_bytes > PAGES_MAX_BYTES)
                return "is in reserved memory and larger than 4 MiB";
        return NULL;
}

void acpi_log_parse(struct span table, const struct fw_memory_range *memory, size_t n,
                struct acpi_log *ret)
{
        struct cursor c = CURSOR(table);
        struct span signature, fields;
        uint32_t length, laml;
        const char *wrong;
        uint64_t lasa;

        *ret = (struct acpi_log){.kind = ACPI_LOG_ABSENT};
        if (!cursor_take(&c, 4, &signature) || !span_equal(signature, SPAN("TPM2", 4)) ||
                        !cursor_u32(&c, &length) || length < TPM2_MIN_SIZE ||
                        !span_sub(table, TPM2_LAML, TPM2_MIN_SIZE - TPM2_LAML, &fields))
                return;
        c = CURSOR(fields);
        if (!cursor_u32(&c, &laml) || !cursor_u64(&c, &lasa) || laml == 0 || lasa == 0)
                return;
        ret->address = lasa;
        ret->n_bytes = laml;
        if (in_memory(ret, memory, n, 1u << EfiACPIReclaimMemory | 1u << EfiACPIMemoryNVS)) {
                ret->kind = ACPI_LOG_AREA;
                return;
        }
        wrong = what_is_wrong(ret, memory, n);
        ret->kind = wrong ? ACPI_LOG_UNUSABLE : ACPI_LOG_PAGES;
        if (wrong)
                snprintf(ret->reason, sizeof(ret->reason),
                                "the ACPI TPM2 table's log area (0x%llx, %u bytes) %s",
                                (unsigned long long)lasa, laml, wrong);
}

int acpi_log_read(const char *sysfs_root, const struct fw_memory_range *memory, size_t n,
                struct acpi_log *ret, struct error *error)
{
        _cleanup_buf_ struct buf table = {0};
        int r = sysfs_read(&table, 64 * 1024, error, sysfs_root, "firmware/acpi/tables/TPM2");

        if (r < 0 && r != -ENOENT)
                return r;
        acpi_log_parse(r < 0 ? SPAN(NULL, 0) : buf_span(&table), memory, n, ret);
        return 0;
}
