/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IMA lists: whatever the bytes, records lie one behind the other without a gap, and what they say
 * of their data holds. Corpus: tests/corpus/ima-log/. */
#include <stdlib.h>

#include "eventlog/event.h"
#include "eventlog/ima-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void check_record(const struct ima_record *record)
{
        struct banks banks = {.n = 2, .alg = {alg_by_id(TPM_ALG_SHA1), alg_by_id(TPM_ALG_SHA256)}};
        enum ima_explained explained;
        struct digests digests;

        require(record->pcr < PCR_COUNT && record->digest_size >= 20 &&
                        record->digest_size <= DIGEST_MAX_BYTES);
        require(ima_record_explain(record, &explained) == 0);
        require(!record->violation || explained == IMA_UNVERIFIABLE);
        require(record->data_known || explained == IMA_UNVERIFIABLE);
        require(ima_record_digests(record, &banks, &digests) == 0);
        require(digests.n == 2 || !record->data_known);
        if (explained == IMA_VERIFIED && record->digest_size == 20)
                require(memcmp(digests.d[0].bytes, record->digest, 20) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct ima_log log;
        struct ima_record record;
        struct error error;
        size_t offset = 0, index = 0, end = 0, n = 0;
        int r;

        if (ima_log_open(&log, SPAN(data, size), &error) < 0)
                return 0;
        while ((r = ima_log_next(&log, &offset, &index, &scratch, &record, &error)) > 0) {
                require(record.offset == end && record.index == n++ && index == n);
                end += record.size;
                require(offset == end && end <= size && record.size > 0);
                check_record(&record);
        }
        require(r < 0 || end == size);
        return 0;
}
