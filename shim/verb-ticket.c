/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec ticket: secrets that wait in the TPM for the second kernel. put belongs to the first
 * kernel, get and lock to the second one's initrd, list and drop to whoever tidies up. What needs
 * to know of a load is here, the rest in ticket-verb.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/json-values.h"
#include "shim/progress.h"
#include "shim/ticket-verb.h"
#include "shim/tickets.h"

/* ---- put ---- */

static int put(const struct ticket_arguments *a, struct error *error)
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
        tickets_warn_of_pcrs(a->pcrs);
        return tickets_put(tpm, &rules, &dir, a->name, secret_span(&secret), a->pcrs, error);
}

/* ---- get ---- */

/* What the registers will read where a plan is there. The second kernel can't know that: its TPM
 * has only a digest over it. */
static void tell_plan(void)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;

        if (state_open_read(&dir, NULL) < 0 || staged_read(&dir, STATE_PLAN, &staged, NULL) < 0)
                return;
        for (size_t b = 0; b < staged.plan.banks.n; b++) {
                const struct alg *alg = staged.plan.banks.alg[b];
                char hex[2 * DIGEST_MAX_BYTES + 1];

                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        if (!(staged.plan.registers & 1u << pcr))
                                continue;
                        hex_encode(SPAN(staged.plan.end[b][pcr].bytes, alg->size), hex);
                        progress_note("PCR %u, bank %s: with what is loaded it will read %s", pcr,
                                        alg->name, hex);
                }
        }
}

static int get(const struct ticket_arguments *a, struct error *error)
{
        int r = ticket_word_get(a, error);

        if (r == -EKEYREJECTED)
                tell_plan();
        return r;
}

/* ---- list ---- */

struct row {
        struct ticket ticket;
        char name[TICKET_NAME_MAX + 1]; /* "" if nobody can tell it */
        const char *state;
};

/* Names of those that are ready are in the TPM, of those that wait in the plan. */
static int make_rows(const struct ticket_arguments *a, struct row rows[TICKET_ROOM], size_t *n,
                struct error *error)
{
        _cleanup_ticket_session_ struct ticket_session t = TICKET_SESSION_NONE;
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_(staged_release) struct staged staged = STAGED_NONE;
        struct ticket tickets[TICKET_ROOM];
        int r = ticket_session_open(a, &t, error);

        *n = TICKET_ROOM;
        if (r == 0 && !t.nv)
                r = -ENODEV;
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

static int list(const struct ticket_arguments *a, struct error *error)
{
        struct row rows[TICKET_ROOM];
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

/* ---- drop ---- */

/* The plan's lock, and what it wants, where there is a plan and whoever asks may change it. */
static int open_plan(struct state_dir *dir, struct error *error)
{
        _cleanup_(state_close) struct state_dir look = STATE_DIR_NONE;

        if (geteuid() != 0 || state_open_read(&look, NULL) < 0 || !state_has(&look, STATE_PLAN))
                return 0;
        return state_open(dir, error);
}

static int unwant(const struct ticket_arguments *a, struct ticket_session *t,
                const struct state_dir *dir, bool *ret_wanted, struct error *error)
{
        *ret_wanted = false;
        return dir->fd < 0 ? 0 : tickets_unwant(t->tpm, &t->rules, dir, a->name, ret_wanted, error);
}

static int drop_named(
                const struct ticket_arguments *a, const struct state_dir *dir, struct error *error)
{
        _cleanup_ticket_session_ struct ticket_session t = TICKET_SESSION_NONE;
        struct row rows[TICKET_ROOM];
        size_t n, dropped = 0;
        bool wanted = false;
        int r = make_rows(a, rows, &n, error), q = 0;

        if (r == 0)
                r = ticket_session_open(a, &t, error);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (strcmp(rows[i].name, a->name) == 0) {
                        int s = ticket_drop(t.nv, rows[i].ticket.handle, error);

                        dropped += s == 0;
                        q = s < 0 ? s : q;
                }
        if (r == 0 && q == 0)
                r = unwant(a, &t, dir, &wanted, error);
        if (r == 0 && q == 0 && dropped == 0 && !wanted)
                return error_set(error, ENOENT,
                                "no ticket '%s' whose name can be told here: 'mkexec ticket list'",
                                a->name);
        return r < 0 ? r : q;
}

static int drop(const struct ticket_arguments *a, struct error *error)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_ticket_session_ struct ticket_session t = TICKET_SESSION_NONE;
        bool wanted;
        int r = a->left ? 0 : open_plan(&dir, error);

        if (r == 0 && a->name)
                return drop_named(a, &dir, error);
        if (r == 0)
                r = ticket_word_drop(a, error);
        if (r == 0 && dir.fd >= 0)
                r = ticket_session_open(a, &t, error);
        return r == 0 && t.tpm ? unwant(a, &t, &dir, &wanted, error) : r;
}

/* ---- the verb ---- */

static const struct ticket_word words[] = {
                {"put", .name = true, .run = put},
                {"list", .run = list},
                {"get", .name = true, .all = true, .run = get},
                {"drop", .name = true, .all = true, .left = true, .run = drop},
                {"lock", .run = ticket_word_lock},
};

static const struct ticket_program program = {
                .usage = "mkexec ticket put NAME [--pcr LIST] < SECRET\n"
                         "mkexec ticket get NAME [--output FILE]\n"
                         "mkexec ticket get --all --directory DIR\n"
                         "mkexec ticket list [--json]\n"
                         "mkexec ticket drop NAME | --all | --left\n"
                         "mkexec ticket lock [--directory DIR]",
                .about = "A secret in the TPM that only the kernel that was loaded can read, in "
                         "this power cycle, once. "
                         "put: after 'mkexec load'. get: in the second kernel. lock: nobody reads "
                         "those that are left; "
                         "the last thing an initrd does. drop --left: those that can't be read any "
                         "more.",
                .words = words,
                .n_words = ARRAY_SIZE(words),
};

int verb_ticket(int argc, char **argv)
{
        return ticket_verb(argc, argv, &program);
}
