/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/attest.h"

#include <errno.h>
#include <string.h>

#include "eventlog/parse.h"
#include "shim/progress.h"

void attest_release(struct attest *attest)
{
        log_sources_release(&attest->logs);
        tpm_quote_release(&attest->quote);
        *attest = (struct attest){0};
}

/* ---- banks ---- */

static struct span firmware_log(const struct log_sources *logs)
{
        bool there = logs->n > 0 && logs->source[0].kind != LOG_SYSTEMD &&
                     logs->source[0].kind != LOG_IMA;

        return there ? logs->source[0].bytes : SPAN(NULL, 0);
}

static int check_wanted(const struct banks *active, const struct banks *wanted, struct error *error)
{
        for (size_t b = 0; b < wanted->n; b++)
                if (!banks_have(active, wanted->alg[b]->id))
                        return error_set(error, EINVAL,
                                        "bank %s: the TPM hasn't got it active, PCR 0-15 in all",
                                        wanted->alg[b]->name);
        return 0;
}

/* Those that the log has. What the log lacks would prove nothing. */
static void banks_of_log(struct span log, const struct banks *active, struct banks *ret)
{
        struct event_log parsed;
        struct error error;

        *ret = (struct banks){0};
        if (log.size == 0) {
                *ret = *active;
                return;
        }
        if (event_log_open(&parsed, log, &error) == 0)
                for (size_t b = 0; b < parsed.banks.n; b++)
                        if (banks_have(active, parsed.banks.alg[b]->id))
                                banks_add(ret, parsed.banks.alg[b]);
        if (ret->n > 0)
                return;
        progress_warn("the event log has none of the TPM's banks: the quote can't prove it");
        *ret = *active;
}

static int choose_banks(const struct banks *active, struct span log, const struct banks *wanted,
                struct banks *ret, struct error *error)
{
        int r = wanted ? check_wanted(active, wanted, error) : 0;

        if (r < 0)
                return r;
        if (wanted)
                *ret = *wanted;
        else
                banks_of_log(log, active, ret);
        return 0;
}

/* ---- one moment ---- */

#define IMA_PCR (1u << 10)

/* Whether any of these PCRs was extended between two readings. */
static bool moved(const struct replay *before, const struct replay *after, uint32_t mask)
{
        for (size_t b = 0; b < after->banks.n; b++) {
                int other = replay_bank(before, after->banks.alg[b]->id);

                for (unsigned pcr = 0; other >= 0 && pcr < PCR_COUNT; pcr++)
                        if (mask & 1u << pcr && memcmp(before->pcr[other][pcr].bytes,
                                                                after->pcr[b][pcr].bytes,
                                                                after->banks.alg[b]->size) != 0)
                                return true;
        }
        return false;
}

/* IMA's list is used up to what PCR 10 reads, so it only has to be the later one. */
static int read_ima_again(struct log_sources *logs, struct error *error)
{
        struct log_source *last = logs->n > 0 ? &logs->source[logs->n - 1] : NULL;
        struct log_source again = {0};
        int r = 0;

        if (!last || last->kind != LOG_IMA)
                return 0;
        r = log_source_read_ima(&again, error);
        if (r < 0)
                return r;
        log_source_release(last);
        *last = again;
        return 0;
}

/* 1: done; 0: something was extended, so that a log may have grown, between reading and quote. */
static int quote_logs(struct tpm *tpm, struct tpm_ak *ak, struct span nonce,
                const struct banks *wanted, struct attest *attest, struct error *error)
{
        struct replay before;
        struct banks active, banks;
        struct error left_out;
        int r = tpm_usable_banks(tpm, &active, &left_out, error);

        attest_release(attest);
        if (r == 0)
                r = tpm_pcr_read(tpm, &active, ATTEST_PCRS, &before, error);
        if (r == 0)
                r = log_sources_read_machine(tpm, &attest->logs, error);
        if (r == 0)
                r = choose_banks(&active, firmware_log(&attest->logs), wanted, &banks, error);
        if (r == 0)
                r = tpm_quote(ak, nonce, &banks, ATTEST_PCRS, &attest->quote, error);
        if (r < 0)
                return r;
        if (moved(&before, &attest->quote.pcrs, ATTEST_PCRS & ~IMA_PCR))
                return 0;
        if (moved(&before, &attest->quote.pcrs, IMA_PCR))
                r = read_ima_again(&attest->logs, error);
        return r < 0 ? r : 1;
}

/* ---- evidence ---- */

static void put_systemd(struct evidence *e, const struct log_source *source)
{
        if (e->n_systemd == CHAIN_BOOTS_MAX)
                return;
        e->systemd[e->n_systemd++] = (struct evidence_systemd){
                        .boot = source->boot,
                        .incomplete = source->incomplete,
                        .cut = source->cut,
                        .lost = source->lost,
                        .log = source->bytes,
        };
}

static void put_logs(struct evidence *e, const struct log_sources *logs)
{
        for (size_t i = 0; i < logs->n; i++) {
                const struct log_source *source = &logs->source[i];

                if (source->kind == LOG_SYSTEMD)
                        put_systemd(e, source);
                else if (source->kind == LOG_IMA)
                        e->ima = source->bytes;
                else
                        e->firmware_log = source->bytes;
        }
}

int attest_make(struct tpm *tpm, struct tpm_ak *ak, struct span nonce, const struct banks *wanted,
                struct attest *ret, struct error *error)
{
        enum { TRIES = 8 };
        _cleanup_attest_ struct attest attest = {0};
        struct evidence *e = &attest.evidence;
        int r = 0;

        for (unsigned i = 0; r == 0 && i < TRIES; i++)
                r = quote_logs(tpm, ak, nonce, wanted, &attest, error);
        if (r < 0)
                return r;
        if (r == 0)
                progress_warn("PCRs move all the time: logs and quote may be of different moments");
        e->attest = buf_span(&attest.quote.attest);
        e->signature = buf_span(&attest.quote.signature);
        e->ak_public = tpm_ak_public(ak);
        e->pcrs = attest.quote.pcrs;
        put_logs(e, &attest.logs);
        *ret = attest;
        attest = (struct attest){0};
        return 0;
}
