/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The line for the next boot, in a folder that looks like efivarfs. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/buf.h"
#include "shim/last-exec.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define FOLDER "sys/firmware/efi/efivars"
#define FILE_  FOLDER "/MkexecLastExec-06e3bda6-d6f8-4745-b7e1-bc4b29494859"

static void make_folder(void)
{
        scratch_mkdir("sys");
        scratch_mkdir("sys/firmware");
        scratch_mkdir("sys/firmware/efi");
        scratch_mkdir(FOLDER);
}

static bool reads(const char *wanted)
{
        char text[LAST_EXEC_MAX + 1] = "?";

        return last_exec_read(scratch_root, text, NULL) == 0 && strcmp(text, wanted) == 0;
}

static void test_life(void)
{
        _cleanup_buf_ struct buf file = {0};
        char text[LAST_EXEC_MAX + 1];

        REQUIRE(scratch_new());
        make_folder();
        CHECK_EQ(last_exec_read(scratch_root, text, NULL), -ENOENT);
        CHECK_EQ(last_exec_remove(scratch_root, NULL), 0);
        CHECK_EQ(last_exec_write(scratch_root, "it began", NULL), 0);
        CHECK(reads("it began"));
        CHECK_EQ(last_exec_write(scratch_root, "lost", NULL), 0);
        CHECK(reads("lost"));
        /* non-volatile, boot service and runtime access: UEFI 2.10, 8.2.2 */
        CHECK_EQ(buf_read_file(scratch_path(FILE_), 64, &file, NULL), 0);
        CHECK(span_equal(buf_span(&file), SPAN("\7\0\0\0lost", 8)));
        CHECK_EQ(last_exec_remove(scratch_root, NULL), 0);
        CHECK_EQ(last_exec_read(scratch_root, text, NULL), -ENOENT);
        scratch_remove();
}

static void test_what_others_write(void)
{
        char text[LAST_EXEC_MAX + 1], much[LAST_EXEC_MAX + 100];

        REQUIRE(scratch_new());
        make_folder();
        scratch_write_bytes(FILE_, "\7\0\0\0a\nb\x1b[2J\xff", 12);
        CHECK(reads("a?b?[2J?"));
        scratch_write_bytes(FILE_, "\7\0\0\0", 4);
        CHECK_EQ(last_exec_read(scratch_root, text, NULL), -EBADMSG);
        memset(much, 'x', sizeof(much));
        scratch_write_bytes(FILE_, much, sizeof(much));
        CHECK_EQ(last_exec_read(scratch_root, text, NULL), -EFBIG);
        much[sizeof(much) - 1] = '\0';
        CHECK_EQ(last_exec_write(scratch_root, much, NULL), 0); /* cut */
        CHECK_EQ(last_exec_read(scratch_root, text, NULL), 0);
        CHECK_EQ(strlen(text), LAST_EXEC_MAX);
        scratch_remove();
}

static void test_no_efi(void)
{
        char text[LAST_EXEC_MAX + 1];

        REQUIRE(scratch_new());
        CHECK_EQ(last_exec_read(scratch_root, text, NULL), -ENOENT);
        CHECK_EQ(last_exec_write(scratch_root, "x", NULL), -ENOENT);
        CHECK_EQ(last_exec_remove(scratch_root, NULL), 0);
        scratch_remove();
}

static const struct tap_test tests[] = {
                {"written, replaced, read, removed", test_life},
                {"what others may have written there", test_what_others_write},
                {"a machine without EFI variables", test_no_efi},
};
TAP_MAIN(tests)
