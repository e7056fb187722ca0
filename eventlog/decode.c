/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/guid.h"
#include "base/utf16.h"
#include "eventlog/hop.h"

#define TEXT_BYTES_MAX 512u /* of the log's, shown as text */
#define HEX_BYTES_MAX  32u

__attribute__((format(printf, 2, 3))) static void put(struct buf *ret, const char *format, ...)
{
        char line[256];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        if (n > 0)
                buf_put(ret, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* One code point of UTF-8 off the front; false (and nothing taken) if there is no valid one. */
static bool take_code_point(struct cursor *c, uint32_t *ret)
{
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        struct cursor ahead = *c;
        uint8_t lead, next;
        uint32_t point;
        unsigned more;

        if (!cursor_u8(&ahead, &lead))
                return false;
        if (lead < 0x80)
                more = 0;
        else if (lead >> 5 == 6)
                more = 1;
        else if (lead >> 4 == 14)
                more = 2;
        else if (lead >> 3 == 30)
                more = 3;
        else
                return false;
        point = more == 0 ? lead : lead & (0x3fu >> more);
        for (unsigned i = 0; i < more; i++) {
                if (!cursor_u8(&ahead, &next) || next >> 6 != 2)
                        return false;
                point = point << 6 | (next & 63);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
                return false;
        *c = ahead;
        *ret = point;
        return true;
}

/* Characters that do something instead of being seen. */
static const struct {
        uint32_t first, last;
} steering[] = {
                {0x00, 0x1f},       /* C0: newline, ESC */
                {0x7f, 0x9f},       /* DEL, C1: CSI, NEL */
                {0xad, 0xad},       /* soft hyphen */
                {0x61c, 0x61c},     /* bidi mark */
                {0x180e, 0x180e},   /* invisible */
                {0x200b, 0x200f},   /* zero width, bidi marks */
                {0x2028, 0x202e},   /* line and paragraph separators, bidi embeddings */
                {0x2060, 0x206f},   /* invisible operators, bidi isolates */
                {0xfe00, 0xfe0f},   /* variation selectors */
                {0xfeff, 0xfeff},   /* byte order mark */
                {0xfff0, 0xfffb},   /* interlinear annotations */
                {0xfffe, 0xffff},   /* no characters */
                {0xe0000, 0xe0fff}, /* tags, more variation selectors */
};

static bool steers(uint32_t point)
{
        for (size_t i = 0; i < ARRAY_SIZE(steering); i++)
                if (point >= steering[i].first && point <= steering[i].last)
                        return true;
        return false;
}

void event_text_escape(struct span utf8, struct buf *ret)
{
        struct cursor c = CURSOR(utf8);

        while (cursor_left(&c) > 0) {
                size_t before = c.offset;
                uint32_t point;
                uint8_t byte;

                if (!take_code_point(&c, &point)) {
                        cursor_u8(&c, &byte);
                        put(ret, "\\x%02x", byte);
                } else if (point == '\\') {
                        put(ret, "\\\\");
                } else if (steers(point)) {
                        put(ret, point < 0x80 ? "\\x%02x" : "\\u{%x}", point);
                } else {
                        buf_put(ret, utf8.data + before, c.offset - before);
                }
        }
}

static struct span cut(struct span s, size_t limit)
{
        return s.size > limit ? SPAN(s.data, limit) : s;
}

static void put_hex(struct span data, struct buf *ret)
{
        struct span shown = cut(data, HEX_BYTES_MAX);

        for (size_t i = 0; i < shown.size; i++)
                put(ret, "%02x", shown.data[i]);
        if (shown.size < data.size)
                put(ret, "... (%zu bytes)", data.size);
}

/* UTF-8 at best, with or without a NUL at its end. */
static void put_utf8(struct span data, struct buf *ret)
{
        struct span text = data;

        if (text.size > 0 && text.data[text.size - 1] == 0)
                text.size--;
        event_text_escape(cut(text, TEXT_BYTES_MAX), ret);
        if (text.size > TEXT_BYTES_MAX)
                put(ret, "... (%zu bytes)", data.size);
}

/* NULs inside don't end the text: what stands behind one was measured, too. */
static void put_utf16(struct span data, struct buf *ret)
{
        _cleanup_buf_ struct buf utf8 = {0};
        struct span shown = cut(data, 2 * TEXT_BYTES_MAX);

        if (shown.size >= 2 && shown.data[shown.size - 1] == 0 && shown.data[shown.size - 2] == 0)
                shown.size -= 2;
        for (size_t start = 0; start < shown.size;) {
                size_t end = start;

                while (end + 2 <= shown.size && (shown.data[end] | shown.data[end + 1]) != 0)
                        end += 2;
                utf16_to_utf8(SPAN(shown.data + start, end - start), &utf8);
                if (end + 2 <= shown.size)
                        buf_put_u8(&utf8, 0);
                start = end + 2;
        }
        event_text_escape(buf_span(&utf8), ret);
        if (data.size > 2 * TEXT_BYTES_MAX)
                put(ret, "... (%zu bytes)", data.size);
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
        uint32_t point;

        while (cursor_left(&c) > 0)
                if (!take_code_point(&c, &point) ||
                                (point < 0x20 && point != '\n' && point != '\t' && point != '\r' &&
                                                (point != 0 || cursor_left(&c) > 0)))
                        return false;
        return data.size > 0;
}

/* Text in either encoding, for types whose data is text; hex if it is neither. */
static void text(struct span data, struct buf *ret)
{
        if (is_utf16(data))
                put_utf16(data, ret);
        else if (is_utf8(data))
                put_utf8(data, ret);
        else
                put_hex(data, ret);
}

/* Text whatever it holds. */
static void action(struct span data, struct buf *ret)
{
        put_utf8(data, ret);
}

static void separator(struct span data, struct buf *ret)
{
        struct cursor c = CURSOR(data);
        uint32_t value;

        put(ret, "separator");
        if (data.size == 4 && cursor_u32(&c, &value) && (value == 0 || value == 0xffffffff))
                return;
        put(ret, data.size == 4 && value == 1 ? ", error: " : ": ");
        if (is_utf8(data)) /* Windows: "WBCL" */
                put_utf8(data, ret);
        else
                put_hex(data, ret);
}

/* Most begin with a 16-byte signature and go on in binary. */
static void no_action(struct span data, struct buf *ret)
{
        struct span signature;

        if (!span_sub(data, 0, 16, &signature) || signature.data[15] != 0) {
                text(data, ret);
                return;
        }
        signature.size = strnlen((const char *)signature.data, 16);
        put_utf8(signature, ret);
        if (data.size == 17 && span_equal(signature, SPAN("StartupLocality", 15)))
                put(ret, " %u", data.data[16]);
}

/* UEFI_IMAGE_LOAD_EVENT, PFP 10.2.3 */
static void image_load(struct span data, struct buf *ret)
{
        uint64_t location, length, link_address, path_length;
        struct cursor c = CURSOR(data);

        if (!cursor_u64(&c, &location) || !cursor_u64(&c, &length) ||
                        !cursor_u64(&c, &link_address) || !cursor_u64(&c, &path_length)) {
                put(ret, "malformed image load event: ");
                put_hex(data, ret);
                return;
        }
        put(ret, "image of %llu bytes at 0x%llx, device path of %llu bytes%s",
                        (unsigned long long)length, (unsigned long long)location,
                        (unsigned long long)path_length,
                        path_length == cursor_left(&c) ? "" : ", malformed");
}

/* UEFI_VARIABLE_DATA, PFP 10.2.6 */
static void variable(struct span data, struct buf *ret)
{
        uint64_t name_units, data_bytes;
        struct cursor c = CURSOR(data);
        char guid_text[GUID_TEXT_SIZE];
        struct span name;
        EFI_GUID guid;

        if (!cursor_copy(&c, &guid, sizeof(guid)) || !cursor_u64(&c, &name_units) ||
                        !cursor_u64(&c, &data_bytes) || name_units > cursor_left(&c) / 2 ||
                        !cursor_take(&c, 2 * name_units, &name)) {
                put(ret, "malformed variable: ");
                put_hex(data, ret);
                return;
        }
        guid_to_text(&guid, guid_text);
        put(ret, "variable ");
        put_utf16(name, ret);
        put(ret, "-%s of %llu bytes%s", guid_text, (unsigned long long)data_bytes,
                        data_bytes == cursor_left(&c) ? "" : ", malformed");
}

/* UEFI_PLATFORM_FIRMWARE_BLOB, PFP 10.2.4; some firmware writes text instead. */
static void blob(struct span data, struct buf *ret)
{
        struct cursor c = CURSOR(data);
        uint64_t base, length;

        if (data.size == 16 && cursor_u64(&c, &base) && cursor_u64(&c, &length))
                put(ret, "firmware blob of %llu bytes at 0x%llx", (unsigned long long)length,
                                (unsigned long long)base);
        else
                text(data, ret);
}

/* UEFI_PLATFORM_FIRMWARE_BLOB2, PFP 10.2.5 */
static void blob2(struct span data, struct buf *ret)
{
        struct cursor c = CURSOR(data);
        struct span description;
        uint64_t base, length;
        uint8_t size;

        if (!cursor_u8(&c, &size) || !cursor_take(&c, size, &description) ||
                        !cursor_u64(&c, &base) || !cursor_u64(&c, &length)) {
                text(data, ret);
                return;
        }
        put(ret, "firmware blob ");
        put_utf8(description, ret);
        put(ret, " of %llu bytes at 0x%llx", (unsigned long long)length, (unsigned long long)base);
}

static void opaque(struct span data, struct buf *ret)
{
        put(ret, "%zu bytes", data.size);
}

static void hop_open(struct span data, struct buf *ret)
{
        _cleanup_hop_open_ struct hop_open open = {0};
        char hex[65];

        if (hop_open_decode(data, &open, NULL) < 0) {
                put(ret, "mkexec: malformed open event");
                return;
        }
        hex_encode(SPAN(open.payload_sha256, 32), hex);
        put(ret, "mkexec: open hop %u, %zu events follow, payload sha256 %s", open.hop,
                        open.n_events, hex);
}

static void hop_end(struct span data, struct buf *ret)
{
        struct hop_end end;

        if (hop_close_decode(data, &end, NULL) >= 0)
                put(ret, "mkexec: close hop %u of %u events", end.hop, end.count);
        else if (hop_abort_decode(data, &end, NULL) >= 0)
                put(ret, "mkexec: abort hop %u after %u extends", end.hop, end.count);
        else
                put(ret, "mkexec: malformed close or abort event");
}

/* Tagged events: by whom, and what. systemd's stand in its tpm2-pcr.h, Linux's in
 * efi-stub-helper.c. */
static const struct {
        uint32_t id;
        const char *name;
        void (*whole)(struct span data, struct buf *ret); /* instead of name and payload */
} tags[] = {
                {0xf5bc582a, "sd-boot: loader.conf"},
                {0x13aed6db, "systemd-stub: UKI profile"},
                {0x6c46f751, "systemd-stub: devicetree addon"},
                {0x49dffe0f, "systemd-stub: initrd addon"},
                {0xdac08e1a, "systemd-stub: microcode addon"},
                {0xd5cb7cbc, "systemd-stub: SMBIOS system information"},
                {0xe0d47bc8, "systemd-stub: SMBIOS baseboard"},
                {0xc0b3bd23, "systemd-stub: SMBIOS OEM string"},
                {0x8f3b22ec, "Linux: initrd"},
                {0x8f3b22ed, "Linux: load options"},
                {HOP_TAG_OPEN, NULL, hop_open},
                {HOP_TAG_CLOSE, NULL, hop_end},
                {HOP_TAG_ABORT, NULL, hop_end},
};

static void tagged(struct span data, struct buf *ret)
{
        struct span payload;
        uint32_t id;

        if (!event_tagged(data, &id, &payload)) {
                put(ret, "malformed tagged event: ");
                put_hex(data, ret);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
                if (tags[i].id != id)
                        continue;
                if (tags[i].whole) {
                        tags[i].whole(data, ret);
                        return;
                }
                put(ret, "%s: ", tags[i].name);
                text(payload, ret);
                return;
        }
        put(ret, "tag 0x%08x: ", id);
        text(payload, ret);
}

/* Types without a row are text if they look so, else hex. */
static const struct {
        uint32_t type;
        void (*write)(struct span data, struct buf *ret);
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
                {EV_EFI_GPT_EVENT, opaque},
                {EV_EFI_GPT_EVENT2, opaque},
                {EV_EFI_HANDOFF_TABLES, opaque},
                {EV_EFI_HANDOFF_TABLES2, opaque},
};

void event_text(const struct tcg_event *event, struct buf *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
                if (writers[i].type == event->type) {
                        writers[i].write(event->data, ret);
                        return;
                }
        text(event->data, ret);
}
