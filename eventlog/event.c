/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/event.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static const struct {
        uint32_t type;
        const char *name;
} types[] = {
#define EVENT_TYPE_ROW(name, value) {(value), #name},
#include "eventlog/event-types.def"
#undef EVENT_TYPE_ROW
};

const char *event_type_name(uint32_t type)
{
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (types[i].type == type)
                        return types[i].name;
        return NULL;
}

const char *event_type_text(uint32_t type, char text[EVENT_TYPE_TEXT_SIZE])
{
        const char *name = event_type_name(type);

        if (name)
                return name;
        snprintf(text, EVENT_TYPE_TEXT_SIZE, "0x%08x", type);
        return text;
}

bool event_type_by_name(const char *name, uint32_t *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (strcmp(types[i].name, name) == 0) {
                        *ret = types[i].type;
                        return true;
                }
        return false;
}

bool event_tagged(struct span data, uint32_t *ret_id, struct span *ret_payload)
{
        struct cursor c = CURSOR(data);
        uint32_t id, size;

        if (!cursor_u32(&c, &id) || !cursor_u32(&c, &size) || cursor_left(&c) != size ||
                        !cursor_take(&c, size, ret_payload))
                return false;
        *ret_id = id;
        return true;
}
