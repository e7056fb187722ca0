/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which reference a boot is like, and where none is, in what it differs from the nearest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/reference-set.h"
#include "policy/reference-values.h"

#define NEAR_MAX 64 /* references that are looked at for what is different */

/* A hop as its log has it, in one bank. */
struct seen {
        const struct alg *alg;
        struct hop_open open;
        struct reference_event *events; /* of the ledger, all of them */
        uint8_t (*digests)[DIGEST_MAX_BYTES];
        size_t n_extended; /* of the ledger's events */
        struct digest view[REFERENCE_VIEW_N];
};

static void seen_release(struct seen *seen)
{
        free(seen->events);
        free(seen->digests);
}

/* ---- what the log has ---- */

static int seen_digest(
                struct seen *seen, const struct tcg_event *event, size_t i, struct error *error)
{
        const struct digest *digest = digests_find(&event->digests, seen->alg->id);
        int place = reference_view_place(seen->events[i].payload_pcr);

        if (!digest)
                return error_set(error, EINVAL, "event %zu has no %s digest", event->index,
                                seen->alg->name);
        memcpy(seen->digests[i], digest->bytes, sizeof(digest->bytes));
        if (place >= 0 && digest_extend(&seen->view[place], digest) < 0)
                return error_set(error, EIO, "can't compute %s", seen->alg->name);
        seen->n_extended++;
        return 0;
}

static int read_ledger(struct seen *seen, struct error *error)
{
        size_t n = seen->open.n_events;

        seen->events = calloc(n + 1, sizeof(*seen->events));
        seen->digests = calloc(n + 1, sizeof(*seen->digests));
        if (!seen->events || !seen->digests)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) {
                struct hop_ledger_entry entry = hop_ledger_at(&seen->open, i);

                seen->events[i].payload_pcr = entry.payload_pcr;
                seen->events[i].type = entry.type;
                memcpy(seen->events[i].data_sha256, entry.data_sha256, 32);
        }
        for (size_t i = 0; i < REFERENCE_VIEW_N; i++)
                seen->view[i].alg = seen->alg;
        return 0;
}

/* The hop was found whole, so its events stand in the order of its sequence. */
static int read_hop(struct seen *seen, const struct event_log *log, const struct hop_info *hop,
                struct error *error)
{
        size_t offset = hop->offset, index = hop->first_index, n_open;
        struct tcg_event event;
        int r = event_log_next(log, &offset, &index, &event, error);

        if (r > 0)
                r = hop_open_decode(event.data, &seen->open, error);
        if (r == 0)
                r = read_ledger(seen, error);
        if (r < 0)
                return r;
        n_open = (size_t)__builtin_popcount(hop_open_pcrs(&seen->open));
        for (size_t step = 1; step < hop->n_extended && step < n_open + seen->open.n_events;
                        step++) {
                r = event_log_next(log, &offset, &index, &event, error);
                if (r > 0)
                        r = step < n_open ? 0 : seen_digest(seen, &event, step - n_open, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- comparison ---- */

static int bank_of(const struct reference *reference, const struct alg *alg)
{
        for (size_t b = 0; b < reference->banks.n; b++)
                if (reference->banks.alg[b] == alg)
                        return (int)b;
        return -1;
}

/* The first event that isn't as the reference has it, or n_extended. */
static size_t first_difference(const struct seen *seen, const struct reference *reference, int bank)
{
        for (size_t i = 0; i < seen->n_extended; i++) {
                const struct reference_event *ours = &seen->events[i];
                const struct reference_event *theirs = &reference->events[i];

                if (i >= reference->n_events || ours->payload_pcr != theirs->payload_pcr ||
                                ours->type != theirs->type ||
                                memcmp(seen->digests[i],
                                                reference_digest(reference, i, (size_t)bank),
                                                seen->alg->size) != 0 ||
                                (!reference_ignores_data(ours->type) &&
                                                memcmp(ours->data_sha256, theirs->data_sha256, 32)))
                        return i;
        }
        return seen->n_extended;
}

static uint32_t equal_pcrs(const struct digest view[REFERENCE_VIEW_N], const struct alg *alg,
                const struct reference *reference)
{
        int bank = bank_of(reference, alg);
        uint32_t mask = 0;

        for (size_t i = 0; bank >= 0 && i < REFERENCE_VIEW_N; i++)
                if (memcmp(view[i].bytes, reference->view[bank][i].bytes, alg->size) == 0)
                        mask |= 1u << reference_view_pcrs[i];
        return mask;
}

/* The first of an index's entries with this key, behind which stand the others. */
static size_t lower_bound(const struct reference_index *index, size_t n, const uint8_t key[32])
{
        size_t from = 0;

        while (n > 0) {
                size_t half = n / 2;

                if (memcmp(index[from + half].key, key, 32) < 0) {
                        from += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return from;
}

static int closeness(uint32_t equal)
{
        return __builtin_popcount(equal) + 8 * (equal >> 11 & 1);
}

/* The one that is alike in most PCRs of those that have this value of a PCR; a few are looked at.
 */
static int nearest_by_pcr(const struct reference_set *set, enum reference_kind kind, bool any,
                const struct digest view[REFERENCE_VIEW_N], uint32_t pcr,
                struct reference_found *ret)
{
        const struct digest *value = &view[reference_view_place(pcr)];
        uint8_t key[32];
        size_t i, end;

        if (reference_is_zero(value))
                return 0;
        if (reference_near_key(value, pcr, key) < 0)
                return -EIO;
        i = lower_bound(set->nears, set->n_nears, key);
        for (end = i + NEAR_MAX;
                        i < end && i < set->n_nears && memcmp(set->nears[i].key, key, 32) == 0;
                        i++) {
                const struct reference *reference = set->nears[i].reference;
                uint32_t equal = equal_pcrs(view, value->alg, reference);

                if ((!any && reference->kind != kind) ||
                                (ret->reference && closeness(equal) <= closeness(ret->equal)))
                        continue;
                ret->match = REFERENCE_PART;
                ret->reference = reference;
                ret->equal = equal;
        }
        return 0;
}

static int nearest_by_view(const struct reference_set *set, enum reference_kind kind, bool any,
                const struct digest view[REFERENCE_VIEW_N], struct reference_found *ret)
{
        int r = nearest_by_pcr(set, kind, any, view, 11, ret);

        return r == 0 && !ret->reference ? nearest_by_pcr(set, kind, any, view, 4, ret) : r;
}

static void list_pcrs(uint32_t mask, char *to, size_t size)
{
        size_t n = 0;

        to[0] = '\0';
        for (unsigned pcr = 0; pcr < PCR_COUNT && n < size; pcr++)
                if (mask & 1u << pcr)
                        n += (size_t)snprintf(to + n, size - n, "%s%u", n > 0 ? ", " : "", pcr);
}

/* ---- hops ---- */

static int find_whole(const struct reference_set *set, const struct seen *seen,
                struct reference_found *ret)
{
        _cleanup_buf_ struct buf bytes = {0};
        const struct hop_open *open = &seen->open;
        uint8_t key[32];

        reference_put_head(&bytes, open->payload_sha256, open->load_options_sha256,
                        open->initrd_sha256, open->n_initrds, open->n_events);
        for (size_t i = 0; i < open->n_events; i++)
                reference_put_event(&bytes, seen->events[i].payload_pcr, seen->events[i].type,
                                seen->events[i].data_sha256);
        if (buf_failed(&bytes))
                return -ENOMEM;
        if (hash_sha256(buf_span(&bytes), key) < 0)
                return -EIO;
        for (size_t i = lower_bound(set->ledgers, set->n_ledgers, key);
                        i < set->n_ledgers && memcmp(set->ledgers[i].key, key, 32) == 0; i++) {
                const struct reference *reference = set->ledgers[i].reference;
                int bank = bank_of(reference, seen->alg);

                if (bank < 0 || first_difference(seen, reference, bank) < seen->n_extended)
                        continue;
                ret->match = REFERENCE_WHOLE;
                ret->reference = reference;
                ret->equal = REFERENCE_VIEW;
                return 1;
        }
        return 0;
}

/* A reference of the same file tells best what else is different. */
static const struct reference *of_same_file(
                const struct reference_set *set, const struct seen *seen)
{
        const uint8_t *file = seen->open.payload_sha256;
        const struct reference *found = NULL;
        size_t i = lower_bound(set->files, set->n_ledgers, file), end = i + NEAR_MAX;

        for (; i < end && i < set->n_ledgers && memcmp(set->files[i].key, file, 32) == 0; i++) {
                const struct reference *reference = set->files[i].reference;

                if (!found || memcmp(reference->load_options_sha256, seen->open.load_options_sha256,
                                              32) == 0)
                        found = reference;
        }
        return found;
}

static int explain_hop(const struct reference_set *set, const struct seen *seen,
                struct reference_found *ret)
{
        const struct hop_open *open = &seen->open;
        const struct reference *reference = of_same_file(set, seen);
        char hex[65], pcrs[40];
        size_t i;
        int r = nearest_by_view(set, REFERENCE_KEXEC, false, seen->view, ret);

        if (r < 0)
                return r;
        if (!reference) {
                hex_encode(SPAN(open->payload_sha256, 32), hex);
                list_pcrs(ret->equal, pcrs, sizeof(pcrs));
                error_set(&ret->reason, ENOENT,
                                "no reference has the payload's file (SHA-256 %s)%s%s%s%s", hex,
                                ret->reference ? "; PCR " : "", ret->reference ? pcrs : "",
                                ret->reference ? " of the payload view are those of " : "",
                                ret->reference ? ret->reference->name : "");
                return 0;
        }
        ret->reference = reference;
        ret->equal = equal_pcrs(seen->view, seen->alg, reference);
        if (memcmp(reference->load_options_sha256, open->load_options_sha256, 32) != 0)
                error_set(&ret->reason, ENOENT, "other load options (command line) than in %s",
                                reference->name);
        else if (reference->n_initrds != open->n_initrds ||
                        memcmp(reference->initrd_sha256, open->initrd_sha256,
                                        32 * open->n_initrds) != 0)
                error_set(&ret->reason, ENOENT, "other initrds than in %s", reference->name);
        else if (bank_of(reference, seen->alg) < 0)
                error_set(&ret->reason, ENOENT, "%s has no %s digests", reference->name,
                                seen->alg->name);
        else if ((i = first_difference(seen, reference, bank_of(reference, seen->alg))) <
                        seen->n_extended)
                error_set(&ret->reason, ENOENT,
                                "measurement %zu, into payload PCR %u, isn't as in %s", i + 1,
                                seen->events[i].payload_pcr, reference->name);
        else
                error_set(&ret->reason, ENOENT, "%zu measurements, in %s it is %zu, or others",
                                open->n_events, reference->name, reference->n_events);
        return 0;
}

int reference_match_hop(const struct reference_set *set, const struct event_log *log,
                const struct hop_info *hop, uint16_t alg_id, struct reference_found *ret,
                struct error *error)
{
        _cleanup_(seen_release) struct seen seen = {.alg = alg_by_id(alg_id)};
        struct reference_found found = {.match = REFERENCE_UNKNOWN};
        int r;

        if (!seen.alg || !banks_have(&log->banks, alg_id))
                return error_set(error, EINVAL, "the log doesn't have the bank 0x%04x", alg_id);
        r = read_hop(&seen, log, hop, error);
        if (r < 0)
                return r;
        r = find_whole(set, &seen, &found);
        if (r == 0)
                r = explain_hop(set, &seen, &found);
        if (r < 0)
                return error_set(error, -r, "can't compare with the references: %s", strerror(-r));
        *ret = found;
        return 0;
}

/* ---- firmware's boot ---- */

int reference_match_firmware(const struct reference_set *set, const struct replay *boot,
                uint16_t alg_id, struct reference_found *ret, struct error *error)
{
        struct reference_found found = {.match = REFERENCE_UNKNOWN};
        int bank = replay_bank(boot, alg_id);
        struct digest view[REFERENCE_VIEW_N];
        char pcrs[40];
        uint8_t key[32];
        size_t i;

        if (bank < 0)
                return error_set(error, EINVAL, "the log doesn't have the bank 0x%04x", alg_id);
        for (i = 0; i < REFERENCE_VIEW_N; i++)
                view[i] = boot->pcr[bank][reference_view_pcrs[i]];
        if (reference_view_key(REFERENCE_FIRMWARE, boot->banks.alg[bank], view, key) < 0)
                return error_set(error, EIO, "can't compute SHA-256");
        i = lower_bound(set->views, set->n_views, key);
        if (i < set->n_views && memcmp(set->views[i].key, key, 32) == 0) {
                found.match = REFERENCE_WHOLE;
                found.reference = set->views[i].reference;
                found.equal = REFERENCE_VIEW;
                *ret = found;
                return 0;
        }
        if (nearest_by_view(set, REFERENCE_FIRMWARE, true, view, &found) < 0)
                return error_set(error, EIO, "can't compute SHA-256");
        list_pcrs(REFERENCE_VIEW & ~found.equal, pcrs, sizeof(pcrs));
        if (found.reference)
                error_set(&found.reason, ENOENT, "PCR %s isn't as in %s", pcrs,
                                found.reference->name);
        else
                error_set(&found.reason, ENOENT,
                                "no reference has its PCR 4 or 11 for a firmware boot");
        *ret = found;
        return 0;
}
