/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small machine with a real guest process, for test-machine.c and test-guest-*.c: guest
 * programs are assembled into the test and run as the payload would. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/machine/ram.h"
#include "shim/machine/vcpu.h"
#include "tests/unit/tap.h"

#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define TIB  (1ull << 40)
#define CODE 0x200000ull
#define DATA 0x201000ull
#define AWAY 0x300000ull /* RAM that nobody opened */

/* Guest programs. They end in hlt so that a test which goes wrong stops, too. */
#define PROGRAM(name, text)                        \
        extern const uint8_t name[], name##_end[]; \
        __asm__(".pushsection .rodata\n" #name ":\n" text "\nhlt\n" #name "_end:\n.popsection\n")

/* A machine of three ranges with one page of code and one of stack and data. */
struct machine {
        struct ram *ram;
        struct vcpu *vcpu;
        struct error error;
        struct vcpu_exit exit;
};

static const struct ram_range plain_map[] = {
                {0x10000, 0x90000},
                {0x100000, 64 * MIB},
                {4 * GIB, 6 * GIB},
};

static inline void machine_release(struct machine *m)
{
        if (m->vcpu)
                vcpu_free(m->vcpu);
        ram_free(m->ram);
}

#define _cleanup_machine_ __attribute__((cleanup(machine_release)))

static inline int machine_map(
                struct machine *m, const struct ram_range *map, size_t n, uint64_t deadline_ms)
{
        int r = ram_new(map, n, 64 * MIB, &m->ram, &m->error);

        if (r == 0)
                r = vcpu_ptrace_new(m->ram, deadline_ms, &m->vcpu, &m->error);
        if (r < 0)
                printf("# %s\n", m->error.text);
        return r;
}

static inline int machine_new(struct machine *m)
{
        return machine_map(m, plain_map, ARRAY_SIZE(plain_map), 10000);
}

static inline bool machine_open(struct machine *m, uint64_t start, uint64_t end)
{
        return ram_commit(m->ram, start, end) == 0 && vcpu_open(m->vcpu, start, end) == 0;
}

static inline bool machine_load(
                struct machine *m, const uint8_t *code, const uint8_t *end, uint64_t rdi)
{
        struct vcpu_regs regs = {
                        .r[VCPU_RIP] = CODE, .r[VCPU_RSP] = DATA + 0x1000, .r[VCPU_RDI] = rdi};

        return machine_open(m, CODE, DATA + 0x1000) &&
               ram_write(m->ram, CODE, code, (size_t)(end - code)) &&
               vcpu_set_regs(m->vcpu, &regs) == 0;
}

static inline int machine_run(struct machine *m)
{
        int r = vcpu_run(m->vcpu, &m->exit, &m->error);

        if (r < 0)
                printf("# run: %s\n", m->error.text);
        return r;
}

static inline uint64_t get_reg(struct machine *m, int index)
{
        struct vcpu_regs regs = {0};

        CHECK(vcpu_get_regs(m->vcpu, &regs) == 0);
        return regs.r[index];
}

static inline bool set_reg(struct machine *m, int index, uint64_t value)
{
        struct vcpu_regs regs;

        if (vcpu_get_regs(m->vcpu, &regs) < 0)
                return false;
        regs.r[index] = value;
        return vcpu_set_regs(m->vcpu, &regs) == 0;
}

#define LOAD(m, program, rdi) machine_load((m), program, program##_end, (rdi))

/* Starts a new machine with the program and runs it to its first exit. */
#define START(m, program, rdi)          \
        REQUIRE(machine_new(m) == 0);   \
        REQUIRE(LOAD(m, program, rdi)); \
        REQUIRE(machine_run(m) == 0)

/* The one child of ours, found as an outsider would. */
static inline pid_t find_child(void)
{
        DIR *dir = opendir("/proc");
        pid_t found = 0;

        for (struct dirent *e; dir && (e = readdir(dir));) {
                char path[300], text[256] = "", *end;
                FILE *f;
                int parent = 0;

                snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
                f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
                if (!f)
                        continue;
                if (fgets(text, sizeof(text), f) && (end = strrchr(text, ')')) &&
                                sscanf(end, ") %*c %d", &parent) == 1 && parent == getpid())
                        found = atoi(e->d_name);
                fclose(f);
        }
        if (dir)
                closedir(dir);
        return found;
}
