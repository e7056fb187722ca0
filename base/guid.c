/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/guid.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>

#define GUID_(a, b, c, ...)         \
        {                           \
                a, b, c,            \
                {                   \
                        __VA_ARGS__ \
                }                   \
        }
#define GUID_ROW(symbol, name, ...) const EFI_GUID symbol = __VA_ARGS__;
#include "base/guid-table.def"
#undef GUID_ROW

static const struct {
        const EFI_GUID *guid;
        const char *name;
} names[] = {
#define GUID_ROW(symbol, name, ...) {&symbol, name},
#include "base/guid-table.def"
#undef GUID_ROW
};

void guid_to_text(const EFI_GUID *guid, char text[GUID_TEXT_SIZE])
{
        const uint8_t *d = guid->Data4;

        snprintf(text, GUID_TEXT_SIZE, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                        guid->Data1, guid->Data2, guid->Data3, d[0], d[1], d[2], d[3], d[4], d[5],
                        d[6], d[7]);
}

bool guid_from_text(const char *text, EFI_GUID *ret)
{
        unsigned a, b, c, d[8];

        if (strlen(text) != GUID_TEXT_SIZE - 1)
                return false;
        for (int i = 0; i < GUID_TEXT_SIZE - 1; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
                        return false;
        }
        if (sscanf(text, "%8x-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x", &a, &b, &c, &d[0], &d[1], &d[2],
                            &d[3], &d[4], &d[5], &d[6], &d[7]) != 11)
                return false;
        *ret = (EFI_GUID){a, (uint16_t)b, (uint16_t)c, {0}};
        for (int i = 0; i < 8; i++)
                ret->Data4[i] = (uint8_t)d[i];
        return true;
}

const char *guid_name(const EFI_GUID *guid)
{
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (guid_equal(names[i].guid, guid))
                        return names[i].name;
        return NULL;
}
