/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a run and its hand-over need to know of this machine, read once before the payload runs. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/cleanup.h"
#include "shim/handover/efi-map.h"
#include "shim/handover/handover.h"
#include "shim/handover/sysfs.h"

#define KERNEL_HALF                                                                   \
        0xffff800000000000ull /* addresses from here on are the kernel's virtual ones \
                               */

void handover_facts_release(struct handover_facts *facts)
{
        host_memory_release(&facts->memory);
        host_setup_data_release(&facts->roms);
        overlay_record_release(&facts->old_overlay);
        *facts = (struct handover_facts){0};
}

static bool folder_is_empty(const char *root, const char *name)
{
        char path[512];
        struct dirent *entry;
        bool empty = true;
        DIR *dir;

        snprintf(path, sizeof(path), "%s/%s", root, name);
        dir = opendir(path);
        if (!dir)
                return true;
        while ((entry = readdir(dir)) && empty)
                empty = entry->d_name[0] == '.';
        closedir(dir);
        return empty;
}

/* The virtual address of the firmware's own EFI_RUNTIME_SERVICES. The file has the physical address
 * after a firmware boot and the virtual one after any kexec (arch/x86/platform/efi/efi.c,
 * efi_systab_init). */
static int read_runtime(const char *root, struct handover_facts *facts, struct error *error)
{
        const struct fw_memory_range *ranges = facts->memory.ranges;
        uint64_t runtime;
        int r;

        if (facts->has_old_overlay) {
                facts->firmware_runtime = facts->old_overlay.firmware_runtime;
                facts->has_firmware = facts->firmware_runtime != 0;
                return 0;
        }
        if (!sysfs_exists(root, "firmware/efi/runtime-map") ||
                        !sysfs_exists(root, "firmware/efi/runtime")) {
                /* no EFI, efi=noruntime, or CONFIG_EFI_RUNTIME_MAP=n: only the last has variables
                 */
                facts->loses_firmware = !folder_is_empty(root, "firmware/efi/efivars");
                return 0;
        }
        r = sysfs_read_number(root, "firmware/efi/runtime", &runtime, error);
        if (r < 0)
                return r;
        if (folder_is_empty(root, "firmware/efi/efivars"))
                return error_set(error, ENOENT,
                                "%s/firmware/efi/efivars is empty: mount efivarfs there, mkexec "
                                "looks for an "
                                "earlier hop's traces in it",
                                root);
        if (runtime < KERNEL_HALF && !efi_map_to_virtual(ranges, facts->memory.n, runtime,
                                                     &facts->firmware_runtime))
                return error_set(error, EINVAL,
                                "%s/firmware/efi/runtime: 0x%llx is in no region of runtime-map",
                                root, (unsigned long long)runtime);
        if (runtime >= KERNEL_HALF)
                facts->firmware_runtime = runtime;
        facts->has_firmware = true;
        return 0;
}

/* "ACPI20=0x7f7fe014" and so on, one a line (drivers/firmware/efi/efi.c, systab_show). */
static void parse_systab(struct span text, struct handover_facts *facts)
{
        const struct {
                const char *name;
                const EFI_GUID *guid;
        } rows[] = {
                        {"ACPI20=", &guid_acpi20},
                        {"ACPI=", &guid_acpi},
                        {"SMBIOS3=", &guid_smbios3},
                        {"SMBIOS=", &guid_smbios},
        };

        while (text.size > 0) {
                const uint8_t *end = memchr(text.data, '\n', text.size);
                size_t line = end ? (size_t)(end - text.data) : text.size;

                for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                        size_t n = strlen(rows[i].name);
                        uint64_t address;

                        if (line <= n || memcmp(text.data, rows[i].name, n) != 0 ||
                                        !sysfs_parse_number(
                                                        SPAN(text.data + n, line - n), &address) ||
                                        address == 0 ||
                                        facts->n_tables == ARRAY_SIZE(facts->tables))
                                continue;
                        facts->tables[facts->n_tables++] = (struct fw_config_table){
                                        *rows[i].guid, address};
                }
                text = SPAN(text.data + line, text.size - line);
                if (text.size > 0)
                        text = SPAN(text.data + 1, text.size - 1);
        }
}

/* A framebuffer of the firmware's is still one if the device made for it is there (a native driver
 * removes it: drivers/video/aperture.c) and no other driver's console stands on it. */
static bool framebuffer_is_free(const char *root)
{
        if (!sysfs_exists(root, "bus/platform/devices/efi-framebuffer.0") &&
                        !sysfs_exists(root, "bus/platform/devices/simple-framebuffer.0"))
                return false;
        for (unsigned i = 0; i < 8; i++) {
                _cleanup_buf_ struct buf name = {0};

                if (sysfs_read(&name, 128, NULL, root, "class/graphics/fb%u/name", i) < 0)
                        continue;
                if (!memmem(name.data, name.size, "EFI VGA", 7) &&
                                !memmem(name.data, name.size, "simple", 6))
                        return false;
        }
        return true;
}

static int read_boot_params(const char *root, struct handover_facts *facts, struct error *error)
{
        _cleanup_buf_ struct buf page = {0};
        struct boot_params_host host;
        int r = sysfs_read(&page, 2 * BOOT_PARAMS_SIZE, error, root, "kernel/boot_params/data");

        if (r < 0)
                return r; /* without it nobody knows whether Secure Boot was on */
        boot_params_of_host(buf_span(&page), &host);
        facts->acpi_rsdp = host.acpi_rsdp;
        facts->secure_boot = host.secure_boot;
        facts->without_efi = host.without_efi;
        facts->has_screen_info = host.is_efi_framebuffer && framebuffer_is_free(root);
        memcpy(facts->screen_info, host.screen_info, SCREEN_INFO_SIZE);
        return 0;
}

/* What PCI devices' ROMs held when firmware ran: some can be read only there, so drivers of
 * graphics look for them here first. */
static int read_roms(const char *root, struct handover_facts *facts, struct error *error)
{
        int r = host_setup_data_read(root, SETUP_PCI, &facts->roms, error);

        for (size_t i = 0; r == 0 && i < facts->roms.n; i++)
                if (!host_setup_data_is_rom(buf_span(&facts->roms.nodes[i])))
                        r = error_set(error, EINVAL,
                                        "%s/kernel/boot_params/setup_data: a PCI ROM of %zu bytes "
                                        "isn't one",
                                        root, facts->roms.nodes[i].size);
        return r;
}

static int read_tables(const char *root, struct handover_facts *facts, struct error *error)
{
        _cleanup_buf_ struct buf text = {0};
        int r = sysfs_read(&text, 16 * 1024, error, root, "firmware/efi/systab");

        if (r == -ENOENT)
                return 0; /* not an EFI boot: boot_params.acpi_rsdp_addr has to do */
        if (r < 0)
                return r;
        parse_systab(buf_span(&text), facts);
        return 0;
}

/* A second kernel that was started by EFI doesn't search a BIOS's memory for the RSDP
 * (drivers/acpi/osl.c, acpi_os_get_root_pointer): it would come up without ACPI. */
static int check_acpi(const char *root, const struct handover_facts *facts, struct error *error)
{
        bool known = facts->acpi_rsdp != 0;

        for (size_t i = 0; i < facts->n_tables; i++)
                known |= guid_equal(&facts->tables[i].guid, &guid_acpi20) ||
                         guid_equal(&facts->tables[i].guid, &guid_acpi);
        if (known || !sysfs_exists(root, "firmware/acpi/tables/DSDT"))
                return 0;
        return error_set(error, EOPNOTSUPP,
                        "neither %s/firmware/efi/systab nor boot_params says where ACPI's tables "
                        "are: the second kernel wouldn't find them",
                        root);
}

static int read_real(const char *root, struct handover_facts *facts, struct error *error)
{
        int r = overlay_record_read(root, &facts->has_old_overlay, &facts->old_overlay, error);

        if (r == 0)
                r = host_memory_read(root, facts->has_old_overlay ? &facts->old_overlay : NULL,
                                &facts->memory, error);
        if (r == 0)
                r = read_runtime(root, facts, error);
        if (r == 0)
                r = read_boot_params(root, facts, error);
        if (r == 0)
                r = check_acpi(root, facts, error);
        if (r == 0)
                r = read_roms(root, facts, error);
        if (r == 0)
                r = acpi_log_read(root, facts->memory.ranges, facts->memory.n, &facts->acpi_log,
                                error);
        return r;
}

int handover_facts_read(const char *sysfs_root, bool plain_allowed, struct handover_facts *ret,
                struct error *error)
{
        _cleanup_(handover_facts_release) struct handover_facts facts = {0};
        struct error local = {0};
        struct sysinfo info;
        int r;

        if (strcmp(sysfs_root, "/sys") == 0 && sysinfo(&info) == 0)
                facts.total_ram_bytes = (uint64_t)info.totalram * info.mem_unit;
        r = read_tables(sysfs_root, &facts, &local);
        if (r == 0)
                r = read_real(sysfs_root, &facts, &local);
        if (r < 0 && plain_allowed) {
                host_memory_release(&facts.memory);
                host_setup_data_release(&facts.roms);
                overlay_record_release(&facts.old_overlay);
                facts.has_old_overlay = facts.has_firmware = false;
                facts.firmware_runtime = 0;
                facts.acpi_log = (struct acpi_log){0};
                facts.plain = true;
                snprintf(facts.plain_reason, sizeof(facts.plain_reason), "%.*s",
                                (int)sizeof(facts.plain_reason) - 1, local.text);
                r = host_memory_plain(&facts.memory);
        }
        if (r < 0) {
                if (error)
                        *error = local;
                return r;
        }
        *ret = facts;
        facts = (struct handover_facts){0};
        return 0;
}
