/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of variables: their name, and what stands in those whose form is known. */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/efi-signature-list.h"
#include "eventlog/body-parts.h"
#include "eventlog/uefi-event.h"

static int put_bool(const struct body_sink *sink, struct span data, struct error *reason)
{
        if (data.size > 1)
                return error_set(reason, EBADMSG, "%zu bytes where there should be one", data.size);
        body_bool(sink, "enabled", data.size == 1 && data.data[0] != 0);
        return 0;
}

static void put_entry(const struct body_sink *sink, const char *name, struct span entry)
{
        struct cursor c = CURSOR(entry);
        EFI_GUID owner;
        struct span rest;

        if (!cursor_copy(&c, &owner, sizeof(owner)) || !cursor_take(&c, cursor_left(&c), &rest))
                return;
        body_open(sink, BODY_OBJECT, name);
        body_guid(sink, "owner", NULL, &owner);
        body_bytes(sink, "data", rest);
        body_close(sink);
}

static int put_signatures(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct cursor c = CURSOR(data);
        struct efi_signature_list list;
        int r = 0;

        body_open(sink, BODY_ARRAY, "signature_lists");
        while (cursor_left(&c) > 0 && (r = efi_signature_list_take(&c, &list, reason)) == 0) {
                struct cursor entries = CURSOR(list.entries);
                struct span entry;

                body_open(sink, BODY_OBJECT, NULL);
                body_guid(sink, "type", "type_name", &list.type);
                body_bytes(sink, "header", list.header);
                body_number(sink, "entry_size", list.entry_bytes);
                body_open(sink, BODY_ARRAY, "entries");
                while (cursor_left(&entries) > 0 && cursor_take(&entries, list.entry_bytes, &entry))
                        put_entry(sink, NULL, entry);
                body_close(sink);
                body_close(sink);
        }
        body_close(sink);
        return r;
}

static int put_signature(const struct body_sink *sink, struct span data, struct error *reason)
{
        if (data.size < EFI_SIGNATURE_OWNER_BYTES) {
                body_bytes(sink, "data", data);
                return error_set(reason, EBADMSG, "a signature of %zu bytes has no owner",
                                data.size);
        }
        put_entry(sink, "signature", data);
        return 0;
}

static int put_boot_order(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct cursor c = CURSOR(data);
        uint16_t number;

        body_open(sink, BODY_ARRAY, "boot_order");
        while (cursor_u16(&c, &number)) {
                char name[9];

                snprintf(name, sizeof(name), "Boot%04X", number);
                body_word(sink, NULL, name);
        }
        body_close(sink);
        return cursor_left(&c) == 0
                               ? 0
                               : error_set(reason, EBADMSG, "an order of %zu bytes", data.size);
}

static int put_load_option(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct load_option option;
        int r;

        if (!load_option_read(data, &option)) {
                body_bytes(sink, "data", data);
                return error_set(reason, EBADMSG, "a load option of %zu bytes is cut off",
                                data.size);
        }
        body_open(sink, BODY_OBJECT, "load_option");
        body_address(sink, "attributes", option.attributes);
        body_bool(sink, "active", option.attributes & 1);
        body_text(sink, "description", TEXT_UTF16, option.description);
        r = body_device_path(sink, option.paths, reason);
        body_bytes(sink, "optional_data", option.optional_data);
        body_close(sink);
        return r;
}

static int put_text(const struct body_sink *sink, struct span data, struct error *reason)
{
        struct span text;
        enum text_encoding encoding;

        if (!text_recognize(data, &text, &encoding)) {
                body_bytes(sink, "data", data);
                return error_set(reason, EBADMSG, "%zu bytes that should be text", data.size);
        }
        body_text(sink, "text", encoding, text);
        return 0;
}

static int put_unknown(const struct body_sink *sink, struct span data, struct error *reason)
{
        body_bytes(sink, "data", data);
        return 0;
}

static int (*const writers[])(
                const struct body_sink *sink, struct span data, struct error *reason) = {
                [VALUE_UNKNOWN] = put_unknown,
                [VALUE_BOOL] = put_bool,
                [VALUE_SIGNATURES] = put_signatures,
                [VALUE_SIGNATURE] = put_signature,
                [VALUE_BOOT_ORDER] = put_boot_order,
                [VALUE_LOAD_OPTION] = put_load_option,
                [VALUE_TEXT] = put_text,
};

int body_variable(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct uefi_variable variable = {0};
        struct error ignored;
        struct span name;
        int r, r_value;

        body_word(sink, "kind", "variable");
        r = uefi_variable_read(event->data, &variable, reason);
        if (r < 0 && !variable.name.data)
                return r;
        name = variable.name;
        body_guid(sink, "guid", "guid_name", &variable.guid);
        body_text(sink, "name", TEXT_UTF16, name);
        r_value = writers[uefi_variable_value(&variable, event->type)](
                        sink, variable.data, r < 0 ? &ignored : reason);
        if (variable.excess.size > 0)
                body_bytes(sink, "excess", variable.excess);
        return r < 0 ? r : r_value;
}
