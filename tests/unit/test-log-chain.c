/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From sources to what is replayed together: which of systemd's logs is of which boot, and what
 * can't be together. */
#include <errno.h>

#include "shim/log-chain.h"
#include "tests/unit/hop-log.h"

#define SYSTEMD(text)                                                  \
        {                                                              \
                .name = text, .kind = LOG_SYSTEMD, .bytes = TEXT(text) \
        }

static bool is(const struct log_chain *logs, size_t boot, const char *text)
{
        const struct chain_place place = {.part = CHAIN_SYSTEMD, .boot = boot - 1};

        return span_equal(logs->chain.systemd[boot - 1], SPAN(text, strlen(text))) &&
               (!*text || log_chain_source(logs, &place) < 4);
}

/* A log with three boots. */
static void files(void)
{
        _cleanup_buf_ struct buf log = {0};
        struct log_source source[] = {SYSTEMD("one"), SYSTEMD("two"),
                        {.name = "firmware", .kind = LOG_TCG}, SYSTEMD("three")};
        struct log_sources sources = {ARRAY_SIZE(source), source};
        struct log_chain logs;
        struct list l;

        honest(&l);
        write_log(&l, &log);
        source[2].bytes = buf_span(&log);
        REQUIRE(log_chain_make(&sources, &logs, NULL) == 0);
        CHECK_EQ(logs.chain.n_systemd, 3);
        CHECK(is(&logs, 1, "one") && is(&logs, 2, "two") && is(&logs, 3, "three"));
        CHECK_EQ(logs.firmware, 2);
        sources.n = 3; /* two for three boots: those of the last ones */
        REQUIRE(log_chain_make(&sources, &logs, NULL) == 0);
        CHECK_EQ(logs.chain.n_systemd, 3);
        CHECK(is(&logs, 1, "") && is(&logs, 2, "one") && is(&logs, 3, "two") && !logs.lacking);
        CHECK_EQ(log_chain_source(&logs, &(struct chain_place){CHAIN_SYSTEMD, 2, 0, 0}), 1);
        release(&l);
}

/* This machine's say of which boot they are. */
static void numbered(void)
{
        struct log_source source[] = {SYSTEMD("three"), SYSTEMD("one"), SYSTEMD("")};
        struct log_sources sources = {ARRAY_SIZE(source), source};
        struct log_chain logs;

        source[0].boot = 3;
        source[1].boot = 1;
        source[2].boot = 2;
        source[2].lost = true;
        REQUIRE(log_chain_make(&sources, &logs, NULL) == 0);
        CHECK_EQ(logs.chain.n_systemd, 3);
        CHECK(is(&logs, 1, "one") && is(&logs, 2, "") && is(&logs, 3, "three") && logs.lacking);
        source[0].boot = CHAIN_BOOTS_MAX + 1;
        CHECK_EQ(log_chain_make(&sources, &logs, NULL), -EPROTO);
}

static void not_together(void)
{
        struct log_source source[] = {{.name = "a", .kind = LOG_TCG, .bytes = TEXT("x")},
                        {.name = "b", .kind = LOG_CC, .bytes = TEXT("x")}};
        struct log_sources sources = {2, source};
        struct log_chain logs;
        struct error error = {{0}};

        CHECK_EQ(log_chain_make(&sources, &logs, &error), -EPROTO);
        CHECK(strstr(error.text, "b: a second"));
        source[0].kind = source[1].kind = LOG_IMA;
        CHECK_EQ(log_chain_make(&sources, &logs, &error), -EPROTO);
        source[0].kind = LOG_TCG;
        CHECK_EQ(log_chain_make(&sources, &logs, &error), 0);
        source[0].bytes.size = 0;
        CHECK_EQ(log_chain_make(&sources, &logs, &error), -EBADMSG);
        CHECK(strstr(error.text, "a is empty"));
}

static const struct tap_test tests[] = {
                {"files in the order of boots", files},
                {"logs that say of which boot they are", numbered},
                {"what can't be together", not_together},
};
TAP_MAIN(tests)
