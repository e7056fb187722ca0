/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conformance of the image services (UEFI 2.10, 7.4) and of Loaded Image (9.1). The other image is
 * child.c, a file beside us. */
#include "guest.h"

static void *child;
static uint64_t child_size;

static const struct guid image_path = GUID_LOADED_IMAGE_PATH, device_path = GUID_DEVICE_PATH,
                         load_file2 = GUID_LOAD_FILE2, file_system = GUID_FILE_SYSTEM,
                         file_info = GUID_FILE_INFO;

static void own_image(void)
{
        struct loaded_image *image = loaded_image_of(self);
        void *path = NULL, *volume;

        CHECK(image);
        CHECK_EQ(image->revision, 0x1000);
        CHECK_EQ(image->system_table, st);
        CHECK((uint64_t)own_image - (uint64_t)image->base < image->size);
        CHECK_EQ(image->code_type, LOADER_CODE);
        CHECK_EQ(image->data_type, LOADER_DATA);
        CHECK(image->device && image->file_path);
        CHECK_EQ(((uint8_t *)image->file_path)[0], 4);
        CHECK_EQ(((uint8_t *)image->file_path)[1], 4);
        CHECK(same_text((char16 *)((uint8_t *)image->file_path + 4), u"\\EFI\\guest.efi"));
        CHECK_EQ(bs->handle_protocol(self, &image_path, &path), SUCCESS);
        CHECK_EQ(bs->handle_protocol(image->device, &device_path, &volume), SUCCESS);
        CHECK(path && same_bytes(path, volume, 20)); /* the first node of both */
        CHECK_EQ(image->unload, NULL);
        CHECK_EQ(((uint64_t)__builtin_frame_address(0) & 15), 0);
}

static handle load_child(const char16 *options, uint32_t size)
{
        struct loaded_image *image;
        handle h = NULL;

        CHECK_EQ(bs->load_image(false, self, NULL, child, child_size, &h), SUCCESS);
        image = loaded_image_of(h);
        if (!image)
                return NULL;
        CHECK_EQ(image->parent, self);
        CHECK_EQ(image->device, NULL); /* it came without a path */
        image->device = loaded_image_of(self)->device;
        image->load_options = (char16 *)options;
        image->load_options_size = size;
        return h;
}

static void start_and_return(void)
{
        uint64_t size = 99;
        char16 *data = NULL;
        handle h = load_child(u"return", 14);

        CHECK_EQ(bs->start_image(h, &size, &data), SUCCESS);
        CHECK_EQ(size, 0);
        CHECK_EQ(data, NULL);
        CHECK_EQ(bs->start_image(h, &size, &data), INVALID_PARAMETER); /* applications don't stay */
        CHECK_EQ(bs->unload_image(h), INVALID_PARAMETER);
        h = load_child(u"fail", 10);
        CHECK_EQ(bs->start_image(h, NULL, NULL), ABORTED);
        CHECK(!loaded_image_of(h));
        CHECK_EQ(bs->start_image(NULL, NULL, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->start_image(self, NULL, NULL), INVALID_PARAMETER);
}

static void start_and_exit(void)
{
        uint64_t size = 0;
        char16 *data = NULL;
        handle h = load_child(u"exit", 10);

        CHECK_EQ(bs->start_image(h, &size, &data), NOT_READY);
        CHECK_EQ(size, 10);
        CHECK(data && same_text(data, u"done"));
        CHECK_EQ(bs->free_pool(data), SUCCESS);
        h = load_child(u"exit", 10);
        CHECK_EQ(bs->start_image(h, NULL, NULL), NOT_READY);
        h = load_child(u"exit-in-notify", 30);
        CHECK_EQ(bs->start_image(h, NULL, NULL), NOT_FOUND);
        CHECK_EQ(bs->raise_tpl(TPL_CALLBACK), TPL_APPLICATION); /* as it was before the image */
        bs->restore_tpl(TPL_APPLICATION);
        h = load_child(u"return", 14);
        CHECK_EQ(bs->exit(h, SUCCESS, 0, NULL), SUCCESS); /* never started: unloads it */
        CHECK(!loaded_image_of(h));
        CHECK_EQ(bs->exit(NULL, SUCCESS, 0, NULL), INVALID_PARAMETER);
}

static void unload(void)
{
        handle h = load_child(u"return", 14);
        uint64_t base = (uint64_t)loaded_image_of(h)->base;

        CHECK_EQ(bs->free_pages(base, 1), NOT_FOUND);
        CHECK_EQ(bs->unload_image(self), UNSUPPORTED);
        CHECK_EQ(bs->unload_image(h), SUCCESS);
        CHECK(!loaded_image_of(h));
        CHECK_EQ(bs->unload_image(h), INVALID_PARAMETER);
        CHECK_EQ(bs->allocate_pages(ADDRESS, LOADER_DATA, 1, &base),
                        SUCCESS); /* it is free again */
        CHECK_EQ(bs->free_pages(base, 1), SUCCESS);
}

static void nesting(void)
{
        handle h = load_child(u"nest", 10);

        /* Each of them loads and starts another one, until it is refused. */
        CHECK_EQ(bs->start_image(h, NULL, NULL), OUT_OF_RESOURCES);
}

static void refused(void)
{
        static uint8_t copy[1 << 16];
        uint64_t pe = *(uint32_t *)((uint8_t *)child + 60);
        handle h = &h;

        CHECK(child_size < sizeof(copy));
        CHECK_EQ(bs->load_image(false, self, NULL, NULL, 0, &h), NOT_FOUND);
        CHECK_EQ(bs->load_image(false, NULL, NULL, child, child_size, &h), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, NULL, child, child_size, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, NULL, child, 0, &h), LOAD_ERROR);
        CHECK_EQ(bs->load_image(false, self, NULL, child, 100, &h), LOAD_ERROR);
        CHECK_EQ(bs->load_image(false, self, NULL, child, 1ull << 40, &h), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, NULL, copy, child_size, &h), LOAD_ERROR);
        bs->copy_mem(copy, child, child_size);
        copy[pe + 4] = 0x4c, copy[pe + 5] = 0x01; /* i386 */
        CHECK_EQ(bs->load_image(false, self, NULL, copy, child_size, &h), UNSUPPORTED);
        bs->copy_mem(copy, child, child_size);
        copy[pe + 24 + 68] = 3; /* a console program */
        CHECK_EQ(bs->load_image(false, self, NULL, copy, child_size, &h), UNSUPPORTED);
        CHECK_EQ(h, &h);
}

/* A File Path node behind the path of the volume that we came from. */
static uint64_t put_path(uint8_t *to, const char16 *name)
{
        uint8_t *volume;
        uint64_t n = 0, bytes = 0;

        CHECK_EQ(bs->handle_protocol(loaded_image_of(self)->device, &device_path, (void **)&volume),
                        SUCCESS);
        while (volume[n] != 0x7f)
                n += volume[n + 2];
        bs->copy_mem(to, volume, n);
        while (name[bytes / 2])
                bytes += 2;
        bytes += 2;
        to[n] = 4, to[n + 1] = 4, to[n + 2] = (uint8_t)(bytes + 4), to[n + 3] = 0;
        bs->copy_mem(to + n + 4, name, bytes);
        n += bytes + 4;
        to[n] = 0x7f, to[n + 1] = 0xff, to[n + 2] = 4, to[n + 3] = 0;
        return n + 4;
}

static void load_by_path(void)
{
        uint8_t path[256];
        struct loaded_image *image;
        handle h = NULL;

        put_path(path, u"\\child.efi");
        CHECK_EQ(bs->load_image(false, self, path, NULL, 0, &h), SUCCESS);
        image = loaded_image_of(h);
        CHECK_EQ(image->device, loaded_image_of(self)->device);
        CHECK(same_text((char16 *)((uint8_t *)image->file_path + 4), u"\\child.efi"));
        CHECK_EQ(bs->unload_image(h), SUCCESS);
        put_path(path, u"\\none.efi");
        CHECK_EQ(bs->load_image(false, self, path, NULL, 0, &h), NOT_FOUND);
}

static uint8_t our_path[] = {4, 3, 20, 0, 0x1e, 0xab, 0x57, 0x7e, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0,
                0, 1, 0x7f, 0xff, 4, 0};
static int file_calls;

static status give_child(
                struct load_file2 *this, void *path, bool boot_policy, uint64_t *size, void *buffer)
{
        (void)this;
        file_calls++;
        if (boot_policy || *(uint8_t *)path != 0x7f)
                return INVALID_PARAMETER;
        if (!buffer || *size < child_size) {
                *size = child_size;
                return BUFFER_TOO_SMALL;
        }
        *size = child_size;
        bs->copy_mem(buffer, child, child_size);
        return SUCCESS;
}

/* As zboot images do: the firmware calls our LoadFile2. */
static void load_by_load_file2(void)
{
        static struct load_file2 protocol;
        handle media = NULL, h = NULL;

        protocol.load_file = give_child;
        CHECK_EQ(bs->install_multiple(&media, &device_path, our_path, &load_file2, &protocol, NULL),
                        SUCCESS);
        CHECK_EQ(bs->load_image(true, self, our_path, NULL, 0, &h), NOT_FOUND);
        CHECK_EQ(file_calls, 0);
        CHECK_EQ(bs->load_image(false, self, our_path, NULL, 0, &h), SUCCESS);
        CHECK_EQ(file_calls, 2);
        CHECK_EQ(bs->unload_image(h), SUCCESS);
        CHECK_EQ(bs->uninstall_multiple(
                                 media, &device_path, our_path, &load_file2, &protocol, NULL),
                        SUCCESS);
}

/* ---- a file system of our own: \folder with child.efi in it ---- */

enum trick {
        HONEST,
        NO_VOLUME,
        NO_SUCH_FILE,
        NO_FILE_GIVEN,
        WILD_FILE,
        IS_FOLDER,
        IS_EMPTY,
        NO_INFO,
        SHORT_INFO,
        TOO_LARGE,
        READ_FAILS,
        READ_TOO_MUCH,
        ENDS_EARLY,
        N_TRICKS
};
static enum trick trick;
static unsigned files_open;
static uint64_t file_position;
static struct file our_files[3]; /* the volume, its folder, the file */

static status open_ours(struct file *this, struct file **new, const char16 *name, uint64_t mode,
                uint64_t attributes)
{
        (void)attributes;
        CHECK_EQ(mode, 1);
        CHECK(same_text(name, this == &our_files[0] ? u"folder" : u"child.efi"));
        if (trick == NO_SUCH_FILE && this == &our_files[1])
                return NOT_FOUND;
        if (trick == NO_FILE_GIVEN)
                return SUCCESS;
        *new = trick == WILD_FILE ? (struct file *)0x10 : this + 1;
        files_open += trick != WILD_FILE;
        file_position = 0;
        return SUCCESS;
}

static status close_ours(struct file *this)
{
        (void)this;
        files_open--;
        return SUCCESS;
}

/* At most 5000 bytes at once, which it may. */
static status read_ours(struct file *this, uint64_t *size, void *buffer)
{
        uint64_t end = trick == ENDS_EARLY ? child_size / 2 : child_size, n = end - file_position;

        CHECK_EQ(this, &our_files[2]);
        if (trick == READ_FAILS && file_position > 0)
                return ABORTED;
        n = n > *size ? *size : n;
        n = n > 5000 ? 5000 : n;
        bs->copy_mem(buffer, (uint8_t *)child + file_position, n);
        file_position += n;
        *size = trick == READ_TOO_MUCH ? *size + 1 : n;
        return SUCCESS;
}

static status tell_ours(struct file *this, const struct guid *g, uint64_t *size, void *buffer)
{
        struct file_info *info = buffer;

        CHECK_EQ(this, &our_files[2]);
        CHECK(same_guid(g, &file_info) && *size >= sizeof(*info));
        if (trick == NO_INFO)
                return UNSUPPORTED;
        bs->set_mem(info, sizeof(*info), 0);
        info->size = *size = trick == SHORT_INFO ? 79 : sizeof(*info);
        info->file_size = trick == IS_EMPTY ? 0 : trick == TOO_LARGE ? 1ull << 40 : child_size;
        info->attribute = trick == IS_FOLDER ? 0x10 : 0;
        return SUCCESS;
}

static status open_our_volume(struct file_system *this, struct file **root)
{
        (void)this;
        if (trick == NO_VOLUME)
                return NOT_READY;
        for (int i = 0; i < 3; i++) {
                our_files[i].open = open_ours;
                our_files[i].close = close_ours;
                our_files[i].read = read_ours;
                our_files[i].get_info = tell_ours;
        }
        files_open = 1;
        *root = &our_files[0];
        return SUCCESS;
}

static uint8_t our_file_path[] = {4, 3, 20, 0, 0x1e, 0xab, 0x57, 0x7e, 1, 0, 1, 0, 0x80, 0, 0, 0, 0,
                0, 0, 2, 4, 4, 18, 0, 'f', 0, 'o', 0, 'l', 0, 'd', 0, 'e', 0, 'r', 0, 0, 0, 4, 4,
                24, 0, 'c', 0, 'h', 0, 'i', 0, 'l', 0, 'd', 0, '.', 0, 'e', 0, 'f', 0, 'i', 0, 0, 0,
                0x7f, 0xff, 4, 0};

/* As a boot loader does that gives the next one a volume of its own. */
static void load_by_file_system(void)
{
        static const status wanted[N_TRICKS] = {
                        [NO_VOLUME] = NOT_READY,
                        [NO_SUCH_FILE] = NOT_FOUND,
                        [NO_FILE_GIVEN] = LOAD_ERROR,
                        [WILD_FILE] = LOAD_ERROR,
                        [IS_FOLDER] = NOT_FOUND,
                        [IS_EMPTY] = LOAD_ERROR,
                        [NO_INFO] = UNSUPPORTED,
                        [SHORT_INFO] = LOAD_ERROR,
                        [TOO_LARGE] = OUT_OF_RESOURCES,
                        [READ_FAILS] = ABORTED,
                        [READ_TOO_MUCH] = LOAD_ERROR,
                        [ENDS_EARLY] = LOAD_ERROR,
        };
        static struct file_system protocol;
        static uint8_t media_path[24];
        handle media = NULL, h = NULL;

        protocol.open_volume = open_our_volume;
        bs->copy_mem(media_path, our_file_path, 20);
        bs->copy_mem(media_path + 20, (uint8_t[]){0x7f, 0xff, 4, 0}, 4);
        CHECK_EQ(bs->install_multiple(
                                 &media, &device_path, media_path, &file_system, &protocol, NULL),
                        SUCCESS);
        for (trick = HONEST; trick < N_TRICKS; trick++) {
                files_open = 0;
                CHECK_EQ(bs->load_image(false, self, our_file_path, NULL, 0, &h), wanted[trick]);
                CHECK_EQ(files_open, 0);
                if (trick != HONEST)
                        continue;
                CHECK_EQ(loaded_image_of(h)->device, media);
                CHECK_EQ(((uint8_t *)loaded_image_of(h)->file_path)[4], 'f');
                CHECK_EQ(bs->unload_image(h), SUCCESS);
        }
        our_file_path[21] = 5; /* a node that isn't a File */
        trick = HONEST;
        CHECK_EQ(bs->load_image(false, self, our_file_path, NULL, 0, &h), NOT_FOUND);
        CHECK_EQ(files_open, 0);
        CHECK_EQ(bs->uninstall_multiple(
                                 media, &device_path, media_path, &file_system, &protocol, NULL),
                        SUCCESS);
}

void test_image_services(void)
{
        child = read_file(u"\\child.efi", &child_size);
        CHECK(child);
        if (!child)
                return;
        tap_test("Loaded Image of the payload", own_image);
        tap_test("StartImage and return", start_and_return);
        tap_test("StartImage and Exit", start_and_exit);
        tap_test("UnloadImage", unload);
        tap_test("nesting of StartImage is bounded", nesting);
        tap_test("LoadImage refuses", refused);
        tap_test("LoadImage by device path", load_by_path);
        tap_test("LoadImage through the payload's LoadFile2", load_by_load_file2);
        tap_test("LoadImage through the payload's SimpleFileSystem", load_by_file_system);
}
