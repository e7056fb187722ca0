/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walking, comparing and building device paths, honest ones and forged. Text is
 * test-device-path-text.c's. */
#include "base/device-path.h"

#include "base/cleanup.h"
#include "tests/unit/tap.h"

#define END  0x7f, 0xff, 4, 0
#define PCI  1, 1, 6, 0, 0, 3
#define DISK 4, 1, 8, 0, 1, 2, 3, 4

#define BYTES(...) SPAN(((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_walk(void)
{
        struct cursor c = CURSOR(BYTES(PCI, DISK, END, 9, 9));
        struct device_path_node node;

        REQUIRE(device_path_next(&c, &node));
        CHECK_EQ(node.type, DEVICE_PATH_HARDWARE);
        CHECK_EQ(node.bytes.size, 6);
        CHECK_EQ(node.data.size, 2);
        CHECK_EQ(node.data.data[1], 3);
        CHECK(!device_path_is_end(&node));
        REQUIRE(device_path_next(&c, &node));
        CHECK_EQ(node.subtype, DEVICE_PATH_MEDIA_HARD_DRIVE);
        REQUIRE(device_path_next(&c, &node));
        CHECK(device_path_is_end(&node));
        CHECK(!device_path_next(&c, &node));
        CHECK_EQ(c.offset, 18);
}

static void test_size(void)
{
        CHECK_EQ(device_path_size(BYTES(PCI, DISK, END)), 18);
        CHECK_EQ(device_path_size(BYTES(PCI, DISK, END, 1, 2, 3)), 18);
        CHECK_EQ(device_path_size(BYTES(END)), 4);
        CHECK_EQ(device_path_size(BYTES(PCI, 0x7f, 0x01, 4, 0, DISK, END)), 22); /* two instances */
        CHECK_EQ(device_path_size(SPAN(NULL, 0)), 0);
        CHECK_EQ(device_path_size(BYTES(PCI, DISK)), 0);             /* no end */
        CHECK_EQ(device_path_size(BYTES(0x7f, 0xff, 4)), 0);         /* a byte short */
        CHECK_EQ(device_path_size(BYTES(1, 1, 0, 0, END)), 0);       /* would never advance */
        CHECK_EQ(device_path_size(BYTES(1, 1, 3, 0, END)), 0);       /* shorter than its header */
        CHECK_EQ(device_path_size(BYTES(1, 1, 0xff, 0xff, END)), 0); /* past the end */
        CHECK_EQ(device_path_size(BYTES(PCI, 0x7f, 0xff, 0, 0)), 0);
}

static void test_nodes(void)
{
        struct span path = BYTES(PCI, DISK, END), nodes = {0};

        CHECK(device_path_nodes(path, &nodes));
        CHECK_EQ(nodes.size, 14);
        CHECK(nodes.data == path.data);
        CHECK(device_path_nodes(BYTES(END), &nodes));
        CHECK_EQ(nodes.size, 0);
        CHECK(!device_path_nodes(BYTES(PCI), &nodes));
}

static void test_prefix(void)
{
        struct span path = BYTES(PCI, DISK, END), rest = {0};

        CHECK(device_path_has_prefix(path, BYTES(PCI, END), &rest));
        CHECK_EQ(rest.size, 12);
        CHECK(rest.data == path.data + 6);
        CHECK(device_path_has_prefix(path, path, &rest));
        CHECK_EQ(rest.size, 4);
        CHECK(device_path_has_prefix(path, BYTES(END), &rest));
        CHECK_EQ(rest.size, path.size);
        CHECK(device_path_has_prefix(path, BYTES(PCI, END), NULL));
        CHECK(!device_path_has_prefix(BYTES(PCI, END), path, &rest));
        CHECK(!device_path_has_prefix(path, BYTES(1, 1, 6, 0, 0, 4, END), &rest));
        CHECK(!device_path_has_prefix(path, BYTES(DISK, END), &rest));
        /* The bytes agree, the nodes don't: never in the middle of one. */
        CHECK(!device_path_has_prefix(BYTES(1, 1, 10, 0, 0, 3, END, END), BYTES(PCI, END), &rest));
        CHECK(!device_path_has_prefix(path, BYTES(PCI), &rest));
        CHECK(!device_path_has_prefix(BYTES(PCI), BYTES(PCI, DISK, END), &rest));
        CHECK(!device_path_has_prefix(path, BYTES(1, 1, 0, 0), &rest));
}

static void test_build(void)
{
        static const uint8_t wanted[] = {PCI, 4, 4, 12, 0, '\\', 0, 'A', 0, 0xe4, 0, 0, 0, END};
        static uint8_t big[65536];
        _cleanup_buf_ struct buf b = {0}, too_long = {0}, bad = {0};
        char name[40000];

        device_path_put_node(&b, 1, 1, BYTES(0, 3));
        CHECK(device_path_put_file(&b, "\\A\303\244"));
        device_path_put_end(&b);
        CHECK(span_equal(buf_span(&b), SPAN(wanted, sizeof(wanted))));
        CHECK_EQ(device_path_size(buf_span(&b)), b.size);
        device_path_put_node(&too_long, 1, 1, SPAN(big, 65532));
        CHECK(buf_failed(&too_long));
        CHECK(!device_path_put_file(&bad, "\xff"));
        memset(name, 'x', sizeof(name));
        name[sizeof(name) - 1] = '\0';
        CHECK(!device_path_put_file(&bad, name));
        CHECK_EQ(bad.size, 0);
}

static const struct tap_test tests[] = {
                {"walk", test_walk},
                {"size", test_size},
                {"nodes without end", test_nodes},
                {"prefix", test_prefix},
                {"build", test_build},
};
TAP_MAIN(tests)
