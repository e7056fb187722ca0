/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* 100,000 documents of evidence with one byte of their text changed at random. Every digest, header
 * and signature byte counts: what is still trusted differs only in bytes that nothing signs or
 * hashes, which are listed here, and its verdict states the same facts. Every hundredth document is
 * untouched and is trusted. MKEXEC_SEED=N takes other changes. */
#include "tests/unit/attested.h"

#define CHANGES 100000

static uint64_t random_state;

static uint64_t next_random(void) /* xorshift64* */
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return random_state * 0x2545f4914f6cdd1dull;
}

/* ---- what nothing signs or hashes ---- */

/* Bytes of the log that neither digest nor ledger binds, by event: those of the header that Linux
 * and we don't use; in firmware's boot the type, and the data where the digest isn't of it. */
struct range {
        size_t start, end;
        const char *what;
};

#define RANGES_MAX 64

struct ranges {
        struct range range[RANGES_MAX];
        size_t n;
};

static void add_range(struct ranges *r, size_t start, size_t size, const char *what)
{
        if (size > 0 && r->n < RANGES_MAX)
                r->range[r->n++] = (struct range){start, start + size, what};
}

static bool in_ranges(const struct ranges *r, size_t at)
{
        for (size_t i = 0; i < r->n; i++)
                if (at >= r->range[i].start && at < r->range[i].end)
                        return true;
        return false;
}

static void free_of_log(struct span bytes, struct ranges *r)
{
        struct event_log log;
        struct tcg_event event;
        bool in_hops = false;
        int result;

        CHECK_EQ(event_log_open(&log, bytes, NULL), 0);
        EVENT_LOG_FOREACH (&log, &event, result, NULL) {
                size_t data = event.offset + event.size - event.data.size;

                if (event.offset == 0) {
                        /* The header record: its digest of zeros; in the Spec ID structure platform
                         * class, spec version and errata, size of UINTN. */
                        add_range(r, 8, 20, "header: digest");
                        add_range(r, data + 16, 8, "header: class, version, errata, uintnSize");
                        continue;
                }
                in_hops = in_hops || (event.pcr == HOP_PCR && event.type == EV_EVENT_TAG);
                if (event.type == EV_NO_ACTION) {
                        add_range(r, event.offset, event.size, "EV_NO_ACTION");
                } else if (!in_hops) {
                        add_range(r, event.offset + 4, 4, "type of firmware's event");
                        if (event.type == EV_IPL || event.type == EV_S_CRTM_VERSION)
                                add_range(r, data, event.data.size, "data that needn't be hashed");
                }
        }
        CHECK_EQ(result, 0);
}

/* Of systemd's log: names of what is only text, and the name of the hash that doesn't decide (its
 * digest is then one of an unknown bank, and missed). Of IMA's list: SHA-1 of the template and the
 * template's name, which only label the data, and the PCR (a record of another PCR is none of PCR
 * 10's, which then isn't explained). */
static void free_of_systemd(struct span bytes, struct ranges *r)
{
        static const char *const words[] = {"eventType\":\"phase", "content", "string", "sha1"};

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                for (const uint8_t *at = bytes.data;
                                (at = memmem(at, bytes.size - (size_t)(at - bytes.data), words[i],
                                                 strlen(words[i])));
                                at++)
                        add_range(r, (size_t)(at - bytes.data), strlen(words[i]), words[i]);
}

static void free_of_ima(struct span bytes, struct ranges *r)
{
        struct buf scratch = {0};
        struct ima_record record;
        size_t offset = 0, index = 0;
        struct ima_log log;

        CHECK_EQ(ima_log_open(&log, bytes, NULL), 0);
        while (ima_log_next(&log, &offset, &index, &scratch, &record, NULL) > 0) {
                add_range(r, record.offset, 4, "PCR");
                add_range(r, record.offset + 4, record.digest_size, "SHA-1 of the template");
                add_range(r, record.offset + 28, record.name.size, "name of the template");
        }
        buf_release(&scratch);
}

/* ---- facts ---- */

static bool same_hop(const struct hop_info *a, const struct hop_info *b)
{
        return (!a && !b) || (a && b && memcmp(a, b, offsetof(struct hop_info, offset)) == 0);
}

/* A record that isn't read as one proves less, and nothing else: PCRs of the bank that doesn't
 * decide, and PCR 10 with what it says. */
static bool same_or_less(const struct verdict *now, const struct verdict *whole)
{
        for (size_t b = 0; b < 2; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        enum check_pcr is = now->logs.pcr[b][pcr], was = whole->logs.pcr[b][pcr];

                        if (is != was && !(pcr == 10 && is == CHECK_PCR_OPAQUE) &&
                                        !(b == 1 && is == CHECK_PCR_LACKING))
                                return false;
                }
        return (now->plain_kexec.kind == whole->plain_kexec.kind &&
                               now->unexplained == whole->unexplained) ||
               (now->plain_kexec.kind == PLAIN_KEXEC_POSSIBLE &&
                               (now->unexplained & ~(1u << 10)) == whole->unexplained);
}

static bool same_facts(const struct verdict *a, const struct verdict *b)
{
        if (a->kind != b->kind || a->n_boots != b->n_boots || a->bank != b->bank ||
                        a->weak != b->weak || a->plain_kexec.n_more != b->plain_kexec.n_more ||
                        !same_or_less(a, b))
                return false;
        for (size_t i = 0; i < a->n_boots; i++) {
                const struct verdict_boot *x = &a->boots[i], *y = &b->boots[i];

                if (x->reported_by != y->reported_by || x->known != y->known ||
                                x->trusted != y->trusted || x->found.match != y->found.match ||
                                x->n_lines != y->n_lines || !same_hop(x->hop, y->hop))
                        return false;
                for (size_t k = 0; k < x->n_lines; k++)
                        if (!span_equal(x->lines[k].text, y->lines[k].text))
                                return false;
        }
        return true;
}

/* ---- the trial ---- */

struct trial {
        struct attested m;
        struct buf text;
        struct evidence whole, changed;
        struct verdict verdict;
        struct ranges log, systemd, ima;
};

/* Whether all bytes that differ are in ranges. */
static bool differs_only_in(struct span a, struct span b, const struct ranges *r)
{
        if (a.size != b.size)
                return false;
        for (size_t i = 0; i < a.size; i++)
                if (a.data[i] != b.data[i] && !in_ranges(r, i))
                        return false;
        return true;
}

static bool is_blank(uint8_t c)
{
        return c == 0x1e || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The same for text: between its values may stand any blanks, and hex digits are of either case. */
static bool text_differs_only_in(struct span a, struct span b, const struct ranges *r)
{
        size_t i = 0, k = 0;

        for (;;) {
                while (i < a.size && is_blank(a.data[i]))
                        i++;
                while (k < b.size && is_blank(b.data[k]) && !in_ranges(r, i))
                        k++;
                if (i == a.size || k == b.size)
                        break;
                if ((a.data[i] | 0x20) != (b.data[k] | 0x20) && !in_ranges(r, i))
                        return false;
                i++;
                k++;
        }
        return i == a.size && k == b.size;
}

static bool may_be_trusted(const struct trial *t)
{
        const struct evidence *a = &t->whole, *b = &t->changed;

        return span_equal(a->attest, b->attest) && span_equal(a->signature, b->signature) &&
               span_equal(a->ak_public, b->ak_public) && a->n_certificates == b->n_certificates &&
               memcmp(&a->pcrs, &b->pcrs, sizeof(a->pcrs)) == 0 && a->n_systemd == b->n_systemd &&
               a->systemd[0].boot == b->systemd[0].boot &&
               differs_only_in(a->firmware_log, b->firmware_log, &t->log) &&
               text_differs_only_in(a->systemd[0].log, b->systemd[0].log, &t->systemd) &&
               differs_only_in(a->ima, b->ima, &t->ima);
}

/* Another byte; half of the time one of the same kind, so that the document is still one. */
static uint8_t another(uint8_t was)
{
        static const char digits[] = "0123456789abcdef";
        static const char base64[] =
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        uint8_t byte = was;

        while (byte == was) {
                uint64_t random = next_random();

                byte = (uint8_t)(random >> 32);
                if (random % 4 == 1)
                        byte = (uint8_t)digits[byte % 16];
                else if (random % 4 > 1)
                        byte = (uint8_t)base64[byte % 64];
        }
        return byte;
}

static void tell_where(const char *what, struct span a, struct span b)
{
        if (a.size != b.size)
                printf("# %s: %zu bytes for %zu\n", what, b.size, a.size);
        for (size_t i = 0; i < a.size && i < b.size; i++)
                if (a.data[i] != b.data[i])
                        printf("# %s, byte %zu: 0x%02x for 0x%02x\n", what, i, b.data[i],
                                        a.data[i]);
}

/* Returns whether it is still trusted. */
static bool try_one(struct trial *t, bool change)
{
        size_t at = next_random() % t->text.size;
        _cleanup_verdict_ struct verdict v = {0};
        uint8_t was = t->text.data[at];
        struct error error;

        if (change)
                t->text.data[at] = another(was);
        CHECK_EQ(verify_document(&t->m.input, buf_span(&t->text), &t->changed, &v, &error), 0);
        if (v.kind == VERDICT_TRUSTED) {
                bool ok = same_facts(&v, &t->verdict) && (!change || may_be_trusted(t));

                CHECK(ok);
                if (!ok) {
                        tell_where("log", t->whole.firmware_log, t->changed.firmware_log);
                        tell_where("systemd", t->whole.systemd[0].log, t->changed.systemd[0].log);
                        tell_where("IMA", t->whole.ima, t->changed.ima);
                        printf("# facts: %s\n", same_facts(&v, &t->verdict) ? "kept" : "others");
                }
        } else {
                CHECK(change);
                CHECK(v.reason.text[0]);
        }
        t->text.data[at] = was;
        return v.kind == VERDICT_TRUSTED;
}

static void trial_new(struct trial *t, bool rsa)
{
        struct error error;

        *t = (struct trial){0};
        attested_new(&t->m, rsa);
        CHECK_EQ(evidence_write(attested_show(&t->m), &t->text, &error), 0);
        CHECK_EQ(evidence_read(buf_span(&t->text), &t->whole, &error), 0);
        CHECK_EQ(verify_evidence(&t->m.input, &t->whole, &t->verdict, &error), 0);
        CHECK_EQ(t->verdict.kind, VERDICT_TRUSTED);
        CHECK_EQ(t->verdict.plain_kexec.kind, PLAIN_KEXEC_EXCLUDED);
        free_of_log(t->whole.firmware_log, &t->log);
        free_of_systemd(t->whole.systemd[0].log, &t->systemd);
        free_of_ima(t->whole.ima, &t->ima);
}

static void trial_release(struct trial *t)
{
        verdict_release(&t->verdict);
        evidence_release(&t->whole);
        evidence_release(&t->changed);
        attested_release(&t->m);
        buf_release(&t->text);
}

static void run_trials(bool rsa, size_t n)
{
        size_t trusted = 0, untouched = 0;
        struct trial t;

        trial_new(&t, rsa);
        for (size_t i = 0; i < n; i++) {
                bool change = i % 100 != 0;

                untouched += !change;
                trusted += try_one(&t, change) && change;
        }
        printf("# %zu documents of %zu bytes: %zu untouched, %zu changed where nothing is signed\n",
                        n, t.text.size, untouched, trusted);
        /* so that the list isn't idle, and not the whole of it */
        CHECK(trusted > 0 && trusted < n / 10);
        trial_release(&t);
}

static void rsa_keys(void)
{
        run_trials(true, CHANGES - CHANGES / 10);
}

static void ecc_keys(void)
{
        run_trials(false, CHANGES / 10 + CHANGES / 90);
}

/* Each listed byte, one by one: it may be anything, and the facts stay. */
static void listed_bytes(void)
{
        struct trial t;

        trial_new(&t, true);
        for (size_t i = 0; i < t.log.n; i++)
                for (size_t at = t.log.range[i].start; at < t.log.range[i].end; at++) {
                        _cleanup_verdict_ struct verdict v = {0};
                        uint8_t *byte = (uint8_t *)t.whole.firmware_log.data + at, was = *byte;

                        *byte ^= 0x40;
                        CHECK_EQ(verify_evidence(&t.m.input, &t.whole, &v, NULL), 0);
                        CHECK(v.kind != VERDICT_TRUSTED || same_facts(&v, &t.verdict));
                        *byte = was;
                }
        trial_release(&t);
}

static const struct tap_test tests[] = {
                {"random changes, RSA", rsa_keys},
                {"random changes, ECC", ecc_keys},
                {"bytes that nothing signs", listed_bytes},
};

int main(void)
{
        const char *seed = getenv("MKEXEC_SEED");

        random_state = seed ? strtoull(seed, NULL, 0) : 0x9e3779b97f4a7c15ull;
        random_state |= 1;
        printf("# MKEXEC_SEED=%llu\n", (unsigned long long)random_state);
        return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
