/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec-ticket: 'mkexec ticket' for initrds. Linked with what tickets need and nothing else, and
 * nothing of it is opened at run time: the TPM is a device, whose TCTI is linked in
 * (tcg2/tpm-tcti.h). */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/ticket-verb.h"

static const struct ticket_word words[] = {
                {"get", .name = true, .all = true, .run = ticket_word_get},
                {"drop", .all = true, .left = true, .run = ticket_word_drop},
                {"lock", .run = ticket_word_lock},
};

static const char help[] =
                "mkexec-ticket get NAME [--output FILE]\n"
                "mkexec-ticket get --all --directory DIR\n"
                "mkexec-ticket drop --all | --left\n"
                "mkexec-ticket lock [--directory DIR]\n\n"
                "'mkexec ticket' for initrds: the same words with fewer libraries. See "
                "mkexec-ticket(8).\n\n"
                "  --output FILE        get: a new file, mode 0400, instead of standard output\n"
                "  --directory DIR      get --all: DIR/NAME.key, mode 0400, for each ticket; lock: "
                "erases them\n"
                "  --wait SECONDS       for the TPM's device, where firmware says that there is "
                "one\n"
                "  --owner-auth FILE    the TPM owner's password, if there is one\n"
                "  --tcti TCTI          the TPM, device:PATH (default: $TPM2TOOLS_TCTI, "
                "/dev/tpmrm0)";

int main(int argc, char **argv)
{
        opterr = 0; /* getopt's own messages aren't in our words */
        if (argc > 1 && strcmp(argv[1], "--version") == 0) {
                puts("mkexec-ticket " MKEXEC_VERSION);
                return EXIT_DONE;
        }
        signal(SIGPIPE, SIG_IGN);
        return written(ticket_verb(argc, argv, words, ARRAY_SIZE(words), help));
}
