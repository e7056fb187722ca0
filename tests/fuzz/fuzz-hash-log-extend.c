/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HashLogExtendEvent and GetEventLog in any order, with any fields. What is recorded gives the
 * payload's PCRs; the payload's log is a log, and gives them too unless something was only
 * extended (or the payload logs, by EV_NO_ACTION, what readers take for a second header: its own
 * loss, as on firmware); an imitation of our own events never gets in. Input: per call flags u8,
 * how u8 (bit 0: NULL data, bit 1: GetEventLog first), size adjustment s8, header_size u8, pcr u8,
 * type u32, data (u8 length), event (u8 length). Corpus: tests/corpus/hash-log-extend/ (made by
 * tests/corpus/make-tcg2.py). */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/hop.h"
#include "eventlog/parse.h"
#include "tcg2/protocol.h"
#include "tests/fuzz/tcg2-record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static bool take_bytes(struct cursor *c, struct span *ret)
{
        uint8_t n;

        return cursor_u8(c, &n) && cursor_take(c, n < cursor_left(c) ? n : cursor_left(c), ret);
}

static bool take_request(struct cursor *c, struct tcg2_hash_log_extend *ret, bool *show)
{
        uint8_t flags, how, adjust, header, pcr;

        *ret = (struct tcg2_hash_log_extend){0};
        if (!cursor_u8(c, &flags) || !cursor_u8(c, &how) || !cursor_u8(c, &adjust) ||
                        !cursor_u8(c, &header) || !cursor_u8(c, &pcr) ||
                        !cursor_u32(c, &ret->type) || !take_bytes(c, &ret->data) ||
                        !take_bytes(c, &ret->event))
                return false;
        ret->flags = flags;
        ret->data_is_null = how & 1;
        *show = how & 2;
        ret->header_size = header;
        ret->size = (uint32_t)(ret->event.size + 4u + header + (uint32_t)(int32_t)(int8_t)adjust);
        ret->pcr = pcr;
        return true;
}

static void check_status(EFI_STATUS status)
{
        require(status == EFI_SUCCESS || status == EFI_INVALID_PARAMETER ||
                        status == EFI_UNSUPPORTED || status == EFI_VOLUME_FULL ||
                        status == EFI_DEVICE_ERROR || status == EFI_SECURITY_VIOLATION);
}

static void check_record(const struct tcg2 *tcg2, const struct banks *banks)
{
        const struct record *record = tcg2_record(tcg2);

        for (size_t i = 0; i < record->n; i++)
                require(record->events[i].type != EV_NO_ACTION &&
                                hop_claims(record->events[i].data) == HOP_NONE);
        require(record_gives_view(tcg2, banks));
}

static size_t count_extended(struct span bytes)
{
        struct event_log log;
        struct tcg_event e;
        size_t n = 0;
        int r;

        require(event_log_open(&log, bytes, NULL) == 0);
        EVENT_LOG_FOREACH (&log, &e, r, NULL)
                n += e.type != EV_NO_ACTION;
        require(r == 0);
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct tcg2_config config = {
                        .log_bytes = 2048, .final_bytes = 512, .limits = {.n_events = 64}};
        struct cursor c = CURSOR(SPAN(data, size));
        struct tcg2_hash_log_extend request;
        struct tcg2_log log;
        struct tcg2 *tcg2;
        size_t hidden = 0;
        bool show, second_header = false;

        banks_add(&config.banks, alg_by_id(TPM_ALG_SHA1));
        banks_add(&config.banks, alg_by_id(TPM_ALG_SHA256));
        require(tcg2_new(&config, &tcg2, NULL) == 0);
        while (take_request(&c, &request, &show)) {
                size_t before = tcg2_record(tcg2)->n;
                EFI_STATUS status;

                if (show)
                        require(tcg2_get_event_log(tcg2, 2, &log) == EFI_SUCCESS);
                status = tcg2_hash_log_extend_event(tcg2, &request);
                check_status(status);
                hidden += tcg2_record(tcg2)->n > before && request.flags & EFI_TCG2_EXTEND_ONLY;
                second_header |= request.type == EV_NO_ACTION && event_log_is_header(request.event);
                if (status != EFI_SUCCESS && status != EFI_VOLUME_FULL)
                        require(tcg2_record(tcg2)->n == before);
        }
        check_record(tcg2, &config.banks);
        log = tcg2_peek_log(tcg2, 2);
        require(log.bytes.size <= 2048 && tcg2_final_events(tcg2).size <= 512);
        if (!log.truncated && !second_header)
                require(count_extended(log.bytes) + hidden == tcg2_record(tcg2)->n);
        tcg2_free(tcg2);
        return 0;
}
