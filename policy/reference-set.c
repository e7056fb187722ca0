/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The set of references and its indices. See reference-match.c for the questions. */
#include "policy/reference-set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* ---- what is alike ---- */

const uint8_t reference_view_pcrs[REFERENCE_VIEW_N] = {4, 9, 11, 12, 13};

int reference_view_place(uint32_t pcr)
{
        for (int i = 0; i < REFERENCE_VIEW_N; i++)
                if (reference_view_pcrs[i] == pcr)
                        return i;
        return -1;
}

bool reference_ignores_data(uint32_t type)
{
        return type == EV_EFI_BOOT_SERVICES_APPLICATION || type == EV_EFI_BOOT_SERVICES_DRIVER ||
               type == EV_EFI_RUNTIME_SERVICES_DRIVER;
}

void reference_put_head(struct buf *buf, const uint8_t payload_sha256[32],
                const uint8_t load_options_sha256[32], const uint8_t (*initrd_sha256)[32],
                size_t n_initrds, size_t n_events)
{
        buf_put(buf, payload_sha256, 32);
        buf_put(buf, load_options_sha256, 32);
        buf_put_u32(buf, (uint32_t)n_initrds);
        for (size_t i = 0; i < n_initrds; i++)
                buf_put(buf, initrd_sha256[i], 32);
        buf_put_u32(buf, (uint32_t)n_events);
}

void reference_put_event(
                struct buf *buf, uint32_t payload_pcr, uint32_t type, const uint8_t data_sha256[32])
{
        buf_put_u32(buf, payload_pcr);
        buf_put_u32(buf, type);
        if (reference_ignores_data(type))
                buf_put_zeros(buf, 32);
        else
                buf_put(buf, data_sha256, 32);
}

int reference_view_key(enum reference_kind kind, const struct alg *alg,
                const struct digest view[REFERENCE_VIEW_N], uint8_t ret[32])
{
        uint8_t bytes[4 + REFERENCE_VIEW_N * DIGEST_MAX_BYTES] = {
                        (uint8_t)kind, (uint8_t)(alg->id >> 8), (uint8_t)alg->id};

        for (size_t i = 0; i < REFERENCE_VIEW_N; i++)
                memcpy(bytes + 4 + i * DIGEST_MAX_BYTES, view[i].bytes, alg->size);
        return hash_sha256(SPAN(bytes, sizeof(bytes)), ret);
}

int reference_near_key(const struct digest *value, uint32_t pcr, uint8_t ret[32])
{
        uint8_t bytes[3 + DIGEST_MAX_BYTES] = {
                        (uint8_t)pcr, (uint8_t)(value->alg->id >> 8), (uint8_t)value->alg->id};

        memcpy(bytes + 3, value->bytes, value->alg->size);
        return hash_sha256(SPAN(bytes, 3u + value->alg->size), ret);
}

bool reference_is_zero(const struct digest *value)
{
        static const uint8_t zeros[DIGEST_MAX_BYTES];

        return memcmp(value->bytes, zeros, value->alg->size) == 0;
}

/* ---- the set ---- */

int reference_set_new(struct reference_set **ret)
{
        struct reference_set *set = calloc(1, sizeof(*set));

        if (!set)
                return -ENOMEM;
        *ret = set;
        return 0;
}

void reference_set_free(struct reference_set *set)
{
        if (!set)
                return;
        for (size_t i = 0; i < set->n; i++)
                reference_free(set->references[i]);
        free(set->references);
        free(set->ledgers);
        free(set->views);
        free(set->files);
        free(set->nears);
        free(set);
}

int reference_set_add(
                struct reference_set *set, struct span text, const char *name, struct error *error)
{
        _cleanup_(reference_freep) struct reference *reference = NULL;
        struct reference **list;
        int r = reference_read(text, name, &reference, error);

        if (r < 0)
                return r;
        list = reallocarray(set->references, set->n + 1, sizeof(struct reference *));
        if (!list)
                return error_set(error, ENOMEM, "out of memory");
        set->references = list;
        set->references[set->n++] = TAKE_PTR(reference);
        return 0;
}

static int by_key(const void *a, const void *b)
{
        return memcmp(a, b, 32);
}

static void add_file(struct reference_set *set, const struct reference *reference)
{
        size_t i = set->n_ledgers++;

        set->ledgers[i].reference = set->files[i].reference = reference;
        memcpy(set->ledgers[i].key, reference->key, 32);
        memcpy(set->files[i].key, reference->payload_sha256, 32);
}

static int add_views(struct reference_set *set, const struct reference *reference)
{
        static const uint32_t near[] = {4, 11};
        int r = 0;

        for (size_t b = 0; r == 0 && b < reference->banks.n; b++) {
                set->views[set->n_views].reference = reference;
                r = reference_view_key(reference->kind, reference->banks.alg[b], reference->view[b],
                                set->views[set->n_views++].key);
                for (size_t i = 0; r == 0 && i < ARRAY_SIZE(near); i++) {
                        const struct digest
                                        *value = &reference->view[b][reference_view_place(near[i])];

                        if (reference_is_zero(value))
                                continue;
                        set->nears[set->n_nears].reference = reference;
                        r = reference_near_key(value, near[i], set->nears[set->n_nears++].key);
                }
        }
        return r;
}

static void forget_index(struct reference_set *set)
{
        free(TAKE_PTR(set->ledgers));
        free(TAKE_PTR(set->files));
        free(TAKE_PTR(set->views));
        free(TAKE_PTR(set->nears));
        set->n_ledgers = set->n_views = set->n_nears = 0;
}

int reference_set_index(struct reference_set *set)
{
        int r = 0;

        forget_index(set);
        set->ledgers = calloc(set->n + 1, sizeof(*set->ledgers));
        set->files = calloc(set->n + 1, sizeof(*set->files));
        set->views = calloc(set->n * ALG_MAX + 1, sizeof(*set->views));
        set->nears = calloc(set->n * ALG_MAX * 2 + 1, sizeof(*set->nears));
        if (!set->ledgers || !set->files || !set->views || !set->nears)
                r = -ENOMEM;
        for (size_t i = 0; r == 0 && i < set->n; i++) {
                if (set->references[i]->kind == REFERENCE_KEXEC)
                        add_file(set, set->references[i]);
                r = add_views(set, set->references[i]);
        }
        if (r < 0) {
                forget_index(set);
                return r;
        }
        qsort(set->ledgers, set->n_ledgers, sizeof(*set->ledgers), by_key);
        qsort(set->files, set->n_ledgers, sizeof(*set->files), by_key);
        qsort(set->views, set->n_views, sizeof(*set->views), by_key);
        qsort(set->nears, set->n_nears, sizeof(*set->nears), by_key);
        return 0;
}

size_t reference_set_size(const struct reference_set *set)
{
        return set->n;
}

const struct reference *reference_set_at(const struct reference_set *set, size_t i)
{
        return i < set->n ? set->references[i] : NULL;
}
