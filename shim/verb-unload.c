/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec unload: forget what was loaded. Since load only reads the TPM, nothing remains of it, but
 * for tickets, which are given up. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/extend.h"
#include "shim/handover/kexec.h"
#include "shim/options.h"
#include "shim/orderly.h"
#include "shim/tickets.h"
#include "shim/verb.h"

struct arguments {
        const char *tcti;
};

static const struct option_row rows[] = {
                {"tcti", "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)",
                                OPTION_TEXT(struct arguments, tcti)},
};

static const struct options options = {
                .verb = "unload",
                .usage = "mkexec unload [--tcti TCTI]",
                .about = "Take the guard image out of the kernel and forget what was loaded. The "
                         "TPM stays as it is, but for tickets, which are given up.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

int verb_unload(int argc, char **argv)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        struct error error = {{0}};
        struct arguments a = {0};
        int files, guard, r;
        bool has_tickets;

        r = options_parse(&options, argc, argv, &a);
        if (r > 0)
                return r - 1;
        if (optind != argc)
                return usage_error("unload");
        r = state_open(&dir, &error);
        if (r == 0)
                r = extend_recover(&dir, a.tcti, &error);
        if (r < 0)
                return fail(EXIT_REFUSED, &error);
        has_tickets = staged_may_have_tickets(&dir);
        if (state_has(&dir, STATE_ARMED))
                orderly_forget(&dir);       /* the next boot has nothing to be told */
        r = state_remove(&dir, STATE_PLAN); /* first: a guard without a plan starts nothing */
        if (r < 0)
                return fail_text(EXIT_REFUSED, "can't remove /run/mkexec/" STATE_PLAN ": %s",
                                strerror(-r));
        /* Whatever fails of the rest, all of it is tried. */
        files = staged_drop(&dir);
        guard = kexec_unload(&error);
        r = tickets_give_up(a.tcti, has_tickets);
        if (guard < 0)
                return fail_text(EXIT_REFUSED,
                                "what was loaded is forgotten, but the guard image stays in the "
                                "kernel: %s",
                                error.text);
        if (files < 0)
                return fail_text(EXIT_REFUSED, "can't remove the staged files in /run/mkexec: %s",
                                strerror(-files));
        return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}
