/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/ima-ascii.h"

#include <errno.h>

#include "eventlog/event.h"

#define IMA_TEMPLATE_NAME 256 /* see ima-log.c */

/* Templates whose line can be put together again: a digest, a name, and n_hex fields behind it that
 * are hex or empty. evm-sig and formats of an administrator's own are told by their digest alone.
 */
static const struct {
        const char *name;
        unsigned n_hex;
        bool named; /* name and digest without lengths, the name filled up */
} templates[] = {
                {"ima", 0, true},
                {"ima-ng", 0, false},
                {"ima-ngv2", 0, false},
                {"ima-sig", 1, false},
                {"ima-sigv2", 1, false},
                {"ima-buf", 1, false},
};

static int find_template(struct span name)
{
        for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
                if (span_equal(name, SPAN(templates[i].name, strlen(templates[i].name))))
                        return (int)i;
        return -1;
}

/* ---- pieces of a line ---- */

/* The bytes up to the next blank, which is taken, too. */
static struct span take_word(struct span *line)
{
        const uint8_t *blank = line->size > 0 ? memchr(line->data, ' ', line->size) : NULL;
        struct span word = blank ? SPAN(line->data, blank - line->data) : *line;
        size_t used = word.size + (blank != NULL);

        *line = SPAN(line->data + used, line->size - used);
        return word;
}

/* Splits the last blank and what stands behind it off. */
static bool split_last(struct span *text, struct span *ret)
{
        const uint8_t *blank = text->size > 0 ? memrchr(text->data, ' ', text->size) : NULL;

        if (!blank)
                return false;
        *ret = SPAN(blank + 1, text->size - (size_t)(blank - text->data) - 1);
        text->size = (size_t)(blank - text->data);
        return true;
}

static bool put_hex(struct buf *to, struct span hex)
{
        char pair[3] = {0};
        uint8_t byte;

        if (hex.size % 2 != 0)
                return false;
        for (size_t i = 0; i < hex.size; i += 2) {
                memcpy(pair, hex.data + i, 2);
                if (!hex_decode(pair, &byte, 1))
                        return false;
                buf_put_u8(to, byte);
        }
        return true;
}

static void put_field(struct buf *to, struct span data)
{
        buf_put_u32(to, (uint32_t)data.size);
        buf_put_span(to, data);
}

/* ---- the data that was hashed ---- */

/* "sha256:hex", or "verity:sha256:hex": the words with their colons, a NUL, the digest. */
static bool put_digest_field(struct buf *to, struct span text)
{
        _cleanup_buf_ struct buf field = {0};
        const uint8_t *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
        size_t words = colon ? (size_t)(colon - text.data) + 1 : 0;

        if (!colon)
                return false;
        buf_put(&field, text.data, words);
        buf_put_u8(&field, 0);
        if (!put_hex(&field, SPAN(text.data + words, text.size - words)))
                return false;
        put_field(to, buf_span(&field));
        return !buf_failed(&field);
}

static bool put_name_field(struct buf *to, struct span name)
{
        buf_put_u32(to, (uint32_t)name.size + 1);
        buf_put_span(to, name);
        buf_put_u8(to, 0);
        return true;
}

/* A digest without algorithm, and a name. */
static bool put_named(struct buf *to, struct span digest, struct span name)
{
        if (digest.size != 40 || name.size >= IMA_TEMPLATE_NAME || !put_hex(to, digest))
                return false;
        buf_put_span(to, name);
        buf_put_zeros(to, IMA_TEMPLATE_NAME - name.size);
        return true;
}

/* One way to read the words behind the template's name: with_hex says that the last words are the
 * hex fields, else they are empty and not even their blanks are there. */
static bool put_data(
                struct buf *to, size_t which, struct span words, bool with_hex, struct span *file)
{
        struct span digest = take_word(&words), hex[1] = {{0}};
        unsigned n = templates[which].n_hex;

        to->size = 0;
        for (unsigned i = n; with_hex && i > 0; i--)
                if (!split_last(&words, &hex[i - 1]))
                        return false;
        *file = words;
        if (templates[which].named)
                return put_named(to, digest, words);
        if (!put_digest_field(to, digest) || !put_name_field(to, words))
                return false;
        for (unsigned i = 0; i < n; i++) {
                _cleanup_buf_ struct buf bytes = {0};

                if (!put_hex(&bytes, hex[i]))
                        return false;
                put_field(to, buf_span(&bytes));
        }
        return true;
}

/* Names may have blanks and words that look like hex, so the record's digest has to tell which
 * reading is right; where none fits, the first that is possible is taken. */
static int find_data(struct ima_record *record, struct span words, struct buf *scratch)
{
        int which = find_template(record->name), possible = -1;

        if (which < 0)
                return 0;
        for (int with_hex = templates[which].n_hex > 0; with_hex >= 0; with_hex--) {
                enum ima_explained explained;
                int r;

                if (!put_data(scratch, (size_t)which, words, with_hex, &record->file))
                        continue;
                if (buf_failed(scratch))
                        return -ENOMEM;
                record->data_known = true;
                record->data = buf_span(scratch);
                r = ima_record_explain(record, &explained);
                if (r < 0 || explained == IMA_VERIFIED)
                        return r;
                if (possible < 0)
                        possible = with_hex;
        }
        record->data_known = possible >= 0;
        if (possible >= 0) {
                put_data(scratch, (size_t)which, words, possible, &record->file);
                record->data = buf_span(scratch);
        }
        return buf_failed(scratch) ? -ENOMEM : 0;
}

/* ---- lines ---- */

static bool take_number(struct span word, uint32_t *ret)
{
        uint32_t value = 0;

        for (size_t i = 0; i < word.size; i++) {
                if (word.data[i] < '0' || word.data[i] > '9' || value >= PCR_COUNT)
                        return false;
                value = value * 10 + (uint32_t)(word.data[i] - '0');
        }
        *ret = value;
        return word.size > 0 && value < PCR_COUNT;
}

static bool take_digest(struct span hex, struct ima_record *record)
{
        _cleanup_buf_ struct buf bytes = {0};

        if (!put_hex(&bytes, hex) || buf_failed(&bytes) ||
                        (bytes.size != 20 && bytes.size != 32 && bytes.size != 48 &&
                                        bytes.size != 64))
                return false;
        memcpy(record->digest, bytes.data, bytes.size);
        record->digest_size = bytes.size;
        return true;
}

static const char *take_line(struct span line, struct ima_record *record, struct buf *scratch)
{
        while (line.size > 0 && line.data[0] == ' ')
                take_word(&line);
        if (!take_number(take_word(&line), &record->pcr))
                return "has no PCR";
        if (!take_digest(take_word(&line), record))
                return "has no template digest";
        record->name = take_word(&line);
        if (record->name.size == 0 || memchr(line.data, 0, line.size))
                return "has no template";
        return find_data(record, line, scratch) < 0 ? "can't be hashed" : NULL;
}

int ima_ascii_next(struct span log, size_t *offset, size_t *index, struct buf *scratch,
                struct ima_record *ret, struct error *error)
{
        struct ima_record record = {.index = *index, .offset = *offset};
        const uint8_t *end;
        const char *wrong;
        struct span line;

        if (*offset >= log.size)
                return 0;
        end = memchr(log.data + *offset, '\n', log.size - *offset);
        line = SPAN(log.data + *offset, (end ? (size_t)(end - log.data) : log.size) - *offset);
        wrong = take_line(line, &record, scratch);
        if (wrong)
                return error_set(error, EBADMSG, "line %zu at offset 0x%zx of the IMA list %s",
                                *index + 1, *offset, wrong);
        record.size = line.size + (end != NULL);
        *ret = record;
        *offset += record.size;
        (*index)++;
        return 1;
}
