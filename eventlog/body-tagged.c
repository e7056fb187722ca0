/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bodies of tagged events: by whom, and what; mkexec's own with their ledger. */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "eventlog/body-parts.h"
#include "eventlog/hop.h"

/* systemd's stand in its tpm2-pcr.h, Linux's in efi-stub-helper.c. */
static const struct {
        uint32_t id;
        const char *name;
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
};

const char *tag_name(uint32_t id)
{
        for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
                if (tags[i].id == id)
                        return tags[i].name;
        return NULL;
}

static void put_mask(const struct body_sink *sink, const char *name, uint32_t mask)
{
        body_open(sink, BODY_ARRAY, name);
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                if (mask & 1u << pcr)
                        body_number(sink, NULL, pcr);
        body_close(sink);
}

static void put_ledger(const struct body_sink *sink, const struct hop_open *open)
{
        body_open(sink, BODY_ARRAY, "ledger");
        for (size_t i = 0; i < open->n_events; i++) {
                struct hop_ledger_entry entry = hop_ledger_at(open, i);
                char type[EVENT_TYPE_TEXT_SIZE];

                body_open(sink, BODY_OBJECT, NULL);
                body_number(sink, "payload_pcr", entry.payload_pcr);
                body_word(sink, "type", event_type_text(entry.type, type));
                body_bytes(sink, "data_sha256", SPAN(entry.data_sha256, 32));
                body_close(sink);
        }
        body_close(sink);
}

static int body_open_event(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct hop_open open = {0};
        int r = hop_open_decode(event->data, &open, reason);

        body_word(sink, "kind", "hop_open");
        if (r < 0)
                return r;
        body_number(sink, "hop", open.hop);
        body_open(sink, BODY_ARRAY, "map");
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                body_number(sink, NULL, open.map[pcr]);
        body_close(sink);
        put_mask(sink, "close", open.close_list);
        body_bytes(sink, "payload_sha256", SPAN(open.payload_sha256, 32));
        body_bytes(sink, "load_options_sha256", SPAN(open.load_options_sha256, 32));
        body_open(sink, BODY_ARRAY, "initrds_sha256");
        for (size_t i = 0; i < open.n_initrds; i++)
                body_bytes(sink, NULL, SPAN(open.initrd_sha256[i], 32));
        body_close(sink);
        put_ledger(sink, &open);
        return 0;
}

static int body_close_event(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct hop_end end;
        int r = hop_close_decode(event->data, &end, reason);

        body_word(sink, "kind", "hop_close");
        if (r < 0)
                return r;
        body_number(sink, "hop", end.hop);
        body_number(sink, "events", end.count);
        return 0;
}

static int body_abort_event(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        struct hop_end end;
        int r = hop_abort_decode(event->data, &end, reason);

        body_word(sink, "kind", "hop_abort");
        if (r < 0)
                return r;
        body_number(sink, "hop", end.hop);
        body_number(sink, "extends", end.count);
        return 0;
}

static int body_foreign(
                const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        enum text_encoding encoding;
        struct span payload, text;
        uint32_t id;

        body_word(sink, "kind", "tagged");
        if (!event_tagged(event->data, &id, &payload))
                return error_set(reason, EBADMSG,
                                "not a tag, a size and as many bytes in the %zu of the event",
                                event->data.size);
        body_address(sink, "tag", id);
        if (tag_name(id))
                body_word(sink, "tag_name", tag_name(id));
        if (text_recognize(payload, &text, &encoding))
                body_text(sink, "text", encoding, text);
        else
                body_bytes(sink, "data", payload);
        return 0;
}

int body_tagged(const struct tcg_event *event, const struct body_sink *sink, struct error *reason)
{
        static int (*const reports[])(const struct tcg_event *event, const struct body_sink *sink,
                        struct error *reason) = {
                        [HOP_NONE] = body_foreign,
                        [HOP_OPEN] = body_open_event,
                        [HOP_CLOSE] = body_close_event,
                        [HOP_ABORT] = body_abort_event,
        };

        return reports[hop_is_own(event)](event, sink, reason);
}
