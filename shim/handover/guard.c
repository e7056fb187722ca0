/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/guard.h"

#include <string.h>

extern const uint8_t guard_code[], guard_end[];

#define MIB (1ull << 20)
#define GIB (1ull << 30)

void guard_build(uint8_t page[GUARD_SIZE])
{
        memset(page, 0xcc, GUARD_SIZE); /* int3: a stray jump into it resets, too */
        memcpy(page, guard_code, (size_t)(guard_end - guard_code));
}

bool guard_choose_page(const struct fw_memory_range *memory, size_t n, uint64_t *ret)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t start = memory[i].start < MIB ? MIB : memory[i].start;

                if (memory[i].type != EfiConventionalMemory)
                        continue;
                if (start < memory[i].end && memory[i].end - start >= GUARD_SIZE &&
                                start <= 4 * GIB - GUARD_SIZE) {
                        *ret = start;
                        return true;
                }
        }
        return false;
}
