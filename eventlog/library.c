/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libmkexec-eventlog: the rooms of eventlog/ behind the one header that is installed. Called by
 * other programs only; mkexec uses the rooms themselves. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/check.h"
#include "eventlog/convert.h"
#include "eventlog/log-show.h"
#include "eventlog/mkexec/eventlog.h"
#include "eventlog/parse.h"
#include "eventlog/replay.h"

static_assert(MKEXEC_BANKS_MAX == ALG_MAX && MKEXEC_PCRS == PCR_COUNT, "what the header promises");
static_assert(sizeof(struct mkexec_reason) == sizeof(struct error), "the same text");
static_assert(sizeof(((struct mkexec_bank *)0)->value[0]) == DIGEST_MAX_BYTES, "the same bytes");

struct mkexec_log {
        struct event_log log;
        size_t offset, index; /* of the next event */
        struct tcg_event event;
};

static void put_reason(const struct error *error, struct mkexec_reason *ret)
{
        if (ret)
                memcpy(ret->text, error->text, sizeof(ret->text));
}

/* ---- records ---- */

int mkexec_log_open(const void *bytes, size_t size, struct mkexec_log **ret,
                struct mkexec_reason *reason)
{
        _cleanup_free_ struct mkexec_log *log = calloc(1, sizeof(*log));
        struct error error = {{0}};
        int r = log ? event_log_open(&log->log, SPAN(bytes, size), &error)
                    : error_set(&error, ENOMEM, "out of memory");

        if (r < 0)
                put_reason(&error, reason);
        else
                *ret = TAKE_PTR(log);
        return r;
}

void mkexec_log_close(struct mkexec_log *log)
{
        free(log);
}

int mkexec_log_next(struct mkexec_log *log, struct mkexec_event *ret, struct mkexec_reason *reason)
{
        const struct tcg_event *event = &log->event;
        struct error error = {{0}};
        int r = event_log_next(&log->log, &log->offset, &log->index, &log->event, &error);

        if (r < 0)
                put_reason(&error, reason);
        if (r <= 0)
                return r;
        *ret = (struct mkexec_event){
                        .index = event->index,
                        .offset = event->offset,
                        .size = event->size,
                        .pcr = event->pcr,
                        .type = event->type,
                        .type_name = event_type_name(event->type),
                        .data = event->data.data,
                        .data_size = event->data.size,
                        .n_digests = event->digests.n,
        };
        for (size_t i = 0; i < event->digests.n; i++) {
                const struct digest *d = &event->digests.d[i];

                ret->digests[i] = (struct mkexec_digest){
                                d->alg->id, d->alg->size, d->alg->name, d->bytes};
        }
        return 1;
}

void mkexec_log_rewind(struct mkexec_log *log)
{
        log->offset = log->index = 0;
}

/* ---- PCRs ---- */

static void put_pcrs(const struct replay *replay, struct mkexec_pcrs *ret)
{
        memset(ret, 0, sizeof(*ret));
        ret->n_banks = replay->banks.n;
        for (size_t b = 0; b < replay->banks.n; b++) {
                const struct alg *alg = replay->banks.alg[b];
                struct mkexec_bank *bank = &ret->bank[b];

                bank->alg = alg->id;
                bank->size = alg->size;
                bank->name = alg->name;
                bank->known = replay->measured[b];
                for (size_t pcr = 0; pcr < PCR_COUNT; pcr++)
                        memcpy(bank->value[pcr], replay->pcr[b][pcr].bytes, alg->size);
        }
}

/* -EINVAL: a bank that doesn't exist, or twice. */
static int take_pcrs(const struct mkexec_pcrs *pcrs, struct replay *ret)
{
        struct banks banks = {0};

        for (size_t b = 0; b < pcrs->n_banks && b < ALG_MAX; b++) {
                const struct alg *alg = alg_by_id(pcrs->bank[b].alg);

                if (!alg || !banks_add(&banks, alg))
                        return -EINVAL;
        }
        replay_start_zero(ret, &banks);
        for (size_t b = 0; b < banks.n; b++) {
                ret->measured[b] = pcrs->bank[b].known & ((1u << PCR_COUNT) - 1);
                for (size_t pcr = 0; pcr < PCR_COUNT; pcr++)
                        memcpy(ret->pcr[b][pcr].bytes, pcrs->bank[b].value[pcr],
                                        banks.alg[b]->size);
        }
        return 0;
}

int mkexec_log_replay(struct mkexec_log *log, struct mkexec_pcrs *ret, struct mkexec_reason *reason)
{
        struct error error = {{0}};
        struct replay replay;
        int r = replay_log(log->log.bytes, &replay, &error);

        put_pcrs(&replay, ret);
        if (r < 0)
                put_reason(&error, reason);
        return r;
}

bool mkexec_pcrs_add(
                struct mkexec_pcrs *pcrs, uint16_t id, unsigned pcr, const void *value, size_t size)
{
        const struct alg *alg = alg_by_id(id);
        size_t b = 0;

        if (!alg || alg->size != size || pcr >= PCR_COUNT)
                return false;
        while (b < pcrs->n_banks && pcrs->bank[b].alg != id)
                b++;
        if (b == MKEXEC_BANKS_MAX)
                return false;
        if (b == pcrs->n_banks) {
                pcrs->n_banks++;
                pcrs->bank[b].alg = id;
                pcrs->bank[b].size = alg->size;
                pcrs->bank[b].name = alg->name;
        }
        memcpy(pcrs->bank[b].value[pcr], value, size);
        pcrs->bank[b].known |= 1u << pcr;
        return true;
}

/* ---- judgement ---- */

int mkexec_log_check(struct mkexec_log *log, const struct mkexec_pcrs *pcrs,
                struct mkexec_verdict *ret, struct mkexec_reason *reason)
{
        static const enum mkexec_result results[] = {
                        [HOP_RESULT_OK] = MKEXEC_OK,
                        [HOP_RESULT_MISMATCH] = MKEXEC_MISMATCH,
                        [HOP_RESULT_MALFORMED] = MKEXEC_MALFORMED,
        };
        _cleanup_check_result_ struct check_result result = {0};
        struct check_input input = {.chain.firmware = log->log.bytes};
        struct error error = {{0}};
        struct replay given;
        int r = pcrs ? take_pcrs(pcrs, &given) : 0;

        input.pcrs = pcrs ? &given : NULL;
        if (r < 0)
                error_set(&error, -r, "a bank that doesn't exist, or one twice");
        else
                r = check_logs(&input, &result, &error);
        if (r < 0) {
                put_reason(&error, reason);
                return r;
        }
        *ret = (struct mkexec_verdict){
                        .result = results[result.result],
                        .compared = result.compared,
                        .first_boot = result.hops.first_boot,
                        .n_hops = result.hops.n_hops,
                        .weak = result.hops.weak,
                        .unknown_bank = result.hops.unknown_bank,
        };
        put_reason(&result.reason, &ret->reason);
        return 0;
}

/* ---- text ---- */

struct writing {
        mkexec_write_function *write;
        void *context;
};

static int flush(void *context, struct buf *out)
{
        struct writing *w = context;
        int r = w->write(w->context, (const char *)out->data, out->size);

        out->size = 0;
        return r;
}

int mkexec_log_show(const void *bytes, size_t size, const char *name, enum mkexec_form form,
                mkexec_write_function *write, void *context, struct mkexec_reason *reason)
{
        static const enum log_show_form forms[] = {
                        [MKEXEC_TABLE] = LOG_SHOW_TABLE,
                        [MKEXEC_JSON] = LOG_SHOW_JSON,
                        [MKEXEC_YAML] = LOG_SHOW_YAML,
        };
        struct named_log log = {name, log_kind_of(SPAN(bytes, size)), SPAN(bytes, size)};
        struct writing writing = {write, context};
        struct log_show_options options = {
                        .pcrs = LOG_SHOW_ALL_PCRS, .flush = flush, .context = &writing};
        struct error error = {{0}};
        int r;

        if ((size_t)form >= ARRAY_SIZE(forms))
                return -EINVAL;
        options.form = forms[form];
        r = log_show_write(&log, 1, &options, &error);
        if (r < 0)
                put_reason(&error, reason);
        return r;
}

/* ---- other forms ---- */

int mkexec_log_convert(struct mkexec_log *log, enum mkexec_target target,
                mkexec_write_function *write, void *context, struct mkexec_reason *reason)
{
        static const enum convert_form forms[] = {
                        [MKEXEC_CEL_JSON] = CONVERT_CEL_JSON,
                        [MKEXEC_CEL_TLV] = CONVERT_CEL_TLV,
        };
        struct convert_input input = {.chain.firmware = log->log.bytes};
        struct writing writing = {write, context};
        struct convert_options options = {.flush = flush, .context = &writing};
        _cleanup_buf_ struct buf out = {0};
        struct convert_result result;
        struct error error = {{0}};
        int r;

        if ((size_t)target >= ARRAY_SIZE(forms))
                return -EINVAL;
        options.form = forms[target];
        r = convert(&input, &options, &out, &result, &error);
        if (r == 0)
                r = flush(&writing, &out);
        if (r < 0)
                put_reason(&error, reason);
        return r;
}
