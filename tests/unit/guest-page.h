/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest as a Linux stub leaves it, made by hand for unit tests and fuzz targets: boot_params with
 * command line, initrd, e820, a setup_data chain and an EFI memory map, in a small guest RAM. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/efi-types.h"
#include "shim/machine/ram.h"

#define GUEST_START       0x100000u
#define GUEST_END         0x2000000u
#define GUEST_PARAMS      0x200000u
#define GUEST_CMDLINE     0x201000u
#define GUEST_NODE        0x202000u /* SETUP_PCI-like, then one of type 9 */
#define GUEST_NODE2       0x203000u
#define GUEST_EFI_MAP     0x204000u
#define GUEST_INITRD      0x210000u
#define GUEST_INITRD_SIZE 0x5000u
#define GUEST_SYSTAB      0x1f00000u

/* Everything between 0x200000 and 0x220000 is committed. */
static inline bool guest_page_fill(struct ram *ram)
{
        uint64_t p = GUEST_PARAMS;
        static const struct {
                uint64_t start, size;
                uint32_t type;
        } e820[] = {{0x0, 0xa0000, 1}, {GUEST_START, GUEST_END - GUEST_START, 1},
                        {0x2000000, 0x10000, 4}};
        bool ok = ram_write(ram, p + 0x1c0, "EL64", 4) &&
                  ram_put_u32(ram, p + 0x1c4, GUEST_SYSTAB) && ram_put_u32(ram, p + 0x1c8, 48) &&
                  ram_put_u32(ram, p + 0x1cc, 1) && ram_put_u32(ram, p + 0x1d0, GUEST_EFI_MAP) &&
                  ram_put_u32(ram, p + 0x1d4, 3 * 48) && ram_put_u8(ram, p + 0x1e8, 3) &&
                  ram_put_u8(ram, p + 0x1ec, 2) && ram_put_u32(ram, p + 0x218, GUEST_INITRD) &&
                  ram_put_u32(ram, p + 0x21c, GUEST_INITRD_SIZE) &&
                  ram_put_u32(ram, p + 0x228, GUEST_CMDLINE) &&
                  ram_put_u64(ram, p + 0x250, GUEST_NODE) &&
                  ram_write(ram, GUEST_CMDLINE, "root=/dev/vda quiet", 20) &&
                  ram_put_u64(ram, GUEST_NODE, GUEST_NODE2) &&
                  ram_put_u32(ram, GUEST_NODE + 8, 3) && ram_put_u32(ram, GUEST_NODE + 12, 64) &&
                  ram_put_u32(ram, GUEST_NODE2 + 8, 9) && ram_put_u32(ram, GUEST_NODE2 + 12, 32);

        for (size_t i = 0; i < sizeof(e820) / sizeof(e820[0]); i++)
                ok = ok && ram_put_u64(ram, p + 0x2d0 + 20 * i, e820[i].start) &&
                     ram_put_u64(ram, p + 0x2d8 + 20 * i, e820[i].size) &&
                     ram_put_u32(ram, p + 0x2e0 + 20 * i, e820[i].type);
        return ok;
}
