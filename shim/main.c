/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec: measured kexec. A table of verbs; each lives in verb-*.c. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/verb.h"

static const struct verb verbs[] = {
                {"predict", "[OPTIONS] UKI", "What the registers will read after a kexec into UKI",
                                verb_predict},
                {"load", "[OPTIONS] UKI", "Run UKI's EFI code, record its measurements, stage it",
                                verb_load},
                {"exec", "[--now]", "Extend the TPM as recorded and start what was loaded",
                                verb_exec},
                {"unload", "", "Forget what was loaded; leaves no trace in the TPM", verb_unload},
                {"status", "[--json|--machine]",
                                "What is loaded, what the log tells of earlier hops", verb_status},
                {"ticket", "put|get|list|drop|lock",
                                "Secrets in the TPM for the kernel that was loaded", verb_ticket},
                {"attest", "--ak KEY --nonce HEX",
                                "Evidence of which kernels ran, quoted by the TPM", verb_attest},
                {"verify", "EVIDENCE --nonce HEX ...", "Which kernels ran on another machine",
                                verb_verify},
                {"log", "WORD [FILE...]", "Show event logs, replay, check and convert them",
                                verb_log},
};

static int help(void)
{
        puts("mkexec VERB [OPTIONS...]\n\n"
             "Start the next kernel from its UKI by kexec, measured as firmware would have "
             "measured it.\n");
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                printf("  %-8s %-24s %s\n", verbs[i].name, verbs[i].usage, verbs[i].summary);
        puts("\n  --help, --version\n\nEach verb has its own --help; mkexec(8) has all of it.\n"
             "Exit codes: 0 done, 1 refused or mismatch, 2 usage or unreadable input.");
        return EXIT_DONE;
}

int main(int argc, char **argv)
{
        opterr = 0; /* getopt's own messages aren't in our words */
        if (argc < 2)
                return fail_text(EXIT_USAGE, "what to do? see 'mkexec --help'");
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                        strcmp(argv[1], "help") == 0)
                return help();
        if (strcmp(argv[1], "--version") == 0) {
                puts("mkexec " MKEXEC_VERSION);
                return EXIT_DONE;
        }
        signal(SIGPIPE, SIG_IGN);
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (strcmp(argv[1], verbs[i].name) == 0)
                        return written(verbs[i].run(argc - 1, argv + 1));
        return fail_text(EXIT_USAGE, "unknown verb '%s'; see 'mkexec --help'", argv[1]);
}
