/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A verdict as a page for people: what it is and why, then boot by boot, then PCRs. */
#include <string.h>

#include "base/cleanup.h"
#include "shim/log-check.h"
#include "shim/verdict-writers.h"

static void print_escaped(
                FILE *out, const char *title, struct span text, enum text_encoding encoding)
{
        _cleanup_buf_ struct buf line = {0};

        escape_text(text, encoding, ESCAPE_LINE, &line);
        fprintf(out, "%s%.*s\n", title, (int)line.size, (const char *)line.data);
}

static void print_string(FILE *out, const char *title, const char *text)
{
        if (text)
                print_escaped(out, title, SPAN(text, strlen(text)), TEXT_UTF8);
}

static void print_hex(FILE *out, const char *title, struct span bytes)
{
        char hex[2 * 80 + 1];

        if (bytes.size > 80)
                return;
        hex_encode(bytes, hex);
        fprintf(out, "%s%s\n", title, hex);
}

static void print_quote(FILE *out, const struct verdict *verdict)
{
        const struct quote *quote = &verdict->quote;
        char scheme[7];

        fprintf(out, "quote: %s, %s, reset %u, restart %u, clock %llu.%03u s%s\n",
                        tpm_alg_text(verdict->signature.scheme, scheme),
                        verdict->signature.hash->name, quote->reset_count, quote->restart_count,
                        (unsigned long long)(quote->clock_ms / 1000),
                        (unsigned)(quote->clock_ms % 1000),
                        quote->clock_safe ? "" : " (may have been turned back)");
        print_hex(out, "  nonce: ", quote->nonce);
        print_hex(out, "  by the key with the name: ", verdict->ak->name);
        fprintf(out, "  which is trusted by: %s\n", ak_trusted_text(verdict->ak->trusted));
}

/* ---- boots ---- */

static void print_reference(FILE *out, const struct verdict_boot *boot)
{
        const struct reference *reference = boot->found.reference;

        if (!boot->found_known) {
                fputs("  not compared with reference values\n", out);
                return;
        }
        if (!boot->known) {
                print_string(out, "  not known: ", boot->found.reason.text);
                return;
        }
        print_string(out, "  known as: ", reference->name);
        print_string(out, "  kernel: ", reference->kernel);
        print_string(out, "  system: ", reference->os);
        print_string(out, "  signed by: ", reference->signer);
        print_string(out, "  its own command line: ", reference->command_line);
}

static void print_measured(FILE *out, const struct verdict_boot *boot)
{
        for (size_t i = 0; i < boot->n_lines; i++)
                print_escaped(out, "  command line, as measured: ", boot->lines[i].text,
                                boot->lines[i].encoding);
        for (size_t i = 0; i < boot->n_authorities; i++) {
                _cleanup_buf_ struct buf text = {0};

                verdict_authority(boot->authorities[i], &text);
                print_escaped(out, "  started by the word of ", buf_span(&text), TEXT_UTF8);
        }
        if (boot->cut)
                fputs("  and more of these\n", out);
}

static const char *boot_word(const struct verdict *verdict, size_t i)
{
        if (!verdict_boot_trusted(verdict, i))
                return "not trusted";
        return verdict->boots[i].known ? "trusted" : "not known, which the policy allows";
}

static void print_boot(FILE *out, const struct verdict *verdict, size_t i)
{
        const struct verdict_boot *boot = &verdict->boots[i];

        fprintf(out, "boot %zu: ", i + 1);
        if (i > 0)
                fprintf(out, "reported by boot %zu%s", boot->reported_by,
                                boot->hop->aborted ? ", opened, then aborted" : "");
        else
                fputs(verdict->logs.hops.first_boot ? "measured by firmware"
                                                    : "not in the log, which has no event of "
                                                      "firmware's",
                                out);
        fprintf(out, ": %s\n", boot_word(verdict, i));
        if (boot->hop)
                print_hex(out, "  payload sha256: ", SPAN(boot->hop->payload_sha256, 32));
        print_reference(out, boot);
        print_measured(out, boot);
}

/* ---- PCRs ---- */

static void print_pcrs(FILE *out, const struct verdict *verdict)
{
        const struct replay *replay = &verdict->logs.chain.replay, *pcrs = verdict->pcrs;

        fprintf(out, "bank that decides: %s%s\n", verdict->bank->name,
                        verdict->weak ? ", which is weak" : "");
        log_check_print_pcrs(out, &verdict->logs, "PCRs that aren't quoted: ");
        for (size_t k = 0; k < pcrs->banks.n; k++)
                if (replay_bank(replay, pcrs->banks.alg[k]->id) < 0)
                        fprintf(out, "bank %s isn't in the logs: nothing is proved there\n",
                                        pcrs->banks.alg[k]->name);
}

void verdict_text(const struct verdict *verdict, FILE *out)
{
        fprintf(out, "verdict: %s\n", verdict_kind_text(verdict->kind));
        if (verdict->word != WORD_NONE) {
                fprintf(out, "reason (%s): ", verdict_word_text(verdict->word));
                print_string(out, "", verdict->reason.text);
        }
        if (verdict->quoted)
                print_quote(out, verdict);
        if (!verdict->judged)
                return;
        for (size_t i = 0; i < verdict->n_boots; i++)
                print_boot(out, verdict, i);
        print_string(out, "plain kexec: ",
                        verdict->plain_kexec.text.text[0] ? verdict->plain_kexec.text.text
                                                          : "not judged");
        print_pcrs(out, verdict);
        log_check_print_remarks(out, &verdict->logs);
}
