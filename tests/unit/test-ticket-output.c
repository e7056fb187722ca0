/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where 'ticket get' leaves a secret: a file is there as a whole or not at all, and nobody else's
 * is touched. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/ticket-output.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define SECRET SPAN("the key", 7)

static bool holds(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        char bytes[64];
        ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

        return n == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)n) == 0;
}

static mode_t mode_of(const char *path)
{
        struct stat st = {0};

        return lstat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static void test_whole_or_not(void)
{
        const char *path = scratch_path("whole");
        struct ticket_output output;
        struct error error = {{0}};

        for (int finish = 0; finish < 2; finish++) {
                output = TICKET_OUTPUT_NONE;
                REQUIRE(ticket_output_open(path, &output, &error) == 0);
                CHECK(!output.unnamed || access(path, F_OK) < 0); /* not before it is written */
                if (finish)
                        CHECK(ticket_output_finish(&output, SECRET, &error) == 0);
                ticket_output_close(&output);
                CHECK_EQ(access(path, F_OK) == 0, finish);
        }
        CHECK(holds(path, "the key"));
        CHECK_EQ(mode_of(path), 0400);
}

static void test_others_files_stay(void)
{
        struct ticket_output output = TICKET_OUTPUT_NONE;
        struct error error = {{0}};
        const char *path;

        scratch_write("there", "somebody's");
        CHECK_EQ(ticket_output_open(scratch_path("there"), &output, &error), -EEXIST);
        ticket_output_close(&output);
        CHECK(holds(scratch_path("there"), "somebody's"));
        /* or it comes while the TPM is asked; whose file system can't do that has refused before */
        path = scratch_path("race");
        REQUIRE(ticket_output_open(path, &output, &error) == 0);
        if (output.unnamed) {
                scratch_write("race", "somebody's");
                CHECK_EQ(ticket_output_finish(&output, SECRET, &error), -EEXIST);
                CHECK(strstr(error.text, "used up"));
        }
        ticket_output_close(&output);
        CHECK_EQ(access(scratch_path("race"), F_OK) == 0,
                        holds(scratch_path("race"), "somebody's"));
        /* a link to nowhere is a file, too */
        CHECK(symlink("nowhere", scratch_path("link")) == 0);
        CHECK_EQ(ticket_output_open(scratch_path("link"), &output, &error), -EEXIST);
        ticket_output_close(&output);
}

static void test_paths(void)
{
        static char long_name[NAME_MAX + 3];
        struct ticket_output output = TICKET_OUTPUT_NONE;
        struct error error = {{0}};

        memset(long_name, 'n', NAME_MAX + 1);
        CHECK_EQ(ticket_output_open(long_name, &output, &error), -EINVAL);
        CHECK_EQ(ticket_output_open("/tmp/", &output, &error), -EINVAL);
        CHECK_EQ(ticket_output_open("", &output, &error), -EINVAL);
        CHECK_EQ(ticket_output_open("/", &output, &error), -EINVAL);
        CHECK_EQ(ticket_output_open(scratch_path("none/key"), &output, &error), -ENOENT);
        CHECK_EQ(ticket_output_open("/..", &output, &error), -EEXIST);
        REQUIRE(chdir(scratch_root) == 0);
        REQUIRE(ticket_output_open("here", &output, &error) == 0);
        CHECK(ticket_output_finish(&output, SECRET, &error) == 0);
        ticket_output_close(&output);
        CHECK(holds(scratch_path("here"), "the key"));
        REQUIRE(chdir("/") == 0);
}

static void test_key_files(void)
{
        struct ticket_output output = TICKET_OUTPUT_NONE;
        struct error error = {{0}};

        scratch_mkdir("keys");
        scratch_write("keys/theirs.key", "somebody's");
        CHECK_EQ(key_file_open(scratch_path("keys"), "theirs", &output, &error), -EEXIST);
        REQUIRE(key_file_open(scratch_path("keys"), "root", &output, &error) == 0);
        CHECK(ticket_output_finish(&output, SECRET, &error) == 0);
        ticket_output_close(&output);
        CHECK(holds(scratch_path("keys/root.key"), "the key"));
        REQUIRE(key_file_open(scratch_path("keys"), "home", &output, &error) == 0);
        ticket_output_close(&output); /* the TPM refused */
        CHECK(access(scratch_path("keys/home.key"), F_OK) < 0);
        CHECK(key_files_erase(scratch_path("keys"), &error) == 0);
        CHECK(access(scratch_path("keys/root.key"), F_OK) < 0);
        CHECK(access(scratch_path("keys/.mkexec-keys"), F_OK) < 0);
        CHECK(holds(scratch_path("keys/theirs.key"), "somebody's"));
}

static const struct tap_test tests[] = {
                {"a file is there as a whole or not at all", test_whole_or_not},
                {"other people's files stay", test_others_files_stay},
                {"paths", test_paths},
                {"key files", test_key_files},
};

SCRATCH_MAIN(tests)
