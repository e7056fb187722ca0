/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/evidence: what Python wrote is read, value for value; what is beside the schema is refused
 * with the member's name; what was written is read again; memory is kept. */
#include <errno.h>

#include "policy/evidence.h"
#include "tests/unit/made-corpus.h"

static bool read_file(const char *name, struct buf *ret)
{
        return made_corpus_read("evidence", name, ret);
}

/* One document behind the other in the same memory. */
static struct evidence kept;

static int read_kept(struct span text, const char *name, struct error *error)
{
        (void)name;
        return evidence_read(text, &kept, error);
}

/* tests/corpus/make-evidence.py: names that begin with "ok-" are of evidence. */
static void test_corpus(void)
{
        made_corpus_judge("evidence", read_kept, 5, 80);
        evidence_release(&kept);
}

static void test_reasons(void)
{
        static const char *const rows[][2] = {
                        {"missing-quote-attest.json", "quote.attest: is missing"},
                        {"missing-logs.json", "logs: is missing"},
                        {"twice-public.json", "ak.public: is there twice"},
                        {"twice-pcr.json", "pcrs.sha256.8: is there twice"},
                        {"unknown-logs-more.json", "logs: a member that evidence hasn't got"},
                        {"base64-bits.json", "logs.firmware: not base64, or not the one"},
                        {"pcrs-upper.json", "pcrs.sha256.0: not 32 bytes as lower-case hex"},
                        {"systemd-order.json", "logs.systemd[].boot: not a number from 2 to 64"},
                        {"version-2.json", "version: not 1"},
                        {"deep.json", "malformed JSON at offset"},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_buf_ struct buf text = {0};
                struct evidence evidence = {0};
                struct error error = {{0}};

                REQUIRE(read_file(rows[i][0], &text));
                CHECK_EQ(evidence_read(buf_span(&text), &evidence, &error), -EBADMSG);
                if (!strstr(error.text, rows[i][1])) {
                        printf("# %s: %s\n", rows[i][0], error.text);
                        CHECK(false);
                }
                evidence_release(&evidence);
        }
}

static bool is_bytes(struct span s, const void *bytes, size_t size)
{
        return span_equal(s, SPAN(bytes, size));
}

static void check_full(const char *name)
{
        _cleanup_buf_ struct buf text = {0};
        struct evidence e = {0};
        struct chain chain;
        uint8_t all[256];

        for (unsigned i = 0; i < sizeof(all); i++)
                all[i] = (uint8_t)i;
        REQUIRE(read_file(name, &text));
        REQUIRE(evidence_read(buf_span(&text), &e, NULL) == 0);
        CHECK(is_bytes(e.attest, "\xffTCG\x80\x18", 6));
        CHECK(is_bytes(e.signature, "\0\x14\0\x0b", 4) && is_bytes(e.ak_public, "\0\1\0\x0b", 4));
        CHECK(e.n_certificates == 2 && is_bytes(e.certificate[1], "0\3\2\1\2", 5));
        CHECK(e.pcrs.banks.n == 2 && e.pcrs.banks.alg[0]->id == TPM_ALG_SHA256 &&
                        e.pcrs.banks.alg[1]->id == TPM_ALG_SHA1);
        CHECK(e.pcrs.measured[0] == 0x101 && e.pcrs.measured[1] == 0xffffff);
        CHECK(e.pcrs.pcr[0][8].bytes[31] == 0xab && e.pcrs.pcr[1][23].bytes[0] == 23);
        CHECK(is_bytes(e.firmware_log, all, sizeof(all)) && is_bytes(e.ima, "\n\0\0\0", 4));
        REQUIRE(e.n_systemd == 3);
        CHECK(e.systemd[0].boot == 1 && e.systemd[0].incomplete && !e.systemd[0].cut);
        CHECK(is_bytes(e.systemd[0].log, "\x1e{}\n", 4));
        CHECK(e.systemd[1].boot == 3 && e.systemd[1].cut && !e.systemd[1].lost);
        CHECK(e.systemd[2].boot == 64 && e.systemd[2].lost && e.systemd[2].log.size == 0);
        evidence_chain(&e, &chain);
        CHECK(chain.n_systemd == 64 && is_bytes(chain.systemd[0], "\x1e{}\n", 4));
        CHECK(is_bytes(chain.firmware, all, sizeof(all)) && chain.ima.size == 4);
        CHECK(chain.systemd[1].size == 0 && chain.systemd[62].size == 0);
        evidence_release(&e);
}

static void test_values(void)
{
        check_full("ok-full.json");
        check_full("ok-escapes.json");
        check_full("ok-blanks.json");
}

/* What was read is gone when something else is read, or refused. */
static void test_memory(void)
{
        _cleanup_buf_ struct buf full = {0}, minimal = {0}, bad = {0};
        struct evidence e = {0};
        const uint8_t *before;

        REQUIRE(read_file("ok-full.json", &full) && read_file("ok-minimal.json", &minimal) &&
                        read_file("systemd-65.json", &bad));
        REQUIRE(evidence_read(buf_span(&full), &e, NULL) == 0);
        before = e.bytes.data;
        REQUIRE(evidence_read(buf_span(&minimal), &e, NULL) == 0);
        CHECK(e.bytes.data == before && e.n_systemd == 0 && e.firmware_log.size == 0 &&
                        e.n_certificates == 0 && e.pcrs.banks.n == 1);
        for (unsigned i = 0; i < 100; i++)
                CHECK(evidence_read(buf_span(&full), &e, NULL) == 0 && e.bytes.data == before);
        CHECK_EQ(evidence_read(buf_span(&bad), &e, NULL), -E2BIG);
        CHECK(e.attest.size == 0 && e.n_systemd == 0 && e.pcrs.banks.n == 0);
        REQUIRE(evidence_read(buf_span(&full), &e, NULL) == 0);
        CHECK(e.n_systemd == 3);
        evidence_release(&e);
        CHECK(e.bytes.data == NULL);
}

static void test_write(void)
{
        static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
        struct evidence from = {0}, to = {0};
        _cleanup_buf_ struct buf text = {0}, again = {0};
        struct banks banks = {1, {alg_by_id(TPM_ALG_SHA384)}};

        replay_start_zero(&from.pcrs, &banks);
        from.pcrs.measured[0] = 1u << 23;
        from.pcrs.pcr[0][23].bytes[47] = 0x5a;
        from.attest = SPAN(bytes, 7);
        from.signature = SPAN(bytes, 6);
        from.ak_public = SPAN(bytes, 5);
        from.certificate[from.n_certificates++] = SPAN(bytes, 4);
        from.systemd[from.n_systemd++] = (struct evidence_systemd){
                        .boot = 2, .cut = true, .log = SPAN(bytes, 3)};
        buf_put(&text, "x", 1);
        REQUIRE(evidence_write(&from, &text, NULL) == 0);
        CHECK(text.data[0] == 'x' && !memchr(text.data, '\n', text.size));
        REQUIRE(evidence_read(SPAN(text.data + 1, text.size - 1), &to, NULL) == 0);
        CHECK(span_equal(to.attest, from.attest) && span_equal(to.signature, from.signature));
        CHECK(span_equal(to.ak_public, from.ak_public) && to.n_certificates == 1);
        CHECK(memcmp(&to.pcrs, &from.pcrs, sizeof(to.pcrs)) == 0);
        CHECK(to.n_systemd == 1 && to.systemd[0].cut && to.firmware_log.size == 0);
        REQUIRE(evidence_write(&to, &again, NULL) == 0);
        CHECK(is_bytes(buf_span(&again), text.data + 1, text.size - 1));
        evidence_release(&to);
}

static const struct tap_test tests[] = {
                {"documents beside the schema are refused", test_corpus},
                {"reasons name the member", test_reasons},
                {"values as Python wrote them", test_values},
                {"memory is kept, contents aren't", test_memory},
                {"written and read again", test_write},
};

TAP_MAIN(tests)
