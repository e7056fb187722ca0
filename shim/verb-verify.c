/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec verify: judges evidence of other machines, anywhere: no TPM, no root, no network. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/verb.h"
#include "shim/verdict-writers.h"
#include "shim/verify-rules.h"
#include "shim/verify-stream.h"

enum {
        OPT_NONCE = 256,
        OPT_REFERENCE,
        OPT_POLICY,
        OPT_AK,
        OPT_CA,
        OPT_ACCEPT_ANY_AK,
        OPT_JSON,
        OPT_STREAM,
        OPT_JOBS,
        OPT_HELP,
};

static const struct option options[] = {
                {"nonce", required_argument, NULL, OPT_NONCE},
                {"reference", required_argument, NULL, OPT_REFERENCE},
                {"policy", required_argument, NULL, OPT_POLICY},
                {"ak", required_argument, NULL, OPT_AK},
                {"ca", required_argument, NULL, OPT_CA},
                {"accept-any-ak", no_argument, NULL, OPT_ACCEPT_ANY_AK},
                {"json", no_argument, NULL, OPT_JSON},
                {"stream", no_argument, NULL, OPT_STREAM},
                {"jobs", required_argument, NULL, OPT_JOBS},
                {"help", no_argument, NULL, OPT_HELP},
                {NULL},
};

static void help(void)
{
        puts("mkexec verify EVIDENCE --nonce HEX --reference DIR [OPTIONS]\n\n"
             "Which kernels ran on a machine since its firmware started, by whose word, and "
             "whether each\n"
             "is known: EVIDENCE is what 'mkexec attest' wrote there ('-': standard input).\n\n"
             "  --nonce HEX      what the machine was asked with\n"
             "  --reference DIR  known kernels: *.json of 'mkexec predict --json', or one file; "
             "repeatable\n"
             "  --policy FILE    what else is demanded\n"
             "  --ak FILE        an attestation key that is trusted: TPM2B_PUBLIC, TPMT_PUBLIC, "
             "PEM; repeatable\n"
             "  --ca FILE        certificates of authorities for attestation keys; repeatable\n"
             "  --accept-any-ak  whoever signed\n"
             "  --json           the verdict as JSON\n"
             "  --stream         a line of evidence each on standard input, a line of verdict "
             "each\n"
             "                   on standard output; without --nonce lines are "
             "{\"nonce\", \"evidence\"}\n"
             "  --jobs N         processes that judge a stream (default: 1)\n\n"
             "Exit code: 0 trusted, 1 not trusted, 2 malformed or usage; of a stream: the worst.");
}

struct arguments {
        const char *evidence;
        uint8_t nonce_bytes[QUOTE_NONCE_MAX];
        struct span nonce;
        bool json, stream;
        unsigned jobs;
        struct verify_rules rules;
};

static const int exit_codes[] = {
                [VERDICT_TRUSTED] = EXIT_DONE,
                [VERDICT_NOT_TRUSTED] = EXIT_REFUSED,
                [VERDICT_MALFORMED] = EXIT_USAGE,
};

/* ---- options ---- */

static int bad_nonce(struct error *error)
{
        return error_set(error, EINVAL, "--nonce wants %d to %d bytes in hex", VERIFY_NONCE_MIN,
                        QUOTE_NONCE_MAX);
}

static int set_jobs(struct arguments *a, const char *text, struct error *error)
{
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (*text < '1' || *text > '9' || *end || n > VERIFY_JOBS_MAX)
                return error_set(error, EINVAL, "--jobs wants a number from 1 to %d",
                                VERIFY_JOBS_MAX);
        a->jobs = (unsigned)n;
        return 0;
}

/* 1: --help. */
static int take_option(struct arguments *a, int option, struct error *error)
{
        switch (option) {
        case OPT_NONCE:
                return verify_nonce_parse(optarg, a->nonce_bytes, &a->nonce) ? 0 : bad_nonce(error);
        case OPT_REFERENCE:
                return verify_rules_add_references(&a->rules, optarg, error);
        case OPT_POLICY:
                return verify_rules_read_policy(&a->rules, optarg, error);
        case OPT_AK:
                return verify_rules_add_ak(&a->rules, optarg, error);
        case OPT_CA:
                return verify_rules_add_ca(&a->rules, optarg, error);
        case OPT_ACCEPT_ANY_AK:
                ak_trust_take_anybodys(a->rules.trust);
                return 0;
        case OPT_JSON:
                a->json = true;
                return 0;
        case OPT_STREAM:
                a->stream = true;
                return 0;
        case OPT_JOBS:
                return set_jobs(a, optarg, error);
        case 'h':
        case OPT_HELP:
                return 1;
        default:
                return error_set(error, EINVAL,
                                "wrong option or argument; see 'mkexec verify --help' or "
                                "mkexec(8)");
        }
}

static int check_arguments(struct arguments *a, int n_left, struct error *error)
{
        if (n_left != (a->stream ? 0 : 1))
                return error_set(error, EINVAL,
                                a->stream ? "--stream reads standard input, no file"
                                          : "verify wants one file of evidence");
        if (!a->stream && a->nonce.size == 0)
                return error_set(error, EINVAL,
                                "--nonce is missing: without it old evidence is as good as new");
        if (!a->rules.references && !a->rules.has_policy)
                return error_set(error, EINVAL,
                                "neither --reference nor --policy says which kernels are known");
        return verify_rules_end(&a->rules, error);
}

static int parse(struct arguments *a, int argc, char **argv, struct error *error)
{
        int option, r = verify_rules_new(&a->rules);

        if (r < 0)
                return error_set(error, -r, "%s", strerror(-r));
        a->jobs = 1;
        while (r == 0 && (option = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                r = take_option(a, option, error);
        if (r == 0)
                r = check_arguments(a, argc - optind, error);
        if (r == 0 && !a->stream)
                a->evidence = argv[optind];
        return r;
}

/* ---- one piece of evidence ---- */

static int read_evidence(const char *path, struct buf *ret, struct error *error)
{
        int r;

        if (strcmp(path, "-") != 0)
                return buf_read_file(path, EVIDENCE_MAX_BYTES, ret, error);
        r = buf_read_fd(STDIN_FILENO, EVIDENCE_MAX_BYTES, ret);
        return r < 0 ? error_set(error, -r, "can't read standard input: %s", strerror(-r)) : 0;
}

static void print_json(const struct verdict *verdict)
{
        _cleanup_buf_ struct buf text = {0};
        struct json_writer w = {.out = &text, .first = true};

        json_put(&w, "{");
        verdict_json(verdict, &w);
        json_put(&w, "}\n");
        if (buf_failed(&text) || fwrite(text.data, 1, text.size, stdout) != text.size)
                fputc('\n', stdout); /* not JSON: main says that it couldn't be written */
}

static int judge_one(const struct arguments *a, struct error *error)
{
        _cleanup_evidence_ struct evidence evidence = {0};
        _cleanup_verdict_ struct verdict verdict = {0};
        _cleanup_buf_ struct buf text = {0};
        struct verify_input input = {
                        .nonce = a->nonce,
                        .references = a->rules.references,
                        .policy = &a->rules.policy,
                        .now = time(NULL),
        };
        int r = read_evidence(a->evidence, &text, error);

        if (r == 0)
                r = ak_cache_new(a->rules.trust, 1, &input.keys);
        if (r == 0)
                r = verify_document(&input, buf_span(&text), &evidence, &verdict, error);
        if (r == 0 && a->json)
                print_json(&verdict);
        else if (r == 0)
                verdict_text(&verdict, stdout);
        ak_cache_free(input.keys);
        return r < 0 ? r : exit_codes[verdict.kind];
}

static int judge_stream(const struct arguments *a, struct error *error)
{
        const struct verify_stream stream = {
                        .rules = &a->rules,
                        .nonce = a->nonce,
                        .jobs = a->jobs,
                        .in = STDIN_FILENO,
                        .out = STDOUT_FILENO,
        };
        enum verdict_kind worst;
        int r = verify_stream_run(&stream, &worst, error);

        return r < 0 ? r : exit_codes[worst];
}

int verb_verify(int argc, char **argv)
{
        struct arguments a = {0};
        struct error error = {{0}};
        int r = parse(&a, argc, argv, &error);

        if (r == 0)
                r = a.stream ? judge_stream(&a, &error) : judge_one(&a, &error);
        else if (r > 0)
                r = (help(), EXIT_DONE);
        verify_rules_release(&a.rules);
        return r < 0 ? fail(EXIT_USAGE, &error) : r;
}
