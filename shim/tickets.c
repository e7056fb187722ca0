/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/tickets.h"

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

/* ---- put ---- */

static struct staged_ticket *find(struct staged *staged, const char *name)
{
        for (size_t i = 0; i < staged->n_tickets; i++)
                if (strcmp(staged->tickets[i].name, name) == 0)
                        return &staged->tickets[i];
        return NULL;
}

/* The name's row in the plan, whose old index goes first. */
static int make_row(struct tpm_nv *nv, struct staged *staged, const char *name,
                struct staged_ticket **ret, struct error *error)
{
        struct staged_ticket *row = find(staged, name);

        *ret = row;
        if (row) {
                int r = ticket_drop(nv, row->handle, error);

                return r == -EPROTO ? 0 : r; /* it was dropped, and its handle is another's now */
        }
        if (staged->n_tickets == STAGED_TICKETS_MAX)
                return error_set(error, ENOSPC, "more than %d tickets for one load",
                                STAGED_TICKETS_MAX);
        *ret = row = &staged->tickets[staged->n_tickets++];
        memcpy(row->name, name, strlen(name) + 1);
        return 0;
}

/* Those that were dropped: their handle was free for this one. */
static void forget_rows(struct staged *staged, uint32_t handle, const char *name)
{
        size_t n = 0;

        for (size_t i = 0; i < staged->n_tickets; i++)
                if (staged->tickets[i].handle != handle ||
                                strcmp(staged->tickets[i].name, name) == 0)
                        staged->tickets[n++] = staged->tickets[i];
        staged->n_tickets = n;
}

int tickets_put(struct tpm *tpm, struct ticket_rules *rules, const struct state_dir *dir,
                const char *name, struct span secret, uint32_t more, struct error *error)
{
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        _cleanup_(tpm_nv_closep) struct tpm_nv *nv = NULL;
        struct ticket_target target;
        struct staged_ticket *row = NULL;
        struct ticket ticket;
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
        if (r == 0)
                r = make_row(nv, &staged, name, &row, error);
        if (r == 0)
                r = ticket_put(nv, rules->base, name, secret, &target.values, target.mask, &ticket,
                                error);
        if (r < 0)
                return r;
        row->handle = ticket.handle;
        forget_rows(&staged, ticket.handle, name);
        r = staged_write(dir, STATE_PLAN, &staged, error);
        if (r < 0)
                ticket_drop(nv, ticket.handle, NULL);
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
