/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of load and predict: one table, see docs/man/mkexec.8. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/hop-run.h"
#include "shim/verb.h"

enum { OPT_CMDLINE = 256, OPT_INITRD, OPT_ESP, OPT_MAP, OPT_CLOSE, OPT_MACHINE, OPT_BASE, OPT_TCTI,
       OPT_TIMEOUT, OPT_MEMORY, OPT_TRACE, OPT_JSON, OPT_DRY_RUN, OPT_GAPS, OPT_QUIET, OPT_VERBOSE, OPT_HELP };

static const struct option load_options[] = {
        {"cmdline", required_argument, NULL, OPT_CMDLINE},
        {"initrd", required_argument, NULL, OPT_INITRD},
        {"esp", required_argument, NULL, OPT_ESP},
        {"map", required_argument, NULL, OPT_MAP},
        {"close", required_argument, NULL, OPT_CLOSE},
        {"tcti", required_argument, NULL, OPT_TCTI},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"memory-limit", required_argument, NULL, OPT_MEMORY},
        {"trace", no_argument, NULL, OPT_TRACE},
        {"json", no_argument, NULL, OPT_JSON},
        {"quiet", no_argument, NULL, OPT_QUIET},
        {"verbose", no_argument, NULL, OPT_VERBOSE},
        {"help", no_argument, NULL, OPT_HELP},
        /* load only */
        {"dry-run", no_argument, NULL, OPT_DRY_RUN},
        {"accept-log-gaps", no_argument, NULL, OPT_GAPS},
        {NULL},
};

static const struct option predict_options[] = {
        {"cmdline", required_argument, NULL, OPT_CMDLINE},
        {"initrd", required_argument, NULL, OPT_INITRD},
        {"esp", required_argument, NULL, OPT_ESP},
        {"map", required_argument, NULL, OPT_MAP},
        {"close", required_argument, NULL, OPT_CLOSE},
        {"tcti", required_argument, NULL, OPT_TCTI},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"memory-limit", required_argument, NULL, OPT_MEMORY},
        {"trace", no_argument, NULL, OPT_TRACE},
        {"json", no_argument, NULL, OPT_JSON},
        {"quiet", no_argument, NULL, OPT_QUIET},
        {"verbose", no_argument, NULL, OPT_VERBOSE},
        {"help", no_argument, NULL, OPT_HELP},
        /* predict only */
        {"machine", required_argument, NULL, OPT_MACHINE},
        {"base", required_argument, NULL, OPT_BASE},
        {NULL},
};

static void help(bool is_load)
{
        printf("mkexec %s [OPTIONS] UKI\n\n%s\n\n"
               "  --cmdline TEXT       the payload's LoadOptions: kernel command line of a bare kernel, or what a\n"
               "                       UKI accepts besides its own\n"
               "  --initrd FILE        initrd of a bare EFI-stub kernel; may be given several times\n"
               "  --esp DIR            the ESP (default: $SYSTEMD_ESP_PATH, /efi, /boot, /boot/efi)\n"
               "  --map FILE           register map, lines 'payload-pcr register' (default: all to PCR 8)\n"
               "  --close LIST         PCRs that get the opening event only (default: 11; 'none')\n"
               "  --tcti TCTI          the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)\n"
               "  --timeout SECONDS    processor time that the payload may take (default: 120)\n"
               "  --memory-limit MIB   memory that it may take (default: 3/4 of what is available)\n"
               "%s"
               "  --trace              every EFI call with arguments and status, on stderr\n"
               "  --json               the result as JSON on stdout\n"
               "  --quiet, --verbose   no progress lines; progress lines though stderr is no terminal\n",
                        is_load ? "load" : "predict",
                        is_load ? "Run the payload's EFI code up to the hand-over, record what it measures and\n"
                                  "stage it for 'mkexec exec'. The TPM is only read."
                                : "Show what the registers will read after 'load' and 'exec' of this payload.\n"
                                  "Needs neither root nor a TPM; what it can't read of this machine it names.",
                        is_load ? "  --dry-run            all but staging\n"
                                  "  --accept-log-gaps    go on though the log doesn't explain PCR 8\n"
                                : "  --machine FILE       facts of another machine ('mkexec status --machine')\n"
                                  "  --base FILE          start values, lines 'bank pcr hex'\n");
}

static bool take_number(const char *text, uint64_t max, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *ret > 0 && *ret <= max;
}

/* False: not an option of ours, or a bad value; says so itself unless getopt has. */
static bool take_option(int option, struct hop_options *o)
{
        switch (option) {
        case OPT_CMDLINE:
                o->cmdline = optarg;
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
        case OPT_TCTI:
                o->tcti = optarg;
                return true;
        case OPT_TIMEOUT:
                if (!take_number(optarg, 86400, &o->timeout_s))
                        return fail_text(0, "--timeout wants seconds, 1 to 86400, not '%s'", optarg), false;
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
        int option;

        while ((option = getopt_long(argc, argv, "h", is_load ? load_options : predict_options, NULL)) >= 0) {
                if (option == OPT_HELP || option == 'h') {
                        help(is_load);
                        return 1 + EXIT_DONE;
                }
                if (!take_option(option, &o))
                        return 1 + EXIT_USAGE;
        }
        if (optind + 1 != argc)
                return 1 + fail_text(EXIT_USAGE, "%s wants one payload; see 'mkexec %s --help'", argv[0], argv[0]);
        if (o.machine && o.base)
                return 1 + fail_text(EXIT_USAGE, "--machine and --base exclude each other");
        o.payload = argv[optind];
        *ret = o;
        return 0;
}
