/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of Canonical Event Logs on any bytes: what a record has lies in the log or in the
 * scratch buffer, records stand one behind the other, and each of them, written in either form and
 * read again, says the same. Corpus: tests/corpus/cel/. */
#include <stdlib.h>
#include <string.h>

#include "eventlog/cel-replay.h"
#include "eventlog/cel-write.h"
#include "eventlog/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void same_management(const struct cel_record *a, const struct cel_record *b)
{
        require(a->n_management == b->n_management);
        for (size_t i = 0; i < a->n_management; i++)
                require(a->management[i].type == b->management[i].type &&
                                a->management[i].value == b->management[i].value &&
                                a->management[i].minor == b->management[i].minor);
}

/* text: JSON has U+FFFD where a name isn't text. */
static void same(const struct cel_record *a, const struct cel_record *b, bool text)
{
        require(a->place == b->place && a->content_type == b->content_type);
        require(a->place == CEL_NV_INDEX ? a->nv_index == b->nv_index
                                         : a->event.pcr == b->event.pcr);
        require(digests_equal(&a->event.digests, &b->event.digests));
        require(a->event.type == b->event.type);
        require(a->data_known == b->data_known);
        if (!text || a->content_type != CEL_SYSTEMD)
                require(span_equal(a->event.data, b->event.data));
        if (!text)
                require(span_equal(a->name, b->name));
        require(a->timestamp_us == b->timestamp_us && a->has_boot_id == b->has_boot_id);
        require(memcmp(a->boot_id, b->boot_id, sizeof(a->boot_id)) == 0);
        same_management(a, b);
}

static void read_again(const struct cel_record *record, struct span written, bool text)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct cel_record again;
        struct cel_log log;

        require(cel_open(&log, written, NULL) == 0);
        require(cel_next(&log, &scratch, &again, NULL) == 1);
        require(again.recnum == record->recnum);
        same(record, &again, text);
        require(cel_next(&log, &scratch, &again, NULL) == 0);
}

static void rewrite(const struct cel_record *record)
{
        _cleanup_buf_ struct buf json = {0}, tlv = {0};
        int r;

        cel_put_json(&json, record);
        read_again(record, buf_span(&json), true);
        r = cel_put_tlv(&tlv, record);
        require((r == 0) == cel_has_tlv(record) && (r == 0) == (tlv.size > 0));
        if (r == 0)
                read_again(record, buf_span(&tlv), false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_show_scratch_ struct show_scratch row_scratch = {0};
        _cleanup_buf_ struct buf scratch = {0};
        struct error error = {{0}};
        struct cel_record record;
        struct cel_log log;
        struct show_row row;
        struct replay replay;
        size_t end = 0, n = 0;
        int r;

        if (size > 1 << 16)
                return 0;
        r = cel_open(&log, SPAN(data, size), &error);
        while (r >= 0 && (r = cel_next(&log, &scratch, &record, &error)) > 0) {
                require(record.event.index == n++ && record.event.offset >= end);
                require(record.event.size > 0 && record.event.size <= size - record.event.offset);
                end = record.event.offset + record.event.size;
                require(show_cel(&record, &row_scratch, &row) == 0);
                (void)show_row_malformed(&row, &error);
                if (!record.has_recnum)
                        record.recnum = n;
                rewrite(&record);
        }
        require(r == 0 || error.text[0] != '\0');
        (void)cel_replay(SPAN(data, size), NULL, &replay, &error);
        return 0;
}
