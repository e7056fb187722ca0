/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/span.h"

bool cursor_copy(struct cursor *c, void *to, size_t size)
{
        struct span s;

        if (!cursor_take(c, size, &s))
                return false;
        if (size > 0)
                memcpy(to, s.data, size);
        return true;
}

static bool take_integer(struct cursor *c, unsigned size, bool big_endian, uint64_t *ret)
{
        struct span s;
        uint64_t value = 0;

        if (!cursor_take(c, size, &s))
                return false;
        for (unsigned i = 0; i < size; i++)
                value |= (uint64_t)s.data[i] << 8 * (big_endian ? size - 1 - i : i);
        *ret = value;
        return true;
}

#define DEFINE_TAKE(name, type, big_endian)                             \
        bool cursor_##name(struct cursor *c, type *ret)                 \
        {                                                               \
                uint64_t value;                                         \
                                                                        \
                if (!take_integer(c, sizeof(type), big_endian, &value)) \
                        return false;                                   \
                *ret = (type)value;                                     \
                return true;                                            \
        }

DEFINE_TAKE(u8, uint8_t, false)
DEFINE_TAKE(u16, uint16_t, false)
DEFINE_TAKE(u32, uint32_t, false)
DEFINE_TAKE(u64, uint64_t, false)
DEFINE_TAKE(be16, uint16_t, true)
DEFINE_TAKE(be32, uint32_t, true)
DEFINE_TAKE(be64, uint64_t, true)
