/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A payload that puts a function of its own where LoadImage asks for permission, as systemd-stub up
 * to 257 does under Secure Boot (PI 1.8, Volume 2, 12.9). \images\signed.efi is trusted,
 * \images\unsigned.efi isn't (tests/integration/test_secure_boot.py). */
#include "guest.h"

struct system_table *st;
struct boot_services *bs;
handle self;

status efi_main(handle image, struct system_table *table);

#define SECURITY_VIOLATION ERR(26)

struct security2 {
        status (*authenticate)(struct security2 *this, void *path, void *buffer, uint64_t size,
                        bool boot_policy);
};

static const struct guid guid_security2 = {
                0x94ab2f58, 0x1438, 0x4ef1, {0x91, 0x52, 0x18, 0x94, 0x1a, 0x3a, 0x0e, 0x68}};
static const struct guid guid_security = {
                0xa46423e3, 0x4617, 0x49f1, {0xb9, 0xff, 0xd1, 0xbf, 0xa9, 0x11, 0x58, 0x39}};

static struct security2 *security2;
static status (*original)(struct security2 *, void *, void *, uint64_t, bool);
static uint64_t n_calls;
static status nested;
static void *seen_buffer, *good, *bad;
static uint64_t good_size, bad_size, seen_size;

static status load(void *file, uint64_t size)
{
        handle h = NULL;
        status s = bs->load_image(false, self, NULL, file, size, &h);

        if (h)
                bs->unload_image(h);
        return s;
}

static status say_yes(struct security2 *this, void *path, void *buffer, uint64_t size, bool policy)
{
        (void)path, (void)policy;
        n_calls += this == security2;
        seen_buffer = buffer;
        seen_size = size;
        return SUCCESS;
}

static status say_no(struct security2 *this, void *path, void *buffer, uint64_t size, bool policy)
{
        (void)this, (void)path, (void)buffer, (void)size, (void)policy;
        return SECURITY_VIOLATION;
}

static status ask(struct security2 *this, void *path, void *buffer, uint64_t size, bool policy)
{
        return original(this, path, buffer, size, policy);
}

/* What it names instead isn't what is judged. */
static status ask_for_another(
                struct security2 *this, void *path, void *buffer, uint64_t size, bool policy)
{
        (void)buffer, (void)size;
        return original(this, path, good, good_size, policy);
}

static status ask_and_ignore(
                struct security2 *this, void *path, void *buffer, uint64_t size, bool policy)
{
        original(this, path, buffer, size, policy);
        return SUCCESS;
}

static status load_another(
                struct security2 *this, void *path, void *buffer, uint64_t size, bool policy)
{
        (void)this, (void)path, (void)buffer, (void)size, (void)policy;
        nested = load(bad, bad_size);
        return SUCCESS;
}

static void protocols(void)
{
        void *security = NULL;

        CHECK_EQ(bs->locate_protocol(&guid_security, NULL, &security), SUCCESS);
        CHECK_EQ(bs->locate_protocol(&guid_security2, NULL, (void **)&security2), SUCCESS);
        original = security2->authenticate;
        CHECK(original && security);
        CHECK_EQ(original(security2, NULL, bad, bad_size, false), UNSUPPORTED);
        CHECK_EQ(load(good, good_size), SUCCESS);
        CHECK_EQ(load(bad, bad_size), ACCESS_DENIED);
}

static void overridden(void)
{
        security2->authenticate = say_yes;
        CHECK_EQ(load(bad, bad_size), SUCCESS);
        CHECK_EQ(n_calls, 1);
        CHECK_EQ(seen_buffer, bad);
        CHECK_EQ(seen_size, bad_size);
        security2->authenticate = ask_and_ignore;
        CHECK_EQ(load(bad, bad_size), SUCCESS);
        security2->authenticate = original;
        CHECK_EQ(load(bad, bad_size), ACCESS_DENIED);
}

static void denied(void)
{
        security2->authenticate = say_no;
        CHECK_EQ(load(good, good_size), SECURITY_VIOLATION);
        security2->authenticate = original;
        CHECK_EQ(load(good, good_size), SUCCESS);
}

static void asked(void)
{
        security2->authenticate = ask;
        CHECK_EQ(load(good, good_size), SUCCESS);
        CHECK_EQ(load(bad, bad_size), ACCESS_DENIED);
        security2->authenticate = ask_for_another;
        CHECK_EQ(load(bad, bad_size), ACCESS_DENIED);
        security2->authenticate = original;
}

/* A question within a question is firmware's own. */
static void within(void)
{
        security2->authenticate = load_another;
        CHECK_EQ(load(good, good_size), SUCCESS);
        CHECK_EQ(nested, ACCESS_DENIED);
        security2->authenticate = original;
}

status efi_main(handle image, struct system_table *table)
{
        st = table;
        bs = table->bs;
        self = image;
        good = read_file(u"\\images\\signed.efi", &good_size);
        bad = read_file(u"\\images\\unsigned.efi", &bad_size);
        tap_test("protocols", protocols);
        tap_test("a payload that says yes", overridden);
        tap_test("a payload that says no", denied);
        tap_test("a payload that asks firmware after all", asked);
        tap_test("a payload that loads another image meanwhile", within);
        return tap_failures() ? ABORTED : SUCCESS;
}
