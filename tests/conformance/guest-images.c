/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conformance of the image services (UEFI 2.10, 7.4) and of Loaded Image (9.1). The other image is
 * child.c, a file beside us. */
#include "guest.h"

static void *child;
static uint64_t child_size;

static const struct guid image_path = GUID_LOADED_IMAGE_PATH, device_path = GUID_DEVICE_PATH,
                         load_file2 = GUID_LOAD_FILE2;

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
        CHECK_EQ(bs->load_image(false, self, NULL, child, 0, &h), INVALID_PARAMETER);
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
}
