/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkexec status: what is loaded, what the log tells of earlier hops and whether the TPM agrees.
 * Without root it says what it can see. --machine writes the facts that predict needs elsewhere. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/boot-log.h"
#include "shim/boot-systemd.h"
#include "shim/esp.h"
#include "shim/extend.h"
#include "shim/facts.h"
#include "shim/handover/kexec.h"
#include "shim/hop-exec.h"
#include "shim/json-values.h"
#include "shim/last-exec.h"
#include "shim/next-kernel.h"
#include "shim/options.h"
#include "shim/verb.h"

struct status {
        struct state_dir dir;
        struct tpm *tpm;
        struct buf log;
        struct boot_log_parts parts;
        struct banks banks;
        struct replay values;
        struct hop_verdict verdict;
        bool have_verdict;
        struct error reason; /* why there is no verdict, or what is wrong */
        struct staged staged;
        bool loaded; /* staged, and something stands in the kernel */
        bool unseen; /* not root: what is loaded can't be seen */

        int unlogged_kexec; /* boot_log_lacks_this_boot */
        bool armed;         /* the shutdown that is to end in it was begun */
        struct error stops; /* what would stop an exec; empty: nothing that shows */
        bool tickets_seen;  /* the TPM said which of the plan's tickets are there */
        uint32_t missing;   /* those that aren't: a bit for each row */
        char last_exec[LAST_EXEC_MAX +
                        1]; /* why an orderly exec came to nothing; empty: none did */
};

struct arguments {
        bool json, machine;
        const char *esp, *tcti;
};

static const struct option_row rows[] = {
                {"json", NULL, "as JSON", OPTION_FLAG(struct arguments, json)},
                {"machine", NULL,
                                "the facts of this machine that 'predict --machine FILE' wants "
                                "elsewhere: banks, registers, hop number, ESP, SMBIOS, some EFI "
                                "variables",
                                OPTION_FLAG(struct arguments, machine)},
                {"esp", "DIR", "the ESP (for --machine)", OPTION_TEXT(struct arguments, esp)},
                {"tcti", "TCTI", "the TPM (default: $TPM2TOOLS_TCTI, /dev/tpmrm0)",
                                OPTION_TEXT(struct arguments, tcti)},
};

static const struct options options = {
                .verb = "status",
                .usage = "mkexec status [OPTIONS]",
                .about = "What is loaded, how many boots the event log tells of, and whether the "
                         "TPM agrees with it.",
                .rows = rows,
                .n_rows = ARRAY_SIZE(rows),
};

static void status_release(struct status *s)
{
        staged_release(&s->staged);
        hop_verdict_release(&s->verdict);
        buf_release(&s->log);
        if (s->tpm)
                tpm_free(s->tpm);
        state_close(&s->dir);
}

/* The PCRs that the event log alone doesn't explain, and all logs together do, get the values that
 * the event log gives: nothing is to be said of them. */
static int leave_out_systemd(struct status *s, struct replay *values)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        const struct hop_verdict *v = &s->verdict;
        struct chain_result all;
        struct chain chain;
        int r = boot_systemd_read("/sys", s->dir.fd >= 0 ? &s->dir : NULL, buf_span(&s->log),
                        &s->parts, &systemd, &s->reason);

        if (r < 0)
                return r;
        boot_systemd_chain(&systemd, buf_span(&s->log), &chain);
        if (chain_replay(&chain, &v->replay.banks, NULL, &all, NULL) < 0)
                return 0; /* then it explains nothing */
        for (size_t b = 0; b < v->replay.banks.n; b++) {
                int k = replay_bank(values, v->replay.banks.alg[b]->id);

                for (unsigned pcr = 0; pcr < 16; pcr++)
                        if (v->differs[b] & 1u << pcr &&
                                        memcmp(all.replay.pcr[b][pcr].bytes,
                                                        values->pcr[k][pcr].bytes,
                                                        v->replay.banks.alg[b]->size) == 0)
                                values->pcr[k][pcr] = v->replay.pcr[b][pcr];
        }
        return 0;
}

/* The event log alone first: most machines without systemd need no more. */
static int check(struct status *s)
{
        struct replay values = s->values;
        int r = hop_check(buf_span(&s->log), &s->values, &s->verdict, &s->reason);

        if (r < 0 || s->verdict.result == HOP_RESULT_OK || !s->verdict.hops_ok)
                return r;
        r = leave_out_systemd(s, &values);
        if (r < 0)
                return r;
        hop_verdict_release(&s->verdict);
        return hop_check(buf_span(&s->log), &values, &s->verdict, &s->reason);
}

static int judge(struct status *s)
{
        int r = boot_log_read(
                        s->dir.fd >= 0 ? &s->dir : NULL, s->tpm, &s->log, &s->parts, &s->reason);

        if (r == 0)
                s->unlogged_kexec = boot_log_lacks_this_boot("/sys", &s->parts);
        if (s->unseen && s->unlogged_kexec > 0)
                s->unlogged_kexec = -EACCES; /* it may be in a log that only root can read */
        if (r == 0 && s->log.size == 0)
                r = error_set(&s->reason, ENOENT, "the kernel has no TPM event log");
        if (r == 0)
                r = tpm_active_banks(s->tpm, &s->banks, &s->reason);
        if (r == 0)
                r = tpm_pcr_read(s->tpm, &s->banks, 0xffff, &s->values, &s->reason);
        if (r == 0)
                r = check(s);
        if (r < 0)
                return r;
        s->have_verdict = true;
        s->reason = s->verdict.reason; /* empty if all is well */
        return 0;
}

/* What would stop it. */
static void foresee_exec(struct status *s)
{
        struct error tickets = {{0}};
        int q = hop_exec_check(s->tpm, &s->staged.plan, &s->stops);
        int r = tickets_check(s->tpm, &s->staged, &s->missing, &tickets);

        s->tickets_seen = r == 0 || r == -ENOKEY;
        if (q == 0 && r < 0)
                s->stops = tickets;
}

/* As root: with the lock, and a dead exec is finished first. */
static int gather(struct status *s, const char *tcti, struct error *error)
{
        bool root = geteuid() == 0;
        int r = root ? state_open(&s->dir, error) : state_open_read(&s->dir, error);

        if (r < 0 && root)
                return r;
        s->unseen = r == -EACCES;
        if (root && (r = extend_recover(&s->dir, tcti, error)) < 0)
                return r;
        r = tpm_esys_open(tcti, &s->tpm, &s->reason);
        if (r == 0)
                judge(s);
        if (s->dir.fd >= 0 && staged_read(&s->dir, STATE_PLAN, &s->staged, NULL) == 0)
                s->loaded = kexec_loaded("") == 1;
        s->armed = s->loaded && state_has(&s->dir, STATE_ARMED);
        if (s->loaded && s->tpm)
                foresee_exec(s);
        else if (s->loaded)
                s->stops = s->reason;
        if (last_exec_read("", s->last_exec, NULL) < 0)
                s->last_exec[0] = '\0';
        return 0;
}

static const char *verdict_name(const struct status *s)
{
        if (!s->have_verdict)
                return "unknown";
        return s->verdict.result == HOP_RESULT_OK         ? "ok"
               : s->verdict.result == HOP_RESULT_MISMATCH ? "mismatch"
                                                          : "malformed";
}

static struct json_object *hops_to_json(const struct hop_verdict *verdict)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < verdict->n_hops; i++) {
                const struct hop_info *hop = &verdict->hops[i];
                struct json_object *row = json_object_new_object();

                json_object_object_add(row, "hop", json_object_new_int64(hop->hop));
                json_object_object_add(
                                row, "payload_sha256", hex_to_json(SPAN(hop->payload_sha256, 32)));
                json_object_object_add(row, "aborted", json_object_new_boolean(hop->aborted));
                json_object_object_add(
                                row, "reported_by", json_object_new_string("the boot before it"));
                json_object_array_add(array, row);
        }
        return array;
}

static struct json_object *not_handed_over_to_json(const struct status *s)
{
        struct json_object *array = json_object_new_array();

        for (const char *const *what = next_kernel_ops_of(s->staged.handover)->not_handed_over;
                        *what; what++)
                json_object_array_add(array, json_object_new_string(*what));
        return array;
}

static struct json_object *parts_to_json(const struct boot_log_parts *parts)
{
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "kernel", json_object_new_int64((int64_t)parts->kernel));
        json_object_object_add(object, "carried", json_object_new_int64((int64_t)parts->carried));
        json_object_object_add(object, "aborted", json_object_new_int64((int64_t)parts->aborted));
        return object;
}

/* Those of the rows in mask. */
static struct json_object *tickets_to_json(const struct staged *staged, uint32_t mask)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < staged->n_tickets; i++)
                if (mask & 1u << i)
                        json_object_array_add(
                                        array, json_object_new_string(staged->tickets[i].name));
        return array;
}

static struct json_object *text_or_null(const char *text)
{
        return text[0] ? json_object_new_string(text) : NULL;
}

static void print_json(const struct status *s)
{
        struct json_object *object = json_object_new_object();
        const struct plan *plan = &s->staged.plan;

        json_object_object_add(object, "version", json_object_new_int(1));
        json_object_object_add(
                        object, "loaded", s->unseen ? NULL : json_object_new_boolean(s->loaded));
        json_object_object_add(object, "armed", json_object_new_boolean(s->armed));
        /* members that a reader may count on; null: not loaded, or not to be known */
        json_object_object_add(object, "payload",
                        s->loaded ? json_object_new_string(s->staged.payload) : NULL);
        json_object_object_add(object, "handover",
                        s->loaded ? json_object_new_string(handover_names[s->staged.handover])
                                  : NULL);
        if (s->loaded)
                json_object_object_add(object, "not_handed_over", not_handed_over_to_json(s));
        json_object_object_add(object, "hop", s->loaded ? json_object_new_int64(plan->hop) : NULL);
        json_object_object_add(object, "predicted",
                        s->loaded ? pcrs_to_json(&plan->banks, plan->touched,
                                                    (const struct digest(*)[PCR_COUNT])plan->end)
                                  : NULL);
        json_object_object_add(object, "tickets",
                        s->loaded ? tickets_to_json(&s->staged, UINT32_MAX) : NULL);
        json_object_object_add(object, "tickets_missing",
                        s->tickets_seen ? tickets_to_json(&s->staged, s->missing) : NULL);
        json_object_object_add(object, "exec_refused", text_or_null(s->stops.text));
        json_object_object_add(object, "last_exec", text_or_null(s->last_exec));
        json_object_object_add(object, "registers",
                        s->values.banks.n > 0
                                        ? pcrs_to_json(&s->values.banks,
                                                          s->loaded ? plan->touched
                                                                    : (1u << HOP_PCR |
                                                                                      s->verdict.registers),
                                                          (const struct digest(*)[PCR_COUNT])
                                                                          s->values.pcr)
                                        : NULL);
        json_object_object_add(object, "boots",
                        s->have_verdict ? json_object_new_int64((int64_t)s->verdict.n_hops + 1)
                                        : NULL);
        json_object_object_add(object, "verdict", json_object_new_string(verdict_name(s)));
        json_object_object_add(object, "reason", json_object_new_string(s->reason.text));
        json_object_object_add(object, "unlogged_kexec",
                        s->unlogged_kexec < 0 ? NULL
                                              : json_object_new_boolean(s->unlogged_kexec > 0));
        if (s->have_verdict) {
                json_object_object_add(object, "first_boot_in_log",
                                json_object_new_boolean(s->verdict.first_boot));
                json_object_object_add(object, "weak", json_object_new_boolean(s->verdict.weak));
                json_object_object_add(object, "unknown_bank",
                                json_object_new_boolean(s->verdict.unknown_bank));
                json_object_object_add(
                                object, "log_banks", banks_to_json(&s->verdict.replay.banks));
                json_object_object_add(object, "hops", hops_to_json(&s->verdict));
                json_object_object_add(object, "log_bytes", parts_to_json(&s->parts));
        }
        json_print(object);
}

static void print_loaded(const struct status *s)
{
        const struct next_kernel_ops *ops = next_kernel_ops_of(s->staged.handover);

        printf("loaded: %s (hop %u, %zu events)\n", s->staged.payload, s->staged.plan.hop,
                        s->staged.plan.n_events);
        printf("handed over by: %s\n",
                        s->staged.handover == HANDOVER_LOAD ? "kexec_load" : "kexec_file_load");
        for (const char *const *what = ops->not_handed_over; *what; what++)
                printf("not handed over: %s\n", *what);
        printf("tickets in the TPM for it: ");
        for (size_t i = 0; i < s->staged.n_tickets; i++)
                printf("%s%s%s", i > 0 ? ", " : "", s->staged.tickets[i].name,
                                s->missing & 1u << i ? " (missing)" : "");
        puts(s->staged.n_tickets > 0 ? "" : "none");
        if (s->stops.text[0])
                printf("exec would refuse: %s\n", s->stops.text);
        else if (s->armed)
                puts("exec: armed, the end of a shutdown for a kexec starts it");
        else if (access(MKEXEC_SHUTDOWN_HOOK, X_OK) == 0)
                puts("exec: nothing stands in its way");
        else
                puts("exec: only with --now, the shutdown hook isn't installed");
}

/* "PCR 0-7 9": a bit each. */
static void print_pcrs(uint32_t mask)
{
        fputs("PCR", stdout);
        for (unsigned first = 0; first < 16; first++) {
                unsigned last = first;

                if (!(mask & 1u << first))
                        continue;
                while (last < 15 && mask & 1u << (last + 1))
                        last++;
                printf(last > first ? " %u-%u" : " %u", first, last);
                first = last;
        }
}

static void print_proved(const struct status *s)
{
        const struct hop_verdict *v = &s->verdict;

        for (size_t b = 0; b < v->replay.banks.n; b++) {
                uint32_t not = v->differs[b] | v->unexplained[b];
                uint32_t proved = v->compared[b] & v->replay.measured[b] & ~not ;

                if (!proved)
                        continue;
                printf("proved by the TPM, bank %s: ", v->replay.banks.alg[b]->name);
                print_pcrs(proved);
                if (not ) {
                        fputs("; not: ", stdout);
                        print_pcrs(not );
                }
                puts("");
        }
}

static void print_text(const struct status *s)
{
        if (s->loaded)
                print_loaded(s);
        else
                puts(s->unseen ? "loaded: only root can see that" : "loaded: nothing");
        if (s->have_verdict) {
                printf("boots in the event log: %zu (the first %s", s->verdict.n_hops + 1,
                                s->verdict.first_boot ? "measured by firmware"
                                                      : "isn't in it: no event of firmware's");
                puts(s->verdict.n_hops ? ", each later one reported by the boot before it)" : ")");
                for (size_t i = 0; i < s->verdict.n_hops; i++) {
                        char hex[65];

                        hex_encode(SPAN(s->verdict.hops[i].payload_sha256, 32), hex);
                        printf("  hop %u: payload sha256 %s%s\n", s->verdict.hops[i].hop, hex,
                                        s->verdict.hops[i].aborted ? ", aborted" : "");
                }
        }
        if (s->have_verdict && s->parts.carried > 0)
                printf("%zu bytes of the event log come from the boot before, through the "
                       "initrd\n",
                                s->parts.carried);
        if (s->unlogged_kexec > 0)
                puts("this kernel was started by a kexec that the event log doesn't tell of");
        printf("event log and TPM: %s%s%s\n", verdict_name(s), s->reason.text[0] ? ": " : "",
                        s->reason.text);
        if (s->have_verdict)
                print_proved(s);
        if (s->have_verdict && s->verdict.weak)
                puts("SHA-1 is the log's only bank: it proves little");
        if (s->have_verdict && s->verdict.unknown_bank)
                puts("the log has a bank that can't be computed here: nothing is checked there");
        for (size_t b = 0; s->have_verdict && b < s->banks.n; b++)
                if (!banks_have(&s->verdict.replay.banks, s->banks.alg[b]->id))
                        printf("bank %s isn't in the event log: nothing is proved there\n",
                                        s->banks.alg[b]->name);
        if (s->have_verdict && s->verdict.unexplained[0])
                puts("PCR 10 (IMA) isn't explained by this log: a plain kexec would show there "
                     "only");
        if (s->last_exec[0])
                printf("the last exec came to nothing: %s\n", s->last_exec);
}

static int print_machine(const char *esp_directory, const char *tcti)
{
        _cleanup_(facts_release) struct facts facts = {0};
        _cleanup_(tpm_freep) struct tpm *tpm = NULL;
        _cleanup_(esp_release) struct esp esp = ESP_NONE;
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_buf_ struct buf log = {0};
        struct json_object *object;
        struct error error = {{0}};
        struct span log_bytes;
        int r = state_open(&dir, &error);

        if (r == 0)
                r = extend_recover(&dir, tcti, &error);
        if (r == 0)
                r = tpm_esys_open(tcti, &tpm, &error);
        if (r == 0)
                r = boot_log_read(&dir, tpm, &log, NULL, &error);
        log_bytes = buf_span(&log);
        if (r == 0)
                r = facts_read(tpm, &log_bytes, true, &facts, &error);
        if (r == 0)
                r = signature_rules_read(NULL, NULL, &facts.rules, &error);
        if (r == 0)
                r = esp_find(esp_directory, NULL, buf_span(&log), &esp, &error);
        if (r < 0)
                return fail(EXIT_REFUSED, &error);
        object = facts_to_json(&facts, buf_span(&esp.device_path));
        json_print(object);
        return EXIT_DONE;
}

int verb_status(int argc, char **argv)
{
        _cleanup_(status_release) struct status status = {
                        .dir = STATE_DIR_NONE, .unlogged_kexec = -ENODATA};
        struct arguments a = {0};
        struct error error = {{0}};
        int r = options_parse(&options, argc, argv, &a);

        if (r > 0)
                return r - 1;
        if (optind != argc)
                return usage_error("status");
        if (a.machine)
                return print_machine(a.esp, a.tcti);
        if (gather(&status, a.tcti, &error) < 0)
                return fail(EXIT_REFUSED, &error);
        if (a.json)
                print_json(&status);
        else
                print_text(&status);
        return status.have_verdict && status.verdict.result != HOP_RESULT_OK ? EXIT_REFUSED
                                                                             : EXIT_DONE;
}
