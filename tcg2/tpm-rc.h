/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TSS2_RC as an errno and a line: for tpm-*.c, the files that know tpm2-tss. */
#pragma once

#include <stddef.h>

#include <tss2/tss2_common.h>

#include "base/error.h"

/* -EREMOTEIO if the TPM itself (or the kernel's resource manager for it) gave the code, else -EIO:
 * "WHAT: the TSS's words (0x...)". */
int tpm_rc_error(struct error *error, TSS2_RC rc, const char *what);

/* The same, but for the TPM's codes of these rows, of whatever handle, parameter or session: then
 * -errnum. */
struct tpm_rc_row {
        TSS2_RC rc;
        int errnum;
};
int tpm_rc_error_by(struct error *error, TSS2_RC rc, const char *what,
                const struct tpm_rc_row *rows, size_t n);

/* ESYS's results, and each response that it hands out, are malloc'ed. */
void tpm_esys_freep(void *p);
#define _cleanup_esys_ __attribute__((cleanup(tpm_esys_freep)))
