/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_SYSTEM_TABLE and the two service tables in guest memory, for the core. */
#pragma once

#include "base/span.h"
#include "shim/firmware/internal.h"

#define CONFIG_TABLES_MAX 128u /* rows of EFI_CONFIGURATION_TABLE that there is room for */

/* CRC-32 as EFI_TABLE_HEADER and CalculateCrc32 have it (UEFI 2.10, 4.2; IEEE 802.3). */
uint32_t efi_crc32(struct span bytes);
/* Makes HeaderSize bytes' CRC right again after a change to the system table. */
void system_table_update_crc(struct firmware *fw);
/* NumberOfTableEntries; the array's place never changes. */
void system_table_set_n_config_tables(struct firmware *fw, size_t n);
/* 7.4.6: what belongs to boot services is taken out of the system table. */
void system_table_exit_boot_services(struct firmware *fw);

/* config-tables.c: setup->tables, setup->copies. */
int config_tables_setup(struct firmware *fw, struct error *error);
