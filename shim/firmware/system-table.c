/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_SYSTEM_TABLE, EFI_BOOT_SERVICES and EFI_RUNTIME_SERVICES (UEFI 2.10, 4.3 to 4.5) in guest
 * memory.
 *
 * The system table, the vendor's name and the array of configuration tables share one page of
 * EfiACPIReclaimMemory: the second kernel reads them at these physical addresses early on
 * (efi_info, SETUP_EFI), so e820 must keep the page out of the RAM that it allocates from, and the
 * page must not be of a runtime type, since the second kernel's EFI memory map holds the real
 * firmware's runtime regions only. The hand-over puts the firmware's RuntimeServices pointer in.
 * Service tables and thunks are EfiBootServicesData and -Code: they end with the run. */
#include "shim/firmware/system-table.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/firmware/dispatch.h"
#include "shim/firmware/memory.h"

#define HEADER_BYTES       24u
#define SYSTEM_TABLE_BYTES 120u
#define VENDOR_OFFSET      128u
#define VENDOR_MAX_BYTES   256u
#define CONFIG_OFFSET      512u
#define CONFIG_ROW_BYTES   24u

_Static_assert(CONFIG_OFFSET + CONFIG_TABLES_MAX * CONFIG_ROW_BYTES <= 4096, "one page");

/* Members beyond enum fw_system_table_member. */
enum {
        HEADER_SIGNATURE = 0,
        HEADER_REVISION = 8,
        HEADER_SIZE = 12,
        HEADER_CRC = 16,
        FIRMWARE_VENDOR = 24,
        FIRMWARE_REVISION = 32,
        RUNTIME_SERVICES = 88,
        BOOT_SERVICES = 96,
        N_TABLE_ENTRIES = 104,
        CONFIGURATION_TABLE = 112,
};

uint32_t efi_crc32(struct span bytes)
{
        static uint32_t table[256];
        uint32_t crc = ~0u;

        if (!table[1])
                for (uint32_t i = 0; i < 256; i++) {
                        uint32_t c = i;

                        for (int bit = 0; bit < 8; bit++)
                                c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
                        table[i] = c;
                }
        for (size_t i = 0; i < bytes.size; i++)
                crc = table[(crc ^ bytes.data[i]) & 0xff] ^ crc >> 8;
        return ~crc;
}

static bool update_crc(struct firmware *fw, uint64_t table, uint32_t size)
{
        struct span bytes;

        return ram_put_u32(fw->ram, table + HEADER_CRC, 0) &&
               ram_view(fw->ram, table, size, &bytes) &&
               ram_put_u32(fw->ram, table + HEADER_CRC, efi_crc32(bytes));
}

void system_table_update_crc(struct firmware *fw)
{
        (void)update_crc(fw, fw->system_table, SYSTEM_TABLE_BYTES);
}

void fw_system_table_put(struct firmware *fw, enum fw_system_table_member member, uint64_t value)
{
        (void)ram_put_u64(fw->ram, fw->system_table + member, value);
        system_table_update_crc(fw);
}

void system_table_set_n_config_tables(struct firmware *fw, size_t n)
{
        fw->n_config_tables = n;
        (void)ram_put_u64(fw->ram, fw->system_table + N_TABLE_ENTRIES, n);
        system_table_update_crc(fw);
}

void system_table_exit_boot_services(struct firmware *fw)
{
        static const unsigned members[] = {
                        FW_ST_CONSOLE_IN_HANDLE,
                        FW_ST_CON_IN,
                        FW_ST_CONSOLE_OUT_HANDLE,
                        FW_ST_CON_OUT,
                        FW_ST_STANDARD_ERROR_HANDLE,
                        FW_ST_STD_ERR,
                        BOOT_SERVICES,
        };

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                (void)ram_put_u64(fw->ram, fw->system_table + members[i], 0);
        system_table_update_crc(fw);
}

static bool put_header(struct firmware *fw, uint64_t table, uint64_t signature, uint32_t size)
{
        return ram_put_u64(fw->ram, table + HEADER_SIGNATURE, signature) &&
               ram_put_u32(fw->ram, table + HEADER_REVISION, EFI_SYSTEM_TABLE_REVISION) &&
               ram_put_u32(fw->ram, table + HEADER_SIZE, size);
}

static int service_table(struct firmware *fw, uint64_t signature, const struct fw_service *rows,
                size_t n, uint64_t *ret)
{
        uint32_t size = (uint32_t)(HEADER_BYTES + 8 * n);
        uint64_t table;

        if (efi_error(pool_allocate_own(fw, EfiBootServicesData, size, &table)) ||
                        !ram_zero(fw->ram, table, size) ||
                        !put_header(fw, table, signature, size) ||
                        fw_object_functions(fw, table, HEADER_BYTES / 8, rows, n) < 0 ||
                        !update_crc(fw, table, size))
                return -ENOMEM;
        *ret = table;
        return 0;
}

/* Linux's stub looks at the vendor without checking for NULL: there is always a string. */
static bool put_vendor(struct firmware *fw, uint64_t address)
{
        const char *vendor = fw->setup.firmware_vendor;
        _cleanup_buf_ struct buf text = {0};

        if (vendor && !utf8_to_utf16(vendor, &text))
                return false;
        if (text.size > VENDOR_MAX_BYTES - 2)
                text.size = VENDOR_MAX_BYTES - 2;
        buf_put_u16(&text, 0);
        return !buf_failed(&text) && ram_write(fw->ram, address, text.data, text.size);
}

static int system_table(struct firmware *fw)
{
        const struct memory_request request = {
                        .allocate_type = AllocateAnyPages,
                        .memory_type = EfiACPIReclaimMemory,
                        .owner = MEMORY_FIRMWARE,
                        .n_pages = 1,
        };
        uint64_t t = 0;

        if (efi_error(memory_allocate(fw, &request, &t)))
                return -ENOMEM;
        fw->system_table = t;
        fw->config_tables = t + CONFIG_OFFSET;
        if (!put_header(fw, t, EFI_SYSTEM_TABLE_SIGNATURE, SYSTEM_TABLE_BYTES) ||
                        !put_vendor(fw, t + VENDOR_OFFSET) ||
                        !ram_put_u64(fw->ram, t + FIRMWARE_VENDOR, t + VENDOR_OFFSET) ||
                        !ram_put_u32(fw->ram, t + FIRMWARE_REVISION, fw->setup.firmware_revision) ||
                        !ram_put_u64(fw->ram, t + RUNTIME_SERVICES, fw->runtime_services) ||
                        !ram_put_u64(fw->ram, t + BOOT_SERVICES, fw->boot_services) ||
                        !ram_put_u64(fw->ram, t + CONFIGURATION_TABLE, fw->config_tables) ||
                        !update_crc(fw, t, SYSTEM_TABLE_BYTES))
                return -ENOMEM;
        return 0;
}

int fw_system_table_setup(struct firmware *fw, struct error *error)
{
        int r = thunks_setup(fw, error);

        if (r < 0)
                return r;
        if (service_table(fw, EFI_BOOT_SERVICES_SIGNATURE, fw_boot_services, fw_n_boot_services,
                            &fw->boot_services) < 0 ||
                        service_table(fw, EFI_RUNTIME_SERVICES_SIGNATURE, fw_runtime_services,
                                        fw_n_runtime_services, &fw->runtime_services) < 0 ||
                        system_table(fw) < 0)
                return error_set(error, ENOMEM, "no guest memory for the system table");
        return config_tables_setup(fw, error);
}
