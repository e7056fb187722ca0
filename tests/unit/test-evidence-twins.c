/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Forged evidence: each twin differs in one thing from evidence that is trusted, and is refused for
 * just that. A row changes what is shown before the quote is made (the TPM keeps its values), or
 * behind it. */
#include "tests/unit/attested.h"

static uint8_t scratch[65536];

/* ---- the quote ---- */

static void old_nonce(struct attested *m, struct evidence *e)
{
        m->input.nonce = TEXT("another nonce ..");
}

static void short_nonce(struct attested *m, struct evidence *e)
{
        m->input.nonce = TEXT("nonce of sixtee");
}

static void long_nonce(struct attested *m, struct evidence *e)
{
        m->input.nonce = TEXT("nonce of sixteen!");
}

static void without_8(struct attested *m)
{
        m->quoted[0] = QUOTED & ~(1u << 8);
        m->quoted[1] = 0;
}

static void without_7(struct attested *m)
{
        m->quoted[0] = QUOTED & ~(1u << 7);
        m->quoted[1] = 0;
}

static void without_0(struct attested *m)
{
        m->quoted[0] = QUOTED & ~1u;
        m->quoted[1] = 0;
}

static void without_register(struct attested *m)
{
        m->quoted[0] = QUOTED & ~(1u << 9);
        m->quoted[1] = 0;
}

static void without_closed(struct attested *m)
{
        m->quoted[0] = QUOTED & ~(1u << 11);
        m->quoted[1] = 0;
}

static void sha1_alone(struct attested *m)
{
        m->quoted[0] = 0;
}

static void more_claimed(struct attested *m, struct evidence *e)
{
        e->pcrs.measured[0] |= 1u << 16;
}

static void less_claimed(struct attested *m, struct evidence *e)
{
        e->pcrs.measured[0] &= ~(1u << 14);
}

static void other_bank_claimed(struct attested *m, struct evidence *e)
{
        e->pcrs.banks.n = 1;
}

static void value_edited(struct attested *m, struct evidence *e)
{
        e->pcrs.pcr[0][8].bytes[31] ^= 1;
}

static void weak_value_edited(struct attested *m, struct evidence *e)
{
        e->pcrs.pcr[1][3].bytes[0] ^= 0x80;
}

static void values_exchanged(struct attested *m, struct evidence *e)
{
        struct digest kept = e->pcrs.pcr[0][4];

        e->pcrs.pcr[0][4] = e->pcrs.pcr[0][11];
        e->pcrs.pcr[0][11] = kept;
}

/* Copies bytes so that one of them can be changed. */
static uint8_t *own_copy(struct span *s)
{
        memcpy(scratch, s->data, s->size);
        s->data = scratch;
        return scratch;
}

static void attest_magic(struct attested *m, struct evidence *e)
{
        own_copy(&e->attest)[0] ^= 1;
}

static void attest_of_another_kind(struct attested *m, struct evidence *e)
{
        own_copy(&e->attest)[5] = 0x17; /* TPM_ST_ATTEST_CERTIFY */
}

static void attest_prolonged(struct attested *m, struct evidence *e)
{
        own_copy(&e->attest);
        e->attest.size++;
}

static void attest_clock(struct attested *m, struct evidence *e)
{
        own_copy(&e->attest)[10 + 34 - 4 + 2 + 16 + 7] ^= 1;
}

static void attest_digest(struct attested *m, struct evidence *e)
{
        own_copy(&e->attest)[e->attest.size - 1] ^= 1;
}

static void signature_changed(struct attested *m, struct evidence *e)
{
        own_copy(&e->signature)[e->signature.size - 1] ^= 1;
}

static void signature_of_another_hash(struct attested *m, struct evidence *e)
{
        own_copy(&e->signature)[3] = TPM_ALG_SHA384;
}

static void signature_scheme(struct attested *m, struct evidence *e)
{
        own_copy(&e->signature)[1] = 0x16; /* RSAPSS */
}

static struct soft_ak other_ak;

static void other_key_shown(struct attested *m, struct evidence *e)
{
        e->ak_public = buf_span(&other_ak.public);
}

static void other_key_signs(struct attested *m)
{
        EVP_PKEY *kept = m->ak.key;

        m->ak.key = other_ak.key;
        other_ak.key = kept;
        m->ak.public.size = 0;
        put_public(&m->ak.public, m->ak.key, SOFT_AK_ATTRIBUTES);
}

static void key_that_signs_anything(struct attested *m, struct evidence *e)
{
        own_copy(&e->ak_public)[5] &= (uint8_t)~1u; /* restricted is bit 16 */
}

static void key_that_can_leave(struct attested *m, struct evidence *e)
{
        own_copy(&e->ak_public)[7] &= (uint8_t)~2u; /* fixedTPM is bit 1 */
}

/* ---- events ---- */

static void swap(struct list *l, size_t a, size_t b)
{
        struct item kept = *at(l, a);

        *at(l, a) = *at(l, b);
        *at(l, b) = kept;
}

/* A copy of an event, at another place. */
static void copy_to(struct list *l, size_t from, size_t to)
{
        struct item *source = at(l, from);
        struct item *copy = add(l, source->event.pcr, source->event.type, source->event.data,
                        source->event.data);

        copy->event.digests = at(l, from)->event.digests;
        last_to(l, to);
}

#define TWIN(name, ...)                      \
        static void name(struct attested *m) \
        {                                    \
                struct list *l = &m->list;   \
                                             \
                (void)l;                     \
                __VA_ARGS__;                 \
        }

TWIN(event_edited, set_data(l, HOP1 - 1, TEXT("\0\0\0\1")))
TWIN(event_edited_and_hashed, set_data(l, 4, TEXT(".\0m\0\0\0")); recompute(l, 4))
TWIN(event_digest, at(l, 1)->event.digests.d[0].bytes[7] ^= 1)
TWIN(event_digest_weak, at(l, 4)->event.digests.d[1].bytes[7] ^= 1)
TWIN(event_pcr, at(l, 1)->event.pcr = 3)
TWIN(event_cut, cut(l, 1, 1))
TWIN(event_doubled, copy_to(l, 1, 2))
TWIN(event_in_no_action, at(l, 1)->event.type = EV_NO_ACTION)
TWIN(event_of_grub, set_data(l, FOREIGN_IPL, TEXT("grub_cmd: set y\0")))
TWIN(separator_before, add(l, 7, EV_SEPARATOR, TEXT("\0\0\0\0"), TEXT("\0\0\0\0")); last_to(l, 2))
TWIN(locality_twice, add(l, 0, EV_NO_ACTION, TEXT("StartupLocality\0\3"), TEXT("")); last_to(l, 1);
                copy_to(l, 1, 2))
TWIN(locality_late, add(l, 0, EV_NO_ACTION, TEXT("StartupLocality\0\3"), TEXT("")); last_to(l, 3))
TWIN(locality_invented, add(l, 0, EV_NO_ACTION, TEXT("StartupLocality\0\3"), TEXT(""));
                last_to(l, 1))
TWIN(bank_left_unextended, memset(m->pcrs.pcr[1][4].bytes, 0, 20))

/* ---- hops ---- */

TWIN(hop_data, set_data(l, LEDGER1 + 1, TEXT("another section")))
TWIN(hop_digest, at(l, LEDGER1 + 2)->event.digests.d[0].bytes[0] ^= 1)
TWIN(hop_type, at(l, LEDGER1 + 1)->event.type = EV_EVENT_TAG)
TWIN(hop_pcr, at(l, LEDGER1 + 1)->event.pcr = 9)
TWIN(hop_exchanged, swap(l, LEDGER1 + 1, LEDGER1 + 3))
TWIN(hop_event_cut, cut(l, LEDGER1 + 2, 1))
TWIN(hop_event_doubled, copy_to(l, LEDGER1 + 2, LEDGER1 + 2))
TWIN(hop_separator, add(l, 8, EV_SEPARATOR, TEXT("\0\0\0\0"), TEXT("\0\0\0\0"));
                last_to(l, LEDGER2))
TWIN(between_hops, add(l, 8, EV_IPL, TEXT("x"), TEXT("x")); last_to(l, HOP2))
TWIN(behind_hops, add(l, 8, EV_IPL, TEXT("x"), TEXT("x")))
TWIN(behind_hops_elsewhere, add(l, 4, EV_IPL, TEXT("x"), TEXT("x")))
TWIN(hop_1_cut, m->systemd_boot = 2; cut(l, HOP1, HOP2 - HOP1))
TWIN(hop_2_cut, m->systemd_boot = 2; cut(l, HOP2, END - HOP2))
TWIN(both_hops_cut, m->systemd_boot = 1; cut(l, HOP1, END - HOP1))
TWIN(hops_exchanged, for (size_t i = 0; i < HOP2 - HOP1; i++) swap(l, HOP1 + i, HOP2 + i))
TWIN(hop_doubled, for (size_t i = 0; i < END - HOP2; i++) copy_to(l, HOP2 + i, END + i))
TWIN(open_cut, m->systemd_boot = 2; cut(l, HOP1, 1))
TWIN(open_of_register_cut, cut(l, HOP1 + 1, 1))
TWIN(open_of_closed_cut, cut(l, HOP1 + 2, 1))
TWIN(open_elsewhere_first, swap(l, HOP1, HOP1 + 1))
TWIN(close_cut, cut(l, CLOSE2, 2))
TWIN(close_1_cut, cut(l, CLOSE1, 2))
TWIN(close_of_register_cut, cut(l, CLOSE2 + 1, 1))
TWIN(bank_left_out_in_hop, at(l, LEDGER1 + 1)->sha256_only = true)
TWIN(bank_left_out_in_open, at(l, HOP1)->sha256_only = true)
TWIN(abort_appended, add_end(l, true, HOP_PCR, 2, N_SEQUENCE))
TWIN(abort_miscounted, add_end(l, true, HOP_PCR, 2, N_SEQUENCE - 1))
TWIN(abort_of_the_other, add_end(l, true, HOP_PCR, 1, N_SEQUENCE))
TWIN(abort_elsewhere, add_end(l, true, 9, 2, N_SEQUENCE))
TWIN(abort_in_the_middle, add_end(l, true, HOP_PCR, 1, N_SEQUENCE); last_to(l, HOP2))
TWIN(abort_for_close, cut(l, CLOSE2, 2); add_end(l, true, HOP_PCR, 2, N_SEQUENCE - 2))
TWIN(close_twice, add_end(l, false, HOP_PCR, 2, N_EVENTS))
TWIN(close_retyped, at(l, CLOSE2)->event.type = EV_IPL)
TWIN(open_retyped, m->systemd_boot = 2; at(l, HOP2)->event.type = EV_NO_ACTION)

/* The open event's data with one byte changed, in all PCRs that it went to. */
static void edit_open(struct list *l, size_t offset, uint8_t value, bool hashed)
{
        for (size_t i = 0; i < 3; i++) {
                at(l, HOP1 + i)->data[offset] = value;
                if (hashed)
                        recompute(l, HOP1 + i);
        }
}

#define LEDGER_TYPE (116 + 32 + 4) /* docs/measurements.md: one initrd, the type of event 0 */

TWIN(open_version, edit_open(l, 8, 2, true))
TWIN(open_number, edit_open(l, 12, 3, true))
TWIN(open_map_without_anchor, edit_open(l, 16 + 4, 10, true))
TWIN(open_map_to_nowhere, edit_open(l, 16 + 4, 31, true))
TWIN(open_closes_the_anchor, edit_open(l, 41, 0x09, true))
TWIN(open_payload, edit_open(l, 44, 0x55, false))
TWIN(open_payload_hashed, edit_open(l, 44, 0x55, true))
TWIN(open_load_options_hashed, edit_open(l, 76, 0x55, true))
TWIN(ledger_relabelled, edit_open(l, LEDGER_TYPE, 0x0d, false))
TWIN(ledger_relabelled_hashed, edit_open(l, LEDGER_TYPE, 0x0d, true))
TWIN(ledger_pcr_hashed, edit_open(l, LEDGER_TYPE - 4, 12, true))
TWIN(ledger_longer, edit_open(l, 112 + 32, 6, true))

/* The second kernel appends to PCR 8 what it likes: here an open with another ledger, and a close.
 */
static void forged_hop_appended(struct attested *m)
{
        size_t first = m->list.n;

        for (size_t i = 0; i < 3; i++)
                copy_to(&m->list, HOP1 + i, m->list.n + 1);
        add_end(&m->list, false, HOP_PCR, 1, N_EVENTS);
        for (size_t i = first; i < m->list.n; i++)
                extend(m, m->list.items[i].event.pcr, m->list.items[i].event.data);
}

static void forged_close_appended(struct attested *m)
{
        size_t first = m->list.n;

        add_end(&m->list, false, HOP_PCR, 2, N_EVENTS);
        extend(m, HOP_PCR, m->list.items[first].event.data);
}

static void forged_abort_appended(struct attested *m)
{
        size_t first = m->list.n;

        add_end(&m->list, true, HOP_PCR, 2, 3);
        extend(m, HOP_PCR, m->list.items[first].event.data);
}

/* Hop 2's measurements as if firmware had started it: under the PCRs that its payload named. */
static void hop_as_firmware_boot(struct attested *m)
{
        cut(&m->list, HOP1, END - HOP1);
        m->systemd_boot = 1;
        for (size_t i = 0; i < N_EVENTS; i++)
                add(&m->list, payload_events[i].payload_pcr, payload_events[i].type,
                                payload_events[i].data, payload_events[i].hashed);
}

/* The TPM of a machine that never had a hop. */
static void firmware_boot_as_hop(struct attested *m)
{
        size_t all = m->list.n;

        m->list.n = HOP1 - 1;
        tpm_after(&m->list, &m->pcrs);
        m->list.n = all;
}

static void reset_since(struct attested *m)
{
        replay_start(&m->pcrs, &m->list.banks);
}

/* ---- the log's bytes ---- */

static void log_padded(struct attested *m, struct evidence *e)
{
        own_copy(&e->firmware_log);
        memcpy(scratch + e->firmware_log.size, "more", 4);
        e->firmware_log.size += 4;
}

static void log_undeclared_bank(struct attested *m, struct evidence *e)
{
        struct cursor c = CURSOR(e->firmware_log);
        uint32_t header;

        own_copy(&e->firmware_log);
        c.offset = 28;
        CHECK(cursor_u32(&c, &header) && header < 100);
        scratch[32 + header + 4 + 4 + 4] = TPM_ALG_SHA384; /* of the first event's first digest */
}

static void log_header_bank(struct attested *m, struct evidence *e)
{
        own_copy(&e->firmware_log)[32 + 28] = TPM_ALG_SHA384; /* the first declared algorithm */
}

static void log_header_version(struct attested *m, struct evidence *e)
{
        own_copy(&e->firmware_log)[32] ^= 1; /* "Spec ID Event03" */
}

static void log_header_of_cc(struct attested *m, struct evidence *e)
{
        own_copy(&e->firmware_log)[0] = 1; /* PCR 1 */
}

static void log_away(struct attested *m, struct evidence *e)
{
        e->firmware_log = SPAN(NULL, 0);
}

/* ---- systemd's and IMA's ---- */

static void systemd_digest(struct attested *m, struct evidence *e)
{
        char *digest = memmem(
                        own_copy(&e->systemd[0].log), e->systemd[0].log.size, "\"digest\":\"", 10);

        CHECK(digest);
        digest[15] = digest[15] == '0' ? '1' : '0';
}

static void systemd_pcr(struct attested *m, struct evidence *e)
{
        own_copy(&e->systemd[0].log)[9] = '2'; /* "pcr":11 to 12 */
}

static void systemd_cut(struct attested *m, struct evidence *e)
{
        uint8_t *second = memrchr(e->systemd[0].log.data, 0x1e, e->systemd[0].log.size);

        e->systemd[0].log.size = (size_t)(second - e->systemd[0].log.data);
}

static void systemd_away(struct attested *m, struct evidence *e)
{
        e->n_systemd = 0;
}

static void systemd_of_no_boot(struct attested *m, struct evidence *e)
{
        e->systemd[0].boot = 4;
}

static void systemd_garbage(struct attested *m, struct evidence *e)
{
        own_copy(&e->systemd[0].log)[1] = '[';
}

static void ima_needed(struct attested *m)
{
        m->policy.plain_kexec = false;
}

static void ima_shortened(struct attested *m, struct evidence *e)
{
        ima_needed(m);
        e->ima.size -= 93; /* a record of its */
}

static void ima_prolonged(struct attested *m, struct evidence *e)
{
        size_t first = 4 + 20 + 4 + 6 + 4 + 63, more = 93; /* the boot_aggregate; a file */

        ima_needed(m);
        own_copy(&e->ima);
        memmove(scratch + first + more, scratch + first, e->ima.size - first);
        memcpy(scratch + first, scratch + e->ima.size, more);
        e->ima.size += more;
}

static void ima_edited(struct attested *m, struct evidence *e)
{
        ima_needed(m);
        own_copy(&e->ima)[e->ima.size - 20] ^= 1;
}

static void ima_away(struct attested *m, struct evidence *e)
{
        ima_needed(m);
        e->ima = SPAN(NULL, 0);
}

static void plain_kexec(struct attested *m)
{
        struct replay at;

        /* the kernel that runs was started by kexec -e: its list begins anew, PCR 10 goes on */
        m->ima.size = 0;
        tpm_after(&m->list, &at);
        m->pcrs.pcr[0][10] = at.pcr[0][10];
        m->pcrs.pcr[1][10] = at.pcr[1][10];
        put_ima(m);
        tpm_after(&m->list, &at);
        m->ima.size = 0;
        m->pcrs.pcr[0][10] = at.pcr[0][10];
        m->pcrs.pcr[1][10] = at.pcr[1][10];
        for (size_t i = 0; i < 2; i++) {
                size_t all = m->list.n;

                m->list.n = i == 0 ? HOP1 - 1 : HOP2 - 1;
                tpm_after(&m->list, &at);
                ima_boot(NULL, &m->pcrs, &at);
                m->list.n = all;
        }
        tpm_after(&m->list, &at);
        ima_boot(NULL, &m->pcrs, &at);
        ima_boot(&m->ima, &m->pcrs, &at);
}

/* ---- what is demanded ---- */

static void no_kexec(struct attested *m)
{
        m->policy.kexec = false;
}

static void one_hop(struct attested *m)
{
        m->policy.most_hops = 1;
}

/* References of kernels that aren't these. */
static void other_references(struct attested *m)
{
        _cleanup_buf_ struct buf text = {0};
        struct error error;
        char path[4096];

        snprintf(path, sizeof(path), "%.*scorpus/references/ok-kexec.json",
                        (int)(strstr(__FILE__, "unit/") - __FILE__), __FILE__);
        CHECK_EQ(buf_read_file(path, 1 << 20, &text, &error), 0);
        CHECK_EQ(reference_set_new(&m->references), 0);
        CHECK_EQ(reference_set_add(m->references, buf_span(&text), "other.json", &error), 0);
        CHECK_EQ(reference_set_index(m->references), 0);
        m->input.references = m->references;
}

static void other_references_of_hops(struct attested *m)
{
        other_references(m);
        m->policy.first_boot_pcrs = 0;
}

static void aborted_hop(struct attested *m)
{
        abort_appended(m);
        extend(m, HOP_PCR, m->list.items[m->list.n - 1].event.data);
        m->policy.aborted_hops = false;
}

static void nothing(struct attested *m)
{
}

/* ---- all of them ---- */

#define ROW(function, word, text)                     \
        {                                             \
#function, function, NULL, word, text \
        }
#define BEHIND(function, word, text)                  \
        {                                             \
#function, NULL, function, word, text \
        }

static const struct row {
        const char *name;
        void (*before)(struct attested *m);
        void (*behind)(struct attested *m, struct evidence *e);
        enum verdict_word word;
        const char *text;
} rows[] = {
                ROW(nothing, WORD_NONE, ""),
                ROW(ima_needed, WORD_NONE, ""),
#include "tests/unit/evidence-twins.def"
};

static void twins_are_refused(void)
{
        size_t n = 0;

        soft_ak_new(&other_ak, false);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct row *row = &rows[i];
                _cleanup_attested_ struct attested m;
                _cleanup_verdict_ struct verdict v = {0};
                struct error error = {{0}};
                struct evidence *e;

                attested_new(&m, false);
                if (row->before)
                        row->before(&m);
                e = attested_show(&m);
                if (row->behind)
                        row->behind(&m, e);
                CHECK_EQ(verify_evidence(&m.input, e, &v, &error), 0);
                CHECK_EQ(v.kind == VERDICT_TRUSTED, row->word == WORD_NONE);
                if (v.word != row->word || !strstr(v.reason.text, row->text)) {
                        CHECK(false);
                        printf("# %s: (%s) %s\n", row->name, verdict_word_text(v.word),
                                        v.reason.text);
                }
                n += row->word != WORD_NONE;
        }
        soft_ak_release(&other_ak);
        CHECK(n >= 60);
        printf("# %zu twins\n", n);
}

/* ---- cut anywhere ---- */

static void structures_cut_at_each_byte(void)
{
        _cleanup_attested_ struct attested m;
        struct evidence *e;

        attested_new(&m, false);
        e = attested_show(&m);
        for (unsigned part = 0; part < 3; part++) {
                struct span *spans[] = {&e->attest, &e->signature, &e->ak_public};
                struct span whole = *spans[part];

                for (size_t size = 0; size < whole.size; size++) {
                        _cleanup_verdict_ struct verdict v = {0};

                        spans[part]->size = size;
                        CHECK_EQ(verify_evidence(&m.input, e, &v, NULL), 0);
                        CHECK_EQ(v.kind, VERDICT_MALFORMED);
                        CHECK_EQ(v.word, part == 2 ? WORD_KEY : WORD_QUOTE);
                }
                *spans[part] = whole;
        }
}

static void log_cut_at_each_event(void)
{
        _cleanup_attested_ struct attested m;
        struct evidence *e;
        struct event_log log;
        struct tcg_event event;
        size_t n = 0;
        int r;

        attested_new(&m, false);
        e = attested_show(&m);
        CHECK_EQ(event_log_open(&log, e->firmware_log, NULL), 0);
        EVENT_LOG_FOREACH (&log, &event, r, NULL) {
                _cleanup_verdict_ struct verdict v = {0};

                if (event.offset == 0)
                        continue;
                e->firmware_log.size = event.offset;
                CHECK_EQ(verify_evidence(&m.input, e, &v, NULL), 0);
                CHECK_EQ(v.kind == VERDICT_TRUSTED, false);
                CHECK(v.word == WORD_HOP || v.word == WORD_PCR || v.word == WORD_LOG);
                n++;
        }
        CHECK_EQ(r, 0);
        CHECK_EQ(n, m.list.n);
}

/* ---- documents ---- */

static void documents_that_readers_disagree_on(void)
{
        static const struct {
                const char *find, *put;
        } changes[] = {
                        {"{\"version\":1", "{\"version\":1,\"version\":1"},
                        {"\"quote\":", "\"quot\\u0065\":{},\"quote\":"},
                        {"\"version\":1", "\"version\":1e0"},
                        {"\"version\":1", "\"version\":100000000000000000000000000001"},
                        {"\"version\":1", "\"version\":1.0"},
                        {"\"boot\":3", "\"boot\":18446744073709551619"},
                        {"\"kind\":\"mkexec-evidence\"", "\"kind\":\"mkexec-evidenc\xe9\""},
                        {"\"kind\":\"mkexec-evidence\"",
                                        "\"kind\":\"mkexec-evidence\",\"more\":[]"},
                        {"\"version\":1",
                                        "\"version\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                                        "[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                                        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
                        {"\"attest\":\"", "\"attest\":\" "},
                        {"\"attest\":\"", "\"attest\":\"\\u002f"},
                        {"{\"version\":1", "\xef\xbb\xbf{\"version\":1"},
        };
        _cleanup_evidence_ struct evidence read = {0};
        _cleanup_attested_ struct attested m;
        _cleanup_buf_ struct buf text = {0};

        attested_new(&m, false);
        CHECK_EQ(evidence_write(attested_show(&m), &text, NULL), 0);
        for (size_t i = 0; i <= ARRAY_SIZE(changes); i++) {
                bool last = i == ARRAY_SIZE(changes);
                const char *find = last ? "" : changes[i].find, *put = last ? "" : changes[i].put;
                uint8_t *found = memmem(text.data, text.size, find, strlen(find));
                _cleanup_verdict_ struct verdict v = {0};
                _cleanup_buf_ struct buf twin = {0};
                size_t before;

                REQUIRE(found);
                before = (size_t)(found - text.data);
                buf_put(&twin, text.data, before);
                buf_put(&twin, put, strlen(put));
                buf_put(&twin, found + strlen(find), text.size - before - strlen(find));
                CHECK_EQ(verify_document(&m.input, buf_span(&twin), &read, &v, NULL), 0);
                CHECK_EQ(v.word, last ? WORD_NONE : WORD_EVIDENCE);
                CHECK_EQ(v.kind, last ? VERDICT_TRUSTED : VERDICT_MALFORMED);
        }
}

static const struct tap_test tests[] = {
                {"each twin is refused for what it is", twins_are_refused},
                {"quote, signature and key cut at each byte", structures_cut_at_each_byte},
                {"the log cut at each event", log_cut_at_each_event},
                {"documents that readers disagree on", documents_that_readers_disagree_on},
};
TAP_MAIN(tests)
