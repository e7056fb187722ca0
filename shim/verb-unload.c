/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec unload: forget what was loaded. Since load only reads the TPM, nothing remains of it, but
 * for tickets, which are given up. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/extend.h"
#include "shim/handover/kexec.h"
#include "shim/orderly.h"
#include "shim/tickets.h"
#include "shim/verb.h"

static const struct option long_options[] = {
                {"tcti", required_argument, NULL, 't'},
                {"help", no_argument, NULL, 'h'},
                {NULL},
};

int verb_unload(int argc, char **argv)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        struct error error = {{0}};
        const char *tcti = NULL;
        int option, r;

        while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0) {
                if (option == 'h') {
                        puts("mkexec unload [--tcti TCTI]\n\nTake the guard image out of the "
                             "kernel and "
                             "forget what was loaded. The TPM stays as it\nis, but for tickets, "
                             "which "
                             "are given up.");
                        return EXIT_DONE;
                }
                if (option != 't')
                        return usage_error("unload");
                tcti = optarg;
        }
        if (optind != argc)
                return usage_error("unload");
        r = state_open(&dir, &error);
        if (r == 0)
                r = extend_recover(&dir, tcti, &error);
        if (r < 0)
                return fail(EXIT_REFUSED, &error);
        (void)staged_read(&dir, STATE_PLAN, &staged, NULL); /* to know of tickets */
        if (state_has(&dir, STATE_ARMED))
                orderly_forget(&dir); /* the next boot has nothing to be told */
        r = staged_drop(&dir);        /* first: a guard without a plan starts nothing */
        if (r < 0)
                return fail_text(EXIT_REFUSED, "can't remove the staged files in /run/mkexec: %s",
                                strerror(-r));
        if (kexec_unload(&error) < 0)
                return fail_text(EXIT_REFUSED,
                                "what was loaded is forgotten, but the guard image stays in the "
                                "kernel: %s",
                                error.text);
        r = tpm_esys_open(tcti, &tpm, &error);
        if (r == 0 && tickets_drop_or_warn(tpm, NULL) < 0 && staged.n_tickets > 0)
                return EXIT_REFUSED;
        if (r < 0 && staged.n_tickets > 0)
                return fail_text(EXIT_REFUSED, "%zu tickets may be left in the TPM: %s",
                                staged.n_tickets, error.text);
        return EXIT_DONE;
}
