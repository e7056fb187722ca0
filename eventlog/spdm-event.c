/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/spdm-event.h"

#include <errno.h>

#include "base/cleanup.h"

static const uint8_t signature_1[16] = "SPDM Device Sec", signature_2[16] = {"SPDM Device Sec2"};

const char *spdm_auth_state_word(uint8_t auth_state)
{
        static const char *const words[] = {
                        "success", "no-authentication", "no-binding", "no-signature", "invalid"};

        if (auth_state == 0xff)
                return "no-spdm";
        return auth_state < ARRAY_SIZE(words) ? words[auth_state] : NULL;
}

/* MeasurementHashAlgo of SPDM's ALGORITHMS: one bit. */
const char *spdm_measurement_hash_name(uint32_t hash_algo)
{
        static const char *const names[] = {"raw", "sha256", "sha384", "sha512", "sha3_256",
                        "sha3_384", "sha3_512", "sm3_256"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (hash_algo == 1u << i)
                        return names[i];
        return NULL;
}

int spdm_measurement_next(struct cursor *c, struct spdm_measurement *ret)
{
        struct spdm_measurement m = {0};
        struct cursor value;
        uint16_t size, value_size;
        uint8_t type;

        if (cursor_left(c) == 0)
                return 0;
        if (!cursor_u8(c, &m.index) || !cursor_u8(c, &m.specification) || !cursor_u16(c, &size) ||
                        !cursor_take(c, size, &m.value))
                return -EBADMSG;
        value = CURSOR(m.value);
        if (m.specification == 1) { /* DMTF */
                if (!cursor_u8(&value, &type) || !cursor_u16(&value, &value_size) ||
                                cursor_left(&value) != value_size ||
                                !cursor_take(&value, value_size, &m.value))
                        return -EBADMSG;
                m.dmtf = true;
                m.type = type & 0x7f;
                m.raw = type & 0x80;
        }
        *ret = m;
        return 1;
}

bool spdm_pci_read(struct span context, struct spdm_pci *ret)
{
        struct cursor c = CURSOR(context);
        struct spdm_pci pci;
        uint8_t class_code[3];
        uint16_t size;

        if (!cursor_u16(&c, &pci.version) || !cursor_u16(&c, &size) ||
                        !cursor_u16(&c, &pci.vendor) || !cursor_u16(&c, &pci.device) ||
                        !cursor_u8(&c, &pci.revision) ||
                        !cursor_copy(&c, class_code, sizeof(class_code)) ||
                        !cursor_u16(&c, &pci.subsystem_vendor) || !cursor_u16(&c, &pci.subsystem) ||
                        cursor_left(&c) != 0)
                return false;
        pci.class_code = class_code[0] | (uint32_t)class_code[1] << 8 |
                         (uint32_t)class_code[2] << 16;
        *ret = pci;
        return true;
}

/* One block, whose own size says where it ends. */
static bool read_first(struct cursor *c, struct spdm_event *event)
{
        struct spdm_measurement ignored;
        uint16_t size;
        size_t start;

        if (!cursor_u16(c, &size) || !cursor_u32(c, &event->hash_algo) ||
                        !cursor_u32(c, &event->device_type))
                return false;
        start = c->offset;
        return spdm_measurement_next(c, &ignored) > 0 &&
               span_sub(c->bytes, start, c->offset - start, &event->sub);
}

/* What all sub-headers but a maker's own begin with. */
static bool read_sub(struct spdm_event *event)
{
        struct cursor c = CURSOR(event->sub);
        uint8_t reserved;

        if (event->sub_type != SPDM_SUB_MEASUREMENTS && event->sub_type != SPDM_SUB_CERTIFICATES)
                return true;
        return cursor_u16(&c, &event->spdm_version) && cursor_u8(&c, &event->slot) &&
               cursor_u8(&c, &reserved) && cursor_u32(&c, &event->hash_algo) &&
               cursor_take(&c, cursor_left(&c), &event->sub);
}

static bool read_second(struct cursor *c, struct spdm_event *event)
{
        uint32_t size, sub_size;
        uint64_t path_size;
        uint8_t reserved;

        return cursor_u8(c, &event->auth_state) && cursor_u8(c, &reserved) &&
               cursor_u32(c, &size) && cursor_u32(c, &event->device_type) &&
               cursor_u32(c, &event->sub_type) && cursor_u32(c, &sub_size) &&
               cursor_u64(c, &event->uid) && cursor_u64(c, &path_size) &&
               cursor_take(c, path_size, &event->path) && cursor_take(c, sub_size, &event->sub) &&
               read_sub(event);
}

int spdm_event_read(struct span bytes, struct spdm_event *ret, struct error *error)
{
        struct cursor c = CURSOR(bytes);
        struct span signature;

        *ret = (struct spdm_event){0};
        if (!cursor_take(&c, sizeof(signature_1), &signature) || !cursor_u16(&c, &ret->version))
                return error_set(error, EBADMSG, "a device's event of %zu bytes is cut off",
                                bytes.size);
        ret->second = span_equal(signature, SPAN(signature_2, sizeof(signature_2)));
        if (!ret->second && !span_equal(signature, SPAN(signature_1, sizeof(signature_1))))
                return error_set(error, EBADMSG, "a device's event of an unknown form");
        if (!(ret->second ? read_second : read_first)(&c, ret))
                return error_set(error, EBADMSG, "a device's event of %zu bytes is cut off",
                                bytes.size);
        (void)cursor_take(&c, cursor_left(&c), &ret->context);
        return 0;
}
