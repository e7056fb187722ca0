/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/authenticode.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "tcg2/pe.h"

DEFINE_CLEANUP(struct hasher *, hasher_free)

enum { CHECKSUM_BYTES = 4, SECURITY_ENTRY_BYTES = 8 };

static int hash_range(struct hasher *h, struct span file, uint64_t start, uint64_t end,
                struct error *error)
{
        struct span part;

        if (end < start || !span_sub(file, start, end - start, &part))
                return error_set(error, EINVAL, "PE headers are out of order");
        return hasher_update(h, part);
}

/* Steps 3-9 of the specification: everything up to SizeOfHeaders that a signature can't change. */
static int hash_headers(struct hasher *h, const struct pe *pe, struct error *error)
{
        uint64_t from = pe->checksum_offset + CHECKSUM_BYTES;
        int r;

        r = hash_range(h, pe->file, 0, pe->checksum_offset, error);
        if (r < 0)
                return r;
        if (pe->security_entry_offset) {
                r = hash_range(h, pe->file, from, pe->security_entry_offset, error);
                if (r < 0)
                        return r;
                from = pe->security_entry_offset + SECURITY_ENTRY_BYTES;
        }
        return hash_range(h, pe->file, from, pe->size_of_headers, error);
}

struct section_data {
        uint32_t offset;
        unsigned index; /* keeps equal offsets in the table's order, as edk2's insertion sort does
                         */
        struct span raw;
};

static int by_offset(const void *a, const void *b)
{
        const struct section_data *x = a, *y = b;

        if (x->offset != y->offset)
                return x->offset < y->offset ? -1 : 1;
        return (x->index > y->index) - (x->index < y->index);
}

/* Steps 11-15: the sections with data, by file offset. No more bytes than the file has: sections
 * that all name the same bytes would let a small table ask for a hundred times the file's hashing,
 * in one call that no deadline interrupts. */
static int hash_sections(
                struct hasher *h, const struct pe *pe, uint64_t *hashed_bytes, struct error *error)
{
        _cleanup_free_ struct section_data *sections = NULL;
        struct pe_section s;
        size_t n = 0;
        int r;

        sections = calloc(pe->n_sections, sizeof(*sections));
        if (!sections)
                return -ENOMEM;
        for (unsigned i = 0; pe_section(pe, i, &s); i++)
                if (s.raw_size > 0)
                        sections[n++] = (struct section_data){s.raw_offset, i, s.raw};
        qsort(sections, n, sizeof(*sections), by_offset);
        for (size_t i = 0; i < n; i++) {
                if (sections[i].raw.size > pe->file.size - *hashed_bytes)
                        return error_set(error, EINVAL, "PE sections overlap in the file");
                r = hasher_update(h, sections[i].raw);
                if (r < 0)
                        return r;
                *hashed_bytes += sections[i].raw.size;
        }
        return 0;
}

/* Step 16: what follows the sections (in a firmware file: padding), without the certificates, which
 * are taken to stand at the end. */
static int hash_rest(
                struct hasher *h, const struct pe *pe, uint64_t hashed_bytes, struct error *error)
{
        uint64_t size = pe->file.size;

        if (size <= hashed_bytes)
                return 0;
        if (size - hashed_bytes < pe->security.size)
                return error_set(error, EINVAL, "PE certificates lie over the sections");
        return hash_range(h, pe->file, hashed_bytes, size - pe->security.size, error);
}

int authenticode_digest(struct span file, const struct banks *banks, struct digests *ret,
                struct error *error)
{
        _cleanup_(hasher_freep) struct hasher *h = NULL;
        uint64_t hashed_bytes;
        struct pe pe;
        int r;

        r = pe_parse(file, &pe, error);
        if (r < 0)
                return r;
        r = hasher_new(banks, &h);
        if (r < 0)
                return error_set(error, -r, "can't hash in every active bank");
        r = hash_headers(h, &pe, error);
        if (r < 0)
                return r;
        hashed_bytes = pe.size_of_headers;
        r = hash_sections(h, &pe, &hashed_bytes, error);
        if (r < 0)
                return r;
        r = hash_rest(h, &pe, hashed_bytes, error);
        if (r < 0)
                return r;
        return hasher_finish(h, ret);
}
