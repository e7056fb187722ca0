/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm-rc.h"

#include <errno.h>
#include <stdbool.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>

void tpm_esys_freep(void *p)
{
        Esys_Free(*(void **)p);
}

int tpm_rc_error(struct error *error, TSS2_RC rc, const char *what)
{
        uint32_t layer = rc & TSS2_RC_LAYER_MASK;
        bool answered = layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;

        return error_set(error, answered ? EREMOTEIO : EIO, "%s: %s (0x%x)", what,
                        Tss2_RC_Decode(rc), rc);
}

int tpm_rc_error_by(struct error *error, TSS2_RC rc, const char *what,
                const struct tpm_rc_row *rows, size_t n)
{
        /* Codes of format 1 have the number of what they are about (Part 2, section 6.6.2). */
        TSS2_RC plain = rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
        int r = tpm_rc_error(error, rc, what);

        if (r == -EREMOTEIO)
                for (size_t i = 0; i < n; i++)
                        if ((plain & ~TSS2_RC_LAYER_MASK) == rows[i].rc)
                                r = -rows[i].errnum;
        return r;
}
