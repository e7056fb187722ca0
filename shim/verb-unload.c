/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec unload: forget what was loaded. Since load only reads the TPM, nothing remains of it. */
#include <stdio.h>

#include "shim/extend.h"
#include "shim/handover/kexec.h"
#include "shim/verb.h"

static const struct option long_options[] = {
                {"tcti", required_argument, NULL, 't'},
                {"help", no_argument, NULL, 'h'},
                {NULL},
};

int verb_unload(int argc, char **argv)
{
        __attribute__((cleanup(state_close))) struct state_dir dir = STATE_DIR_NONE;
        struct error error = {{0}};
        const char *tcti = NULL;
        int option, r;

        while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0) {
                if (option == 'h') {
                        puts("mkexec unload [--tcti TCTI]\n\nTake the guard image out of the "
                             "kernel and "
                             "forget what was loaded. The TPM stays as it is.");
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
        if (r == 0)
                r = kexec_unload(&error);
        if (r == 0 && staged_drop(&dir) < 0)
                return fail_text(EXIT_REFUSED, "can't remove the staged files in /run/mkexec");
        return r < 0 ? fail(EXIT_REFUSED, &error) : EXIT_DONE;
}
