/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The payload's view of EFI variables: the machine's (a snapshot that is never written) under an
 * overlay of what the payload sets. Plain C; the service functions are in runtime-services.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/efi-types.h"
#include "base/span.h"
#include "shim/firmware/firmware.h"

#define VARIABLE_NAME_MAX_CHARS 1024           /* without the NUL */
#define VARIABLE_MAX_BYTES      (64u * 1024)   /* UTF-16 name with NUL, and data */
#define VARIABLES_MAX_BYTES     (1024u * 1024) /* all that the payload may set together */
#define VARIABLES_MAX_COUNT     1024u

struct fw_variables;

/* machine: stays the caller's and must outlive the store. 0 or -ENOMEM. */
int variables_new(const struct fw_variable *machine, size_t n_machine, struct fw_variables **ret);
void variables_free(struct fw_variables *variables); /* NULL is fine */

/* The variable as the payload may see it, or why not: EFI_NOT_FOUND, or EFI_SECURITY_VIOLATION for
 * LoaderBootSecret. at_runtime: after ExitBootServices only RUNTIME_ACCESS variables exist. The
 * result is valid until the next variables_set. UEFI 2.10, 8.2.1. */
EFI_STATUS variables_get(const struct fw_variables *variables, const EFI_GUID *vendor,
                const char *name, bool at_runtime, const struct fw_variable **ret);

/* Creates, replaces, appends to or (no data, or no access attribute) deletes; overlay only.
 * UEFI 2.10, 8.2.3; where that leaves a choice, as edk2. */
EFI_STATUS variables_set(struct fw_variables *variables, const EFI_GUID *vendor, const char *name,
                uint32_t attributes, struct span data, bool at_runtime);

/* The one after (vendor, name); name "" starts. EFI_NOT_FOUND: that was the last;
 * EFI_INVALID_PARAMETER: (vendor, name) doesn't exist. UEFI 2.10, 8.2.2. */
EFI_STATUS variables_next(const struct fw_variables *variables, const EFI_GUID *vendor,
                const char *name, bool at_runtime, const struct fw_variable **ret);

/* UEFI 2.10, 8.2.4; sizes in bytes. */
EFI_STATUS variables_query(const struct fw_variables *variables, uint32_t attributes,
                bool at_runtime, uint64_t *ret_maximum, uint64_t *ret_remaining,
                uint64_t *ret_largest);
