/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* struct boot_params of the Linux/x86 boot protocol, in guest RAM: found after the hand-over,
 * checked as the untrusted input that it is, and completed with what the stub can't know
 * (Documentation/arch/x86/{boot,zero-page}.rst). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "shim/firmware/firmware.h"
#include "shim/machine/ram.h"
#include "shim/machine/vcpu.h"

#define BOOT_PARAMS_SIZE      4096u
#define BOOT_PARAMS_MAX_NODES 64u /* of the setup_data chain */
#define SETUP_E820_EXT        1u
#define SETUP_PCI             3u
#define SETUP_EFI             4u
#define SETUP_NODE_HEADER     16u /* u64 next, u32 type, u32 length */
#define SETUP_EFI_NODE_SIZE   (SETUP_NODE_HEADER + 96u)
#define SCREEN_INFO_SIZE      64u

enum { SECURE_BOOT_UNSET, SECURE_BOOT_UNKNOWN, SECURE_BOOT_DISABLED, SECURE_BOOT_ENABLED };

/* Where it is: "EL64" at +0x1c0 with our system table's address, looked for at RDI, RSI, RBX, RBP
 * first (what the stubs hold there), then in all allocated pages. -ENOENT: none (not a Linux stub);
 * -EINVAL: more than one and no register tells which. */
int boot_params_find(const struct ram *ram, const struct vcpu_regs *regs, uint64_t system_table,
                const struct fw_memory_range *allocations, size_t n, uint64_t *ret,
                struct error *error);

/* Everything that the second kernel follows before it can defend itself: counts, setup_data chain,
 * command line, initrd and EFI memory map inside guest RAM; e820 sorted and RAM only where `memory`
 * has RAM (firmware_memory_map). */
int boot_params_check(const struct ram *ram, uint64_t address, const struct fw_memory_range *memory,
                size_t n, struct error *error);

/* What the second kernel is given besides itself, once boot_params has passed the check: the
 * command line without its NUL is appended to *ret; the initrd is a view of guest RAM, empty if
 * there is none. */
bool boot_params_command_line(const struct ram *ram, uint64_t address, struct buf *ret);
bool boot_params_initrd(const struct ram *ram, uint64_t address, struct span *ret);

struct boot_params_completion {
        uint64_t system_table; /* the second kernel's */
        uint64_t efi_map;      /* its EFI memory map: address, bytes */
        uint32_t efi_map_size;
        uint32_t efi_descriptor_size;
        const uint64_t *nodes; /* setup_data of ours to put first: type and length are there */
        size_t n_nodes;
        uint64_t acpi_rsdp;                  /* if the stub left it 0; 0: leave */
        struct span screen_info;             /* SCREEN_INFO_SIZE bytes, or empty: leave */
        const struct fw_memory_range *taken; /* RAM that is of another type from now on */
        size_t n_taken;
        uint64_t spare; /* committed pages for a SETUP_E820_EXT node of ours */
        uint64_t spare_size;
};

/* boot_params must have passed the check. -ENOSPC: e820 can't take it; -EINVAL: taken isn't RAM
 * there. */
int boot_params_complete(struct ram *ram, uint64_t address, const struct boot_params_completion *c,
                struct error *error);

/* Writes a setup_data node that is in no chain yet. */
bool boot_params_put_node(struct ram *ram, uint64_t address, uint32_t type, struct span data);
/* Writes a SETUP_EFI node (kernel: struct efi_setup_data); addresses are physical. */
bool boot_params_put_setup_efi(struct ram *ram, uint64_t address, uint64_t vendor, uint64_t tables);

uint8_t boot_params_secure_boot(const struct ram *ram, uint64_t address);

/* What the running kernel's own page says (/sys/kernel/boot_params/data); zeros if it is too short.
 */
struct boot_params_host {
        uint64_t acpi_rsdp;
        uint8_t secure_boot;
        bool without_efi;        /* no EFI loader filled in efi_info: a BIOS boot */
        bool is_efi_framebuffer; /* screen_info describes one (VIDEO_TYPE_EFI) */
        uint8_t screen_info[SCREEN_INFO_SIZE];
        bool by_kexec; /* kexec-tools or kexec_file_load made it, not an EFI stub or boot loader */
};
void boot_params_of_host(struct span page, struct boot_params_host *ret);
