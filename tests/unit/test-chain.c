/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains: the firmware's log with two hops, what systemd measured in each of the three boots, and
 * an IMA list. What they must give is the replay of one log that has everything in its place. */
#include <errno.h>

#include "eventlog/chain.h"
#include "tests/unit/hop-log.h"

static const char *const words[] = {"boot one", "boot two", "boot three"};

/* systemd's log of one boot: its word in PCR 11, and a record of an NvPCR that no PCR has. */
static void put_systemd_log(struct list *l, const char *word, struct buf *to)
{
        char hex[2 * DIGEST_MAX_BYTES + 1], text[512];
        struct digests digests;

        CHECK_EQ(hash_span(&l->banks, SPAN(word, strlen(word)), &digests), 0);
        for (unsigned nv = 0; nv < 2; nv++) {
                snprintf(text, sizeof(text), "\x1e{\"%s\":11,\"digests\":[",
                                nv ? "nv_index" : "pcr");
                buf_put(to, text, strlen(text));
                for (size_t i = 0; i < digests.n; i++) {
                        hex_encode(SPAN(digests.d[i].bytes, digests.d[i].alg->size), hex);
                        snprintf(text, sizeof(text), "%s{\"hashAlg\":\"%s\",\"digest\":\"%s\"}",
                                        i ? "," : "", digests.d[i].alg->name, hex);
                        buf_put(to, text, strlen(text));
                }
                snprintf(text, sizeof(text),
                                "],\"content\":{\"string\":\"%s\",\"eventType\":\"phase\"}}\n",
                                word);
                buf_put(to, text, strlen(text));
        }
}

struct scene {
        struct list list;
        struct buf firmware, systemd[3];
        struct chain chain;
        struct replay wanted; /* of one log with the words between the hops */
};

static void scene_release(struct scene *s)
{
        release(&s->list);
        buf_release(&s->firmware);
        for (size_t i = 0; i < 3; i++)
                buf_release(&s->systemd[i]);
}
#define _cleanup_scene_ __attribute__((cleanup(scene_release)))

static void scene_make(struct scene *s)
{
        static const size_t places[] = {HOP1, HOP2 + 1, END + 2};

        *s = (struct scene){0};
        honest(&s->list);
        write_log(&s->list, &s->firmware);
        s->chain.firmware = buf_span(&s->firmware);
        for (size_t i = 0; i < 3; i++) {
                put_systemd_log(&s->list, words[i], &s->systemd[i]);
                s->chain.systemd[i] = buf_span(&s->systemd[i]);
                add(&s->list, 11, EV_IPL, TEXT("of systemd"), SPAN(words[i], strlen(words[i])));
                last_to(&s->list, places[i]);
        }
        s->chain.n_systemd = 3;
        tpm_after(&s->list, &s->wanted);
}

/* Whether a PCR reads the same in all banks. */
static bool same(const struct replay *a, const struct replay *b, uint32_t pcr)
{
        for (size_t i = 0; i < a->banks.n; i++)
                if (memcmp(a->pcr[i][pcr].bytes, b->pcr[i][pcr].bytes, DIGEST_MAX_BYTES) != 0)
                        return false;
        return a->banks.n == b->banks.n;
}

static void test_boots(void)
{
        _cleanup_scene_ struct scene s;
        struct chain_result result;
        struct error error;

        scene_make(&s);
        REQUIRE(chain_replay(&s.chain, NULL, NULL, &result, &error) == 0);
        CHECK_EQ(result.n_boots, 3);
        CHECK_EQ(result.n_systemd, 3);
        for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++)
                CHECK(same(&result.replay, &s.wanted, pcr));
}

/* Logs that belong to another boot, or are missing, give another PCR 11, and nothing else. */
static void test_boots_twins(void)
{
        _cleanup_scene_ struct scene s;
        struct chain_result result;
        struct error error;
        struct chain chain;

        scene_make(&s);
        for (size_t i = 0; i < 3; i++) {
                chain = s.chain;
                chain.systemd[i] = s.chain.systemd[(i + 1) % 3];
                chain.systemd[(i + 1) % 3] = s.chain.systemd[i];
                REQUIRE(chain_replay(&chain, NULL, NULL, &result, &error) == 0);
                CHECK(!same(&result.replay, &s.wanted, 11) && same(&result.replay, &s.wanted, 8));
                chain = s.chain;
                chain.systemd[i] = SPAN(NULL, 0);
                REQUIRE(chain_replay(&chain, NULL, NULL, &result, &error) == 0);
                CHECK(!same(&result.replay, &s.wanted, 11) && same(&result.replay, &s.wanted, 8));
        }
        chain = s.chain;
        chain.systemd[3] = s.chain.systemd[0];
        chain.n_systemd = 4;
        CHECK_EQ(chain_replay(&chain, NULL, NULL, &result, &error), -EBADMSG);
        CHECK(strstr(error.text, "tells of 3 boots"));
        chain = s.chain;
        chain.systemd[1].size--; /* its newline may go, the bracket before it not */
        chain.systemd[1].size--;
        CHECK_EQ(chain_replay(&chain, NULL, NULL, &result, &error), -EBADMSG);
        CHECK(strstr(error.text, "boot 2: record 1"));
}

/* An ASCII list of n files; data as ima_log.h has it. */
static void put_ima_list(unsigned n, struct buf *to)
{
        struct banks sha1 = {.n = 1, .alg = {alg_by_name("sha1")}};

        for (unsigned i = 0; i < n; i++) {
                _cleanup_buf_ struct buf data = {0};
                char name[16], hex[41], line[256];
                struct digests digests;

                snprintf(name, sizeof(name), "/bin/%u", i);
                buf_put_u32(&data, 5 + 1 + 20);
                buf_put(&data, "sha1:", 6);
                buf_put_zeros(&data, 20);
                buf_put_u32(&data, (uint32_t)strlen(name) + 1);
                buf_put(&data, name, strlen(name) + 1);
                CHECK_EQ(hash_span(&sha1, buf_span(&data), &digests), 0);
                hex_encode(SPAN(digests.d[0].bytes, 20), hex);
                snprintf(line, sizeof(line), "10 %s ima-ng sha1:%040d %s\n", hex, 0, name);
                buf_put(to, line, strlen(line));
        }
}

/* A list may have grown since the PCRs were read: that isn't a mismatch. */
static void test_ima(void)
{
        _cleanup_scene_ struct scene s;
        _cleanup_buf_ struct buf before = {0}, after = {0};
        struct chain_result result, longer;
        struct error error;

        scene_make(&s);
        put_ima_list(5, &before);
        put_ima_list(8, &after);
        s.chain.ima = buf_span(&before);
        REQUIRE(chain_replay(&s.chain, NULL, NULL, &result, &error) == 0);
        CHECK_EQ(result.n_ima, 5);
        CHECK(!result.ima_exact); /* nothing to compare with */
        for (size_t b = 0; b < result.replay.banks.n; b++)
                result.replay.measured[b] = 0xffffff;

        s.chain.ima = buf_span(&after);
        REQUIRE(chain_replay(&s.chain, NULL, &result.replay, &longer, &error) == 0);
        CHECK_EQ(longer.n_ima, 5);
        CHECK(longer.ima_exact && same(&longer.replay, &result.replay, 10));

        /* A list that lacks a record never gets there. */
        s.chain.ima = SPAN(before.data, before.size - 80);
        while (s.chain.ima.size > 0 && s.chain.ima.data[s.chain.ima.size - 1] != '\n')
                s.chain.ima.size--;
        REQUIRE(chain_replay(&s.chain, NULL, &result.replay, &longer, &error) == 0);
        CHECK_EQ(longer.n_ima, 4);
        CHECK(!longer.ima_exact);
}

static void test_without_firmware(void)
{
        _cleanup_buf_ struct buf list = {0};
        struct banks sha1 = {.n = 1, .alg = {alg_by_name("sha1")}};
        struct chain chain = {0};
        struct chain_result result;
        struct error error;

        put_ima_list(2, &list);
        chain.ima = buf_span(&list);
        CHECK_EQ(chain_replay(&chain, NULL, NULL, &result, &error), -EINVAL);
        CHECK_EQ(chain_replay(&chain, &sha1, NULL, &result, &error), 0);
        CHECK_EQ(result.replay.measured[0], 1u << 10);
        CHECK_EQ(result.n_boots, 1);
}

static const struct tap_test tests[] = {
                {"each boot's measurements come before the hop that ends it", test_boots},
                {"logs of another boot, none, too many, cut off", test_boots_twins},
                {"IMA's list counts up to the value that was read", test_ima},
                {"lists without a firmware log", test_without_firmware},
};
TAP_MAIN(tests)
