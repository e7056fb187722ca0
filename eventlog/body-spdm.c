/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of what firmware measured of devices over SPDM. */
#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/body-parts.h"
#include "eventlog/spdm-event.h"

/* The member as a word of ours where there is one, else the number. */
static void put_named(const struct body_sink *sink, const char *name, const char *word, uint64_t n)
{
        if (word)
                body_word(sink, name, word);
        else
                body_number(sink, name, n);
}

/* DMTFSpecMeasurementValueType, DSP0274 */
static const char *measurement_word(uint8_t type)
{
        static const char *const words[] = {"immutable-rom", "mutable-firmware",
                        "hardware-configuration", "firmware-configuration", "manifest",
                        "device-mode", "firmware-version", "firmware-svn"};

        return type < ARRAY_SIZE(words) ? words[type] : NULL;
}

static int put_measurements(const struct body_sink *sink, struct span blocks, struct error *reason)
{
        struct cursor c = CURSOR(blocks);
        struct spdm_measurement m;
        int r;

        body_open(sink, BODY_ARRAY, "measurements");
        while ((r = spdm_measurement_next(&c, &m)) > 0) {
                body_open(sink, BODY_OBJECT, NULL);
                body_number(sink, "index", m.index);
                body_number(sink, "specification", m.specification);
                if (m.dmtf) {
                        put_named(sink, "type", measurement_word(m.type), m.type);
                        body_bool(sink, "raw", m.raw);
                }
                body_bytes(sink, "value", m.value);
                body_close(sink);
        }
        body_close(sink);
        return r < 0 ? error_set(reason, EBADMSG, "a device's measurement is cut off") : 0;
}

static int put_sub(
                const struct body_sink *sink, const struct spdm_event *event, struct error *reason)
{
        if (event->second && event->sub_type > SPDM_SUB_CERTIFICATES) {
                body_number(sink, "sub_type", event->sub_type);
                body_bytes(sink, "sub_data", event->sub);
                return 0;
        }
        if (event->second)
                body_address(sink, "spdm_version", event->spdm_version);
        if (event->sub_type == SPDM_SUB_CERTIFICATES) {
                body_number(sink, "slot", event->slot);
                body_address(sink, "hash_algorithm", event->hash_algo);
                body_bytes(sink, "certificate_chain", event->sub);
                return 0;
        }
        put_named(sink, "hash", spdm_measurement_hash_name(event->hash_algo), event->hash_algo);
        return put_measurements(sink, event->sub, reason);
}

static int put_context(
                const struct body_sink *sink, const struct spdm_event *event, struct error *reason)
{
        struct spdm_pci pci;

        if (event->device_type != SPDM_DEVICE_PCI || !spdm_pci_read(event->context, &pci)) {
                body_bytes(sink, "context", event->context);
                return event->device_type != SPDM_DEVICE_PCI
                                       ? 0
                                       : error_set(reason, EBADMSG,
                                                         "%zu bytes that should tell of a PCI "
                                                         "device",
                                                         event->context.size);
        }
        body_open(sink, BODY_OBJECT, "pci");
        body_address(sink, "vendor", pci.vendor);
        body_address(sink, "device", pci.device);
        body_address(sink, "revision", pci.revision);
        body_address(sink, "class", pci.class_code);
        body_address(sink, "subsystem_vendor", pci.subsystem_vendor);
        body_address(sink, "subsystem", pci.subsystem);
        body_close(sink);
        return 0;
}

static int put_event(const struct body_sink *sink, struct span bytes, struct error *reason)
{
        static const char *const devices[] = {[SPDM_DEVICE_NULL] = "null",
                        [SPDM_DEVICE_PCI] = "pci",
                        [SPDM_DEVICE_USB] = "usb"};
        struct error ignored;
        struct spdm_event event;
        int r = spdm_event_read(bytes, &event, reason), r_context;

        if (r < 0)
                return r;
        body_number(sink, "version", event.version);
        put_named(sink, "device_type",
                        event.device_type < ARRAY_SIZE(devices) ? devices[event.device_type] : NULL,
                        event.device_type);
        if (event.second) {
                put_named(sink, "authentication", spdm_auth_state_word(event.auth_state),
                                event.auth_state);
                body_address(sink, "uid", event.uid);
        }
        if (event.path.size > 0)
                r = body_device_path(sink, event.path, reason);
        r = put_sub(sink, &event, r < 0 ? &ignored : reason) ?: r;
        r_context = put_context(sink, &event, r < 0 ? &ignored : reason);
        return r < 0 ? r : r_context;
}

int body_spdm(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        body_word(sink, "kind", "spdm");
        return put_event(sink, event->data, reason);
}

/* ---- EV_NO_ACTION: what was extended to an NV index (PFP 1.06) ---- */

/* A signature of 16 bytes, a version, and six bytes of nothing. */
static bool take_head(struct cursor *c, const struct body_sink *sink)
{
        uint16_t version;

        if (!cursor_skip(c, 16) || !cursor_u16(c, &version) || !cursor_skip(c, 6))
                return false;
        body_number(sink, "version", version);
        return true;
}

int body_nv_instance(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct cursor c = CURSOR(data);
        int r;

        if (!take_head(&c, sink))
                return error_set(reason, EBADMSG, "a record of %zu bytes is cut off", data.size);
        body_open(sink, BODY_OBJECT, "device");
        r = put_event(sink, SPAN(data.data + c.offset, cursor_left(&c)), reason);
        body_close(sink);
        return r;
}

int body_nv_dynamic(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct cursor c = CURSOR(data);
        struct span description, value;
        uint16_t size;
        uint64_t uid;

        if (!take_head(&c, sink) || !cursor_u64(&c, &uid) || !cursor_u16(&c, &size) ||
                        !cursor_take(&c, size, &description) || !cursor_u16(&c, &size) ||
                        !cursor_take(&c, size, &value) || cursor_left(&c) != 0)
                return error_set(reason, EBADMSG, "a record of %zu bytes is cut off", data.size);
        body_address(sink, "uid", uid);
        body_text(sink, "description", TEXT_UTF8, utf8_until_nul(description));
        body_bytes(sink, "data", value);
        return 0;
}
