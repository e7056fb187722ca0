/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exec's TPM side against a TPM of our own that fails on demand: whatever fails, the log that is
 * left explains the PCRs, nothing but the guard is loaded, and the next call finishes what a dead
 * one began. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eventlog/hop-check.h"
#include "shim/boot-log.h"
#include "shim/extend.h"
#include "shim/handover/guard.h"
#include "shim/handover/kexec.h"
#include "shim/handover/kexec-file.h"
#include "tests/unit/hop-fixture.h"
#include "tests/unit/soft-tpm.h"

#define CLOSE_11   (1u << 11)
#define GUARD_PAGE 0x100000u

/* ---- the TPM ---- */

static struct soft_tpm soft;

/* ---- in place of the machine's ---- */

static uint64_t kexec_entry; /* of what is loaded, 0: nothing */

int kexec_load(uint64_t entry, const struct kexec_part *parts, size_t n, struct error *error)
{
        uint8_t guard[GUARD_SIZE];

        guard_build(guard);
        CHECK(n == 1 && parts[0].bytes_size == GUARD_SIZE &&
                        memcmp(parts[0].bytes, guard, GUARD_SIZE) == 0);
        kexec_entry = entry;
        return 0;
}

static bool unload_fails;

int kexec_unload(struct error *error)
{
        if (unload_fails)
                return error_set(error, EPERM, "can't be emptied");
        kexec_entry = 0;
        return 0;
}

static char file_guard[16]; /* contents of the kernel that the guard was made of */
static bool file_guard_fails;

int kexec_file_load(int kernel_fd, int initrd_fd, const char *command_line, struct error *error)
{
        CHECK(false); /* nothing here may load the real one */
        return -EIO;
}

int kexec_file_load_guard(int kernel_fd, struct error *error)
{
        memset(file_guard, 0, sizeof(file_guard));
        if (file_guard_fails)
                return error_set(error, EPERM, "no guard");
        CHECK(pread(kernel_fd, file_guard, sizeof(file_guard) - 1, 0) > 0);
        return 0;
}

int tpm_esys_open(const char *tcti, struct tpm **ret, struct error *error)
{
        *ret = &soft.tpm;
        return 0;
}

/* ---- the stage ---- */

static char folder[] = "/tmp/mkexec-test-XXXXXX";

static bool start(struct staged *staged, struct state_dir *dir)
{
        struct plan_input input = fixture_input(fixture_map, CLOSE_11);

        soft = (struct soft_tpm){.tpm.ops = &soft_ops, .fail_at = -1};
        replay_start(&soft.pcrs, &input.banks);
        soft.pcrs.measured[0] = soft.pcrs.measured[1] = 0xffff;
        kexec_entry = 0;
        strcpy(folder + strlen(folder) - 6, "XXXXXX");
        if (geteuid() != 0) {
                tap_skip_reason = "not root";
                return false;
        }
        if (!mkdtemp(folder) || setenv("MKEXEC_RUN_DIR", folder, 1) < 0 ||
                        setenv("SYSTEMD_MEASURE_LOG_FIRMWARE", "/nonexistent", 1) < 0)
                return false;
        *staged = (struct staged){.payload = strdup("/efi/b.efi"), .guard_page = GUARD_PAGE};
        CHECK_EQ(plan_make(&input, &staged->plan, NULL), 0);
        CHECK_EQ(state_open(dir, NULL), 0);
        CHECK_EQ(staged_write(dir, STATE_PLAN, staged, NULL), 0);
        CHECK_EQ(staged_write(dir, STATE_JOURNAL, staged, NULL), 0);
        return tap_failures == 0;
}

static void end(struct staged *staged, struct state_dir *dir)
{
        static const char *const names[] = {STATE_PLAN, STATE_JOURNAL, STATE_ABORTED,
                        STATE_UNEXPLAINED, STATE_KERNEL, "lock"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                state_remove(dir, names[i]);
        staged_release(staged);
        state_close(dir);
        CHECK_EQ(rmdir(folder), 0);
}

/* The log that this boot now has explains the TPM; aborted: it ends with an abort after n extends.
 */
static void log_explains_tpm(struct state_dir *dir, size_t n, int line)
{
        struct hop_verdict verdict = {0};
        struct buf log = {0}, aborted = {0};

        CHECK_EQ(access(getenv("SYSTEMD_MEASURE_LOG_FIRMWARE"), F_OK),
                        -1); /* so this is a whole log */
        CHECK_EQ(state_read(dir, STATE_ABORTED, 1 << 20, &aborted, NULL), 0);
        buf_put_span(&log, buf_span(&aborted));
        CHECK_EQ(hop_check(buf_span(&log), &soft.pcrs, &verdict, NULL), 0);
        if (verdict.result != HOP_RESULT_OK) {
                tap_failures++;
                printf("# line %d: %s\n", line, verdict.reason.text);
        }
        CHECK_EQ(verdict.n_hops, 1);
        if (verdict.n_hops == 1) {
                CHECK(verdict.hops[0].aborted);
                CHECK_EQ(verdict.hops[0].n_extended, n);
        }
        hop_verdict_release(&verdict);
        buf_release(&log);
        buf_release(&aborted);
}

static void a_hop_that_works(void)
{
        struct state_dir dir;
        struct staged s;

        if (!start(&s, &dir))
                return;
        CHECK_EQ(extend_check_start(&soft.tpm, &s.plan, NULL), 0);
        CHECK_EQ(extend_run(&soft.tpm, &s.plan, NULL), 0);
        CHECK_EQ(soft.n_extends, s.plan.n_events); /* one command per event */
        CHECK_EQ(extend_check_end(&soft.tpm, &s.plan, NULL), 0);
        soft.pcrs.pcr[1][8].bytes[0] ^= 1; /* twin */
        CHECK_EQ(extend_check_end(&soft.tpm, &s.plan, NULL), -EBADMSG);
        end(&s, &dir);
}

static void registers_must_be_as_at_load(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;

        if (!start(&s, &dir))
                return;
        soft.pcrs.pcr[0][11].bytes[0] = 1; /* systemd's phases: PCR 11 may move */
        CHECK_EQ(extend_check_start(&soft.tpm, &s.plan, &error), 0);
        CHECK_EQ(s.plan.start[0][11].bytes[0], 1);
        soft.pcrs.pcr[1][8].bytes[9] = 1; /* a register may not */
        CHECK_EQ(extend_check_start(&soft.tpm, &s.plan, &error), -ESTALE);
        CHECK(strstr(error.text, "PCR 8 (sha256)") != NULL);
        soft.pcrs.pcr[1][8].bytes[9] = 0;
        soft.pcrs.banks.n = 1;
        CHECK_EQ(extend_check_start(&soft.tpm, &s.plan, &error), -ESTALE);
        end(&s, &dir);
}

static void a_lost_answer_is_looked_up(void)
{
        struct state_dir dir;
        struct staged s;

        for (int at = 0; at < 7; at++)
                for (int done = 0; done < 2; done++) {
                        if (!start(&s, &dir))
                                return;
                        soft.fail_at = at;
                        soft.done_though = done;
                        CHECK_EQ(extend_run(&soft.tpm, &s.plan, NULL), 0);
                        CHECK_EQ(extend_check_end(&soft.tpm, &s.plan, NULL),
                                        0); /* never twice, never not at all */
                        end(&s, &dir);
                }
}

static void every_failure_ends_in_abort(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;

        for (int at = 1; at < 7; at++) {
                size_t n = 0;

                if (!start(&s, &dir))
                        return;
                soft.fail_at = at;
                soft.fail_forever = true;
                CHECK(extend_run(&soft.tpm, &s.plan, &error) < 0);
                /* the TPM is still dead: nothing may be forgotten, but the guard stands */
                CHECK(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &error) < 0);
                CHECK_EQ(kexec_entry, GUARD_PAGE);
                CHECK(state_has(&dir, STATE_JOURNAL));
                soft.fail_at = -1; /* it recovers, and so does the next call */
                CHECK_EQ(extend_recover(&dir, NULL, &error), 0);
                CHECK(!state_has(&dir, STATE_JOURNAL) && !state_has(&dir, STATE_PLAN));
                log_explains_tpm(&dir, (size_t)at, __LINE__);
                end(&s, &dir);
        }
}

static void before_the_first_extend_all_stays(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;
        size_t n = 99;

        if (!start(&s, &dir))
                return;
        CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &error), 0);
        CHECK_EQ(n, 0);
        CHECK_EQ(soft.n_extends, 0);
        CHECK(state_has(&dir, STATE_PLAN) && !state_has(&dir, STATE_JOURNAL));
        CHECK_EQ(kexec_entry, GUARD_PAGE);
        end(&s, &dir);
}

static void abort_is_allowed_after_close(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;
        size_t n = 0;

        if (!start(&s, &dir))
                return;
        CHECK_EQ(extend_run(&soft.tpm, &s.plan, NULL), 0);
        CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &error), 0);
        CHECK_EQ(n, s.plan.n_events);
        log_explains_tpm(&dir, s.plan.n_events, __LINE__);
        end(&s, &dir);
}

/* The TPM answers again once three extends have taken place. */
static void break_off(const struct staged *s)
{
        soft.fail_at = 3;
        soft.fail_forever = true;
        CHECK_EQ(extend_run(&soft.tpm, &s->plan, NULL), -EIO);
        soft.fail_at = -1;
}

/* Died after the abort was extended, before or after it was written down: it is neither extended
 * nor logged twice. */
static void abort_can_be_repeated(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;

        for (int logged = 0; logged < 2; logged++) {
                size_t n = 0;
                int extends;

                if (!start(&s, &dir))
                        return;
                break_off(&s);
                CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &error), 0);
                CHECK_EQ(staged_write(&dir, STATE_JOURNAL, &s, NULL), 0);
                if (!logged)
                        state_remove(&dir, STATE_ABORTED);
                extends = soft.n_extends;
                CHECK_EQ(extend_recover(&dir, NULL, &error), 0);
                CHECK_EQ(soft.n_extends, extends);
                log_explains_tpm(&dir, 3, __LINE__);
                end(&s, &dir);
        }
}

static void a_stranger_is_named(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;
        size_t n;

        if (!start(&s, &dir))
                return;
        CHECK_EQ(extend_run(&soft.tpm, &s.plan, NULL), 0);
        soft.pcrs.pcr[0][8].bytes[3] ^= 0x80;
        CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &error), -EBADMSG);
        CHECK(strstr(error.text, "somebody else") != NULL);
        CHECK_EQ(kexec_entry, GUARD_PAGE);
        CHECK(!state_has(&dir, STATE_PLAN));
        CHECK(state_has(&dir, STATE_UNEXPLAINED)); /* what was to be extended isn't lost */
        end(&s, &dir);
}

/* A line that was noisy once; what is wrong twice is wrong. */
static void one_wrong_reading_is_not_believed(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;
        size_t n;

        for (int wrong = 1; wrong <= 2; wrong++) {
                if (!start(&s, &dir))
                        return;
                CHECK_EQ(extend_run(&soft.tpm, &s.plan, NULL), 0);
                soft.wrong_reads = wrong;
                CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &error),
                                wrong == 1 ? 0 : -EBADMSG);
                CHECK_EQ(state_has(&dir, STATE_UNEXPLAINED), wrong == 2);
                if (wrong == 1)
                        log_explains_tpm(&dir, s.plan.n_events, __LINE__);
                end(&s, &dir);
        }
}

/* Nobody can finish a hop whose journal can't be read, but nothing may start. */
static void an_unreadable_journal_starts_nothing(void)
{
        struct error error = {{0}};
        struct state_dir dir;
        struct staged s;

        if (!start(&s, &dir))
                return;
        CHECK_EQ(state_write(&dir, STATE_JOURNAL, SPAN("{}", 2), NULL), 0);
        kexec_entry = 1; /* the real image */
        CHECK(extend_recover(&dir, NULL, &error) < 0);
        CHECK_EQ(kexec_entry, 0);
        CHECK(strstr(error.text, "try again") && state_has(&dir, STATE_JOURNAL));
        end(&s, &dir);
}

/* What a mkexec that was killed had begun to write goes with the next one's lock. */
static void half_written_files_go(void)
{
        struct state_dir dir;
        struct staged s;
        int fd;

        if (!start(&s, &dir))
                return;
        CHECK_EQ(state_create(&dir, STATE_IMAGE, &fd, NULL), 0);
        close(fd);
        CHECK_EQ(faccessat(dir.fd, ".image.new", F_OK, 0), 0);
        state_close(&dir);
        CHECK_EQ(state_open(&dir, NULL), 0);
        CHECK_EQ(faccessat(dir.fd, ".image.new", F_OK, 0), -1);
        CHECK(state_has(&dir, STATE_PLAN));
        end(&s, &dir);
}

/* Puts a hop by kexec_file_load in place of the one that start made. */
static void by_file(struct staged *s, struct state_dir *dir)
{
        static const char kernel[] = "a kernel";

        s->handover = HANDOVER_FILE;
        s->log_room = 8192;
        s->command_line = strdup("quiet \xff\"");
        memset(s->initrd_sha256, 0x33, 32);
        CHECK_EQ(hash_sha256(SPAN(kernel, 8), s->kernel_sha256), 0);
        CHECK_EQ(state_write(dir, STATE_KERNEL, SPAN(kernel, 8), NULL), 0);
        CHECK_EQ(staged_write(dir, STATE_PLAN, s, NULL), 0);
        CHECK_EQ(staged_write(dir, STATE_JOURNAL, s, NULL), 0);
        memset(file_guard, 0, sizeof(file_guard));
        file_guard_fails = false;
}

/* No guard and nothing else in the kernel: then nothing is loaded, as status says, too. */
static void without_a_guard_nothing_is_loaded(void)
{
        struct state_dir dir;
        struct staged s;
        struct error e;
        size_t n;

        if (!start(&s, &dir))
                return;
        by_file(&s, &dir);
        file_guard_fails = true;
        CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &e), 0);
        CHECK_EQ(n, 0);
        CHECK(!state_has(&dir, STATE_PLAN) && !state_has(&dir, STATE_JOURNAL));
        file_guard_fails = false;
        end(&s, &dir);
}

static void guard_of_file_mode_comes_back(void)
{
        struct state_dir dir;
        struct error e;
        struct staged s;
        size_t n;

        if (!start(&s, &dir))
                return;
        by_file(&s, &dir);
        break_off(&s);
        CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &e), 0);
        CHECK_EQ(n, 3);
        CHECK(strcmp(file_guard, "a kernel") == 0 && kexec_entry == 0);
        CHECK(!state_has(&dir, STATE_PLAN) && !state_has(&dir, STATE_KERNEL) &&
                        !state_has(&dir, STATE_JOURNAL));
        log_explains_tpm(&dir, 3, __LINE__);
        end(&s, &dir);
}

/* While the guard can't come back, nor the real image leave, the journal stays, and with it the
 * kernel that the guard is made of: the next call succeeds. */
static void guard_of_file_mode_is_tried_again(void)
{
        struct state_dir dir;
        struct staged s;
        struct error e;
        size_t n;

        if (!start(&s, &dir))
                return;
        by_file(&s, &dir);
        break_off(&s);
        file_guard_fails = unload_fails = true;
        CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &e), -EPERM);
        CHECK(strstr(e.text, "reset the machine"));
        CHECK(!state_has(&dir, STATE_PLAN) && state_has(&dir, STATE_KERNEL) &&
                        state_has(&dir, STATE_JOURNAL));
        file_guard_fails = unload_fails = false;
        CHECK_EQ(extend_recover(&dir, NULL, &e), 0);
        CHECK(strcmp(file_guard, "a kernel") == 0);
        CHECK(!state_has(&dir, STATE_KERNEL) && !state_has(&dir, STATE_JOURNAL));
        log_explains_tpm(&dir, 3, __LINE__);
        end(&s, &dir);
}

/* Another kernel than the staged one is no guard: rather nothing. */
static void changed_kernel_is_no_guard(void)
{
        struct state_dir dir;
        struct staged s;
        struct error e;
        size_t n;

        if (!start(&s, &dir))
                return;
        by_file(&s, &dir);
        CHECK_EQ(state_write(&dir, STATE_KERNEL, SPAN("A kernel", 8), NULL), 0);
        kexec_entry = 1;
        CHECK_EQ(extend_abort(&soft.tpm, &dir, &s, NULL, &n, &e), 0);
        CHECK(file_guard[0] == '\0' && kexec_entry == 0);
        end(&s, &dir);
}

static void file_state_survives_a_round_trip(void)
{
        struct state_dir dir;
        struct staged s, back;

        if (!start(&s, &dir))
                return;
        by_file(&s, &dir);
        REQUIRE(staged_read(&dir, STATE_PLAN, &back, NULL) == 0);
        CHECK(back.handover == HANDOVER_FILE && back.log_room == 8192);
        CHECK(strcmp(back.command_line, s.command_line) == 0);
        CHECK(memcmp(back.kernel_sha256, s.kernel_sha256, 32) == 0);
        CHECK(memcmp(back.initrd_sha256, s.initrd_sha256, 32) == 0);
        staged_release(&back);
        end(&s, &dir);
}

static void state_survives_a_round_trip(void)
{
        struct state_dir dir;
        struct staged s, back;

        if (!start(&s, &dir))
                return;
        REQUIRE(staged_read(&dir, STATE_PLAN, &back, NULL) == 0);
        CHECK(strcmp(back.payload, s.payload) == 0);
        CHECK_EQ(back.guard_page, s.guard_page);
        CHECK_EQ(back.plan.n_events, s.plan.n_events);
        for (size_t i = 0; i < s.plan.n_events && i < back.plan.n_events; i++) {
                const struct plan_event *a = &s.plan.events[i], *b = &back.plan.events[i];

                CHECK(a->kind == b->kind && a->payload_pcr == b->payload_pcr &&
                                a->event.pcr == b->event.pcr && a->event.type == b->event.type &&
                                span_equal(a->event.data, b->event.data) &&
                                digests_equal(&a->event.digests, &b->event.digests));
        }
        CHECK(memcmp(back.plan.end[1][8].bytes, s.plan.end[1][8].bytes, 32) == 0);
        staged_release(&back);
        end(&s, &dir);
}

static void bad_state_is_refused(void)
{
        static const char *const bad[] = {"", "[]", "{", "null", "{\"version\":1}",
                        "{\"version\":1,\"payload\":\"x\",\"handover\":\"load\",\"guard_page\":-1}",
                        "{\"version\":1,\"payload\":\"x\",\"handover\":\"load\",\"guard_page\":"
                        "4096,\"image_id\":1,\"banks\":[\"md5\"]}",
                        "{\"version\":1,\"payload\":\"x\",\"handover\":\"load\",\"guard_page\":"
                        "4096,\"image_id\":1,\"banks\":[null]}",
                        "{\"version\":1,\"payload\":\"x\",\"handover\":\"load\",\"guard_page\":"
                        "4096,\"image_id\":1,\"banks\":["
                        "\"sha256\"],\"hop\":1,"
                        "\"registers_mask\":256,\"touched_mask\":256,\"start\":{\"8\":{\"sha256\":"
                        "null}},"
                        "\"events\":[]}",
                        "{\"version\":1,\"payload\":\"x\",\"handover\":\"load\",\"guard_page\":"
                        "4096,\"image_id\":1,\"banks\":["
                        "\"sha256\"],\"hop\":1,"
                        "\"registers_mask\":0,\"touched_mask\":0,\"start\":{},\"events\":[null]}"};
        struct state_dir dir;
        struct staged s, back;

        if (!start(&s, &dir))
                return;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                CHECK_EQ(state_write(&dir, STATE_PLAN, SPAN(bad[i], strlen(bad[i])), NULL), 0);
                CHECK(staged_read(&dir, STATE_PLAN, &back, NULL) < 0);
        }
        end(&s, &dir);
}

/* As json-c reads it that has no memory for all of a text. */
static void events_that_lack_data_are_refused(void)
{
        static const char member[] = "\"data\": \"";
        struct state_dir dir;
        struct staged s, back = STAGED_NONE;
        _cleanup_buf_ struct buf text = {0};
        size_t n = 0;

        if (!start(&s, &dir))
                return;
        REQUIRE(state_read(&dir, STATE_PLAN, 1u << 20, &text, NULL) == 0);
        for (size_t at = 0; at + sizeof(member) + 4 < text.size; at++) {
                size_t digit = at + sizeof(member) - 1;
                uint8_t kept = text.data[digit];

                if (memcmp(text.data + at, member, sizeof(member) - 1) != 0)
                        continue;
                text.data[digit] = kept == '0' ? '1' : '0';
                CHECK_EQ(state_write(&dir, STATE_PLAN, buf_span(&text), NULL), 0);
                CHECK_EQ(staged_read(&dir, STATE_PLAN, &back, NULL), -EINVAL);
                text.data[digit] = kept;
                n++;
        }
        CHECK_EQ(n, s.plan.n_events);
        CHECK_EQ(state_write(&dir, STATE_PLAN, buf_span(&text), NULL), 0);
        CHECK_EQ(staged_read(&dir, STATE_PLAN, &back, NULL), 0);
        staged_release(&back);
        end(&s, &dir);
}

static const struct tap_test tests[] = {
                {"one extend per event, then the registers are compared", a_hop_that_works},
                {"registers and banks must be as at load", registers_must_be_as_at_load},
                {"after a lost answer the PCRs decide", a_lost_answer_is_looked_up},
                {"a failure at any extend ends in abort, by the next call if need be",
                                every_failure_ends_in_abort},
                {"before the first extend a failure leaves all as it was",
                                before_the_first_extend_all_stays},
                {"abort is allowed after close", abort_is_allowed_after_close},
                {"abort can be repeated", abort_can_be_repeated},
                {"registers that somebody else extended are named", a_stranger_is_named},
                {"one wrong reading of the registers isn't believed",
                                one_wrong_reading_is_not_believed},
                {"without a guard nothing is loaded", without_a_guard_nothing_is_loaded},
                {"events that lack data are refused", events_that_lack_data_are_refused},
                {"while the journal can't be read nothing starts",
                                an_unreadable_journal_starts_nothing},
                {"files that were begun by a dead mkexec go", half_written_files_go},
                {"the guard of file mode comes back", guard_of_file_mode_comes_back},
                {"the guard of file mode is tried again", guard_of_file_mode_is_tried_again},
                {"a staged kernel that was changed is no guard", changed_kernel_is_no_guard},
                {"the state reads back as it was written", state_survives_a_round_trip},
                {"so does the state of file mode", file_state_survives_a_round_trip},
                {"malformed states are refused", bad_state_is_refused},
};

TAP_MAIN(tests)
