/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/ima-log.h"

#include <errno.h>

#include "eventlog/event.h"
#include "eventlog/ima-ascii.h"

#define TEMPLATE_NAME_MAX 255
/* The first template has no format: a SHA-1 and a name that is hashed with zeros behind it
 * (IMA_EVENT_NAME_LEN_MAX + 1 in security/integrity/ima/ima.h). */
#define IMA_TEMPLATE        "ima"
#define IMA_TEMPLATE_DIGEST 20
#define IMA_TEMPLATE_NAME   256

static const size_t digest_sizes[] = {20, 32, 48, 64};

/* The algorithm that a template digest of this size has; SM3's and SHA-3's have SHA-2's sizes and
 * are tried behind those. */
static const struct alg *alg_of_size(size_t size, size_t nth)
{
        const struct alg *alg;

        for (size_t i = 0; (alg = alg_by_index(i)); i++)
                if (alg->size == size && nth-- == 0)
                        return alg;
        return NULL;
}

static bool is_template(struct span name, const char *text)
{
        return span_equal(name, SPAN(text, strlen(text)));
}

/* ---- binary lists: security/integrity/ima/ima_fs.c, ima_measurements_show ---- */

/* "ima": no length before the data. */
static bool take_ima_data(struct cursor *c, struct buf *scratch, struct ima_record *record)
{
        struct span digest;
        uint32_t size;

        if (!cursor_take(c, IMA_TEMPLATE_DIGEST, &digest) || !cursor_u32(c, &size) ||
                        size >= IMA_TEMPLATE_NAME || !cursor_take(c, size, &record->file))
                return false;
        scratch->size = 0;
        buf_put_span(scratch, digest);
        buf_put_span(scratch, record->file);
        buf_put_zeros(scratch, IMA_TEMPLATE_NAME - size);
        record->data = buf_span(scratch);
        return true;
}

static struct span until_nul(struct span text)
{
        return SPAN(text.data, text.size > 0 ? strnlen((const char *)text.data, text.size) : 0);
}

/* The second field is the file's name in every template that Linux names itself. */
struct span ima_template_file(struct span name, struct span data)
{
        struct cursor c = CURSOR(data);
        struct span field;
        uint32_t size;

        if (is_template(name, IMA_TEMPLATE))
                return span_sub(data, IMA_TEMPLATE_DIGEST, data.size - IMA_TEMPLATE_DIGEST, &field)
                                       ? until_nul(field)
                                       : SPAN(NULL, 0);
        if (name.size == 0 || memchr(name.data, '|', name.size) || !cursor_u32(&c, &size) ||
                        !cursor_skip(&c, size) || !cursor_u32(&c, &size) ||
                        !cursor_take(&c, size, &field))
                return SPAN(NULL, 0);
        return until_nul(field);
}

/* All but the first templates: fields, each with its length. */
static bool take_data(struct cursor *c, struct ima_record *record)
{
        uint32_t size;

        if (!cursor_u32(c, &size) || !cursor_take(c, size, &record->data))
                return false;
        record->file = ima_template_file(record->name, record->data);
        return true;
}

static bool take_record(struct cursor *c, size_t digest_size, struct buf *scratch,
                struct ima_record *record)
{
        uint32_t size;

        record->digest_size = digest_size;
        record->data_known = true;
        if (!cursor_u32(c, &record->pcr) || record->pcr >= PCR_COUNT ||
                        !cursor_copy(c, record->digest, digest_size) || !cursor_u32(c, &size) ||
                        size == 0 || size > TEMPLATE_NAME_MAX ||
                        !cursor_take(c, size, &record->name))
                return false;
        for (size_t i = 0; i < record->name.size; i++)
                if (record->name.data[i] <= ' ' || record->name.data[i] > '~')
                        return false;
        return is_template(record->name, IMA_TEMPLATE) ? take_ima_data(c, scratch, record)
                                                       : take_data(c, record);
}

static int binary_next(const struct ima_log *log, size_t *offset, size_t *index,
                struct buf *scratch, struct ima_record *ret, struct error *error)
{
        struct ima_record record = {.index = *index, .offset = *offset};
        struct cursor c = CURSOR(log->bytes);

        c.offset = *offset;
        if (cursor_left(&c) == 0)
                return 0;
        if (!take_record(&c, log->digest_size, scratch, &record))
                return error_set(error, EBADMSG,
                                "record %zu at offset 0x%zx of the IMA list is cut off or "
                                "malformed",
                                *index, *offset);
        if (buf_failed(scratch))
                return error_set(error, ENOMEM, "out of memory");
        record.size = c.offset - *offset;
        *ret = record;
        *offset = c.offset;
        (*index)++;
        return 1;
}

/* ---- both forms ---- */

int ima_log_next(const struct ima_log *log, size_t *offset, size_t *index, struct buf *scratch,
                struct ima_record *ret, struct error *error)
{
        struct ima_record record;
        int r = log->ascii ? ima_ascii_next(log->bytes, offset, index, scratch, &record, error)
                           : binary_next(log, offset, index, scratch, &record, error);

        if (r <= 0)
                return r;
        record.violation = true;
        for (size_t i = 0; i < record.digest_size; i++)
                if (record.digest[i] != 0)
                        record.violation = false;
        *ret = record;
        return 1;
}

static bool looks_like_text(struct span bytes)
{
        size_t at = 0;

        while (at < bytes.size && bytes.data[at] == ' ')
                at++;
        return at + 1 < bytes.size && bytes.data[at] >= '0' && bytes.data[at] <= '9' &&
               (bytes.data[at + 1] == ' ' ||
                               (bytes.data[at + 1] >= '0' && bytes.data[at + 1] <= '9'));
}

/* How well a digest size fits: 0 not even the first record, 1 some records, 2 to the end, 3 and the
 * first digest that isn't a violation's is its data's. */
static unsigned rate(struct ima_log *log)
{
        _cleanup_buf_ struct buf scratch = {0};
        struct ima_record record;
        enum ima_explained explained = IMA_UNVERIFIABLE;
        size_t offset = 0, index = 0;
        int r;

        while ((r = ima_log_next(log, &offset, &index, &scratch, &record, NULL)) > 0) {
                if (explained != IMA_UNVERIFIABLE || ima_record_explain(&record, &explained) < 0)
                        continue;
                if (explained == IMA_VERIFIED)
                        return 3;
        }
        return index == 0 ? 0 : r < 0 ? 1 : 2;
}

int ima_log_open(struct ima_log *ret, struct span bytes, struct error *error)
{
        struct ima_log log = {.bytes = bytes};
        unsigned best = 0;

        if (bytes.size == 0)
                return error_set(error, EBADMSG, "the IMA list is empty");
        if (looks_like_text(bytes)) {
                log.ascii = true;
                *ret = log;
                return 0;
        }
        for (size_t i = 0; i < sizeof(digest_sizes) / sizeof(digest_sizes[0]); i++) {
                unsigned rating;

                log.digest_size = digest_sizes[i];
                rating = rate(&log);
                if (rating > best) {
                        best = rating;
                        *ret = log;
                }
        }
        return best > 0 ? 0 : error_set(error, EBADMSG, "not an IMA list");
}

/* ---- what it says ---- */

static int hash_is(struct span data, const struct alg *alg, const uint8_t *digest)
{
        struct banks banks = {.n = 1, .alg = {alg}};
        struct digests digests;
        int r = hash_span(&banks, data, &digests);

        return r < 0 ? r : memcmp(digests.d[0].bytes, digest, alg->size) == 0;
}

int ima_record_explain(const struct ima_record *record, enum ima_explained *ret)
{
        const struct alg *alg;

        *ret = IMA_UNVERIFIABLE;
        if (record->violation || !record->data_known)
                return 0;
        for (size_t nth = 0; (alg = alg_of_size(record->digest_size, nth)); nth++) {
                int r = hash_is(record->data, alg, record->digest);

                if (r == -EOPNOTSUPP)
                        continue; /* this OpenSSL lacks it */
                if (r < 0)
                        return r;
                *ret = r > 0 ? IMA_VERIFIED : IMA_MISMATCH;
                if (r > 0)
                        return 0;
        }
        return 0;
}

int ima_record_digests(
                const struct ima_record *record, const struct banks *banks, struct digests *ret)
{
        struct digests digests = {0};

        if (!record->violation && record->data_known)
                return hash_span(banks, record->data, ret);
        for (size_t b = 0; b < banks->n; b++) {
                struct digest *digest = &digests.d[digests.n];

                if (!record->violation && banks->alg[b] != alg_of_size(record->digest_size, 0))
                        continue;
                digest->alg = banks->alg[b];
                if (record->violation)
                        memset(digest->bytes, 0xff, digest->alg->size);
                else
                        memcpy(digest->bytes, record->digest, digest->alg->size);
                digests.n++;
        }
        *ret = digests;
        return 0;
}
