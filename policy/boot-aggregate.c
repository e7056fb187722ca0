/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/boot-aggregate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/hop.h"

#define AGGREGATED      10 /* PCR 0-9 */
#define AGGREGATED_SHA1 8
#define RECORD_NAME     "boot_aggregate"
#define NAME_FIELD      256 /* of the first template: IMA_EVENT_NAME_LEN_MAX + 1 */

void boot_moments_release(struct boot_moments *moments)
{
        free(moments->moments);
        *moments = (struct boot_moments){0};
}

/* ---- moments ---- */

struct walk {
        struct boot_moments *moments;
        const struct chain_result *result;
        uint8_t pcr[ALG_MAX][AGGREGATED][DIGEST_MAX_BYTES]; /* before what comes next */
        size_t boot;
        bool started; /* the moment of this boot's start is there */
        bool aborted; /* the hop before it was */
};

static int aggregate(const struct walk *w, size_t b, struct digest *ret)
{
        const struct alg *alg = w->moments->banks.alg[b];
        struct banks bank = {.n = 1, .alg = {alg}};
        size_t n = alg->id == TPM_ALG_SHA1 ? AGGREGATED_SHA1 : AGGREGATED;
        uint8_t bytes[AGGREGATED * DIGEST_MAX_BYTES];
        struct digests digests;
        int r;

        for (size_t pcr = 0; pcr < n; pcr++)
                memcpy(bytes + pcr * alg->size, w->pcr[b][pcr], alg->size);
        r = hash_span(&bank, SPAN(bytes, n * alg->size), &digests);
        if (r == 0)
                *ret = digests.d[0];
        return r;
}

static int add_moment(struct walk *w, bool is_start)
{
        struct boot_moments *m = w->moments;
        struct boot_moment *moments = reallocarray(m->moments, m->n + 1, sizeof(*moments));
        struct boot_moment *moment;

        if (!moments)
                return -ENOMEM;
        m->moments = moments;
        moment = &moments[m->n];
        *moment = (struct boot_moment){.boot = w->boot, .is_start = is_start};
        for (size_t b = 0; b < m->banks.n; b++) {
                int r = aggregate(w, b, &moment->aggregate[b]);

                if (r < 0)
                        return r;
        }
        m->n++;
        return 0;
}

static int add_start(struct walk *w)
{
        if (w->started)
                return 0;
        w->started = true;
        return add_moment(w, !w->aborted);
}

static void keep(struct walk *w, uint32_t pcr)
{
        for (size_t b = 0; pcr < AGGREGATED && b < w->moments->banks.n; b++)
                memcpy(w->pcr[b][pcr], w->result->replay.pcr[b][pcr].bytes, DIGEST_MAX_BYTES);
}

static int see_firmware(void *context, const struct event_log *log, const struct tcg_event *event)
{
        struct walk *w = context;
        enum hop_own own = event->pcr == HOP_PCR ? hop_is_own(event) : HOP_NONE;

        (void)log;
        if (own == HOP_OPEN) {
                int r = add_start(w);

                if (r < 0)
                        return r;
                w->boot++;
                w->started = w->aborted = false;
        }
        if (own == HOP_ABORT)
                w->aborted = true;
        keep(w, event->pcr);
        if (event->type == EV_NO_ACTION) /* StartupLocality moves PCR 0's start */
                keep(w, 0);
        return 0;
}

static int see_systemd(void *context, size_t boot, const struct systemd_record *record)
{
        struct walk *w = context;
        int r = add_start(w);

        (void)boot;
        if (r < 0 || !record->has_pcr || record->pcr >= AGGREGATED)
                return r;
        keep(w, record->pcr);
        return add_moment(w, false);
}

int boot_moments_find(const struct chain *chain, const struct banks *banks,
                struct boot_moments *ret, struct error *error)
{
        _cleanup_boot_moments_ struct boot_moments moments = {.banks = *banks};
        struct chain_result result;
        struct walk w = {.moments = &moments, .result = &result, .boot = 1};
        const struct chain_visitor visitor = {
                        .firmware = see_firmware, .systemd = see_systemd, .context = &w};
        struct chain without_ima = *chain;
        int r;

        without_ima.ima = SPAN(NULL, 0);
        r = chain_walk(&without_ima, banks, NULL, &visitor, &result, error);
        if (r == 0)
                r = add_start(&w);
        if (r < 0)
                return r == -EBADMSG ? r : error_set(error, -r, "%s", strerror(-r));
        *ret = moments;
        moments = (struct boot_moments){0};
        return 0;
}

/* ---- records ---- */

/* What stands around the digest: Documentation/security/IMA-templates.rst. A boot_aggregate has
 * neither signature nor file: those fields are empty. */
static const struct {
        const char *names[4];
        const char *before; /* of the digest's algorithm; NULL: the first template, SHA-1 alone */
        size_t n_empty;     /* fields behind the name */
} templates[BOOT_AGGREGATE_TEMPLATES] = {
                {{"ima-ng", "d-ng|n-ng"}, "", 0},
                {{"ima-sig", "ima-buf", "d-ng|n-ng|sig", "d-ng|n-ng|buf"}, "", 1},
                {{"ima-ngv2", "d-ngv2|n-ng"}, "ima:", 0},
                {{"ima-sigv2", "d-ngv2|n-ng|sig"}, "ima:", 1},
                {{"ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"}, "", 3},
                {{"ima"}, NULL, 0},
};

bool boot_aggregate_data(size_t template, const struct digest *digest, struct buf *ret)
{
        const char *before = templates[template].before;
        char prefix[32];

        if (!before) {
                if (digest->alg->id != TPM_ALG_SHA1)
                        return false;
                buf_put(ret, digest->bytes, digest->alg->size);
                buf_put(ret, RECORD_NAME, sizeof(RECORD_NAME) - 1);
                buf_put_zeros(ret, NAME_FIELD - (sizeof(RECORD_NAME) - 1));
                return true;
        }
        snprintf(prefix, sizeof(prefix), "%s%s:", before, digest->alg->name);
        buf_put_u32(ret, (uint32_t)(strlen(prefix) + 1 + digest->alg->size));
        buf_put(ret, prefix, strlen(prefix) + 1);
        buf_put(ret, digest->bytes, digest->alg->size);
        buf_put_u32(ret, sizeof(RECORD_NAME));
        buf_put(ret, RECORD_NAME, sizeof(RECORD_NAME));
        buf_put_zeros(ret, 4 * templates[template].n_empty);
        return true;
}

size_t boot_aggregate_template(struct span name)
{
        for (size_t i = 0; i < BOOT_AGGREGATE_TEMPLATES; i++)
                for (size_t k = 0; k < 4 && templates[i].names[k]; k++)
                        if (span_equal(name, SPAN(templates[i].names[k],
                                                             strlen(templates[i].names[k]))))
                                return i;
        return 0;
}

/* "sha256:\0" or "ima:sha256:\0", then the digest; of the first template SHA-1 alone. */
static bool take_digest(const struct ima_record *record, struct digest *ret)
{
        struct cursor c = CURSOR(record->data);
        const uint8_t *end, *colon;
        struct span field, name;
        char text[16];
        uint32_t size;

        if (span_equal(record->name, SPAN("ima", 3))) {
                ret->alg = alg_by_id(TPM_ALG_SHA1);
                return cursor_copy(&c, ret->bytes, ret->alg->size);
        }
        if (!cursor_u32(&c, &size) || !cursor_take(&c, size, &field) || field.size == 0)
                return false;
        end = memchr(field.data, 0, field.size);
        if (!end || end == field.data || end[-1] != ':')
                return false;
        name = SPAN(field.data, (size_t)(end - field.data) - 1);
        colon = memrchr(name.data, ':', name.size);
        if (colon)
                name = SPAN(colon + 1, name.size - (size_t)(colon + 1 - name.data));
        if (name.size >= sizeof(text))
                return false;
        memcpy(text, name.data, name.size);
        text[name.size] = '\0';
        ret->alg = alg_by_name(text);
        field = SPAN(end + 1, field.size - (size_t)(end + 1 - field.data));
        if (!ret->alg || field.size != ret->alg->size)
                return false;
        memcpy(ret->bytes, field.data, field.size);
        return true;
}

bool boot_aggregate_is(const struct ima_record *record, struct digest *ret)
{
        struct digest digest = {0};

        if (!span_equal(record->file, SPAN(RECORD_NAME, sizeof(RECORD_NAME) - 1)))
                return false;
        if (!record->data_known || record->violation || !take_digest(record, &digest))
                digest.alg = NULL;
        *ret = digest;
        return true;
}
