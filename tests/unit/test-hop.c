/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventlog/hop*: our own events on the wire, and the verdict on honest logs. Their forged twins:
 * test-hop-twins.c. */
#include <errno.h>
#include <unistd.h>

#include "eventlog/parse.h"
#include "tests/unit/hop-log.h"

static void open_round_trip(void)
{
        struct hop_ledger_entry entries[N_EVENTS];
        struct hop_open open, back = {0};
        _cleanup_buf_ struct buf one = {0}, two = {0};
        struct error error;

        fill_open(&open, entries, 7);
        REQUIRE(hop_open_encode(&open, &one, &error) == 0);
        CHECK_EQ(one.size, 8 + 4 + 4 + 24 + 4 + 32 + 32 + 4 + 32 + 4 + 40 * N_EVENTS);
        REQUIRE(hop_open_decode(buf_span(&one), &back, &error) == 0);
        CHECK_EQ(back.hop, 7);
        CHECK_EQ(back.close_list, 1 << 11);
        CHECK(memcmp(back.map, open.map, sizeof(open.map)) == 0);
        REQUIRE(back.n_events == N_EVENTS);
        for (size_t i = 0; i < N_EVENTS; i++) {
                struct hop_ledger_entry entry = hop_ledger_at(&back, i);

                CHECK(memcmp(&entry, &entries[i], sizeof(entry)) == 0);
        }
        REQUIRE(hop_open_encode(&back, &two, &error) == 0);
        CHECK(span_equal(buf_span(&one), buf_span(&two)));
        for (size_t size = 0; size < one.size; size++)
                CHECK_EQ(hop_open_decode(SPAN(one.data, size), &back, NULL), -EBADMSG);
        buf_put_u8(&one, 0);
        CHECK_EQ(hop_open_decode(buf_span(&one), &back, NULL), -EBADMSG);
        CHECK_EQ(hop_registers(&open), 1 << 8 | 1 << 9);
        CHECK_EQ(hop_open_pcrs(&open), 1 << 8 | 1 << 9 | 1 << 11);
        CHECK(hop_pcr_at(0x0b02, 0) == 8 && hop_pcr_at(0x0b02, 1) == 1 &&
                        hop_pcr_at(0x0b02, 3) == 11 && hop_pcr_at(0x0b02, 4) == -1);
}

/* The same value is refused when it is to be written and when it is read. */
static void open_limits(void)
{
        static const struct {
                size_t offset; /* in the tagged event */
                uint32_t value;
        } rows[] = {
                        {8, 2},           /* version */
                        {12, 0},          /* hop */
                        {16, 0x0808080a}, /* PCR 10 as a register */
                        {16, 0x08080810}, /* PCR 16 */
                        {16, 0x08080807}, /* PCR 7 */
                        {16, 0x080808ff}, /* no PCR */
                        {40, 1u << 8},
                        {40, 1u << 9}, /* close list: registers */
                        {40, 1u << 10},
                        {40, 1u << 16}, /* and PCRs that can't be */
                        {40, 1u << 31},
                        {108, 17}, /* initrds */
                        {144, HOP_EVENTS_MAX + 1},
                        {144, N_EVENTS - 1},
                        {144, 0xffffffff},
                        {148, 24}, /* payload PCR of the ledger */
                        {152, EV_NO_ACTION},
                        {4, 0},
                        {0, HOP_TAG_CLOSE},
        };
        struct hop_ledger_entry entries[N_EVENTS];
        struct hop_open open, back;
        _cleanup_buf_ struct buf data = {0}, none = {0};

        fill_open(&open, entries, 1);
        REQUIRE(hop_open_encode(&open, &data, NULL) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t *p = data.data + rows[i].offset, before[4];
                int r;

                memcpy(before, p, 4);
                for (unsigned k = 0; k < 4; k++)
                        p[k] = (uint8_t)(rows[i].value >> 8 * k);
                r = hop_open_decode(buf_span(&data), &back, NULL);
                CHECK_EQ(r, -EBADMSG);
                memcpy(p, before, 4);
        }
        open.n_events = HOP_EVENTS_MAX + 1;
        CHECK_EQ(hop_open_encode(&open, &none, NULL), -EINVAL);
        open.n_events = N_EVENTS;
        open.close_list = 1u << 9;
        CHECK_EQ(hop_open_encode(&open, &none, NULL), -EINVAL);
        open.close_list = 0;
        open.map[3] = 10;
        CHECK_EQ(hop_open_encode(&open, &none, NULL), -EINVAL);
        CHECK_EQ(none.size, 0);
}

static void honest_log(void)
{
        struct hop_verdict v;
        struct replay tpm;
        struct list l;

        honest(&l);
        check(&l, NULL, "honest", &v);
        if (v.result != HOP_RESULT_OK)
                printf("# %s\n", v.reason.text);
        REQUIRE(v.result == HOP_RESULT_OK);
        CHECK(v.hops_ok && !v.pristine && !v.weak && !v.unknown_bank);
        CHECK_EQ(v.n_hops, 2);
        CHECK_EQ(v.registers, 1 << 8 | 1 << 9);
        for (unsigned i = 0; i < 2; i++) {
                const struct hop_info *hop = &v.hops[i];

                CHECK_EQ(hop->hop, i + 1);
                CHECK_EQ(hop->payload_sha256[31], 0xa1 + i);
                CHECK_EQ(hop->opened, 1 << 8 | 1 << 9 | 1 << 11);
                CHECK_EQ(hop->first_index, i ? HOP2 : HOP1);
                CHECK_EQ(hop->last_index, (i ? END : HOP2) - 1);
                CHECK_EQ(hop->n_extended, N_SEQUENCE);
                CHECK(!hop->aborted);
        }
        hop_verdict_release(&v);
        tpm_after(&l, &tpm);
        tpm.pcr[0][10].bytes[0] ^= 1; /* IMA */
        tpm.pcr[0][16].bytes[0] ^= 1; /* debug */
        check(&l, &tpm, NULL, &v);
        CHECK_EQ(v.result, HOP_RESULT_OK);
        CHECK_EQ(v.unexplained[0], 1 << 10);
        CHECK_EQ(v.unexplained[1] | v.differs[0] | v.differs[1], 0);
        hop_verdict_release(&v);
        release(&l);
}

static void pristine_log(void)
{
        struct hop_verdict v;
        struct replay tpm;
        struct list l;

        firmware(&l, "sha1");
        tpm_after(&l, &tpm);
        check(&l, &tpm, "pristine", &v);
        CHECK(v.result == HOP_RESULT_OK && v.pristine && v.n_hops == 0);
        hop_verdict_release(&v);
        cut(&l, FOREIGN_IPL, 1);
        check(&l, &tpm, NULL, &v);
        CHECK(v.result == HOP_RESULT_MISMATCH && !v.pristine && v.hops_ok);
        CHECK(strstr(v.reason.text, "PCR 8, bank sha256"));
        hop_verdict_release(&v);
        release(&l);
}

/* After an abort at each place of the sequence a further hop can follow; a wrong count is seen. */
static void aborts(void)
{
        struct hop_ledger_entry entries[N_EVENTS];
        struct hop_open open;

        for (uint32_t k = 1; k <= N_SEQUENCE; k++)
                for (int lie = -1; lie <= 1; lie++) {
                        struct hop_verdict v;
                        struct list l;
                        char name[32];

                        firmware(&l, "sha1");
                        fill_open(&open, entries, 1);
                        add_hop(&l, &open, k);
                        add_end(&l, true, HOP_PCR, 1, k + (uint32_t)lie);
                        fill_open(&open, entries, 2);
                        add_hop(&l, &open, N_SEQUENCE);
                        snprintf(name, sizeof(name), "abort %u", k);
                        check(&l, NULL, lie == 0 && k % 4 == 1 ? name : NULL, &v);
                        if (lie == 0) {
                                CHECK_EQ(v.result, HOP_RESULT_OK);
                                CHECK_EQ(v.n_hops, 2);
                                CHECK(v.n_hops == 2 && v.hops[0].aborted && !v.hops[1].aborted);
                                CHECK(v.n_hops == 2 && v.hops[0].n_extended == k &&
                                                v.hops[0].last_index == HOP1 + k &&
                                                v.hops[1].first_index == HOP1 + k + 1);
                        } else {
                                snprintf(name, sizeof(name), "event %u ", HOP1 + k);
                                CHECK_EQ(v.result, HOP_RESULT_MISMATCH);
                                CHECK(strstr(v.reason.text, name) &&
                                                strstr(v.reason.text, "extends"));
                        }
                        hop_verdict_release(&v);
                        release(&l);
                }
}

static void payload_views(void)
{
        struct banks sha256 = {.n = 1, .alg = {alg_by_name("sha256")}};
        _cleanup_buf_ struct buf log = {0};
        struct digest expected[PCR_COUNT];
        struct replay view;
        struct error error;
        struct list l;

        honest(&l);
        write_log(&l, &log);
        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                expected[pcr] = (struct digest){.alg = sha256.alg[0]};
        for (size_t i = 0; i < N_EVENTS; i++) {
                struct digests d;

                CHECK_EQ(hash_span(&sha256, payload_events[i].hashed, &d), 0);
                CHECK_EQ(digest_extend(&expected[payload_events[i].payload_pcr], &d.d[0]), 0);
        }
        for (uint32_t hop = 1; hop <= 2; hop++) {
                REQUIRE(hop_payload_view(buf_span(&log), hop, &view, &error) == 0);
                CHECK_EQ(view.banks.n, 2);
                CHECK_EQ(view.measured[0], 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11);
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        CHECK(memcmp(view.pcr[0][pcr].bytes, expected[pcr].bytes, 32) == 0);
        }
        CHECK_EQ(hop_payload_view(buf_span(&log), 0, &view, &error), -ENOENT);
        CHECK_EQ(hop_payload_view(buf_span(&log), 3, &view, &error), -ENOENT);
        log.data[log.size - 1] ^= 1;
        CHECK_EQ(hop_payload_view(buf_span(&log), 1, &view, &error), -EBADMSG);
        release(&l);
}

/* Of an aborted hop the view holds what was extended. */
static void payload_view_of_aborted(void)
{
        struct hop_ledger_entry entries[N_EVENTS];
        _cleanup_buf_ struct buf log = {0};
        struct hop_open open;
        struct replay view;
        struct error error;
        struct list l;

        firmware(&l, "sha384");
        fill_open(&open, entries, 1);
        add_hop(&l, &open, 4);
        add_end(&l, true, HOP_PCR, 1, 4);
        write_log(&l, &log);
        REQUIRE(hop_payload_view(buf_span(&log), 1, &view, &error) == 0);
        CHECK_EQ(view.measured[0], 1 << 4);
        CHECK_EQ(view.measured[1], 1 << 4);
        release(&l);
}

/* What can't be judged as a TPM's log, and what proves little. */
static void other_logs(void)
{
        struct hop_verdict v;
        struct error error;
        _cleanup_buf_ struct buf log = {0}, cc = {0}, weak = {0};
        struct list l;

        honest(&l);
        write_log(&l, &cc);
        cc.data[0] = 1; /* PCR of the header */
        REQUIRE(hop_check(buf_span(&cc), NULL, &v, &error) == 0);
        CHECK(v.result == HOP_RESULT_MALFORMED && strstr(v.reason.text, "confidential"));
        hop_verdict_release(&v);
        for (size_t i = 0; i < l.n; i++)
                CHECK_EQ(event_log_put_event_sha1(&weak, &l.items[i].event), 0);
        REQUIRE(hop_check(buf_span(&weak), NULL, &v, &error) == 0);
        CHECK(v.result == HOP_RESULT_OK && v.weak && v.n_hops == 2);
        hop_verdict_release(&v);
        REQUIRE(hop_check(SPAN(NULL, 0), NULL, &v, &error) == 0);
        CHECK(v.result == HOP_RESULT_MALFORMED && !v.pristine && strstr(v.reason.text, "empty"));
        hop_verdict_release(&v);
        release(&l);
}

/* The largest ledger goes through. */
static void many_events(void)
{
        struct hop_ledger_entry *entries = calloc(HOP_EVENTS_MAX, sizeof(*entries));
        _cleanup_buf_ struct buf data = {0}, log = {0};
        struct banks banks = {.n = 1, .alg = {alg_by_name("sha256")}};
        struct hop_verdict v;
        struct tcg_event event;
        struct hop_open open;
        struct error error;

        fill_open(&open, entries, 1);
        open.close_list = 0;
        memset(open.map, HOP_PCR, sizeof(open.map));
        open.n_events = HOP_EVENTS_MAX;
        for (size_t i = 0; i < HOP_EVENTS_MAX; i++)
                entries[i] = entries[1];
        REQUIRE(hop_open_encode(&open, &data, &error) == 0);
        event_log_put_header(&log, &banks);
        CHECK_EQ(hop_event(&banks, HOP_PCR, buf_span(&data), &event), 0);
        CHECK_EQ(event_log_put_event(&log, &banks, &event), 0);
        event.type = payload_events[1].type;
        event.data = payload_events[1].data;
        for (size_t i = 0; i < HOP_EVENTS_MAX; i++)
                CHECK_EQ(event_log_put_event(&log, &banks, &event), 0);
        data.size = 0;
        hop_close_encode((struct hop_end){1, HOP_EVENTS_MAX}, &data);
        CHECK_EQ(hop_event(&banks, HOP_PCR, buf_span(&data), &event), 0);
        CHECK_EQ(event_log_put_event(&log, &banks, &event), 0);
        REQUIRE(hop_check(buf_span(&log), NULL, &v, &error) == 0);
        CHECK(v.result == HOP_RESULT_OK && v.n_hops == 1 &&
                        v.hops[0].n_extended == HOP_EVENTS_MAX + 2);
        hop_verdict_release(&v);
        free(entries);
}

/* tpm2_eventlog's word on our log: "    8  : 0x..." under "  sha256:". */
static void by_tpm2_eventlog(void)
{
        char path[] = "/tmp/mkexec-test-XXXXXX", command[128], line[512], word[32], bank[32] = "",
             hex[129];
        _cleanup_buf_ struct buf log = {0};
        unsigned pcr, n_compared = 0;
        struct replay replay;
        struct error error;
        struct list l;
        FILE *f;
        int fd;

        if (system("command -v tpm2_eventlog >/dev/null 2>&1") != 0)
                SKIP("no tpm2_eventlog here");
        honest(&l);
        cut(&l, 2, 1); /* it refuses Windows' EV_NO_ACTION in PCR 0xffffffff, and 5.4 extends those
                          in others */
        write_log(&l, &log);
        release(&l);
        REQUIRE(replay_log(buf_span(&log), &replay, &error) == 0);
        fd = mkstemp(path);
        REQUIRE(fd >= 0);
        CHECK(write(fd, log.data, log.size) == (ssize_t)log.size);
        close(fd);
        snprintf(command, sizeof(command), "tpm2_eventlog %s 2>/dev/null", path);
        f = popen(command, "r");
        REQUIRE(f);
        while (fgets(line, sizeof(line), f)) {
                uint8_t value[DIGEST_MAX_BYTES];
                int b;

                if (sscanf(line, " %31[a-z0-9_]:", word) == 1 && alg_by_name(word))
                        strcpy(bank, word);
                if (!alg_by_name(bank) || sscanf(line, " %u : 0x%128[0-9a-f]", &pcr, hex) != 2)
                        continue;
                b = replay_bank(&replay, alg_by_name(bank)->id);
                REQUIRE(b >= 0 && pcr < PCR_COUNT);
                CHECK(hex_decode(hex, value, alg_by_name(bank)->size));
                CHECK(memcmp(value, replay.pcr[b][pcr].bytes, alg_by_name(bank)->size) == 0);
                n_compared++;
        }
        CHECK_EQ(pclose(f), 0);
        unlink(path);
        CHECK_EQ(n_compared, 2 * 5); /* PCR 0, 4, 8, 9, 11 of two banks */
}

static const struct tap_test tests[] = {
                {"open encodes and decodes", open_round_trip},
                {"open keeps its limits", open_limits},
                {"an honest log with two hops", honest_log},
                {"a pristine log", pristine_log},
                {"abort at each place of a hop", aborts},
                {"payload view", payload_views},
                {"payload view of an aborted hop", payload_view_of_aborted},
                {"logs of other kinds", other_logs},
                {"the largest ledger", many_events},
                {"tpm2_eventlog replays our log to the same values", by_tpm2_eventlog},
};

TAP_MAIN(tests)
