/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher: runs the guest until it stops, serves the service whose thunk it stopped at, and
 * goes on; or emulates a privileged instruction; or ends the run. Guest functions that a service
 * calls (image entry points, notify functions, LoadFile) run in the same loop, nested. */
#include "shim/firmware/dispatch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "shim/firmware/events.h"
#include "shim/firmware/image.h"
#include "shim/machine/instruction.h"

#define SHADOW_BYTES        32u    /* ms_abi: the callee's home space for its register arguments */
#define RFLAGS_DF_TF        0x500u /* must be clear at a call */
#define LONGEST_INSTRUCTION 15u
#define WHERE_BYTES         96u
#define WALL_TIME_FACTOR    4u /* of the run, to the time that the guest alone may take */

/* ms_abi order of integer arguments. */
static const int argument_registers[4] = {VCPU_RCX, VCPU_RDX, VCPU_R8, VCPU_R9};

void fw_end(struct firmware *fw, enum firmware_end_kind kind, EFI_STATUS status, const char *format,
                ...)
{
        va_list ap;

        if (fw->ended)
                return;
        fw->ended = true;
        fw->end.kind = kind;
        fw->end.status = status;
        (void)vcpu_get_regs(fw->vcpu, &fw->end.regs);
        va_start(ap, format);
        vsnprintf(fw->end.text, sizeof(fw->end.text), format, ap);
        va_end(ap);
}

void fw_stop(struct firmware *fw, const char *format, ...)
{
        char text[sizeof(fw->end.text)];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        fw_end(fw, FIRMWARE_STOPPED, EFI_ABORTED, "%s", text);
}

bool fw_stack_arg(struct firmware *fw, size_t i, uint64_t *ret)
{
        const struct vcpu_regs *regs;

        if (!fw->frame)
                return false;
        regs = &fw->frame->regs;
        if (i < ARRAY_SIZE(argument_registers)) {
                *ret = regs->r[argument_registers[i]];
                return true;
        }
        /* Behind the return address stand the home slots of the four registers, then the others. */
        return ram_get_u64(fw->ram, regs->r[VCPU_RSP] + 8 + 8 * i, ret);
}

static bool fetch_arguments(
                struct firmware *fw, const struct fw_service *service, uint64_t arg[FW_MAX_ARGS])
{
        for (size_t i = 0; i < FW_MAX_ARGS; i++) {
                arg[i] = 0;
                if (!service->args[i] || service->args[i] == '.')
                        break;
                if (!fw_stack_arg(fw, i, arg + i))
                        return false;
        }
        return true;
}

static int set_regs(struct firmware *fw, const struct vcpu_regs *regs)
{
        if (vcpu_set_regs(fw->vcpu, regs) >= 0)
                return 0;
        fw_stop(fw, "can't continue at 0x%llx", (unsigned long long)regs->r[VCPU_RIP]);
        return -ECANCELED;
}

/* `ret` with a result in RAX. */
static int return_to_guest(struct firmware *fw, struct vcpu_regs *regs, uint64_t result)
{
        uint64_t back;

        if (!ram_get_u64(fw->ram, regs->r[VCPU_RSP], &back)) {
                fw_stop(fw, "no return address at rsp 0x%llx",
                                (unsigned long long)regs->r[VCPU_RSP]);
                return -ECANCELED;
        }
        regs->r[VCPU_RAX] = result;
        regs->r[VCPU_RIP] = back;
        regs->r[VCPU_RSP] += 8;
        return set_regs(fw, regs);
}

static int serve(
                struct firmware *fw, const struct fw_service *service, const struct vcpu_regs *regs)
{
        struct fw_frame frame = {.parent = fw->frame, .service = service, .regs = *regs};
        uint64_t arg[FW_MAX_ARGS] = {0};
        EFI_STATUS status;
        int r = -ECANCELED;

        fw->frame = &frame;
        fw->n_calls++;
        if (fw->exited_boot_services && !service->at_runtime)
                fw_stop(fw, "%s was called after ExitBootServices", service->name);
        else if (!fetch_arguments(fw, service, arg))
                fw_stop(fw, "%s: the arguments at rsp 0x%llx aren't in memory", service->name,
                                (unsigned long long)regs->r[VCPU_RSP]);
        else {
                trace_enter(fw, &frame, arg);
                status = service->run(fw, arg);
                trace_leave(fw, &frame, arg, status);
                if (!fw->ended && !fw->unwind_to)
                        events_run_pending(fw);
                if (!fw->ended && !fw->unwind_to)
                        r = return_to_guest(fw, &frame.regs, status);
        }
        fw->frame = frame.parent;
        return r;
}

static struct span bytes_at(struct firmware *fw, uint64_t rip, uint8_t bytes[LONGEST_INSTRUCTION])
{
        uint64_t in_page = EFI_PAGE_SIZE - (rip & (EFI_PAGE_SIZE - 1));

        if (ram_read(fw->ram, rip, bytes, LONGEST_INSTRUCTION))
                return SPAN(bytes, LONGEST_INSTRUCTION);
        if (in_page < LONGEST_INSTRUCTION && ram_read(fw->ram, rip, bytes, in_page))
                return SPAN(bytes, in_page);
        return SPAN(bytes, 0);
}

/* "0x7f001234 (b.efi+0x1234)" */
static const char *describe(const struct firmware *fw, uint64_t address, char to[WHERE_BYTES])
{
        char image[64];

        if (image_locate(fw, address, image, sizeof(image)))
                snprintf(to, WHERE_BYTES, "0x%llx (%s)", (unsigned long long)address, image);
        else
                snprintf(to, WHERE_BYTES, "0x%llx", (unsigned long long)address);
        return to;
}

/* A #GP that isn't a thunk's. After ExitBootServices the first privileged instruction is where the
 * second kernel takes over: it isn't carried out here but again on the bare machine. */
static int privileged(struct firmware *fw, struct vcpu_regs *regs, bool code64)
{
        uint8_t bytes[LONGEST_INSTRUCTION];
        struct vcpu_regs after = *regs;
        struct instruction instruction = {0};
        char where[WHERE_BYTES];

        describe(fw, regs->r[VCPU_RIP], where);
        switch (instruction_emulate(
                        bytes_at(fw, regs->r[VCPU_RIP], bytes), code64, &after, &instruction)) {
        case INSTRUCTION_UNKNOWN:
                fw_stop(fw, "general protection fault at %s%s%s", where,
                                instruction.name[0] ? ": " : "", instruction.name);
                return -ECANCELED;
        case INSTRUCTION_REFUSED:
                if (!fw->exited_boot_services) {
                        fw_stop(fw, "privileged instruction %s at %s before ExitBootServices",
                                        instruction.name, where);
                        return -ECANCELED;
                }
                break;
        case INSTRUCTION_EMULATED:
                if (!fw->exited_boot_services) {
                        fw_trace(fw, "  %s at %s: emulated", instruction.name, where);
                        return set_regs(fw, &after);
                }
                break;
        }
        fw_trace(fw, "  %s at %s: hand-over", instruction.name, where);
        fw_end(fw, FIRMWARE_HANDOVER, EFI_SUCCESS, "%s at %s", instruction.name, where);
        fw->end.regs = *regs;
        return -ECANCELED;
}

static void stopped(struct firmware *fw, const struct vcpu_exit *exit)
{
        struct vcpu_regs regs = {0};
        char image[64] = "";

        (void)vcpu_get_regs(fw->vcpu, &regs);
        (void)image_locate(fw, regs.r[VCPU_RIP], image, sizeof(image));
        fw_stop(fw, "%s%s%s%s%s", exit->text, *image ? ", at " : "", image,
                        fw->frame ? ", called by " : "", fw->frame ? fw->frame->service->name : "");
}

/* The vCPU's deadline is of processor time of the guest; what services cost comes on top. */
bool fw_out_of_time(struct firmware *fw)
{
        uint64_t allowed = fw->setup.deadline_ms * 10000u * WALL_TIME_FACTOR;

        if (!fw->setup.deadline_ms || !fw->started || fw_clock() - fw->started < allowed)
                return false;
        fw_stop(fw, "deadline: the payload and the services that it called took more than %llu s",
                        (unsigned long long)(allowed / 10000000u));
        return true;
}

/* Runs the guest until the function that was called with return_rsp - 8 as its stack pointer
 * returns. */
static int run_guest(struct firmware *fw, uint64_t return_rsp, uint64_t *ret)
{
        while (!fw->ended && !fw_out_of_time(fw)) {
                const struct fw_service *service;
                struct vcpu_exit exit = {0};
                struct error error = {0};
                struct vcpu_regs regs;
                int r = vcpu_run(fw->vcpu, &exit, &error);

                if (r < 0 || (exit.kind == VCPU_EXIT_PRIVILEGED &&
                                             vcpu_get_regs(fw->vcpu, &regs) < 0)) {
                        fw_stop(fw, "the guest process failed: %s",
                                        error.text[0] ? error.text : "no registers");
                        return -ECANCELED;
                }
                if (exit.kind != VCPU_EXIT_PRIVILEGED) {
                        stopped(fw, &exit);
                        return -ECANCELED;
                }
                if (!exit.code64 || !thunks_find(fw, regs.r[VCPU_RIP], &service))
                        r = privileged(fw, &regs, exit.code64);
                else if (service)
                        r = serve(fw, service, &regs);
                else if (regs.r[VCPU_RSP] != return_rsp) {
                        fw_stop(fw, "a function returned with rsp 0x%llx instead of 0x%llx",
                                        (unsigned long long)regs.r[VCPU_RSP],
                                        (unsigned long long)return_rsp);
                        return -ECANCELED;
                } else {
                        *ret = regs.r[VCPU_RAX];
                        return 0;
                }
                if (r < 0)
                        return r;
        }
        return -ECANCELED;
}

/* Registers and stack for a call: arguments, home space, return address; RSP + 8 is a multiple
 * of 16. */
static int prepare_call(struct firmware *fw, uint64_t function, const uint64_t *args, size_t n_args,
                uint64_t *ret_rsp)
{
        struct vcpu_regs regs = {0};
        uint64_t rsp = fw->frame ? fw->frame->regs.r[VCPU_RSP] : fw->stack_top;
        size_t n_stack = n_args > 4 ? n_args - 4 : 0;

        if (fw->frame)
                regs = fw->frame->regs;
        else if (vcpu_get_regs(fw->vcpu, &regs) < 0) {
                fw_stop(fw, "the guest process failed: no registers");
                return -ECANCELED;
        }
        rsp = (rsp - SHADOW_BYTES - 8 * n_stack) & ~15ull;
        for (size_t i = 0; i < n_args; i++) {
                if (i < ARRAY_SIZE(argument_registers))
                        regs.r[argument_registers[i]] = args[i];
                else if (!ram_put_u64(fw->ram, rsp + 8 * i, args[i]))
                        goto no_stack;
        }
        rsp -= 8;
        if (!ram_put_u64(fw->ram, rsp, thunks_return_address(fw)))
                goto no_stack;
        regs.r[VCPU_RIP] = function;
        regs.r[VCPU_RSP] = rsp;
        regs.r[VCPU_RFLAGS] &= ~(uint64_t)RFLAGS_DF_TF;
        *ret_rsp = rsp + 8;
        return set_regs(fw, &regs);

no_stack:
        fw_stop(fw, "no stack at rsp 0x%llx for a call", (unsigned long long)rsp);
        return -ECANCELED;
}

int fw_call(struct firmware *fw, uint64_t function, const uint64_t *args, size_t n_args,
                uint64_t *ret)
{
        uint64_t return_rsp, result = 0;
        unsigned depth;
        int r;

        if (fw->ended || fw->unwind_to)
                return -ECANCELED;
        if (n_args > FW_MAX_CALL_ARGS)
                return -EINVAL;
        if (fw->depth >= FW_MAX_DEPTH)
                return -ELOOP;
        if (fw->frame)
                trace_announce(fw, fw->frame);
        r = prepare_call(fw, function, args, n_args, &return_rsp);
        if (r < 0)
                return r;
        depth = ++fw->depth;
        r = run_guest(fw, return_rsp, &result);
        fw->depth--;
        if (r < 0 && !fw->ended && fw->unwind_to == depth) {
                /* Exit: this is the call of the image's entry point that it leaves. */
                fw->unwind_to = 0;
                result = 0;
                r = 0;
        }
        if (r >= 0)
                *ret = result;
        return r;
}
