/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conformance of the protocol handler services (UEFI 2.10, 7.3). */
#include "guest.h"

static const struct guid one = GUID_TEST(1), two = GUID_TEST(2), three = GUID_TEST(3),
                         device_path = GUID_DEVICE_PATH, loaded_image = GUID_LOADED_IMAGE;

static void install(void)
{
        handle h = NULL, other = NULL;
        void *found;
        int a, b;

        CHECK_EQ(bs->install_protocol(NULL, &one, 0, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->install_protocol(&h, NULL, 0, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->install_protocol(&h, &one, 1, &a), INVALID_PARAMETER);
        CHECK_EQ(bs->install_protocol(&h, &one, 0, &a), SUCCESS);
        CHECK(h);
        CHECK_EQ(bs->install_protocol(&h, &one, 0, &b), INVALID_PARAMETER);
        CHECK_EQ(bs->install_protocol(&h, &two, 0, NULL), SUCCESS);
        CHECK_EQ(bs->install_protocol(&other, &one, 0, &b), SUCCESS);
        CHECK(other != h);
        CHECK_EQ(bs->handle_protocol(h, &one, &found), SUCCESS);
        CHECK_EQ(found, &a);
        CHECK_EQ(bs->handle_protocol(h, &two, &found), SUCCESS);
        CHECK_EQ(found, NULL);
        CHECK_EQ(bs->handle_protocol(h, &three, &found), UNSUPPORTED);
        CHECK_EQ(bs->handle_protocol(NULL, &one, &found), INVALID_PARAMETER);
        CHECK_EQ(bs->handle_protocol(&a, &one, &found), INVALID_PARAMETER);
        CHECK_EQ(bs->handle_protocol(h, &one, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->locate_protocol(&one, NULL, &found), SUCCESS);
        CHECK(found == &a || found == &b);
        CHECK_EQ(bs->reinstall_protocol(h, &one, &b, &a), NOT_FOUND);
        CHECK_EQ(bs->reinstall_protocol(h, &one, &a, &b), SUCCESS);
        CHECK_EQ(bs->handle_protocol(h, &one, &found), SUCCESS);
        CHECK_EQ(found, &b);
        CHECK_EQ(bs->uninstall_protocol(h, &one, &a), NOT_FOUND);
        CHECK_EQ(bs->uninstall_protocol(h, &one, &b), SUCCESS);
        CHECK_EQ(bs->uninstall_protocol(h, &one, &b), NOT_FOUND);
        CHECK_EQ(bs->uninstall_protocol(h, &two, NULL), SUCCESS);
        CHECK_EQ(bs->handle_protocol(h, &two, &found), INVALID_PARAMETER); /* gone with its last */
        CHECK_EQ(bs->install_protocol(&h, &two, 0, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->uninstall_protocol(other, &one, &b), SUCCESS);
        CHECK_EQ(bs->locate_protocol(&one, NULL, &found), NOT_FOUND);
        CHECK_EQ(found, NULL);
        CHECK_EQ(bs->connect_controller(self, NULL, NULL, true), NOT_FOUND);
        CHECK_EQ(bs->connect_controller(self, NULL, (uint8_t[]){0x7f, 0xff, 4, 0}, true), SUCCESS);
        CHECK_EQ(bs->connect_controller(self, NULL, (void *)0x10, true), INVALID_PARAMETER);
        CHECK_EQ(bs->connect_controller(h, NULL, NULL, true), INVALID_PARAMETER);
        CHECK_EQ(bs->disconnect_controller(self, NULL, NULL), SUCCESS);
        CHECK_EQ(bs->disconnect_controller(NULL, NULL, NULL), INVALID_PARAMETER);
}

static uint8_t path_a[] = {4, 3, 24, 0, 0x1e, 0xab, 0x57, 0x7e, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0,
                1, 1, 2, 3, 4, 0x7f, 0xff, 4, 0};
/* path_a and one node more */
static uint8_t path_ab[] = {4, 3, 24, 0, 0x1e, 0xab, 0x57, 0x7e, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0,
                1, 1, 2, 3, 4, 1, 1, 6, 0, 0, 7, 0x7f, 0xff, 4, 0};
static uint8_t path_other[] = {4, 3, 24, 0, 0x1e, 0xab, 0x57, 0x7e, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0,
                0, 1, 1, 2, 3, 5, 0x7f, 0xff, 4, 0};

/* Seven pairs: arguments from registers and from the stack. */
static void install_multiple(void)
{
        static const struct guid g[6] = {GUID_TEST(1), GUID_TEST(2), GUID_TEST(3), GUID_TEST(4),
                        GUID_TEST(5), GUID_TEST(6)};
        handle h = NULL, other = NULL;
        struct guid **guids;
        uint64_t n;
        void *found;
        int x[6];

        CHECK_EQ(bs->install_multiple(&h, &device_path, path_a, &g[0], &x[0], &g[1], &x[1], &g[2],
                                 &x[2], &g[3], &x[3], &g[4], &x[4], &g[5], &x[5], NULL),
                        SUCCESS);
        for (int i = 0; i < 6; i++) {
                CHECK_EQ(bs->handle_protocol(h, &g[i], &found), SUCCESS);
                CHECK_EQ(found, &x[i]);
        }
        CHECK_EQ(bs->protocols_per_handle(h, &guids, &n), SUCCESS);
        CHECK_EQ(n, 7);
        CHECK(same_guid(guids[0], &device_path) && same_guid(guids[6], &g[5]));
        CHECK_EQ(bs->free_pool(guids), SUCCESS);
        CHECK_EQ(bs->install_multiple(&other, &g[0], &x[0], &device_path, path_a, NULL),
                        ALREADY_STARTED);
        CHECK_EQ(other, NULL);
        /* All or nothing: the third is there already. */
        CHECK_EQ(bs->install_multiple(&h, &loaded_image, &x[0], &g[3], &x[3], NULL),
                        INVALID_PARAMETER);
        CHECK_EQ(bs->handle_protocol(h, &loaded_image, &found), UNSUPPORTED);
        CHECK_EQ(bs->install_multiple(&other, &g[0], &x[0], &g[1], &x[1], &g[0], &x[0], NULL),
                        INVALID_PARAMETER);
        CHECK_EQ(other, NULL);
        CHECK_EQ(bs->uninstall_multiple(h, &g[0], &x[0], &g[1], &x[2], NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->handle_protocol(h, &g[0], &found), SUCCESS);
        CHECK_EQ(bs->uninstall_multiple(h, &g[0], &x[0], &g[0], &x[0], NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->uninstall_multiple(h, &device_path, path_a, &g[0], &x[0], &g[1], &x[1], &g[2],
                                 &x[2], &g[3], &x[3], &g[4], &x[4], &g[5], &x[5], NULL),
                        SUCCESS);
        CHECK_EQ(bs->handle_protocol(h, &g[0], &found), INVALID_PARAMETER);
        CHECK_EQ(bs->uninstall_multiple(h, &g[0], &x[0], NULL), INVALID_PARAMETER);
}

static void locate(void)
{
        handle h[3] = {NULL}, few[3], *buffer;
        uint64_t size = 0, n = 0;
        int x;

        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, &one, NULL, &size, NULL), NOT_FOUND);
        CHECK_EQ(bs->locate_handle_buffer(BY_PROTOCOL, &one, NULL, &n, &buffer), NOT_FOUND);
        CHECK_EQ(n, 0);
        CHECK_EQ(buffer, NULL);
        for (int i = 0; i < 3; i++)
                CHECK_EQ(bs->install_protocol(&h[i], &one, 0, &x), SUCCESS);
        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, &one, NULL, &size, NULL), BUFFER_TOO_SMALL);
        CHECK_EQ(size, 24);
        size = 23;
        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, &one, NULL, &size, few), BUFFER_TOO_SMALL);
        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, &one, NULL, &size, few), SUCCESS);
        CHECK(same_bytes(few, h, sizeof(h)));
        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, &one, NULL, &size, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, NULL, NULL, &size, few), INVALID_PARAMETER);
        CHECK_EQ(bs->locate_handle(BY_PROTOCOL, &one, NULL, NULL, few), INVALID_PARAMETER);
        CHECK_EQ(bs->locate_handle(BY_REGISTER_NOTIFY, NULL, NULL, &size, few), INVALID_PARAMETER);
        CHECK_EQ(bs->locate_handle(3, &one, NULL, &size, few), INVALID_PARAMETER);
        CHECK_EQ(bs->locate_handle_buffer(BY_PROTOCOL, &one, NULL, &n, &buffer), SUCCESS);
        CHECK_EQ(n, 3);
        CHECK(same_bytes(buffer, h, sizeof(h)));
        CHECK_EQ(bs->free_pool(buffer), SUCCESS);
        CHECK_EQ(bs->locate_handle_buffer(ALL_HANDLES, NULL, NULL, &n, &buffer), SUCCESS);
        CHECK(n > 3);
        CHECK_EQ(bs->free_pool(buffer), SUCCESS);
        for (int i = 0; i < 3; i++)
                CHECK_EQ(bs->uninstall_protocol(h[i], &one, &x), SUCCESS);
}

static void locate_device_path(void)
{
        handle a = NULL, ab = NULL, found = NULL;
        void *path;
        int x;

        CHECK_EQ(bs->install_multiple(&a, &device_path, path_a, &one, &x, NULL), SUCCESS);
        path = path_ab;
        CHECK_EQ(bs->locate_device_path(&one, &path, &found), SUCCESS);
        CHECK_EQ(found, a);
        CHECK_EQ(path, path_ab + 24);
        CHECK_EQ(bs->install_multiple(&ab, &device_path, path_ab, &one, &x, NULL), SUCCESS);
        path = path_ab;
        CHECK_EQ(bs->locate_device_path(&one, &path, &found), SUCCESS);
        CHECK_EQ(found, ab); /* the longer one */
        CHECK_EQ(path, path_ab + 30);
        path = path_a;
        CHECK_EQ(bs->locate_device_path(&one, &path, &found), SUCCESS);
        CHECK_EQ(found, a);
        CHECK_EQ(path, path_a + 24);
        path = path_a;
        CHECK_EQ(bs->locate_device_path(&two, &path, &found), NOT_FOUND);
        CHECK_EQ(path, path_a);
        path = path_other; /* differs inside the node */
        CHECK_EQ(bs->locate_device_path(&one, &path, &found), NOT_FOUND);
        CHECK_EQ(bs->locate_device_path(&one, NULL, &found), INVALID_PARAMETER);
        path = NULL;
        CHECK_EQ(bs->locate_device_path(&one, &path, &found), INVALID_PARAMETER);
        path_other[2] = 3; /* a node shorter than its header */
        path = path_other;
        CHECK_EQ(bs->locate_device_path(&one, &path, &found), INVALID_PARAMETER);
        path_other[2] = 24;
        CHECK_EQ(bs->uninstall_multiple(a, &device_path, path_a, &one, &x, NULL), SUCCESS);
        CHECK_EQ(bs->uninstall_multiple(ab, &device_path, path_ab, &one, &x, NULL), SUCCESS);
}

struct open_entry {
        handle agent, controller;
        uint32_t attributes, count;
};

static void open_and_close(void)
{
        handle h = NULL, child = NULL;
        struct open_entry *entries;
        uint64_t n;
        void *found;
        int x;

        CHECK_EQ(bs->install_protocol(&h, &one, 0, &x), SUCCESS);
        CHECK_EQ(bs->install_protocol(&child, &two, 0, &x), SUCCESS);
        CHECK_EQ(bs->open_protocol(h, &one, NULL, self, NULL, 4), SUCCESS); /* TEST_PROTOCOL */
        CHECK_EQ(bs->open_protocol(h, &two, NULL, self, NULL, 4), UNSUPPORTED);
        CHECK_EQ(bs->open_protocol(h, &one, NULL, self, NULL, 2), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 2), SUCCESS); /* GET_PROTOCOL */
        CHECK_EQ(found, &x);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 0), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 3), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, NULL, NULL, 0x20), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 0x10), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, h, 8), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, child, 0x10), SUCCESS); /* BY_DRIVER */
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, child, 0x10), ALREADY_STARTED);
        CHECK_EQ(bs->open_protocol(h, &one, &found, h, child, 0x10), ACCESS_DENIED);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 0x20), ACCESS_DENIED);
        CHECK_EQ(bs->uninstall_protocol(h, &one, &x), ACCESS_DENIED);
        CHECK_EQ(bs->uninstall_multiple(h, &one, &x, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, child, 8),
                        SUCCESS); /* BY_CHILD_CONTROLLER */
        CHECK_EQ(bs->open_protocol_information(h, &one, (void **)&entries, &n), SUCCESS);
        CHECK_EQ(n, 4);
        CHECK_EQ(entries[2].agent, self);
        CHECK_EQ(entries[2].controller, child);
        CHECK_EQ(entries[2].attributes, 0x10);
        CHECK_EQ(entries[2].count, 1);
        CHECK_EQ(bs->free_pool(entries), SUCCESS);
        CHECK_EQ(bs->open_protocol_information(h, &three, (void **)&entries, &n), NOT_FOUND);
        CHECK_EQ(bs->close_protocol(h, &one, self, child), SUCCESS); /* driver and child */
        CHECK_EQ(bs->close_protocol(h, &one, self, child), NOT_FOUND);
        CHECK_EQ(bs->close_protocol(h, &three, self, NULL), NOT_FOUND);
        CHECK_EQ(bs->close_protocol(h, &one, NULL, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 0x20), SUCCESS); /* EXCLUSIVE */
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, child, 0x10), ACCESS_DENIED);
        CHECK_EQ(bs->open_protocol(h, &one, &found, h, NULL, 0x20), ACCESS_DENIED);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 0x20), ACCESS_DENIED); /* again */
        CHECK_EQ(bs->close_protocol(h, &one, self, NULL), SUCCESS);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 1),
                        SUCCESS); /* BY_HANDLE_PROTOCOL */
        CHECK_EQ(bs->close_protocol(h, &one, self, NULL), SUCCESS);
        CHECK_EQ(bs->open_protocol(h, &one, &found, self, NULL, 2), SUCCESS);
        CHECK_EQ(bs->uninstall_protocol(h, &one, &x),
                        SUCCESS); /* who only looked doesn't hold it */
        CHECK_EQ(bs->uninstall_protocol(child, &two, &x), SUCCESS);
}

static void count(event e, void *context)
{
        (void)e;
        ++*(int *)context;
}

static void register_notify(void)
{
        handle h = NULL, other = NULL, found;
        void *key = NULL, *interface;
        uint64_t size = sizeof(found);
        int calls = 0, x, y;
        event e;

        CHECK_EQ(bs->create_event(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, count, &calls, &e), SUCCESS);
        CHECK_EQ(bs->register_protocol_notify(&one, NULL, &key), INVALID_PARAMETER);
        CHECK_EQ(bs->register_protocol_notify(&one, e, NULL), INVALID_PARAMETER);
        CHECK_EQ(bs->register_protocol_notify(&one, e, &key), SUCCESS);
        CHECK_EQ(bs->locate_handle(BY_REGISTER_NOTIFY, NULL, key, &size, &found), NOT_FOUND);
        bs->install_protocol(&h, &one, 0, &x);
        CHECK_EQ(calls, 1);
        bs->install_protocol(&other, &two, 0, &x);
        CHECK_EQ(calls, 1);
        bs->install_protocol(&other, &one, 0, &y);
        CHECK_EQ(calls, 2);
        CHECK_EQ(bs->locate_handle(BY_REGISTER_NOTIFY, NULL, key, &size, &found), SUCCESS);
        CHECK_EQ(found, h);
        CHECK_EQ(bs->locate_protocol(&one, key, &interface), SUCCESS);
        CHECK_EQ(interface, &y);
        CHECK_EQ(bs->locate_protocol(&one, key, &interface), NOT_FOUND);
        bs->reinstall_protocol(h, &one, &x, &y);
        CHECK_EQ(calls, 3);
        bs->uninstall_protocol(h, &one, &y);
        CHECK_EQ(bs->locate_protocol(&one, key, &interface), NOT_FOUND);
        CHECK_EQ(bs->close_event(e), SUCCESS);
        bs->install_protocol(&h, &three, 0, &x);
        h = NULL;
        CHECK_EQ(bs->install_protocol(&h, &one, 0, &x), SUCCESS);
        CHECK_EQ(calls, 3);
        CHECK_EQ(bs->locate_protocol(&one, key, &interface), NOT_FOUND);
        bs->uninstall_protocol(h, &one, &x);
        bs->uninstall_protocol(other, &one, &y);
        bs->uninstall_protocol(other, &two, &x);
}

void test_protocol_services(void)
{
        tap_test("install, reinstall, uninstall, handle", install);
        tap_test("Install- and UninstallMultipleProtocolInterfaces", install_multiple);
        tap_test("LocateHandle, LocateHandleBuffer", locate);
        tap_test("LocateDevicePath", locate_device_path);
        tap_test("OpenProtocol, CloseProtocol, OpenProtocolInformation", open_and_close);
        tap_test("RegisterProtocolNotify", register_notify);
}
