/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/staged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/json-values.h"
#include "shim/plan-json.h"

#define STAGED_MAX_BYTES (64u * 1024 * 1024)
#define LOG_ROOM_MAX     (256u * 1024 * 1024)

const char *const handover_names[N_HANDOVERS] = {
                [HANDOVER_LOAD] = "load",
                [HANDOVER_FILE] = "file",
};

void staged_release(struct staged *staged)
{
        free(staged->payload);
        free(staged->command_line);
        plan_release(&staged->plan);
        *staged = STAGED_NONE;
}

static void image_to_json(const struct staged *staged, struct json_object *object)
{
        json_object_object_add(
                        object, "guard_page", json_object_new_int64((int64_t)staged->guard_page));
        json_object_object_add(
                        object, "image_id", json_object_new_int64((int64_t)staged->image_id));
}

/* The command line may be any bytes, which JSON strings can't hold. */
static void handed_files_to_json(const struct staged *staged, struct json_object *object)
{
        json_object_object_add(
                        object, "kernel_sha256", hex_to_json(SPAN(staged->kernel_sha256, 32)));
        json_object_object_add(
                        object, "initrd_sha256", hex_to_json(SPAN(staged->initrd_sha256, 32)));
        json_object_object_add(
                        object, "log_room", json_object_new_int64((int64_t)staged->log_room));
        json_object_object_add(object, "systemd_logs_room",
                        json_object_new_int64((int64_t)staged->systemd_logs_room));
        json_object_object_add(object, "command_line",
                        hex_to_json(SPAN(staged->command_line, strlen(staged->command_line))));
}

static struct json_object *tickets_to_json(const struct staged *staged)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < staged->n_tickets; i++) {
                struct json_object *row = json_object_new_object();

                json_object_object_add(
                                row, "name", json_object_new_string(staged->tickets[i].name));
                json_object_object_add(
                                row, "nv_index", json_object_new_int64(staged->tickets[i].handle));
                json_object_array_add(array, row);
        }
        return array;
}

static bool tickets_from_json(struct json_object *object, struct staged *staged)
{
        struct json_object *array;
        size_t n;

        if (!json_object_object_get_ex(object, "tickets", &array))
                return true;
        if (!json_object_is_type(array, json_type_array))
                return false;
        n = json_object_array_length(array);
        if (n > STAGED_TICKETS_MAX)
                return false;
        for (size_t i = 0; i < n; i++) {
                struct json_object *row = json_object_array_get_idx(array, i);
                const char *name = text_from_json(row, "name");
                uint64_t handle;

                if (!name || !ticket_name_ok(name) ||
                                !number_from_json(row, "nv_index", UINT32_MAX, &handle))
                        return false;
                strcpy(staged->tickets[i].name, name); /* ticket_name_ok: it fits */
                staged->tickets[i].handle = (uint32_t)handle;
        }
        staged->n_tickets = n;
        return true;
}

static bool handover_from_json(struct json_object *object, enum handover *ret)
{
        const char *name = text_from_json(object, "handover");

        for (size_t i = 0; name && i < N_HANDOVERS; i++)
                if (strcmp(name, handover_names[i]) == 0) {
                        *ret = (enum handover)i;
                        return true;
                }
        return false;
}

static bool image_from_json(struct json_object *object, struct staged *staged)
{
        return number_from_json(object, "guard_page", UINT32_MAX, &staged->guard_page) &&
               number_from_json(object, "image_id", INT64_MAX, &staged->image_id);
}

static bool sha256_from_json(struct json_object *object, const char *key, uint8_t ret[32])
{
        const char *hex = text_from_json(object, key);

        return hex && hex_decode(hex, ret, 32);
}

static bool handed_files_from_json(struct json_object *object, struct staged *staged)
{
        _cleanup_buf_ struct buf text = {0};

        if (!sha256_from_json(object, "kernel_sha256", staged->kernel_sha256) ||
                        !sha256_from_json(object, "initrd_sha256", staged->initrd_sha256) ||
                        !number_from_json(object, "log_room", LOG_ROOM_MAX, &staged->log_room) ||
                        !number_from_json(object, "systemd_logs_room", staged->log_room,
                                        &staged->systemd_logs_room) ||
                        !hex_from_json(object, "command_line", &text) ||
                        (text.size > 0 && memchr(text.data, '\0', text.size)))
                return false;
        buf_put_u8(&text, 0);
        staged->command_line = buf_failed(&text) ? NULL : strdup((const char *)text.data);
        return staged->command_line;
}

static int staged_from_json(struct json_object *object, struct staged *ret, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        const char *payload = text_from_json(object, "payload");
        uint64_t version;
        int r;

        if (!number_from_json(object, "version", 1, &version) || version != 1 || !payload ||
                        !handover_from_json(object, &staged.handover) ||
                        !tickets_from_json(object, &staged) ||
                        !(staged.handover == HANDOVER_LOAD
                                                        ? image_from_json(object, &staged)
                                                        : handed_files_from_json(object, &staged)))
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

static bool same_plan(const struct plan *a, const struct plan *b)
{
        _cleanup_buf_ struct buf log = {0}, other = {0};

        if (a->hop != b->hop || a->registers != b->registers || a->touched != b->touched ||
                        a->banks.n != b->banks.n || a->n_events != b->n_events ||
                        plan_log(a, a->n_events, &log, NULL) < 0 ||
                        plan_log(b, b->n_events, &other, NULL) < 0 ||
                        !span_equal(buf_span(&log), buf_span(&other)))
                return false;
        for (size_t bank = 0; bank < a->banks.n; bank++)
                for (uint32_t pcr = 0; pcr < 16; pcr++) {
                        size_t size = a->banks.alg[bank]->size;

                        if (a->touched >> pcr & 1 &&
                                        (memcmp(a->start[bank][pcr].bytes,
                                                         b->start[bank][pcr].bytes, size) != 0 ||
                                                        memcmp(a->end[bank][pcr].bytes,
                                                                        b->end[bank][pcr].bytes,
                                                                        size) != 0))
                                return false;
                }
        return true;
}

static bool same_image(const struct staged *a, const struct staged *b)
{
        return a->guard_page == b->guard_page && a->image_id == b->image_id;
}

static bool same_files(const struct staged *a, const struct staged *b)
{
        return a->log_room == b->log_room && strcmp(a->command_line, b->command_line) == 0 &&
               memcmp(a->kernel_sha256, b->kernel_sha256, 32) == 0 &&
               memcmp(a->initrd_sha256, b->initrd_sha256, 32) == 0;
}

static bool same_tickets(const struct staged *a, const struct staged *b)
{
        if (a->n_tickets != b->n_tickets)
                return false;
        for (size_t i = 0; i < a->n_tickets; i++)
                if (strcmp(a->tickets[i].name, b->tickets[i].name) != 0 ||
                                a->tickets[i].handle != b->tickets[i].handle)
                        return false;
        return true;
}

/* json-c leaves out what it has no memory for, and goes on: nobody must find that out when a hop
 * has to be ended by this file. */
static bool reads_back(const char *text, const struct staged *meant)
{
        _cleanup_(staged_release) struct staged found = STAGED_NONE;
        _cleanup_buf_ struct buf copy = {0};
        struct json_object *object;
        int r;

        buf_put(&copy, text, strlen(text));
        if (buf_failed(&copy))
                return false;
        object = json_from_text(&copy);
        r = staged_from_json(object, &found, NULL);
        json_object_put(object);
        return r == 0 && strcmp(found.payload, meant->payload) == 0 &&
               found.handover == meant->handover &&
               (found.handover == HANDOVER_LOAD ? same_image(&found, meant)
                                                : same_files(&found, meant)) &&
               same_tickets(&found, meant) && same_plan(&found.plan, &meant->plan);
}

int staged_write(const struct state_dir *dir, const char *name, const struct staged *staged,
                struct error *error)
{
        struct json_object *object = json_object_new_object();
        const char *text;
        int r;

        if (!object)
                return error_set(error, ENOMEM, "out of memory");
        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "payload", json_object_new_string(staged->payload));
        json_object_object_add(object, "handover",
                        json_object_new_string(handover_names[staged->handover]));
        if (staged->handover == HANDOVER_LOAD)
                image_to_json(staged, object);
        else
                handed_files_to_json(staged, object);
        if (staged->n_tickets > 0)
                json_object_object_add(object, "tickets", tickets_to_json(staged));
        r = plan_state_to_json(&staged->plan, object);
        text = r == 0 ? json_object_to_json_string(object) : NULL;
        r = text && reads_back(text, staged)
                            ? state_write(dir, name, SPAN(text, strlen(text)), error)
                            : error_set(error, ENOMEM, "out of memory");
        json_object_put(object);
        return r;
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

bool staged_may_have_tickets(const struct state_dir *dir)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        int r = staged_read(dir, STATE_PLAN, &staged, NULL);

        return r < 0 ? r != -ENOENT : staged.n_tickets > 0;
}

int staged_drop(const struct state_dir *dir)
{
        static const char *const names[] = {STATE_ARMED, STATE_IMAGE, STATE_KERNEL, STATE_INITRD};
        int r = state_remove(dir, STATE_PLAN);

        if (r < 0)
                return r; /* a plan without its files would be worse */
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                int q = state_remove(dir, names[i]);

                r = r < 0 ? r : q;
        }
        return r;
}
