/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small made-up hop for tests: four payload events, two banks. */
#pragma once

#include "policy/predict.h"
#include "tests/unit/tap.h"

static inline struct banks fixture_banks(void)
{
        return (struct banks){.n = 2, .alg = {alg_by_name("sha1"), alg_by_name("sha256")}};
}

static const struct {
        uint32_t pcr, type;
        const char *hashed, *data;
} fixture_rows[] = {
                {4, 0x80000003, "the image", "an image load event"},
                {11, EV_IPL, ".linux", ".linux"},
                {11, EV_IPL, "kernel bytes", ".linux"},
                {9, EV_EVENT_TAG, "initrd bytes", "Linux initrd"},
};

/* The events are static: valid until the next call. */
static inline struct plan_input fixture_input(const uint8_t map[PCR_COUNT], uint32_t close_list)
{
        static struct tcg_event events[4];
        struct plan_input input = {.banks = fixture_banks(),
                        .hop = 1,
                        .map = map,
                        .close_list = close_list,
                        .events = events,
                        .n_events = 4};

        for (size_t i = 0; i < 4; i++) {
                events[i] = (struct tcg_event){.pcr = fixture_rows[i].pcr,
                                .type = fixture_rows[i].type,
                                .data = SPAN(fixture_rows[i].data, strlen(fixture_rows[i].data))};
                if (hash_span(&input.banks,
                                    SPAN(fixture_rows[i].hashed, strlen(fixture_rows[i].hashed)),
                                    &events[i].digests) < 0)
                        abort();
        }
        memset(input.payload_sha256, 0x11, 32);
        memset(input.load_options_sha256, 0x22, 32);
        return input;
}

static const uint8_t fixture_map[PCR_COUNT] = {
                8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8};
