/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PE files: what pe_parse promises holds for every section, what passes pe_check_layout can be
 * placed without a byte outside the image, and a digest doesn't change with the fields that it must
 * ignore. Corpus: tests/corpus/pe/ (made by tests/corpus/make-tcg2.py). */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tcg2/authenticode.h"
#include "tcg2/pe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void check_sections(const struct pe *pe, bool layout)
{
        struct pe_section s, found;

        require(pe->n_sections > 0);
        for (unsigned i = 0; i < pe->n_sections; i++) {
                uint64_t bytes;

                require(pe_section(pe, i, &s));
                require(s.raw.size == s.raw_size);
                if (s.raw.size > 0)
                        require(s.raw.data >= pe->file.data &&
                                        s.raw.data + s.raw.size <= pe->file.data + pe->file.size);
                require(strlen(s.name) <= 8 && pe_find_section(pe, s.name, &found));
                bytes = s.virtual_size ? s.virtual_size : s.raw_size;
                if (layout && bytes > 0)
                        require(s.virtual_address >= pe->size_of_headers &&
                                        s.virtual_address + bytes <= pe->size_of_image);
        }
        require(!pe_section(pe, pe->n_sections, &s));
}

/* A section may claim bytes of the headers as its data (edk2 hashes them so). */
static bool sections_leave_headers_alone(const struct pe *pe)
{
        struct pe_section s;

        for (unsigned i = 0; pe_section(pe, i, &s); i++)
                if (s.raw_size > 0 && s.raw_offset < pe->size_of_headers)
                        return false;
        return pe->sections_offset >= pe->checksum_offset + 4;
}

/* CheckSum isn't part of the digest. */
static void check_digest(
                const struct pe *pe, const struct banks *banks, const struct digests *digests)
{
        _cleanup_free_ uint8_t *copy = malloc(pe->file.size);
        struct digests again;

        require(copy != NULL);
        memcpy(copy, pe->file.data, pe->file.size);
        for (size_t i = 0; i < 4; i++)
                copy[pe->checksum_offset + i] ^= 0x5a;
        if (sections_leave_headers_alone(pe))
                require(authenticode_digest(SPAN(copy, pe->file.size), banks, &again, NULL) == 0 &&
                                digests_equal(digests, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct banks banks = {.n = 1, .alg = {alg_by_id(TPM_ALG_SHA256)}};
        struct span file = SPAN(data, size);
        struct digests digests;
        struct error error = {0};
        struct pe pe;

        if (pe_parse(file, &pe, &error) < 0) {
                require(error.text[0]);
                require(authenticode_digest(file, &banks, &digests, NULL) < 0);
                return 0;
        }
        require(pe.checksum_offset + 4 <= size && pe.size_of_headers <= size);
        require(pe.security_entry_offset + 8 <= size);
        check_sections(&pe, pe_check_layout(&pe, NULL) == 0);
        if (authenticode_digest(file, &banks, &digests, NULL) == 0)
                check_digest(&pe, &banks, &digests);
        return 0;
}
