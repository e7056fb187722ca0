/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program of somebody else's over the installed library: what test_library.py looks at. It knows
 * nothing of mkexec's tree but the installed header. Usage: reader WHAT FILE; the last line on
 * stderr counts the allocations of the library and of libcrypto (linked with --wrap). */
#include <mkexec/eventlog.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
        allocations++;
        return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        allocations++;
        return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        allocations++;
        return __real_realloc(p, size);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
        return malloc(size);
}

static void *crypto_realloc(void *p, size_t size, const char *file, int line)
{
        return realloc(p, size);
}

static void crypto_free(void *p, const char *file, int line)
{
        free(p);
}

static int fail(const struct mkexec_reason *reason)
{
        fprintf(stderr, "reader: %s\n", reason->text);
        return 2;
}

static void print_pcrs(const struct mkexec_pcrs *pcrs)
{
        for (size_t b = 0; b < pcrs->n_banks; b++)
                for (unsigned pcr = 0; pcr < MKEXEC_PCRS; pcr++) {
                        if (!(pcrs->bank[b].known & 1u << pcr))
                                continue;
                        printf("%s %u ", pcrs->bank[b].name, pcr);
                        for (size_t i = 0; i < pcrs->bank[b].size; i++)
                                printf("%02x", pcrs->bank[b].value[pcr][i]);
                        puts("");
                }
}

/* leak: allocates for each event, so that the test sees what it looks for. */
static int parse(struct mkexec_log *log, bool leak, struct mkexec_reason *reason)
{
        struct mkexec_event event;
        size_t n = 0, bytes = 0;
        int r;

        while ((r = mkexec_log_next(log, &event, reason)) > 0) {
                n++;
                bytes += event.data_size + event.n_digests;
                if (leak)
                        free(malloc(event.size));
        }
        printf("%zu events, %zu\n", n, bytes);
        return r < 0 ? fail(reason) : 0;
}

static int check(struct mkexec_log *log, const struct mkexec_pcrs *pcrs,
                struct mkexec_reason *reason)
{
        static const char *const words[] = {"ok", "mismatch", "malformed"};
        struct mkexec_verdict verdict;

        if (mkexec_log_check(log, pcrs, &verdict, reason) < 0)
                return fail(reason);
        printf("%s: %s\n", words[verdict.result], verdict.reason.text);
        return (int)verdict.result;
}

static int to_stdout(void *context, const char *text, size_t size)
{
        return fwrite(text, 1, size, context) == size ? 0 : -1;
}

/* PCRs 0 to 9 as the log gives them, with one bit of PCR 8 turned over if wrong. */
static int check_against(struct mkexec_log *log, bool wrong, struct mkexec_reason *reason)
{
        struct mkexec_pcrs replayed, given = {0};

        if (mkexec_log_replay(log, &replayed, reason) < 0)
                return fail(reason);
        replayed.bank[0].value[8][0] ^= wrong;
        for (unsigned pcr = 0; pcr < 10; pcr++)
                if (!mkexec_pcrs_add(&given, replayed.bank[0].alg, pcr, replayed.bank[0].value[pcr],
                                    replayed.bank[0].size))
                        return 3;
        return check(log, &given, reason);
}

static int run(const char *what, const char *name, const void *bytes, size_t size)
{
        struct mkexec_reason reason = {""};
        struct mkexec_pcrs pcrs;
        struct mkexec_log *log;
        int r = 3;

        if (strcmp(what, "table") == 0 || strcmp(what, "json") == 0 || strcmp(what, "yaml") == 0)
                return mkexec_log_show(bytes, size, name,
                                       what[0] == 't'   ? MKEXEC_TABLE
                                       : what[0] == 'j' ? MKEXEC_JSON
                                                        : MKEXEC_YAML,
                                       to_stdout, stdout, &reason) < 0
                                       ? fail(&reason)
                                       : 0;
        if (mkexec_log_open(bytes, size, &log, &reason) < 0)
                return fail(&reason);
        if (strcmp(what, "parse") == 0 || strcmp(what, "leak") == 0) {
                r = parse(log, what[0] == 'l', &reason);
        } else if (strcmp(what, "replay") == 0) {
                r = mkexec_log_replay(log, &pcrs, &reason) < 0 ? fail(&reason) : 0;
                print_pcrs(&pcrs);
        } else if (strcmp(what, "cel-json") == 0 || strcmp(what, "cel-tlv") == 0) {
                r = mkexec_log_convert(log, what[4] == 'j' ? MKEXEC_CEL_JSON : MKEXEC_CEL_TLV,
                                    to_stdout, stdout, &reason) < 0
                                    ? fail(&reason)
                                    : 0;
        } else if (strcmp(what, "check") == 0) {
                r = check(log, NULL, &reason);
        } else if (strcmp(what, "right") == 0 || strcmp(what, "wrong") == 0) {
                r = check_against(log, what[0] == 'w', &reason);
        }
        mkexec_log_close(log);
        return r;
}

int main(int argc, char **argv)
{
        FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
        static char bytes[64 << 20];
        size_t size;
        int r;

        if (!file || !CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
                return 3;
        size = fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        allocations = 0;
        r = run(argv[1], argv[2], bytes, size);
        fprintf(stderr, "%zu allocations\n", allocations);
        return r;
}
