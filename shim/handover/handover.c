/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/handover/e820.h"
#include "shim/handover/efi-map.h"
#include "shim/handover/handover-image.h"
#include "shim/handover/trampoline.h"

#define GIB         (1ull << 30)
#define MAX_TABLES  64u
#define MAX_VENDOR  256u /* characters */
#define SPARE_BYTES (SETUP_NODE_HEADER + 512u * E820_ENTRY_SIZE)

/* Offsets in the emulated firmware's EFI_SYSTEM_TABLE (UEFI 2.10, 4.3). */
#define SYSTEM_TABLE_VENDOR   24
#define SYSTEM_TABLE_REVISION 32

/* One hand-over in the making. */
struct preparation {
        struct firmware *fw;
        struct ram *ram;
        const struct firmware_end *end;
        const struct handover_setup *setup;
        uint64_t boot_params;
        struct fw_config_table tables[MAX_TABLES];
        size_t n_tables;
        bool has_acpi;
        struct buf vendor; /* UTF-16LE with NUL */
        uint32_t revision;
        const struct fw_variable **shown;
        size_t n_shown;
        struct overlay_record record;
        struct fw_memory_range overlay, log; /* taken; start == end: none */
        uint64_t overlay_virtual;
        uint64_t scratch; /* EFI memory map, SETUP_EFI node, room for e820 */
        uint64_t scratch_bytes;
        uint64_t roms; /* SETUP_PCI nodes one behind the other, if there are any */
        uint64_t trampoline;
        struct overlay_places places;
};

static void preparation_release(struct preparation *p)
{
        buf_release(&p->vendor);
        free(p->shown);
        overlay_record_release(&p->record);
}

static uint64_t pages(uint64_t bytes)
{
        return (bytes + EFI_PAGE_SIZE - 1) / EFI_PAGE_SIZE;
}

/* Takes pages, below 4 GB if there are any: early boot code is happiest there. */
static int take(struct preparation *p, uint32_t type, uint64_t bytes, uint64_t *ret,
                struct error *error)
{
        EFI_STATUS status = firmware_allocate(p->fw, type, pages(bytes), 4 * GIB, ret);

        if (efi_error(status))
                status = firmware_allocate(p->fw, type, pages(bytes), 0, ret);
        if (efi_error(status))
                return error_set(error, ENOMEM, "no memory left in the guest for the hand-over");
        return 0;
}

static int take_range(struct preparation *p, uint32_t type, uint64_t attribute, uint64_t bytes,
                struct fw_memory_range *ret, struct error *error)
{
        uint64_t start;
        int r = take(p, type, bytes, &start, error);

        if (r == 0)
                *ret = (struct fw_memory_range){
                                start, start + pages(bytes) * EFI_PAGE_SIZE, type, attribute, 0};
        return r;
}

/* ---- looking ---- */

static int check_start(const struct handover_setup *setup, struct error *error)
{
        const struct handover_facts *facts = setup->facts;

        if (facts->plain)
                return error_set(error, EOPNOTSUPP, "this machine's memory map is unknown: %s",
                                facts->plain_reason);
        if (setup->log_capacity > HANDOVER_MAX_LOG)
                return error_set(error, EFBIG, "an event log of %llu bytes is too long",
                                (unsigned long long)setup->log_capacity);
        if (setup->log_capacity > 0 && facts->acpi_log.kind == ACPI_LOG_UNUSABLE)
                return error_set(error, EOPNOTSUPP,
                                "%s: the second kernel would show a stale event log",
                                facts->acpi_log.reason);
        return 0;
}

int handover_find_boot_params(struct firmware *fw, const struct firmware_end *end,
                uint8_t host_secure_boot, uint64_t *ret, struct error *error)
{
        _cleanup_free_ struct fw_memory_range *allocations = NULL, *map = NULL;
        const struct ram *ram = firmware_ram(fw);
        uint8_t secure_boot;
        size_t n, n_map;
        int r;

        if (end->kind != FIRMWARE_HANDOVER)
                return error_set(error, ENOEXEC, "the payload didn't reach the hand-over");
        r = firmware_allocations(fw, &allocations, &n);
        if (r == 0)
                r = firmware_memory_map(fw, &map, &n_map);
        if (r < 0)
                return error_set(error, -r, "the guest's memory map: %s", strerror(-r));
        r = boot_params_find(
                        ram, &end->regs, firmware_system_table(fw), allocations, n, ret, error);
        if (r == -ENOENT)
                return -ENOEXEC;
        if (r == 0)
                r = boot_params_check(ram, *ret, map, n_map, error);
        if (r < 0)
                return r;
        secure_boot = boot_params_secure_boot(ram, *ret);
        if (host_secure_boot == SECURE_BOOT_ENABLED && secure_boot != SECURE_BOOT_ENABLED)
                return error_set(error, EPERM,
                                "the running kernel was booted with Secure Boot, the second one "
                                "would think that it wasn't (secure_boot %u)",
                                secure_boot);
        return 0;
}

static int find_boot_params(struct preparation *p, struct error *error)
{
        return handover_find_boot_params(
                        p->fw, p->end, p->setup->facts->secure_boot, &p->boot_params, error);
}

/* Tables that must not reach the second kernel: final events (the log is complete) and
 * MEMORY_ATTRIBUTES, which describes other regions. The event log's own entry is made anew. */
static bool is_dropped(const EFI_GUID *guid)
{
        return guid_equal(guid, &guid_tcg2_final_events) ||
               guid_equal(guid, &guid_memory_attributes_table) ||
               guid_equal(guid, &guid_linux_tpm_event_log);
}

static int read_config_tables(struct preparation *p, struct error *error)
{
        size_t n;
        uint64_t address = firmware_config_tables(p->fw, &n);

        if (n > MAX_TABLES - 1)
                return error_set(error, E2BIG, "%zu configuration tables in the guest", n);
        for (size_t i = 0; i < n; i++, address += 24) {
                struct fw_config_table t;

                if (!ram_read(p->ram, address, &t.guid, sizeof(t.guid)) ||
                                !ram_get_u64(p->ram, address + 16, &t.address))
                        return error_set(error, EINVAL,
                                        "the guest's configuration tables are unreadable");
                p->has_acpi |= guid_equal(&t.guid, &guid_acpi20) || guid_equal(&t.guid, &guid_acpi);
                if (!is_dropped(&t.guid))
                        p->tables[p->n_tables++] = t;
        }
        return 0;
}

static int read_vendor(struct preparation *p, struct error *error)
{
        uint64_t system_table = firmware_system_table(p->fw), vendor;

        if (!ram_get_u64(p->ram, system_table + SYSTEM_TABLE_VENDOR, &vendor) ||
                        !ram_get_u32(p->ram, system_table + SYSTEM_TABLE_REVISION, &p->revision) ||
                        !ram_read_utf16(p->ram, vendor, MAX_VENDOR, &p->vendor))
                return error_set(error, EINVAL, "the guest's system table is unreadable");
        return 0;
}

/* The lists of hidden and shown variables. */
static int choose_variables(struct preparation *p, struct error *error)
{
        const struct handover_facts *facts = p->setup->facts;
        const struct fw_variable *set;
        size_t n;
        int r;

        for (size_t i = 0; i < facts->old_overlay.n_hidden; i++) {
                r = overlay_record_hide(&p->record, facts->old_overlay.hidden[i]);
                if (r < 0)
                        return error_set(error, -r, "too many EFI variables to hide");
        }
        for (size_t i = 0; i < p->setup->n_machine_variables; i++) {
                const struct fw_variable *v = &p->setup->machine_variables[i];

                r = overlay_is_of_first_boot(v) ? overlay_record_hide(&p->record, v->name) : 0;
                if (r < 0)
                        return error_set(error, -r, "too many EFI variables to hide (%s)", v->name);
        }
        r = firmware_variables(p->fw, &set, &n);
        if (r < 0)
                return error_set(error, -r, "the guest's variables: %s", strerror(-r));
        p->shown = calloc(n + 1, sizeof(p->shown[0]));
        if (!p->shown)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++)
                if (overlay_shows(&set[i], p->setup->own_registers))
                        p->shown[p->n_shown++] = &set[i];
        return 0;
}

/* ---- taking pages ---- */

static struct overlay_setup overlay_setup_of(const struct preparation *p)
{
        return (struct overlay_setup){
                        .physical = p->overlay.start,
                        .virtual_start = p->overlay_virtual,
                        .record = &p->record,
                        .shown = p->shown,
                        .n_shown = p->n_shown,
                        .systemd_logs_capacity = p->setup->systemd_logs_capacity,
                        .tables = p->tables,
                        .n_tables = p->n_tables,
                        .vendor = buf_span(&p->vendor),
                        .revision = p->revision,
        };
}

/* Room for a descriptor for each range of the machine's map is more than enough. */
static uint64_t efi_map_room(const struct preparation *p)
{
        return (p->setup->facts->memory.n + 1) * EFI_MEMORY_DESCRIPTOR_SIZE;
}

/* Nodes are structs to the kernel: aligned to 8. */
static uint64_t rom_node_bytes(const struct preparation *p, size_t i)
{
        return (SETUP_NODE_HEADER + p->setup->facts->roms.nodes[i].size + 7) & ~7ull;
}

static uint64_t roms_bytes(const struct preparation *p)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < p->setup->facts->roms.n; i++)
                bytes += rom_node_bytes(p, i);
        return bytes;
}

static int take_pages(struct preparation *p, struct error *error)
{
        _cleanup_buf_ struct buf draft = {0};
        struct overlay_setup setup;
        int r;

        if (p->setup->log_capacity > 0) {
                r = take_range(p, EfiACPIReclaimMemory, EFI_MEMORY_WB,
                                HANDOVER_LOG_HEADER + p->setup->log_capacity + HANDOVER_LOG_SLACK,
                                &p->log, error);
                if (r < 0)
                        return r;
                p->tables[p->n_tables++] = (struct fw_config_table){
                                guid_linux_tpm_event_log, p->log.start};
        }
        setup = overlay_setup_of(p);
        r = overlay_build(&setup, &draft, &p->places, error); /* its size */
        if (r == 0)
                r = take_range(p, EfiRuntimeServicesCode, EFI_MEMORY_RUNTIME | EFI_MEMORY_WB,
                                draft.size, &p->overlay, error);
        p->scratch_bytes = efi_map_room(p) + SETUP_EFI_NODE_SIZE + SPARE_BYTES;
        if (r == 0)
                r = take(p, EfiLoaderData, p->scratch_bytes, &p->scratch, error);
        if (r == 0 && roms_bytes(p) > 0)
                r = take(p, EfiLoaderData, roms_bytes(p), &p->roms, error);
        if (r == 0)
                r = take(p, EfiLoaderData, TRAMPOLINE_SIZE, &p->trampoline, error);
        return r;
}

/* What this hop takes out of RAM for the second kernel, so that the next hop can give it back: the
 * overlay first, then log area, emulated firmware's tables, the stub's ACPI-reclaim pages. What
 * doesn't fit into the list stays reserved, which costs some pages a hop and nothing else. */
static int record_regions(struct preparation *p, struct error *error)
{
        _cleanup_free_ struct fw_memory_range *allocations = NULL;
        struct overlay_record *record = &p->record;
        size_t n;
        int r = firmware_allocations(p->fw, &allocations, &n);

        if (r < 0)
                return error_set(error, -r, "the guest's memory map: %s", strerror(-r));
        record->regions[record->n_regions++] = (struct overlay_region){
                        p->overlay.start, (p->overlay.end - p->overlay.start) / EFI_PAGE_SIZE};
        for (size_t i = 0; i < n; i++) {
                uint64_t start = allocations[i].start, end = allocations[i].end;

                if (e820_type_of_efi(allocations[i].type) == E820_RAM)
                        continue;
                /* neighbours of one type come merged: leave the overlay itself out */
                if (start <= p->overlay.start && p->overlay.end <= end) {
                        if (start < p->overlay.start && record->n_regions < OVERLAY_MAX_REGIONS)
                                record->regions[record->n_regions++] = (struct overlay_region){
                                                start, (p->overlay.start - start) / EFI_PAGE_SIZE};
                        start = p->overlay.end;
                }
                if (start < end && record->n_regions < OVERLAY_MAX_REGIONS)
                        record->regions[record->n_regions++] = (struct overlay_region){
                                        start, (end - start) / EFI_PAGE_SIZE};
        }
        return 0;
}

/* ---- filling them ---- */

static int fill_overlay(struct preparation *p, struct error *error)
{
        const struct handover_facts *facts = p->setup->facts;
        _cleanup_buf_ struct buf region = {0};
        struct overlay_setup setup;
        int r = record_regions(p, error);

        if (r < 0)
                return r;
        if (facts->has_firmware) {
                p->record.firmware_runtime = facts->firmware_runtime;
                if (!efi_map_choose_virtual(facts->memory.ranges, facts->memory.n, p->overlay.start,
                                    (p->overlay.end - p->overlay.start) / EFI_PAGE_SIZE,
                                    &p->overlay_virtual))
                        return error_set(error, ENOSPC,
                                        "no virtual address is left for the runtime overlay");
        }
        p->overlay.virtual_start = p->overlay_virtual;
        setup = overlay_setup_of(p);
        r = overlay_build(&setup, &region, &p->places, error);
        if (r < 0)
                return r;
        if (region.size != p->overlay.end - p->overlay.start ||
                        !ram_write(p->ram, p->overlay.start, region.data, region.size))
                return error_set(error, EINVAL, "the runtime overlay doesn't fit its pages");
        return 0;
}

/* The nodes of setup_data that the second kernel gets from us: PCI ROMs and SETUP_EFI. */
static int fill_nodes(struct preparation *p, uint64_t setup_efi, uint64_t *nodes, size_t *ret_n,
                struct error *error)
{
        const struct handover_facts *facts = p->setup->facts;
        uint64_t address = p->roms;
        size_t n = 0;
        bool ok = true;

        for (size_t i = 0; ok && i < facts->roms.n; i++) {
                ok = boot_params_put_node(
                                p->ram, address, SETUP_PCI, buf_span(&facts->roms.nodes[i]));
                nodes[n++] = address;
                address += rom_node_bytes(p, i);
        }
        if (ok && facts->has_firmware) {
                ok = boot_params_put_setup_efi(p->ram, setup_efi,
                                p->overlay.start + p->places.vendor,
                                p->overlay.start + p->places.config_tables);
                nodes[n++] = setup_efi;
        }
        *ret_n = n;
        return ok ? 0 : error_set(error, EINVAL, "the guest's memory can't be written");
}

static int fill_boot_params(struct preparation *p, struct error *error)
{
        const struct handover_facts *facts = p->setup->facts;
        uint64_t nodes[HOST_SETUP_DATA_MAX_NODES + 1];
        struct fw_memory_range taken[2];
        struct boot_params_completion c = {
                        .system_table = p->overlay.start + p->places.system_table,
                        .efi_map = p->scratch,
                        .efi_descriptor_size = EFI_MEMORY_DESCRIPTOR_SIZE,
                        .acpi_rsdp = p->has_acpi ? 0 : facts->acpi_rsdp,
                        .screen_info = SPAN(facts->screen_info,
                                        facts->has_screen_info ? SCREEN_INFO_SIZE : 0),
                        .nodes = nodes,
                        .taken = taken,
                        .spare = p->scratch + efi_map_room(p) + SETUP_EFI_NODE_SIZE,
                        .spare_size = SPARE_BYTES,
        };
        _cleanup_buf_ struct buf map = {0};
        int r;

        /* without firmware behind us the machine's runtime regions are nobody's business */
        efi_map_put(facts->memory.ranges, facts->has_firmware ? facts->memory.n : 0, &p->overlay,
                        EFI_MEMORY_DESCRIPTOR_SIZE, &map);
        if (buf_failed(&map) || map.size > efi_map_room(p))
                return error_set(error, ENOMEM, "out of memory for the EFI memory map");
        c.efi_map_size = (uint32_t)map.size;
        if (!ram_write(p->ram, c.efi_map, map.data, map.size))
                return error_set(error, EINVAL, "the guest's memory can't be written");
        r = fill_nodes(p, p->scratch + efi_map_room(p), nodes, &c.n_nodes, error);
        if (r < 0)
                return r;
        taken[c.n_taken++] = p->overlay;
        if (p->log.end > p->log.start)
                taken[c.n_taken++] = p->log;
        return boot_params_complete(p->ram, p->boot_params, &c, error);
}

static int fill_trampoline(struct preparation *p, struct error *error)
{
        uint8_t page[TRAMPOLINE_SIZE];

        trampoline_build(&p->end->regs, page);
        if (!ram_write(p->ram, p->trampoline, page, sizeof(page)))
                return error_set(error, EINVAL, "the guest's memory can't be written");
        return 0;
}

static int plan_image(struct preparation *p, struct handover_image *ret, struct error *error)
{
        const struct handover_facts *facts = p->setup->facts;
        const struct acpi_log *acpi_log = &facts->acpi_log;
        bool has_log = p->log.end > p->log.start;
        struct segment area = {acpi_log->address, acpi_log->address + acpi_log->n_bytes};
        _cleanup_free_ struct fw_memory_range *allocations = NULL;
        struct handover_image image = {
                        .entry = p->trampoline,
                        .boot_params = p->boot_params,
                        .ram = p->ram,
        };
        size_t n;
        int r = firmware_allocations(p->fw, &allocations, &n);

        if (r < 0)
                return error_set(error, -r, "the guest's memory map: %s", strerror(-r));
        r = segments_plan(p->ram, allocations, n,
                        has_log && acpi_log->kind == ACPI_LOG_PAGES ? &area : NULL,
                        facts->total_ram_bytes, &image.segments, error);
        if (r < 0)
                return r;
        if (has_log) {
                image.log.address = p->log.start;
                image.log.capacity = p->log.end - p->log.start - HANDOVER_LOG_HEADER -
                                     HANDOVER_LOG_SLACK;
                if (acpi_log->kind == ACPI_LOG_AREA || acpi_log->kind == ACPI_LOG_PAGES)
                        image.acpi_log = (struct handover_place){
                                        acpi_log->address, acpi_log->n_bytes};
        }
        if (p->places.systemd_logs != 0) {
                image.systemd_logs.address = p->overlay.start + p->places.systemd_logs;
                image.systemd_logs.capacity = p->setup->systemd_logs_capacity;
                image.systemd_logs_size = p->overlay.start + p->places.systemd_logs_size;
        }
        *ret = image;
        return 0;
}

int handover_prepare(struct firmware *fw, const struct firmware_end *end,
                const struct handover_setup *setup, struct handover_image *ret, struct error *error)
{
        _cleanup_(preparation_release) struct preparation p = {
                        .fw = fw,
                        .ram = firmware_ram(fw),
                        .end = end,
                        .setup = setup,
        };
        static int (*const steps[])(struct preparation *, struct error *) = {
                        find_boot_params,
                        read_config_tables,
                        read_vendor,
                        choose_variables,
                        take_pages,
                        fill_overlay,
                        fill_boot_params,
                        fill_trampoline,
        };
        int r = check_start(setup, error);

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
                r = steps[i](&p, error);
        return r == 0 ? plan_image(&p, ret, error) : r;
}
