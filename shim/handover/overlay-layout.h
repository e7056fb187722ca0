/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What overlay.c writes and overlay-code.c reads in the region: plain fixed-width structures,
 * offsets from the start of struct overlay_data. Freestanding; also included by overlay-stubs.S
 * (OVERLAY_ASM). */
#pragma once

#define OVERLAY_CODE_MAGIC     0x30564f4345584b4d /* "MKXECOV0" */
#define OVERLAY_DATA_MAGIC     0x31564f4345584b4d /* "MKXECOV1" */
#define OVERLAY_N_SLOTS        14                 /* of EFI_RUNTIME_SERVICES */
#define OVERLAY_TABLE_HEADER   24                 /* EFI_TABLE_HEADER */
#define OVERLAY_FIRMWARE_FIELD 8                  /* offset of firmware_runtime */

#ifndef OVERLAY_ASM
#include <stdint.h>

/* At the start of the code: where the service functions are, in the table's slot order. */
struct overlay_code_header {
        uint64_t magic;
        uint32_t size;                  /* of the code, a multiple of 4096; the data follow */
        uint32_t slot[OVERLAY_N_SLOTS]; /* offsets from the start of the code */
};

/* EFI_RUNTIME_SERVICES, UEFI 2.10, 4.5 */
struct overlay_runtime_table {
        uint64_t signature;
        uint32_t revision, header_size, crc32, reserved;
        uint64_t slot[OVERLAY_N_SLOTS];
};

struct overlay_data {
        uint64_t magic;
        uint64_t firmware_runtime; /* virtual address of the firmware's table, 0: none behind us */
        uint64_t code;         /* address of the region by which the table's slots go at present */
        uint64_t physical;     /* of the region */
        uint64_t n_bytes;      /* of the region, code included */
        uint32_t system_table; /* offset; SetVirtualAddressMap changes its RuntimeServices */
        uint32_t hidden, n_hidden; /* struct overlay_hidden[] */
        uint32_t shown, n_shown;   /* struct overlay_shown[] */
        uint32_t scratch, scratch_size;
        uint32_t pad;
        struct overlay_runtime_table runtime;
};

struct overlay_hidden {
        uint8_t vendor[16];
        uint32_t name;      /* offset of UTF-16 with NUL */
        uint32_t name_size; /* bytes, NUL included */
};

struct overlay_shown {
        uint8_t vendor[16];
        uint32_t name, name_size;
        uint32_t attributes;
        uint32_t data, data_size; /* size 0: there is no such variable (yet) */
        uint32_t pad;
};

_Static_assert(sizeof(struct overlay_runtime_table) == 136, "EFI_RUNTIME_SERVICES");
_Static_assert(sizeof(struct overlay_hidden) == 24 && sizeof(struct overlay_shown) == 40,
                "no holes");
_Static_assert(__builtin_offsetof(struct overlay_data, firmware_runtime) == OVERLAY_FIRMWARE_FIELD,
                "overlay-stubs.S counts on it");
#endif
