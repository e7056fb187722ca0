/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/extend.h"

#include <errno.h>
#include <string.h>

#include "eventlog/append.h"
#include "eventlog/hop.h"
#include "shim/boot-log.h"
#include "shim/boot-systemd.h"
#include "shim/handover/kexec.h"
#include "shim/next-kernel.h"
#include "shim/progress.h"
#include "shim/tickets.h"

int extend_read(struct tpm *tpm, const struct plan *plan, struct replay *ret, struct error *error)
{
        struct banks active;
        int r = tpm_active_banks(tpm, &active, error);

        if (r < 0)
                return r;
        if (active.n != plan->banks.n)
                return error_set(error, ESTALE,
                                "the TPM has %zu active banks, at load it had %zu: load again",
                                active.n, plan->banks.n);
        for (size_t b = 0; b < plan->banks.n; b++)
                if (!banks_have(&active, plan->banks.alg[b]->id))
                        return error_set(error, ESTALE, "bank %s isn't active any more: load again",
                                        plan->banks.alg[b]->name);
        /* Only what the hop touches: a read gives 8 digests, and each costs milliseconds. */
        return tpm_pcr_read(tpm, &plan->banks, plan->touched, ret, error);
}

/* The first PCR of mask that differs. */
static bool differs(const struct plan *plan, uint32_t mask, const struct digest a[][PCR_COUNT],
                const struct digest b[][PCR_COUNT], uint32_t *ret_pcr, const struct alg **ret_alg)
{
        for (uint32_t pcr = 0; pcr < 16; pcr++)
                for (size_t bank = 0; mask & 1u << pcr && bank < plan->banks.n; bank++)
                        if (memcmp(a[bank][pcr].bytes, b[bank][pcr].bytes,
                                            plan->banks.alg[bank]->size) != 0) {
                                *ret_pcr = pcr;
                                *ret_alg = plan->banks.alg[bank];
                                return true;
                        }
        return false;
}

#define VALUES(matrix) ((const struct digest(*)[PCR_COUNT])(matrix))

int extend_check_start(struct tpm *tpm, struct plan *plan, struct error *error)
{
        const struct alg *alg;
        struct replay now;
        uint32_t pcr;
        int r = extend_read(tpm, plan, &now, error);

        if (r < 0)
                return r;
        if (differs(plan, plan->registers, VALUES(plan->start), VALUES(now.pcr), &pcr, &alg))
                return error_set(error, ESTALE,
                                "PCR %u (%s) was extended since load: load again, the prediction "
                                "is void",
                                pcr, alg->name);
        for (size_t b = 0; b < plan->banks.n; b++)
                for (pcr = 0; pcr < 16; pcr++)
                        if (plan->touched & 1u << pcr)
                                plan->start[b][pcr] = now.pcr[b][pcr];
        r = plan_compute(plan);
        return r < 0 ? error_set(error, -r, "can't compute the registers: %s", strerror(-r)) : 0;
}

int extend_run(struct tpm *tpm, const struct plan *plan, struct error *error)
{
        for (size_t i = 0; i < plan->n_events; i++) {
                const struct tcg_event *e = &plan->events[i].event;
                struct error first = {{0}};
                struct replay now;
                size_t done;
                int r = tpm_pcr_extend(tpm, e->pcr, &e->digests, &first);

                if (r == 0)
                        continue;
                /* nobody knows whether the TPM did it before the answer got lost */
                if (extend_read(tpm, plan, &now, NULL) == 0 &&
                                plan_progress(plan, plan->touched, VALUES(now.pcr), &done) == 0) {
                        if (done == i + 1)
                                continue;
                        if (done == i && r == -EIO &&
                                        tpm_pcr_extend(tpm, e->pcr, &e->digests, NULL) == 0)
                                continue;
                }
                return error_set(error, -r, "extend %zu of %zu (PCR %u) failed: %.300s", i + 1,
                                plan->n_events, e->pcr, first.text);
        }
        return 0;
}

int extend_check_end(struct tpm *tpm, const struct plan *plan, struct error *error)
{
        const struct alg *alg;
        struct replay now;
        uint32_t pcr;
        int r = extend_read(tpm, plan, &now, error);

        if (r < 0)
                return r;
        if (differs(plan, plan->touched, VALUES(plan->end), VALUES(now.pcr), &pcr, &alg))
                return error_set(error, EBADMSG,
                                "PCR %u (%s) isn't what was predicted: somebody else extended it "
                                "meanwhile",
                                pcr, alg->name);
        return 0;
}

static int abort_event(const struct plan *plan, size_t n, struct buf *data, struct tcg_event *ret)
{
        hop_abort_encode((struct hop_end){plan->hop, (uint32_t)n}, data);
        return buf_failed(data) ? -ENOMEM : hop_event(&plan->banks, HOP_PCR, buf_span(data), ret);
}

/* Is PCR 8 at "n extends, then their abort" for some n? A mkexec that died after its abort left
 * that. -ENOENT: it isn't. */
static int already_aborted(const struct plan *plan, const struct replay *now, size_t *ret)
{
        struct digest pcr8 = plan->start[0][HOP_PCR];

        for (size_t n = 1; n <= plan->n_events; n++) {
                const struct plan_event *e = &plan->events[n - 1];
                _cleanup_buf_ struct buf data = {0};
                struct tcg_event event;
                struct digest after;
                int r = e->event.pcr == HOP_PCR ? digest_extend(&pcr8, &e->event.digests.d[0]) : 0;

                after = pcr8;
                if (r == 0)
                        r = abort_event(plan, n, &data, &event);
                if (r == 0)
                        r = digest_extend(&after, &event.digests.d[0]);
                if (r < 0)
                        return r;
                if (memcmp(after.bytes, now->pcr[0][HOP_PCR].bytes, after.alg->size) == 0) {
                        *ret = n;
                        return 0;
                }
        }
        return -ENOENT;
}

/* How many extends took place, and whether their abort did. One reading that fits nothing isn't
 * believed: what follows from it can't be undone. PCRs of the close list may be moved by others
 * meanwhile (systemd's phases): then the registers alone have to tell; of several points that look
 * alike there the first counts, such a PCR is no longer explained by the log anyway. -ENOENT:
 * somebody else extended the registers. */
static int find_progress(struct tpm *tpm, const struct plan *plan, size_t *ret_n, bool *ret_aborted,
                struct error *error)
{
        struct replay now;
        int r = -ENOENT;

        *ret_aborted = false;
        for (unsigned i = 0; r == -ENOENT && i < 2; i++) {
                r = extend_read(tpm, plan, &now, error);
                if (r < 0)
                        return r;
                r = plan_progress(plan, plan->touched, VALUES(now.pcr), ret_n);
                if (r != -ENOENT)
                        break;
                r = already_aborted(plan, &now, ret_n);
                *ret_aborted = r == 0;
        }
        if (r == -ENOENT)
                r = plan_progress(plan, plan->registers, VALUES(now.pcr), ret_n);
        return r < 0 ? error_set(error, -r, "can't tell how far the hop came: %s", strerror(-r))
                     : 0;
}

/* What the hop left in the TPM becomes part of this boot's log, once. */
static int remember(const struct state_dir *dir, const struct plan *plan, size_t n,
                const struct tcg_event *abort, struct error *error)
{
        _cleanup_buf_ struct buf log = {0}, hop = {0}, before = {0};
        struct span tail;
        int r = state_read(dir, STATE_ABORTED, BOOT_LOG_MAX_BYTES, &log, error);

        if (r == -ENOENT) {
                r = boot_log_read(dir, NULL, &before, NULL, error);
                if (r == -ENXIO)
                        r = 0;                       /* it was there when the hop was loaded */
                else if (r == 0 && before.size == 0) /* nothing stands before these events */
                        event_log_put_header(&log, &plan->log_banks);
        }
        if (r == 0)
                r = plan_log(plan, n, &hop, error);
        if (r < 0)
                return r;
        if (event_log_put_event(&hop, &plan->log_banks, abort) < 0 || buf_failed(&hop))
                return error_set(error, ENOMEM, "out of memory");
        if (log.size >= hop.size &&
                        span_sub(buf_span(&log), log.size - hop.size, hop.size, &tail) &&
                        span_equal(tail, buf_span(&hop)))
                return 0; /* a call that died right after this step was here already */
        buf_put_span(&log, buf_span(&hop));
        if (buf_failed(&log))
                return error_set(error, ENOMEM, "out of memory");
        return state_write(dir, STATE_ABORTED, buf_span(&log), error);
}

/* Abort and its record; safe to repeat. */
static int abort_in_tpm(struct tpm *tpm, const struct state_dir *dir, const struct plan *plan,
                size_t *ret_n, struct error *error)
{
        _cleanup_buf_ struct buf data = {0};
        struct tcg_event event;
        bool done;
        size_t n;
        int r = find_progress(tpm, plan, &n, &done, error);

        if (r == -ENOENT)
                return error_set(error, EBADMSG,
                                "the registers fit no point of the hop: somebody else extended "
                                "them; a verifier will refuse PCR 8 until a reset. "
                                "/run/mkexec/" STATE_UNEXPLAINED " has what was to be extended");
        if (r < 0)
                return r;
        *ret_n = n;
        if (n == 0)
                return 0;
        r = abort_event(plan, n, &data, &event);
        if (r < 0)
                return error_set(error, -r, "can't make the abort event: %s", strerror(-r));
        if (!done)
                r = tpm_pcr_extend(tpm, HOP_PCR, &event.digests, error);
        if (r == 0)
                r = remember(dir, plan, n, &event, error);
        return r == 0 ? boot_systemd_aborted(dir, error) : r;
}

/* The guard, or at least nothing: the kernel may have counted the loads that are allowed. Then
 * nothing is loaded any more, *ret_guarded says. */
static int put_guard_back(const struct state_dir *dir, const struct staged *journal,
                bool *ret_guarded, struct error *error)
{
        int r = next_kernel_load_guard(dir, journal, error);

        *ret_guarded = r == 0;
        return r < 0 && kexec_unload(NULL) == 0 ? 0 : r;
}

int extend_abort(struct tpm *tpm, const struct state_dir *dir, struct staged *journal,
                struct ticket_rules *rules, size_t *ret_n, struct error *error)
{
        struct error guard_error = {{0}};
        bool guarded;
        int guard = put_guard_back(
                        dir, journal, &guarded, &guard_error); /* first: nothing else may start */
        int r = abort_in_tpm(tpm, dir, &journal->plan, ret_n, error);

        if (r < 0 && r != -EBADMSG)
                return r; /* the journal stays: the next call tries again */
        if (r < 0 || *ret_n > 0)
                state_remove(dir, STATE_PLAN);
        if (r < 0)
                staged_write(dir, STATE_UNEXPLAINED, journal, NULL);
        if (guard < 0) /* the journal stays: while the real image may be loaded, every call tries
                          again */
                return error_set(error, -guard,
                                "reset the machine, the real image is still loaded: %.400s",
                                guard_error.text);
        if (r < 0 || *ret_n > 0 || !guarded) {
                staged_drop(dir); /* only now: a guard may need the staged kernel */
                tickets_drop_or_warn(tpm, rules);
        }
        state_remove(dir, STATE_SYSTEMD_NEXT);
        state_remove(dir, STATE_JOURNAL);
        return r;
}

/* There is a journal, but it can't be read: not which guard it was, and not what was to be
 * extended. Then nothing is loaded any more, and nothing waits for it. */
static void forget_all(const struct state_dir *dir, const char *tcti)
{
        bool has_tickets = staged_may_have_tickets(dir);

        if (kexec_unload(NULL) < 0)
                return;
        state_remove(dir, STATE_PLAN);
        (void)tickets_give_up(tcti, has_tickets); /* it says what stays */
}

int extend_recover(const struct state_dir *dir, const char *tcti, struct error *error)
{
        _cleanup_(staged_release) struct staged journal = STAGED_NONE;
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        bool guarded;
        size_t n = 0;
        int r;

        r = staged_read(dir, STATE_JOURNAL, &journal, error);
        if (r == -ENOENT)
                return 0;
        if (r < 0) {
                forget_all(dir, tcti);
        } else {
                r = tpm_esys_open(tcti, &tpm, error);
                if (r < 0) /* without the TPM the hop can't be ended, but nothing shall start */
                        (void)put_guard_back(dir, &journal, &guarded, NULL);
        }
        if (r == 0)
                r = extend_abort(tpm, dir, &journal, NULL, &n, error);
        if (r < 0)
                return error_prefix(error, r,
                                "an earlier 'mkexec exec' died and can't be finished (try again, "
                                "else reset the machine)");
        if (n > 0)
                progress_warn("an earlier 'mkexec exec' died after %zu of %zu extends; the hop was "
                              "ended with abort",
                                n, journal.plan.n_events);
        else
                progress_warn("an earlier 'mkexec exec' died before its first extend; the TPM is "
                              "as it was");
        return 0;
}
