/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's logs of this boot and those before: found where the boot before left them, each under
 * its number, also after hops that were aborted; lost ones are marked, never forgotten. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/efi-types.h"
#include "eventlog/append.h"
#include "shim/boot-systemd.h"
#include "tests/unit/carried-file.h"
#include "tests/unit/hop-fixture.h"
#include "tests/unit/scratch.h"

#define ONE   "\x1e{\"string\":\"one\"}\n"
#define TWO   "\x1e{\"string\":\"two\"}\n"
#define THREE "\x1e{\"string\":\"three\"}\n"

struct world {
        struct state_dir dir;
        struct buf log; /* firmware's, with a hop for each boot but the first */
        struct boot_log_parts parts;
        char variable[128];
};

static void world_free(struct world *w)
{
        buf_release(&w->log);
        state_close(&w->dir);
        scratch_remove();
}
#define _cleanup_world_ __attribute__((cleanup(world_free)))

static void put_hop(struct world *w, uint32_t hop)
{
        struct plan_input input = fixture_input(fixture_map, 1u << 11);
        struct plan plan = {0};

        input.hop = hop;
        CHECK_EQ(plan_make(&input, &plan, NULL), 0);
        CHECK_EQ(plan_log(&plan, plan.n_events, &w->log, NULL), 0);
        plan_release(&plan);
}

/* All that the kernel shows: n boots. */
static bool world_new(struct world *w, uint32_t boots)
{
        struct banks banks = fixture_banks();
        char vendor[GUID_TEXT_SIZE];

        *w = (struct world){.dir = STATE_DIR_NONE};
        if (geteuid() != 0) {
                tap_skip_reason = "not root";
                return false;
        }
        if (!scratch_new())
                return false;
        setenv("MKEXEC_RUN_DIR", scratch_path("run"), 1);
        setenv("SYSTEMD_MEASURE_LOG_USERSPACE", scratch_path("systemd"), 1);
        scratch_mkdir("firmware");
        scratch_mkdir("firmware/efi");
        scratch_mkdir("firmware/efi/efivars");
        guid_to_text(&guid_mkexec, vendor);
        snprintf(w->variable, sizeof(w->variable), "firmware/efi/efivars/MkexecSystemdLogs-%s",
                        vendor);
        CHECK_EQ(state_open(&w->dir, NULL), 0);
        event_log_put_header(&w->log, &banks);
        for (uint32_t hop = 1; hop < boots; hop++)
                put_hop(w, hop);
        w->parts.kernel = w->log.size;
        return true;
}

static void put_variable(
                const struct world *w, uint32_t attributes, const struct systemd_logs *logs)
{
        _cleanup_buf_ struct buf bytes = {0};

        buf_put_u32(&bytes, attributes);
        systemd_logs_put(logs, &bytes);
        scratch_write_bytes(w->variable, bytes.data, bytes.size);
}

static void put_carried(struct world *w, const struct systemd_logs *logs)
{
        _cleanup_buf_ struct buf archive = {0}, bytes = {0};
        struct carried_log carried = {.base_bytes = w->parts.kernel};
        struct span kernel = SPAN(w->log.data, w->parts.kernel);

        systemd_logs_put(logs, &bytes);
        carried.systemd_logs = buf_span(&bytes);
        CHECK_EQ(hash_sha256(kernel, carried.base_sha256), 0);
        CHECK_EQ(carried_log_put_archive(&carried, carried_log_room(0, bytes.size), &archive, NULL),
                        0);
        CHECK_EQ(state_write(&w->dir, STATE_CARRIED, carried_file(&archive), NULL), 0);
}

static int read_logs(const struct world *w, struct boot_systemd *ret)
{
        struct error error = {{0}};
        int r = boot_systemd_read(scratch_root, &w->dir, buf_span(&w->log), &w->parts, ret, &error);

        if (r < 0)
                printf("# %s\n", error.text);
        return r;
}

/* "1 one, 2 two": numbers, marks and logs of what was read. */
static bool reads(const struct world *w, const char *wanted)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        _cleanup_buf_ struct buf text = {0};

        if (read_logs(w, &systemd) < 0)
                return false;
        for (size_t i = 0; i < systemd.logs.n; i++) {
                const struct systemd_boot *b = &systemd.logs.boot[i];

                buf_format(&text, "%s%u%s%s%s%s ", i > 0 ? "; " : "", b->boot,
                                b->lost ? " lost" : "", b->incomplete ? " incomplete" : "",
                                b->continued ? " continued" : "", b->left_out > 0 ? " cut" : "");
                buf_put_span(&text, b->log);
        }
        if (span_equal(buf_span(&text), SPAN(wanted, strlen(wanted))))
                return true;
        printf("# read: %.*s\n# wanted: %s\n", (int)text.size, (const char *)text.data, wanted);
        return false;
}

static struct systemd_logs logs_for(uint32_t boot, const char *first)
{
        return (struct systemd_logs){.for_boot = boot,
                        .n = 1,
                        .boot = {{.boot = 1, .log = SPAN(first, strlen(first))}}};
}

static void first_boot(void)
{
        _cleanup_world_ struct world w;

        if (!world_new(&w, 1))
                return;
        CHECK(reads(&w, ""));
        scratch_write("systemd", ONE);
        CHECK(reads(&w, "1 " ONE));
        CHECK(chmod(scratch_path("systemd"), 01600) == 0);
        CHECK(reads(&w, "1 incomplete " ONE));
        w.log.size = w.parts.kernel = 0; /* a kernel without a log */
        CHECK(reads(&w, "1 incomplete " ONE));
}

static void in_a_variable(void)
{
        _cleanup_world_ struct world w;
        struct systemd_logs logs = logs_for(2, ONE), other = logs_for(3, ONE);

        if (!world_new(&w, 2))
                return;
        scratch_write("systemd", TWO);
        CHECK(reads(&w, "1 lost ; 2 " TWO));
        put_variable(&w, 6, &logs);
        CHECK(reads(&w, "1 " ONE "; 2 " TWO));
        put_variable(&w, 7, &logs); /* in the firmware's own store */
        CHECK(reads(&w, "1 lost ; 2 " TWO));
        put_variable(&w, 6, &other);
        CHECK(reads(&w, "1 lost ; 2 " TWO));
        scratch_write(w.variable, "\6");
        CHECK(reads(&w, "1 lost ; 2 " TWO));
        logs.n = 0; /* the first system measured nothing */
        put_variable(&w, 6, &logs);
        CHECK(reads(&w, "2 " TWO));
}

/* The variable of the hop before is seen through a hop by kexec_file_load. */
static void in_the_initrd(void)
{
        _cleanup_world_ struct world w;
        struct systemd_logs older = logs_for(2, "older"), logs = logs_for(3, ONE);

        if (!world_new(&w, 3))
                return;
        put_variable(&w, 6, &older);
        put_carried(&w, &logs);
        CHECK(reads(&w, "1 " ONE));
        w.parts.kernel--; /* the file continues another log */
        CHECK(reads(&w, "1 lost ; 2 lost "));
}

/* What an aborted hop parts stays parted, and a file that isn't the one from before says so. */
static void aborted(void)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        _cleanup_world_ struct world w;
        _cleanup_buf_ struct buf handed = {0}, again = {0};
        struct systemd_logs logs;

        if (!world_new(&w, 1))
                return;
        scratch_write("systemd", ONE);
        REQUIRE(read_logs(&w, &systemd) == 0);
        CHECK_EQ(boot_systemd_hand_on(&systemd, &w.dir, 4096, &handed, NULL), 0);
        REQUIRE(systemd_logs_parse(buf_span(&handed), &logs, NULL) == 0);
        CHECK(logs.for_boot == 2 && logs.n == 1 && !logs.boot[0].continued);
        boot_systemd_release(&systemd);
        CHECK(reads(&w, "1 " ONE)); /* it isn't aborted yet */
        CHECK_EQ(boot_systemd_aborted(&w.dir, NULL), 0);
        CHECK_EQ(boot_systemd_aborted(&w.dir, NULL), 0);
        put_hop(&w, 1);
        CHECK(reads(&w, "1 continued " ONE));
        scratch_write("systemd", ONE TWO);
        CHECK(reads(&w, "1 continued " ONE "; 2 " TWO));

        REQUIRE(read_logs(&w, &systemd) == 0);
        CHECK_EQ(boot_systemd_hand_on(&systemd, &w.dir, 4096, &again, NULL), 0);
        boot_systemd_release(&systemd);
        CHECK_EQ(boot_systemd_aborted(&w.dir, NULL), 0);
        put_hop(&w, 2);
        scratch_write("systemd", ONE TWO THREE);
        CHECK(reads(&w, "1 continued " ONE "; 2 continued " TWO "; 3 " THREE));
        scratch_write("systemd", THREE);
        CHECK(reads(&w, "1 continued " ONE "; 2 continued " TWO "; 3 incomplete " THREE));

        /* The next kernel's file is its own, whatever was aborted before. */
        REQUIRE(systemd_logs_parse(buf_span(&again), &logs, NULL) == 0);
        CHECK_EQ(state_remove(&w.dir, STATE_SYSTEMD), 0);
        put_variable(&w, 6, &logs);
        CHECK(reads(&w, "1 continued " ONE "; 2 " TWO "; 3 " THREE));
}

static void no_room(void)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        _cleanup_world_ struct world w;
        _cleanup_buf_ struct buf handed = {0};
        struct systemd_logs logs = logs_for(2, ONE ONE), back;
        uint64_t room;

        if (!world_new(&w, 2))
                return;
        put_variable(&w, 6, &logs);
        scratch_write("systemd", TWO);
        REQUIRE(read_logs(&w, &systemd) == 0);
        room = systemd_logs_bytes(&systemd.logs);
        CHECK(boot_systemd_room(&systemd) > room);
        CHECK(boot_systemd_room(&systemd) <= SYSTEMD_LOGS_MAX_BYTES);
        CHECK_EQ(boot_systemd_hand_on(&systemd, &w.dir, room - 1, &handed, NULL), 0);
        REQUIRE(systemd_logs_parse(buf_span(&handed), &back, NULL) == 0);
        CHECK_EQ(back.boot[0].left_out, strlen(ONE));
        CHECK(back.boot[0].log.size == strlen(ONE) && back.boot[1].left_out == 0);
        CHECK_EQ(boot_systemd_hand_on(&systemd, &w.dir, 20, &handed, NULL), -ENOSPC);
}

/* ---- systemd without a log: sha256 over words by Python's hashlib ---- */

#define SYSINIT_READY "e66bd49b696cd09712ca2a46dd23e03d735f30b7ecfafdfce60d259ed2712ce1"
#define ALL_SIX       "56a69e511a66d7dfa2f8e1b1dd43393987b084e6fc04af0a6b8a81a66d1d0d95"
#define READY_SYSINIT "999f7e9e5d2bbc422cfcecb2a00c0cd4c8844351922841c887e6e916c544a54c"

#define PCR_FOLDER "class/tpm/tpm0/pcr-sha256"

static void shows_pcr_11(const char *hex)
{
        scratch_write(PCR_FOLDER "/11", hex);
}

/* Boot 1's words, in their order; the records must explain their digests. */
static bool finds(const struct world *w, const char *wanted)
{
        _cleanup_(boot_systemd_release) struct boot_systemd systemd = BOOT_SYSTEMD_NONE;
        _cleanup_buf_ struct buf text = {0};
        size_t offset = 0, index = 0;
        struct systemd_record record;
        struct span log = {0};

        if (read_logs(w, &systemd) < 0)
                return false;
        if (systemd.logs.n > 0)
                log = systemd.logs.boot[0].log;
        while (systemd_log_next(log, &offset, &index, &record, NULL) == 1) {
                enum systemd_explained explained;

                CHECK_EQ(systemd_record_explain(&record, &explained), 0);
                CHECK(explained == SYSTEMD_VERIFIED && record.pcr == 11);
                CHECK(systemd_record_measured(&record, &text));
                buf_format(&text, " ");
        }
        return span_equal(buf_span(&text), SPAN(wanted, strlen(wanted)));
}

static void phases_without_a_log(void)
{
        _cleanup_world_ struct world w;

        if (!world_new(&w, 1))
                return;
        scratch_mkdir("class");
        scratch_mkdir("class/tpm");
        scratch_mkdir("class/tpm/tpm0");
        scratch_mkdir(PCR_FOLDER);
        shows_pcr_11(SYSINIT_READY "\n");
        CHECK(finds(&w, "sysinit ready "));
        shows_pcr_11(ALL_SIX "\n");
        CHECK(finds(&w, "enter-initrd leave-initrd sysinit ready shutdown final "));
        shows_pcr_11(READY_SYSINIT "\n"); /* nobody measures in that order */
        CHECK(finds(&w, ""));
        shows_pcr_11("e66b\n");
        CHECK(finds(&w, ""));
        shows_pcr_11(SYSINIT_READY "\n"); /* systemd's own word counts */
        scratch_write("systemd", ONE);
        CHECK(reads(&w, "1 " ONE));
}

static const struct tap_test tests[] = {
                {"the first boot has its own log only", first_boot},
                {"in a variable of the overlay, and variables that aren't", in_a_variable},
                {"in the initrd, with a variable that is older", in_the_initrd},
                {"aborted hops part the log of one system", aborted},
                {"what doesn't fit is marked", no_room},
                {"phases that systemd measured without a log", phases_without_a_log},
};
TAP_MAIN(tests)
