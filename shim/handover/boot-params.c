/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/boot-params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "shim/handover/e820.h"
#include "shim/handover/host-memory.h"

/* Offsets in struct boot_params (arch/x86/include/uapi/asm/bootparam.h). */
enum {
        BP_SCREEN_INFO = 0x000,
        BP_ACPI_RSDP = 0x070,
        BP_EXT_RAMDISK_IMAGE = 0x0c0,
        BP_EXT_RAMDISK_SIZE = 0x0c4,
        BP_EXT_CMDLINE = 0x0c8,
        BP_EFI_INFO = 0x1c0, /* struct efi_info */
        BP_EFI_SYSTAB = 0x1c4,
        BP_EFI_DESCRIPTOR_SIZE = 0x1c8,
        BP_EFI_DESCRIPTOR_VERSION = 0x1cc,
        BP_EFI_MEMMAP = 0x1d0,
        BP_EFI_MEMMAP_SIZE = 0x1d4,
        BP_EFI_SYSTAB_HI = 0x1d8,
        BP_EFI_MEMMAP_HI = 0x1dc,
        BP_E820_ENTRIES = 0x1e8,
        BP_SECURE_BOOT = 0x1ec,
        BP_TYPE_OF_LOADER = 0x210,
        BP_RAMDISK_IMAGE = 0x218,
        BP_RAMDISK_SIZE = 0x21c,
        BP_CMDLINE = 0x228,
        BP_SETUP_DATA = 0x250,
        BP_E820_TABLE = 0x2d0,
};

/* Boot loader ID in the upper four bits of type_of_loader (Documentation/arch/x86/boot.rst);
 * the kernel itself writes this one for kexec_file_load. EFI stubs have 2. */
#define LOADER_ID_KEXEC 0xd

#define EFI_LOADER_SIGNATURE "EL64"
#define CMDLINE_MAX_BYTES    65536u
#define NODE_MAX_BYTES       (16u << 20)
#define VIDEO_TYPE_EFI       0x70 /* screen_info.orig_video_isVGA */

/* A 64-bit value whose halves lie apart, as boot_params has several. */
static bool get_split(const struct ram *ram, uint64_t low_at, uint64_t high_at, uint64_t *ret)
{
        uint32_t low, high;

        if (!ram_get_u32(ram, low_at, &low) || !ram_get_u32(ram, high_at, &high))
                return false;
        *ret = (uint64_t)high << 32 | low;
        return true;
}

static bool put_split(struct ram *ram, uint64_t low_at, uint64_t high_at, uint64_t value)
{
        return ram_put_u32(ram, low_at, (uint32_t)value) &&
               ram_put_u32(ram, high_at, (uint32_t)(value >> 32));
}

/* All of it in memory that the guest has. */
static bool is_committed(const struct ram *ram, uint64_t address, uint64_t size)
{
        struct span ignored;

        return address != 0 && address <= UINT64_MAX - size &&
               ram_view(ram, address, size, &ignored);
}

/* ---- finding ---- */

static bool is_boot_params(const struct ram *ram, uint64_t address, uint64_t system_table)
{
        char signature[4];
        uint64_t found;

        return is_committed(ram, address, BOOT_PARAMS_SIZE) &&
               ram_read(ram, address + BP_EFI_INFO, signature, sizeof(signature)) &&
               memcmp(signature, EFI_LOADER_SIGNATURE, sizeof(signature)) == 0 &&
               get_split(ram, address + BP_EFI_SYSTAB, address + BP_EFI_SYSTAB_HI, &found) &&
               found == system_table;
}

/* Counts what looks like boot_params in one page; *ret is the last. It is 4-byte aligned at least.
 */
static unsigned scan_page(
                const struct ram *ram, uint64_t page, uint64_t system_table, uint64_t *ret)
{
        unsigned found = 0;
        struct span bytes;

        if (!ram_view(ram, page, EFI_PAGE_SIZE, &bytes))
                return 0;
        for (size_t offset = 0; offset < bytes.size; offset += 4) {
                const uint8_t *p = memmem(
                                bytes.data + offset, bytes.size - offset, EFI_LOADER_SIGNATURE, 4);
                uint64_t candidate;

                if (!p)
                        break;
                offset = (size_t)(p - bytes.data) & ~(size_t)3;
                candidate = page + offset - BP_EFI_INFO;
                if (p == bytes.data + offset && page + offset >= BP_EFI_INFO &&
                                is_boot_params(ram, candidate, system_table)) {
                        *ret = candidate;
                        found++;
                }
        }
        return found;
}

int boot_params_find(const struct ram *ram, const struct vcpu_regs *regs, uint64_t system_table,
                const struct fw_memory_range *allocations, size_t n, uint64_t *ret,
                struct error *error)
{
        static const int likely[] = {VCPU_RDI, VCPU_RSI, VCPU_RBX, VCPU_RBP};
        unsigned found = 0;
        uint64_t address = 0;

        for (size_t i = 0; i < ARRAY_SIZE(likely); i++)
                if (is_boot_params(ram, regs->r[likely[i]], system_table)) {
                        *ret = regs->r[likely[i]];
                        return 0;
                }
        for (size_t i = 0; i < n; i++)
                for (uint64_t page = allocations[i].start; page < allocations[i].end;
                                page += EFI_PAGE_SIZE)
                        found += scan_page(ram, page, system_table, &address);
        if (found == 0)
                return error_set(error, ENOENT,
                                "the payload left boot services without a Linux boot_params page: "
                                "only Linux kernels can be started");
        if (found > 1)
                return error_set(error, EINVAL,
                                "%u pages of the payload look like boot_params and no register "
                                "tells "
                                "which it is",
                                found);
        *ret = address;
        return 0;
}

/* ---- checking ---- */

struct node {
        uint64_t address, next;
        uint32_t type, length;
};

static bool read_node(const struct ram *ram, uint64_t address, struct node *ret)
{
        ret->address = address;
        return is_committed(ram, address, SETUP_NODE_HEADER) &&
               ram_get_u64(ram, address, &ret->next) && ram_get_u32(ram, address + 8, &ret->type) &&
               ram_get_u32(ram, address + 12, &ret->length) && ret->length <= NODE_MAX_BYTES &&
               is_committed(ram, address, SETUP_NODE_HEADER + (uint64_t)ret->length);
}

/* The setup_data chain; a loop is a chain that is too long. */
static int read_chain(const struct ram *ram, uint64_t boot_params, struct node *nodes,
                size_t *ret_n, struct error *error)
{
        uint64_t address;
        size_t n = 0;

        if (!ram_get_u64(ram, boot_params + BP_SETUP_DATA, &address))
                return error_set(error, EINVAL, "boot_params isn't in guest RAM");
        while (address != 0) {
                if (n == BOOT_PARAMS_MAX_NODES)
                        return error_set(error, EINVAL,
                                        "boot_params: setup_data has more than %u nodes",
                                        BOOT_PARAMS_MAX_NODES);
                if (!read_node(ram, address, &nodes[n]))
                        return error_set(error, EINVAL,
                                        "boot_params: setup_data node at 0x%llx isn't in guest RAM",
                                        (unsigned long long)address);
                address = nodes[n++].next;
        }
        *ret_n = n;
        return 0;
}

static bool read_e820_entries(
                const struct ram *ram, uint64_t address, size_t n, struct e820_map *map)
{
        for (size_t i = 0; i < n; i++, address += E820_ENTRY_SIZE) {
                uint64_t start, size;
                uint32_t type;

                if (!ram_get_u64(ram, address, &start) || !ram_get_u64(ram, address + 8, &size) ||
                                !ram_get_u32(ram, address + 16, &type) ||
                                !e820_add(map, start, size, type))
                        return false;
        }
        return true;
}

/* Table and extension nodes together, sorted. */
static int read_e820(const struct ram *ram, uint64_t boot_params, const struct node *nodes,
                size_t n, struct e820_map *ret, struct error *error)
{
        uint8_t n_table;

        ret->n = 0;
        if (!ram_get_u8(ram, boot_params + BP_E820_ENTRIES, &n_table) || n_table == 0 ||
                        n_table > E820_TABLE_SLOTS)
                return error_set(error, EINVAL, "boot_params: %u e820 entries (1 to %u can be)",
                                n_table, E820_TABLE_SLOTS);
        if (!read_e820_entries(ram, boot_params + BP_E820_TABLE, n_table, ret))
                return error_set(error, EINVAL, "boot_params: malformed e820 table");
        for (size_t i = 0; i < n; i++)
                if (nodes[i].type == SETUP_E820_EXT &&
                                (nodes[i].length % E820_ENTRY_SIZE != 0 ||
                                                !read_e820_entries(ram,
                                                                nodes[i].address +
                                                                                SETUP_NODE_HEADER,
                                                                nodes[i].length / E820_ENTRY_SIZE,
                                                                ret)))
                        return error_set(error, EINVAL, "boot_params: malformed e820 extension");
        if (!e820_sort(ret))
                return error_set(error, EINVAL, "boot_params: e820 entries overlap");
        return 0;
}

/* The second kernel takes e820's word for what it may overwrite. */
static int check_ram(const struct e820_map *map, const struct fw_memory_range *memory, size_t n,
                struct error *error)
{
        const uint32_t ram_types = 1u << EfiLoaderCode | 1u << EfiLoaderData |
                                   1u << EfiBootServicesCode | 1u << EfiBootServicesData |
                                   1u << EfiConventionalMemory | 1u << EfiUnacceptedMemoryType;

        for (size_t i = 0; i < map->n; i++) {
                const struct e820_entry *e = &map->entries[i];

                if (e->type == E820_RAM && !host_memory_covers(memory, n, e->start,
                                                           e->start + e->size, ram_types))
                        return error_set(error, EINVAL,
                                        "boot_params: e820 calls 0x%llx RAM, where the machine has "
                                        "none",
                                        (unsigned long long)e->start);
        }
        return 0;
}

bool boot_params_command_line(const struct ram *ram, uint64_t boot_params, struct buf *ret)
{
        uint64_t address;
        uint8_t c;

        if (!get_split(ram, boot_params + BP_CMDLINE, boot_params + BP_EXT_CMDLINE, &address))
                return false;
        if (address == 0)
                return true;
        for (uint32_t i = 0; i < CMDLINE_MAX_BYTES && ram_get_u8(ram, address + i, &c); i++) {
                if (c == 0)
                        return !buf_failed(ret);
                buf_put_u8(ret, c);
        }
        return false;
}

static int check_command_line(const struct ram *ram, uint64_t boot_params, struct error *error)
{
        _cleanup_buf_ struct buf text = {0};

        if (boot_params_command_line(ram, boot_params, &text))
                return 0;
        return error_set(error, EINVAL, "boot_params: no command line in guest RAM");
}

bool boot_params_initrd(const struct ram *ram, uint64_t boot_params, struct span *ret)
{
        uint64_t address, size;

        if (!get_split(ram, boot_params + BP_RAMDISK_IMAGE, boot_params + BP_EXT_RAMDISK_IMAGE,
                            &address) ||
                        !get_split(ram, boot_params + BP_RAMDISK_SIZE,
                                        boot_params + BP_EXT_RAMDISK_SIZE, &size))
                return false;
        *ret = SPAN(NULL, 0);
        return size == 0 || (is_committed(ram, address, size) && ram_view(ram, address, size, ret));
}

static int check_initrd(const struct ram *ram, uint64_t boot_params, struct error *error)
{
        struct span ignored;

        if (boot_params_initrd(ram, boot_params, &ignored))
                return 0;
        return error_set(error, EINVAL, "boot_params: the initrd isn't in guest RAM");
}

static int check_efi_info(const struct ram *ram, uint64_t boot_params, struct error *error)
{
        uint64_t map;
        uint32_t size, descriptor_size, version;

        if (!get_split(ram, boot_params + BP_EFI_MEMMAP, boot_params + BP_EFI_MEMMAP_HI, &map) ||
                        !ram_get_u32(ram, boot_params + BP_EFI_MEMMAP_SIZE, &size) ||
                        !ram_get_u32(ram, boot_params + BP_EFI_DESCRIPTOR_SIZE, &descriptor_size) ||
                        !ram_get_u32(ram, boot_params + BP_EFI_DESCRIPTOR_VERSION, &version))
                return error_set(error, EINVAL, "boot_params isn't in guest RAM");
        if (descriptor_size < 40 || descriptor_size > 256 || descriptor_size % 8 != 0 ||
                        version != 1 || size == 0 || size % descriptor_size != 0 ||
                        !is_committed(ram, map, size))
                return error_set(error, EINVAL, "boot_params: malformed EFI memory map");
        return 0;
}

int boot_params_check(const struct ram *ram, uint64_t address, const struct fw_memory_range *memory,
                size_t n, struct error *error)
{
        _cleanup_free_ struct e820_map *map = malloc(sizeof(*map));
        struct node nodes[BOOT_PARAMS_MAX_NODES];
        size_t n_nodes;
        int r;

        if (!map)
                return error_set(error, ENOMEM, "out of memory");
        if (!is_committed(ram, address, BOOT_PARAMS_SIZE))
                return error_set(error, EINVAL, "boot_params isn't in guest RAM");
        r = read_chain(ram, address, nodes, &n_nodes, error);
        if (r == 0)
                r = read_e820(ram, address, nodes, n_nodes, map, error);
        if (r == 0)
                r = check_ram(map, memory, n, error);
        if (r == 0)
                r = check_command_line(ram, address, error);
        if (r == 0)
                r = check_initrd(ram, address, error);
        if (r == 0)
                r = check_efi_info(ram, address, error);
        if (r == 0 && boot_params_secure_boot(ram, address) > SECURE_BOOT_ENABLED)
                r = error_set(error, EINVAL, "boot_params: secure_boot %u",
                                boot_params_secure_boot(ram, address));
        return r;
}

/* ---- completing ---- */

/* Takes E820_EXT nodes out of the chain; ours replaces them. Returns false on a broken write. */
static bool unlink_e820_nodes(
                struct ram *ram, uint64_t boot_params, const struct node *nodes, size_t n)
{
        uint64_t link = boot_params + BP_SETUP_DATA;

        for (size_t i = 0; i < n; i++) {
                if (nodes[i].type == SETUP_E820_EXT) {
                        if (!ram_put_u64(ram, link, nodes[i].next))
                                return false;
                } else {
                        link = nodes[i].address;
                }
        }
        return true;
}

static bool write_e820_entries(
                struct ram *ram, uint64_t address, const struct e820_entry *entries, size_t n)
{
        for (size_t i = 0; i < n; i++, address += E820_ENTRY_SIZE)
                if (!ram_put_u64(ram, address, entries[i].start) ||
                                !ram_put_u64(ram, address + 8, entries[i].size) ||
                                !ram_put_u32(ram, address + 16, entries[i].type))
                        return false;
        return true;
}

/* Puts a node, whose type and length are there, at the head of the chain. */
static bool link_node(struct ram *ram, uint64_t boot_params, uint64_t node)
{
        uint64_t head;

        return ram_get_u64(ram, boot_params + BP_SETUP_DATA, &head) &&
               ram_put_u64(ram, node, head) && ram_put_u64(ram, boot_params + BP_SETUP_DATA, node);
}

static int write_e820(struct ram *ram, uint64_t boot_params, const struct e820_map *map,
                const struct boot_params_completion *c, struct error *error)
{
        size_t n_table = map->n < E820_TABLE_SLOTS ? map->n : E820_TABLE_SLOTS,
               n_rest = map->n - n_table;
        uint64_t length = n_rest * E820_ENTRY_SIZE;
        bool ok;

        if (n_rest > 0 && c->spare_size < SETUP_NODE_HEADER + length)
                return error_set(error, ENOSPC, "no room for %zu more e820 entries", n_rest);
        ok = ram_zero(ram, boot_params + BP_E820_TABLE, E820_TABLE_SLOTS * E820_ENTRY_SIZE) &&
             write_e820_entries(ram, boot_params + BP_E820_TABLE, map->entries, n_table) &&
             ram_put_u8(ram, boot_params + BP_E820_ENTRIES, (uint8_t)n_table);
        if (ok && n_rest > 0)
                ok = ram_put_u32(ram, c->spare + 8, SETUP_E820_EXT) &&
                     ram_put_u32(ram, c->spare + 12, (uint32_t)length) &&
                     write_e820_entries(ram, c->spare + SETUP_NODE_HEADER, map->entries + n_table,
                                     n_rest) &&
                     link_node(ram, boot_params, c->spare);
        return ok ? 0 : error_set(error, EINVAL, "boot_params can't be written");
}

static int retype_taken(struct ram *ram, uint64_t address, const struct boot_params_completion *c,
                struct error *error)
{
        _cleanup_free_ struct e820_map *map = malloc(sizeof(*map));
        struct node nodes[BOOT_PARAMS_MAX_NODES];
        size_t n_nodes;
        int r;

        if (!map)
                return error_set(error, ENOMEM, "out of memory");
        r = read_chain(ram, address, nodes, &n_nodes, error);
        if (r == 0)
                r = read_e820(ram, address, nodes, n_nodes, map, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->n_taken; i++)
                if (!e820_retype(map, c->taken[i].start, c->taken[i].end, E820_RAM,
                                    e820_type_of_efi(c->taken[i].type)))
                        return error_set(error, EINVAL, "boot_params: e820 has no RAM at 0x%llx",
                                        (unsigned long long)c->taken[i].start);
        if (!unlink_e820_nodes(ram, address, nodes, n_nodes))
                return error_set(error, EINVAL, "boot_params can't be written");
        return write_e820(ram, address, map, c, error);
}

int boot_params_complete(struct ram *ram, uint64_t address, const struct boot_params_completion *c,
                struct error *error)
{
        uint64_t rsdp;
        bool ok;
        int r = retype_taken(ram, address, c, error);

        if (r < 0)
                return r;
        ok = put_split(ram, address + BP_EFI_SYSTAB, address + BP_EFI_SYSTAB_HI, c->system_table) &&
             put_split(ram, address + BP_EFI_MEMMAP, address + BP_EFI_MEMMAP_HI, c->efi_map) &&
             ram_put_u32(ram, address + BP_EFI_MEMMAP_SIZE, c->efi_map_size) &&
             ram_put_u32(ram, address + BP_EFI_DESCRIPTOR_SIZE, c->efi_descriptor_size) &&
             ram_put_u32(ram, address + BP_EFI_DESCRIPTOR_VERSION, EFI_MEMORY_DESCRIPTOR_VERSION);
        for (size_t i = 0; ok && i < c->n_nodes; i++)
                ok = link_node(ram, address, c->nodes[i]);
        if (ok && c->acpi_rsdp != 0)
                ok = ram_get_u64(ram, address + BP_ACPI_RSDP, &rsdp) &&
                     (rsdp != 0 || ram_put_u64(ram, address + BP_ACPI_RSDP, c->acpi_rsdp));
        if (ok && c->screen_info.size == SCREEN_INFO_SIZE)
                ok = ram_write(ram, address + BP_SCREEN_INFO, c->screen_info.data,
                                SCREEN_INFO_SIZE);
        return ok ? 0 : error_set(error, EINVAL, "boot_params can't be written");
}

bool boot_params_put_node(struct ram *ram, uint64_t address, uint32_t type, struct span data)
{
        return ram_put_u64(ram, address, 0) && ram_put_u32(ram, address + 8, type) &&
               ram_put_u32(ram, address + 12, (uint32_t)data.size) &&
               ram_write(ram, address + SETUP_NODE_HEADER, data.data, data.size);
}

bool boot_params_put_setup_efi(struct ram *ram, uint64_t address, uint64_t vendor, uint64_t tables)
{
        /* u64 fw_vendor, unused, tables, smbios, reserved[8]; smbios 0: the table's own address is
         * right */
        return ram_zero(ram, address, SETUP_EFI_NODE_SIZE) &&
               ram_put_u32(ram, address + 8, SETUP_EFI) &&
               ram_put_u32(ram, address + 12, SETUP_EFI_NODE_SIZE - SETUP_NODE_HEADER) &&
               ram_put_u64(ram, address + SETUP_NODE_HEADER, vendor) &&
               ram_put_u64(ram, address + SETUP_NODE_HEADER + 16, tables);
}

uint8_t boot_params_secure_boot(const struct ram *ram, uint64_t address)
{
        uint8_t value;

        return ram_get_u8(ram, address + BP_SECURE_BOOT, &value) ? value : SECURE_BOOT_UNSET;
}

/* ---- the running kernel's page, as /sys/kernel/boot_params/data shows it ---- */

void boot_params_of_host(struct span page, struct boot_params_host *ret)
{
        struct cursor c;
        struct span field;

        *ret = (struct boot_params_host){0};
        if (page.size < BOOT_PARAMS_SIZE)
                return;
        if (span_sub(page, BP_ACPI_RSDP, 8, &field)) {
                c = CURSOR(field);
                (void)cursor_u64(&c, &ret->acpi_rsdp);
        }
        if (page.data[BP_SECURE_BOOT] <= SECURE_BOOT_ENABLED)
                ret->secure_boot = page.data[BP_SECURE_BOOT];
        ret->without_efi = memcmp(page.data + BP_EFI_INFO, "EL64", 4) != 0 &&
                           memcmp(page.data + BP_EFI_INFO, "EL32", 4) != 0;
        memcpy(ret->screen_info, page.data + BP_SCREEN_INFO, SCREEN_INFO_SIZE);
        ret->is_efi_framebuffer = ret->screen_info[0x0f] == VIDEO_TYPE_EFI;
        ret->by_kexec = page.data[BP_TYPE_OF_LOADER] >> 4 == LOADER_ID_KEXEC;
}
