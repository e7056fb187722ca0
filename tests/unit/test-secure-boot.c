/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secure Boot at LoadImage: what is denied, what is measured before and by whom, and what an image
 * that was accepted may load. The verdicts themselves are test-image-policy's. */
#include "base/cleanup.h"
#include "eventlog/event.h"
#include "shim/firmware/handles.h"
#include "shim/firmware/image.h"
#include "base/device-path.h"
#include "shim/firmware/secure-boot.h"
#include "tcg2/authenticode.h"
#include "tcg2/image-policy.h"
#include "tcg2/protocol.h"
#include "tcg2/signature-list.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/tap.h"
#include "tests/unit/tiny-pe.h"

#define NOTHING SPAN(NULL, 0)

static const EFI_GUID owner = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};

static uint8_t secure_boot[] = {1}, platform_key[] = {7, 7, 7};
static char secure_boot_name[] = "SecureBoot", pk_name[] = "PK", boot_name[] = "BootOrder";
static const struct fw_variable variables[] = {
                {{0}, boot_name, 7, platform_key, 2},
                {{0x8be4df61, 0x93ca, 0x11d2, {0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}},
                                secure_boot_name, 6, secure_boot, sizeof(secure_boot)},
                {{0x8be4df61, 0x93ca, 0x11d2, {0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}},
                                pk_name, 0x27, platform_key, sizeof(platform_key)},
};

static struct tcg2 *tcg2;
static struct image_policy policy;
static struct buf db;

/* An image that is known by its hash, twice as long in the guest as its raw data are. */
static void make(uint8_t file[TINY_BYTES], uint8_t mark)
{
        tiny_pe(file);
        file[TINY_TEXT_AT] = mark;
}

static void trust(struct span file)
{
        struct digests digests;
        struct banks banks = {0};

        banks_add(&banks, alg_by_name("sha256"));
        CHECK_EQ(authenticode_digest(file, &banks, &digests, NULL), 0);
        signature_list_put(&db, &guid_cert_sha256, &owner, SPAN(digests.d[0].bytes, 32));
}

static bool set_up(bool enforced)
{
        struct firmware_setup setup = {.volume_fd = -1,
                        .variables = variables,
                        .n_variables = ARRAY_SIZE(variables)};
        struct tcg2_config config = {};

        banks_add(&config.banks, alg_by_name("sha256"));
        policy = (struct image_policy){.db = buf_span(&db)};
        if (tcg2_new(&config, &tcg2, NULL) < 0)
                return false;
        setup.tcg2 = tcg2;
        setup.image_policy = enforced ? &policy : NULL;
        return fixture_start(&setup);
}

static void tear_down(void)
{
        fixture_stop();
        tcg2_free(tcg2);
        buf_release(&db);
}

static EFI_STATUS load(const uint8_t *file, size_t size, uint64_t parent, uint64_t *handle)
{
        return image_load(&fixture, parent, NOTHING, SPAN(file, size), handle);
}

/* Event number i: its PCR, type, and the whole UEFI_VARIABLE_DATA as the specification has it. */
static bool is_variable(size_t i, uint32_t type, const EFI_GUID *vendor, const char *name,
                struct span value)
{
        const struct record *r = tcg2_record(tcg2);
        _cleanup_buf_ struct buf wanted = {0}, utf16 = {0};

        (void)utf8_to_utf16(name, &utf16);
        buf_put(&wanted, vendor, 16);
        buf_put_u64(&wanted, strlen(name));
        buf_put_u64(&wanted, value.size);
        buf_put_span(&wanted, buf_span(&utf16));
        buf_put_span(&wanted, value);
        return i < r->n && r->events[i].payload_pcr == 7 && r->events[i].type == type &&
               span_equal(r->events[i].data, buf_span(&wanted));
}

static void test_nothing_demanded(void)
{
        uint8_t file[TINY_BYTES];
        uint64_t handle = 0;

        REQUIRE(set_up(false));
        make(file, 1);
        CHECK_EQ(load(file, sizeof(file), 0, &handle), EFI_SUCCESS);
        REQUIRE(tcg2_record(tcg2)->n == 1);
        CHECK_EQ(tcg2_record(tcg2)->events[0].payload_pcr, 4);
        CHECK(!firmware_denied(&fixture, 0));
        tear_down();
}

static void test_measured(void)
{
        uint8_t one[TINY_BYTES], two[TINY_BYTES];
        uint64_t handle = 0;

        make(one, 1);
        make(two, 2);
        trust(SPAN(one, sizeof(one)));
        trust(SPAN(two, sizeof(two)));
        REQUIRE(set_up(true));
        REQUIRE(tcg2_record(tcg2)->n == 5);
        CHECK(is_variable(0, EV_EFI_VARIABLE_DRIVER_CONFIG, &guid_global_variable, "SecureBoot",
                        SPAN(secure_boot, 1)));
        CHECK(is_variable(1, EV_EFI_VARIABLE_DRIVER_CONFIG, &guid_global_variable, "PK",
                        SPAN(platform_key, 3)));
        CHECK(is_variable(2, EV_EFI_VARIABLE_DRIVER_CONFIG, &guid_global_variable, "KEK", NOTHING));
        CHECK(is_variable(3, EV_EFI_VARIABLE_DRIVER_CONFIG, &guid_image_security_database, "db",
                        buf_span(&db)));
        CHECK(is_variable(4, EV_EFI_VARIABLE_DRIVER_CONFIG, &guid_image_security_database, "dbx",
                        NOTHING));
        CHECK_EQ(load(one, sizeof(one), 0, &handle), EFI_SUCCESS);
        CHECK_EQ(load(one, sizeof(one), 0, &handle), EFI_SUCCESS);
        CHECK_EQ(load(two, sizeof(two), 0, &handle), EFI_SUCCESS);
        /* authority, image; image alone, since the authority was measured; authority, image */
        REQUIRE(tcg2_record(tcg2)->n == 10);
        CHECK(is_variable(5, EV_EFI_VARIABLE_AUTHORITY, &guid_image_security_database, "db",
                        SPAN(db.data + 28, 48)));
        CHECK_EQ(tcg2_record(tcg2)->events[6].payload_pcr, 4);
        CHECK_EQ(tcg2_record(tcg2)->events[7].payload_pcr, 4);
        CHECK(is_variable(8, EV_EFI_VARIABLE_AUTHORITY, &guid_image_security_database, "db",
                        SPAN(db.data + 76 + 28, 48)));
        CHECK_EQ(tcg2_record(tcg2)->events[9].payload_pcr, 4);
        tear_down();
}

static void test_denied(void)
{
        static const uint8_t path[] = {
                        4, 4, 16, 0, '\\', 0, 'x', 0, '.', 0, 'e', 0, 0, 0, 0, 0, 0x7f, 0xff, 4, 0};
        uint8_t good[TINY_BYTES], bad[TINY_BYTES];
        uint64_t handle = 0;

        make(good, 1);
        make(bad, 2);
        trust(SPAN(good, sizeof(good)));
        REQUIRE(set_up(true));
        CHECK_EQ(load(bad, sizeof(bad), 0, &handle), EFI_ACCESS_DENIED);
        CHECK_EQ(load(good, sizeof(good) - 1, 0, &handle), EFI_ACCESS_DENIED);
        CHECK_EQ(image_load(&fixture, 0, SPAN(path, sizeof(path)), SPAN(bad, sizeof(bad)), &handle),
                        EFI_ACCESS_DENIED);
        CHECK_EQ(handle, 0);
        CHECK_EQ(tcg2_record(tcg2)->n, 5); /* what isn't loaded isn't measured */
        REQUIRE(firmware_denied(&fixture, 2) && !firmware_denied(&fixture, 3));
        CHECK(strstr(firmware_denied(&fixture, 0), "an image from memory: not signed"));
        CHECK(strstr(firmware_denied(&fixture, 2), "x.e: not signed, and neither db nor"));
        for (int i = 0; i < 40; i++)
                CHECK_EQ(load(bad, sizeof(bad), 0, &handle), EFI_ACCESS_DENIED);
        CHECK(firmware_denied(&fixture, 15) && !firmware_denied(&fixture, 16));
        tear_down();
}

/* A whole section of an accepted image is accepted with it, as the kernel in a UKI is. */
static void test_parts(void)
{
        static uint8_t outer[TINY_BYTES + 0x2000];
        uint8_t inner[TINY_BYTES], other[TINY_BYTES];
        uint64_t parent = 0, child = 0, stranger = 0;

        make(inner, 3);
        make(other, 4);
        memset(outer, 0, sizeof(outer));
        tiny_pe(outer);
        tiny_put16(outer + TINY_PE + 6, 4);
        tiny_put32(outer + TINY_OPTIONAL + 56, 0x6000);
        tiny_section(outer, 3, ".linux", 0x5000, TINY_BYTES, TINY_BYTES, 0x1000);
        memcpy(outer + TINY_BYTES, inner, sizeof(inner));
        trust(SPAN(outer, TINY_BYTES + 0x1000));
        trust(SPAN(other, sizeof(other)));
        REQUIRE(set_up(true));
        CHECK_EQ(load(inner, sizeof(inner), 0, &child), EFI_ACCESS_DENIED);
        REQUIRE(load(outer, TINY_BYTES + 0x1000, 0, &parent) == EFI_SUCCESS);
        REQUIRE(load(other, sizeof(other), 0, &stranger) == EFI_SUCCESS);
        CHECK_EQ(load(inner, sizeof(inner), parent, &child), EFI_SUCCESS);
        CHECK_EQ(load(inner, sizeof(inner), stranger, &child), EFI_ACCESS_DENIED);
        inner[TINY_DATA_AT + 100] ^= 1;
        CHECK_EQ(load(inner, sizeof(inner), parent, &child), EFI_ACCESS_DENIED);
        CHECK_EQ(load(outer + TINY_BYTES, TINY_BYTES + 1, parent, &child), EFI_ACCESS_DENIED);
        tear_down();
}

static const struct tap_test tests[] = {
                {"without a policy everything is loaded and PCR 7 is left alone",
                                test_nothing_demanded},
                {"variables first, an authority once, before its image", test_measured},
                {"denied images are named and not measured", test_denied},
                {"sections of an accepted image", test_parts},
};
TAP_MAIN(tests)
