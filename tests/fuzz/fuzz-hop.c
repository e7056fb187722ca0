/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our own events and the verdict on logs: what decodes encodes to the same bytes, and a verdict
 * keeps its promises. Corpus: tests/corpus/hop/ (logs by test-hop-twins, and single tagged events).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "eventlog/hop-check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void check_events(struct span data)
{
        struct hop_open open = {0};
        _cleanup_buf_ struct buf again = {0};
        struct hop_end end;

        if (hop_open_decode(data, &open, NULL) == 0) {
                require(hop_claims(data) == HOP_OPEN);
                require(hop_open_encode(&open, &again, NULL) == 0);
                require(span_equal(buf_span(&again), data));
                require(!(hop_registers(&open) & ~HOP_REGISTERS));
                require(hop_pcr_at(hop_open_pcrs(&open), 0) == HOP_PCR);
        }
        again.size = 0;
        if (hop_close_decode(data, &end, NULL) == 0) {
                hop_close_encode(end, &again);
                require(span_equal(buf_span(&again), data));
        }
        if (hop_abort_decode(data, &end, NULL) == 0) {
                hop_abort_encode(end, &again);
                require(span_equal(buf_span(&again), data));
        }
}

static void check_hops(struct span log, const struct hop_verdict *v)
{
        size_t next = 0;

        for (size_t i = 0; i < v->n_hops; i++) {
                const struct hop_info *hop = &v->hops[i];
                struct replay view;

                require(hop->hop == i + 1 && hop->n_extended > 0);
                require(hop->first_index >= next &&
                                hop->last_index == hop->first_index + hop->n_extended - 1 +
                                                                   hop->aborted);
                require(i == 0 || hop->first_index == next);
                next = hop->last_index + 1;
                if (i < 4)
                        require(hop_payload_view(log, hop->hop, &view, NULL) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_hop_verdict_ struct hop_verdict v = {0}, again = {0};
        struct span log = SPAN(data, size);

        check_events(log);
        if (hop_check(log, NULL, &v, NULL) < 0)
                return 0;
        require((v.result == HOP_RESULT_OK) == v.hops_ok);
        require((v.result == HOP_RESULT_OK) == (v.reason.text[0] == '\0'));
        require(v.pristine == (v.hops_ok && v.n_hops == 0));
        if (!v.hops_ok)
                return 0;
        check_hops(log, &v);
        /* Its own replay agrees with it. */
        for (size_t b = 0; b < v.replay.banks.n; b++)
                v.replay.measured[b] = 0xffffff;
        require(hop_check(log, &v.replay, &again, NULL) == 0 && again.result == HOP_RESULT_OK);
        return 0;
}
