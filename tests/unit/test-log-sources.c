/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kinds of logs by their first bytes, and where their bytes come from. */
#include <errno.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "eventlog/append.h"
#include "eventlog/replay.h"
#include "shim/log-sources.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define DIGEST "0123456789abcdef0123456789abcdef01234567"
#define SYSTEMD                                                                           \
        "\x1e{\"pcr\":11,\"digests\":[{\"hashAlg\":\"sha1\",\"digest\":\"" DIGEST "\"}]," \
        "\"content_type\":\"systemd\",\"content\":{\"string\":\"ready\"}}\n"
#define CEL                                                                         \
        "{\"pcr\":0,\"recnum\":1,\"digests\":[],\"content_type\":\"pcclient_std\"," \
        "\"content\":{}}"

static enum log_kind kind_of_text(const char *text)
{
        return log_kind_of(SPAN(text, strlen(text)));
}

static void test_text_kinds(void)
{
        CHECK_EQ(kind_of_text(SYSTEMD SYSTEMD), LOG_SYSTEMD);
        CHECK_EQ(kind_of_text(SYSTEMD + 1), LOG_SYSTEMD);
        CHECK_EQ(kind_of_text("\x1e" CEL "\n"), LOG_CEL_JSON);
        CHECK_EQ(kind_of_text(" [" CEL "]"), LOG_CEL_JSON);
        CHECK_EQ(kind_of_text(CEL), LOG_CEL_JSON);
        CHECK_EQ(kind_of_text("10 " DIGEST " ima-ng sha1:" DIGEST " /init\n"), LOG_IMA);
        CHECK_EQ(kind_of_text("#!/bin/sh\necho a script, no log\n"), LOG_UNKNOWN);
        CHECK_EQ(kind_of_text(""), LOG_UNKNOWN);
        CHECK_EQ(kind_of_text("\x1e"), LOG_SYSTEMD);
}

/* A record of format 1: TCG's where the type exists, else an IMA list's. */
static void test_binary_kinds(void)
{
        _cleanup_buf_ struct buf agile = {0}, sha1 = {0}, ima = {0}, cel = {0};
        struct banks banks = {.n = 1, .alg = {alg_by_name("sha256")}};
        struct tcg_event event = {.pcr = 4, .type = EV_EFI_ACTION, .data = SPAN("text", 4)};

        event_log_put_header(&agile, &banks);
        CHECK_EQ(log_kind_of(buf_span(&agile)), LOG_TCG);
        agile.data[0] = 1; /* PCR of the header */
        CHECK_EQ(log_kind_of(buf_span(&agile)), LOG_CC);

        event.digests.n = 1;
        event.digests.d[0].alg = alg_by_name("sha1");
        REQUIRE(event_log_put_event_sha1(&sha1, &event) == 0);
        CHECK_EQ(log_kind_of(buf_span(&sha1)), LOG_TCG);
        sha1.data[6] = 1; /* no such type */
        CHECK_EQ(log_kind_of(buf_span(&sha1)), LOG_UNKNOWN);

        buf_put_u32(&ima, 10);
        buf_put(&ima, DIGEST, 20);
        buf_put_u32(&ima, 6);
        buf_put(&ima, "ima-ng", 6);
        buf_put_u32(&ima, 10);
        buf_put(&ima, "\x02\0\0\0ab\0\0\0\0", 10);
        CHECK_EQ(log_kind_of(buf_span(&ima)), LOG_IMA);
        ima.data[24] = 0; /* no name */
        CHECK_EQ(log_kind_of(buf_span(&ima)), LOG_UNKNOWN);

        buf_put(&cel,
                        "\0\0\0\0\1\0"
                        "\1\0\0\0\1\4"
                        "\3\0\0\0\0"
                        "\5\0\0\0\0",
                        22);
        CHECK_EQ(log_kind_of(buf_span(&cel)), LOG_CEL_TLV);
        cel.data[6] = 7; /* neither PCR nor NV index */
        CHECK_EQ(log_kind_of(buf_span(&cel)), LOG_UNKNOWN);
}

#define IMA "10 " DIGEST " ima-ng sha1:" DIGEST " /init\n"

static void test_files(void)
{
        _cleanup_log_sources_ struct log_sources sources = {0}, none = {0};
        char systemd[256], ima[256], missing[] = "/nonexistent/log", standard[] = "-";
        char *paths[] = {systemd, ima}, *wrong[] = {systemd, missing};
        char *twice[] = {standard, standard};
        struct error error = {{0}};

        REQUIRE(scratch_new());
        scratch_write("systemd", SYSTEMD);
        scratch_write("ima", IMA);
        snprintf(systemd, sizeof(systemd), "%s", scratch_path("systemd"));
        snprintf(ima, sizeof(ima), "%s", scratch_path("ima"));
        CHECK(chmod(systemd, 01600) == 0);
        CHECK(log_sources_read(paths, 2, &sources, &error) == 0);
        CHECK_EQ(sources.n, 2);
        CHECK_EQ(sources.source[0].kind, LOG_SYSTEMD);
        CHECK(sources.source[0].incomplete && strcmp(sources.source[0].name, systemd) == 0);
        CHECK_EQ(sources.source[1].kind, LOG_IMA);
        CHECK(!sources.source[1].incomplete);
        CHECK(log_sources_read(wrong, 2, &none, &error) < 0 && none.n == 0);
        CHECK(strstr(error.text, missing) != NULL);
        CHECK(freopen("/dev/null", "r", stdin) != NULL);
        CHECK(log_sources_read(twice, 2, &none, &error) == -EINVAL && none.n == 0);
        scratch_remove();
}

static void test_machine(void)
{
        _cleanup_log_sources_ struct log_sources sources = {0}, none = {0};
        struct error error = {{0}};

        REQUIRE(scratch_new());
        scratch_write("systemd", SYSTEMD);
        scratch_write("ima", IMA);
        setenv("SYSTEMD_MEASURE_LOG_FIRMWARE", "/nonexistent/log", 1);
        setenv("SYSTEMD_MEASURE_LOG_USERSPACE", "/nonexistent/log", 1);
        setenv("MKEXEC_IMA_LIST", "/nonexistent/log", 1);
        setenv("MKEXEC_RUN_DIR", scratch_path("run"), 1);
        CHECK(log_sources_read(NULL, 0, &none, &error) == -ENOENT);
        setenv("SYSTEMD_MEASURE_LOG_USERSPACE", scratch_path("systemd"), 1);
        setenv("MKEXEC_IMA_LIST", scratch_path("ima"), 1);
        CHECK(log_sources_read(NULL, 0, &sources, &error) == 0);
        CHECK_EQ(sources.n, 2);
        if (sources.n == 2) {
                CHECK_EQ(sources.source[0].kind, LOG_SYSTEMD);
                CHECK_EQ(sources.source[1].kind, LOG_IMA);
        }
        scratch_remove();
}

/* What a process that reads a log which is cut off meanwhile says, and its exit code. */
static int read_while_cut(const char *path, char said[512])
{
        _cleanup_log_sources_ struct log_sources sources = {0};
        char *paths[] = {(char *)path};
        int fds[2], status = -1;
        ssize_t n;
        pid_t child;

        said[0] = '\0';
        if (pipe(fds) < 0)
                return -1;
        child = fork();
        if (child == 0) {
                struct replay replay;

                dup2(fds[1], STDERR_FILENO);
                if (log_sources_read(paths, 1, &sources, NULL) == 0 && truncate(path, 4096) == 0)
                        replay_log(sources.source[0].bytes, &replay, NULL);
                _exit(77);
        }
        close(fds[1]);
        for (size_t size = 0; (n = read(fds[0], said + size, 511 - size)) > 0; size += (size_t)n)
                said[size + (size_t)n] = '\0';
        close(fds[0]);
        return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_mapped(void)
{
        _cleanup_log_sources_ struct log_sources sources = {0};
        _cleanup_buf_ struct buf log = {0}, json = {0};
        struct banks banks = {.n = 1, .alg = {alg_by_name("sha256")}};
        struct tcg_event event = {.pcr = 4, .type = EV_EFI_ACTION, .data = SPAN("text", 4)};
        char path[256], said[512], list[256], *paths[] = {path, list};

        REQUIRE(hash_span(&banks, event.data, &event.digests) == 0 && scratch_new());
        event_log_put_header(&log, &banks);
        while (log.size < 3u << 20)
                REQUIRE(event_log_put_event(&log, &banks, &event) == 0);
        while (json.size < 2u << 20)
                buf_put(&json, SYSTEMD, sizeof(SYSTEMD) - 1);
        scratch_write_bytes("large", log.data, log.size);
        scratch_write_bytes("systemd", json.data, json.size);
        snprintf(path, sizeof(path), "%s", scratch_path("large"));
        snprintf(list, sizeof(list), "%s", scratch_path("systemd"));
        REQUIRE(log_sources_read(paths, 2, &sources, NULL) == 0);
        CHECK(sources.source[0].mapped.data != NULL && sources.source[0].kind == LOG_TCG);
        CHECK(span_equal(sources.source[0].bytes, buf_span(&log)));
        CHECK(sources.source[1].mapped.data == NULL && sources.source[1].kind == LOG_SYSTEMD);
        CHECK(span_equal(sources.source[1].bytes, buf_span(&json)));
        CHECK_EQ(read_while_cut(path, said), 2);
        CHECK(strstr(said, path) && strstr(said, "cut off while it was read"));
        scratch_remove();
}

static const struct tap_test tests[] = {
                {"kinds of text", test_text_kinds},
                {"kinds of binary logs, and twins of one byte", test_binary_kinds},
                {"files, standard input once, one that is missing", test_files},
                {"large files are mapped, and may be cut off meanwhile", test_mapped},
                {"this machine's logs, as far as they exist", test_machine},
};
TAP_MAIN(tests)
