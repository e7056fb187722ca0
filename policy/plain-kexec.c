/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCR 10 is one chain of hashes: a boot_aggregate for each kernel whose list is lost, then the list
 * of the running one. The list is here, so what is looked for is the beginning: as many
 * boot_aggregates as the log has boots, or more of them. A value that is found proves its way. */
#include "policy/plain-kexec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/hop.h"
#include "policy/boot-aggregate.h"

#define IMA_PCR     10
#define MORE_MAX    8    /* kernels that are looked for at one moment */
#define BUDGET      1024 /* extends that a search may take besides a few passes over the list */
#define LIST_PASSES 4
#define LOST_MAX    (CHAIN_BOOTS_MAX + MORE_MAX)
#define MOMENTS_MAX 1024

/* One way in which a kernel may have written its boot_aggregate. */
struct form {
        size_t template;
        size_t bank; /* of moments.banks */
};

struct search {
        const struct replay *quoted;
        const struct alg *alg; /* of the bank that is folded */
        struct digest wanted;  /* PCR 10 */
        struct boot_moments moments;
        /* The list: what each record extends, and its boot_aggregates. */
        struct digest *records;
        size_t n_records;
        struct own {
                struct digest says; /* alg NULL: can't be read */
                size_t index;       /* in records */
        } * own;                    /* its boot_aggregates */
        size_t n_own;
        bool begins; /* with a boot_aggregate */
        size_t own_template;
        struct form forms[BOOT_AGGREGATE_TEMPLATES * ALG_MAX];
        size_t n_forms;
        struct digest *known; /* [moment][form]: what it extends; alg NULL: not computed yet */
        /* The lost kernels that are tried, and the work left. */
        size_t lost[LOST_MAX]; /* moments, ascending */
        size_t form_of[LOST_MAX];
        size_t n_lost;
        size_t budget;
        size_t n_used; /* records of the list at which PCR 10 was reached */
};

static void search_release(struct search *s)
{
        boot_moments_release(&s->moments);
        free(s->records);
        free(s->own);
        free(s->known);
}

/* ---- the list ---- */

static int add_record(struct search *s, const struct ima_record *record)
{
        struct banks bank = {.n = 1, .alg = {s->alg}};
        struct digest *records, says;
        struct digests digests;
        struct own *own;
        int r;

        if (record->pcr != IMA_PCR)
                return 0;
        r = ima_record_digests(record, &bank, &digests);
        if (r < 0)
                return r;
        if ((s->n_records & (s->n_records - 1)) == 0) {
                records = reallocarray(s->records, 2 * s->n_records + 1, sizeof(*records));
                if (!records)
                        return -ENOMEM;
                s->records = records;
        }
        s->records[s->n_records] = (struct digest){0};
        if (digests.n > 0)
                s->records[s->n_records] = digests.d[0];
        if (boot_aggregate_is(record, &says)) {
                own = reallocarray(s->own, s->n_own + 1, sizeof(*own));
                if (!own)
                        return -ENOMEM;
                s->own = own;
                s->own[s->n_own++] = (struct own){says, s->n_records};
                if (s->n_records == 0) {
                        s->begins = true;
                        s->own_template = boot_aggregate_template(record->name);
                }
        }
        s->n_records++;
        return 0;
}

static int read_list(struct search *s, struct span bytes, struct error *error)
{
        _cleanup_buf_ struct buf scratch = {0};
        size_t offset = 0, index = 0;
        struct ima_record record;
        struct ima_log log;
        int r = ima_log_open(&log, bytes, error);

        while (r >= 0 && (r = ima_log_next(&log, &offset, &index, &scratch, &record, error)) > 0)
                r = add_record(s, &record);
        return r;
}

/* ---- what a lost kernel extended ---- */

static bool make_forms(struct search *s)
{
        for (int own = 1; own >= 0; own--)
                for (size_t t = 0; t < BOOT_AGGREGATE_TEMPLATES; t++)
                        for (size_t b = 0; b < s->moments.banks.n; b++) {
                                bool is_own = t == s->own_template &&
                                              s->own[0].says.alg == s->moments.banks.alg[b];

                                if (is_own == (own == 1))
                                        s->forms[s->n_forms++] = (struct form){t, b};
                        }
        s->known = calloc(s->moments.n * s->n_forms + 1, sizeof(*s->known));
        return s->known;
}

/* NULL: there is no such boot_aggregate. */
static const struct digest *lost_digest(struct search *s, size_t moment, size_t form)
{
        struct digest *known = &s->known[moment * s->n_forms + form];
        const struct form *f = &s->forms[form];
        struct banks bank = {.n = 1, .alg = {s->alg}};
        _cleanup_buf_ struct buf data = {0};
        struct digests digests;

        if (known->alg)
                return known;
        if (!boot_aggregate_data(
                            f->template, &s->moments.moments[moment].aggregate[f->bank], &data) ||
                        buf_failed(&data) || hash_span(&bank, buf_span(&data), &digests) < 0)
                return NULL;
        *known = digests.d[0];
        return known;
}

/* ---- folding ---- */

/* Whether the lost kernels that are tried, then the list up to some record, give PCR 10. */
static bool reaches(struct search *s)
{
        struct digest pcr = {.alg = s->alg};

        if (s->budget < s->n_lost + s->n_records)
                return s->budget = 0, false;
        s->budget -= s->n_lost;
        for (size_t i = 0; i < s->n_lost; i++) {
                const struct digest *digest = lost_digest(s, s->lost[i], s->form_of[i]);

                if (!digest || digest_extend(&pcr, digest) < 0)
                        return false;
        }
        for (size_t i = 0; i < s->n_records; i++) {
                s->budget--;
                if (!s->records[i].alg || digest_extend(&pcr, &s->records[i]) < 0)
                        return false;
                if (memcmp(pcr.bytes, s->wanted.bytes, s->alg->size) == 0) {
                        s->n_used = i + 1;
                        return true;
                }
        }
        return false;
}

/* One for each boot whose list isn't here, and `more` at one moment. */
static bool make_lost(struct search *s, size_t moment, size_t more, size_t form)
{
        size_t starts = 0, skip;

        for (size_t i = 0; i < s->moments.n; i++)
                starts += s->moments.moments[i].is_start;
        skip = starts > s->n_own ? starts - s->n_own : 0;
        s->n_lost = 0;
        for (size_t i = 0; i < s->moments.n; i++) {
                size_t n = i == moment ? more : 0;

                if (s->moments.moments[i].is_start && skip > 0) {
                        skip--;
                        n++;
                }
                for (; n > 0; n--) {
                        if (s->n_lost == LOST_MAX)
                                return false;
                        s->form_of[s->n_lost] = form;
                        s->lost[s->n_lost++] = i;
                }
        }
        return true;
}

/* As many as the log tells of, all alike. */
static bool search_exact(struct search *s)
{
        for (size_t form = 0; form < s->n_forms && make_lost(s, 0, 0, form); form++) {
                if (reaches(s))
                        return true;
                if (s->n_lost == 0)
                        break; /* there is no form */
        }
        return false;
}

/* More of them at one moment, all alike, in forms from first to last. */
static bool search_more(struct search *s, size_t first, size_t last)
{
        for (size_t form = first; form < last; form++)
                for (size_t more = 1; more <= MORE_MAX && s->budget > 0; more++)
                        for (size_t moment = 0; moment < s->moments.n; moment++)
                                if (make_lost(s, moment, more, form) && reaches(s))
                                        return true;
        return false;
}

static bool search_more_own(struct search *s)
{
        return search_more(s, 0, 1);
}

static bool search_more_others(struct search *s)
{
        return search_more(s, 1, s->n_forms);
}

/* As many as the log tells of, each in a way of its own: an odometer over the forms. */
static bool search_mixed(struct search *s)
{
        if (!make_lost(s, 0, 0, 0) || s->n_lost < 2)
                return false;
        while (s->budget > 0) {
                size_t i = 0;

                while (i < s->n_lost && ++s->form_of[i] == s->n_forms)
                        s->form_of[i++] = 0;
                if (i == s->n_lost)
                        return false;
                if (reaches(s))
                        return true;
        }
        return false;
}

/* The way that was found must give what is quoted of the other banks, too. 1: it does. */
static int confirm(const struct search *s, const struct chain *chain, size_t b, struct error *error)
{
        struct search other = {.alg = s->quoted->banks.alg[b],
                        .wanted = s->quoted->pcr[b][IMA_PCR],
                        .moments = s->moments,
                        .n_forms = s->n_forms,
                        .n_lost = s->n_lost,
                        .budget = SIZE_MAX};
        int r = read_list(&other, chain->ima, error);

        memcpy(other.forms, s->forms, sizeof(other.forms));
        memcpy(other.lost, s->lost, sizeof(other.lost));
        memcpy(other.form_of, s->form_of, sizeof(other.form_of));
        other.known = calloc(s->moments.n * s->n_forms + 1, sizeof(*other.known));
        if (r == 0)
                r = !other.known ? -ENOMEM : reaches(&other) && other.n_used == s->n_used;
        other.moments = (struct boot_moments){0};
        search_release(&other);
        return r;
}

static int confirm_all(const struct search *s, const struct chain *chain, struct error *error)
{
        int r = 1;

        for (size_t b = 0; r > 0 && b < s->quoted->banks.n; b++)
                if (s->quoted->measured[b] & 1u << IMA_PCR && s->quoted->banks.alg[b] != s->alg)
                        r = confirm(s, chain, b, error);
        return r;
}

/* ---- counting ---- */

/* Which moment a boot_aggregate is of, not before `from`: one that lacks its kernel first. */
static size_t moment_of(const struct search *s, const struct digest *says, size_t from,
                const size_t *counts)
{
        size_t found = SIZE_MAX;

        for (size_t i = from; says->alg && i < s->moments.n; i++) {
                const struct boot_moment *moment = &s->moments.moments[i];

                for (size_t b = 0; b < s->moments.banks.n; b++) {
                        if (s->moments.banks.alg[b] != says->alg ||
                                        memcmp(moment->aggregate[b].bytes, says->bytes,
                                                        says->alg->size) != 0)
                                continue;
                        if (moment->is_start && counts[i] == 0)
                                return i;
                        if (found == SIZE_MAX)
                                found = i;
                }
        }
        return found;
}

static int judge(const struct search *s, struct plain_kexec_verdict *v)
{
        _cleanup_free_ size_t *counts = calloc(s->moments.n + 1, sizeof(*counts));
        size_t from = 0, missing = 0;

        if (!counts)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_lost; i++)
                counts[s->lost[i]]++;
        for (size_t i = 0; i < s->n_own && s->own[i].index < s->n_used; i++) {
                from = moment_of(s, &s->own[i].says, from, counts);
                if (from == SIZE_MAX) {
                        error_set(&v->text, EPERM,
                                        "not excluded: boot_aggregate %zu of IMA's list is of no "
                                        "boot of the log",
                                        i + 1);
                        return 0;
                }
                counts[from]++;
        }
        for (size_t i = 0; i < s->moments.n; i++) {
                const struct boot_moment *moment = &s->moments.moments[i];
                size_t more = counts[i] > moment->is_start ? counts[i] - moment->is_start : 0;

                missing += moment->is_start && counts[i] == 0;
                if (more > 0 && v->n_more == 0)
                        v->after_boot = moment->boot;
                v->n_more += more;
        }
        if (v->n_more > 0) {
                v->kind = PLAIN_KEXEC_SEEN;
                error_set(&v->text, EPERM,
                                "seen: PCR 10 has boot_aggregates of %zu more kernel%s than the "
                                "log tells of (in boot %zu)",
                                v->n_more, v->n_more > 1 ? "s" : "", v->after_boot);
        } else if (missing > 0) {
                error_set(&v->text, EPERM,
                                "not excluded: %zu boot%s of the log left no boot_aggregate in "
                                "PCR 10",
                                missing, missing > 1 ? "s" : "");
        } else {
                v->kind = PLAIN_KEXEC_EXCLUDED;
                error_set(&v->text, EPERM,
                                "excluded, as far as the kernels' IMA is believed: PCR 10 has one "
                                "boot_aggregate for each boot of the log");
        }
        return 0;
}

/* ---- all of it ---- */

static int choose_bank(struct search *s)
{
        for (size_t b = 0; b < s->quoted->banks.n; b++) {
                const struct alg *alg = s->quoted->banks.alg[b];

                if (!(s->quoted->measured[b] & 1u << IMA_PCR) ||
                                (s->alg && s->alg->size >= alg->size))
                        continue;
                s->alg = alg;
                s->wanted = s->quoted->pcr[b][IMA_PCR];
        }
        return s->alg ? 0 : -ENOENT;
}

/* 1: PCR 10 is explained, by *s. */
static int search_in(struct search *s, const struct chain *chain, const struct banks *banks,
                struct error *error)
{
        static bool (*const searches[])(struct search *) = {
                        search_exact, search_more_own, search_mixed, search_more_others};
        int r;

        boot_moments_release(&s->moments);
        free(TAKE_PTR(s->known));
        s->n_forms = 0;
        r = boot_moments_find(chain, banks, &s->moments, error);
        if (r < 0)
                return r;
        if (s->moments.n > MOMENTS_MAX)
                return 0;
        if (!make_forms(s))
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(searches); i++) {
                s->budget = BUDGET + LIST_PASSES * s->n_records;
                if (searches[i](s))
                        return 1;
        }
        return 0;
}

/* First in the bank that the list's own boot_aggregate is of, which all kernels like best. */
static int search_all(struct search *s, const struct chain *chain, struct error *error)
{
        struct banks all = s->quoted->banks, one = {.n = 1, .alg = {s->own[0].says.alg}};
        struct event_log log;
        int r;

        if (chain->firmware.size > 0) {
                r = event_log_open(&log, chain->firmware, error);
                if (r < 0)
                        return r;
                all = log.banks;
        }
        if (!s->own[0].says.alg || !banks_have(&all, s->own[0].says.alg->id))
                return search_in(s, chain, &all, error);
        r = search_in(s, chain, &one, error);
        return r != 0 || all.n < 2 ? r : search_in(s, chain, &all, error);
}

static int say(struct plain_kexec_verdict *v, const char *why)
{
        error_set(&v->text, EPERM, "not excluded: %s", why);
        return 0;
}

static bool is_zero(const struct digest *digest)
{
        static const uint8_t zeros[DIGEST_MAX_BYTES];

        return memcmp(digest->bytes, zeros, digest->alg->size) == 0;
}

static int check(struct search *s, const struct chain *chain, struct plain_kexec_verdict *v,
                struct error *error)
{
        int r;

        if (choose_bank(s) < 0)
                return say(v, "PCR 10 isn't quoted");
        if (is_zero(&s->wanted)) {
                v->pcr10 = true;
                return say(v, "PCR 10 is zero: the running kernel's IMA, if it has one, extended "
                              "nothing");
        }
        if (chain->ima.size == 0)
                return say(v, "there is no list of IMA's to explain PCR 10 with");
        r = read_list(s, chain->ima, error);
        if (r == -EBADMSG)
                return say(v, "IMA's list is malformed");
        if (r < 0)
                return r;
        if (!s->begins)
                return say(v, "IMA's list doesn't begin with a boot_aggregate");
        r = search_all(s, chain, error);
        if (r > 0)
                r = confirm_all(s, chain, error);
        if (r == -EBADMSG)
                return say(v, "the logs are malformed");
        if (r <= 0)
                return r < 0 ? r
                             : say(v, "PCR 10 isn't one boot_aggregate for each boot and the "
                                      "running kernel's list: earlier kernels measured more, or "
                                      "the list isn't that of this boot");
        v->pcr10 = true;
        v->n_ima = s->n_used;
        return judge(s, v);
}

int plain_kexec_check(const struct chain *chain, const struct replay *quoted,
                struct plain_kexec_verdict *ret, struct error *error)
{
        _cleanup_(search_release) struct search search = {.quoted = quoted};
        struct plain_kexec_verdict verdict = {.kind = PLAIN_KEXEC_POSSIBLE};
        int r = check(&search, chain, &verdict, error);

        if (r < 0)
                return error_set(error, -r, "can't look for plain kexecs: %s", strerror(-r));
        *ret = verdict;
        return 0;
}
