/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a trap in the guest to a row's function and back, as the core sees it: frames, thunks,
 * trace. */
#pragma once

#include "shim/firmware/internal.h"

#define FW_MAX_CALL_ARGS 8u

/* One service call that is being served. */
struct fw_frame {
        struct fw_frame *parent;
        const struct fw_service *service;
        struct vcpu_regs regs; /* at the thunk: RSP points to the return address */
        bool announced; /* the trace has its line already, because guest code ran within it */
        char text[FW_TRACE_LINE]; /* "Name(arguments)", if the trace is on */
};

/* ---- thunks.c ---- */
int thunks_setup(struct firmware *fw, struct error *error);
void thunks_release(struct firmware *fw);
uint64_t thunks_return_address(
                const struct firmware *fw); /* where guest functions that we call return to */
/* Whether rip is a thunk; *ret is its row, NULL for the return address. */
bool thunks_find(const struct firmware *fw, uint64_t rip, const struct fw_service **ret);

/* ---- trace.c ---- */
/* Says how often the last line came again. */
void trace_flush(struct firmware *fw);
void trace_enter(struct firmware *fw, struct fw_frame *frame, const uint64_t arg[]);
void trace_announce(struct firmware *fw, struct fw_frame *frame);
void trace_leave(struct firmware *fw, struct fw_frame *frame, const uint64_t arg[],
                EFI_STATUS status);

/* ---- firmware.c ---- */
/* As firmware_new, on a RAM and a vCPU that are given (and taken over, also if it fails): for tests
 * and other back ends. ram must have the ranges that memory_ram_ranges gives. */
int firmware_new_on(const struct firmware_setup *setup, struct ram *ram, struct vcpu *vcpu,
                struct firmware **ret, struct error *error);
