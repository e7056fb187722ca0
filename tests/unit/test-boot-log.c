/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This boot's log out of its parts: the kernel's, what the boot before left in the initrd, aborted
 * hops; and what is left out because it isn't of this boot. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eventlog/append.h"
#include "shim/boot-log.h"
#include "tests/unit/carried-file.h"
#include "tests/unit/hop-fixture.h"
#include "tests/unit/soft-tpm.h"

struct world {
        char folder[32], kernel_path[64];
        struct state_dir dir;
        struct plan plan;
        struct soft_tpm soft;
        struct buf kernel, hop, log;
        struct boot_log_parts parts;
        struct error error;
};

static bool world_new(struct world *w)
{
        struct plan_input input = fixture_input(fixture_map, 0);

        memset(w, 0, sizeof(*w));
        w->dir = STATE_DIR_NONE;
        if (geteuid() != 0) {
                tap_skip_reason = "not root";
                return false;
        }
        strcpy(w->folder, "/tmp/mkexec-test-XXXXXX");
        if (!mkdtemp(w->folder))
                return false;
        snprintf(w->kernel_path, sizeof(w->kernel_path), "%s/firmware", w->folder);
        setenv("MKEXEC_RUN_DIR", w->folder, 1);
        setenv("SYSTEMD_MEASURE_LOG_FIRMWARE", w->kernel_path, 1);
        CHECK_EQ(plan_make(&input, &w->plan, NULL), 0);
        CHECK_EQ(state_open(&w->dir, NULL), 0);
        event_log_put_header(&w->kernel, &input.banks);
        CHECK_EQ(state_write(&w->dir, "firmware", buf_span(&w->kernel), NULL), 0);
        CHECK_EQ(plan_log(&w->plan, w->plan.n_events, &w->hop, NULL), 0);
        w->soft = (struct soft_tpm){.tpm.ops = &soft_ops, .fail_at = -1};
        replay_start(&w->soft.pcrs, &input.banks);
        return tap_failures == 0;
}

static void world_free(struct world *w)
{
        static const char *const names[] = {STATE_CARRIED, STATE_ABORTED, "firmware", "lock"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                state_remove(&w->dir, names[i]);
        plan_release(&w->plan);
        buf_release(&w->kernel);
        buf_release(&w->hop);
        buf_release(&w->log);
        state_close(&w->dir);
        CHECK_EQ(rmdir(w->folder), 0);
}

static void carry(struct world *w, struct span base, struct span hop)
{
        _cleanup_buf_ struct buf archive = {0};
        struct carried_log log = {.base_bytes = base.size, .log = hop};

        CHECK_EQ(hash_sha256(base, log.base_sha256), 0);
        CHECK_EQ(carried_log_put_archive(&log, carried_log_room(hop.size, 0), &archive, NULL), 0);
        CHECK_EQ(state_write(&w->dir, STATE_CARRIED, carried_file(&archive), NULL), 0);
}

static void extend_all(struct world *w)
{
        for (size_t i = 0; i < w->plan.n_events; i++) {
                const struct tcg_event *e = &w->plan.events[i].event;

                CHECK_EQ(tpm_pcr_extend(&w->soft.tpm, e->pcr, &e->digests, NULL), 0);
        }
}

/* Reads it, with the TPM or without, and looks how much of it the boot before left. */
static void reads(struct world *w, bool with_tpm, size_t carried, int line)
{
        struct tpm *tpm = with_tpm ? &w->soft.tpm : NULL;
        struct span tail;
        int r;

        buf_release(&w->log);
        r = boot_log_read(&w->dir, tpm, &w->log, &w->parts, &w->error);
        if (r != 0 || w->parts.carried != carried || w->parts.kernel != w->kernel.size)
                printf("# line %d: %d, %zu and %zu bytes\n", line, r, w->parts.kernel,
                                w->parts.carried);
        CHECK_EQ(r, 0);
        CHECK_EQ(w->parts.carried, carried);
        CHECK_EQ(w->parts.kernel, w->kernel.size);
        CHECK_EQ(w->log.size, w->parts.kernel + carried + w->parts.aborted);
        if (carried > 0)
                CHECK(span_sub(buf_span(&w->log), w->kernel.size, carried, &tail) &&
                                span_equal(tail, buf_span(&w->hop)));
}

static void joined(void)
{
        struct world w;

        if (!world_new(&w))
                return;
        reads(&w, true, 0, __LINE__);
        carry(&w, buf_span(&w.kernel), buf_span(&w.hop));
        extend_all(&w);
        CHECK(boot_log_is_carried(&w.dir));
        reads(&w, true, w.hop.size, __LINE__);
        reads(&w, false, w.hop.size, __LINE__);
        CHECK_EQ(state_write(&w.dir, STATE_ABORTED, SPAN("more", 4), NULL), 0);
        reads(&w, false, w.hop.size, __LINE__);
        CHECK(w.parts.aborted == 4 && memcmp(w.log.data + w.log.size - 4, "more", 4) == 0);
        world_free(&w);
}

/* The same firmware log after a reset, and a hop that some other boot made. */
static void of_another_boot(void)
{
        struct world w;

        if (!world_new(&w))
                return;
        carry(&w, buf_span(&w.kernel), buf_span(&w.hop));
        reads(&w, false, w.hop.size, __LINE__); /* nobody can tell */
        reads(&w, true, 0, __LINE__);
        world_free(&w);
}

/* Somebody extended PCR 8 behind the hop: neither log explains that, and the hop stays visible. */
static void mismatch_hides_nothing(void)
{
        struct world w;

        if (!world_new(&w))
                return;
        carry(&w, buf_span(&w.kernel), buf_span(&w.hop));
        extend_all(&w);
        CHECK_EQ(tpm_pcr_extend(&w.soft.tpm, 8, &w.plan.events[0].event.digests, NULL), 0);
        reads(&w, true, w.hop.size, __LINE__);
        world_free(&w);
}

static void what_does_not_fit(void)
{
        struct world w;

        if (!world_new(&w))
                return;
        extend_all(&w);
        carry(&w, SPAN(w.kernel.data, w.kernel.size - 1), buf_span(&w.hop));
        reads(&w, true, 0, __LINE__);
        carry(&w, SPAN(NULL, 0), buf_span(&w.hop));
        reads(&w, true, 0, __LINE__);
        CHECK_EQ(state_write(&w.dir, STATE_CARRIED, SPAN("MKEXLOG1", 8), NULL), 0);
        reads(&w, true, 0, __LINE__);
        CHECK_EQ(state_write(&w.dir, STATE_CARRIED, SPAN(NULL, 0), NULL), 0);
        reads(&w, true, 0, __LINE__);
        world_free(&w);
}

static const struct tap_test tests[] = {
                {"joined", joined},
                {"a log of another boot is left out", of_another_boot},
                {"a mismatch hides nothing", mismatch_hides_nothing},
                {"what doesn't fit the kernel's log is left out", what_does_not_fit},
};
TAP_MAIN(tests)
