/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The instruction decoder on arbitrary bytes: it reads nothing beyond them, changes registers only
 * when it says so, and its length and name are within bounds. Input: one byte (bit 0: 64-bit code),
 * then the bytes at rip; rcx and rdx, which names and ports depend on, are made from the last ones.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shim/machine/instruction.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span bytes, bool code64)
{
        struct vcpu_regs regs, before;
        struct instruction found;
        enum instruction_result result;

        for (int i = 0; i < VCPU_REGS; i++)
                regs.r[i] = 0x9e3779b97f4a7c15ull * (uint64_t)(i + 1);
        if (bytes.size >= 4) {
                memcpy(&regs.r[VCPU_RCX], bytes.data + bytes.size - 4, 4);
                memcpy(&regs.r[VCPU_RDX], bytes.data + bytes.size - 2, 2);
        }
        before = regs;
        result = instruction_emulate(bytes, code64, &regs, &found);

        assert(found.length <= 15 && found.length <= bytes.size);
        assert(memchr(found.name, '\0', sizeof(found.name)));
        assert(strpbrk(found.name, "{}") == NULL);
        assert((found.name[0] != '\0') == (found.length > 0));
        switch (result) {
        case INSTRUCTION_EMULATED:
                assert(code64 && found.length > 0);
                /* A destination may be any general register, rip and rflags never. */
                assert(regs.r[VCPU_RIP] == before.r[VCPU_RIP] + found.length);
                assert(regs.r[VCPU_RFLAGS] == before.r[VCPU_RFLAGS]);
                break;
        case INSTRUCTION_REFUSED:
                assert(code64 && found.length > 0);
                assert(memcmp(&regs, &before, sizeof(regs)) == 0);
                break;
        case INSTRUCTION_UNKNOWN:
                assert(memcmp(&regs, &before, sizeof(regs)) == 0);
                break;
        default:
                assert(false);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        check(SPAN(data + 1, size - 1), data[0] & 1);
        return 0;
}
