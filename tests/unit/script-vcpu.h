/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A vCPU whose guest is a C function: it is asked for the next thing that the guest does, each time
 * the firmware lets it run, and does it to the registers. So the whole dispatcher is tested without
 * a guest process. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/firmware/dispatch.h"

enum script_kind {
        SCRIPT_CALL,       /* calls the row of a service table */
        SCRIPT_RETURN,     /* returns value from the function that the firmware called */
        SCRIPT_PRIVILEGED, /* stops with #GP at rip = value */
        SCRIPT_EXIT,       /* some other stop: value is the enum vcpu_exit_kind */
        SCRIPT_BROKEN,     /* the back end fails */
};

struct script_step {
        enum script_kind kind;
        const struct fw_service *row;
        uint64_t args[FW_MAX_ARGS];
        size_t n_args;
        uint64_t value;
};

#define SCRIPT_MAX_DEPTH 64

struct script_vcpu {
        struct vcpu vcpu;
        struct firmware *fw;
        struct vcpu_regs regs;
        bool (*next)(struct script_vcpu *s,
                        struct script_step *step); /* false: SCRIPT_RETURN of 0 */
        void *arg;
        uint64_t called;                   /* function that the firmware called, at the last run */
        uint64_t result;                   /* RAX when the last service returned */
        uint64_t frames[SCRIPT_MAX_DEPTH]; /* RSP at the entry of each function of the guest that is
                                              active */
        unsigned depth;
};

#define SCRIPT_BACK 0x1234500ull /* no thunk, no memory: only the script goes on there */

static inline int script_run(struct vcpu *v, struct vcpu_exit *exit, struct error *error)
{
        struct script_vcpu *s = (struct script_vcpu *)v;
        struct script_step step = {.kind = SCRIPT_RETURN};

        if (s->regs.r[VCPU_RIP] == SCRIPT_BACK)
                s->result = s->regs.r[VCPU_RAX];
        else if (s->depth < SCRIPT_MAX_DEPTH) {
                s->called = s->regs.r[VCPU_RIP];
                s->frames[s->depth++] = s->regs.r[VCPU_RSP];
        }
        /* Exit left functions whose frames are below. */
        while (s->depth > 1 && s->frames[s->depth - 1] < s->regs.r[VCPU_RSP])
                s->depth--;
        if (!s->next(s, &step))
                step = (struct script_step){.kind = SCRIPT_RETURN};
        *exit = (struct vcpu_exit){.kind = VCPU_EXIT_PRIVILEGED, .code64 = true};
        switch (step.kind) {
        case SCRIPT_CALL:
                s->regs.r[VCPU_RSP] = (s->frames[s->depth - 1] - 512) & ~15ull;
                for (size_t i = 0; i < step.n_args; i++)
                        (void)ram_put_u64(s->fw->ram, s->regs.r[VCPU_RSP] + 8 * i, step.args[i]);
                s->regs.r[VCPU_RCX] = step.args[0];
                s->regs.r[VCPU_RDX] = step.args[1];
                s->regs.r[VCPU_R8] = step.args[2];
                s->regs.r[VCPU_R9] = step.args[3];
                s->regs.r[VCPU_RSP] -= 8;
                (void)ram_put_u64(s->fw->ram, s->regs.r[VCPU_RSP], SCRIPT_BACK);
                s->regs.r[VCPU_RIP] = fw_thunk(s->fw, step.row);
                break;
        case SCRIPT_RETURN:
                s->regs.r[VCPU_RAX] = step.value;
                s->regs.r[VCPU_RSP] = s->frames[s->depth - 1];
                (void)ram_get_u64(s->fw->ram, s->regs.r[VCPU_RSP], &s->regs.r[VCPU_RIP]);
                s->regs.r[VCPU_RSP] += 8;
                s->depth -= s->depth > 1;
                break;
        case SCRIPT_PRIVILEGED:
                s->regs.r[VCPU_RIP] = step.value;
                break;
        case SCRIPT_EXIT:
                exit->kind = (enum vcpu_exit_kind)step.value;
                snprintf(exit->text, sizeof(exit->text), "exit of kind %llu",
                                (unsigned long long)step.value);
                break;
        case SCRIPT_BROKEN:
                return error_set(error, EIO, "broken");
        }
        return 0;
}

static inline int script_get_regs(struct vcpu *v, struct vcpu_regs *regs)
{
        *regs = ((struct script_vcpu *)v)->regs;
        return 0;
}

static inline int script_set_regs(struct vcpu *v, const struct vcpu_regs *regs)
{
        ((struct script_vcpu *)v)->regs = *regs;
        return 0;
}

static inline int script_nod(struct vcpu *v, uint64_t start, uint64_t end)
{
        (void)v, (void)start, (void)end;
        return 0;
}

static inline void script_free(struct vcpu *v)
{
        (void)v;
}

static const struct vcpu_ops script_ops = {.run = script_run,
                .get_regs = script_get_regs,
                .set_regs = script_set_regs,
                .open = script_nod,
                .close = script_nod,
                .free = script_free};

static inline const struct fw_service *script_row(const char *name)
{
        for (size_t i = 0; i < fw_n_boot_services; i++)
                if (strcmp(fw_boot_services[i].name, name) == 0)
                        return fw_boot_services + i;
        for (size_t i = 0; i < fw_n_runtime_services; i++)
                if (strcmp(fw_runtime_services[i].name, name) == 0)
                        return fw_runtime_services + i;
        abort();
}

#define SCRIPT_MEMORY_START 0x100000ull
#define SCRIPT_MEMORY_END   0x1100000ull

/* A firmware of 16 MiB around the script. setup: payload and so on; memory and budget are set here.
 */
static inline int script_firmware(
                struct script_vcpu *s, struct firmware_setup *setup, struct error *error)
{
        static const struct fw_memory_range memory[] = {{SCRIPT_MEMORY_START, SCRIPT_MEMORY_END,
                        EfiConventionalMemory, EFI_MEMORY_WB, 0}};
        const struct ram_range range = {SCRIPT_MEMORY_START, SCRIPT_MEMORY_END};
        struct ram *ram;
        int r;

        s->vcpu.ops = &script_ops;
        setup->memory = memory;
        setup->n_memory = 1;
        setup->budget_bytes = 8u << 20;
        r = ram_new(&range, 1, setup->budget_bytes, &ram, error);
        return r < 0 ? r : firmware_new_on(setup, ram, &s->vcpu, &s->fw, error);
}
