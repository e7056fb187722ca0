/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of firmware's own events: blobs of code, tables handed to the system, and what is told
 * without being measured. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/body-parts.h"
#include "eventlog/uefi-event.h"

static int put_blob(const struct body_sink *sink, const struct firmware_blob *blob)
{
        body_word(sink, "kind", "firmware_blob");
        if (blob->description.size > 0)
                body_text(sink, "description", TEXT_UTF8, utf8_until_nul(blob->description));
        body_address(sink, "base", blob->base);
        body_number(sink, "size", blob->length);
        return 0;
}

/* Some firmware writes text instead: "POST CODE". */
int body_blob(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct firmware_blob blob;

        if (firmware_blob_read(event->data, &blob))
                return put_blob(sink, &blob);
        if (event->type != EV_EFI_PLATFORM_FIRMWARE_BLOB)
                return body_plain(event, sink, reason);
        body_plain(event, sink, reason);
        return error_set(reason, EBADMSG, "a firmware blob of %zu bytes", event->data.size);
}

int body_blob2(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct firmware_blob blob;

        if (firmware_blob2_read(event->data, &blob))
                return put_blob(sink, &blob);
        if (event->type != EV_EFI_PLATFORM_FIRMWARE_BLOB2)
                return body_plain(event, sink, reason);
        body_plain(event, sink, reason);
        return error_set(reason, EBADMSG, "a firmware blob with description of %zu bytes",
                        event->data.size);
}

/* ---- UEFI_HANDOFF_TABLE_POINTERS and -POINTERS2, PFP 10.2.9 and 10.2.10 ---- */

static int put_tables(const struct body_sink *sink, struct cursor c, struct error *reason)
{
        uint64_t n, address, i = 0;
        EFI_GUID guid;

        if (!cursor_u64(&c, &n))
                return error_set(reason, EBADMSG, "a list of tables is cut off");
        body_open(sink, BODY_ARRAY, "tables");
        for (; i < n && cursor_left(&c) >= 24; i++) {
                (void)cursor_copy(&c, &guid, sizeof(guid));
                (void)cursor_u64(&c, &address);
                body_open(sink, BODY_OBJECT, NULL);
                body_guid(sink, "guid", "guid_name", &guid);
                body_address(sink, "address", address);
                body_close(sink);
        }
        body_close(sink);
        return i == n && cursor_left(&c) == 0
                               ? 0
                               : error_set(reason, EBADMSG, "%llu tables don't fit the event",
                                                 (unsigned long long)n);
}

int body_handoff(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        body_word(sink, "kind", "handoff_tables");
        return put_tables(sink, CURSOR(event->data), reason);
}

int body_handoff2(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct cursor c = CURSOR(event->data);
        struct span description;
        uint8_t size;

        body_word(sink, "kind", "handoff_tables");
        if (!cursor_u8(&c, &size) || !cursor_take(&c, size, &description))
                return error_set(reason, EBADMSG, "a description is cut off");
        body_text(sink, "description", TEXT_UTF8, utf8_until_nul(description));
        return put_tables(sink, c, reason);
}

/* ---- EV_NO_ACTION: a signature of 16 bytes says what follows, PFP 10.4.5 ---- */

static int put_spec_id(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct spec_id id;
        struct cursor c;
        uint16_t alg, size;
        char version[16];

        if (!spec_id_read(data, &id))
                return error_set(reason, EBADMSG, "a header of %zu bytes is cut off", data.size);
        snprintf(version, sizeof(version), "%u.%u.%u", id.major, id.minor, id.errata);
        body_number(sink, "platform_class", id.platform_class);
        body_word(sink, "version", version);
        body_number(sink, "uintn_size", id.uintn_size);
        body_open(sink, BODY_ARRAY, "algorithms");
        c = CURSOR(id.algorithms);
        while (cursor_u16(&c, &alg) && cursor_u16(&c, &size)) {
                body_open(sink, BODY_OBJECT, NULL);
                body_address(sink, "id", alg);
                if (alg_by_id(alg))
                        body_word(sink, "name", alg_by_id(alg)->name);
                body_number(sink, "size", size);
                body_close(sink);
        }
        body_close(sink);
        if (id.vendor_info.size > 0)
                body_bytes(sink, "vendor_info", id.vendor_info);
        return 0;
}

static int put_locality(const struct body_sink *sink, struct span data, struct error *reason)
{
        if (data.size != 17)
                return error_set(reason, EBADMSG, "a StartupLocality of %zu bytes", data.size);
        body_number(sink, "locality", data.data[16]);
        return 0;
}

/* Strings with a length byte before them and a NUL inside. */
static bool put_strings(const struct body_sink *sink, struct cursor *c, const char *const *names)
{
        for (; *names; names++) {
                struct span text;
                uint8_t size;

                if (!cursor_u8(c, &size) || !cursor_take(c, size, &text))
                        return false;
                body_text(sink, *names, TEXT_UTF8, utf8_until_nul(text));
        }
        return true;
}

/* Where to get a manifest or certificate: type, length, and a URI, device path or data. */
static bool put_locator(const struct body_sink *sink, struct cursor *c, const char *name)
{
        struct span locator, text;
        enum text_encoding encoding;
        uint32_t type, size;

        if (!cursor_u32(c, &type) || !cursor_u32(c, &size) || !cursor_take(c, size, &locator))
                return false;
        body_open(sink, BODY_OBJECT, name);
        body_number(sink, "type", type);
        if (text_recognize(locator, &text, &encoding))
                body_text(sink, "text", encoding, text);
        else
                body_bytes(sink, "data", locator);
        body_close(sink);
        return true;
}

static bool put_sp800_155_parts(const struct body_sink *sink, struct cursor *c, unsigned version)
{
        static const char *const makers[] = {"platform_manufacturer", "platform_model",
                        "platform_version", "firmware_manufacturer", NULL};
        static const char *const firmware[] = {"firmware_version", NULL};
        uint32_t vendor, maker;
        EFI_GUID guid;

        if (!cursor_u32(c, &vendor) || !cursor_copy(c, &guid, sizeof(guid)))
                return false;
        body_number(sink, "vendor_id", vendor);
        body_guid(sink, "reference_manifest", NULL, &guid);
        if (version == 1)
                return true;
        if (!put_strings(sink, c, makers) || !cursor_u32(c, &maker))
                return false;
        body_number(sink, "firmware_manufacturer_id", maker);
        if (!put_strings(sink, c, firmware))
                return false;
        return version == 2 ||
               (put_locator(sink, c, "manifest_locator") &&
                               put_locator(sink, c, "platform_certificate_locator"));
}

/* "SP800-155 Event", "SP800-155 Event2", "SP800-155 Event3" */
static int put_sp800_155(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct cursor c = CURSOR(data);
        unsigned version = data.data[15] == 0 ? 1 : data.data[15] - '0';

        (void)cursor_skip(&c, 16);
        body_number(sink, "version", version);
        return put_sp800_155_parts(sink, &c, version)
                               ? 0
                               : error_set(reason, EBADMSG, "a reference manifest is cut off");
}

static const struct {
        const char *signature; /* 16 bytes with its NULs, or as many as there are */
        const char *kind;
        int (*report)(const struct body_sink *sink, struct span data, struct error *reason);
} no_actions[] = {
                {"Spec ID Event03", "spec_id", put_spec_id},
                {"StartupLocality", "startup_locality", put_locality},
                {"SP800-155 Event", "sp800_155", put_sp800_155},
                {"SP800-155 Event2", "sp800_155", put_sp800_155},
                {"SP800-155 Event3", "sp800_155", put_sp800_155},
                {"NvIndexInstance", "nv_index_instance", body_nv_instance},
                {"NvIndexDynamic ", "nv_index_dynamic", body_nv_dynamic},
};

int body_no_action(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct span signature, rest;

        if (!span_sub(event->data, 0, 16, &signature))
                return body_plain(event, sink, reason);
        for (size_t i = 0; i < ARRAY_SIZE(no_actions); i++) {
                const char *want = no_actions[i].signature;

                if (strncmp((const char *)signature.data, want, 16) != 0)
                        continue;
                body_word(sink, "kind", no_actions[i].kind);
                return no_actions[i].report(sink, event->data, reason);
        }
        (void)span_sub(event->data, 16, event->data.size - 16, &rest);
        body_word(sink, "kind", "no_action");
        body_text(sink, "signature", TEXT_UTF8, utf8_until_nul(signature));
        body_bytes(sink, "data", rest);
        return 0;
}
