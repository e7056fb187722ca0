/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/staged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/handover/guard.h"
#include "shim/handover/kexec.h"
#include "shim/plan-json.h"

#define STAGED_MAX_BYTES (64u * 1024 * 1024)

void staged_release(struct staged *staged)
{
        free(staged->payload);
        plan_release(&staged->plan);
        *staged = STAGED_NONE;
}

int staged_write(const struct state_dir *dir, const char *name, const struct staged *staged,
                struct error *error)
{
        struct json_object *object = json_object_new_object();
        const char *text;
        int r;

        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "payload", json_object_new_string(staged->payload));
        json_object_object_add(
                        object, "guard_page", json_object_new_int64((int64_t)staged->guard_page));
        json_object_object_add(
                        object, "image_id", json_object_new_int64((int64_t)staged->image_id));
        r = plan_state_to_json(&staged->plan, object);
        text = r == 0 ? json_object_to_json_string(object) : NULL;
        r = text ? state_write(dir, name, SPAN(text, strlen(text)), error)
                 : error_set(error, ENOMEM, "out of memory");
        json_object_put(object);
        return r;
}

static int staged_from_json(struct json_object *object, struct staged *ret, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        const char *payload = text_from_json(object, "payload");
        uint64_t version;
        int r;

        if (!number_from_json(object, "version", 1, &version) || version != 1 || !payload ||
                        !number_from_json(object, "guard_page", UINT32_MAX, &staged.guard_page) ||
                        !number_from_json(object, "image_id", INT64_MAX, &staged.image_id))
                return error_set(error, EINVAL, "the state isn't one of this mkexec");
        staged.payload = strdup(payload);
        if (!staged.payload)
                return error_set(error, ENOMEM, "out of memory");
        r = plan_state_from_json(object, &staged.plan, error);
        if (r < 0)
                return r;
        *ret = staged;
        staged = STAGED_NONE;
        return 0;
}

int staged_read(const struct state_dir *dir, const char *name, struct staged *ret,
                struct error *error)
{
        _cleanup_buf_ struct buf text = {0};
        struct json_object *object;
        int r = state_read(dir, name, STAGED_MAX_BYTES, &text, error);

        if (r < 0)
                return r;
        object = json_from_text(&text);
        r = staged_from_json(object, ret, error);
        json_object_put(object);
        return r < 0 ? error_prefix(error, r, "/run/mkexec/%s", name) : 0;
}

int staged_drop(const struct state_dir *dir)
{
        int r = state_remove(dir, STATE_PLAN), q = state_remove(dir, STATE_IMAGE);

        return r < 0 ? r : q;
}

int staged_load_guard(uint64_t guard_page, struct error *error)
{
        uint8_t page[GUARD_SIZE];
        struct kexec_part part = {page, GUARD_SIZE, guard_page, GUARD_SIZE};

        guard_build(page);
        return error_prefix(error, kexec_load(guard_page, &part, 1, error), "guard image");
}
