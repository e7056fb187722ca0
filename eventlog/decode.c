/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/decode.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/device-path-text.h"
#include "base/efi-signature-list.h"
#include "base/guid.h"
#include "eventlog/body-parts.h"
#include "eventlog/hop.h"
#include "eventlog/spdm-event.h"
#include "eventlog/uefi-event.h"

#define TEXT_BYTES_MAX 512u /* of the log's, shown as text */
#define HEX_BYTES_MAX  32u

static struct span cut(struct span s, size_t limit)
{
        return s.size > limit ? SPAN(s.data, limit) : s;
}

static void put_hex(struct span data, struct buf *ret)
{
        struct span shown = cut(data, HEX_BYTES_MAX);

        for (size_t i = 0; i < shown.size; i++)
                buf_format(ret, "%02x", shown.data[i]);
        if (shown.size < data.size)
                buf_format(ret, "... (%zu bytes)", data.size);
}

/* Text, cut where it gets too long for a line. */
static void put_text(struct span text, enum text_encoding encoding, struct buf *ret)
{
        size_t limit = encoding == TEXT_UTF16 ? 2 * TEXT_BYTES_MAX : TEXT_BYTES_MAX;

        escape_text(cut(text, limit), encoding, ESCAPE_LINE, ret);
        if (text.size > limit)
                buf_format(ret, "... (%zu bytes)", text.size);
}

/* With or without a NUL at its end. NULs inside don't end the text: what stands behind one was
 * measured, too. */
static void put_utf8(struct span data, struct buf *ret)
{
        put_text(data.size > 0 && data.data[data.size - 1] == 0 ? SPAN(data.data, data.size - 1)
                                                                : data,
                        TEXT_UTF8, ret);
}

static void put_utf16(struct span data, struct buf *ret)
{
        bool nul = data.size >= 2 && (data.data[data.size - 1] | data.data[data.size - 2]) == 0;

        put_text(SPAN(data.data, data.size - (nul ? 2 : 0)), TEXT_UTF16, ret);
}

static bool is_utf16(struct span data)
{
        return data.size >= 2 && data.size % 2 == 0 &&
               (data.data[1] == 0 || (data.data[data.size - 1] | data.data[data.size - 2]) == 0);
}

/* No control characters before the end: what a person would call text. */
static bool is_utf8(struct span data)
{
        struct cursor c = CURSOR(data);
        uint32_t point = 0;
        bool valid;

        while (text_skip_plain(&c, TEXT_UTF8), text_next(&c, TEXT_UTF8, &point, &valid))
                if (!valid || (point < 0x20 && point != '\n' && point != '\t' && point != '\r' &&
                                              (point != 0 || cursor_left(&c) > 0)))
                        return false;
        return data.size > 0;
}

void event_line_of(struct span data, struct buf *ret)
{
        if (is_utf16(data))
                put_utf16(data, ret);
        else if (is_utf8(data))
                put_utf8(data, ret);
        else
                put_hex(data, ret);
}

/* Writers by type. scratch is empty. */
static void text(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        event_line_of(event->data, ret);
}

/* Text whatever it holds. */
static void action(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        put_utf8(event->data, ret);
}

static void separator(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct cursor c = CURSOR(event->data);
        uint32_t value;

        buf_format(ret, "separator");
        if (event->data.size == 4 && cursor_u32(&c, &value) && (value == 0 || value == 0xffffffff))
                return;
        buf_format(ret, event->data.size == 4 && value == 1 ? ", error: " : ": ");
        if (is_utf8(event->data)) /* Windows: "WBCL" */
                put_utf8(event->data, ret);
        else
                put_hex(event->data, ret);
}

/* Most begin with a 16-byte signature and go on in binary. */
static void no_action(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct span signature, name;

        if (!span_sub(event->data, 0, 16, &signature) || !is_utf8(utf8_until_nul(signature))) {
                text(event, scratch, ret);
                return;
        }
        name = utf8_until_nul(signature);
        put_utf8(name, ret);
        if (event->data.size == 17 && span_equal(name, SPAN("StartupLocality", 15)))
                buf_format(ret, " %u", event->data.data[16]);
}

static void put_device_path(struct span path, struct buf *scratch, struct buf *ret)
{
        scratch->size = 0;
        if (device_path_to_text(path, false, scratch) && !buf_failed(scratch))
                put_text(buf_span(scratch), TEXT_UTF16, ret);
        else
                buf_format(ret, "malformed device path of %zu bytes", path.size);
}

static void image_load(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct image_load image;

        if (!image_load_read(event->data, &image)) {
                buf_format(ret, "malformed image load event: ");
                put_hex(event->data, ret);
                return;
        }
        buf_format(ret, "image of %llu bytes", (unsigned long long)image.length);
        if (image.location != 0) /* mkexec leaves it out */
                buf_format(ret, " at 0x%llx", (unsigned long long)image.location);
        if (image.path_bytes != image.path.size) {
                buf_format(ret, ": malformed device path of %zu bytes", image.path.size);
        } else if (image.path.size > 0) {
                buf_format(ret, ": ");
                put_device_path(image.path, scratch, ret);
        }
}

/* ---- variables ---- */

static void put_count(size_t n, const EFI_GUID *type, bool first, struct buf *ret)
{
        if (n > 0)
                buf_format(ret, "%s%zu %s", first ? "" : ", ", n,
                                guid_name(type) ? guid_name(type) : "of unknown type");
}

/* How many entries of which type: lists of certificates have one each. */
static void put_signatures(struct span data, struct buf *ret)
{
        struct cursor c = CURSOR(data);
        struct efi_signature_list list;
        EFI_GUID type = {0};
        bool first = true;
        size_t n = 0;

        while (cursor_left(&c) > 0 && efi_signature_list_take(&c, &list, NULL) == 0) {
                if (n > 0 && !guid_equal(&type, &list.type)) {
                        put_count(n, &type, first, ret);
                        first = false;
                        n = 0;
                }
                type = list.type;
                n += list.entries.size / list.entry_bytes;
        }
        put_count(n, &type, first, ret);
        if (cursor_left(&c) > 0)
                buf_format(ret, "%smalformed signature list", n > 0 || !first ? ", " : "");
        else if (n == 0 && first)
                buf_format(ret, "empty");
}

static void put_boot_order(struct span data, struct buf *ret)
{
        struct cursor c = CURSOR(data);
        uint16_t number;

        for (unsigned n = 0; n < 64 && cursor_u16(&c, &number); n++)
                buf_format(ret, "%s%04X", n ? " " : "", number);
        if (cursor_left(&c) > 0)
                buf_format(ret, "... (%zu bytes)", data.size);
}

static void put_load_option(struct span data, struct buf *scratch, struct buf *ret)
{
        struct load_option option;

        if (!load_option_read(data, &option)) {
                buf_format(ret, "malformed load option: ");
                put_hex(data, ret);
                return;
        }
        put_utf16(option.description, ret);
        buf_format(ret, ", ");
        put_device_path(option.paths, scratch, ret);
        if (!(option.attributes & 1))
                buf_format(ret, ", not active");
}

static void put_value(const struct uefi_variable *variable, uint32_t event_type,
                struct buf *scratch, struct buf *ret)
{
        char owner[GUID_TEXT_SIZE];
        EFI_GUID guid;

        switch (uefi_variable_value(variable, event_type)) {
        case VALUE_BOOL:
                if (variable->data.size > 1)
                        break;
                buf_format(ret, variable->data.size == 1 && variable->data.data[0] ? "on" : "off");
                return;
        case VALUE_SIGNATURES:
                put_signatures(variable->data, ret);
                return;
        case VALUE_SIGNATURE:
                if (variable->data.size < EFI_SIGNATURE_OWNER_BYTES)
                        break;
                memcpy(&guid, variable->data.data, sizeof(guid));
                guid_to_text(&guid, owner);
                buf_format(ret, "%zu bytes of owner %s",
                                variable->data.size - EFI_SIGNATURE_OWNER_BYTES, owner);
                return;
        case VALUE_BOOT_ORDER:
                put_boot_order(variable->data, ret);
                return;
        case VALUE_LOAD_OPTION:
                put_load_option(variable->data, scratch, ret);
                return;
        case VALUE_TEXT:
                event_line_of(variable->data, ret);
                return;
        case VALUE_UNKNOWN:
                break;
        }
        put_hex(variable->data, ret);
}

/* The vendor's GUID only where the name doesn't say enough. */
static void variable(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct uefi_variable v = {0};
        char guid_text[GUID_TEXT_SIZE];
        int r = uefi_variable_read(event->data, &v, NULL);

        if (r < 0 && !v.name.data) {
                buf_format(ret, "malformed variable: ");
                put_hex(event->data, ret);
                return;
        }
        put_utf16(v.name, ret);
        if (uefi_variable_value(&v, event->type) == VALUE_UNKNOWN) {
                guid_to_text(&v.guid, guid_text);
                buf_format(ret, "-%s", guid_text);
        }
        buf_format(ret, r < 0 ? ", malformed: " : ": ");
        put_value(&v, event->type, scratch, ret);
}

/* ---- disks and firmware ---- */

static void gpt(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct gpt table = {0};
        struct gpt_partition partition;
        char disk[GUID_TEXT_SIZE];
        uint64_t i = 0;

        if (gpt_read(event->data, &table, NULL) < 0) {
                buf_format(ret, "malformed partition table: ");
                put_hex(event->data, ret);
                return;
        }
        guid_to_text(&table.disk, disk);
        buf_format(ret, "GPT of disk %s", disk);
        for (; i < 16 && gpt_partition_read(&table, i, &partition); i++) {
                buf_format(ret, i == 0 ? ": " : ", ");
                put_utf16(utf16_until_nul(partition.name), ret);
        }
        if (i < table.n_partitions)
                buf_format(ret, "... (%llu partitions)", (unsigned long long)table.n_partitions);
}

/* Some firmware writes text instead. */
static void blob(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct firmware_blob b;

        if (firmware_blob_read(event->data, &b))
                buf_format(ret, "firmware blob of %llu bytes at 0x%llx",
                                (unsigned long long)b.length, (unsigned long long)b.base);
        else
                text(event, scratch, ret);
}

static void blob2(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct firmware_blob b;

        if (!firmware_blob2_read(event->data, &b)) {
                text(event, scratch, ret);
                return;
        }
        buf_format(ret, "firmware blob ");
        put_utf8(b.description, ret);
        buf_format(ret, " of %llu bytes at 0x%llx", (unsigned long long)b.length,
                        (unsigned long long)b.base);
}

/* UEFI_HANDOFF_TABLE_POINTERS, PFP 10.2.9; its second form has a description before it. */
static void put_tables(struct cursor c, struct buf *ret)
{
        uint64_t n, address;
        EFI_GUID guid;

        if (!cursor_u64(&c, &n)) {
                buf_format(ret, "malformed");
                return;
        }
        for (uint64_t i = 0; i < n; i++) {
                char guid_text[GUID_TEXT_SIZE];

                if (i == 16 || !cursor_copy(&c, &guid, sizeof(guid)) || !cursor_u64(&c, &address)) {
                        buf_format(ret, "... (%llu tables)", (unsigned long long)n);
                        return;
                }
                guid_to_text(&guid, guid_text);
                buf_format(ret, "%s%s at 0x%llx", i ? ", " : "",
                                guid_name(&guid) ? guid_name(&guid) : guid_text,
                                (unsigned long long)address);
        }
}

static void handoff(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        buf_format(ret, "tables: ");
        put_tables(CURSOR(event->data), ret);
}

static void handoff2(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct cursor c = CURSOR(event->data);
        struct span description;
        uint8_t size;

        if (!cursor_u8(&c, &size) || !cursor_take(&c, size, &description)) {
                buf_format(ret, "malformed tables: ");
                put_hex(event->data, ret);
                return;
        }
        buf_format(ret, "tables ");
        put_utf8(description, ret);
        buf_format(ret, ": ");
        put_tables(c, ret);
}

/* ---- devices ---- */

/* Which device, how it answered, and its first measurement. */
static void spdm(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        struct spdm_measurement m;
        struct spdm_event spdm;
        struct spdm_pci pci;
        struct cursor c;

        if (spdm_event_read(event->data, &spdm, NULL) < 0) {
                buf_format(ret, "malformed event of a device: ");
                put_hex(event->data, ret);
                return;
        }
        if (spdm.device_type == SPDM_DEVICE_PCI && spdm_pci_read(spdm.context, &pci))
                buf_format(ret, "PCI device %04x:%04x", pci.vendor, pci.device);
        else
                buf_format(ret, "device");
        if (spdm.second && spdm_auth_state_word(spdm.auth_state))
                buf_format(ret, ", authentication %s", spdm_auth_state_word(spdm.auth_state));
        if (spdm.path.size > 0) {
                buf_format(ret, ", ");
                put_device_path(spdm.path, scratch, ret);
        }
        c = CURSOR(spdm.sub);
        if (spdm.sub_type == SPDM_SUB_MEASUREMENTS && spdm_measurement_next(&c, &m) > 0) {
                buf_format(ret, ": measurement %u ", m.index);
                put_hex(m.value, ret);
        } else if (spdm.sub_type == SPDM_SUB_CERTIFICATES) {
                buf_format(ret, ": certificates of slot %u, %zu bytes", spdm.slot, spdm.sub.size);
        }
}

/* ---- tagged events ---- */

static void hop_open(const struct tcg_event *event, struct buf *ret)
{
        struct hop_open open = {0};
        char hex[65];

        if (hop_open_decode(event->data, &open, NULL) < 0) {
                buf_format(ret, "mkexec: malformed open event");
                return;
        }
        hex_encode(SPAN(open.payload_sha256, 32), hex);
        buf_format(ret, "mkexec: open hop %u, %zu events follow, payload sha256 %s", open.hop,
                        open.n_events, hex);
}

static void hop_end(const struct tcg_event *event, struct buf *ret)
{
        struct hop_end end;

        if (hop_close_decode(event->data, &end, NULL) >= 0)
                buf_format(ret, "mkexec: close hop %u of %u events", end.hop, end.count);
        else if (hop_abort_decode(event->data, &end, NULL) >= 0)
                buf_format(ret, "mkexec: abort hop %u after %u extends", end.hop, end.count);
        else
                buf_format(ret, "mkexec: malformed close or abort event");
}

static void tagged(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        enum hop_own own = hop_is_own(event);
        struct span payload;
        uint32_t id;

        if (own != HOP_NONE) {
                (own == HOP_OPEN ? hop_open : hop_end)(event, ret);
                return;
        }
        if (!event_tagged(event->data, &id, &payload)) {
                buf_format(ret, "malformed tagged event: ");
                put_hex(event->data, ret);
                return;
        }
        if (tag_name(id))
                buf_format(ret, "%s: ", tag_name(id));
        else
                buf_format(ret, "tag 0x%08x: ", id);
        event_line_of(payload, ret);
}

/* Types without a row are text if they look so, else hex. */
static const struct {
        uint32_t type;
        void (*write)(const struct tcg_event *event, struct buf *scratch, struct buf *ret);
} writers[] = {
                {EV_NO_ACTION, no_action},
                {EV_SEPARATOR, separator},
                {EV_ACTION, action},
                {EV_EFI_ACTION, action},
                {EV_EVENT_TAG, tagged},
                {EV_POST_CODE, blob},
                {EV_POST_CODE2, blob2},
                {EV_S_CRTM_CONTENTS, blob},
                {EV_EFI_PLATFORM_FIRMWARE_BLOB, blob},
                {EV_EFI_PLATFORM_FIRMWARE_BLOB2, blob2},
                {EV_EFI_BOOT_SERVICES_APPLICATION, image_load},
                {EV_EFI_BOOT_SERVICES_DRIVER, image_load},
                {EV_EFI_RUNTIME_SERVICES_DRIVER, image_load},
                {EV_EFI_VARIABLE_DRIVER_CONFIG, variable},
                {EV_EFI_VARIABLE_BOOT, variable},
                {EV_EFI_VARIABLE_BOOT2, variable},
                {EV_EFI_VARIABLE_AUTHORITY, variable},
                {EV_EFI_SPDM_FIRMWARE_BLOB, spdm},
                {EV_EFI_SPDM_FIRMWARE_CONFIG, spdm},
                {EV_EFI_SPDM_DEVICE_POLICY, variable},
                {EV_EFI_SPDM_DEVICE_AUTHORITY, variable},
                {EV_EFI_GPT_EVENT, gpt},
                {EV_EFI_GPT_EVENT2, gpt},
                {EV_EFI_HANDOFF_TABLES, handoff},
                {EV_EFI_HANDOFF_TABLES2, handoff2},
};

void event_line(const struct tcg_event *event, struct buf *scratch, struct buf *ret)
{
        scratch->size = 0;
        for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
                if (writers[i].type == event->type) {
                        writers[i].write(event, scratch, ret);
                        return;
                }
        text(event, scratch, ret);
}

void event_text(const struct tcg_event *event, struct buf *ret)
{
        _cleanup_buf_ struct buf scratch = {0};

        event_line(event, &scratch, ret);
}
