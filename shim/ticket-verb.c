/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/ticket-verb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "base/cleanup.h"
#include "eventlog/hop.h"
#include "shim/options.h"
#include "shim/pcr-values.h"
#include "shim/progress.h"
#include "shim/state.h"
#include "shim/ticket-output.h"

#define WAIT_MAX_SECONDS 600
#define POLL_MS          50

/* ---- the TPM ---- */

/* Whether firmware tells of a TPM 2.0: the ACPI table is there before any driver is. */
static bool firmware_has_tpm(void)
{
        return access("/sys/firmware/acpi/tables/TPM2", F_OK) == 0;
}

/* Opens the TPM; in an initrd its driver may still be on the way. 1: no TPM, and firmware knows of
 * none. */
static int open_tpm(const struct ticket_arguments *a, struct tpm **ret, struct error *error)
{
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        int r = tpm_esys_open(a->tcti, ret, error);

        if (r != -ENODEV || a->tcti || getenv("TPM2TOOLS_TCTI"))
                return r;
        if (!firmware_has_tpm())
                return 1;
        for (unsigned ms = 0; r == -ENODEV && ms < a->wait_seconds * 1000; ms += POLL_MS) {
                nanosleep(&pause, NULL);
                r = tpm_esys_open(NULL, ret, error);
        }
        return r;
}

void ticket_session_close(struct ticket_session *t)
{
        if (t->nv)
                tpm_nv_close(t->nv);
        if (t->tpm)
                tpm_free(t->tpm);
        ticket_rules_release(&t->rules);
}

int ticket_session_open(
                const struct ticket_arguments *a, struct ticket_session *t, struct error *error)
{
        struct error left_out;
        struct banks banks;
        int r = ticket_rules_open(a->owner_auth, &t->rules, error);

        if (r == 0)
                r = open_tpm(a, &t->tpm, error);
        if (r > 0)
                return 0;
        if (r == 0)
                r = tickets_open(t->tpm, &t->rules, &t->nv, error);
        if (r == 0)
                r = ticket_any(t->nv, t->rules.base, &t->any, error);
        if (r < 0 || !t->any)
                return r;
        r = tpm_usable_banks(t->tpm, &banks, &left_out, error);
        return r == 0 ? tpm_pcr_read(t->tpm, &banks, TICKET_PCRS, &t->now, error) : r;
}

/* ---- get ---- */

/* What the PCRs read that tickets for others are bound to; one of them isn't as it should be. */
static void tell_registers(const struct ticket_session *t)
{
        struct ticket tickets[TICKET_ROOM];
        size_t n = TICKET_ROOM;
        uint32_t mask = 0;

        if (ticket_list(t->nv, t->rules.base, &t->now, tickets, &n, NULL) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                mask |= tickets[i].state == TICKET_OTHER_PCRS ? tickets[i].pcrs : 0;
        for (size_t b = 0; b < t->now.banks.n; b++) {
                const struct alg *alg = t->now.banks.alg[b];
                char hex[2 * DIGEST_MAX_BYTES + 1];

                for (unsigned pcr = 0; pcr < 16; pcr++) {
                        if (!(mask & 1u << pcr))
                                continue;
                        hex_encode(SPAN(t->now.pcr[b][pcr].bytes, alg->size), hex);
                        progress_note("PCR %u, bank %s reads %s", pcr, alg->name, hex);
                }
        }
}

/* The secret goes to output; the ticket is used up even where that fails. */
static int take(struct ticket_session *t, const char *name, struct ticket_output *output,
                struct error *error)
{
        _cleanup_secret_ struct secret secret = {0};
        struct error left;
        int r = ticket_get(t->nv, t->rules.base, name, &t->now, &secret, &left, error);

        if (r == 0)
                r = ticket_output_finish(output, secret_span(&secret), error);
        if (r == 0 && left.text[0])
                progress_warn("ticket '%s' is locked, but stays in the TPM: %.400s", name,
                                left.text);
        return r;
}

static int get_one(const struct ticket_arguments *a, struct error *error)
{
        _cleanup_ticket_session_ struct ticket_session t = TICKET_SESSION_NONE;
        _cleanup_ticket_output_ struct ticket_output output = TICKET_OUTPUT_NONE;
        int r = ticket_session_open(a, &t, error);

        if (r == 0 && !t.nv)
                r = error_prefix(error, -ENOENT, "no ticket '%s'", a->name);
        if (r == 0)
                r = ticket_output_open(a->output, &output, error);
        if (r < 0)
                return r;
        r = take(&t, a->name, &output, error);
        if (r == -EKEYREJECTED)
                tell_registers(&t);
        return r;
}

static int get_key_file(struct ticket_session *t, const char *folder, const struct ticket *ticket,
                struct error *error)
{
        _cleanup_ticket_output_ struct ticket_output output = TICKET_OUTPUT_NONE;
        char name[TICKET_NAME_MAX + 1];
        int r = ticket_name(t->nv, ticket, &t->now, name, error);

        if (r == 0)
                r = key_file_open(folder, name, &output, error);
        return r < 0 ? r : take(t, name, &output, error);
}

/* All that are ready, as key files; one that fails doesn't keep the others away. */
static int get_all(const struct ticket_arguments *a, struct error *error)
{
        _cleanup_ticket_session_ struct ticket_session t = TICKET_SESSION_NONE;
        struct ticket tickets[TICKET_ROOM];
        size_t n = TICKET_ROOM;
        int r = ticket_session_open(a, &t, error), q = 0;

        if (r < 0 || !t.any)
                return r;
        r = ticket_list(t.nv, t.rules.base, &t.now, tickets, &n, error);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (tickets[i].state == TICKET_READY) {
                        struct error why;
                        int s = get_key_file(&t, a->directory, &tickets[i], &why);

                        if (s < 0 && q < 0)
                                progress_warn("%s", error->text);
                        if (s < 0)
                                *error = why;
                        q = s < 0 ? s : q;
                }
        return r < 0 ? r : q;
}

int ticket_word_get(const struct ticket_arguments *a, struct error *error)
{
        return a->all ? get_all(a, error) : get_one(a, error);
}

/* ---- drop, lock ---- */

/* Tickets for other PCR values aren't left while there is a load that they can be for. */
static bool something_is_loaded(void)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;

        return state_open_read(&dir, NULL) == 0 && state_has(&dir, STATE_PLAN);
}

static bool is_meant(const struct ticket_arguments *a, enum ticket_state state, bool loaded)
{
        if (a->all)
                return state != TICKET_FOREIGN;
        return ticket_is_left(state) && !(loaded && state == TICKET_OTHER_PCRS);
}

int ticket_word_drop(const struct ticket_arguments *a, struct error *error)
{
        _cleanup_ticket_session_ struct ticket_session t = TICKET_SESSION_NONE;
        struct ticket tickets[TICKET_ROOM];
        size_t n = TICKET_ROOM;
        bool loaded = something_is_loaded();
        int r = ticket_session_open(a, &t, error), q = 0;

        if (r < 0 || !t.any)
                return r;
        r = ticket_list(t.nv, t.rules.base, &t.now, tickets, &n, error);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (is_meant(a, tickets[i].state, loaded)) {
                        int s = ticket_drop(t.nv, tickets[i].handle, error);

                        q = s < 0 ? s : q; /* the others all the same */
                }
        return r < 0 ? r : q;
}

/* Those that a put or drop left half-made are as readable as any. */
static bool can_be_read(const struct ticket *ticket)
{
        return ticket->state == TICKET_READY ||
               (ticket->state == TICKET_UNFINISHED && ticket->opens);
}

int ticket_word_lock(const struct ticket_arguments *a, struct error *error)
{
        _cleanup_ticket_session_ struct ticket_session t = TICKET_SESSION_NONE;
        struct ticket tickets[TICKET_ROOM];
        size_t n = TICKET_ROOM;
        int q = a->directory ? key_files_erase(a->directory, error) : 0;
        int r = ticket_session_open(a, &t, error);

        if (r == 0 && t.any)
                r = ticket_list(t.nv, t.rules.base, &t.now, tickets, &n, error);
        for (size_t i = 0; r == 0 && t.any && i < n; i++)
                if (can_be_read(&tickets[i])) {
                        int s = ticket_lock(t.nv, &tickets[i], &t.now, error);

                        q = s < 0 ? s : q;
                }
        return r < 0 ? r : q;
}

/* ---- the verb ---- */

static bool parse_wait(const char *text, unsigned *ret)
{
        unsigned long value;
        char *end;

        if (*text < '0' || *text > '9')
                return false;
        value = strtoul(text, &end, 10);
        if (*end || value > WAIT_MAX_SECONDS)
                return false;
        *ret = (unsigned)value;
        return true;
}

static int take_pcrs(void *to, char *value, struct error *error)
{
        struct ticket_arguments *a = to;

        if (pcr_list_parse(value, &a->pcrs) && !(a->pcrs & ~HOP_CLOSEABLE))
                return 0;
        return error_set(error, EINVAL, "--pcr wants PCRs of 0 to 15 without 10 (IMA's), not '%s'",
                        value);
}

static int take_wait(void *to, char *value, struct error *error)
{
        struct ticket_arguments *a = to;

        if (parse_wait(value, &a->wait_seconds))
                return 0;
        return error_set(error, EINVAL, "--wait wants seconds, at most %d, not '%s'",
                        WAIT_MAX_SECONDS, value);
}

/* word: of this one alone, so that a program without it doesn't have the option either. */
static const struct ticket_option {
        const char *word;
        struct option_row row;
} rows[] = {
                {"put", {"pcr", "LIST",
                                        "put: PCRs besides the registers that must read as they do "
                                        "now",
                                        OPTION_TAKE(take_pcrs)}},
                {"get", {"output", "FILE", "get: a new file, mode 0400, instead of standard output",
                                        .letter = 'o',
                                        OPTION_TEXT(struct ticket_arguments, output)}},
                {NULL, {"directory", "DIR",
                                       "get --all: DIR/NAME.key, mode 0400, for each ticket; lock: "
                                       "erases them",
                                       OPTION_TEXT(struct ticket_arguments, directory)}},
                {NULL, {"all", NULL, "get: all that are ready; drop: all",
                                       OPTION_FLAG(struct ticket_arguments, all)}},
                {"drop", {"left", NULL, "drop: those that can't be read any more",
                                         OPTION_FLAG(struct ticket_arguments, left)}},
                {NULL, {"wait", "SECONDS",
                                       "for the TPM's device, where firmware says that there is "
                                       "one",
                                       OPTION_TAKE(take_wait)}},
                {NULL, {"owner-auth", "FILE", "the TPM owner's password, if there is one",
                                       OPTION_TEXT(struct ticket_arguments, owner_auth)}},
                {NULL, {"tcti", "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)",
                                       OPTION_TEXT(struct ticket_arguments, tcti)}},
                {"list", {"json", NULL, "list: as JSON",
                                         OPTION_FLAG(struct ticket_arguments, json)}},
};

static const struct ticket_word *find_word(const struct ticket_program *program, const char *name)
{
        for (size_t i = 0; i < program->n_words; i++)
                if (strcmp(name, program->words[i].word) == 0)
                        return &program->words[i];
        return NULL;
}

static int parse(int argc, char **argv, const struct ticket_program *program,
                struct ticket_arguments *a)
{
        struct option_row chosen[ARRAY_SIZE(rows)];
        struct options options = {.verb = "ticket",
                        .usage = program->usage,
                        .about = program->about,
                        .rows = chosen};
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (!rows[i].word || find_word(program, rows[i].word))
                        chosen[options.n_rows++] = rows[i].row;
        r = options_parse(&options, argc, argv, a);
        if (r > 0)
                return r;
        if (argc - optind > 1)
                return 1 + usage_error("ticket");
        a->name = argv[optind];
        if (a->name && !ticket_name_ok(a->name))
                return 1 + fail_text(EXIT_USAGE,
                                           "a ticket's name is 1 to %d of A-Z a-z 0-9 - _ . and "
                                           "doesn't begin with a dot",
                                           TICKET_NAME_MAX);
        return 0;
}

/* Which of NAME, --all and --left are given, and the folder for what has one. 0, or an exit code
 * + 1. */
static int check(const struct ticket_word *word, const struct ticket_arguments *a)
{
        bool chooses = word->name || word->all || word->left;

        if (chooses && !!a->name + a->all + a->left != 1)
                return 1 + fail_text(EXIT_USAGE, "%s wants %s", word->word,
                                           !word->all    ? "NAME"
                                           : !word->left ? "one of NAME and --all"
                                           : word->name  ? "one of NAME, --all and --left"
                                                         : "one of --all and --left");
        if ((a->name && !word->name) || (a->all && !word->all) || (a->left && !word->left))
                return 1 + usage_error("ticket");
        if (word->run == ticket_word_get && a->all != !!a->directory)
                return 1 + fail_text(EXIT_USAGE, "get --all and --directory go together");
        return 0;
}

/* Secrets pass through tpm2-tss, too, whose memory isn't ours to lock. */
static void keep_to_ourselves(void)
{
        const struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_DUMPABLE, 0);
}

int ticket_verb(int argc, char **argv, const struct ticket_program *program)
{
        const struct ticket_word *word = argc > 1 ? find_word(program, argv[1]) : NULL;
        struct ticket_arguments a = {0};
        struct error error = {{0}};
        int r;

        if (!word) { /* --help, or an error */
                r = parse(argc, argv, program, &a);
                return r > 0 ? r - 1 : usage_error("ticket");
        }
        r = parse(argc - 1, argv + 1, program, &a);
        if (r == 0)
                r = check(word, &a);
        if (r > 0)
                return r - 1;
        keep_to_ourselves();
        r = word->run(&a, &error);
        return r < 0 ? fail(exit_code_of(r), &error) : EXIT_DONE;
}
