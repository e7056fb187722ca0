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

void acpi_log_parse(struct span table, const struct fw_memory_range *memory, size_t n,
                struct acpi_log *ret)
{
        struct cursor c = CURSOR(table);
        struct span signature, fields;
        uint32_t length, laml;
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
        if (lasa <= UINT64_MAX - laml &&
                        host_memory_covers(memory, n, lasa, lasa + laml,
                                        1u << EfiACPIReclaimMemory | 1u << EfiACPIMemoryNVS)) {
                ret->kind = ACPI_LOG_AREA;
                return;
        }
        ret->kind = ACPI_LOG_UNUSABLE;
        snprintf(ret->reason, sizeof(ret->reason),
                        "the ACPI TPM2 table's log area (0x%llx, %u bytes) isn't in ACPI memory",
                        (unsigned long long)lasa, laml);
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
