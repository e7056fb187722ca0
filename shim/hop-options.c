/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of load and predict: one table, see docs/man/mkexec.8. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/hop-run.h"
#include "shim/options.h"
#include "shim/pcr-values.h"
#include "shim/verb.h"

enum { LOAD = 1, PREDICT = 2, BOTH = LOAD | PREDICT };

static bool take_number(const char *text, uint64_t max, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *ret > 0 &&
               *ret <= max;
}

static int take_initrd(void *to, char *value, struct error *error)
{
        struct hop_options *o = to;

        if (o->n_initrds == HOP_INITRDS_MAX)
                return error_set(error, EINVAL, "more than %d initrds", HOP_INITRDS_MAX);
        o->initrds[o->n_initrds++] = value;
        return 0;
}

static int take_timeout(void *to, char *value, struct error *error)
{
        struct hop_options *o = to;

        return take_number(value, 86400, &o->timeout_s)
                               ? 0
                               : error_set(error, EINVAL,
                                                 "--timeout wants seconds, 1 to 86400, not '%s'",
                                                 value);
}

static int take_memory(void *to, char *value, struct error *error)
{
        struct hop_options *o = to;

        if (!take_number(value, 1 << 24, &o->memory_limit_bytes))
                return error_set(error, EINVAL, "--memory-limit wants MiB, not '%s'", value);
        o->memory_limit_bytes <<= 20;
        return 0;
}

static int take_handover(void *to, char *value, struct error *error)
{
        static const char *const names[] = {
                        [HANDOVER_OPTION_AUTO] = "auto",
                        [HANDOVER_OPTION_LOAD] = "load",
                        [HANDOVER_OPTION_FILE] = "file",
        };
        struct hop_options *o = to;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(value, names[i]) == 0) {
                        o->handover = (enum handover_option)i;
                        return 0;
                }
        return error_set(error, EINVAL, "--handover wants load, file or auto, not '%s'", value);
}

static int take_ticket(void *to, char *value, struct error *error)
{
        struct hop_options *o = to;
        char *path = strchr(value, '=');

        if (o->n_tickets == HOP_TICKETS_MAX)
                return error_set(error, EINVAL, "more than %d tickets", HOP_TICKETS_MAX);
        if (!path || !path[1])
                return error_set(error, EINVAL, "--ticket wants NAME=FILE, not '%s'", value);
        *path = '\0';
        if (!ticket_name_ok(value))
                return error_set(error, EINVAL,
                                "'%s' can't be a ticket's name; see 'mkexec ticket --help'", value);
        o->tickets[o->n_tickets++] = (struct hop_ticket){value, path + 1};
        return 0;
}

static int take_pcrs(void *to, char *value, struct error *error)
{
        struct hop_options *o = to;

        if (pcr_list_parse(value, &o->ticket_pcrs) && !(o->ticket_pcrs & ~HOP_CLOSEABLE))
                return 0;
        return error_set(error, EINVAL, "--pcr wants PCRs of 0 to 15 without 10, not '%s'", value);
}

/* One row each: which of the two verbs has it, and the option. */
static const struct hop_option {
        int verbs;
        struct option_row row;
} rows[] = {
                {BOTH, {"cmdline", "TEXT",
                                       "the payload's LoadOptions: kernel command line of a bare "
                                       "kernel, or what a UKI accepts besides its own",
                                       OPTION_TEXT(struct hop_options, cmdline)}},
                {BOTH, {"profile", "N|ID",
                                       "profile of a UKI, by its number or by what its .profile "
                                       "says as ID",
                                       OPTION_TEXT(struct hop_options, profile)}},
                {BOTH, {"initrd", "FILE",
                                       "initrd of a bare EFI-stub kernel; may be given several "
                                       "times",
                                       OPTION_TAKE(take_initrd)}},
                {BOTH, {"esp", "DIR",
                                       "the ESP (default: $SYSTEMD_ESP_PATH, /efi, /boot, "
                                       "/boot/efi)",
                                       OPTION_TEXT(struct hop_options, esp)}},
                {BOTH, {"map", "FILE",
                                       "register map, lines 'payload-pcr register' (default: all "
                                       "to PCR 8)",
                                       OPTION_TEXT(struct hop_options, map)}},
                {BOTH, {"close", "LIST",
                                       "PCRs that get the opening event only (default: 11; 'none')",
                                       OPTION_TEXT(struct hop_options, close_list)}},
                {BOTH, {"db", "PATH",
                                       "demand signatures by these keys: PEM, DER, .esl or hashes, "
                                       "a file or a folder (where Secure Boot is on, it is "
                                       "firmware's db that counts)",
                                       OPTION_TEXT(struct hop_options, db)}},
                {BOTH, {"dbx", "PATH", "keys and hashes that are revoked",
                                       OPTION_TEXT(struct hop_options, dbx)}},
                {BOTH, {"tcti", "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)",
                                       OPTION_TEXT(struct hop_options, tcti)}},
                {BOTH, {"timeout", "SECONDS",
                                       "processor time that the payload may take (default: 120)",
                                       OPTION_TAKE(take_timeout)}},
                {BOTH, {"memory-limit", "MIB",
                                       "memory that it may take (default: 3/8 of what is "
                                       "available)",
                                       OPTION_TAKE(take_memory)}},
                {BOTH, {"handover", "CALL",
                                       "load (kexec_load), file (kexec_file_load), or auto: file "
                                       "where the kernel refuses load (default)",
                                       OPTION_TAKE(take_handover)}},
                {LOAD, {"ticket", "NAME=FILE",
                                       "leave the secret in FILE in the TPM for the second kernel; "
                                       "may be given several times",
                                       OPTION_TAKE(take_ticket)}},
                {LOAD, {"pcr", "LIST", "PCRs besides the registers that tickets are bound to",
                                       OPTION_TAKE(take_pcrs)}},
                {LOAD, {"owner-auth", "FILE", "the TPM owner's password, for tickets",
                                       OPTION_TEXT(struct hop_options, owner_auth)}},
                {LOAD, {"dry-run", NULL, "all but staging",
                                       OPTION_FLAG(struct hop_options, dry_run)}},
                {LOAD, {"accept-log-gaps", NULL,
                                       "go on though the log doesn't explain a register or lacks "
                                       "an active bank",
                                       OPTION_FLAG(struct hop_options, accept_gaps)}},
                {PREDICT, {"machine", "FILE",
                                          "facts of another machine ('mkexec status --machine')",
                                          OPTION_TEXT(struct hop_options, machine)}},
                {PREDICT, {"base", "FILE", "start values, lines 'bank pcr hex'",
                                          OPTION_TEXT(struct hop_options, base)}},
                {PREDICT, {"firmware", NULL,
                                          "PCR 4, 9, 11, 12, 13 as firmware starting the payload "
                                          "gives them",
                                          OPTION_FLAG(struct hop_options, firmware)}},
                {PREDICT, {"firmware-events", "LIST",
                                          "with it: what firmware measures into PCR 4 before "
                                          "(default: action,separator; 'none')",
                                          OPTION_TEXT(struct hop_options, firmware_list)}},
                {BOTH, {"trace", NULL, "every EFI call with arguments and status, on stderr",
                                       OPTION_FLAG(struct hop_options, trace)}},
                {BOTH, {"json", NULL, "the result as JSON on stdout",
                                       OPTION_FLAG(struct hop_options, json)}},
                {BOTH, {"quiet", NULL, "no progress lines",
                                       OPTION_NUMBER(struct hop_options, progress,
                                                       PROGRESS_QUIET)}},
                {BOTH, {"verbose", NULL, "progress lines though stderr is no terminal",
                                       OPTION_NUMBER(struct hop_options, progress,
                                                       PROGRESS_VERBOSE)}},
};

static const struct {
        const char *usage, *about;
} heads[] = {
                [LOAD] = {"mkexec load [OPTIONS] UKI",
                                "Run the payload's EFI code up to the hand-over, record what it "
                                "measures and stage it for 'mkexec exec'. The TPM is only read."},
                [PREDICT] = {"mkexec predict [OPTIONS] UKI",
                                "Show what the registers will read after 'load' and 'exec' of this "
                                "payload. Needs neither root nor a TPM; what it can't read of this "
                                "machine it names."},
};

int hop_options_parse(int argc, char **argv, bool is_load, struct hop_options *ret)
{
        struct hop_options o = {.verb = argv[0], .timeout_s = 120};
        struct option_row chosen[ARRAY_SIZE(rows)];
        struct options options = {.verb = argv[0], .rows = chosen};
        struct error error;
        int r, which = is_load ? LOAD : PREDICT;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].verbs & which)
                        chosen[options.n_rows++] = rows[i].row;
        options.usage = heads[which].usage;
        options.about = heads[which].about;
        r = options_parse(&options, argc, argv, &o);
        if (r > 0)
                return r;
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
