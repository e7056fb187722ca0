/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event logs: whatever the bytes, the reader stays inside, replay agrees with the walk, and a log
 * that was read is written back the same. Corpus: tests/corpus/eventlog/. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "eventlog/append.h"
#include "eventlog/decode.h"
#include "eventlog/explain.h"
#include "eventlog/parse.h"
#include "eventlog/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

/* Text that could go to a terminal as it is. */
static void check_text(const struct tcg_event *event)
{
        _cleanup_buf_ struct buf text = {0};

        event_text(event, &text);
        for (size_t i = 0; i < text.size; i++)
                require(text.data[i] >= 0x20 && text.data[i] != 0x7f);
}

static void check_explain(const struct tcg_event *event, const struct banks *banks)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct explanation found;
        struct hasher *hasher;

        if (event->data.size > 4096 || hasher_new(banks, &hasher) < 0)
                return;
        require(event_explain(event, hasher, &scratch, &found) >= 0);
        hasher_free(hasher);
}

/* What append makes of the event is what stood there, if its digests are the header's in their
 * order. */
static void check_rewrite(const struct event_log *log, const struct tcg_event *event)
{
        _cleanup_buf_ struct buf copy = {0};
        bool regular = event->digests.n == log->n_declared;

        for (size_t i = 0; i < log->banks.n && regular; i++)
                regular = event->digests.d[i].alg == log->banks.alg[i];
        if (!regular || (log->agile && event->index == 0))
                return;
        if (log->agile)
                require(event_log_put_event(&copy, &log->banks, event) == 0);
        else
                require(event_log_put_event_sha1(&copy, event) == 0);
        require(copy.size == event->size &&
                        memcmp(copy.data, log->bytes.data + event->offset, copy.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct event_log log;
        struct tcg_event event;
        struct replay replay;
        struct error error;
        size_t end = 0, trimmed, n = 0;
        int r, replayed;

        replayed = replay_log(SPAN(data, size), &replay, &error);
        if (event_log_open(&log, SPAN(data, size), &error) < 0) {
                require(replayed < 0);
                return 0;
        }
        require(log.banks.n <= log.n_declared && log.first_offset <= size);
        EVENT_LOG_FOREACH (&log, &event, r, &error) {
                require(event.offset == end && event.index == n++);
                end = event.offset + event.size;
                require(event.data.data >= data && event.data.data + event.data.size <= data + end);
                require(event.type == EV_NO_ACTION || event.pcr < PCR_COUNT);
                check_text(&event);
                check_explain(&event, &log.banks);
                check_rewrite(&log, &event);
        }
        require(end <= size && (r == 0 || replayed < 0));
        require((event_log_trim(SPAN(data, size), &trimmed, &error) == 0) == (r == 0));
        require(r < 0 || trimmed == end);
        return 0;
}
