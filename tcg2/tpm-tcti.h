/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way to a TPM's device or simulator, for tpm-esys.c. Two implementations, of which each
 * program is linked with one: tpm-tcti-loader.c takes every TCTI that tpm2-tss has, by dlopen
 * (mkexec); tpm-tcti-device.c only devices, without it (mkexec-ticket). Both take names as
 * tpm2-tools does. */
#pragma once

#include <tss2/tss2_tcti.h>

#include "base/error.h"

/* -ENODEV: nothing answers under that name; -EINVAL: not a TCTI that this program has. */
int tcti_open(const char *name, TSS2_TCTI_CONTEXT **ret, struct error *error);
void tcti_close(TSS2_TCTI_CONTEXT **tcti);
