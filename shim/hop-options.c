/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of load and predict: one table, see docs/man/mkexec.8. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/hop-run.h"
#include "shim/pcr-values.h"
#include "shim/verb.h"

enum { LOAD = 1, PREDICT = 2, BOTH = LOAD | PREDICT };

enum {
        OPT_CMDLINE = 256,
        OPT_PROFILE,
        OPT_INITRD,
        OPT_ESP,
        OPT_MAP,
        OPT_CLOSE,
        OPT_MACHINE,
        OPT_BASE,
        OPT_FIRMWARE,
        OPT_FIRMWARE_EVENTS,
        OPT_DB,
        OPT_DBX,
        OPT_TCTI,
        OPT_TIMEOUT,
        OPT_MEMORY,
        OPT_TRACE,
        OPT_JSON,
        OPT_DRY_RUN,
        OPT_GAPS,
        OPT_HANDOVER,
        OPT_TICKET,
        OPT_PCR,
        OPT_OWNER_AUTH,
        OPT_QUIET,
        OPT_VERBOSE,
        OPT_HELP
};

/* One row each: what getopt gets, and what --help says. */
static const struct option_row {
        const char *name;
        int verbs, code;
        const char *argument; /* NULL: takes none */
        const char *help;
} rows[] = {
                {"cmdline", BOTH, OPT_CMDLINE, "TEXT",
                                "the payload's LoadOptions: kernel command line of a bare kernel, "
                                "or what a\n"
                                "UKI accepts besides its own"},
                {"profile", BOTH, OPT_PROFILE, "N|ID",
                                "profile of a UKI, by its number or by what its .profile says as "
                                "ID"},
                {"initrd", BOTH, OPT_INITRD, "FILE",
                                "initrd of a bare EFI-stub kernel; may be given several times"},
                {"esp", BOTH, OPT_ESP, "DIR",
                                "the ESP (default: $SYSTEMD_ESP_PATH, /efi, /boot, /boot/efi)"},
                {"map", BOTH, OPT_MAP, "FILE",
                                "register map, lines 'payload-pcr register' (default: all to PCR "
                                "8)"},
                {"close", BOTH, OPT_CLOSE, "LIST",
                                "PCRs that get the opening event only (default: 11; 'none')"},
                {"db", BOTH, OPT_DB, "PATH",
                                "demand signatures by these keys: PEM, DER, .esl or hashes, a file "
                                "or a folder\n"
                                "(where Secure Boot is on, it is firmware's db that counts)"},
                {"dbx", BOTH, OPT_DBX, "PATH", "keys and hashes that are revoked"},
                {"tcti", BOTH, OPT_TCTI, "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)"},
                {"timeout", BOTH, OPT_TIMEOUT, "SECONDS",
                                "processor time that the payload may take (default: 120)"},
                {"memory-limit", BOTH, OPT_MEMORY, "MIB",
                                "memory that it may take (default: 3/8 of what is available)"},
                {"handover", BOTH, OPT_HANDOVER, "CALL",
                                "load (kexec_load), file (kexec_file_load), or auto: file where "
                                "the kernel\n"
                                "refuses load (default)"},
                {"ticket", LOAD, OPT_TICKET, "NAME=FILE",
                                "leave the secret in FILE in the TPM for the second kernel; may be "
                                "given\n"
                                "several times"},
                {"pcr", LOAD, OPT_PCR, "LIST",
                                "PCRs besides the registers that tickets are bound to"},
                {"owner-auth", LOAD, OPT_OWNER_AUTH, "FILE",
                                "the TPM owner's password, for tickets"},
                {"dry-run", LOAD, OPT_DRY_RUN, NULL, "all but staging"},
                {"accept-log-gaps", LOAD, OPT_GAPS, NULL,
                                "go on though the log doesn't explain a register or lacks an "
                                "active "
                                "bank"},
                {"machine", PREDICT, OPT_MACHINE, "FILE",
                                "facts of another machine ('mkexec status --machine')"},
                {"base", PREDICT, OPT_BASE, "FILE", "start values, lines 'bank pcr hex'"},
                {"firmware", PREDICT, OPT_FIRMWARE, NULL,
                                "PCR 4, 9, 11, 12, 13 as firmware starting the payload gives them"},
                {"firmware-events", PREDICT, OPT_FIRMWARE_EVENTS, "LIST",
                                "with it: what firmware measures into PCR 4 before (default:\n"
                                "action,separator; 'none')"},
                {"trace", BOTH, OPT_TRACE, NULL,
                                "every EFI call with arguments and status, on stderr"},
                {"json", BOTH, OPT_JSON, NULL, "the result as JSON on stdout"},
                {"quiet", BOTH, OPT_QUIET, NULL, "no progress lines"},
                {"verbose", BOTH, OPT_VERBOSE, NULL, "progress lines though stderr is no terminal"},
                {"help", BOTH, OPT_HELP, NULL, "this"},
};

#define HELP_INDENT 25

static void help_row(const struct option_row *row)
{
        int n = printf("  --%s%s%s", row->name, row->argument ? " " : "",
                        row->argument ? row->argument : "");
        const char *text = row->help, *end;

        for (; (end = strchr(text, '\n')); text = end + 1, n = 0)
                printf("%*s%.*s\n", HELP_INDENT - n, "", (int)(end - text), text);
        printf("%*s%s\n", HELP_INDENT - n, "", text);
}

static void help(const char *verb, int which)
{
        printf("mkexec %s [OPTIONS] UKI\n\n%s\n\n", verb,
                        which == LOAD ? "Run the payload's EFI code up to the hand-over, record "
                                        "what it measures and\n"
                                        "stage it for 'mkexec exec'. The TPM is only read."
                                      : "Show what the registers will read after 'load' and 'exec' "
                                        "of this payload.\n"
                                        "Needs neither root nor a TPM; what it can't read of this "
                                        "machine it names.");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].verbs & which)
                        help_row(&rows[i]);
}

/* The rows of one verb as getopt_long wants them. */
static void options_of(int which, struct option ret[ARRAY_SIZE(rows) + 1])
{
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].verbs & which)
                        ret[n++] = (struct option){rows[i].name,
                                        rows[i].argument ? required_argument : no_argument, NULL,
                                        rows[i].code};
        ret[n] = (struct option){0};
}

static bool take_number(const char *text, uint64_t max, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *ret > 0 &&
               *ret <= max;
}

static bool take_handover(const char *text, enum handover_option *ret)
{
        static const char *const names[] = {
                        [HANDOVER_OPTION_AUTO] = "auto",
                        [HANDOVER_OPTION_LOAD] = "load",
                        [HANDOVER_OPTION_FILE] = "file",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum handover_option)i;
                        return true;
                }
        return fail_text(0, "--handover wants load, file or auto, not '%s'", text), false;
}

static bool take_ticket(char *text, struct hop_options *o)
{
        struct hop_ticket *ticket = &o->tickets[o->n_tickets];
        char *path = strchr(text, '=');

        if (o->n_tickets == HOP_TICKETS_MAX)
                return fail_text(0, "more than %d tickets", HOP_TICKETS_MAX), false;
        if (!path || !path[1])
                return fail_text(0, "--ticket wants NAME=FILE, not '%s'", text), false;
        *path = '\0';
        if (!ticket_name_ok(text))
                return fail_text(0, "'%s' can't be a ticket's name; see 'mkexec ticket --help'",
                                       text),
                       false;
        *ticket = (struct hop_ticket){text, path + 1};
        o->n_tickets++;
        return true;
}

/* False: not an option of ours, or a bad value; says so itself unless getopt has. */
static bool take_option(int option, struct hop_options *o)
{
        switch (option) {
        case OPT_CMDLINE:
                o->cmdline = optarg;
                return true;
        case OPT_PROFILE:
                o->profile = optarg;
                return true;
        case OPT_INITRD:
                if (o->n_initrds == HOP_INITRDS_MAX)
                        return fail_text(0, "more than %d initrds", HOP_INITRDS_MAX), false;
                o->initrds[o->n_initrds++] = optarg;
                return true;
        case OPT_ESP:
                o->esp = optarg;
                return true;
        case OPT_MAP:
                o->map = optarg;
                return true;
        case OPT_CLOSE:
                o->close_list = optarg;
                return true;
        case OPT_MACHINE:
                o->machine = optarg;
                return true;
        case OPT_BASE:
                o->base = optarg;
                return true;
        case OPT_FIRMWARE:
                o->firmware = true;
                return true;
        case OPT_FIRMWARE_EVENTS:
                o->firmware_list = optarg;
                return true;
        case OPT_DB:
                o->db = optarg;
                return true;
        case OPT_DBX:
                o->dbx = optarg;
                return true;
        case OPT_TCTI:
                o->tcti = optarg;
                return true;
        case OPT_TIMEOUT:
                if (!take_number(optarg, 86400, &o->timeout_s))
                        return fail_text(0, "--timeout wants seconds, 1 to 86400, not '%s'",
                                               optarg),
                               false;
                return true;
        case OPT_MEMORY:
                if (!take_number(optarg, 1 << 24, &o->memory_limit_bytes))
                        return fail_text(0, "--memory-limit wants MiB, not '%s'", optarg), false;
                o->memory_limit_bytes <<= 20;
                return true;
        case OPT_TRACE:
                o->trace = true;
                return true;
        case OPT_JSON:
                o->json = true;
                return true;
        case OPT_DRY_RUN:
                o->dry_run = true;
                return true;
        case OPT_GAPS:
                o->accept_gaps = true;
                return true;
        case OPT_HANDOVER:
                return take_handover(optarg, &o->handover);
        case OPT_TICKET:
                return take_ticket(optarg, o);
        case OPT_PCR:
                if (!pcr_list_parse(optarg, &o->ticket_pcrs) || o->ticket_pcrs & ~HOP_CLOSEABLE)
                        return fail_text(0, "--pcr wants PCRs of 0 to 15 without 10, not '%s'",
                                               optarg),
                               false;
                return true;
        case OPT_OWNER_AUTH:
                o->owner_auth = optarg;
                return true;
        case OPT_QUIET:
                o->progress = PROGRESS_QUIET;
                return true;
        case OPT_VERBOSE:
                o->progress = PROGRESS_VERBOSE;
                return true;
        default:
                return usage_error(o->verb), false;
        }
}

int hop_options_parse(int argc, char **argv, bool is_load, struct hop_options *ret)
{
        struct hop_options o = {.verb = argv[0], .timeout_s = 120};
        struct option options[ARRAY_SIZE(rows) + 1];
        struct error error;
        int option, which = is_load ? LOAD : PREDICT;

        options_of(which, options);

        while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                if (option == OPT_HELP || option == 'h') {
                        help(argv[0], which);
                        return 1 + EXIT_DONE;
                }
                if (!take_option(option, &o))
                        return 1 + EXIT_USAGE;
        }
        if (optind + 1 != argc)
                return 1 + fail_text(EXIT_USAGE, "%s wants one payload; see 'mkexec %s --help'",
                                           argv[0], argv[0]);
        if (o.n_tickets > 0 && o.dry_run)
                return 1 + fail_text(EXIT_USAGE, "--dry-run stages nothing that a ticket could be "
                                                 "for");
        if (o.n_tickets == 0 && (o.ticket_pcrs || o.owner_auth))
                return 1 + fail_text(EXIT_USAGE, "--pcr and --owner-auth are for --ticket");
        if (o.firmware_list && !o.firmware)
                return 1 + fail_text(EXIT_USAGE, "--firmware-events is for --firmware");
        if (o.firmware && (o.base || o.map || o.close_list))
                return 1 + fail_text(EXIT_USAGE, "--firmware is of no hop: --base, --map and "
                                                 "--close say nothing of it");
        if (firmware_events_parse(o.firmware_list, &o.firmware_events, &error) < 0)
                return 1 + fail_text(EXIT_USAGE, "--firmware-events %s", error.text);
        if (o.machine && o.base)
                return 1 + fail_text(EXIT_USAGE, "--machine and --base exclude each other");
        if (o.machine && (o.db || o.dbx))
                return 1 + fail_text(EXIT_USAGE,
                                           "--machine and --db exclude each other: the file says "
                                           "by which keys that machine judges");
        o.payload = argv[optind];
        *ret = o;
        return 0;
}
