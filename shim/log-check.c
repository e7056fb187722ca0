/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/log-check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "eventlog/json-writer.h"

#define FLUSH_BYTES 65536u

/* One pass. For JSON, or (out is NULL) for people. */
struct pass {
        const struct log_check *check;
        struct json_writer json;
        struct buf out, text;
        size_t n_rows;
        struct log_end {
                size_t n_records;
                struct error malformed;
        } * ends; /* of the sources */
};

static void pass_release(struct pass *p)
{
        buf_release(&p->out);
        buf_release(&p->text);
        free(p->ends);
}
#define _cleanup_pass_ __attribute__((cleanup(pass_release)))

static int pass_start(struct pass *p, const struct log_check *check, struct error *error)
{
        *p = (struct pass){.check = check};
        p->json = (struct json_writer){.out = &p->out, .first = true};
        p->ends = calloc(check->sources->n + !check->sources->n, sizeof(*p->ends));
        return p->ends ? 0 : error_set(error, ENOMEM, "out of memory");
}

static int pass_run(struct pass *p, int (*event)(void *context, const struct check_event *event),
                struct check_result *ret, struct error *error)
{
        const struct check_input input = {
                        .chain = p->check->logs->chain,
                        .pcrs = p->check->pcrs,
                        .systemd_lacks = p->check->logs->lacking,
                        .event = event,
                        .context = p,
        };

        return check_logs(&input, ret, error);
}

static int flush(struct pass *p, size_t least)
{
        if (buf_failed(&p->out))
                return -ENOMEM;
        if (p->out.size == 0 || p->out.size < least)
                return 0;
        if (fwrite(p->out.data, 1, p->out.size, p->check->out) < p->out.size)
                return -EIO;
        p->out.size = 0;
        return 0;
}

const char *log_check_verdict(enum hop_result result)
{
        static const char *const words[] = {
                        [HOP_RESULT_OK] = "ok",
                        [HOP_RESULT_MISMATCH] = "mismatch",
                        [HOP_RESULT_MALFORMED] = "malformed",
        };

        return words[result];
}

/* ---- rows ---- */

static void note_end(struct pass *p, const struct check_event *event)
{
        struct log_end *end = &p->ends[log_chain_source(p->check->logs, &event->place)];

        if (event->tcg || event->systemd || event->ima)
                end->n_records++;
        else if (!end->malformed.text[0])
                error_set(&end->malformed, EBADMSG, "%s", event->reason);
}

static bool pcr_of(const struct check_event *event, uint32_t *ret)
{
        if (event->tcg)
                *ret = event->tcg->pcr;
        else if (event->ima)
                *ret = event->ima->pcr;
        else if (event->systemd)
                *ret = event->systemd->pcr;
        return event->tcg || event->ima || (event->systemd && event->systemd->has_pcr);
}

/* "EV_IPL", systemd's event type, IMA's template; "" where the record can't be read. */
static struct span type_of(
                struct pass *p, const struct check_event *event, char name[EVENT_TYPE_TEXT_SIZE])
{
        const char *type = "";

        if (event->ima)
                return event->ima->name;
        p->text.size = 0;
        if (event->systemd && json_string(&event->systemd->event_type, &p->text))
                return buf_span(&p->text);
        if (event->tcg)
                type = event_type_text(event->tcg->type, name);
        return SPAN(type, strlen(type));
}

static void put_text(struct pass *p, const char *name, const char *text)
{
        json_member_text(&p->json, name, SPAN(text, strlen(text)));
}

static void put_bool(struct pass *p, const char *name, bool value)
{
        json_member(&p->json, name);
        json_put(&p->json, value ? "true" : "false");
}

static void put_element(struct pass *p, const char *text)
{
        json_member(&p->json, NULL);
        json_put_string(&p->json, SPAN(text, strlen(text)), TEXT_UTF8);
}

static int json_row(void *context, const struct check_event *event)
{
        struct pass *p = context;
        char name[EVENT_TYPE_TEXT_SIZE];
        uint32_t pcr;

        note_end(p, event);
        json_put(&p->json, p->n_rows++ > 0 ? ",\n{" : "\n{");
        p->json.first = true;
        json_member_number(&p->json, "log", log_chain_source(p->check->logs, &event->place));
        json_member_number(&p->json, "index", event->place.index);
        json_member_number(&p->json, "offset", event->place.offset);
        json_member(&p->json, "pcr");
        if (pcr_of(event, &pcr))
                json_put_number(&p->json, pcr);
        else
                json_put(&p->json, "null");
        json_member_text(&p->json, "type", type_of(p, event, name));
        put_text(p, "status", check_status_word(event->status));
        put_text(p, "reason", event->reason);
        json_open(&p->json, "notes", "[");
        for (unsigned note = 0; note < CHECK_NOTES; note++)
                if (event->notes & 1u << note)
                        put_element(p, check_note_word((enum check_note)note));
        json_close(&p->json, "]");
        json_close(&p->json, "}");
        return flush(p, FLUSH_BYTES);
}

/* ---- the rest of the document ---- */

static void put_value(struct pass *p, const char *name, const struct digest *value)
{
        json_member_hex(&p->json, name, SPAN(value->bytes, value->alg->size));
}

static void json_pcr(struct pass *p, unsigned pcr, enum check_pcr status,
                const struct digest *given, const struct digest *replayed)
{
        char key[12];

        snprintf(key, sizeof(key), "%u", pcr);
        json_open(&p->json, key, "{");
        put_text(p, "status", check_pcr_word(status));
        if (given)
                put_value(p, "value", given);
        if (replayed)
                put_value(p, "replayed", replayed);
        json_close(&p->json, "}");
}

/* PCRs that a log measures or that have a value. */
static void json_bank(struct pass *p, const struct check_result *result, size_t b)
{
        const struct replay *replay = &result->chain.replay, *pcrs = p->check->pcrs;
        uint32_t logged = replay->measured[b] | replay->lacking[b];
        int k = pcrs ? replay_bank(pcrs, replay->banks.alg[b]->id) : -1;
        uint32_t given = k >= 0 ? pcrs->measured[k] : 0;

        json_open(&p->json, replay->banks.alg[b]->name, "{");
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                if ((logged | given) & 1u << pcr)
                        json_pcr(p, pcr, result->pcr[b][pcr],
                                        given & 1u << pcr ? &pcrs->pcr[k][pcr] : NULL,
                                        logged & 1u << pcr ? &replay->pcr[b][pcr] : NULL);
        json_close(&p->json, "}");
}

/* No log explains a bank that no log has. */
static void json_unlogged_bank(struct pass *p, size_t k)
{
        const struct replay *pcrs = p->check->pcrs;

        json_open(&p->json, pcrs->banks.alg[k]->name, "{");
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                if (pcrs->measured[k] & 1u << pcr)
                        json_pcr(p, pcr, CHECK_PCR_OPAQUE, &pcrs->pcr[k][pcr], NULL);
        json_close(&p->json, "}");
}

static void json_pcrs(struct pass *p, const struct check_result *result)
{
        const struct replay *replay = &result->chain.replay, *pcrs = p->check->pcrs;

        json_open(&p->json, "pcrs", "{");
        for (size_t b = 0; b < replay->banks.n; b++)
                json_bank(p, result, b);
        for (size_t k = 0; pcrs && k < pcrs->banks.n; k++)
                if (replay_bank(replay, pcrs->banks.alg[k]->id) < 0)
                        json_unlogged_bank(p, k);
        json_close(&p->json, "}");
}

static void json_hops(struct pass *p, const struct hop_verdict *hops)
{
        json_open(&p->json, "hops", "[");
        for (size_t i = 0; i < hops->n_hops; i++) {
                json_open(&p->json, NULL, "{");
                json_member_number(&p->json, "hop", hops->hops[i].hop);
                json_member_hex(&p->json, "payload_sha256", SPAN(hops->hops[i].payload_sha256, 32));
                put_bool(p, "aborted", hops->hops[i].aborted);
                put_text(p, "reported_by", "the boot before it");
                json_close(&p->json, "}");
        }
        json_close(&p->json, "]");
}

/* Of notes that weren't reasons for a refusal. */
static void json_remarks(struct pass *p, const struct check_result *result)
{
        json_open(&p->json, "remarks", "[");
        for (unsigned i = 0; i < CHECK_NOTES; i++) {
                const struct check_noted *noted = &result->notes[i];

                if (noted->n == 0 || check_note_refused((enum check_note)i))
                        continue;
                json_open(&p->json, NULL, "{");
                put_text(p, "word", check_note_word((enum check_note)i));
                put_text(p, "text", check_note_text((enum check_note)i));
                json_member_number(&p->json, "count", noted->n);
                json_open(&p->json, "pcrs", "[");
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (noted->pcrs & 1u << pcr) {
                                json_member(&p->json, NULL);
                                json_put_number(&p->json, pcr);
                        }
                json_close(&p->json, "]");
                json_close(&p->json, "}");
        }
        json_close(&p->json, "]");
}

static void json_logs(struct pass *p)
{
        json_open(&p->json, "logs", "[");
        for (size_t i = 0; i < p->check->sources->n; i++) {
                const struct log_source *source = &p->check->sources->source[i];

                json_open(&p->json, NULL, "{");
                put_text(p, "name", source->name);
                put_text(p, "kind", log_kind_word(source->kind));
                json_member_number(&p->json, "records", p->ends[i].n_records);
                json_member(&p->json, "boot");
                if (source->boot > 0)
                        json_put_number(&p->json, source->boot);
                else
                        json_put(&p->json, "null");
                put_text(p, "lacks", log_source_lacks(source) ?: "");
                put_text(p, "malformed", p->ends[i].malformed.text);
                json_close(&p->json, "}");
        }
        json_close(&p->json, "]");
}

static void json_verdict(struct pass *p, const struct check_result *result)
{
        put_text(p, "verdict", log_check_verdict(result->result));
        put_text(p, "reason", result->reason.text);
        json_member_number(&p->json, "boots", result->hops.n_hops + 1);
        put_bool(p, "first_boot_in_log", result->hops.first_boot);
        put_bool(p, "pristine", result->hops.pristine);
        put_bool(p, "compared", result->compared);
        put_bool(p, "weak", result->hops.weak);
        put_bool(p, "unknown_bank", result->hops.unknown_bank);
        put_bool(p, "measurement_registers", result->cc);
        json_open(&p->json, "counts", "{");
        for (unsigned i = 0; i < CHECK_STATUSES; i++)
                json_member_number(&p->json, check_status_word((enum check_status)i),
                                result->n_events[i]);
        json_close(&p->json, "}");
        json_member_number(&p->json, "padding_bytes", result->padding_bytes);
        json_hops(p, &result->hops);
        json_pcrs(p, result);
        json_remarks(p, result);
        json_logs(p);
}

int log_check_json(const struct log_check *check, enum hop_result *ret, struct error *error)
{
        _cleanup_check_result_ struct check_result result = {0};
        _cleanup_pass_ struct pass p = {0};
        int r = pass_start(&p, check, error);

        if (r < 0)
                return r;
        json_open(&p.json, NULL, "{");
        json_member_number(&p.json, "version", 1);
        json_open(&p.json, "events", "[");
        r = pass_run(&p, json_row, &result, error);
        if (r < 0)
                return r;
        json_put(&p.json, "\n],\n");
        p.json.first = true;
        json_verdict(&p, &result);
        json_put(&p.json, "}\n");
        r = flush(&p, 0);
        if (r < 0)
                return error_set(error, -r, "%s", strerror(-r));
        *ret = result.result;
        return 0;
}

/* ---- for people ---- */

/* "0-9 14" */
static void print_mask(FILE *out, uint32_t mask)
{
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                unsigned last = pcr;

                if (!(mask & 1u << pcr))
                        continue;
                while (last + 1 < PCR_COUNT && mask & 1u << (last + 1))
                        last++;
                if (last > pcr)
                        fprintf(out, " %u-%u", pcr, last);
                else
                        fprintf(out, " %u", pcr);
                pcr = last;
        }
}

/* A line for one status: which PCRs, by bank. PCRs that no log measures and that read as after a
 * reset aren't worth it. */
static void print_pcrs(FILE *out, const struct check_result *result, enum check_pcr status,
                const char *title)
{
        const struct replay *replay = &result->chain.replay;
        bool any = false;

        for (size_t b = 0; b < replay->banks.n; b++) {
                uint32_t mask = 0;

                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (result->pcr[b][pcr] == status)
                                mask |= 1u << pcr;
                if (status == CHECK_PCR_PROVED || status == CHECK_PCR_NOT_COMPARED)
                        mask &= replay->measured[b];
                if (mask == 0)
                        continue;
                fprintf(out, "%s%s", any ? ", " : title, replay->banks.alg[b]->name);
                print_mask(out, mask);
                any = true;
        }
        if (any)
                fputc('\n', out);
}

void log_check_print_pcrs(FILE *out, const struct check_result *result, const char *without_value)
{
        const struct {
                enum check_pcr status;
                const char *title;
        } lines[] = {
                        {CHECK_PCR_PROVED, "PCRs proved by the logs: "},
                        {CHECK_PCR_DIFFERS, "PCRs that differ from the logs: "},
                        {CHECK_PCR_OPAQUE, "PCRs that no log explains: "},
                        {CHECK_PCR_LACKING, "PCRs whose events lack the bank: "},
                        {CHECK_PCR_NOT_COMPARED, without_value},
        };

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
                print_pcrs(out, result, lines[i].status, lines[i].title);
}

static void print_values(
                FILE *out, const struct log_check *check, const struct check_result *result)
{
        if (!check->pcrs) {
                fputs("not compared with PCR values (--pcrs, --tpm): the logs speak for themselves "
                      "only\n",
                                out);
                return;
        }
        log_check_print_pcrs(out, result, "PCRs without a value to compare with: ");
        for (size_t k = 0; k < check->pcrs->banks.n; k++)
                if (replay_bank(&result->chain.replay, check->pcrs->banks.alg[k]->id) < 0)
                        fprintf(out, "bank %s isn't in the logs: nothing is proved there\n",
                                        check->pcrs->banks.alg[k]->name);
}

/* What the verdict rests on: never more than was compared. */
static void print_boots(FILE *out, const struct check_result *result)
{
        const struct hop_verdict *hops = &result->hops;

        if (!result->firmware) {
                fputs("no firmware log: nothing tells what the PCRs started from\n", out);
                return;
        }
        if (result->cc) {
                fputs("measurement registers of a confidential guest: 0 is MRTD, n + 1 is RTMR n\n",
                                out);
                return;
        }
        fputs(hops->first_boot ? "boot 1: measured by firmware\n"
                               : "boot 1: not in the log, which has no event of firmware's\n",
                        out);
        for (size_t i = 0; i < hops->n_hops; i++)
                fprintf(out, "boot %zu: reported by boot %zu%s\n", i + 2, i + 1,
                                hops->hops[i].aborted ? " (opened, then aborted)" : "");
}

void log_check_print_remarks(FILE *out, const struct check_result *result)
{
        for (unsigned i = 0; i < CHECK_NOTES; i++) {
                const struct check_noted *noted = &result->notes[i];

                if (noted->n == 0 || check_note_refused((enum check_note)i))
                        continue;
                fprintf(out, "remark: %s", check_note_text((enum check_note)i));
                if (noted->pcrs) {
                        fprintf(out, " (%zu, PCR", noted->n);
                        print_mask(out, noted->pcrs);
                        fputc(')', out);
                }
                fputc('\n', out);
        }
}

static void print_remarks(
                FILE *out, const struct log_check *check, const struct check_result *result)
{
        if (result->hops.weak)
                fputs("SHA-1 is the only bank: the log proves little\n", out);
        if (result->hops.unknown_bank)
                fputs("a bank of the header can't be computed here and isn't checked\n", out);
        for (size_t i = 0; i < check->sources->n; i++)
                if (log_source_lacks(&check->sources->source[i]))
                        fprintf(out, "%s %s\n", check->sources->source[i].name,
                                        log_source_lacks(&check->sources->source[i]));
        log_check_print_remarks(out, result);
}

static int text_row(void *context, const struct check_event *event)
{
        struct pass *p = context;
        char name[EVENT_TYPE_TEXT_SIZE];
        struct span type;
        uint32_t pcr;

        if (event->status == CHECK_VERIFIED && event->notes == 0)
                return 0;
        if (p->check->sources->n > 1)
                buf_format(&p->out, "log %zu, ", log_chain_source(p->check->logs, &event->place));
        buf_format(&p->out, "event %zu at offset 0x%zx", event->place.index, event->place.offset);
        if (pcr_of(event, &pcr) && pcr < PCR_COUNT)
                buf_format(&p->out, " (PCR %u)", pcr);
        type = type_of(p, event, name);
        if (type.size > 0) {
                buf_put_u8(&p->out, ' ');
                escape_text(type, TEXT_UTF8, ESCAPE_LINE, &p->out);
        }
        buf_format(&p->out, ": %s", check_status_word(event->status));
        if (event->reason[0])
                buf_format(&p->out, ", %s", event->reason);
        for (unsigned note = 0; note < CHECK_NOTES; note++)
                if ((event->notes & 1u << note) && !check_note_refused((enum check_note)note))
                        buf_format(&p->out, "; %s", check_note_text((enum check_note)note));
        buf_put_u8(&p->out, '\n');
        return flush(p, FLUSH_BYTES);
}

static int count_row(void *context, const struct check_event *event)
{
        note_end(context, event);
        return 0;
}

static void print_logs(FILE *out, const struct log_check *check, const struct pass *p)
{
        for (size_t i = 0; check->sources->n > 1 && i < check->sources->n; i++)
                fprintf(out, "log %zu: %s, %s, %zu records%s%s\n", i,
                                check->sources->source[i].name,
                                log_kind_name(check->sources->source[i].kind), p->ends[i].n_records,
                                p->ends[i].malformed.text[0] ? ", malformed: " : "",
                                p->ends[i].malformed.text);
}

int log_check_text(const struct log_check *check, bool verbose, enum hop_result *ret,
                struct error *error)
{
        _cleanup_check_result_ struct check_result result = {0}, again = {0};
        _cleanup_pass_ struct pass p = {0};
        FILE *out = check->out;
        int r = pass_start(&p, check, error);

        if (r == 0)
                r = pass_run(&p, count_row, &result, error);
        if (r < 0)
                return r;
        fprintf(out, "%s%s%s\n", log_check_verdict(result.result),
                        result.reason.text[0] ? ": " : "", result.reason.text);
        print_boots(out, &result);
        print_logs(out, check, &p);
        fprintf(out,
                        "events: %zu verified by their data, %zu unverifiable, %zu malformed, %zu "
                        "wrong\n",
                        result.n_events[CHECK_VERIFIED], result.n_events[CHECK_UNVERIFIABLE],
                        result.n_events[CHECK_MALFORMED], result.n_events[CHECK_MISMATCH]);
        print_values(out, check, &result);
        print_remarks(out, check, &result);
        *ret = result.result;
        if (!verbose)
                return 0;
        r = pass_run(&p, text_row, &again, error);
        if (r >= 0)
                r = flush(&p, 0);
        return r < 0 ? error_set(error, -r, "%s", strerror(-r)) : 0;
}
