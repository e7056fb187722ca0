/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Security Architectural Protocols (PI 1.8, Volume 2, 12.9): what LoadImage asks under Secure
 * Boot. systemd-stub up to 257 puts a function of its own there while it loads the kernel in its
 * .linux, and so decides by itself; what nobody else was asked about isn't measured, either. That
 * is what a firmware boot of such a UKI does, and its PCR 4 with it. */
#pragma once

#include "shim/firmware/internal.h"

/* Only where Secure Boot is on: elsewhere no payload looks for them. */
int fw_security_arch_setup(struct firmware *fw, struct error *error);

struct security_question {
        uint64_t parent;           /* image handle */
        struct span path, file;    /* copies: neither is guest memory */
        uint64_t path_at, file_at; /* where they stand in the guest; 0: nowhere */
        bool boot_policy;
};

enum security_answer {
        SECURITY_ASK_FIRMWARE, /* nobody stands in for it, or it was asked after all */
        SECURITY_OVERRIDDEN,   /* the payload says yes: to be loaded, unasked and unmeasured */
        SECURITY_DENIED,       /* *ret_status is LoadImage's */
};

/* Calls the payload's function, if it has put one there. Firmware's own may be called from in it:
 * then the image has been verified by image_verify already, and *ret_verified is set. */
enum security_answer fw_security_ask(struct firmware *fw, const struct security_question *question,
                bool *ret_verified, EFI_STATUS *ret_status);
