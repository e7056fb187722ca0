/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/body.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/device-path.h"
#include "eventlog/body-parts.h"

/* ---- reporting ---- */

static void put(const struct body_sink *sink, struct body_field field)
{
        sink->put(sink->context, &field);
}

void body_open(const struct body_sink *sink, enum body_kind kind, const char *name)
{
        put(sink, (struct body_field){.kind = kind, .name = name});
}

void body_close(const struct body_sink *sink)
{
        put(sink, (struct body_field){.kind = BODY_END});
}

void body_number(const struct body_sink *sink, const char *name, uint64_t number)
{
        put(sink, (struct body_field){.kind = BODY_NUMBER, .name = name, .number = number});
}

void body_address(const struct body_sink *sink, const char *name, uint64_t number)
{
        put(sink, (struct body_field){.kind = BODY_ADDRESS, .name = name, .number = number});
}

void body_bool(const struct body_sink *sink, const char *name, bool value)
{
        put(sink, (struct body_field){.kind = BODY_BOOL, .name = name, .number = value});
}

void body_word(const struct body_sink *sink, const char *name, const char *word)
{
        put(sink, (struct body_field){.kind = BODY_WORD, .name = name, .word = word});
}

void body_bytes(const struct body_sink *sink, const char *name, struct span bytes)
{
        put(sink, (struct body_field){.kind = BODY_BYTES, .name = name, .bytes = bytes});
}

void body_text(const struct body_sink *sink, const char *name, enum text_encoding encoding,
                struct span text)
{
        put(sink, (struct body_field){.kind = encoding == TEXT_UTF16 ? BODY_UTF16 : BODY_UTF8,
                                  .name = name,
                                  .bytes = text});
}

void body_guid(const struct body_sink *sink, const char *name, const char *name_of,
                const EFI_GUID *guid)
{
        put(sink, (struct body_field){.kind = BODY_GUID,
                                  .name = name,
                                  .bytes = SPAN(guid, sizeof(*guid))});
        if (name_of && guid_name(guid))
                body_word(sink, name_of, guid_name(guid));
}

int body_device_path(const struct body_sink *sink, struct span path, struct error *reason)
{
        size_t size = device_path_size(path);

        if (size == 0) {
                body_bytes(sink, "device_path_data", path);
                return error_set(reason, EBADMSG, "a device path of %zu bytes breaks off",
                                path.size);
        }
        put(sink, (struct body_field){.kind = BODY_DEVICE_PATH,
                                  .name = "device_path",
                                  .bytes = SPAN(path.data, size)});
        return 0;
}

/* ---- text ---- */

static struct span without_nuls(struct span text, size_t unit)
{
        while (text.size >= unit && text.data[text.size - 1] == 0 &&
                        (unit == 1 || text.data[text.size - 2] == 0))
                text.size -= unit;
        return text;
}

struct span utf8_until_nul(struct span text)
{
        return SPAN(text.data, text.size > 0 ? strnlen((const char *)text.data, text.size) : 0);
}

struct span utf16_until_nul(struct span text)
{
        struct cursor c = CURSOR(text);
        uint16_t unit;

        while (cursor_u16(&c, &unit))
                if (unit == 0)
                        return SPAN(text.data, c.offset - 2);
        return text;
}

/* No control characters, or those that stand in files of text. */
static bool is_text(struct span text, enum text_encoding encoding)
{
        struct cursor c = CURSOR(text);
        uint32_t point;
        bool valid;

        while (text_skip_plain(&c, encoding), text_next(&c, encoding, &point, &valid))
                if (!valid || point == 0x7f ||
                                (point < 0x20 && point != '\n' && point != '\t' && point != '\r'))
                        return false;
        return text.size > 0;
}

/* Characters of Latin scripts have 0 in every second byte; others are taken for UTF-16 by their
 * NUL. */
bool text_recognize(struct span data, struct span *ret, enum text_encoding *encoding)
{
        struct span utf8 = without_nuls(data, 1), utf16 = without_nuls(data, 2);
        bool wide = data.size >= 2 && data.size % 2 == 0 &&
                    (data.data[1] == 0 ||
                                    (data.data[data.size - 1] | data.data[data.size - 2]) == 0);

        if (wide && is_text(utf16, TEXT_UTF16)) {
                *ret = utf16;
                *encoding = TEXT_UTF16;
                return true;
        }
        if (!is_text(utf8, TEXT_UTF8))
                return false;
        *ret = utf8;
        *encoding = TEXT_UTF8;
        return true;
}

/* Sections as systemd-stub measures them by name (systemd, src/fundamental/uki.h). */
bool is_uki_section(struct span name)
{
        static const char *const names[] = {".linux", ".osrel", ".cmdline", ".initrd", ".ucode",
                        ".splash", ".dtb", ".uname", ".sbat", ".pcrsig", ".pcrpkey", ".profile",
                        ".dtbauto", ".hwids", ".efifw"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (span_equal(name, SPAN(names[i], strlen(names[i]))))
                        return true;
        return false;
}

static const struct {
        uint32_t type;
        const char *word;
} kinds[] = {
                {EV_IPL, "ipl"},
                {EV_ACTION, "action"},
                {EV_EFI_ACTION, "action"},
                {EV_SEPARATOR, "separator"},
                {EV_S_CRTM_VERSION, "version"},
};

static const char *kind_of(uint32_t type, const char *otherwise)
{
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (kinds[i].type == type)
                        return kinds[i].word;
        return otherwise;
}

int body_plain(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        enum text_encoding encoding;
        struct span text;

        if (text_recognize(event->data, &text, &encoding)) {
                body_word(sink, "kind", kind_of(event->type, "text"));
                body_text(sink, "text", encoding, text);
        } else {
                body_word(sink, "kind", kind_of(event->type, "opaque"));
        }
        return 0;
}

/* Types that are text whatever they hold. */
static int body_action(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        body_word(sink, "kind", "action");
        body_text(sink, "text", TEXT_UTF8, without_nuls(event->data, 1));
        return 0;
}

/* systemd-stub's UTF-16 names of sections, GRUB's "grub_cmd: ...", paths, command lines. */
static int body_ipl(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        char ascii[16] = "";
        enum text_encoding encoding;
        struct cursor c;
        struct span text;
        uint32_t point;
        bool valid;
        size_t n = 0;

        if (!text_recognize(event->data, &text, &encoding)) {
                body_word(sink, "kind", "ipl");
                return 0;
        }
        c = CURSOR(text);
        while (n < sizeof(ascii) && text_next(&c, encoding, &point, &valid) && point < 0x80)
                ascii[n++] = (char)point;
        if (cursor_left(&c) == 0 && is_uki_section(SPAN(ascii, n))) {
                body_word(sink, "kind", "uki_section");
                body_text(sink, "name", encoding, text);
        } else {
                body_word(sink, "kind", "ipl");
                body_text(sink, "text", encoding, text);
        }
        return 0;
}

static int body_separator(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct cursor c = CURSOR(event->data);
        uint32_t value;

        body_word(sink, "kind", "separator");
        if (event->data.size != 4 || !cursor_u32(&c, &value)) {
                body_bytes(sink, "data", event->data);
                return error_set(reason, EBADMSG, "a separator of %zu bytes", event->data.size);
        }
        body_address(sink, "value", value);
        body_bool(sink, "error", value == 1);                               /* PFP 10.4.1 */
        if (event->data.data[0] >= 0x20 && is_text(event->data, TEXT_UTF8)) /* Windows: "WBCL" */
                body_text(sink, "text", TEXT_UTF8, event->data);
        return 0;
}

/* ---- by type ---- */

static const struct {
        uint32_t type;
        int (*report)(const struct tcg_event *event, const struct body_sink *sink,
                        struct error *reason);
} bodies[] = {
                {EV_NO_ACTION, body_no_action},
                {EV_SEPARATOR, body_separator},
                {EV_ACTION, body_action},
                {EV_EFI_ACTION, body_action},
                {EV_EVENT_TAG, body_tagged},
                {EV_IPL, body_ipl},
                {EV_POST_CODE, body_blob},
                {EV_POST_CODE2, body_blob2},
                {EV_S_CRTM_CONTENTS, body_blob},
                {EV_EFI_PLATFORM_FIRMWARE_BLOB, body_blob},
                {EV_EFI_PLATFORM_FIRMWARE_BLOB2, body_blob2},
                {EV_EFI_HANDOFF_TABLES, body_handoff},
                {EV_EFI_HANDOFF_TABLES2, body_handoff2},
                {EV_EFI_BOOT_SERVICES_APPLICATION, body_image_load},
                {EV_EFI_BOOT_SERVICES_DRIVER, body_image_load},
                {EV_EFI_RUNTIME_SERVICES_DRIVER, body_image_load},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, body_variable},
                {EV_EFI_VARIABLE_BOOT, body_variable},
                {EV_EFI_VARIABLE_BOOT2, body_variable},
                {EV_EFI_VARIABLE_AUTHORITY, body_variable},
                {EV_EFI_SPDM_FIRMWARE_BLOB, body_spdm},
                {EV_EFI_SPDM_FIRMWARE_CONFIG, body_spdm},
                {EV_EFI_SPDM_DEVICE_POLICY, body_variable},
                {EV_EFI_SPDM_DEVICE_AUTHORITY, body_variable},
                {EV_EFI_GPT_EVENT, body_gpt},
                {EV_EFI_GPT_EVENT2, body_gpt},
};

int event_body(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
                if (bodies[i].type == event->type)
                        return bodies[i].report(event, sink, reason);
        return body_plain(event, sink, reason);
}
