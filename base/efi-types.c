/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/efi-types.h"

#include <stddef.h>

#define ROW(symbol)             \
        {                       \
                symbol, #symbol \
        }

static const struct {
        EFI_STATUS status;
        const char *name;
} rows[] = {
                ROW(EFI_SUCCESS),
                ROW(EFI_LOAD_ERROR),
                ROW(EFI_INVALID_PARAMETER),
                ROW(EFI_UNSUPPORTED),
                ROW(EFI_BAD_BUFFER_SIZE),
                ROW(EFI_BUFFER_TOO_SMALL),
                ROW(EFI_NOT_READY),
                ROW(EFI_DEVICE_ERROR),
                ROW(EFI_WRITE_PROTECTED),
                ROW(EFI_OUT_OF_RESOURCES),
                ROW(EFI_VOLUME_CORRUPTED),
                ROW(EFI_VOLUME_FULL),
                ROW(EFI_NO_MEDIA),
                ROW(EFI_MEDIA_CHANGED),
                ROW(EFI_NOT_FOUND),
                ROW(EFI_ACCESS_DENIED),
                ROW(EFI_NO_RESPONSE),
                ROW(EFI_NO_MAPPING),
                ROW(EFI_TIMEOUT),
                ROW(EFI_NOT_STARTED),
                ROW(EFI_ALREADY_STARTED),
                ROW(EFI_ABORTED),
                ROW(EFI_INCOMPATIBLE_VERSION),
                ROW(EFI_SECURITY_VIOLATION),
                ROW(EFI_CRC_ERROR),
                ROW(EFI_END_OF_FILE),
                ROW(EFI_WARN_DELETE_FAILURE),
};

const char *efi_status_name(EFI_STATUS status)
{
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                if (rows[i].status == status)
                        return rows[i].name;
        return NULL;
}
