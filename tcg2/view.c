/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/view.h"

#include <errno.h>
#include <string.h>

#include "eventlog/append.h"

enum {
        FINAL_TABLE_VERSION =
                        1, /* TCG EFI Protocol Specification, 7: EFI_TCG2_FINAL_EVENTS_TABLE */
        FINAL_TABLE_COUNT_OFFSET = 8,
};

int view_init(struct view *view, const struct banks *banks, size_t log_bytes, size_t final_bytes)
{
        *view = (struct view){.banks = *banks};
        replay_start(&view->pcrs, banks);

        view->agile = (struct view_log){
                        .supported = true, .area_bytes = log_bytes, .has_events = true};
        event_log_put_header(&view->agile.bytes, banks);
        view->sha1 = (struct view_log){
                        .supported = banks_have(banks, TPM_ALG_SHA1), .area_bytes = log_bytes};
        view->final = (struct view_log){.supported = true, .area_bytes = final_bytes};
        buf_put_u64(&view->final.bytes, FINAL_TABLE_VERSION);
        buf_put_u64(&view->final.bytes, 0);
        if (buf_failed(&view->agile.bytes) || buf_failed(&view->final.bytes)) {
                view_release(view);
                return -ENOMEM;
        }
        if (view->agile.bytes.size > log_bytes || view->final.bytes.size > final_bytes) {
                view_release(view);
                return -EINVAL;
        }
        return 0;
}

void view_release(struct view *view)
{
        buf_release(&view->agile.bytes);
        buf_release(&view->sha1.bytes);
        buf_release(&view->final.bytes);
        *view = (struct view){};
}

int view_extend(struct view *view, unsigned pcr, const struct digests *digests)
{
        struct digest next[ALG_MAX];
        int r;

        if (pcr >= PCR_COUNT || digests->n != view->banks.n)
                return -EINVAL;
        for (size_t b = 0; b < view->banks.n; b++) {
                next[b] = view->pcrs.pcr[b][pcr];
                r = digest_extend(&next[b], &digests->d[b]);
                if (r < 0)
                        return r;
        }
        for (size_t b = 0; b < view->banks.n; b++) {
                view->pcrs.pcr[b][pcr] = next[b];
                view->pcrs.measured[b] |= 1u << pcr;
        }
        view->update_counter++;
        return 0;
}

static int append_agile(struct view *view, struct view_log *log, const struct tcg_event *event)
{
        size_t size = event_log_size_of_event(&view->banks, event->data.size);
        size_t at = log->bytes.size;
        int r;

        if (log->truncated)
                return -ENOSPC;
        if (size > log->area_bytes - at) {
                log->truncated = true;
                return -ENOSPC;
        }
        r = event_log_put_event(&log->bytes, &view->banks, event);
        if (r < 0)
                return r;
        log->has_events = true;
        log->last_entry = at;
        return 0;
}

static int append_sha1(struct view_log *log, const struct tcg_event *event)
{
        size_t at = log->bytes.size;
        int r;

        if (log->truncated)
                return -ENOSPC;
        if (log->area_bytes - at < EVENT_SHA1_RECORD_BYTES ||
                        event->data.size > log->area_bytes - at - EVENT_SHA1_RECORD_BYTES) {
                log->truncated = true;
                return -ENOSPC;
        }
        r = event_log_put_event_sha1(&log->bytes, event);
        if (r < 0)
                return r;
        log->has_events = true;
        log->last_entry = at;
        return 0;
}

static int append_final(struct view *view, const struct tcg_event *event)
{
        int r;

        r = append_agile(view, &view->final, event);
        if (r < 0)
                return r;
        view->n_final++;
        for (size_t i = 0; i < 8; i++)
                view->final.bytes.data[FINAL_TABLE_COUNT_OFFSET + i] = (uint8_t)(view->n_final >>
                                                                                 (8 * i));
        return 0;
}

int view_log_event(struct view *view, const struct tcg_event *event)
{
        int full = 0, r;

        if (view->sha1.supported) {
                r = append_sha1(&view->sha1, event);
                if (r < 0 && r != -ENOSPC)
                        return r;
                full = r < 0 ? r : full;
        }
        r = append_agile(view, &view->agile, event);
        if (r == 0 && view->agile.shown) /* edk2: a full log leaves the final table out, too */
                r = append_final(view, event);
        if (r < 0 && r != -ENOSPC)
                return r;
        return r < 0 ? r : full;
}
