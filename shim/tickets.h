/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tickets (policy/ticket.h) of what is loaded: which PCRs they are bound to, and when they go.
 * Used by load, exec, unload and ticket. */
#pragma once

#include "shim/staged.h"
#include "shim/ticket-rules.h"

/* PCR values at which a ticket for staged opens: mask of its registers and more, predicted values
 * of those that the hop extends, current ones of the others. */
struct ticket_target {
        uint32_t mask;
        struct replay values;
};
int ticket_target(struct tpm *tpm, const struct plan *plan, uint32_t more,
                struct ticket_target *ret, struct error *error);

/* A row in the plan for the name: exec then wants that ticket. name: a valid one. */
int tickets_want(struct staged *staged, const char *name, struct error *error);

/* Makes the ticket and writes the plan with its name. An earlier one of that name goes. A put that
 * dies in between leaves a plan that wants it. */
int tickets_put(struct tpm *tpm, struct ticket_rules *rules, const struct state_dir *dir,
                const char *name, struct span secret, uint32_t more, struct error *error);

/* 0: all tickets that the plan wants wait in the TPM, whole, for its registers. -ENOKEY: some
 * don't, error names one and what to do; *ret_missing has a bit for each of them. */
int tickets_check(struct tpm *tpm, const struct staged *staged, uint32_t *ret_missing,
                struct error *error);

/* The plan wants this ticket no longer (NULL: none at all), and it is given up with all that waits
 * and is in no plan. *ret_wanted: whether the plan had it. Also where nothing is loaded. */
int tickets_unwant(struct tpm *tpm, struct ticket_rules *rules, const struct state_dir *dir,
                const char *name, bool *ret_wanted, struct error *error);

/* Says on stderr which PCRs of a ticket don't stay as they are in the second system. */
void tickets_warn_of_pcrs(uint32_t pcrs);

/* Gives up every ticket that waits for other PCR values than those of now, as there is no load any
 * more that it could be for, and what else nobody can read: used, unfinished, of another power
 * cycle. *ret_n: how many of those that waited went. Those that can't go are named in error. */
int tickets_drop_waiting(
                struct tpm *tpm, struct ticket_rules *rules, size_t *ret_n, struct error *error);

/* The same, and says on stderr how many went. */
int tickets_drop_earlier(struct tpm *tpm, struct ticket_rules *rules, struct error *error);

/* The same where it needn't be the reason to fail: says on stderr what stays. rules: NULL: those of
 * the file. */
int tickets_drop_or_warn(struct tpm *tpm, struct ticket_rules *rules);

/* The same, of a TPM that isn't open yet, where nothing is loaded any more. wanted: what was loaded
 * had tickets; else no TPM and what can't go there are nobody's concern, and it returns 0. */
int tickets_give_up(const char *tcti, bool wanted);
