/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The judge of evidence, rule by rule: what it takes, and for each rule a twin that it refuses, by
 * the word that is the rule's. */
#include "tests/unit/verify-fixture.h"

/* ---- what is true ---- */

static void test_trusted(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};
        struct evidence *e = machine_new(&m);

        rules_new(&r, &m);
        save_evidence("two-hops", e);
        judge(&r, e, &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        CHECK_EQ(v.ak->trusted, AK_GIVEN_AREA);
        CHECK(strcmp(v.bank->name, "sha256") == 0 && !v.weak);
        CHECK_EQ(v.quote.reset_count, 3);
        CHECK_EQ(v.unexplained, 0);
        REQUIRE(v.n_boots == 3);
        CHECK(!v.boots[0].hop && v.boots[0].reported_by == 0);
        CHECK(v.boots[1].hop->hop == 1 && v.boots[1].reported_by == 1);
        CHECK(v.boots[2].hop->hop == 2 && v.boots[2].reported_by == 2);
        CHECK_EQ(v.boots[2].hop->payload_sha256[0], 0xa2);
        CHECK(!v.boots[0].known && !v.boots[1].found_known);
        CHECK_EQ(v.plain_kexec.kind, PLAIN_KEXEC_POSSIBLE);
}

static void test_pristine(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};

        machine_new(&m);
        rules_new(&r, &m);
        release(&m.list);
        firmware(&m.list, "sha1");
        tpm_after(&m.list, &m.pcrs);
        judge(&r, rewrite(&m), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        save_evidence("pristine", &m.soft.evidence);
        CHECK_EQ(v.n_boots, 1);
        CHECK(v.logs.hops.pristine);
}

/* The kernel that made hop 2 is the first one: hop 1 started nothing. */
static void test_aborted(void)
{
        struct hop_ledger_entry entries[N_EVENTS];
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};
        struct hop_open open;

        machine_new(&m);
        rules_new(&r, &m);
        release(&m.list);
        firmware(&m.list, "sha1");
        fill_open(&open, entries, 1);
        add_hop(&m.list, &open, 5);
        add_end(&m.list, true, HOP_PCR, 1, 5);
        fill_open(&open, entries, 2);
        add_hop(&m.list, &open, N_SEQUENCE);
        tpm_after(&m.list, &m.pcrs);
        judge(&r, rewrite(&m), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        REQUIRE(v.n_boots == 3);
        CHECK(v.boots[1].hop->aborted && v.boots[1].reported_by == 1);
        CHECK(!v.boots[2].hop->aborted && v.boots[2].reported_by == 1);
        save_evidence("aborted", &m.soft.evidence);
        r.policy.aborted_hops = false;
        refused(&r, &m.soft.evidence, WORD_POLICY, "aborted");
}

/* Two banks quoted, both true; and one that no log has. */
static void test_banks(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e;

        machine_new(&m);
        rules_new(&r, &m);
        expect(&r, quote(&m, QUOTED, QUOTED), VERDICT_TRUSTED, WORD_NONE, "");
        e = quote(&m, QUOTED, 0x301);
        expect(&r, e, VERDICT_TRUSTED, WORD_NONE, "");
        save_evidence("two-banks", e);
        refused(&r, quote(&m, 0, QUOTED), WORD_WEAK, "SHA-1 is the only bank");
        refused(&r, quote(&m, 0x0ff, QUOTED), WORD_COVERAGE, "PCR 8, bank sha256");
        banks_add(&m.pcrs.banks, alg_by_name("sha384"));
        m.pcrs.measured[2] = QUOTED;
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                m.pcrs.pcr[2][pcr].alg = alg_by_name("sha384");
        refused(&r, quote(&m, 0, 0), WORD_BANK, "no bank of the event log");
        expect(&r, quote(&m, QUOTED, 0), VERDICT_TRUSTED, WORD_NONE, "");
}

/* ---- quotes ---- */

static void test_quote(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);
        struct evidence twin = *e;

        rules_new(&r, &m);
        r.input.nonce = TEXT("nonce of sixteem");
        refused(&r, e, WORD_NONCE, "another nonce");
        r.input.nonce = TEXT("nonce of sixteen.");
        refused(&r, e, WORD_NONCE, "another nonce");
        r.input.nonce = NONCE;
        twin.attest.size--;
        expect(&r, &twin, VERDICT_MALFORMED, WORD_QUOTE, "cut off");
        twin = *e;
        twin.signature.size--;
        expect(&r, &twin, VERDICT_MALFORMED, WORD_QUOTE, "cut off");
        twin = *e;
        twin.ak_public.size--;
        expect(&r, &twin, VERDICT_MALFORMED, WORD_KEY, "cut off");
        m.soft.signature.data[m.soft.signature.size - 1] ^= 1;
        refused(&r, e, WORD_SIGNATURE, "isn't the key's");
        m.soft.signature.data[m.soft.signature.size - 1] ^= 1;
        m.soft.attest.data[m.soft.attest.size - 1] ^= 1;
        refused(&r, e, WORD_SIGNATURE, "isn't the key's");
}

static void test_values(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);

        rules_new(&r, &m);
        e->pcrs.pcr[0][8].bytes[0] ^= 1;
        refused(&r, e, WORD_VALUES, "aren't those that were quoted");
        e->pcrs.pcr[0][8].bytes[0] ^= 1;
        e->pcrs.measured[0] |= 1u << 16;
        refused(&r, e, WORD_SELECTION, "PCR 16, bank sha256: a value is claimed");
        e->pcrs.measured[0] = QUOTED & ~(1u << 5);
        refused(&r, e, WORD_SELECTION, "PCR 5, bank sha256: the quote covers it");
        e->pcrs.measured[0] = QUOTED;
        e->pcrs.measured[1] = 1;
        refused(&r, e, WORD_SELECTION, "PCR 0, bank sha1: a value is claimed");
        for (unsigned pcr = 0; pcr < 16; pcr++) {
                char text[64];

                if (pcr == 10 || pcr > 11)
                        continue;
                snprintf(text, sizeof(text), "PCR %u, bank sha256: the quote doesn't cover it",
                                pcr);
                refused(&r, quote(&m, QUOTED & ~(1u << pcr), 0), WORD_COVERAGE, text);
        }
}

/* ---- logs ---- */

static void test_no_log(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct evidence *e = machine_new(&m);

        rules_new(&r, &m);
        for (size_t size = 1; size < m.log.size; size++) {
                _cleanup_verdict_ struct verdict v = {0};

                e->firmware_log.size = size;
                judge(&r, e, &v);
                CHECK(v.kind != VERDICT_TRUSTED);
                CHECK(v.word == WORD_LOG || v.word == WORD_HOP || v.word == WORD_PCR);
        }
        e->firmware_log = SPAN(NULL, 0);
        refused(&r, e, WORD_LOG, "no event log of firmware's");
}

static void set_text(struct list *l, size_t index, const char *text)
{
        set_data(l, index, SPAN(text, strlen(text)));
}

static void test_logs(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;

        machine_new(&m);
        rules_new(&r, &m);
        set_text(&m.list, FOREIGN_IPL, "grub_cmd: set y");
        refused(&r, rewrite(&m), WORD_HOP, "doesn't explain its digest");
        machine_release(&m);

        machine_new(&m);
        rules_release(&r);
        rules_new(&r, &m);
        set_text(&m.list, LEDGER1 + 1, "another section");
        refused(&r, rewrite(&m), WORD_HOP, "isn't that of the ledger");
        machine_release(&m);

        machine_new(&m);
        rules_release(&r);
        rules_new(&r, &m);
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        refused(&r, rewrite(&m), WORD_PCR, "PCR 8, bank sha256");
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        at(&m.list, HOP1 - 1)->event.digests.d[0].bytes[0] ^= 1;
        refused(&r, rewrite(&m), WORD_EVENT, "isn't the hash of its data");
        at(&m.list, HOP1 - 1)->event.digests.d[0].bytes[0] ^= 1;
        cut(&m.list, HOP2, END - HOP2);
        refused(&r, rewrite(&m), WORD_PCR, "PCR 8, bank sha256: isn't what the log's 1 hops");
        cut(&m.list, HOP1, HOP2 - HOP1);
        refused(&r, rewrite(&m), WORD_PCR, "PCR 8, bank sha256: isn't what the log's 0 hops");
}

/* A hop that went to PCR 9, which isn't quoted. */
static void test_registers(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;

        machine_new(&m);
        rules_new(&r, &m);
        refused(&r, quote(&m, QUOTED & ~(1u << 9), 0), WORD_COVERAGE,
                        "PCR 9, bank sha256: the quote doesn't cover it, but a hop went there");
}

/* Somebody extended PCR 15: no log explains it. */
static void test_unexplained(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};

        machine_new(&m);
        rules_new(&r, &m);
        m.pcrs.pcr[0][15].bytes[0] = 1;
        refused(&r, quote(&m, QUOTED, 0), WORD_POLICY, "15");
        m.pcrs.pcr[0][15].bytes[0] = 0;
        m.pcrs.pcr[0][10].bytes[0] = 1;
        judge(&r, quote(&m, QUOTED, 0), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        CHECK_EQ(v.unexplained, 1u << 10);
        CHECK_EQ(v.logs.pcr[0][10], CHECK_PCR_OPAQUE);
}

/* ---- what is told ---- */

static void add_text16(struct list *l, uint32_t pcr, const char *text)
{
        _cleanup_buf_ struct buf data = {0};

        for (const char *p = text; *p; p++)
                buf_put_u16(&data, (uint8_t)*p);
        buf_put_u16(&data, 0);
        add(l, pcr, EV_IPL, buf_span(&data), buf_span(&data));
}

static void test_lines(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_verdict_ struct verdict v = {0};

        machine_new(&m);
        rules_new(&r, &m);
        release(&m.list);
        firmware(&m.list, "sha1");
        add_text16(&m.list, 12, "quiet splash");
        add(&m.list, 8, EV_IPL, TEXT("kernel_cmdline: /vmlinuz ro\0"), TEXT("/vmlinuz ro"));
        add(&m.list, 12, EV_IPL, TEXT("never measured so\0"), TEXT("something else"));
        tpm_after(&m.list, &m.pcrs);
        judge(&r, rewrite(&m), &v);
        CHECK_EQ(v.kind, VERDICT_TRUSTED);
        save_evidence("command-lines", &m.soft.evidence);
        REQUIRE(v.n_boots == 1 && v.boots[0].n_lines == 2);
        CHECK(v.boots[0].lines[0].encoding == TEXT_UTF16 && v.boots[0].lines[0].text.size == 24);
        CHECK(span_equal(v.boots[0].lines[1].text, TEXT("/vmlinuz ro")));
}

/* ---- logs that are known ---- */

static void same_facts(const struct verdict *a, const struct verdict *b)
{
        CHECK_EQ(a->kind, b->kind);
        CHECK_EQ(a->word, b->word);
        CHECK(strcmp(a->reason.text, b->reason.text) == 0);
        CHECK_EQ(a->judged, b->judged);
        CHECK_EQ(a->unexplained, b->unexplained);
        CHECK(a->bank == b->bank && a->logs.result == b->logs.result);
        CHECK(memcmp(a->logs.pcr, b->logs.pcr, sizeof(a->logs.pcr)) == 0);
        REQUIRE(a->n_boots == b->n_boots);
        for (size_t i = 0; i < a->n_boots; i++) {
                const struct verdict_boot *x = &a->boots[i], *y = &b->boots[i];

                CHECK_EQ(verdict_boot_trusted(a, i), verdict_boot_trusted(b, i));
                CHECK_EQ(x->reported_by, y->reported_by);
                CHECK(!x->hop == !y->hop && (!x->hop || x->hop->hop == y->hop->hop));
                REQUIRE(x->n_lines == y->n_lines);
                for (size_t k = 0; k < x->n_lines; k++)
                        CHECK(span_equal(x->lines[k].text, y->lines[k].text));
        }
}

/* Judged anew, kept, and found again: the same each time. */
static void known_same(struct rules *r, struct known *known, struct machine *m, bool is_known)
{
        _cleanup_verdict_ struct verdict fresh = {0}, kept = {0}, again = {0};
        struct evidence *e = &m->soft.evidence;

        judge(r, e, &fresh);
        r->input.known = known;
        judge(r, e, &kept);
        CHECK_EQ(kept.borrowed, is_known);
        same_facts(&fresh, &kept);
        judge(r, e, &again);
        CHECK_EQ(again.borrowed, is_known);
        if (is_known)
                CHECK(again.boots == kept.boots);
        same_facts(&fresh, &again);
        r->input.known = NULL;
}

static void test_known(void)
{
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        struct known *known = NULL, *small = NULL;

        machine_new(&m);
        rules_new(&r, &m);
        CHECK_EQ(known_new(8, 1 << 16, &known), 0);
        CHECK_EQ(known_new(8, 16, &small), 0);
        known_same(&r, known, &m, true);
        known_same(&r, small, &m, false);
        /* other values, other logs: each judged for itself */
        m.pcrs.pcr[0][15].bytes[0] = 1;
        quote(&m, QUOTED, 0);
        known_same(&r, known, &m, true);
        m.pcrs.pcr[0][15].bytes[0] = 0;
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        rewrite(&m);
        known_same(&r, known, &m, true);
        at(&m.list, LEDGER1)->event.digests.d[0].bytes[0] ^= 1;
        rewrite(&m);
        known_same(&r, known, &m, true);
        quote(&m, QUOTED & ~1u, 0);
        known_same(&r, known, &m, true);
        /* what the policy says is asked each time */
        quote(&m, QUOTED, 0);
        r.input.known = known;
        expect(&r, &m.soft.evidence, VERDICT_TRUSTED, WORD_NONE, "");
        r.policy.kexec = false;
        refused(&r, &m.soft.evidence, WORD_POLICY, "policy");
        r.policy.kexec = true;
        r.input.nonce = TEXT("another nonce...");
        refused(&r, &m.soft.evidence, WORD_NONCE, "nonce");
        known_free(known);
        known_free(small);
}

/* ---- documents ---- */

static void test_document(void)
{
        _cleanup_evidence_ struct evidence scratch = {0};
        _cleanup_machine_ struct machine m;
        _cleanup_rules_ struct rules r;
        _cleanup_buf_ struct buf text = {0};
        struct evidence *e = machine_new(&m);
        struct error error = {{0}};
        size_t n = 0;

        rules_new(&r, &m);
        e->pcrs.banks.n = 1; /* a bank that isn't quoted isn't written */
        CHECK_EQ(evidence_write(e, &text, &error), 0);
        for (size_t size = text.size; size > 0; size -= size > 97 ? 97 : size) {
                _cleanup_verdict_ struct verdict v = {0};

                CHECK_EQ(verify_document(&r.input, SPAN(text.data, size), &scratch, &v, &error), 0);
                CHECK_EQ(v.kind, size == text.size ? VERDICT_TRUSTED : VERDICT_MALFORMED);
                CHECK_EQ(v.word, size == text.size ? WORD_NONE : WORD_EVIDENCE);
                n++;
        }
        CHECK(n > 20);
}

static const struct tap_test tests[] = {
                {"two hops", test_trusted},
                {"a boot by firmware alone", test_pristine},
                {"an aborted hop", test_aborted},
                {"banks", test_banks},
                {"nonce, quote, signature", test_quote},
                {"PCR values and what the quote covers", test_values},
                {"no log, logs cut anywhere", test_no_log},
                {"events of logs", test_logs},
                {"registers of hops", test_registers},
                {"PCRs that no log explains", test_unexplained},
                {"command lines", test_lines},
                {"logs that were judged before", test_known},
                {"documents, cut anywhere", test_document},
};
TAP_MAIN(tests)
