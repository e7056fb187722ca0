/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan of a hop: order, values, progress; judged by replay and hop-check, which don't share its
 * code. */
#include <errno.h>

#include "eventlog/append.h"
#include "eventlog/hop-check.h"
#include "policy/predict.h"
#include "tests/unit/hop-fixture.h"

#define CLOSE_11 (1u << 11)

static void order_is_open_payload_close(void)
{
        static const struct {
                enum plan_event_kind kind;
                uint32_t pcr, payload_pcr;
        } wanted[] = {
                        {PLAN_OPEN, 8, 8},
                        {PLAN_OPEN, 11, 11},
                        {PLAN_PAYLOAD, 8, 4},
                        {PLAN_PAYLOAD, 8, 11},
                        {PLAN_PAYLOAD, 8, 11},
                        {PLAN_PAYLOAD, 8, 9},
                        {PLAN_CLOSE, 8, 8},
        };
        struct plan_input input = fixture_input(fixture_map, CLOSE_11);
        struct plan plan;

        REQUIRE(plan_make(&input, &plan, NULL) == 0);
        CHECK_EQ(plan.n_events, 7);
        for (size_t i = 0; i < 7 && i < plan.n_events; i++) {
                CHECK_EQ(plan.events[i].kind, wanted[i].kind);
                CHECK_EQ(plan.events[i].event.pcr, wanted[i].pcr);
                CHECK_EQ(plan.events[i].payload_pcr, wanted[i].payload_pcr);
        }
        CHECK_EQ(plan.registers, 1u << 8);
        CHECK_EQ(plan.touched, 1u << 8 | 1u << 11);
        plan_release(&plan);
}

static void values_are_those_of_the_log(void)
{
        struct plan_input input = fixture_input(fixture_map, CLOSE_11);
        struct hop_verdict verdict;
        struct buf log = {0};
        struct replay replay;
        struct plan plan;

        REQUIRE(plan_make(&input, &plan, NULL) == 0);
        event_log_put_header(&log, &plan.banks);
        CHECK_EQ(plan_log(&plan, plan.n_events, &log, NULL), 0);
        REQUIRE(replay_log(buf_span(&log), &replay, NULL) == 0);
        for (size_t b = 0; b < 2; b++)
                for (unsigned pcr = 8; pcr <= 11; pcr += 3)
                        CHECK(memcmp(replay.pcr[b][pcr].bytes, plan.end[b][pcr].bytes,
                                              plan.banks.alg[b]->size) == 0);
        REQUIRE(hop_check(buf_span(&log), &replay, &verdict, NULL) == 0);
        CHECK_EQ(verdict.result, HOP_RESULT_OK);
        CHECK_EQ(verdict.n_hops, 1);
        hop_verdict_release(&verdict);
        REQUIRE(hop_payload_view(buf_span(&log), 1, &replay, NULL) == 0);
        for (size_t b = 0; b < 2; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        CHECK(memcmp(replay.pcr[b][pcr].bytes, plan.payload_view.pcr[b][pcr].bytes,
                                              plan.banks.alg[b]->size) == 0);
        buf_release(&log);
        plan_release(&plan);
}

static void everything_that_goes_in_changes_pcr_8(void)
{
        struct plan_input base = fixture_input(fixture_map, CLOSE_11), input;
        static const uint8_t initrd[1][32] = {{3}};
        struct plan plan, other;

        REQUIRE(plan_make(&base, &plan, NULL) == 0);
        for (int twin = 0; twin < 6; twin++) {
                input = fixture_input(fixture_map, CLOSE_11);
                struct tcg_event *e = (struct tcg_event *)input.events;

                switch (twin) {
                case 0:
                        input.payload_sha256[31] ^= 1;
                        break;
                case 1:
                        input.load_options_sha256[0] ^= 1;
                        break;
                case 2:
                        input.initrd_sha256 = initrd;
                        input.n_initrds = 1;
                        break;
                case 3:
                        e[2].type = EV_EVENT_TAG; /* relabelled: only the ledger has it */
                        break;
                case 4:
                        e[3].data = SPAN("Linux Initrd", 12);
                        break;
                case 5:
                        e[0].pcr = 2;
                        break;
                }
                REQUIRE(plan_make(&input, &other, NULL) == 0);
                CHECK(memcmp(other.end[1][8].bytes, plan.end[1][8].bytes, 32) != 0);
                plan_release(&other);
        }
        plan_release(&plan);
}

static void progress_is_found_exactly(void)
{
        struct plan_input input = fixture_input(fixture_map, CLOSE_11);
        struct digest now[ALG_MAX][PCR_COUNT];
        struct plan plan;
        size_t n;

        REQUIRE(plan_make(&input, &plan, NULL) == 0);
        memcpy(now, plan.start, sizeof(now));
        for (size_t i = 0; i <= plan.n_events; i++) {
                n = 99;
                CHECK_EQ(plan_progress(&plan, plan.touched, (const struct digest(*)[PCR_COUNT])now,
                                         &n),
                                0);
                CHECK_EQ(n, i);
                if (i == plan.n_events)
                        break;
                for (size_t b = 0; b < plan.banks.n; b++)
                        CHECK_EQ(digest_extend(&now[b][plan.events[i].event.pcr],
                                                 &plan.events[i].event.digests.d[b]),
                                        0);
        }
        now[1][8].bytes[5] ^= 1; /* the twin: a stranger's value fits no prefix */
        CHECK_EQ(plan_progress(&plan, plan.touched, (const struct digest(*)[PCR_COUNT])now, &n),
                        -ENOENT);
        plan_release(&plan);
}

static void starts_from_given_values(void)
{
        struct plan_input input = fixture_input(fixture_map, CLOSE_11);
        struct digest start[ALG_MAX][PCR_COUNT] = {0};
        struct plan plan, zero;

        REQUIRE(plan_make(&input, &zero, NULL) == 0);
        for (size_t b = 0; b < input.banks.n; b++)
                for (size_t pcr = 0; pcr < PCR_COUNT; pcr++) {
                        start[b][pcr].alg = input.banks.alg[b];
                        start[b][pcr].bytes[0] = 7;
                }
        input.start = (const struct digest(*)[PCR_COUNT])start;
        REQUIRE(plan_make(&input, &plan, NULL) == 0);
        CHECK(memcmp(plan.end[1][8].bytes, zero.end[1][8].bytes, 32) != 0);
        /* the payload view doesn't depend on it */
        CHECK(memcmp(plan.payload_view.pcr[1][11].bytes, zero.payload_view.pcr[1][11].bytes, 32) ==
                        0);
        plan_release(&plan);
        plan_release(&zero);
}

static void other_maps_open_and_close_their_registers(void)
{
        uint8_t map[PCR_COUNT];
        struct plan_input input;
        struct plan plan;
        size_t opens = 0, closes = 0;

        memcpy(map, fixture_map, sizeof(map));
        map[11] = 15;
        map[9] = 9;
        input = fixture_input(
                        map, CLOSE_11 | 1u << 9); /* 9 is a register: opened once, not twice */
        REQUIRE(plan_make(&input, &plan, NULL) == 0);
        CHECK_EQ(plan.registers, 1u << 8 | 1u << 9 | 1u << 15);
        CHECK_EQ(plan.touched, plan.registers | CLOSE_11);
        for (size_t i = 0; i < plan.n_events; i++) {
                opens += plan.events[i].kind == PLAN_OPEN;
                closes += plan.events[i].kind == PLAN_CLOSE;
        }
        CHECK_EQ(opens, 4);
        CHECK_EQ(closes, 3);
        plan_release(&plan);
}

static void bad_input_is_refused(void)
{
        struct plan_input input = fixture_input(fixture_map, CLOSE_11);
        struct tcg_event *e = (struct tcg_event *)input.events;
        struct error error = {{0}};
        struct plan plan;

        e[1].digests.n = 1; /* an active bank without digest */
        CHECK_EQ(plan_make(&input, &plan, &error), -EINVAL);
        CHECK(strstr(error.text, "sha256") != NULL);
        input = fixture_input(fixture_map, CLOSE_11);
        input.n_initrds = 17;
        CHECK(plan_make(&input, &plan, &error) < 0);
        input = fixture_input(fixture_map, 1u << 10); /* IMA's */
        CHECK(plan_make(&input, &plan, &error) < 0);
        input = fixture_input(fixture_map, CLOSE_11);
        input.hop = 0;
        CHECK(plan_make(&input, &plan, &error) < 0);
}

static const struct tap_test tests[] = {
                {"a hop is open, payload, close", order_is_open_payload_close},
                {"predicted values are what the log replays to", values_are_those_of_the_log},
                {"whatever goes in changes PCR 8", everything_that_goes_in_changes_pcr_8},
                {"the PCRs tell how far a hop came", progress_is_found_exactly},
                {"registers start at the TPM's values, the payload view at zero",
                                starts_from_given_values},
                {"every register of the map is opened and closed",
                                other_maps_open_and_close_their_registers},
                {"what can't be planned is refused", bad_input_is_refused},
};

TAP_MAIN(tests)
