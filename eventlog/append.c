/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventlog/append.h"

#include <errno.h>
#include <string.h>

#include "eventlog/parse.h"

/* PFP 10.4.5.1, values of revision 1.05, the one whose events (StartupLocality, tagged events) we
 * know. */
enum {
        PLATFORM_CLASS_CLIENT = 0,
        SPEC_VERSION_MINOR = 0,
        SPEC_VERSION_MAJOR = 2,
        SPEC_ERRATA = 105,
        UINTN_SIZE_64 = 2,
};

void event_log_put_header(struct buf *log, const struct banks *banks)
{
        buf_put_u32(log, 0); /* PCR */
        buf_put_u32(log, EV_NO_ACTION);
        buf_put_zeros(log, 20);
        buf_put_u32(log, (uint32_t)(16 + 4 + 4 + 4 + 4 * banks->n + 1));
        buf_put(log, "Spec ID Event03", 16);
        buf_put_u32(log, PLATFORM_CLASS_CLIENT);
        buf_put_u8(log, SPEC_VERSION_MINOR);
        buf_put_u8(log, SPEC_VERSION_MAJOR);
        buf_put_u8(log, SPEC_ERRATA);
        buf_put_u8(log, UINTN_SIZE_64);
        buf_put_u32(log, (uint32_t)banks->n);
        for (size_t i = 0; i < banks->n; i++) {
                buf_put_u16(log, banks->alg[i]->id);
                buf_put_u16(log, banks->alg[i]->size);
        }
        buf_put_u8(log, 0); /* vendor info */
}

static void put_digest(struct buf *log, const struct alg *alg, const struct digest *digest)
{
        if (digest)
                buf_put(log, digest->bytes, alg->size);
        else
                buf_put_zeros(log, alg->size);
}

/* The digest to write, NULL for zeros; false if the event must have it and doesn't. */
static bool find_digest(const struct tcg_event *event, uint16_t id, const struct digest **ret)
{
        *ret = digests_find(&event->digests, id);
        return *ret || event->type == EV_NO_ACTION;
}

int event_log_put_event(struct buf *log, const struct banks *banks, const struct tcg_event *event)
{
        const struct digest *digests[ALG_MAX];

        if (event->data.size > UINT32_MAX)
                return -EINVAL;
        for (size_t i = 0; i < banks->n; i++)
                if (!find_digest(event, banks->alg[i]->id, &digests[i]))
                        return -EINVAL;
        buf_put_u32(log, event->pcr);
        buf_put_u32(log, event->type);
        buf_put_u32(log, (uint32_t)banks->n);
        for (size_t i = 0; i < banks->n; i++) {
                buf_put_u16(log, banks->alg[i]->id);
                put_digest(log, banks->alg[i], digests[i]);
        }
        buf_put_u32(log, (uint32_t)event->data.size);
        buf_put_span(log, event->data);
        return buf_failed(log) ? -ENOMEM : 0;
}

size_t event_log_size_of_event(const struct banks *banks, size_t data_size)
{
        size_t size = 4 + 4 + 4 + 4 + data_size;

        for (size_t i = 0; i < banks->n; i++)
                size += 2u + banks->alg[i]->size;
        return size;
}

int event_log_put_event_sha1(struct buf *log, const struct tcg_event *event)
{
        const struct digest *digest;

        if (event->data.size > UINT32_MAX || !find_digest(event, TPM_ALG_SHA1, &digest))
                return -EINVAL;
        buf_put_u32(log, event->pcr);
        buf_put_u32(log, event->type);
        put_digest(log, alg_by_id(TPM_ALG_SHA1), digest);
        buf_put_u32(log, (uint32_t)event->data.size);
        buf_put_span(log, event->data);
        return buf_failed(log) ? -ENOMEM : 0;
}

int event_log_trim(struct span bytes, size_t *ret_size, struct error *error)
{
        struct event_log log;
        struct tcg_event event;
        size_t end = 0;
        int r;

        r = event_log_open(&log, bytes, error);
        if (r < 0)
                return r;
        EVENT_LOG_FOREACH (&log, &event, r, error)
                end = event.offset + event.size;
        if (r < 0)
                return r;
        *ret_size = end;
        return 0;
}
