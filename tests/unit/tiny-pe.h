/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small PE32+ application, made by hand, for tests that load one or a forged one: .text at
 * 0x1000, .data at 0x2000 with pointers that have base relocations, .reloc at 0x4000. */
#pragma once

#include <stdint.h>
#include <string.h>

enum {
        TINY_PE = 0x40,
        TINY_OPTIONAL = TINY_PE + 24,
        TINY_SECTIONS = TINY_OPTIONAL + 240,
        TINY_RELOC_DIRECTORY = TINY_OPTIONAL + 112 + 8 * 5,
        TINY_TEXT_AT = 0x400,
        TINY_DATA_AT = 0x600,
        TINY_RELOC_AT = 0x800,
        TINY_BYTES = 0xa00,
        TINY_IMAGE_BYTES = 0x5000,
        TINY_BASE = 0x400000,
};

static inline void tiny_put16(uint8_t *at, unsigned value)
{
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)(value >> 8);
}

static inline void tiny_put32(uint8_t *at, uint32_t value)
{
        tiny_put16(at, value & 0xffff);
        tiny_put16(at + 2, value >> 16);
}

static inline void tiny_put64(uint8_t *at, uint64_t value)
{
        tiny_put32(at, (uint32_t)value);
        tiny_put32(at + 4, (uint32_t)(value >> 32));
}

static inline void tiny_section(uint8_t *file, unsigned i, const char *name, uint32_t address,
                uint32_t size, uint32_t offset, uint32_t raw_size)
{
        uint8_t *at = file + TINY_SECTIONS + 40 * i;

        memset(at, 0, 40);
        memcpy(at, name, strlen(name));
        tiny_put32(at + 8, size);
        tiny_put32(at + 12, address);
        tiny_put32(at + 16, raw_size);
        tiny_put32(at + 20, offset);
        tiny_put32(at + 36, 0xe0000020);
}

static inline void tiny_pe(uint8_t file[TINY_BYTES])
{
        uint8_t *reloc = file + TINY_RELOC_AT;

        memset(file, 0, TINY_BYTES);
        memcpy(file, "MZ", 2);
        tiny_put32(file + 0x3c, TINY_PE);
        memcpy(file + TINY_PE, "PE\0\0", 4);
        tiny_put16(file + TINY_PE + 4, 0x8664);
        tiny_put16(file + TINY_PE + 6, 3);
        tiny_put16(file + TINY_PE + 20, 240);
        tiny_put16(file + TINY_OPTIONAL, 0x20b);
        tiny_put32(file + TINY_OPTIONAL + 16, 0x1000);
        tiny_put64(file + TINY_OPTIONAL + 24, TINY_BASE);
        tiny_put32(file + TINY_OPTIONAL + 32, 0x1000);
        tiny_put32(file + TINY_OPTIONAL + 36, 0x200);
        tiny_put32(file + TINY_OPTIONAL + 56, TINY_IMAGE_BYTES);
        tiny_put32(file + TINY_OPTIONAL + 60, 0x400);
        tiny_put16(file + TINY_OPTIONAL + 68, 10);
        tiny_put32(file + TINY_OPTIONAL + 108, 16);
        tiny_put32(file + TINY_RELOC_DIRECTORY, 0x4000);
        tiny_put32(file + TINY_RELOC_DIRECTORY + 4, 16);
        tiny_section(file, 0, ".text", 0x1000, 0x100, TINY_TEXT_AT, 0x200);
        tiny_section(file, 1, ".data", 0x2000, 0x2000, TINY_DATA_AT, 0x200);
        tiny_section(file, 2, ".reloc", 0x4000, 16, TINY_RELOC_AT, 0x200);
        memset(file + TINY_TEXT_AT, 0xc3, 0x200);
        tiny_put64(file + TINY_DATA_AT, TINY_BASE + 0x1000);
        tiny_put64(file + TINY_DATA_AT + 8, TINY_BASE + 0x2345);
        tiny_put64(file + TINY_DATA_AT + 16, 0x1111111111111111);
        tiny_put32(reloc, 0x2000);
        tiny_put32(reloc + 4, 16);
        tiny_put16(reloc + 8, 10 << 12 | 0);
        tiny_put16(reloc + 10, 10 << 12 | 8);
        tiny_put16(reloc + 12, 10 << 12 | 0xffc); /* 8 bytes across the end of the page, all zero */
        tiny_put16(reloc + 14, 0);
}
