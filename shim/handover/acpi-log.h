/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log area that the ACPI TPM2 table names. The kernel prefers it to the EFI table if it holds a
 * valid log (drivers/char/tpm/eventlog/acpi.c), so there our log must be made to agree or the
 * area's header made invalid. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "shim/firmware/firmware.h"

enum acpi_log_kind {
        ACPI_LOG_ABSENT,   /* no table, too short for the fields, or the fields are zero: the kernel
                              uses EFI's */
        ACPI_LOG_AREA,     /* wholly in ACPI or NVS memory: the trampoline may write it */
        ACPI_LOG_PAGES,    /* whole pages of reserved memory, as SeaBIOS and coreboot have it: a
                              segment of kexec's, whose page tables reach nothing else there */
        ACPI_LOG_UNUSABLE, /* elsewhere: must not be written; the second kernel might show a stale
                              log */
};

struct acpi_log {
        enum acpi_log_kind kind;
        uint64_t address;
        uint64_t n_bytes;
        char reason[160]; /* UNUSABLE: one line */
};

/* table: the whole ACPI TPM2 table, or empty. */
void acpi_log_parse(struct span table, const struct fw_memory_range *memory, size_t n,
                struct acpi_log *ret);
/* Reads <sysfs_root>/firmware/acpi/tables/TPM2. 0 also if there is none; -EACCES ... if it can't be
 * read. */
int acpi_log_read(const char *sysfs_root, const struct fw_memory_range *memory, size_t n,
                struct acpi_log *ret, struct error *error);
