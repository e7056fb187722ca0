/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the administrator decided about tickets (policy/ticket.h): where their NV indices lie, and
 * by whose power they are made and given up. Needs no more than the TPM: also in mkexec-ticket. */
#pragma once

#include "policy/ticket.h"

/* /etc/mkexec/tickets.conf: nv-base, owner-auth (a file with the owner's password). */
struct ticket_rules {
        uint32_t base;
        int owner_fd;        /* -1: the owner has no password */
        struct secret owner; /* read from it when it is needed: never beside a guest */
};

#define TICKET_RULES_NONE ((struct ticket_rules){.base = TICKET_BASE, .owner_fd = -1})
#define SECRET_MAX_BYTES  16384 /* of a file or pipe; no TPM takes as much */

void ticket_rules_release(struct ticket_rules *rules);
#define _cleanup_ticket_rules_ __attribute__((cleanup(ticket_rules_release)))

/* Opens what it names, before the sandbox is entered. owner_auth: a file named by option, or NULL
 * for the configured one. -EINVAL, -ENOENT ...: a file that can't be read. */
int ticket_rules_open(const char *owner_auth, struct ticket_rules *ret, struct error *error);

/* NV indices by these rules. */
int tickets_open(struct tpm *tpm, struct ticket_rules *rules, struct tpm_nv **ret,
                struct error *error);
