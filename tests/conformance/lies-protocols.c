/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lies with handles, protocols, events and the functions that the firmware calls back. */
#include "tests/conformance/liar.h"

static const struct guid one = GUID_TEST(1), two = GUID_TEST(2), device_path = GUID_DEVICE_PATH,
                         load_file2 = GUID_LOAD_FILE2;

static void wild_handles(void)
{
        static const uint64_t wild[] = {0, 1, 8, 0x7ffffffff000, 0x8000000000000000, ~0ull};
        handle none = NULL;
        void *found;
        uint64_t n;

        for (size_t i = 0; i <= sizeof(wild) / sizeof(wild[0]); i++) {
                handle h = i < sizeof(wild) / sizeof(wild[0]) ? (handle)wild[i] : (handle)st;

                CHECK_EQ(bs->handle_protocol(h, &one, &found), INVALID_PARAMETER);
                CHECK_EQ(bs->uninstall_protocol(h, &one, NULL), INVALID_PARAMETER);
                CHECK_EQ(bs->reinstall_protocol(h, &one, NULL, NULL), INVALID_PARAMETER);
                CHECK_EQ(bs->protocols_per_handle(h, (void *)&found, &n), INVALID_PARAMETER);
                CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 2), INVALID_PARAMETER);
                CHECK_EQ(bs->close_protocol(h, &one, self, NULL), INVALID_PARAMETER);
                CHECK_EQ(bs->unload_image(h), INVALID_PARAMETER);
                CHECK_EQ(bs->start_image(h, NULL, NULL), INVALID_PARAMETER);
                if (h) {
                        none = h;
                        CHECK_EQ(bs->install_protocol(&none, &one, 0, NULL), INVALID_PARAMETER);
                        CHECK_EQ(bs->signal_event(h), INVALID_PARAMETER);
                        CHECK_EQ(bs->check_event(h), INVALID_PARAMETER);
                        CHECK_EQ(bs->close_event(h), INVALID_PARAMETER);
                        CHECK_EQ(bs->set_timer(h, 1, 1), INVALID_PARAMETER);
                }
        }
}

/* The volume's file system, while a file of it is open. */
static void uninstall_in_use(void)
{
        static const struct guid g = GUID_FILE_SYSTEM;
        struct loaded_image *image = loaded_image_of(self);
        struct file *root, *file;
        uint8_t byte;
        uint64_t size = 1;
        void *fs;

        CHECK_EQ(bs->handle_protocol(image->device, &g, &fs), SUCCESS);
        CHECK_EQ(((struct file_system *)fs)->open_volume(fs, &root), SUCCESS);
        CHECK_EQ(root->open(root, &file, u"child.efi", 1, 0), SUCCESS);
        CHECK_EQ(bs->uninstall_protocol(image->device, &g, fs), SUCCESS);
        CHECK_EQ(bs->handle_protocol(image->device, &g, &fs), UNSUPPORTED);
        CHECK_EQ(file->read(file, &size, &byte), SUCCESS);
        CHECK_EQ(size, 1);
        CHECK_EQ(file->close(file), SUCCESS);
        CHECK_EQ(file->close(file), INVALID_PARAMETER);
        CHECK_EQ(root->close(root), SUCCESS);
}

/* Taken away by the notification of its own installation. */
static handle notified;

static void uninstall_on_install(event e, void *context)
{
        (void)e, (void)context;
        bs->uninstall_protocol(notified, &one, NULL);
}

static void uninstall_in_notify(void)
{
        void *key, *found;
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_NOTIFY, uninstall_on_install, NULL, &e),
                        SUCCESS);
        CHECK_EQ(bs->register_protocol_notify(&one, e, &key), SUCCESS);
        CHECK_EQ(bs->install_protocol(&notified, &two, 0, NULL), SUCCESS);
        CHECK_EQ(bs->install_protocol(&notified, &one, 0, NULL), SUCCESS);
        CHECK_EQ(bs->handle_protocol(notified, &one, &found), UNSUPPORTED);
        CHECK_EQ(bs->locate_protocol(&one, key, &found), NOT_FOUND);
}

static int calls;

/* Without an end: each installation is told of, and each telling installs. */
static void install_on_install(event e, void *context)
{
        handle h = NULL;

        (void)context;
        if (++calls < 10000) {
                bs->install_protocol(&h, &one, 0, NULL);
                bs->signal_event(e);
        }
}

static void endless_notify(void)
{
        handle h = NULL;
        void *key;
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, install_on_install, NULL, &e),
                        SUCCESS);
        CHECK_EQ(bs->register_protocol_notify(&one, e, &key), SUCCESS);
        CHECK_EQ(bs->install_protocol(&h, &one, 0, NULL), SUCCESS);
        CHECK(calls > 0 && calls <= 10000);
}

/* A NOTIFY_WAIT function that waits for itself. */
static void check_itself(event e, void *context)
{
        (void)context;
        calls++;
        bs->check_event(e);
}

static void recursive_wait(void)
{
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_WAIT, TPL_CALLBACK, check_itself, NULL, &e), SUCCESS);
        bs->check_event(e); /* each look asks for another one: it never returns, as in edk2 */
        CHECK(!"still here");
}

static void close_itself(event e, void *context)
{
        (void)context;
        calls++;
        CHECK_EQ(bs->close_event(e), SUCCESS);
        CHECK_EQ(bs->close_event(e), INVALID_PARAMETER);
        CHECK_EQ(bs->signal_event(e), INVALID_PARAMETER);
}

static void close_in_notify(void)
{
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_NOTIFY, close_itself, NULL, &e), SUCCESS);
        CHECK_EQ(bs->signal_event(e), SUCCESS);
        CHECK_EQ(calls, 1);
        CHECK_EQ(bs->signal_event(e), INVALID_PARAMETER);
        CHECK_EQ(bs->create_event(EVT_NOTIFY_WAIT, TPL_NOTIFY, close_itself, NULL, &e), SUCCESS);
        CHECK_EQ(bs->check_event(e), INVALID_PARAMETER); /* it is gone by now */
        CHECK_EQ(calls, 2);
}

static void raise_and_stay(event e, void *context)
{
        (void)e, (void)context;
        calls++;
        bs->raise_tpl(31);
}

static void unbalanced_tpl(void)
{
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, raise_and_stay, NULL, &e),
                        SUCCESS);
        CHECK_EQ(bs->signal_event(e), SUCCESS);
        CHECK_EQ(calls, 1);
        CHECK_EQ(bs->raise_tpl(TPL_CALLBACK), TPL_APPLICATION);
        bs->restore_tpl(31); /* upwards */
        bs->restore_tpl(~0ull);
        bs->restore_tpl(TPL_APPLICATION);
        bs->raise_tpl(~0ull);
        bs->restore_tpl(TPL_APPLICATION);
}

static void wild_notify(void)
{
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, (void *)0x10, NULL, &e),
                        SUCCESS);
        bs->signal_event(e);
        CHECK(!"still here");
}

/* Where Exit leads out of: the frame of a service that is still being served. */
static void exit_in_notify(event e, void *context)
{
        (void)e, (void)context;
        bs->exit(self, NOT_FOUND, 0, NULL);
}

static void exit_out_of_notify(void)
{
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, exit_in_notify, NULL, &e),
                        SUCCESS);
        bs->signal_event(e);
        CHECK(!"still here");
}

static void too_many(void)
{
        static const struct guid g[3] = {GUID_TEST(1), GUID_TEST(2), GUID_TEST(3)};
        uint64_t handles = 0, events = 0, tables = 0;
        struct guid many = GUID_TEST(100);
        handle h;
        event e;

        while (events < 100000 && bs->create_event(0, 0, NULL, NULL, &e) == SUCCESS)
                events++;
        CHECK(events < 100000);
        do
                h = NULL;
        while (handles++ < 100000 && bs->install_protocol(&h, &g[handles % 3], 0, NULL) == SUCCESS);
        CHECK(handles < 100000);
        while (tables++ < 100000) {
                many.a++;
                if (bs->install_configuration_table(&many, &many) != SUCCESS)
                        break;
        }
        CHECK(tables < 100000);
}

/* ---- device paths ---- */

static void wild_device_paths(void)
{
        uint8_t *page = last_page(), *end = page + 4096;
        handle h;
        void *path;

        for (int length = 0; length < 4; length++) {
                uint8_t short_node[] = {4, 3, (uint8_t)length, 0, 0x7f, 0xff, 4, 0};

                path = short_node;
                CHECK_EQ(bs->locate_device_path(&one, &path, &h), INVALID_PARAMETER);
        }
        for (int room = 1; room < 4; room++) { /* the end is missing */
                bs->copy_mem(end - room, (uint8_t[]){4, 3, 20}, (uint64_t)room);
                path = end - room;
                CHECK_EQ(bs->locate_device_path(&one, &path, &h), INVALID_PARAMETER);
        }
        bs->set_mem(page, 4096, 4); /* nodes of 0x404 bytes, without an end */
        path = page;
        CHECK_EQ(bs->locate_device_path(&one, &path, &h), INVALID_PARAMETER);
        path = (void *)0x10;
        CHECK_EQ(bs->locate_device_path(&one, &path, &h), INVALID_PARAMETER);
        CHECK_EQ(bs->load_image(false, self, page, NULL, 0, &h), INVALID_PARAMETER);
}

/* A device path that is overwritten once it is installed. */
static void changed_device_path(void)
{
        static uint8_t path[] = {4, 3, 20, 0, 0x1e, 0xab, 0x57, 0x7e, 1, 0, 1, 0, 0x80, 0, 0, 0, 0,
                        0, 0, 9, 0x7f, 0xff, 4, 0};
        static uint8_t copy[sizeof(path)];
        handle h = NULL, found;
        void *at = copy;

        bs->copy_mem(copy, path, sizeof(path));
        CHECK_EQ(bs->install_multiple(&h, &device_path, path, &one, NULL, NULL), SUCCESS);
        CHECK_EQ(bs->locate_device_path(&one, &at, &found), SUCCESS);
        bs->set_mem(path, sizeof(path), 0xff);
        at = copy;
        CHECK_EQ(bs->locate_device_path(&one, &at, &found), NOT_FOUND);
        path[2] = path[3] = 0;
        CHECK_EQ(bs->locate_device_path(&one, &at, &found), NOT_FOUND);
}

/* ---- a LoadFile2 that the firmware calls ---- */

static uint8_t media_path[] = {4, 3, 20, 0, 0x1e, 0xab, 0x57, 0x7e, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0,
                0, 8, 0x7f, 0xff, 4, 0};

static status load_within(
                struct load_file2 *this, void *path, bool boot_policy, uint64_t *size, void *buffer)
{
        handle h = NULL;
        status s;

        (void)this, (void)path, (void)boot_policy;
        if (buffer)
                return ABORTED;
        calls++;
        s = bs->load_image(false, self, media_path, NULL, 0, &h);
        *size = 1 << 20;
        return s == SUCCESS ? s : BUFFER_TOO_SMALL;
}

static void recursive_load_file(void)
{
        static struct load_file2 protocol = {0};
        handle media = NULL, h = NULL;

        protocol.load_file = load_within;
        CHECK_EQ(bs->install_multiple(
                                 &media, &device_path, media_path, &load_file2, &protocol, NULL),
                        SUCCESS);
        CHECK(bs->load_image(false, self, media_path, NULL, 0, &h) != SUCCESS);
        CHECK(calls > 1 && calls < 100000);
        CHECK_EQ(h, NULL);
}

/* Says one size, then another; gives its own protocol away in between. */
static uint64_t sizes[2];
static handle lying_media;
static struct load_file2 lying;

static status lie_about_size(
                struct load_file2 *this, void *path, bool boot_policy, uint64_t *size, void *buffer)
{
        (void)path, (void)boot_policy;
        *size = sizes[buffer != NULL];
        if (!buffer)
                return BUFFER_TOO_SMALL;
        bs->uninstall_protocol(lying_media, &load_file2, this);
        return SUCCESS;
}

static void lying_load_file(void)
{
        static const struct {
                uint64_t asked, given;
                status answer;
        } rows[] = {{0, 0, OUT_OF_RESOURCES}, {~0ull, 1, OUT_OF_RESOURCES},
                        {1ull << 40, 1, OUT_OF_RESOURCES}, {100, 0, LOAD_ERROR},
                        {100, 4097, LOAD_ERROR}, {100, ~0ull, LOAD_ERROR},
                        {4096, 4096, LOAD_ERROR}};
        handle h = NULL;

        lying.load_file = lie_about_size;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                lying_media = NULL;
                CHECK_EQ(bs->install_multiple(&lying_media, &device_path, media_path, &load_file2,
                                         &lying, NULL),
                                SUCCESS);
                sizes[0] = rows[i].asked, sizes[1] = rows[i].given;
                CHECK_EQ(bs->load_image(false, self, media_path, NULL, 0, &h), rows[i].answer);
                bs->uninstall_protocol(lying_media, &load_file2, &lying);
                CHECK_EQ(bs->uninstall_protocol(lying_media, &device_path, media_path), SUCCESS);
        }
}

/* The bytes that it gave are changed while the next part is read: what is measured must be what
 * would run. Two files in one: the first has the child's digest, the second is loaded. */
static uint8_t *child;
static uint64_t child_size;

static status change_while_loading(
                struct load_file2 *this, void *path, bool boot_policy, uint64_t *size, void *buffer)
{
        (void)this, (void)path, (void)boot_policy;
        if (!buffer) {
                *size = child_size;
                return BUFFER_TOO_SMALL;
        }
        bs->copy_mem(buffer, child, child_size);
        *size = child_size;
        bs->set_mem(child, child_size, 0xcc); /* too late: the firmware has its copy */
        return SUCCESS;
}

static void change_while_loaded(void)
{
        static struct load_file2 protocol = {0};
        handle media = NULL, h = NULL;

        child = read_file(u"\\child.efi", &child_size);
        protocol.load_file = change_while_loading;
        CHECK_EQ(bs->install_multiple(
                                 &media, &device_path, media_path, &load_file2, &protocol, NULL),
                        SUCCESS);
        CHECK_EQ(bs->load_image(false, self, media_path, NULL, 0, &h), SUCCESS);
        loaded_image_of(h)->load_options = (char16 *)u"return";
        CHECK_EQ(bs->start_image(h, NULL, NULL), SUCCESS);
}

const struct lie protocol_lies[] = {
                {"wild-handles", wild_handles},
                {"uninstall-in-use", uninstall_in_use},
                {"uninstall-in-notify", uninstall_in_notify},
                {"endless-notify", endless_notify},
                {"recursive-wait", recursive_wait},
                {"close-in-notify", close_in_notify},
                {"unbalanced-tpl", unbalanced_tpl},
                {"wild-notify", wild_notify},
                {"exit-out-of-notify", exit_out_of_notify},
                {"too-many-things", too_many},
                {"wild-device-paths", wild_device_paths},
                {"changed-device-path", changed_device_path},
                {"recursive-load-file", recursive_load_file},
                {"lying-load-file", lying_load_file},
                {"change-while-loaded", change_while_loaded},
                {0},
};
