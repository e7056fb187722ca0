/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading an efivarfs directory: what is a variable, and what happens with the rest. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/efi-types.h"
#include "shim/firmware/efivarfs.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define GLOBAL "-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define LOADER "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

static struct fw_variable *variables;
static size_t n;
static struct error error;

static int read_all(void)
{
        return efivarfs_read(scratch_root, &variables, &n, &error);
}

static void test_variables(void)
{
        REQUIRE(scratch_new());
        scratch_write_bytes("SecureBoot" GLOBAL, "\x06\0\0\0\x01", 5);
        scratch_write_bytes("LoaderInfo" LOADER, "\x06\0\0\0s\0d\0\0\0", 10);
        scratch_write_bytes("With-Dash" GLOBAL, "\x07\0\0\0", 4);
        scratch_write_bytes("SecureBoot" LOADER, "\x27\0\0\x80zz", 6);
        REQUIRE(read_all() == 0);
        REQUIRE(n == 4);
        CHECK(strcmp(variables[0].name, "LoaderInfo") == 0);
        CHECK_EQ(variables[0].attributes, 6);
        CHECK_EQ(variables[0].size, 6);
        CHECK(memcmp(variables[0].data, "s\0d\0\0\0", 6) == 0);
        CHECK(guid_equal(&variables[0].vendor, &guid_loader));
        CHECK(strcmp(variables[1].name, "SecureBoot") == 0);
        CHECK(strcmp(variables[2].name, "SecureBoot") == 0);
        CHECK(!guid_equal(&variables[1].vendor, &variables[2].vendor));
        CHECK(strcmp(variables[3].name, "With-Dash") == 0);
        CHECK_EQ(variables[3].size, 0);
        efivarfs_free(variables, n);
        scratch_remove();
}

static void test_not_variables(void)
{
        REQUIRE(scratch_new());
        scratch_write_bytes("README", "\x06\0\0\0", 4);
        scratch_write_bytes(GLOBAL, "\x06\0\0\0", 4); /* no name */
        scratch_write_bytes(
                        "Bad-8be4df61-93ca-11d2-aa0d-00e098032b8x", "\x06\0\0\0", 4); /* no GUID */
        scratch_write_bytes(
                        "Bad8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\0\0\0", 4); /* no dash */
        scratch_write_bytes("\xff\xfe" GLOBAL, "\x06\0\0\0", 4);                     /* no UTF-8 */
        scratch_write_bytes("Empty" GLOBAL, "", 0);
        scratch_write_bytes("Short" GLOBAL, "\x06\0\0", 3);
        scratch_mkdir("Directory" GLOBAL);
        CHECK(mkfifo(scratch_path("Fifo" LOADER), 0600) == 0);
        CHECK(symlink("/etc/passwd", scratch_path("Link" LOADER)) == 0);
        REQUIRE(read_all() == 0);
        CHECK_EQ(n, 0);
        efivarfs_free(variables, n);
        scratch_remove();
}

/* A link stands for any file that can't be opened (O_NOFOLLOW gives ELOOP): tests run as root. */
static void test_unreadable(void)
{
        REQUIRE(scratch_new());
        scratch_write_bytes("Fine" LOADER, "\x06\0\0\0", 4);
        CHECK(symlink("x", scratch_path("Setup" LOADER)) == 0);
        REQUIRE(read_all() == 0);
        CHECK_EQ(n, 1);
        efivarfs_free(variables, n);
        CHECK(symlink("x", scratch_path("SecureBoot" GLOBAL)) == 0);
        CHECK_EQ(read_all(), -ELOOP);
        CHECK(strstr(error.text, "SecureBoot") != NULL);
        /* nothing in the message drives a terminal: ESC, and CSI as a C1 control in UTF-8 */
        CHECK(unlink(scratch_path("SecureBoot" GLOBAL)) == 0);
        CHECK(symlink("x", scratch_path("A\x1b[31m\xc2\x9b"
                                        "1mB" GLOBAL)) == 0);
        CHECK_EQ(read_all(), -ELOOP);
        CHECK(strstr(error.text, "A?[31m??1mB") != NULL);
        CHECK(!strchr(error.text, '\x1b') && !strchr(error.text, '\x9b'));
        scratch_remove();
        CHECK_EQ(read_all(), -ENOENT);
}

static void test_too_large(void)
{
        REQUIRE(scratch_new());
        scratch_write_bytes("Big" LOADER, "\x06\0\0\0", 4);
        CHECK(truncate(scratch_path("Big" LOADER), 1024 * 1024 + 1) == 0);
        CHECK_EQ(read_all(), -EFBIG);
        CHECK(truncate(scratch_path("Big" LOADER), 1024 * 1024) == 0);
        REQUIRE(read_all() == 0);
        CHECK_EQ(variables[0].size, 1024 * 1024 - 4);
        efivarfs_free(variables, n);
        scratch_remove();
        REQUIRE(scratch_new());
        for (int i = 0; i < 4097; i++) {
                char name[64];

                snprintf(name, sizeof(name), "V%d" LOADER, i);
                scratch_write_bytes(name, "\x06\0\0\0", 4);
        }
        CHECK_EQ(read_all(), -EFBIG);
        scratch_remove();
}

static const struct tap_test tests[] = {
                {"names, attributes, data, order", test_variables},
                {"what isn't a variable is passed over", test_not_variables},
                {"a variable that can't be read", test_unreadable},
                {"more than any firmware has", test_too_large},
};

TAP_MAIN(tests)
