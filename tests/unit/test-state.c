/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /run/mkexec: what somebody else may have put there instead isn't taken. */
#include <errno.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "shim/state.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define NOBODY 65534

static int opened(const char *folder, struct error *error)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;

        setenv("MKEXEC_RUN_DIR", folder, 1);
        return state_open(&dir, error);
}

static void test_folders(void)
{
        static const struct {
                const char *name;
                mode_t mode;
                uid_t owner;
                int result;
        } rows[] = {
                        {"mine", 0700, 0, 0},
                        {"readable", 0750, 0, -EPERM},
                        {"open", 0777, 0, -EPERM},
                        {"sticky", 01777, 0, -EPERM},
                        {"others", 0700, NOBODY, -EPERM},
        };

        if (geteuid() != 0)
                SKIP("only root may open it");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *path = scratch_path(rows[i].name);
                struct error error = {{0}};

                REQUIRE(mkdir(path, 0700) == 0 && chmod(path, rows[i].mode) == 0 &&
                                chown(path, rows[i].owner, rows[i].owner) == 0);
                CHECK_EQ(opened(path, &error), rows[i].result);
                if (rows[i].result < 0)
                        CHECK(strstr(error.text, "must belong to root alone"));
        }
}

static void test_not_a_folder(void)
{
        struct error error = {{0}};

        if (geteuid() != 0)
                SKIP("only root may open it");
        scratch_mkdir("real");
        REQUIRE(chmod(scratch_path("real"), 0700) == 0);
        REQUIRE(symlink(scratch_path("real"), scratch_path("link")) == 0);
        CHECK(opened(scratch_path("link"), &error) < 0);
        scratch_write("file", "x");
        CHECK(opened(scratch_path("file"), &error) < 0);
}

/* A link in the folder isn't followed, for whoever made it. */
static void test_linked_file(void)
{
        _cleanup_(state_close) struct state_dir dir = STATE_DIR_NONE;
        _cleanup_buf_ struct buf text = {0};
        struct error error = {{0}};

        if (geteuid() != 0)
                SKIP("only root may open it");
        scratch_mkdir("run");
        scratch_write("outside", "secret");
        REQUIRE(chmod(scratch_path("run"), 0700) == 0);
        REQUIRE(symlink(scratch_path("outside"), scratch_path("run/" STATE_PLAN)) == 0);
        setenv("MKEXEC_RUN_DIR", scratch_path("run"), 1);
        REQUIRE(state_open(&dir, &error) == 0);
        CHECK(state_read(&dir, STATE_PLAN, 100, &text, &error) < 0);
        CHECK_EQ(text.size, 0);
        CHECK_EQ(state_write(&dir, STATE_PLAN, SPAN("x", 1), &error), 0); /* in its place */
        CHECK_EQ(state_read(&dir, STATE_PLAN, 100, &text, &error), 0);
        CHECK_EQ(text.size, 1);
}

static void test_not_root(void)
{
        pid_t pid = fork();
        int status = 0;

        if (pid == 0) {
                struct error error = {{0}};

                if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        _exit(1);
                _exit(opened(scratch_path("never"), &error) != -EPERM ||
                                access(scratch_path("never"), F_OK) == 0);
        }
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
}

static const struct tap_test tests[] = {
                {"owner and mode", test_folders},
                {"a link or a file in its place", test_not_a_folder},
                {"a link in it", test_linked_file},
                {"nobody but root", test_not_root},
};

SCRATCH_MAIN(tests)
