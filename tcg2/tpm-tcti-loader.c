/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include "tcg2/tpm-tcti.h"

int tcti_open(const char *name, TSS2_TCTI_CONTEXT **ret, struct error *error)
{
        TSS2_RC rc = Tss2_TctiLdr_Initialize(name, ret);

        if (rc != TSS2_RC_SUCCESS)
                return error_set(error, ENODEV, "no TPM behind TCTI '%s': %s", name,
                                Tss2_RC_Decode(rc));
        return 0;
}

void tcti_close(TSS2_TCTI_CONTEXT **tcti)
{
        Tss2_TctiLdr_Finalize(tcti);
}
