/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event log in a cpio archive before the initrd: what is written is read back, fits where
 * archives are joined, and no other file is taken for it. */
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alg.h"
#include "base/cleanup.h"
#include "shim/handover/carried-log.h"
#include "tests/unit/carried-file.h"

static const char base[] = "the log that the kernel shows";

static struct carried_log made(void)
{
        struct carried_log log = {.base_bytes = sizeof(base),
                        .log = SPAN("events of a hop", 15),
                        .systemd_logs = SPAN("\x1e{}\n", 4)};

        CHECK_EQ(hash_sha256(SPAN(base, sizeof(base)), log.base_sha256), 0);
        return log;
}

static void round_trip(void)
{
        _cleanup_buf_ struct buf archive = {0};
        struct carried_log log = made(), back;
        uint64_t room = carried_log_room(log.log.size, log.systemd_logs.size);

        CHECK_EQ(room, 4096);
        REQUIRE(carried_log_put_archive(&log, room, &archive, NULL) == 0);
        CHECK_EQ(archive.size, room);
        CHECK(memcmp(archive.data, "070701", 6) == 0);
        REQUIRE(carried_log_parse(carried_file(&archive), &back, NULL) == 0);
        CHECK(span_equal(back.log, log.log) && span_equal(back.systemd_logs, log.systemd_logs));
        CHECK(carried_log_continues(&back, SPAN(base, sizeof(base))));
        CHECK(!carried_log_continues(&back, SPAN(base, sizeof(base) - 1)));
        CHECK(!carried_log_continues(&back, SPAN("The log that the kernel shows", sizeof(base))));
}

/* The judge is another program: what cpio finds in the archive with another one behind it. */
static void cpio_reads_it(void)
{
        _cleanup_buf_ struct buf archive = {0}, joined = {0};
        char path[] = "/tmp/mkexec-test-XXXXXX", command[256], line[128], names[512] = "";
        _cleanup_close_ int fd = mkstemp(path);
        struct carried_log log = made();
        FILE *list;

        if (system("busybox cpio --help >/dev/null 2>&1") != 0) {
                unlink(path);
                tap_skip_reason = "no busybox cpio";
                return;
        }
        REQUIRE(carried_log_put_archive(&log, 8192, &archive, NULL) == 0);
        REQUIRE(fd >= 0 && write(fd, archive.data, archive.size) == (ssize_t)archive.size);
        snprintf(command, sizeof(command), "busybox cpio -tv <%s 2>/dev/null", path);
        list = popen(command, "r");
        while (list && fgets(line, sizeof(line), list))
                strncat(names, line, sizeof(names) - strlen(names) - 1);
        CHECK(list && pclose(list) == 0);
        CHECK(strstr(names, "drwx------") && strstr(names, " .mkexec\n"));
        CHECK(strstr(names, "-r--------") && strstr(names, " .mkexec/log\n"));
        unlink(path);
}

static void room(void)
{
        _cleanup_buf_ struct buf exact = {0}, small = {0};
        struct carried_log log = made();
        struct error e = {0};

        for (size_t n = 0; n < 5000; n += 37) {
                _cleanup_buf_ struct buf archive = {0};
                uint64_t enough = carried_log_room(n, n / 2);

                log.log.size = log.systemd_logs.size = 0;
                buf_put_zeros(&small, n);
                log.log = SPAN(small.data, n);
                log.systemd_logs = SPAN(small.data, n / 2);
                CHECK_EQ(carried_log_put_archive(&log, enough, &archive, &e), 0);
                CHECK_EQ(enough % 4096, 0);
                small.size = 0;
        }
        log = made();
        CHECK_EQ(carried_log_put_archive(&log, 300, &exact, &e), -ENOSPC);
}

static void twins(void)
{
        _cleanup_buf_ struct buf archive = {0};
        struct carried_log log = made(), back;
        struct span file;
        uint8_t copy[256];

        REQUIRE(carried_log_put_archive(&log, 4096, &archive, NULL) == 0);
        file = carried_file(&archive);
        REQUIRE(file.size < sizeof(copy));
        memcpy(copy, file.data, file.size);
        for (size_t n = 0; n < file.size; n++)
                CHECK_EQ(carried_log_parse(SPAN(copy, n), &back, NULL), -EBADMSG);
        copy[file.size] = 0;
        CHECK_EQ(carried_log_parse(SPAN(copy, file.size + 1), &back, NULL), -EBADMSG);
        for (size_t i = 0; i < 12; i++) { /* magic and version */
                copy[i] ^= 1;
                CHECK_EQ(carried_log_parse(SPAN(copy, file.size), &back, NULL), -EBADMSG);
                copy[i] ^= 1;
        }
        for (size_t i = 12; i < 52; i++) { /* what it continues */
                copy[i] ^= 1;
                CHECK_EQ(carried_log_parse(SPAN(copy, file.size), &back, NULL), 0);
                CHECK(!carried_log_continues(&back, SPAN(base, sizeof(base))));
                copy[i] ^= 1;
        }
        copy[55] = 0xff; /* a log of 4 GiB */
        CHECK_EQ(carried_log_parse(SPAN(copy, file.size), &back, NULL), -EBADMSG);
}

static const struct tap_test tests[] = {
                {"what is written is read back", round_trip},
                {"cpio reads the archive", cpio_reads_it},
                {"room", room},
                {"forged files", twins},
};
TAP_MAIN(tests)
