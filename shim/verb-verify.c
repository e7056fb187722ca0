/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec verify: judges evidence of other machines, anywhere: no TPM, no root, no network. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/options.h"
#include "shim/verb.h"
#include "shim/verdict-writers.h"
#include "shim/verify-rules.h"
#include "shim/verify-stream.h"

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

static int take_nonce(void *to, char *value, struct error *error)
{
        struct arguments *a = to;

        return verify_nonce_parse(value, a->nonce_bytes, &a->nonce)
                               ? 0
                               : error_set(error, EINVAL, "--nonce wants %d to %d bytes in hex",
                                                 VERIFY_NONCE_MIN, QUOTE_NONCE_MAX);
}

static int take_reference(void *to, char *value, struct error *error)
{
        return verify_rules_add_references(&((struct arguments *)to)->rules, value, error);
}

static int take_policy(void *to, char *value, struct error *error)
{
        return verify_rules_read_policy(&((struct arguments *)to)->rules, value, error);
}

static int take_ak(void *to, char *value, struct error *error)
{
        return verify_rules_add_ak(&((struct arguments *)to)->rules, value, error);
}

static int take_ca(void *to, char *value, struct error *error)
{
        return verify_rules_add_ca(&((struct arguments *)to)->rules, value, error);
}

static int take_anybodys_ak(void *to, char *value, struct error *error)
{
        (void)value;
        (void)error;
        ak_trust_take_anybodys(((struct arguments *)to)->rules.trust);
        return 0;
}

static int take_jobs(void *to, char *value, struct error *error)
{
        struct arguments *a = to;
        char *end;
        unsigned long n = strtoul(value, &end, 10);

        if (*value < '1' || *value > '9' || *end || n > VERIFY_JOBS_MAX)
                return error_set(error, EINVAL, "--jobs wants a number from 1 to %d",
                                VERIFY_JOBS_MAX);
        a->jobs = (unsigned)n;
        return 0;
}

static const struct option_row rows[] = {
                {"nonce", "HEX", "what the machine was asked with", OPTION_TAKE(take_nonce)},
                {"reference", "DIR",
                                "known kernels: *.json of 'mkexec predict --json', or one file; "
                                "repeatable",
                                OPTION_TAKE(take_reference)},
                {"policy", "FILE", "what else is demanded", OPTION_TAKE(take_policy)},
                {"ak", "FILE",
                                "an attestation key that is trusted: TPM2B_PUBLIC, TPMT_PUBLIC, "
                                "PEM; repeatable",
                                OPTION_TAKE(take_ak)},
                {"ca", "FILE", "certificates of authorities for attestation keys; repeatable",
                                OPTION_TAKE(take_ca)},
                {"accept-any-ak", NULL, "whoever signed", OPTION_TAKE(take_anybodys_ak)},
                {"json", NULL, "the verdict as JSON", OPTION_FLAG(struct arguments, json)},
                {"stream", NULL,
                                "a line of evidence each on standard input, a line of verdict each "
                                "on standard output; without --nonce lines are {\"nonce\", "
                                "\"evidence\"}",
                                OPTION_FLAG(struct arguments, stream)},
                {"jobs", "N", "processes that judge a stream (default: 1)", OPTION_TAKE(take_jobs)},
};

static const struct options options = {
                .verb = "verify",
                .usage = "mkexec verify EVIDENCE --nonce HEX --reference DIR [OPTIONS]",
                .about = "Which kernels ran on a machine since its firmware started, by whose "
                         "word, and whether each is known: EVIDENCE is what 'mkexec attest' wrote "
                         "there ('-': standard input).",
                .end = "Exit code: 0 trusted, 1 not trusted, 2 malformed or usage; of a stream: "
                       "the worst.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

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

/* 0, or an exit code + 1. */
static int parse(struct arguments *a, int argc, char **argv)
{
        struct error error;
        int r = verify_rules_new(&a->rules);

        if (r < 0)
                return 1 + fail_text(EXIT_USAGE, "%s", strerror(-r));
        a->jobs = 1;
        r = options_parse(&options, argc, argv, a);
        if (r > 0)
                return r;
        if (check_arguments(a, argc - optind, &error) < 0)
                return 1 + fail(EXIT_USAGE, &error);
        if (!a->stream)
                a->evidence = argv[optind];
        return 0;
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
        int r = parse(&a, argc, argv);

        if (r > 0) {
                verify_rules_release(&a.rules);
                return r - 1;
        }
        r = a.stream ? judge_stream(&a, &error) : judge_one(&a, &error);
        verify_rules_release(&a.rules);
        return r < 0 ? fail(EXIT_USAGE, &error) : r;
}
