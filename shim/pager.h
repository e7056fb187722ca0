/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Long output through a pager, where standard output is a terminal. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct pager {
        pid_t child;      /* 0: none was started */
        int saved_stdout; /* what standard output was before */
};

/* Starts $MKEXEC_PAGER, else $PAGER, else less -FRX, unless that is empty or "cat", and puts it
 * behind standard output. Without a terminal, or if it can't be started, nothing happens. */
void pager_open(struct pager *p);
/* Waits for its end; standard output is then as before. That somebody left it early is no error. */
void pager_close(struct pager *p);
/* Whether colours suit standard output as it was before the pager: a terminal that isn't dumb,
 * and no $NO_COLOR (no-color.org). */
bool pager_colors(const struct pager *p);
