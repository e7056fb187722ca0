/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/tickets.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/progress.h"

#define ROOM (4 * TICKET_SLOTS)

/* ---- what a ticket is bound to ---- */

int ticket_target(struct tpm *tpm, const struct plan *plan, uint32_t more,
                struct ticket_target *ret, struct error *error)
{
        int r = tpm_pcr_read(tpm, &plan->banks, TICKET_PCRS, &ret->values, error);

        if (r < 0)
                return r;
        ret->mask = plan->registers | more;
        for (size_t b = 0; b < plan->banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (plan->touched & 1u << pcr)
                                ret->values.pcr[b][pcr] = plan->end[b][pcr];
        return 0;
}

/* ---- what the plan wants ---- */

static struct staged_ticket *find(struct staged *staged, const char *name)
{
        for (size_t i = 0; i < staged->n_tickets; i++)
                if (strcmp(staged->tickets[i].name, name) == 0)
                        return &staged->tickets[i];
        return NULL;
}

int tickets_want(struct staged *staged, const char *name, struct error *error)
{
        struct staged_ticket *row;

        if (find(staged, name))
                return 0;
        if (staged->n_tickets == STAGED_TICKETS_MAX)
                return error_set(error, ENOSPC, "more than %d tickets for one load",
                                STAGED_TICKETS_MAX);
        row = &staged->tickets[staged->n_tickets++];
        *row = (struct staged_ticket){0};
        memcpy(row->name, name, strlen(name) + 1);
        return 0;
}

/* Removes the name's row, or all. */
static bool forget(struct staged *staged, const char *name)
{
        size_t before = staged->n_tickets, n = 0;

        for (size_t i = 0; name && i < before; i++)
                if (strcmp(staged->tickets[i].name, name) != 0)
                        staged->tickets[n++] = staged->tickets[i];
        staged->n_tickets = n;
        return n < before;
}

static bool has_handle(const struct staged *staged, uint32_t handle)
{
        for (size_t i = 0; i < staged->n_tickets; i++)
                if (staged->tickets[i].handle == handle)
                        return true;
        return false;
}

/* What a put or drop that died has left beside the plan's own: the second kernel could take it for
 * another of the same name. */
static int drop_strays(struct tpm *tpm, struct tpm_nv *nv, uint32_t base,
                const struct staged *staged, struct error *error)
{
        struct ticket tickets[ROOM];
        struct replay now;
        size_t n = ROOM;
        int r = tpm_pcr_read(tpm, &staged->plan.banks, TICKET_PCRS, &now, error);

        if (r == 0)
                r = ticket_list(nv, base, &now, tickets, &n, error);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (ticket_is_left(tickets[i].state) && !has_handle(staged, tickets[i].handle))
                        r = ticket_drop(nv, tickets[i].handle, error);
        return r;
}

/* What is wrong with the row's ticket; NULL: nothing. -errno: that can't be told. */
static int why_missing(struct tpm_nv *nv, const struct staged_ticket *row,
                const struct replay *values, const char **ret, struct error *error)
{
        static const char *const texts[] = {
                        [TICKET_READY] = NULL,
                        [TICKET_OTHER_PCRS] = "wouldn't open: a PCR that it is bound to besides "
                                              "the registers was extended since",
                        [TICKET_USED] = "is locked until a reset",
                        [TICKET_EMPTY] = "has no contents",
                        [TICKET_UNFINISHED] = "isn't as 'ticket put' leaves one",
                        [TICKET_FOREIGN] = "isn't as 'ticket put' leaves one",
        };
        struct ticket ticket;
        int r = row->handle ? ticket_look(nv, row->handle, values, &ticket, error) : -ENOENT;

        *ret = r == -ENOENT ? "isn't in the TPM" : r == 0 ? texts[ticket.state] : NULL;
        return r == -ENOENT ? 0 : r;
}

int tickets_check(struct tpm *tpm, const struct staged *staged, uint32_t *ret_missing,
                struct error *error)
{
        _cleanup_(tpm_nv_closep) struct tpm_nv *nv = NULL;
        struct ticket_target target;
        uint32_t missing = 0;
        int r;

        static_assert(STAGED_TICKETS_MAX <= 32, "a bit for each");
        *ret_missing = 0;
        if (staged->n_tickets == 0)
                return 0;
        r = ticket_target(tpm, &staged->plan, 0, &target, error);
        if (r == 0)
                r = tpm_nv_open(tpm, SPAN(NULL, 0), &nv, error);
        for (size_t i = 0; r == 0 && i < staged->n_tickets; i++) {
                const struct staged_ticket *row = &staged->tickets[i];
                const char *why = NULL;

                r = why_missing(nv, row, &target.values, &why, error);
                if (r == 0 && why && !missing)
                        error_set(error, ENOKEY,
                                        "ticket '%s' of what is loaded %s: 'mkexec load' again, or "
                                        "'mkexec ticket put %s', or 'mkexec ticket drop %s' to go "
                                        "without it",
                                        row->name, why, row->name, row->name);
                missing |= why ? 1u << i : 0;
        }
        if (r < 0)
                return r;
        *ret_missing = missing;
        return missing ? -ENOKEY : 0;
}

/* ---- put ---- */

/* A name's row: of one that is there the index goes; a new one is written down before it is made.
 */
static int begin(struct tpm *tpm, struct tpm_nv *nv, uint32_t base, const struct state_dir *dir,
                struct staged *staged, const char *name, struct error *error)
{
        struct staged_ticket *row = find(staged, name);
        int r = 0;

        if (!row) {
                r = tickets_want(staged, name, error);
                return r < 0 ? r : staged_write(dir, STATE_PLAN, staged, error);
        }
        if (row->handle)
                r = ticket_drop(nv, row->handle, error);
        row->handle = 0;
        if (r == 0 || r == -EPROTO) /* it was dropped, and its handle is another's now */
                r = drop_strays(tpm, nv, base, staged, error);
        return r;
}

/* It has the handle: a row that has it, too, was for one that is gone. */
static int end(const struct state_dir *dir, struct staged *staged, const char *name,
                uint32_t handle, struct error *error)
{
        for (size_t i = 0; i < staged->n_tickets; i++)
                if (staged->tickets[i].handle == handle)
                        staged->tickets[i].handle = 0;
        find(staged, name)->handle = handle;
        return staged_write(dir, STATE_PLAN, staged, error);
}

int tickets_put(struct tpm *tpm, struct ticket_rules *rules, const struct state_dir *dir,
                const char *name, struct span secret, uint32_t more, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        _cleanup_(tpm_nv_closep) struct tpm_nv *nv = NULL;
        struct ticket_target target;
        struct ticket ticket;
        bool is_new;
        int r;

        if (!state_has(dir, STATE_PLAN))
                return error_set(error, ENODATA,
                                "nothing is loaded that a ticket could be for; 'mkexec load UKI' "
                                "comes first");
        r = staged_read(dir, STATE_PLAN, &staged, error);
        if (r == 0)
                r = ticket_target(tpm, &staged.plan, more, &target, error);
        if (r == 0)
                r = tickets_open(tpm, rules, &nv, error);
        if (r < 0)
                return r;
        is_new = !find(&staged, name);
        r = begin(tpm, nv, rules->base, dir, &staged, name, error);
        if (r == 0)
                r = ticket_put(nv, rules->base, name, secret, &target.values, target.mask, &ticket,
                                error);
        if (r == 0) {
                r = end(dir, &staged, name, ticket.handle, error);
                if (r < 0)
                        ticket_drop(nv, ticket.handle, NULL);
        }
        if (r < 0 && is_new && forget(&staged, name)) /* what is loaded goes on as it was */
                staged_write(dir, STATE_PLAN, &staged, NULL);
        return r;
}

/* Registers that programs of the second system extend before it is up: systemd-pcrosseparator of
 * 261 and later, systemd-pcrphase. */
void tickets_warn_of_pcrs(uint32_t pcrs)
{
        static const struct {
                uint32_t mask;
                const char *who;
        } rows[] = {
                        {0x72ff, "systemd 261 and later extends \"os-separator\" to it in each "
                                 "initrd"},
                        {0x9800, "systemd extends its phases, machine ID or file systems to it"},
        };

        for (unsigned pcr = 0; pcr < 16; pcr++)
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                        if (pcrs & rows[i].mask & 1u << pcr)
                                progress_warn("PCR %u: %s; the ticket has to be read before that",
                                                pcr, rows[i].who);
}

/* ---- drop ---- */

int tickets_unwant(struct tpm *tpm, struct ticket_rules *rules, const struct state_dir *dir,
                const char *name, bool *ret_wanted, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        _cleanup_(tpm_nv_closep) struct tpm_nv *nv = NULL;
        int r;

        *ret_wanted = false;
        if (!state_has(dir, STATE_PLAN))
                return 0;
        r = staged_read(dir, STATE_PLAN, &staged, error);
        if (r < 0 || !forget(&staged, name))
                return r;
        *ret_wanted = true;
        r = tickets_open(tpm, rules, &nv, error);
        if (r == 0)
                r = drop_strays(tpm, nv, rules->base, &staged, error);
        return r == 0 ? staged_write(dir, STATE_PLAN, &staged, error) : r;
}

int tickets_drop_waiting(
                struct tpm *tpm, struct ticket_rules *rules, size_t *ret_n, struct error *error)
{
        _cleanup_(tpm_nv_closep) struct tpm_nv *nv = NULL;
        struct ticket tickets[ROOM];
        struct error left_out;
        struct banks banks;
        struct replay now;
        size_t n = ROOM;
        int r = tpm_usable_banks(tpm, &banks, &left_out, error), q = 0;

        *ret_n = 0;
        if (r == 0)
                r = tpm_pcr_read(tpm, &banks, TICKET_PCRS, &now, error);
        if (r == 0)
                r = tickets_open(tpm, rules, &nv, error);
        if (r == -EOPNOTSUPP)
                return 0; /* not a TPM that could have any */
        if (r == 0)
                r = ticket_list(nv, rules->base, &now, tickets, &n, error);
        for (size_t i = 0; r == 0 && i < n; i++) {
                int s = ticket_is_left(tickets[i].state) ? ticket_drop(nv, tickets[i].handle, error)
                                                         : 1;

                *ret_n += s == 0 && tickets[i].state == TICKET_OTHER_PCRS;
                q = s < 0 ? s : q;
        }
        return r < 0 ? r : q;
}

int tickets_drop_earlier(struct tpm *tpm, struct ticket_rules *rules, struct error *error)
{
        size_t n = 0;
        int r = tickets_drop_waiting(tpm, rules, &n, error);

        if (r == 0 && n > 0)
                progress_warn("%zu ticket%s of the earlier load %s given up", n, n == 1 ? "" : "s",
                                n == 1 ? "was" : "were");
        return r;
}

int tickets_drop_or_warn(struct tpm *tpm, struct ticket_rules *rules)
{
        _cleanup_ticket_rules_ struct ticket_rules own = TICKET_RULES_NONE;
        struct error error = {{0}};
        int r = rules ? 0 : ticket_rules_open(NULL, &own, &error);

        if (r == 0)
                r = tickets_drop_earlier(tpm, rules ?: &own, &error);
        if (r < 0)
                progress_warn("a ticket may be left in the TPM ('mkexec ticket list'): %.400s",
                                error.text);
        return r;
}

int tickets_give_up(const char *tcti, bool wanted)
{
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        struct error error = {{0}};
        int r = tpm_esys_open(tcti, &tpm, &error);

        if (r == 0)
                r = tickets_drop_or_warn(tpm, NULL);
        else if (wanted)
                progress_warn("tickets may be left in the TPM ('mkexec ticket list'): %.400s",
                                error.text);
        return wanted ? r : 0;
}
