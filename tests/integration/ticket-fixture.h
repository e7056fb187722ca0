/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tickets in the swtpm, by text. */
#pragma once

#include "policy/ticket.h"
#include "tests/integration/swtpm.h"

static inline int put_ticket(const char *name, const char *text, const struct replay *values,
                struct ticket *ret, struct error *error)
{
        return ticket_put(nv, TICKET_BASE, name, SPAN(text, strlen(text)), values, 1u << 8, ret,
                        error);
}

static inline int get_ticket(const char *name, struct secret *ret, struct error *error)
{
        struct replay now = swtpm_pcrs();
        struct error left = {0};
        int r = ticket_get(nv, TICKET_BASE, name, &now, ret, &left, error);

        CHECK(left.text[0] == '\0');
        return r;
}
