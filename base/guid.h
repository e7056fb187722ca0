/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI GUIDs in their wire form (UEFI 2.10, Appendix A: first three fields little-endian), and the
 * table of those that mkexec knows by name, for traces and for services alike. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
        uint32_t Data1;
        uint16_t Data2;
        uint16_t Data3;
        uint8_t Data4[8];
} EFI_GUID;

_Static_assert(sizeof(EFI_GUID) == 16, "EFI_GUID is 16 bytes on the wire");

#define GUID_TEXT_SIZE 37 /* with NUL */

static inline bool guid_equal(const EFI_GUID *a, const EFI_GUID *b)
{
        return memcmp(a, b, sizeof(*a)) == 0;
}

void guid_to_text(const EFI_GUID *guid, char text[GUID_TEXT_SIZE]); /* lower case */
bool guid_from_text(const char *text, EFI_GUID *ret); /* either case, exactly 36 characters */

/* "TCG2" and so on, or NULL if the table below has no row for it. */
const char *guid_name(const EFI_GUID *guid);

#define GUID_ROW(symbol, name, ...) extern const EFI_GUID symbol;
#include "base/guid-table.def"
#undef GUID_ROW
