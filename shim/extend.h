/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TPM's side of exec: carrying out a plan's extends, finding out how far one came, and ending a
 * hop that can't be finished. The only place where mkexec extends anything. */
#pragma once

#include "policy/predict.h"
#include "shim/staged.h"
#include "shim/tickets.h"
#include "tcg2/tpm.h"

/* Reads the PCRs that the plan touches, in its banks. -ESTALE: other banks are active now than at
 * load. */
int extend_read(struct tpm *tpm, const struct plan *plan, struct replay *ret, struct error *error);

/* Registers must read as at load: else -ESTALE, naming PCR and bank. PCRs of the close list may
 * have moved (systemd's phases): the plan's start values become those of now. */
int extend_check_start(struct tpm *tpm, struct plan *plan, struct error *error);

/* One TPM2_PCR_Extend per event, in order. After an error the PCRs tell whether the TPM did it. */
int extend_run(struct tpm *tpm, const struct plan *plan, struct error *error);

/* All touched PCRs, all banks. -EBADMSG names the first PCR and bank that differ. */
int extend_check_end(struct tpm *tpm, const struct plan *plan, struct error *error);

/* Ends a hop that was begun (journal): finds how many extends took place, extends the abort event,
 * adds all of them to aborted.log (and what systemd measured before them to systemd.logs), puts the
 * guard back, drops what was staged and its tickets, removes the journal. Each step may be repeated
 * by the next call. *ret_n: extends that had taken place (0: the TPM was not touched, what is
 * staged stays if its guard is back). rules: for tickets; NULL: those of the file. */
int extend_abort(struct tpm *tpm, const struct state_dir *dir, struct staged *journal,
                struct ticket_rules *rules, size_t *ret_n, struct error *error);

/* If a journal is there, a mkexec died in exec: finishes it, and says so on stderr. tcti: for the
 * TPM. */
int extend_recover(const struct state_dir *dir, const char *tcti, struct error *error);
