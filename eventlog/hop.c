/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/hop.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

#define ENTRY_BYTES (4 + 4 + 32)

static const struct {
        uint32_t tag;
        enum hop_own own;
} tags[] = {
                {HOP_TAG_OPEN, HOP_OPEN},
                {HOP_TAG_CLOSE, HOP_CLOSE},
                {HOP_TAG_ABORT, HOP_ABORT},
};

enum hop_own hop_claims(struct span data)
{
        struct cursor c = CURSOR(data);
        uint32_t tag;

        if (cursor_u32(&c, &tag))
                for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
                        if (tags[i].tag == tag)
                                return tags[i].own;
        return HOP_NONE;
}

enum hop_own hop_is_own(const struct tcg_event *event)
{
        return event->type == EV_EVENT_TAG ? hop_claims(event->data) : HOP_NONE;
}

int hop_event(const struct banks *banks, uint32_t pcr, struct span data, struct tcg_event *ret)
{
        struct tcg_event event = {.pcr = pcr, .type = EV_EVENT_TAG, .data = data};
        int r;

        r = hash_span(banks, data, &event.digests);
        if (r < 0)
                return r;
        *ret = event;
        return 0;
}

uint32_t hop_registers(const struct hop_open *open)
{
        uint32_t mask = 1u << HOP_PCR;

        for (size_t i = 0; i < PCR_COUNT; i++)
                mask |= 1u << (open->map[i] & 31);
        return mask;
}

uint32_t hop_open_pcrs(const struct hop_open *open)
{
        return hop_registers(open) | open->close_list;
}

int hop_pcr_at(uint32_t mask, size_t nth)
{
        if (mask & 1u << HOP_PCR && nth-- == 0)
                return HOP_PCR;
        for (int pcr = 0; pcr < PCR_COUNT; pcr++)
                if (pcr != HOP_PCR && mask & 1u << pcr && nth-- == 0)
                        return pcr;
        return -1;
}

struct hop_ledger_entry hop_ledger_at(const struct hop_open *open, size_t i)
{
        struct cursor c = {.bytes = open->ledger, .offset = i * ENTRY_BYTES};
        struct hop_ledger_entry entry = {0};

        if (open->entries)
                return open->entries[i];
        (void)(cursor_u32(&c, &entry.payload_pcr) && cursor_u32(&c, &entry.type) &&
                        cursor_copy(&c, entry.data_sha256, sizeof(entry.data_sha256)));
        return entry;
}

/* What an open may say, on its way out and in; errnum: EINVAL or EBADMSG. */
static int check_open(const struct hop_open *open, int errnum, struct error *error)
{
        if (open->version != HOP_VERSION)
                return error_set(error, errnum, "open event of format version %u, only %u is known",
                                open->version, HOP_VERSION);
        if (open->hop == 0)
                return error_set(error, errnum, "open event of hop 0: hops count from 1");
        for (unsigned i = 0; i < PCR_COUNT; i++)
                if (open->map[i] >= PCR_COUNT || !(HOP_REGISTERS & 1u << open->map[i]))
                        return error_set(error, errnum,
                                        "open event maps payload PCR %u to PCR %u, which can't be "
                                        "a register",
                                        i, open->map[i]);
        if (open->close_list & ~HOP_CLOSEABLE)
                return error_set(error, errnum,
                                "open event has PCRs on its close list that can't be: 0x%x",
                                open->close_list & ~HOP_CLOSEABLE);
        if (open->close_list & hop_registers(open))
                return error_set(error, errnum, "open event has registers on its close list: 0x%x",
                                open->close_list & hop_registers(open));
        if (open->n_initrds > HOP_INITRDS_MAX)
                return error_set(error, errnum,
                                "open event with %zu initrds, at most %d are possible",
                                open->n_initrds, HOP_INITRDS_MAX);
        if (open->n_events > HOP_EVENTS_MAX)
                return error_set(error, errnum,
                                "open event with %zu events, at most %d are possible",
                                open->n_events, HOP_EVENTS_MAX);
        for (size_t i = 0; i < open->n_events; i++) {
                struct hop_ledger_entry entry = hop_ledger_at(open, i);

                if (entry.payload_pcr >= PCR_COUNT)
                        return error_set(error, errnum,
                                        "event %zu of the ledger has payload PCR %u", i + 1,
                                        entry.payload_pcr);
                if (entry.type == EV_NO_ACTION)
                        return error_set(error, errnum,
                                        "event %zu of the ledger is EV_NO_ACTION, which isn't "
                                        "extended",
                                        i + 1);
        }
        return 0;
}

static size_t open_payload_bytes(const struct hop_open *open)
{
        return 4 + 4 + PCR_COUNT + 4 + 32 + 32 + 4 + 32 * open->n_initrds + 4 +
               ENTRY_BYTES * open->n_events;
}

int hop_open_encode(const struct hop_open *open, struct buf *ret, struct error *error)
{
        int r = check_open(open, EINVAL, error);

        if (r < 0)
                return r;
        buf_put_u32(ret, HOP_TAG_OPEN);
        buf_put_u32(ret, (uint32_t)open_payload_bytes(open));
        buf_put_u32(ret, open->version);
        buf_put_u32(ret, open->hop);
        buf_put(ret, open->map, PCR_COUNT);
        buf_put_u32(ret, open->close_list);
        buf_put(ret, open->payload_sha256, 32);
        buf_put(ret, open->load_options_sha256, 32);
        buf_put_u32(ret, (uint32_t)open->n_initrds);
        for (size_t i = 0; i < open->n_initrds; i++)
                buf_put(ret, open->initrd_sha256[i], 32);
        buf_put_u32(ret, (uint32_t)open->n_events);
        for (size_t i = 0; i < open->n_events; i++) {
                struct hop_ledger_entry entry = hop_ledger_at(open, i);

                buf_put_u32(ret, entry.payload_pcr);
                buf_put_u32(ret, entry.type);
                buf_put(ret, entry.data_sha256, 32);
        }
        return buf_failed(ret) ? error_set(error, ENOMEM, "out of memory") : 0;
}

/* The payload of a tagged event that must have this tag. */
static int take_tagged(struct span data, uint32_t tag, const char *what, struct cursor *ret,
                struct error *error)
{
        struct span payload;
        uint32_t id;

        if (!event_tagged(data, &id, &payload) || id != tag)
                return error_set(error, EBADMSG,
                                "not a tagged event of ours for %s, or of a wrong size", what);
        *ret = CURSOR(payload);
        return 0;
}

static bool take_initrds(struct cursor *c, struct hop_open *open)
{
        uint32_t n;

        if (!cursor_u32(c, &n) || n > HOP_INITRDS_MAX)
                return false;
        open->n_initrds = n;
        for (uint32_t i = 0; i < n; i++)
                if (!cursor_copy(c, open->initrd_sha256[i], 32))
                        return false;
        return true;
}

/* The rest of the payload; n_events says how much that must be. */
static bool take_ledger(struct cursor *c, struct hop_open *open)
{
        uint32_t n;

        if (!cursor_u32(c, &n) || n > HOP_EVENTS_MAX || cursor_left(c) != (size_t)n * ENTRY_BYTES)
                return false;
        open->n_events = n;
        return cursor_take(c, cursor_left(c), &open->ledger);
}

int hop_open_decode(struct span data, struct hop_open *ret, struct error *error)
{
        struct hop_open open = {0};
        struct cursor c;
        int r;

        r = take_tagged(data, HOP_TAG_OPEN, "open", &c, error);
        if (r < 0)
                return r;
        if (!cursor_u32(&c, &open.version) || !cursor_u32(&c, &open.hop) ||
                        !cursor_copy(&c, open.map, PCR_COUNT) ||
                        !cursor_u32(&c, &open.close_list) ||
                        !cursor_copy(&c, open.payload_sha256, 32) ||
                        !cursor_copy(&c, open.load_options_sha256, 32) || !take_initrds(&c, &open))
                return error_set(error, EBADMSG, "open event is cut off, or has too many initrds");
        if (!take_ledger(&c, &open))
                return error_set(
                                error, EBADMSG, "open event whose ledger isn't as long as it says");
        r = check_open(&open, EBADMSG, error);
        if (r < 0)
                return r;
        *ret = open;
        return 0;
}

static void put_end(uint32_t tag, struct hop_end end, struct buf *ret)
{
        buf_put_u32(ret, tag);
        buf_put_u32(ret, 4 + 4 + 4);
        buf_put_u32(ret, HOP_VERSION);
        buf_put_u32(ret, end.hop);
        buf_put_u32(ret, end.count);
}

static int take_end(uint32_t tag, const char *what, struct span data, struct hop_end *ret,
                struct error *error)
{
        struct cursor c;
        struct hop_end end;
        uint32_t version;
        int r;

        r = take_tagged(data, tag, what, &c, error);
        if (r < 0)
                return r;
        if (!cursor_u32(&c, &version) || !cursor_u32(&c, &end.hop) || !cursor_u32(&c, &end.count) ||
                        cursor_left(&c) != 0)
                return error_set(error, EBADMSG, "%s event of a wrong size", what);
        if (version != HOP_VERSION)
                return error_set(error, EBADMSG, "%s event of format version %u, only %u is known",
                                what, version, HOP_VERSION);
        *ret = end;
        return 0;
}

void hop_close_encode(struct hop_end end, struct buf *ret)
{
        put_end(HOP_TAG_CLOSE, end, ret);
}

void hop_abort_encode(struct hop_end end, struct buf *ret)
{
        put_end(HOP_TAG_ABORT, end, ret);
}

int hop_close_decode(struct span data, struct hop_end *ret, struct error *error)
{
        return take_end(HOP_TAG_CLOSE, "close", data, ret, error);
}

int hop_abort_decode(struct span data, struct hop_end *ret, struct error *error)
{
        return take_end(HOP_TAG_ABORT, "abort", data, ret, error);
}
