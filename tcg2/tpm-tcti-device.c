/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>

#include "tcg2/tpm-tcti.h"

#define PREFIX "device:"

int tcti_open(const char *name, TSS2_TCTI_CONTEXT **ret, struct error *error)
{
        TSS2_TCTI_CONTEXT *tcti;
        size_t size;
        TSS2_RC rc;

        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
                return error_set(error, EINVAL,
                                "TCTI '%s': this program has only those of devices, '" PREFIX
                                "/dev/tpmrm0'",
                                name);
        rc = Tss2_Tcti_Device_Init(NULL, &size, NULL);
        if (rc != TSS2_RC_SUCCESS)
                return error_set(error, ENODEV, "TCTI '%s': %s", name, Tss2_RC_Decode(rc));
        tcti = calloc(1, size);
        if (!tcti)
                return error_set(error, ENOMEM, "no memory for the TPM's context");
        rc = Tss2_Tcti_Device_Init(tcti, &size, name + strlen(PREFIX));
        if (rc != TSS2_RC_SUCCESS) {
                free(tcti);
                return error_set(error, ENODEV, "no TPM behind TCTI '%s': %s", name,
                                Tss2_RC_Decode(rc));
        }
        *ret = tcti;
        return 0;
}

void tcti_close(TSS2_TCTI_CONTEXT **tcti)
{
        if (*tcti)
                Tss2_Tcti_Finalize(*tcti);
        free(*tcti);
        *tcti = NULL;
}
