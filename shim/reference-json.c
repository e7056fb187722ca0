/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/reference-json.h"

#include <errno.h>

#include "policy/reference-values.h"
#include "shim/json-values.h"

static struct json_object *text_or_null(const char *text)
{
        return text ? json_object_new_string(text) : NULL;
}

static struct json_object *about_to_json(const struct hop_run *run)
{
        const struct payload_about *about = &run->about;
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "kernel", text_or_null(about->kernel));
        json_object_object_add(object, "os", text_or_null(about->os));
        json_object_object_add(object, "command_line", text_or_null(about->command_line));
        json_object_object_add(object, "signer", text_or_null(about->signer));
        return object;
}

void reference_to_json(const struct hop_run *run, const char *kind, struct json_object *object)
{
        struct json_object *initrds = json_object_new_array();

        for (size_t i = 0; initrds && i < run->n_initrds; i++)
                json_object_array_add(initrds, hex_to_json(SPAN(run->initrd_sha256[i], 32)));
        json_object_object_add(object, "kind", json_object_new_string(kind));
        json_object_object_add(
                        object, "payload_sha256", hex_to_json(SPAN(run->payload_sha256, 32)));
        json_object_object_add(object, "load_options_sha256",
                        hex_to_json(SPAN(run->load_options_sha256, 32)));
        json_object_object_add(object, "initrd_sha256", initrds);
        json_object_object_add(object, "about", about_to_json(run));
        json_object_object_add(object, "banks", banks_to_json(&run->plan.banks));
}

static struct json_object *firmware_event_to_json(const struct plan_event *e)
{
        struct json_object *object = json_object_new_object();

        if (!object)
                return NULL;
        json_object_object_add(object, "payload_pcr", json_object_new_int((int)e->payload_pcr));
        json_object_object_add(object, "kind",
                        json_object_new_string(e->kind == PLAN_PAYLOAD ? "payload" : "firmware"));
        event_to_json(&e->event, object);
        return object;
}

int firmware_boot_to_json(const struct firmware_boot *boot, struct json_object *object)
{
        struct json_object *events = json_object_new_array();

        for (size_t i = 0; events && i < boot->n_events; i++)
                json_object_array_add(events, firmware_event_to_json(&boot->events[i]));
        json_object_object_add(object, "pcrs",
                        pcrs_to_json(&boot->pcrs.banks, REFERENCE_VIEW, boot->pcrs.pcr));
        return json_object_object_add(object, "events", events) < 0 || !events ? -ENOMEM : 0;
}
