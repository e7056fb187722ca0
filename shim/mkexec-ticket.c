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

static const struct ticket_program program = {
                .usage = "mkexec-ticket get NAME [--output FILE]\n"
                         "mkexec-ticket get --all --directory DIR\n"
                         "mkexec-ticket drop --all | --left\n"
                         "mkexec-ticket lock [--directory DIR]",
                .about = "'mkexec ticket' for initrds: the same words with fewer libraries. See "
                         "mkexec-ticket(8). "
                         "The TPM is a device, device:PATH.",
                .words = words,
                .n_words = ARRAY_SIZE(words),
};

int main(int argc, char **argv)
{
        opterr = 0; /* getopt's own messages aren't in our words */
        if (argc > 1 && strcmp(argv[1], "--version") == 0) {
                puts("mkexec-ticket " MKEXEC_VERSION);
                return EXIT_DONE;
        }
        signal(SIGPIPE, SIG_IGN);
        return written(ticket_verb(argc, argv, &program));
}
