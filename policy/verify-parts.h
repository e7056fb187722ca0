/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps of verify.c, each of which may say no: 0, -EPERM with a verdict (verdict_refuse), or
 * -errno with error set. */
#pragma once

#include "policy/verify.h"

struct verify {
        const struct verify_input *input;
        const struct evidence *evidence;
        struct chain chain;
        struct event_log log; /* the firmware's */
        struct verdict *verdict;
        struct error *error;
};

/* ---- verify-quote.c: nonce, key, signature, trust, values ---- */

int verify_quote(struct verify *v);

/* ---- verify-bank.c: which bank of the log decides, and whether the quote covers enough ---- */

int verify_bank(struct verify *v);
/* The same of the registers, once hops are known. */
int verify_registers(struct verify *v);

/* ---- verify-logs.c: the logs by themselves and against the values, IMA's list, plain kexecs ----
 */

int verify_logs(struct verify *v);

/* ---- verify-boots.c: who ran ---- */

/* Sees every event of check_logs and fills verdict->boots. */
struct boots;
int boots_new(struct verify *v, struct boots **ret);
int boots_event(void *boots, const struct check_event *event);
void boots_free(struct boots *boots);
/* Once the hops are known: numbers, and what references say if the logs hold. */
int boots_end(struct boots *boots, bool holds);
