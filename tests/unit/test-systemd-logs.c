/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's logs of several boots in one piece: what is written is read back, what isn't it is
 * refused, and what doesn't fit is left out and says so. */
#include <errno.h>

#include "base/buf.h"
#include "shim/handover/systemd-logs.h"
#include "tests/unit/tap.h"

#define RECORD "\x1e{\"pcr\":11}\n"

static struct span text(const char *s)
{
        return SPAN(s, strlen(s));
}

static struct systemd_logs made(void)
{
        return (struct systemd_logs){.for_boot = 5,
                        .n = 4,
                        .boot = {{.boot = 1, .lost = true},
                                        {.boot = 2, .continued = true, .log = text(RECORD RECORD)},
                                        {.boot = 3, .incomplete = true, .left_out = 7},
                                        {.boot = 4, .log = text(RECORD RECORD RECORD)}}};
}

static bool same(const struct systemd_logs *a, const struct systemd_logs *b)
{
        for (size_t i = 0; i < a->n && i < b->n; i++) {
                const struct systemd_boot *x = &a->boot[i], *y = &b->boot[i];

                if (x->boot != y->boot || x->incomplete != y->incomplete ||
                                x->continued != y->continued || x->lost != y->lost ||
                                x->left_out != y->left_out || !span_equal(x->log, y->log))
                        return false;
        }
        return a->for_boot == b->for_boot && a->n == b->n;
}

static void round_trip(void)
{
        _cleanup_buf_ struct buf bytes = {0};
        struct systemd_logs logs = made(), back;

        systemd_logs_put(&logs, &bytes);
        CHECK_EQ(systemd_logs_bytes(&logs), bytes.size);
        REQUIRE(systemd_logs_parse(buf_span(&bytes), &back, NULL) == 0);
        CHECK(same(&logs, &back));
}

/* Each byte that isn't a log's own changes what is read, or is refused; so is every other length.
 */
static void twins(void)
{
        _cleanup_buf_ struct buf bytes = {0};
        struct systemd_logs logs = made(), back;
        size_t own = 0;

        systemd_logs_put(&logs, &bytes);
        for (size_t n = 0; n < bytes.size; n++)
                CHECK_EQ(systemd_logs_parse(SPAN(bytes.data, n), &back, NULL), -EBADMSG);
        for (size_t i = 0; i < bytes.size; i++) {
                bytes.data[i] ^= 1;
                if (systemd_logs_parse(buf_span(&bytes), &back, NULL) == 0) {
                        CHECK(!same(&logs, &back));
                        own++;
                }
                bytes.data[i] ^= 1;
        }
        CHECK(own >= 5 * strlen(RECORD));
        buf_put_u8(&bytes, 0);
        CHECK_EQ(systemd_logs_parse(buf_span(&bytes), &back, NULL), -EBADMSG);
}

/* Written by the writer, which believes what it is given. */
static void impossible(void)
{
        static const struct {
                uint32_t for_boot;
                struct systemd_boot boot[2];
        } cases[] = {
                        {1, {{.boot = 1}, {.boot = 2}}},
                        {3, {{.boot = 2}, {.boot = 1}}},
                        {3, {{.boot = 1}, {.boot = 1}}},
                        {3, {{.boot = 0}, {.boot = 1}}},
                        {3, {{.boot = 1}, {.boot = 3}}},
                        {99, {{.boot = 1}, {.boot = CHAIN_BOOTS_MAX + 1}}},
                        {3, {{.boot = 1}, {.boot = 2, .left_out = 1ull << 63}}},
                        {3, {{.boot = 1, .lost = true, .log = {(const uint8_t *)RECORD, 11}},
                                            {.boot = 2}}},
                        {3, {{.boot = 1, .lost = true, .continued = true}, {.boot = 2}}},
                        {3, {{.boot = 1, .lost = true, .left_out = 1}, {.boot = 2}}},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct systemd_logs logs = {.for_boot = cases[i].for_boot, .n = 2}, back;
                _cleanup_buf_ struct buf bytes = {0};

                memcpy(logs.boot, cases[i].boot, sizeof(cases[i].boot));
                systemd_logs_put(&logs, &bytes);
                CHECK_EQ(systemd_logs_parse(buf_span(&bytes), &back, NULL), -EBADMSG);
        }
}

static void cut(void)
{
        struct systemd_logs logs = made();
        uint64_t whole = systemd_logs_bytes(&logs);
        const size_t record = strlen(RECORD);

        CHECK_EQ(systemd_logs_cut(&logs, whole, NULL), 0);
        CHECK(logs.boot[1].left_out == 0 && logs.boot[3].left_out == 0);
        CHECK_EQ(systemd_logs_cut(&logs, whole - 1, NULL), 0);
        CHECK_EQ(logs.boot[1].left_out, record);
        CHECK(span_equal(logs.boot[1].log, text(RECORD)));
        CHECK_EQ(systemd_logs_cut(&logs, whole - 2 * record - 1, NULL), 0);
        CHECK(logs.boot[1].left_out == 2 * record && logs.boot[1].log.size == 0);
        CHECK(logs.boot[3].left_out == record && logs.boot[3].log.size == 2 * record);
        CHECK(logs.boot[2].left_out == 7 && logs.boot[0].lost);
        CHECK_EQ(systemd_logs_cut(&logs, whole - 5 * record - 1, NULL), -ENOSPC);

        logs = (struct systemd_logs){.for_boot = 2,
                        .n = 1,
                        .boot = {{.boot = 1, .log = text("{\"pcr\":11}\n{}\n")}}};
        whole = systemd_logs_bytes(&logs);
        CHECK_EQ(systemd_logs_cut(&logs, whole - 11, NULL), 0);
        CHECK(span_equal(logs.boot[0].log, text("{}\n")));
}

static const struct tap_test tests[] = {
                {"what is written is read back", round_trip},
                {"forged bytes", twins},
                {"logs that can't be", impossible},
                {"what doesn't fit", cut},
};
TAP_MAIN(tests)
