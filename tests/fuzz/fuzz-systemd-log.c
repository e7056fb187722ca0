/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's measurement log: whatever the bytes, records lie inside and one behind the other, and a
 * record that counts as verified is explained by its string. Corpus: tests/corpus/systemd-log/. */
#include <stdlib.h>

#include "eventlog/event.h"
#include "eventlog/systemd-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void check_explained(const struct systemd_record *record)
{
        _cleanup_buf_ struct buf measured = {0};
        enum systemd_explained explained;
        struct digests digests;

        require(systemd_record_explain(record, &explained) == 0);
        if (explained != SYSTEMD_VERIFIED)
                return;
        require(systemd_record_measured(record, &measured));
        for (size_t i = 0; i < record->digests.n; i++) {
                struct banks banks = {.n = 1, .alg = {record->digests.d[i].alg}};

                require(hash_span(&banks, buf_span(&measured), &digests) == 0);
                require(memcmp(digests.d[0].bytes, record->digests.d[i].bytes, DIGEST_MAX_BYTES) ==
                                0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct systemd_record record;
        struct error error;
        size_t offset = 0, index = 0, end = 0, n = 0;
        int r;

        while ((r = systemd_log_next(SPAN(data, size), &offset, &index, &record, &error)) != 0) {
                require(index == ++n && offset <= size && offset > end);
                if (r < 0)
                        continue;
                require(record.offset >= end && record.size > 0 &&
                                record.offset + record.size <= offset);
                require(record.has_pcr != record.has_nv_index && record.pcr < PCR_COUNT);
                end = record.offset + record.size;
                check_explained(&record);
        }
        return 0;
}
