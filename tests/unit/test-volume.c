/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The payload's view of a directory: confinement, names, listing, and that nothing reaches the
 * disk. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/firmware/volume-tree.h"
#include "shim/firmware/volume.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static struct volume *volume;
static struct volume_node *root;

static bool set_up(void)
{
        _cleanup_close_ int fd = -1;

        if (!scratch_new())
                return false;
        scratch_mkdir("EFI");
        scratch_mkdir("EFI/Linux");
        scratch_write("EFI/Linux/b.efi", "payload");
        scratch_write("EFI/Linux/B.extra", "extra");
        scratch_mkdir("loader");
        scratch_write("loader/random-seed", "seedseed");
        fd = open(scratch_path("."), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || volume_new(fd, &volume) < 0)
                return false;
        root = volume_root(volume);
        return true;
}

static void tear_down(void)
{
        volume_unref(volume, root);
        volume_free(volume);
        scratch_remove();
}

#define SET_UP()                  \
        if (!set_up()) {          \
                CHECK(!"set up"); \
                return;           \
        }

static EFI_STATUS open_from(struct volume_node *from, const char *path, bool creates,
                uint64_t attribute, struct volume_node **ret)
{
        _cleanup_buf_ struct buf utf16 = {0};

        if (!utf8_to_utf16(path, &utf16))
                return EFI_ABORTED;
        return volume_open(volume, from, buf_span(&utf16), creates, attribute, ret, NULL);
}

/* Opens, closes, and says how it went. */
static EFI_STATUS try_open(const char *path)
{
        struct volume_node *node;
        EFI_STATUS status = open_from(root, path, false, 0, &node);

        if (!efi_error(status))
                volume_unref(volume, node);
        return status;
}

static bool contents_are(struct volume_node *node, const char *text)
{
        char bytes[256];
        size_t n;

        return volume_read(node, 0, bytes, sizeof(bytes), &n) == EFI_SUCCESS && n == strlen(text) &&
               memcmp(bytes, text, n) == 0;
}

static size_t count_entries(struct volume_node *directory)
{
        struct volume_info info;
        size_t n = 0;

        for (size_t i = 0; volume_entry(volume, directory, &i, &info) == EFI_SUCCESS; i++)
                n++;
        return n;
}

static void test_open_and_read(void)
{
        struct volume_node *node, *linux_dir;
        struct volume_info info;
        char c[4];
        size_t n;

        SET_UP();
        REQUIRE(open_from(root, "\\EFI\\Linux\\b.efi", false, 0, &node) == EFI_SUCCESS);
        volume_get_info(node, &info);
        CHECK_EQ(info.size, 7);
        CHECK_EQ(info.attribute, EFI_FILE_ARCHIVE);
        CHECK(strcmp(info.name, "b.efi") == 0);
        CHECK(contents_are(node, "payload"));
        CHECK(volume_read(node, 5, c, sizeof(c), &n) == EFI_SUCCESS);
        CHECK_EQ(n, 2);
        CHECK(volume_read(node, UINT64_MAX, c, sizeof(c), &n) == EFI_SUCCESS);
        CHECK_EQ(n, 0);
        /* relative: to a directory, and to the directory of a file */
        volume_unref(volume, node);
        REQUIRE(open_from(root, "efi\\LINUX", false, 0, &linux_dir) == EFI_SUCCESS);
        CHECK(volume_is_directory(linux_dir));
        REQUIRE(open_from(linux_dir, "B.EFI", false, 0, &node) == EFI_SUCCESS);
        CHECK(contents_are(node, "payload"));
        volume_unref(volume, node);
        REQUIRE(open_from(linux_dir, "..\\..\\loader\\.\\random-seed", false, 0, &node) ==
                        EFI_SUCCESS);
        CHECK(contents_are(node, "seedseed"));
        volume_unref(volume, linux_dir);
        REQUIRE(open_from(node, "\\\\EFI\\\\Linux\\", false, 0, &linux_dir) == EFI_SUCCESS);
        CHECK(volume_is_directory(linux_dir));
        volume_unref(volume, node);
        REQUIRE(open_from(linux_dir, "", false, 0, &node) == EFI_SUCCESS);
        CHECK(node == linux_dir);
        volume_unref(volume, node);
        volume_unref(volume, linux_dir);
        tear_down();
}

static void test_names_refused(void)
{
        static const char odd[] = "\\EFI\\Linux\\b.efi";
        char long_name[VOLUME_NAME_MAX_CHARS + 2];
        uint8_t surrogate[] = {'a', 0, 0x00, 0xd8};
        uint8_t with_nul[] = {'E', 0, 'F', 0, 'I', 0, 0, 0};
        struct volume_node *node;

        SET_UP();
        CHECK(try_open("..") == EFI_INVALID_PARAMETER);
        CHECK(try_open("\\..\\..\\etc\\passwd") == EFI_INVALID_PARAMETER);
        CHECK(try_open("EFI\\..\\..\\x") == EFI_INVALID_PARAMETER);
        CHECK(try_open("EFI/Linux/b.efi") == EFI_INVALID_PARAMETER);
        CHECK(try_open("EFI\\Linux\\b.efi\\") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\Linux\\b.efi\\x") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\nothing\\b.efi") == EFI_NOT_FOUND);
        CHECK(try_open("a*") == EFI_INVALID_PARAMETER);
        CHECK(try_open("a\x01") == EFI_INVALID_PARAMETER);
        CHECK(try_open("c:x") == EFI_INVALID_PARAMETER);
        memset(long_name, 'x', sizeof(long_name));
        long_name[sizeof(long_name) - 1] = '\0';
        CHECK(try_open(long_name) == EFI_INVALID_PARAMETER);
        long_name[VOLUME_NAME_MAX_CHARS] = '\0';
        CHECK(try_open(long_name) == EFI_NOT_FOUND);
        CHECK(volume_open(volume, root, SPAN(surrogate, 4), false, 0, &node, NULL) ==
                        EFI_INVALID_PARAMETER);
        CHECK(volume_open(volume, root, SPAN(with_nul, 8), false, 0, &node, NULL) ==
                        EFI_INVALID_PARAMETER);
        CHECK(volume_open(volume, root, SPAN(odd, 3), false, 0, &node, NULL) ==
                        EFI_INVALID_PARAMETER);
        tear_down();
}

/* Everything on a directory that isn't FAT that could lead out of it or hang us. */
static void test_no_way_out(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_close_ int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        SET_UP();
        CHECK(symlink("/etc/passwd", scratch_path("EFI/passwd")) == 0);
        CHECK(symlink("/etc", scratch_path("EFI/etc")) == 0);
        CHECK(symlink("Linux/b.efi", scratch_path("EFI/inside.efi")) == 0);
        CHECK(symlink("/proc/self/fd", scratch_path("EFI/magic")) == 0);
        CHECK(mkfifo(scratch_path("EFI/fifo"), 0600) == 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", scratch_path("EFI/socket"));
        CHECK(bind(s, (struct sockaddr *)&address, sizeof(address)) == 0);
        if (mknod(scratch_path("EFI/device"), S_IFCHR | 0600, makedev(1, 5)) < 0)
                printf("# no device node: %s\n", strerror(errno));
        CHECK(try_open("EFI\\passwd") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\etc\\passwd") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\inside.efi") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\magic\\0") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\fifo") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\socket") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\device") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\Linux\\b.efi") == EFI_SUCCESS);
        tear_down();
}

/* What was a file or directory when it was listed is a link or a pipe when it is opened. */
static void test_swapped_after_listing(void)
{
        struct volume_node *node;

        SET_UP();
        CHECK(try_open("EFI\\Linux\\nothing") == EFI_NOT_FOUND); /* lists */
        CHECK(unlink(scratch_path("EFI/Linux/b.efi")) == 0);
        CHECK(symlink("/etc/passwd", scratch_path("EFI/Linux/b.efi")) == 0);
        CHECK(try_open("EFI\\Linux\\b.efi") == EFI_NOT_FOUND);
        CHECK(unlink(scratch_path("EFI/Linux/b.efi")) == 0);
        CHECK(mkfifo(scratch_path("EFI/Linux/b.efi"), 0600) == 0);
        CHECK(try_open("EFI\\Linux\\b.efi") == EFI_DEVICE_ERROR);
        CHECK(rename(scratch_path("loader"), scratch_path("away")) == 0);
        CHECK(symlink("/etc", scratch_path("loader")) == 0);
        CHECK(try_open("loader\\passwd") == EFI_DEVICE_ERROR);
        /* nothing can be made in a directory that can't be listed */
        CHECK(open_from(root, "loader\\new", true, 0, &node) == EFI_DEVICE_ERROR);
        CHECK(try_open("loader\\passwd") == EFI_DEVICE_ERROR);
        tear_down();
}

static void test_mount_point(void)
{
        int status;
        pid_t pid;

        SET_UP();
        pid = fork(); /* a mount namespace of its own */
        if (pid == 0) {
                if (unshare(CLONE_NEWNS) < 0 ||
                                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                                mount("none", scratch_path("EFI/Linux"), "tmpfs", 0, NULL) < 0)
                        _exit(77);
                if (volume_new(open(scratch_path("."), O_PATH | O_DIRECTORY), &volume) < 0)
                        _exit(2);
                root = volume_root(volume);
                _exit(try_open("EFI\\Linux") == EFI_NOT_FOUND && try_open("EFI") == EFI_SUCCESS
                                                ? 0
                                                : 1);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        tear_down();
        if (WEXITSTATUS(status) == 77)
                SKIP("no mount namespace here");
        CHECK_EQ(WEXITSTATUS(status), 0);
}

static void test_case_clash(void)
{
        struct volume_node *node;

        SET_UP();
        scratch_write("EFI/Linux/Twin.efi", "1");
        scratch_write("EFI/Linux/tWIN.efi", "2");
        CHECK(try_open("EFI\\Linux\\TWIN.EFI") == EFI_VOLUME_CORRUPTED);
        REQUIRE(open_from(root, "EFI\\Linux\\tWIN.efi", false, 0, &node) == EFI_SUCCESS);
        CHECK(contents_are(node, "2"));
        volume_unref(volume, node);
        tear_down();
}

static void test_listing_is_fixed(void)
{
        struct volume_node *directory, *node;
        struct volume_info info;
        size_t i = 0;

        SET_UP();
        REQUIRE(open_from(root, "EFI\\Linux", false, 0, &directory) == EFI_SUCCESS);
        CHECK(volume_entry(volume, directory, &i, &info) == EFI_SUCCESS);
        CHECK(strcmp(info.name, "B.extra") == 0);
        scratch_write("EFI/Linux/A.late", "late");
        CHECK(unlink(scratch_path("EFI/Linux/B.extra")) == 0);
        i++;
        CHECK(volume_entry(volume, directory, &i, &info) == EFI_SUCCESS);
        CHECK(strcmp(info.name, "b.efi") == 0);
        CHECK_EQ(count_entries(directory), 2);
        CHECK(try_open("EFI\\Linux\\A.late") == EFI_NOT_FOUND);
        CHECK(try_open("EFI\\Linux\\B.extra") == EFI_NOT_FOUND); /* listed, but gone */
        /* the payload's own changes move no entry */
        REQUIRE(open_from(directory, "A.new", true, 0, &node) == EFI_SUCCESS);
        i++;
        CHECK(volume_entry(volume, directory, &i, &info) == EFI_SUCCESS);
        CHECK(strcmp(info.name, "A.new") == 0);
        CHECK(volume_delete(volume, node) == EFI_SUCCESS);
        volume_unref(volume, node);
        CHECK(volume_entry(volume, directory, &i, &info) == EFI_NOT_FOUND);
        volume_unref(volume, directory);
        tear_down();
}

static void test_writes_stay_in_memory(void)
{
        struct volume_node *a, *b;
        struct volume_info info;

        SET_UP();
        scratch_remember();
        REQUIRE(open_from(root, "loader\\random-seed", false, 0, &a) == EFI_SUCCESS);
        REQUIRE(open_from(root, "LOADER\\RANDOM-SEED", false, 0, &b) == EFI_SUCCESS);
        CHECK(volume_write(volume, a, 4, SPAN("XY", 2)) == EFI_SUCCESS);
        CHECK(contents_are(b, "seedXYed"));
        CHECK(volume_write(volume, a, 10, SPAN("Z", 1)) == EFI_SUCCESS);
        CHECK(volume_resize(volume, b, 11) == EFI_SUCCESS);
        volume_get_info(a, &info);
        CHECK_EQ(info.size, 11);
        CHECK(volume_resize(volume, b, 2) == EFI_SUCCESS);
        CHECK(contents_are(a, "se"));
        CHECK(volume_resize(volume, b, 4) == EFI_SUCCESS);
        volume_unref(volume, a);
        volume_unref(volume, b);
        REQUIRE(open_from(root, "loader\\random-seed", false, 0, &a) == EFI_SUCCESS);
        CHECK(volume_read(a, 0, &(char[4]){0}, 4, &(size_t){0}) == EFI_SUCCESS);
        volume_get_info(a, &info);
        CHECK_EQ(info.size, 4);
        CHECK(volume_delete(volume, a) == EFI_SUCCESS);
        CHECK(volume_is_deleted(a));
        CHECK(volume_delete(volume, a) == EFI_DEVICE_ERROR);
        volume_unref(volume, a);
        CHECK(try_open("loader\\random-seed") == EFI_NOT_FOUND);
        REQUIRE(open_from(root, "loader\\sub", true, EFI_FILE_DIRECTORY, &a) == EFI_SUCCESS);
        REQUIRE(open_from(a, "file", true, 0, &b) == EFI_SUCCESS);
        CHECK(volume_write(volume, b, 0, SPAN("new", 3)) == EFI_SUCCESS);
        CHECK(volume_delete(volume, a) == EFI_ACCESS_DENIED); /* not empty */
        CHECK(volume_delete(volume, b) == EFI_SUCCESS);
        volume_unref(volume, b);
        CHECK(volume_delete(volume, a) == EFI_SUCCESS);
        CHECK(open_from(a, "x", true, 0, &b) == EFI_DEVICE_ERROR);
        volume_unref(volume, a);
        CHECK(volume_delete(volume, root) == EFI_ACCESS_DENIED);
        CHECK_EQ(volume_free_bytes(volume), VOLUME_OVERLAY_BYTES);
        CHECK(scratch_unchanged());
        tear_down();
}

static void test_create_rules(void)
{
        struct volume_node *node;

        SET_UP();
        scratch_remember();
        CHECK(open_from(root, "EFI\\Linux", true, 0, &node) == EFI_ACCESS_DENIED);
        CHECK(open_from(root, "EFI\\Linux\\b.efi", true, EFI_FILE_DIRECTORY, &node) ==
                        EFI_ACCESS_DENIED);
        CHECK(open_from(root, "no\\where", true, 0, &node) == EFI_NOT_FOUND);
        CHECK(open_from(root, "file\\", true, 0, &node) == EFI_INVALID_PARAMETER);
        CHECK(open_from(root, "b/ad", true, 0, &node) == EFI_INVALID_PARAMETER);
        REQUIRE(open_from(root, "EFI\\LINUX\\B.EFI", true, 0, &node) == EFI_SUCCESS);
        CHECK(contents_are(node, "payload")); /* the one that was there */
        volume_unref(volume, node);
        CHECK(scratch_unchanged());
        tear_down();
}

static void test_rename(void)
{
        struct volume_node *node, *directory, *other;
        struct volume_info info;

        SET_UP();
        scratch_remember();
        REQUIRE(open_from(root, "EFI\\Linux\\b.efi", false, 0, &node) == EFI_SUCCESS);
        CHECK(volume_rename(volume, node, SPAN(u"B.efi", 10)) == EFI_SUCCESS); /* case only */
        volume_get_info(node, &info);
        CHECK(strcmp(info.name, "B.efi") == 0);
        CHECK(volume_rename(volume, node, SPAN(u"b.extra", 14)) == EFI_ACCESS_DENIED);
        CHECK(volume_rename(volume, node, SPAN(u"\\loader\\c.efi", 26)) == EFI_SUCCESS);
        CHECK(volume_rename(volume, node, SPAN(u"\\..\\c.efi", 18)) == EFI_INVALID_PARAMETER);
        CHECK(try_open("EFI\\Linux\\b.efi") == EFI_NOT_FOUND);
        volume_unref(volume, node);
        REQUIRE(open_from(root, "loader\\c.efi", false, 0, &node) == EFI_SUCCESS);
        CHECK(contents_are(node, "payload")); /* still from its old place on the disk */
        volume_unref(volume, node);
        REQUIRE(open_from(root, "EFI", false, 0, &directory) == EFI_SUCCESS);
        CHECK(volume_rename(volume, directory, SPAN(u"\\EFI\\Linux\\EFI", 28)) ==
                        EFI_ACCESS_DENIED);
        CHECK(volume_rename(volume, directory, SPAN(u"\\boot", 10)) == EFI_SUCCESS);
        CHECK(try_open("boot\\linux\\b.EXTRA") == EFI_SUCCESS);
        CHECK(try_open("EFI") == EFI_NOT_FOUND);
        REQUIRE(open_from(directory, "..\\loader", false, 0, &other) == EFI_SUCCESS);
        CHECK(volume_rename(volume, root, SPAN(u"x", 2)) == EFI_ACCESS_DENIED);
        volume_unref(volume, other);
        volume_unref(volume, directory);
        CHECK(scratch_unchanged());
        tear_down();
}

static void test_budget(void)
{
        struct volume_node *node;
        uint8_t *big = calloc(1, VOLUME_OVERLAY_BYTES + 1);
        uint64_t before;

        SET_UP();
        REQUIRE(open_from(root, "big", true, 0, &node) == EFI_SUCCESS);
        before = volume_free_bytes(volume);
        CHECK(volume_write(volume, node, 0, SPAN(big, VOLUME_OVERLAY_BYTES)) == EFI_VOLUME_FULL);
        CHECK(volume_write(volume, node, UINT64_MAX, SPAN(big, 1)) == EFI_VOLUME_FULL);
        CHECK(volume_resize(volume, node, UINT64_MAX) == EFI_VOLUME_FULL);
        CHECK_EQ(volume_free_bytes(volume), before);
        CHECK(volume_write(volume, node, 0, SPAN(big, before)) == EFI_SUCCESS);
        CHECK_EQ(volume_free_bytes(volume), 0);
        /* what the budget no longer counts takes no memory: a file made large and short again could
         * be followed by thousands more */
        CHECK(volume_resize(volume, node, 3) == EFI_SUCCESS);
        CHECK_EQ(node->contents.capacity, 3);
        CHECK(volume_write(volume, node, 3, SPAN("four", 4)) == EFI_SUCCESS);
        CHECK_EQ(node->size, 7);
        CHECK(memcmp(node->contents.data, "\0\0\0four", 7) == 0);
        CHECK(volume_resize(volume, node, 0) == EFI_SUCCESS);
        CHECK_EQ(node->contents.capacity, 0);
        CHECK_EQ(volume_free_bytes(volume), before);
        volume_unref(volume, node);
        free(big);
        /* a file on the disk that is too large to be copied stays as it is */
        CHECK(truncate(scratch_path("EFI/Linux/b.efi"), (off_t)VOLUME_OVERLAY_BYTES + 1) == 0);
        REQUIRE(open_from(root, "EFI\\Linux\\b.efi", false, 0, &node) == EFI_SUCCESS);
        CHECK(volume_write(volume, node, 0, SPAN("x", 1)) == EFI_VOLUME_FULL);
        CHECK_EQ(volume_free_bytes(volume), before);
        CHECK(volume_resize(volume, node, 3) == EFI_SUCCESS);
        CHECK(contents_are(node, "pay"));
        volume_unref(volume, node);
        tear_down();
}

static void test_file_that_shrinks(void)
{
        struct volume_node *node;
        char bytes[16];
        size_t n;

        SET_UP();
        REQUIRE(open_from(root, "loader\\random-seed", false, 0, &node) == EFI_SUCCESS);
        CHECK(truncate(scratch_path("loader/random-seed"), 3) == 0);
        CHECK(volume_read(node, 0, bytes, sizeof(bytes), &n) == EFI_SUCCESS);
        CHECK_EQ(n, 3);
        CHECK(volume_write(volume, node, 0, SPAN("x", 1)) == EFI_DEVICE_ERROR);
        CHECK_EQ(volume_free_bytes(volume), VOLUME_OVERLAY_BYTES);
        volume_unref(volume, node);
        tear_down();
}

static const struct tap_test tests[] = {
                {"opens and reads by path", test_open_and_read},
                {"refuses names that aren't FAT's, and .. above the root", test_names_refused},
                {"links, pipes, sockets and devices don't exist", test_no_way_out},
                {"a file swapped for a link or pipe after listing", test_swapped_after_listing},
                {"a mount point isn't entered", test_mount_point},
                {"two names that differ in case", test_case_clash},
                {"a directory stays as it was listed", test_listing_is_fixed},
                {"writes, deletions and new files stay in memory", test_writes_stay_in_memory},
                {"creating over what is there, or nowhere", test_create_rules},
                {"renaming and moving", test_rename},
                {"the overlay's budget", test_budget},
                {"a file that shrinks on the disk", test_file_that_shrinks},
};

TAP_MAIN(tests)
