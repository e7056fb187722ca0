/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A log with two hops, as mkexec writes it, for test-hop.c and test-hop-twins.c. With
 * MKEXEC_WRITE_CORPUS=DIR the logs that have a name are written there; so tests/corpus/hop/ was
 * made. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "eventlog/check.h"
#include "eventlog/hop-check.h"
#include "tests/unit/tap.h"

#define TEXT(s) SPAN(s, sizeof(s) - 1)

/* A log as a list, so that a twin is a change of the list. Digests stay as they are when data
 * changes: that is what somebody can do who holds the log but not the TPM; recompute() is for one
 * who could extend, too. */
struct item {
        struct tcg_event event;
        uint8_t *data;
        bool sha256_only;
};

struct list {
        struct banks banks;
        size_t n;
        struct item items[128];
};

/* Indices in the log that honest() makes; the header is event 0. */
enum {
        FOREIGN_IPL = 3, /* GRUB's, in PCR 8 */
        HOP1 = 6,        /* open in PCR 8, 9, 11; five events; close in PCR 8, 9 */
        LEDGER1 = HOP1 + 3,
        CLOSE1 = LEDGER1 + 5,
        HOP2 = CLOSE1 + 2,
        LEDGER2 = HOP2 + 3,
        CLOSE2 = LEDGER2 + 5,
        END = CLOSE2 + 2,
};

static inline struct item *at(struct list *l, size_t index)
{
        return &l->items[index - 1];
}

static inline struct item *add(
                struct list *l, uint32_t pcr, uint32_t type, struct span data, struct span hashed)
{
        struct item *item = &l->items[l->n++];

        *item = (struct item){.event = {.pcr = pcr, .type = type}, .data = malloc(data.size + 1)};
        memcpy(item->data, data.data, data.size);
        item->event.data = SPAN(item->data, data.size);
        CHECK_EQ(hash_span(&l->banks, hashed, &item->event.digests), 0);
        return item;
}

static inline void set_data(struct list *l, size_t index, struct span data)
{
        uint8_t *copy = malloc(data.size + 1);

        memcpy(copy, data.data, data.size);
        free(at(l, index)->data);
        at(l, index)->data = copy;
        at(l, index)->event.data = SPAN(copy, data.size);
}

static inline void recompute(struct list *l, size_t index)
{
        CHECK_EQ(hash_span(&l->banks, at(l, index)->event.data, &at(l, index)->event.digests), 0);
}

static inline void cut(struct list *l, size_t index, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(at(l, index + i)->data);
        memmove(at(l, index), at(l, index + n), (l->n + 1 - index - n) * sizeof(struct item));
        l->n -= n;
}

/* Moves the last item to index. */
static inline void last_to(struct list *l, size_t index)
{
        struct item last = *at(l, l->n);

        memmove(at(l, index + 1), at(l, index), (l->n - index) * sizeof(struct item));
        *at(l, index) = last;
}

static inline void release(struct list *l)
{
        while (l->n > 0)
                free(l->items[--l->n].data);
}

static const struct {
        uint32_t payload_pcr, type;
        struct span data, hashed;
} payload_events[] = {
                {4, EV_EFI_BOOT_SERVICES_APPLICATION,
                                SPAN("location length  linked at\0\0\0\0\0\0", 32),
                                SPAN("Authenticode", 12)},
                {11, EV_IPL, SPAN(".\0l\0i\0n\0u\0x\0\0\0", 14), SPAN(".linux", 7)},
                {11, EV_IPL, SPAN(".\0l\0i\0n\0u\0x\0\0\0", 14), SPAN("a kernel", 8)},
                {9, EV_EVENT_TAG, SPAN("\xec\x22\x3b\x8f\x0d\0\0\0Linux initrd\0", 21),
                                SPAN("an initrd", 9)},
                {5, EV_EFI_ACTION, SPAN("Exit Boot Services Invocation", 29),
                                SPAN("Exit Boot Services Invocation", 29)},
};

#define N_EVENTS 5

static inline void fill_open(
                struct hop_open *open, struct hop_ledger_entry entries[N_EVENTS], uint32_t hop)
{
        *open = (struct hop_open){.version = HOP_VERSION,
                        .hop = hop,
                        .close_list = 1u << 11,
                        .n_initrds = 1,
                        .n_events = N_EVENTS,
                        .entries = entries};
        memset(open->map, HOP_PCR, sizeof(open->map));
        open->map[9] = 9;
        memset(open->payload_sha256, (int)(0xa0 + hop), 32);
        for (size_t i = 0; i < N_EVENTS; i++) {
                entries[i].payload_pcr = payload_events[i].payload_pcr;
                entries[i].type = payload_events[i].type;
                CHECK_EQ(hash_sha256(payload_events[i].data, entries[i].data_sha256), 0);
        }
}

static inline void add_end(struct list *l, bool abort, uint32_t pcr, uint32_t hop, uint32_t count)
{
        _cleanup_buf_ struct buf data = {0};

        (abort ? hop_abort_encode : hop_close_encode)((struct hop_end){hop, count}, &data);
        add(l, pcr, EV_EVENT_TAG, buf_span(&data), buf_span(&data));
}

/* The first n_extends of a hop's sequence. */
static inline void add_hop(struct list *l, const struct hop_open *open, size_t n_extends)
{
        _cleanup_buf_ struct buf data = {0};
        size_t step = 0;
        int pcr;

        CHECK_EQ(hop_open_encode(open, &data, NULL), 0);
        for (size_t i = 0; (pcr = hop_pcr_at(hop_open_pcrs(open), i)) >= 0 && step < n_extends;
                        i++, step++)
                add(l, (uint32_t)pcr, EV_EVENT_TAG, buf_span(&data), buf_span(&data));
        for (size_t i = 0; i < N_EVENTS && step < n_extends; i++, step++)
                add(l, open->map[payload_events[i].payload_pcr], payload_events[i].type,
                                payload_events[i].data, payload_events[i].hashed);
        for (size_t i = 0; (pcr = hop_pcr_at(hop_registers(open), i)) >= 0 && step < n_extends;
                        i++, step++)
                add_end(l, false, (uint32_t)pcr, open->hop, N_EVENTS);
}

#define N_SEQUENCE (3 + N_EVENTS + 2)

static inline void firmware(struct list *l, const char *second_bank)
{
        *l = (struct list){0};
        banks_add(&l->banks, alg_by_name("sha256"));
        banks_add(&l->banks, alg_by_name(second_bank));
        add(l, 0, EV_S_CRTM_VERSION, TEXT("1\0"), TEXT("1\0"));
        add(l, 0xffffffff, EV_NO_ACTION, TEXT("something"), TEXT(""));
        add(l, HOP_PCR, EV_IPL, TEXT("grub_cmd: set x\0"), TEXT("set x"));
        add(l, 11, EV_IPL, TEXT(".\0l\0\0\0"), TEXT("a kernel"));
        add(l, 4, EV_SEPARATOR, TEXT("\0\0\0\0"), TEXT("\0\0\0\0"));
        CHECK_EQ(l->n + 1, HOP1);
}

static inline void honest(struct list *l)
{
        struct hop_ledger_entry entries[N_EVENTS];
        struct hop_open open;

        firmware(l, "sha1");
        fill_open(&open, entries, 1);
        add_hop(l, &open, N_SEQUENCE);
        CHECK_EQ(l->n + 1, HOP2);
        fill_open(&open, entries, 2);
        add_hop(l, &open, N_SEQUENCE);
        CHECK_EQ(l->n + 1, END);
}

static inline void write_log(struct list *l, struct buf *log)
{
        struct banks sha256 = {.n = 1, .alg = {alg_by_name("sha256")}};

        event_log_put_header(log, &l->banks);
        for (size_t i = 0; i < l->n; i++)
                CHECK_EQ(event_log_put_event(log, l->items[i].sha256_only ? &sha256 : &l->banks,
                                         &l->items[i].event),
                                0);
}

static inline void save(const char *name, struct span log)
{
        const char *folder = getenv("MKEXEC_WRITE_CORPUS");
        char path[4096];
        FILE *f;

        if (!folder)
                return;
        snprintf(path, sizeof(path), "%s/%s.bin", folder, name);
        for (char *p = path + strlen(folder) + 1; *p; p++)
                if (*p == ' ' || *p == ',')
                        *p = '-';
        f = fopen(path, "w");
        CHECK(f && fwrite(log.data, 1, log.size, f) == log.size && fclose(f) == 0);
}

/* What `log check` says of it, too: the same of hops, and never ok where hops aren't. */
static inline void check_whole(
                struct span log, const struct replay *pcrs, const struct hop_verdict *verdict)
{
        _cleanup_check_result_ struct check_result result = {0};
        const struct check_input input = {.chain = {.firmware = log}, .pcrs = pcrs};
        struct error error;

        CHECK_EQ(check_logs(&input, &result, &error), 0);
        CHECK_EQ(result.hops.hops_ok, verdict->hops_ok);
        if (verdict->result == HOP_RESULT_OK || verdict->hops_ok)
                CHECK(result.result == verdict->result || result.notes[NOTE_DIGEST].n > 0);
        else
                CHECK(result.result != HOP_RESULT_OK &&
                                strcmp(result.hops.reason.text, verdict->reason.text) == 0);
}

/* Writes and checks a list; release the verdict. */
static inline void check(struct list *l, const struct replay *pcrs, const char *name,
                struct hop_verdict *ret)
{
        _cleanup_buf_ struct buf log = {0};
        struct error error;

        write_log(l, &log);
        if (name)
                save(name, buf_span(&log));
        CHECK_EQ(hop_check(buf_span(&log), pcrs, ret, &error), 0);
        check_whole(buf_span(&log), pcrs, ret);
}

/* What the TPM reads after these events: every PCR of every bank is known. */
static inline void tpm_after(struct list *l, struct replay *ret)
{
        _cleanup_buf_ struct buf log = {0};
        struct error error;

        write_log(l, &log);
        CHECK_EQ(replay_log(buf_span(&log), ret, &error), 0);
        for (size_t b = 0; b < ret->banks.n; b++)
                ret->measured[b] = 0xffffff;
}
