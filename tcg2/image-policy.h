/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether an image may be started under Secure Boot, and by whose word: db and dbx as edk2's
 * DxeImageVerificationLib judges them, shim's MokList, MokListX and SbatLevel as shim does. Pure:
 * no variables, no files. docs/secure-boot.md has the rules, and where the two differ. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/guid.h"
#include "base/span.h"

/* Signature lists one after the other; empty: there are none. */
struct image_policy {
        struct span db, dbx;              /* firmware's */
        struct span mok_list, mok_list_x; /* shim's, as its runtime copies have them */
        struct span sbat_level;           /* shim's, CSV */
};

struct image_verdict {
        bool accepted;
        /* accepted: the EFI_SIGNATURE_DATA that did it, in the list of the variable of this name;
         * "" if it was vouched for */
        const char *variable;
        const EFI_GUID *vendor;
        struct span authority;
        char reason[400]; /* refused: why, by which list, whose signature; else "" */
};

/* file: the whole PE file. vouched: the image is a part of one that was accepted before, and needs
 * no authority of its own; what is revoked stays refused. 0, also for a refusal; -ENOMEM, -EIO. */
int image_policy_judge(const struct image_policy *policy, struct span file, bool vouched,
                struct image_verdict *ret, struct error *error);
