/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/trampoline.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"

extern const uint8_t trampoline_code[], trampoline_jobs[], trampoline_params[], trampoline_end[];

/* Offsets in the parameter block, as trampoline.S reads it. */
#define PARAM_N_JOBS (VCPU_REGS * 8)
#define PARAM_JOBS   (PARAM_N_JOBS + 8)
#define PARAM_SIZE   (PARAM_JOBS + TRAMPOLINE_MAX_JOBS * 24)

static_assert(VCPU_RFLAGS == 17 && VCPU_REGS == 18, "trampoline.S counts on it");

/* CF PF AF ZF SF DF OF; bit 1 is always set. IF stays clear: there is no IDT. */
#define RFLAGS_KEPT  0xcd5u
#define RFLAGS_FIXED 0x2u

static size_t params_offset(void)
{
        return (size_t)(trampoline_params - trampoline_code);
}

static void put_u64(uint8_t *to, uint64_t value)
{
        for (unsigned i = 0; i < 8; i++)
                to[i] = (uint8_t)(value >> (8 * i));
}

size_t trampoline_jobs_offset(void)
{
        return (size_t)(trampoline_jobs - trampoline_code);
}

void trampoline_build(const struct vcpu_regs *regs, uint8_t page[TRAMPOLINE_SIZE])
{
        uint8_t *params = page + params_offset();

        memset(page, 0, TRAMPOLINE_SIZE);
        memcpy(page, trampoline_code, params_offset());
        for (unsigned i = 0; i < VCPU_REGS; i++)
                put_u64(params + 8 * i, regs->r[i]);
        put_u64(params + 8 * VCPU_RFLAGS, (regs->r[VCPU_RFLAGS] & RFLAGS_KEPT) | RFLAGS_FIXED);
}

bool trampoline_set_jobs(uint8_t page[TRAMPOLINE_SIZE], const struct trampoline_job *jobs, size_t n)
{
        uint8_t *params = page + params_offset();

        if (n > TRAMPOLINE_MAX_JOBS)
                return false;
        for (size_t i = 0; i < n; i++)
                if (jobs[i].destination > UINT64_MAX - jobs[i].n_bytes ||
                                jobs[i].source > UINT64_MAX - jobs[i].n_bytes)
                        return false;
        memset(params + PARAM_N_JOBS, 0, PARAM_SIZE - PARAM_N_JOBS);
        put_u64(params + PARAM_N_JOBS, n);
        for (size_t i = 0; i < n; i++) {
                put_u64(params + PARAM_JOBS + 24 * i, jobs[i].destination);
                put_u64(params + PARAM_JOBS + 24 * i + 8, jobs[i].source);
                put_u64(params + PARAM_JOBS + 24 * i + 16, jobs[i].n_bytes);
        }
        return true;
}

bool trampoline_is(struct span page)
{
        static_assert(PARAM_SIZE < TRAMPOLINE_SIZE, "the parameters are in the page");

        if (page.size < TRAMPOLINE_SIZE ||
                        (size_t)(trampoline_end - trampoline_code) > TRAMPOLINE_SIZE)
                return false;
        return memcmp(page.data, trampoline_code, params_offset()) == 0 &&
               page.data[params_offset() + PARAM_N_JOBS] <= TRAMPOLINE_MAX_JOBS;
}
