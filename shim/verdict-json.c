/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* docs/attestation.md, "Verdict", has the schema. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/verdict-writers.h"

const char *plain_kexec_word(enum plain_kexec kind)
{
        static const char *const words[] = {
                        [PLAIN_KEXEC_POSSIBLE] = "possible",
                        [PLAIN_KEXEC_EXCLUDED] = "excluded",
                        [PLAIN_KEXEC_SEEN] = "seen",
        };

        return words[kind];
}

const char *reference_word(const struct verdict_boot *boot)
{
        static const char *const words[] = {
                        [REFERENCE_UNKNOWN] = "unknown",
                        [REFERENCE_PART] = "part",
                        [REFERENCE_WHOLE] = "whole",
        };

        return boot->found_known ? words[boot->found.match] : "not compared";
}

static void put_text(struct json_writer *w, const char *name, const char *text)
{
        json_member_text(w, name, SPAN(text, strlen(text)));
}

static void put_bool(struct json_writer *w, const char *name, bool value)
{
        json_member(w, name);
        json_put(w, value ? "true" : "false");
}

static void put_optional(struct json_writer *w, const char *name, const char *text)
{
        if (text)
                put_text(w, name, text);
}

/* ---- quote ---- */

static void put_quote(struct json_writer *w, const struct verdict *verdict)
{
        const struct quote *quote = &verdict->quote;
        char scheme[7];

        json_open(w, "quote", "{");
        json_member_hex(w, "nonce", quote->nonce);
        json_member_number(w, "clock_ms", quote->clock_ms);
        put_bool(w, "clock_safe", quote->clock_safe);
        json_member_number(w, "reset_count", quote->reset_count);
        json_member_number(w, "restart_count", quote->restart_count);
        json_member_hex(w, "qualified_signer", quote->qualified_signer);
        put_text(w, "scheme", tpm_alg_text(verdict->signature.scheme, scheme));
        put_text(w, "hash", verdict->signature.hash->name);
        json_close(w, "}");
        json_open(w, "ak", "{");
        json_member_hex(w, "name", verdict->ak->name);
        put_bool(w, "trusted",
                        verdict->ak->trusted != AK_NOT_TRUSTED &&
                                        verdict->ak->trusted != AK_ANYBODYS);
        put_text(w, "trusted_by", ak_trusted_text(verdict->ak->trusted));
        json_close(w, "}");
}

/* ---- boots ---- */

static void put_hop(struct json_writer *w, const struct hop_info *hop)
{
        json_member_number(w, "hop", hop->hop);
        put_bool(w, "aborted", hop->aborted);
        json_member_hex(w, "payload_sha256", SPAN(hop->payload_sha256, 32));
        json_member_hex(w, "load_options_sha256", SPAN(hop->load_options_sha256, 32));
}

static void put_reference(struct json_writer *w, const struct verdict_boot *boot)
{
        const struct reference *reference = boot->found.reference;

        put_text(w, "match", reference_word(boot));
        if (!boot->found_known)
                return;
        if (boot->found.match != REFERENCE_WHOLE)
                put_text(w, "differs", boot->found.reason.text);
        if (!reference)
                return;
        put_optional(w, "reference", reference->name);
        if (!boot->known)
                return; /* what it says of itself isn't this kernel's */
        put_optional(w, "kernel", reference->kernel);
        put_optional(w, "os", reference->os);
        put_optional(w, "signer", reference->signer);
        put_optional(w, "command_line", reference->command_line);
}

static void put_measured(struct json_writer *w, const struct verdict_boot *boot)
{
        json_open(w, "command_lines", "[");
        for (size_t i = 0; i < boot->n_lines; i++) {
                json_member(w, NULL);
                json_put_string(w, boot->lines[i].text, boot->lines[i].encoding);
        }
        json_close(w, "]");
        json_open(w, "authorities", "[");
        for (size_t i = 0; i < boot->n_authorities; i++) {
                _cleanup_buf_ struct buf text = {0};

                verdict_authority(boot->authorities[i], &text);
                json_member(w, NULL);
                json_put_string(w, buf_span(&text), TEXT_UTF8);
        }
        json_close(w, "]");
        if (boot->cut)
                put_bool(w, "cut", true);
}

static void put_boots(struct json_writer *w, const struct verdict *verdict)
{
        json_open(w, "boots", "[");
        for (size_t i = 0; i < verdict->n_boots; i++) {
                const struct verdict_boot *boot = &verdict->boots[i];

                json_open(w, NULL, "{");
                json_member_number(w, "boot", i + 1);
                put_text(w, "measured_by", i == 0 ? "firmware" : "the boot that reports it");
                if (i > 0)
                        json_member_number(w, "reported_by", boot->reported_by);
                else
                        put_bool(w, "in_log", verdict->logs.hops.first_boot);
                put_bool(w, "trusted", verdict_boot_trusted(verdict, i));
                put_bool(w, "known", boot->known);
                if (boot->hop)
                        put_hop(w, boot->hop);
                put_reference(w, boot);
                put_measured(w, boot);
                json_close(w, "}");
        }
        json_close(w, "]");
}

/* ---- PCRs ---- */

/* Of the log's bank b and the quote's bank k; either may be missing. */
static void put_bank(struct json_writer *w, const struct verdict *verdict, int b, int k)
{
        const struct replay *replay = &verdict->logs.chain.replay, *pcrs = verdict->pcrs;
        const struct alg *alg = b >= 0 ? replay->banks.alg[b] : pcrs->banks.alg[k];
        uint32_t quoted = k >= 0 ? pcrs->measured[k] : 0;
        uint32_t logged = b >= 0 ? replay->measured[b] | replay->lacking[b] : 0;

        json_open(w, alg->name, "{");
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                char key[12];

                if (!((quoted | logged) & 1u << pcr))
                        continue;
                snprintf(key, sizeof(key), "%u", pcr);
                json_open(w, key, "{");
                if (quoted & 1u << pcr) {
                        put_text(w, "status",
                                        b >= 0 ? check_pcr_word(verdict->logs.pcr[b][pcr])
                                               : check_pcr_word(CHECK_PCR_OPAQUE));
                        json_member_hex(w, "value", SPAN(pcrs->pcr[k][pcr].bytes, alg->size));
                } else {
                        put_text(w, "status", "not quoted");
                }
                json_close(w, "}");
        }
        json_close(w, "}");
}

static void put_pcrs(struct json_writer *w, const struct verdict *verdict)
{
        const struct replay *replay = &verdict->logs.chain.replay, *pcrs = verdict->pcrs;

        json_open(w, "pcrs", "{");
        for (size_t b = 0; b < replay->banks.n; b++)
                put_bank(w, verdict, (int)b, replay_bank(pcrs, replay->banks.alg[b]->id));
        for (size_t k = 0; k < pcrs->banks.n; k++)
                if (replay_bank(replay, pcrs->banks.alg[k]->id) < 0)
                        put_bank(w, verdict, -1, (int)k);
        json_close(w, "}");
}

/* ---- all of it ---- */

static void put_remarks(struct json_writer *w, const struct check_result *logs)
{
        json_open(w, "remarks", "[");
        for (unsigned i = 0; i < CHECK_NOTES; i++)
                if (logs->notes[i].n > 0 && !check_note_refused((enum check_note)i)) {
                        json_member(w, NULL);
                        json_put_string(w,
                                        SPAN(check_note_word((enum check_note)i),
                                                        strlen(check_note_word(
                                                                        (enum check_note)i))),
                                        TEXT_UTF8);
                }
        json_close(w, "]");
}

static void put_all_judged(struct json_writer *w, const struct verdict *verdict)
{
        put_text(w, "bank", verdict->bank->name);
        put_bool(w, "weak", verdict->weak);
        put_boots(w, verdict);
        json_open(w, "plain_kexec", "{");
        put_text(w, "is", plain_kexec_word(verdict->plain_kexec.kind));
        put_text(w, "text", verdict->plain_kexec.text.text);
        json_close(w, "}");
        put_pcrs(w, verdict);
        put_remarks(w, &verdict->logs);
}

/* The same logs say the same, whoever quoted them. */
static void put_judged(struct json_writer *w, const struct verdict *verdict)
{
        struct buf *kept = verdict->kept_text
                                           ? &verdict->kept_text[verdict->kind == VERDICT_TRUSTED]
                                           : NULL;
        struct json_writer to_kept = {.out = kept}; /* behind other members */

        if (kept && kept->size == 0)
                put_all_judged(&to_kept, verdict);
        if (!kept || buf_failed(kept)) {
                put_all_judged(w, verdict);
                return;
        }
        buf_put_span(w->out, buf_span(kept));
        w->first = false;
}

void verdict_json(const struct verdict *verdict, struct json_writer *w)
{
        json_member_number(w, "version", 1);
        put_text(w, "verdict", verdict_kind_text(verdict->kind));
        json_open(w, "reason", "{");
        put_text(w, "word", verdict_word_text(verdict->word));
        put_text(w, "text", verdict->reason.text);
        json_close(w, "}");
        if (verdict->quoted)
                put_quote(w, verdict);
        if (verdict->judged)
                put_judged(w, verdict);
}
