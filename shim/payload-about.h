/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a payload's file says of itself, for people: nothing that is measured rests on it. From the
 * sections of a UKI, the header of a kernel, and signatures. Reads the file, runs nothing. */
#pragma once

#include "base/span.h"

struct payload_about {
        /* Text without control characters; NULL: it doesn't say. */
        char *kernel;       /* version: .uname, or what stands in the kernel's own header */
        char *os;           /* PRETTY_NAME in .osrel */
        char *command_line; /* .cmdline */
        char *signer;       /* subject of the certificate of the first signature */
};
void payload_about_release(struct payload_about *about);

/* profile: its number in a UKI that has several. Never fails: what can't be read isn't said. */
void payload_about_read(struct span file, unsigned profile, struct payload_about *ret);
