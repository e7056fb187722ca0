/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec log: its words. Needs neither TPM nor root on files. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/log-words.h"
#include "shim/verb.h"

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *summary;
} words[] = {
                {"show", log_show, "what is in logs, decoded"},
                {"replay", log_replay, "the PCR values that a log tells"},
                {"check", log_check, "structure, hops, and whether a log explains PCR values"},
                {"convert", log_convert,
                                "logs in another form: Canonical Event Logs, TCG's, systemd's"},
};

static void help(void)
{
        puts("mkexec log WORD [OPTIONS] [FILE...]\n");
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                printf("  %-8s %s\n", words[i].name, words[i].summary);
        puts("\nWithout FILE: this boot's logs. '-': standard input. Each word has its own "
             "--help.");
}

int verb_log(int argc, char **argv)
{
        if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
                return help(), EXIT_DONE;
        for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(words); i++)
                if (strcmp(argv[1], words[i].name) == 0)
                        return words[i].run(argc - 1, argv + 1);
        return usage_error("log");
}
