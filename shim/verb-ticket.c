/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec ticket: secrets that wait in the TPM for the second kernel. put belongs to the first
 * kernel, get and lock to the second one's initrd, list and drop to whoever tidies up. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "eventlog/hop.h"
#include "shim/pcr-values.h"
#include "shim/plan-json.h"
#include "shim/progress.h"
#include "shim/tickets.h"
#include "shim/verb.h"

#define ROOM (4 * TICKET_SLOTS)

enum {
        OPT_TCTI = 256,
        OPT_PCR,
        OPT_OWNER_AUTH,
        OPT_OUTPUT,
        OPT_JSON,
        OPT_ALL,
        OPT_LEFT,
        OPT_HELP,
};

static const struct option long_options[] = {
                {"tcti", required_argument, NULL, OPT_TCTI},
                {"pcr", required_argument, NULL, OPT_PCR},
                {"owner-auth", required_argument, NULL, OPT_OWNER_AUTH},
                {"output", required_argument, NULL, OPT_OUTPUT},
                {"json", no_argument, NULL, OPT_JSON},
                {"all", no_argument, NULL, OPT_ALL},
                {"left", no_argument, NULL, OPT_LEFT},
                {"help", no_argument, NULL, OPT_HELP},
                {NULL},
};

struct arguments {
        const char *name; /* NULL: none given */
        const char *tcti, *owner_auth, *output;
        uint32_t pcrs;
        bool json, all, left;
};

/* A TPM, its PCRs and the rules: what each word but put works with. */
struct session {
        struct ticket_rules rules;
        struct tpm *tpm;
        struct tpm_nv *nv;
        struct replay now;
};

static void session_close(struct session *t)
{
        if (t->nv)
                tpm_nv_close(t->nv);
        if (t->tpm)
                tpm_free(t->tpm);
        ticket_rules_release(&t->rules);
}

static int session_open(const struct arguments *a, struct session *t, struct error *error)
{
        struct error left_out;
        struct banks banks;
        int r = ticket_rules_open(a->owner_auth, &t->rules, error);

        if (r == 0)
                r = tpm_esys_open(a->tcti, &t->tpm, error);
        if (r == 0)
                r = tpm_usable_banks(t->tpm, &banks, &left_out, error);
        if (r == 0)
                r = tpm_pcr_read(t->tpm, &banks, TICKET_PCRS, &t->now, error);
        if (r == 0)
                r = tickets_open(t->tpm, &t->rules, &t->nv, error);
        return r;
}

/* ---- put ---- */

/* Registers that programs of the second system extend before it is up (systemd-pcrosseparator of
 * 261 and later, systemd-pcrphase): a ticket must be read before that. */
static void warn_of_pcrs(uint32_t pcrs)
{
        static const struct {
                uint32_t mask;
                const char *who;
        } rows[] = {
                        {0x72ff, "systemd 261 and later extends \"os-separator\" to it in each "
                                 "initrd"},
                        {0x9800, "systemd extends its phases, machine ID or file systems to it"},
        };

        for (unsigned pcr = 0; pcr < 16; pcr++)
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                        if (pcrs & rows[i].mask & 1u << pcr)
                                progress_warn("PCR %u: %s; the ticket has to be read before that",
                                                pcr, rows[i].who);
}

static int put(const struct arguments *a, struct error *error)
{
        _cleanup_ticket_rules_ struct ticket_rules rules = TICKET_RULES_NONE;
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        _cleanup_secret_ struct secret secret = {0};
        int r = state_open(&dir, error);

        if (r == 0)
                r = ticket_rules_open(a->owner_auth, &rules, error);
        if (r == 0)
                r = tpm_esys_open(a->tcti, &tpm, error);
        if (r == 0)
                r = secret_new(SECRET_MAX_BYTES, &secret, error);
        if (r < 0)
                return r;
        r = secret_read_fd(STDIN_FILENO, &secret, error);
        if (r < 0)
                return error_prefix(error, r, "the secret on standard input");
        warn_of_pcrs(a->pcrs);
        return tickets_put(tpm, &rules, &dir, a->name, secret_span(&secret), a->pcrs, error);
}

/* ---- get ---- */

/* A new file, 0400, or standard output. */
static int open_output(const char *path, int *ret, struct error *error)
{
        if (!path && isatty(STDOUT_FILENO))
                return error_set(error, EINVAL,
                                "a secret isn't for a terminal: say --output FILE, or pipe it");
        *ret = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400)
                    : dup(STDOUT_FILENO);
        return *ret < 0 ? error_set(error, errno, "can't write to %s: %m",
                                          path ?: "standard output")
                        : 0;
}

static int write_all(int fd, struct span bytes, struct error *error)
{
        while (bytes.size > 0) {
                ssize_t n = write(fd, bytes.data, bytes.size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return error_set(error, n < 0 ? errno : EIO,
                                        "the ticket is used up, but its secret couldn't be "
                                        "written: %m");
                bytes = SPAN(bytes.data + n, bytes.size - (size_t)n);
        }
        return 0;
}

/* What PCR 8 reads and, where a plan is there, what it should: the second kernel can't know the
 * latter, its TPM has only a digest over it. */
static void tell_registers(const struct session *t)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        bool planned = state_open_read(&dir, NULL) == 0 &&
                       staged_read(&dir, STATE_PLAN, &staged, NULL) == 0;

        for (size_t b = 0; b < t->now.banks.n; b++) {
                const struct alg *alg = t->now.banks.alg[b];
                char found[2 * DIGEST_MAX_BYTES + 1], wanted[2 * DIGEST_MAX_BYTES + 1];

                hex_encode(SPAN(t->now.pcr[b][HOP_PCR].bytes, alg->size), found);
                progress_note("PCR %d, bank %s reads %s", HOP_PCR, alg->name, found);
                for (size_t p = 0; planned && p < staged.plan.banks.n; p++)
                        if (staged.plan.banks.alg[p] == alg) {
                                hex_encode(SPAN(staged.plan.end[p][HOP_PCR].bytes, alg->size),
                                                wanted);
                                progress_note("with what is loaded it will read %s", wanted);
                        }
        }
}

static int get(const struct arguments *a, struct error *error)
{
        _cleanup_(session_close) struct session t = {.rules = TICKET_RULES_NONE};
        _cleanup_secret_ struct secret secret = {0};
        _cleanup_close_ int fd = -1;
        struct error left;
        int r = session_open(a, &t, error);

        if (r == 0)
                r = open_output(a->output, &fd, error);
        if (r < 0)
                return r;
        r = ticket_get(t.nv, t.rules.base, a->name, &t.now, &secret, &left, error);
        if (r == 0)
                r = write_all(fd, secret_span(&secret), error);
        if (r < 0 && a->output)
                unlink(a->output);
        if (r == -EKEYREJECTED)
                tell_registers(&t);
        if (r == 0 && left.text[0])
                progress_warn("the ticket is locked, but stays in the TPM: %.400s", left.text);
        return r;
}

/* ---- list ---- */

struct row {
        struct ticket ticket;
        char name[TICKET_NAME_MAX + 1]; /* "" if nobody can tell it */
        const char *state;
};

/* Names of those that are ready are in the TPM, of those that wait in the plan. */
static int make_rows(
                const struct arguments *a, struct row rows[ROOM], size_t *n, struct error *error)
{
        _cleanup_(session_close) struct session t = {.rules = TICKET_RULES_NONE};
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        struct ticket tickets[ROOM];
        int r = session_open(a, &t, error);

        *n = ROOM;
        if (r == 0)
                r = ticket_list(t.nv, t.rules.base, &t.now, tickets, n, error);
        if (r < 0)
                return r;
        if (state_open_read(&dir, NULL) == 0)
                (void)staged_read(&dir, STATE_PLAN, &staged, NULL);
        for (size_t i = 0; i < *n; i++) {
                struct error why;

                rows[i] = (struct row){tickets[i], "", ticket_state_names[tickets[i].state]};
                if (tickets[i].state == TICKET_READY &&
                                ticket_name(t.nv, &tickets[i], &t.now, rows[i].name, &why) < 0)
                        rows[i].state = ticket_state_names[TICKET_FOREIGN];
                for (size_t s = 0; s < staged.n_tickets; s++)
                        if (staged.tickets[s].handle == tickets[i].handle &&
                                        tickets[i].state == TICKET_OTHER_PCRS) {
                                strcpy(rows[i].name, staged.tickets[s].name);
                                rows[i].state = "waiting";
                        }
        }
        return 0;
}

static void print_pcrs(uint32_t mask)
{
        const char *comma = "";

        for (unsigned pcr = 0; pcr < 16; pcr++)
                if (mask & 1u << pcr) {
                        printf("%s%u", comma, pcr);
                        comma = ",";
                }
}

static void print_json(const struct row *rows, size_t n)
{
        struct json_object *object = json_object_new_object(), *list = json_object_new_array();

        for (size_t i = 0; i < n; i++) {
                struct json_object *row = json_object_new_object(), *pcrs = json_object_new_array();

                json_object_object_add(row, "name",
                                rows[i].name[0] ? json_object_new_string(rows[i].name) : NULL);
                json_object_object_add(
                                row, "nv_index", json_object_new_int64(rows[i].ticket.handle));
                for (int pcr = 0; pcr < 16; pcr++)
                        if (rows[i].ticket.pcrs & 1u << pcr)
                                json_object_array_add(pcrs, json_object_new_int(pcr));
                json_object_object_add(row, "pcrs", pcrs);
                json_object_object_add(row, "state", json_object_new_string(rows[i].state));
                json_object_array_add(list, row);
        }
        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(object, "tickets", list);
        json_print(object);
}

static int list(const struct arguments *a, struct error *error)
{
        struct row rows[ROOM];
        size_t n;
        int r = make_rows(a, rows, &n, error);

        if (r < 0)
                return r;
        if (a->json) {
                print_json(rows, n);
                return 0;
        }
        for (size_t i = 0; i < n; i++) {
                printf("%-16s 0x%08x  %-10s  PCR ", rows[i].name[0] ? rows[i].name : "-",
                                rows[i].ticket.handle, rows[i].state);
                print_pcrs(rows[i].ticket.pcrs);
                putchar('\n');
        }
        return 0;
}

/* ---- drop, lock ---- */

/* What 'drop' means for one of them. Another program's index in our range is never ours to drop. */
static bool is_meant(const struct arguments *a, const struct row *row)
{
        enum ticket_state state = row->ticket.state;

        if (a->name)
                return strcmp(row->name, a->name) == 0;
        return state != TICKET_FOREIGN && (a->all || state != TICKET_READY);
}

static int drop(const struct arguments *a, struct error *error)
{
        _cleanup_(session_close) struct session t = {.rules = TICKET_RULES_NONE};
        struct row rows[ROOM];
        size_t n, dropped = 0;
        int r = make_rows(a, rows, &n, error), q = 0;

        if (r == 0)
                r = session_open(a, &t, error);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (is_meant(a, &rows[i])) {
                        int s = ticket_drop(t.nv, rows[i].ticket.handle, error);

                        dropped += s == 0;
                        q = s < 0 ? s : q;
                }
        if (r == 0 && q == 0 && a->name && dropped == 0)
                return error_set(error, ENOENT,
                                "no ticket '%s' whose name can be told here: 'mkexec ticket list'",
                                a->name);
        return r < 0 ? r : q;
}

static int lock(const struct arguments *a, struct error *error)
{
        _cleanup_(session_close) struct session t = {.rules = TICKET_RULES_NONE};
        struct ticket tickets[ROOM];
        size_t n = ROOM;
        int r = session_open(a, &t, error), q = 0;

        if (r == 0)
                r = ticket_list(t.nv, t.rules.base, &t.now, tickets, &n, error);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (tickets[i].state == TICKET_READY) {
                        int s = ticket_lock(t.nv, &tickets[i], &t.now, error);

                        q = s < 0 ? s : q; /* the others all the same */
                }
        return r < 0 ? r : q;
}

/* ---- the verb ---- */

static const struct {
        const char *word;
        bool wants_name, takes_name;
        int (*run)(const struct arguments *a, struct error *error);
} words[] = {
                {"put", true, true, put},
                {"list", false, false, list},
                {"get", true, true, get},
                {"drop", false, true, drop},
                {"lock", false, false, lock},
};

static void help(void)
{
        puts("mkexec ticket put NAME [--pcr LIST] < SECRET\n"
             "mkexec ticket get NAME [--output FILE]\n"
             "mkexec ticket list [--json]\n"
             "mkexec ticket drop NAME | --all | --left\n"
             "mkexec ticket lock\n\n"
             "A secret in the TPM that only the kernel that was loaded can read, in this power "
             "cycle, once.\n"
             "put: after 'mkexec load'. get: in the second kernel. lock: nobody reads those that "
             "are left;\n"
             "the last thing an initrd does. drop --left: those that can't be read any more.\n\n"
             "  --pcr LIST           put: PCRs besides the registers that must read as they do "
             "now\n"
             "  --output FILE        get: a new file, mode 0400, instead of standard output\n"
             "  --owner-auth FILE    the TPM owner's password, if there is one\n"
             "  --tcti TCTI          the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)\n"
             "  --json               list: as JSON");
}

/* 0, or an exit code + 1. */
static int parse(int argc, char **argv, struct arguments *a)
{
        int option;

        while ((option = getopt_long(argc, argv, "ho:", long_options, NULL)) >= 0)
                switch (option) {
                case OPT_TCTI:
                        a->tcti = optarg;
                        break;
                case OPT_PCR:
                        if (!pcr_list_parse(optarg, &a->pcrs) || a->pcrs & ~HOP_CLOSEABLE)
                                return 1 + fail_text(EXIT_USAGE,
                                                           "--pcr wants PCRs of 0 to 15 without "
                                                           "10 (IMA's), not '%s'",
                                                           optarg);
                        break;
                case OPT_OWNER_AUTH:
                        a->owner_auth = optarg;
                        break;
                case OPT_OUTPUT:
                case 'o':
                        a->output = optarg;
                        break;
                case OPT_JSON:
                        a->json = true;
                        break;
                case OPT_ALL:
                        a->all = true;
                        break;
                case OPT_LEFT:
                        a->left = true;
                        break;
                case OPT_HELP:
                case 'h':
                        help();
                        return 1 + EXIT_DONE;
                default:
                        return 1 + usage_error("ticket");
                }
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

/* Secrets pass through tpm2-tss, too, whose memory isn't ours to lock. */
static void keep_to_ourselves(void)
{
        const struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_DUMPABLE, 0);
}

int verb_ticket(int argc, char **argv)
{
        struct arguments a = {0};
        struct error error = {{0}};
        int r;

        if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
                return help(), EXIT_DONE;
        for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(words); i++) {
                if (strcmp(argv[1], words[i].word) != 0)
                        continue;
                r = parse(argc - 1, argv + 1, &a);
                if (r > 0)
                        return r - 1;
                if ((a.name && !words[i].takes_name) || (!a.name && words[i].wants_name))
                        return usage_error("ticket");
                if (words[i].run == drop && !!a.name + a.all + a.left != 1)
                        return fail_text(EXIT_USAGE, "drop wants one of NAME, --all and --left");
                keep_to_ourselves();
                r = words[i].run(&a, &error);
                return r < 0 ? fail(exit_code_of(r), &error) : EXIT_DONE;
        }
        return usage_error("ticket");
}
