/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The array of EFI_CONFIGURATION_TABLE behind the system table (UEFI 2.10, 4.6, 7.5.6). The rows
 * are kept where the payload and the second kernel read them, in guest memory; how many there are
 * is the broker's number. */
#include <errno.h>

#include "shim/firmware/memory.h"
#include "shim/firmware/system-table.h"

#define ROW_BYTES 24u /* GUID, pointer */

static bool row_is(struct firmware *fw, size_t i, const EFI_GUID *guid)
{
        EFI_GUID row;

        return fw_get_guid(fw, fw->config_tables + i * ROW_BYTES, &row) && guid_equal(&row, guid);
}

static EFI_STATUS row_remove(struct firmware *fw, size_t i)
{
        uint8_t rows[CONFIG_TABLES_MAX * ROW_BYTES];
        uint64_t at = fw->config_tables + i * ROW_BYTES;
        size_t bytes = (fw->n_config_tables - i - 1) * ROW_BYTES;

        if (!ram_read(fw->ram, at + ROW_BYTES, rows, bytes) ||
                        !ram_write(fw->ram, at, rows, bytes) ||
                        !ram_zero(fw->ram, at + bytes, ROW_BYTES))
                return EFI_OUT_OF_RESOURCES;
        system_table_set_n_config_tables(fw, fw->n_config_tables - 1);
        return EFI_SUCCESS;
}

EFI_STATUS fw_install_config_table(struct firmware *fw, const EFI_GUID *guid, uint64_t address)
{
        uint64_t at;
        size_t i = 0;

        while (i < fw->n_config_tables && !row_is(fw, i, guid))
                i++;
        if (!address)
                return i < fw->n_config_tables ? row_remove(fw, i) : EFI_NOT_FOUND;
        if (i == CONFIG_TABLES_MAX)
                return EFI_OUT_OF_RESOURCES;
        at = fw->config_tables + i * ROW_BYTES;
        if (!ram_write(fw->ram, at, guid, sizeof(*guid)) ||
                        !ram_put_u64(fw->ram, at + sizeof(*guid), address))
                return EFI_OUT_OF_RESOURCES;
        if (i == fw->n_config_tables)
                system_table_set_n_config_tables(fw, i + 1);
        return EFI_SUCCESS;
}

/* In memory that e820 keeps out of the second kernel's RAM, as the system table is. */
static int put_copy(struct firmware *fw, const struct fw_table_copy *copy, struct error *error)
{
        uint64_t address;

        if (efi_error(pool_allocate_own(fw, EfiACPIReclaimMemory, copy->bytes.size, &address)) ||
                        !ram_write(fw->ram, address, copy->bytes.data, copy->bytes.size))
                return error_set(error, ENOMEM, "no guest memory for a configuration table");
        if (efi_error(fw_install_config_table(fw, &copy->guid, address)))
                return error_set(error, EINVAL, "too many configuration tables");
        return 0;
}

int config_tables_setup(struct firmware *fw, struct error *error)
{
        for (size_t i = 0; i < fw->setup.n_tables; i++)
                if (efi_error(fw_install_config_table(
                                    fw, &fw->setup.tables[i].guid, fw->setup.tables[i].address)))
                        return error_set(error, EINVAL, "too many configuration tables");
        for (size_t i = 0; i < fw->setup.n_copies; i++) {
                int r = put_copy(fw, &fw->setup.copies[i], error);

                if (r < 0)
                        return r;
        }
        return 0;
}
