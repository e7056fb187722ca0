/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI scalars, status codes and constants (UEFI 2.10), in the specification's spelling. Structures
 * that live in guest memory are read and written field by field (base/span, shim/machine/ram),
 * never by cast. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"

typedef uint64_t EFI_STATUS; /* Appendix D; the highest bit marks an error */

#define EFI_ERROR_BIT (1ull << 63)
#define EFIERR(n)     (EFI_ERROR_BIT | (n))

#define EFI_SUCCESS              0ull
#define EFI_LOAD_ERROR           EFIERR(1)
#define EFI_INVALID_PARAMETER    EFIERR(2)
#define EFI_UNSUPPORTED          EFIERR(3)
#define EFI_BAD_BUFFER_SIZE      EFIERR(4)
#define EFI_BUFFER_TOO_SMALL     EFIERR(5)
#define EFI_NOT_READY            EFIERR(6)
#define EFI_DEVICE_ERROR         EFIERR(7)
#define EFI_WRITE_PROTECTED      EFIERR(8)
#define EFI_OUT_OF_RESOURCES     EFIERR(9)
#define EFI_VOLUME_CORRUPTED     EFIERR(10)
#define EFI_VOLUME_FULL          EFIERR(11)
#define EFI_NO_MEDIA             EFIERR(12)
#define EFI_MEDIA_CHANGED        EFIERR(13)
#define EFI_NOT_FOUND            EFIERR(14)
#define EFI_ACCESS_DENIED        EFIERR(15)
#define EFI_NO_RESPONSE          EFIERR(16)
#define EFI_NO_MAPPING           EFIERR(17)
#define EFI_TIMEOUT              EFIERR(18)
#define EFI_NOT_STARTED          EFIERR(19)
#define EFI_ALREADY_STARTED      EFIERR(20)
#define EFI_ABORTED              EFIERR(21)
#define EFI_INCOMPATIBLE_VERSION EFIERR(25)
#define EFI_SECURITY_VIOLATION   EFIERR(26)
#define EFI_CRC_ERROR            EFIERR(27)
#define EFI_END_OF_FILE          EFIERR(31)
#define EFI_WARN_DELETE_FAILURE  2ull

static inline bool efi_error(EFI_STATUS status)
{
        return status & EFI_ERROR_BIT;
}

/* "EFI_NOT_FOUND", or NULL if unknown. */
const char *efi_status_name(EFI_STATUS status);

/* EFI_MEMORY_TYPE, 7.2 */
enum {
        EfiReservedMemoryType,
        EfiLoaderCode,
        EfiLoaderData,
        EfiBootServicesCode,
        EfiBootServicesData,
        EfiRuntimeServicesCode,
        EfiRuntimeServicesData,
        EfiConventionalMemory,
        EfiUnusableMemory,
        EfiACPIReclaimMemory,
        EfiACPIMemoryNVS,
        EfiMemoryMappedIO,
        EfiMemoryMappedIOPortSpace,
        EfiPalCode,
        EfiPersistentMemory,
        EfiUnacceptedMemoryType,
        EfiMaxMemoryType,
};

/* EFI_ALLOCATE_TYPE */
enum { AllocateAnyPages, AllocateMaxAddress, AllocateAddress, MaxAllocateType };

#define EFI_MEMORY_UC      0x1ull
#define EFI_MEMORY_WC      0x2ull
#define EFI_MEMORY_WT      0x4ull
#define EFI_MEMORY_WB      0x8ull
#define EFI_MEMORY_XP      0x4000ull
#define EFI_MEMORY_RO      0x20000ull
#define EFI_MEMORY_RUNTIME (1ull << 63)

#define EFI_MEMORY_DESCRIPTOR_VERSION 1
#define EFI_MEMORY_DESCRIPTOR_SIZE    48 /* 40 used; edk2 gives 48 so that nobody hard-codes 40 */

#define EFI_PAGE_SIZE  4096ull
#define EFI_PAGE_SHIFT 12

#define EFI_VARIABLE_NON_VOLATILE                          0x01u
#define EFI_VARIABLE_BOOTSERVICE_ACCESS                    0x02u
#define EFI_VARIABLE_RUNTIME_ACCESS                        0x04u
#define EFI_VARIABLE_HARDWARE_ERROR_RECORD                 0x08u
#define EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS            0x10u
#define EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS 0x20u
#define EFI_VARIABLE_APPEND_WRITE                          0x40u
#define EFI_VARIABLE_ENHANCED_AUTHENTICATED_ACCESS         0x80u

#define EFI_SYSTEM_TABLE_SIGNATURE     0x5453595320494249ull
#define EFI_BOOT_SERVICES_SIGNATURE    0x56524553544f4f42ull
#define EFI_RUNTIME_SERVICES_SIGNATURE 0x56524553544e5552ull
#define EFI_SYSTEM_TABLE_REVISION      ((2u << 16) | 70u) /* 2.7, as OVMF 2022.11 says */
