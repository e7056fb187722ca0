/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lies to SimpleFileSystem and File. The folder that test_lies.py makes has, besides child.efi:
 * link (to child.efi), outside (a link to /etc), pipe, socket, null (a device), and changing/, in
 * which it makes and removes files all the time. */
#include "tests/conformance/liar.h"

static const struct guid file_info = GUID_FILE_INFO;
static struct file *root;

enum { READ = 1, WRITE = 3 };
#define CREATE (1ull << 63 | WRITE)

static void open_root(void)
{
        static const struct guid g = GUID_FILE_SYSTEM;
        void *fs;

        CHECK_EQ(bs->handle_protocol(loaded_image_of(self)->device, &g, &fs), SUCCESS);
        CHECK_EQ(((struct file_system *)fs)->open_volume(fs, &root), SUCCESS);
}

static status try_open(const char16 *name)
{
        struct file *f = NULL;
        status s = root->open(root, &f, name, READ, 0);

        if (s == SUCCESS)
                f->close(f);
        return s;
}

static void dots(void)
{
        static const char16 *const names[] = {u"..", u"\\..", u"..\\..\\etc\\passwd",
                        u"\\..\\..\\..\\..\\etc\\passwd", u"changing\\..\\..\\etc\\passwd",
                        u".\\..", u"..\\."};

        open_root();
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                CHECK_EQ(try_open(names[i]), INVALID_PARAMETER); /* as edk2's FAT */
        CHECK_EQ(try_open(u"changing\\..\\child.efi"), SUCCESS); /* within it is well */
        CHECK_EQ(try_open(u"\\.\\.\\child.efi"), SUCCESS);
        CHECK_EQ(try_open(u"..."), NOT_FOUND);
}

/* What stands in the folder but is no file of an ESP can't be opened, and isn't listed. */
static void links_and_devices(void)
{
        static const char16 *const names[] = {u"link", u"outside", u"outside\\passwd",
                        u"\\outside\\..\\child.efi", u"pipe", u"socket", u"null", u"dangling"};
        static uint8_t info[1024];
        uint64_t size;
        int n = 0;

        open_root();
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                CHECK_EQ(try_open(names[i]), NOT_FOUND);
        while (size = sizeof(info), root->read(root, &size, info) == SUCCESS && size) {
                const char16 *name = ((struct file_info *)info)->name;

                for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                        CHECK(!same_text(name, names[i]));
                n++;
        }
        CHECK(n >= 3);
}

static void odd_paths(void)
{
        static char16 long_name[300], long_path[5000];
        struct file *f = NULL;

        open_root();
        for (int i = 0; i < 299; i++)
                long_name[i] = u'l';
        for (int i = 0; i < 4999; i++)
                long_path[i] = i % 2 ? u'\\' : u'.';
        CHECK_EQ(root->open(root, &f, long_name, CREATE, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, long_path, READ, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, (char16 *)0x10, READ, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, (void *)0x10, u"child.efi", READ, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, u"a/../../b", CREATE, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, u"a:b", CREATE, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, (const char16[]){0xd800, 0}, CREATE, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, (const char16[]){7, 0}, CREATE, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, u"child.efi", 2, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, u"child.efi", 1ull << 63, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, u"child.efi", ~0ull, 0), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, u"new", CREATE, ~0ull), INVALID_PARAMETER);
        CHECK_EQ(root->open(root, &f, u"nowhere\\new", CREATE, 0), NOT_FOUND);
        CHECK_EQ(root->open(root, &f, u"child.efi\\new", CREATE, 0), NOT_FOUND);
        CHECK_EQ(f, NULL);
}

/* File by file while the runner makes and removes some: each entry is whole, and there is an end.
 */
static void changing_directory(void)
{
        static uint8_t info[1024];
        struct file *f;
        uint64_t size;

        open_root();
        for (int round = 0; round < 50; round++) {
                int n = 0;

                CHECK_EQ(root->open(root, &f, u"changing", READ, 0), SUCCESS);
                for (;;) {
                        size = sizeof(info);
                        CHECK_EQ(f->read(f, &size, info), SUCCESS);
                        if (!size)
                                break;
                        CHECK_EQ(size, ((struct file_info *)info)->size);
                        CHECK(++n < 1000);
                        try_open(((struct file_info *)info)->name);
                }
                f->close(f);
        }
}

/* The payload itself changes what it lists. */
static void changed_by_us(void)
{
        static uint8_t info[1024];
        char16 name[] = u"made-a";
        struct file *f, *directory;
        uint64_t size;
        int n = 0;

        open_root();
        CHECK_EQ(root->open(root, &directory, u"ours", CREATE, 0x10), SUCCESS);
        for (int i = 0; i < 8; i++, name[5]++) {
                CHECK_EQ(directory->open(directory, &f, name, CREATE, 0), SUCCESS);
                f->close(f);
        }
        CHECK_EQ(directory->set_position(directory, 0), SUCCESS);
        while (size = sizeof(info), directory->read(directory, &size, info) == SUCCESS && size) {
                if (((struct file_info *)info)->name[0] == u'.')
                        continue;
                n++;
                CHECK_EQ(directory->open(directory, &f, ((struct file_info *)info)->name, WRITE, 0),
                                SUCCESS);
                CHECK_EQ(f->delete (f), SUCCESS);
        }
        CHECK_EQ(n, 8);
        CHECK_EQ(directory->delete (directory), SUCCESS);
        CHECK_EQ(try_open(u"ours"), NOT_FOUND);
}

static void wrong_files(void)
{
        struct file copy, *f, *wrong[4];
        uint64_t size = 8, data;

        open_root();
        CHECK_EQ(root->open(root, &f, u"child.efi", READ, 0), SUCCESS);
        copy = *f;
        wrong[0] = &copy, wrong[1] = NULL, wrong[2] = (struct file *)((char *)f + 8),
        wrong[3] = (struct file *)tcg2;
        for (int i = 0; i < 4; i++) {
                CHECK_EQ(f->read(wrong[i], &size, &data), INVALID_PARAMETER);
                CHECK_EQ(f->close(wrong[i]), INVALID_PARAMETER);
                CHECK_EQ(f->delete (wrong[i]), INVALID_PARAMETER);
                CHECK_EQ(f->open(wrong[i], &f, u"x", READ, 0), INVALID_PARAMETER);
        }
        CHECK_EQ(f->close(f), SUCCESS);
        CHECK_EQ(root->close(f), INVALID_PARAMETER); /* twice */
        CHECK_EQ(root->read(f, &size, &data), INVALID_PARAMETER);
}

static void odd_reads(void)
{
        uint8_t *page = last_page();
        uint64_t size, position;
        struct file *f;

        open_root();
        CHECK_EQ(root->open(root, &f, u"child.efi", READ, 0), SUCCESS);
        size = ~0ull;
        CHECK_EQ(f->read(f, &size, page), INVALID_PARAMETER); /* it is larger than a page */
        size = 4097;
        CHECK_EQ(f->read(f, &size, page), INVALID_PARAMETER);
        size = 8;
        CHECK_EQ(f->read(f, &size, NULL), INVALID_PARAMETER);
        CHECK_EQ(f->read(f, (void *)0x10, page), INVALID_PARAMETER);
        CHECK_EQ(f->write(f, &size, page), ACCESS_DENIED);
        CHECK_EQ(f->set_position(f, ~0ull), SUCCESS); /* to the end */
        CHECK_EQ(f->get_position(f, &position), SUCCESS);
        size = 8;
        CHECK_EQ(f->read(f, &size, page), SUCCESS);
        CHECK_EQ(size, 0);
        CHECK_EQ(f->set_position(f, ~0ull - 1), SUCCESS);
        CHECK_EQ(f->read(f, &size, page), DEVICE_ERROR);
        CHECK_EQ(f->set_position(f, position + 1), SUCCESS);
        CHECK_EQ(f->read(f, &size, page), DEVICE_ERROR);
}

/* More than the volume holds in memory; the disk isn't asked. */
static void too_much_written(void)
{
        static uint8_t data[1 << 20];
        struct file *f;
        uint64_t size;
        status s;
        int n = 0;

        open_root();
        CHECK_EQ(root->open(root, &f, u"big", CREATE, 0), SUCCESS);
        do
                size = sizeof(data), s = f->write(f, &size, data);
        while (s == SUCCESS && ++n < 100);
        CHECK_EQ(s, VOLUME_FULL);
        CHECK(n > 10 && n < 17);
        CHECK_EQ(f->set_position(f, 1ull << 62), SUCCESS);
        size = 1;
        CHECK_EQ(f->write(f, &size, data), VOLUME_FULL);
        CHECK_EQ(f->delete (f), SUCCESS);
        CHECK_EQ(root->open(root, &f, u"big", CREATE, 0), SUCCESS);
        size = sizeof(data);
        CHECK_EQ(f->write(f, &size, data), SUCCESS);
}

static void write_to_the_disk(void)
{
        uint64_t size = 8;
        struct file *f;

        open_root();
        CHECK_EQ(root->open(root, &f, u"child.efi", WRITE, 0), SUCCESS);
        CHECK_EQ(f->write(f, &size, "replaced"), SUCCESS);
        CHECK_EQ(f->delete (f), SUCCESS);
        CHECK_EQ(try_open(u"child.efi"), NOT_FOUND); /* for the payload; the runner looks itself */
        CHECK_EQ(root->open(root, &f, u"liar.efi", WRITE, 0), SUCCESS);
        CHECK_EQ(f->delete (f), SUCCESS);
        CHECK_EQ(root->delete (root), WARN_DELETE_FAILURE);
}

static void rename_outside(void)
{
        static const char16 *const names[] = {u"..\\out", u"\\..\\out", u"a\\..\\..\\out", u"",
                        u"outside", u"changing", u"a/b"};
        static uint8_t bytes[1024];
        struct file_info *info = (struct file_info *)bytes;
        uint64_t size = sizeof(bytes);
        struct file *f;

        open_root();
        CHECK_EQ(root->open(root, &f, u"mine", CREATE, 0), SUCCESS);
        CHECK_EQ(f->get_info(f, &file_info, &size, info), SUCCESS);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                uint64_t n = 0;

                do
                        info->name[n] = names[i][n];
                while (names[i][n++]);
                info->size = 80 + 2 * n;
                CHECK(f->set_info(f, &file_info, info->size, info) != SUCCESS ||
                                same_text(names[i], u"outside"));
        }
        info->file_size = ~0ull;
        CHECK(f->set_info(f, &file_info, info->size, info) != SUCCESS);
        info->size = ~0ull;
        CHECK_EQ(f->set_info(f, &file_info, 90, info), INVALID_PARAMETER);
        CHECK_EQ(f->set_info(f, &file_info, ~0ull, info), INVALID_PARAMETER);
        CHECK_EQ(f->set_info(f, &file_info, 90, (void *)0x10), INVALID_PARAMETER);
        size = 10;
        CHECK_EQ(f->get_info(f, &file_info, &size, info), BUFFER_TOO_SMALL);
        CHECK_EQ(f->get_info(f, &file_info, &size, (void *)0x10), INVALID_PARAMETER);
}

static void too_many_files(void)
{
        struct file *f;
        int n = 0;

        open_root();
        while (n < 20000 && root->open(root, &f, u"child.efi", READ, 0) == SUCCESS)
                n++;
        CHECK(n > 100 && n < 20000);
        CHECK_EQ(root->open(root, &f, u"child.efi", READ, 0), OUT_OF_RESOURCES);
}

const struct lie file_lies[] = {
                {"dots", dots},
                {"links-and-devices", links_and_devices},
                {"odd-paths", odd_paths},
                {"changing-directory", changing_directory},
                {"changed-by-us", changed_by_us},
                {"wrong-files", wrong_files},
                {"odd-reads", odd_reads},
                {"too-much-written", too_much_written},
                {"write-to-the-disk", write_to_the_disk},
                {"rename-outside", rename_outside},
                {"too-many-files", too_many_files},
                {0},
};
