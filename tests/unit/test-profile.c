/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles of UKIs that are made here. What systemd's stub itself takes for profile N is tested in
 * tests/integration/test_matrix.py. */
#include <errno.h>

#include "base/cleanup.h"
#include "shim/profile.h"
#include "tests/unit/tap.h"
#include "tests/unit/tiny-uki.h"

static struct error error;

static int find(const struct buf *uki, const char *wanted)
{
        unsigned number = 1000;
        int r;

        error.text[0] = '\0';
        r = profile_find(buf_span(uki), wanted, &number, &error);
        /* outputs change only on success, and each failure has a reason */
        CHECK((r == 0) == (number != 1000) && (r == 0) == !error.text[0]);
        return r < 0 ? r : (int)number;
}

static void make(struct buf *uki)
{
        tiny_uki_add_text(uki, ".sdmagic", TINY_STUB("257.13-1~deb13u1"));
        tiny_uki_add_text(uki, ".profile", "ID=main\nTITLE=Main\n");
        tiny_uki_add_text(uki, ".cmdline", "ID=cmdline");
        tiny_uki_add_text(uki, ".profile", "TITLE=ID=no\n#ID=no\n \tID=\"rescue\" \t\r\nXID=no");
        tiny_uki_add_text(uki, ".profile", "ID='2'\n");
        tiny_uki_add_text(uki, ".profile", "NAME=none");
        tiny_uki_add(uki, ".profile", "ID=early\nID=last\nID", 18);
        tiny_uki_add(uki, ".profile", "ID=seen\0\nID=unseen", 18);
}

static void test_numbers(void)
{
        _cleanup_buf_ struct buf uki = {0};

        make(&uki);
        for (int i = 0; i < 6; i++)
                CHECK_EQ(find(&uki, (char[]){(char)('0' + i), '\0'}), i);
        CHECK_EQ(find(&uki, "00003"), 3);
        for (size_t i = 0; i < 6; i++)
                CHECK_EQ(find(&uki, (const char *[]){"6", "-1", "1x", " 1", "4294967296",
                                                    "18446744073709551616"}[i]),
                                -EINVAL);
}

static void test_ids(void)
{
        _cleanup_buf_ struct buf uki = {0};

        make(&uki);
        CHECK_EQ(find(&uki, "main"), 0);
        CHECK_EQ(find(&uki, "rescue"), 1);
        CHECK_EQ(find(&uki, "last"), 4); /* as the stub reads text: to VirtualSize, last one wins */
        CHECK_EQ(find(&uki, "seen"), 5); /* ... and to the first NUL */
        CHECK_EQ(find(&uki, "2"), 2);    /* digits are a number, here of the profile with that ID */
        for (size_t i = 0; i < 8; i++)
                CHECK_EQ(find(&uki, (const char *[]){"", "no", "mai", "mainx", "Main", "cmdline",
                                                    "early", "unseen"}[i]),
                                -EINVAL);
}

static void test_list(void)
{
        _cleanup_buf_ struct buf uki = {0}, many = {0};
        char text[600];

        make(&uki);
        CHECK_EQ(find(&uki, "nope"), -EINVAL);
        CHECK(strcmp(error.text, "there is no profile nope; it has: 0 (main), 1 (rescue), 2 (2), "
                                 "3, 4 (last), 5 (seen)") == 0);
        memset(text, 'x', sizeof(text));
        memcpy(text, "ID=", 3);
        tiny_uki_add_text(&many, ".sdmagic", TINY_STUB("v262"));
        for (int i = 0; i < 12; i++)
                tiny_uki_add(&many, ".profile", text, sizeof(text));
        CHECK_EQ(find(&many, "nope"), -EINVAL);
        CHECK(strlen(error.text) < 500);
        CHECK_EQ(find(&many, "11"), 11);
}

static void test_without_profiles(void)
{
        _cleanup_buf_ struct buf uki = {0};

        tiny_uki_add_text(&uki, ".sdmagic", TINY_STUB("262.1-1"));
        CHECK_EQ(find(&uki, "0"), 0);
        CHECK_EQ(find(&uki, "1"), -EINVAL);
        CHECK(strstr(error.text, "none"));
        CHECK_EQ(find(&uki, "main"), -EINVAL);
}

static void test_stubs(void)
{
        static const struct {
                const char *magic;
                int wanted;
                const char *reason;
        } rows[] = {
                        {TINY_STUB("257"), 1, ""},
                        {TINY_STUB("1000~devel"), 1, ""},
                        {TINY_STUB("256.99"), -EOPNOTSUPP, "systemd 256"},
                        {TINY_STUB("252.39-1~deb12u2"), -EOPNOTSUPP, "systemd 252"},
                        {TINY_STUB("git"), -EOPNOTSUPP, "isn't"},
                        {"#### LoaderInfo: systemd-boot 262 ####", -EOPNOTSUPP, "isn't"},
                        {"#### LoaderInfo: systemd-stub ", -EOPNOTSUPP, "isn't"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ struct buf uki = {0};

                tiny_uki_add_text(&uki, ".sdmagic", rows[i].magic);
                tiny_uki_add_text(&uki, ".profile", "ID=0th");
                tiny_uki_add_text(&uki, ".profile", "ID=main");
                CHECK_EQ(find(&uki, "main"), rows[i].wanted);
                CHECK(strstr(error.text, rows[i].reason));
        }
}

static void test_other_files(void)
{
        _cleanup_buf_ struct buf uki = {0}, text = {0};

        tiny_uki_add_text(&uki, ".profile", "ID=main");
        CHECK_EQ(find(&uki, "0"), -EOPNOTSUPP);
        buf_put(&text, "not PE", 6);
        CHECK_EQ(find(&text, "0"), -EINVAL);
}

static void test_command_lines(void)
{
        static const struct {
                const char *text;
                unsigned profile;
        } rows[] = {
                        {"@2", 2},
                        {"@12 quiet", 12},
                        {"", 0},
                        {"quiet @2", 0},
                        {" @2", 0},
                        {"@", 0},
                        {"@x", 0},
                        {"@2x", 0},
                        {"@-1", 0},
                        {"@4294967297", 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                CHECK_EQ(profile_of_command_line(rows[i].text), rows[i].profile);
}

static const struct tap_test tests[] = {
                {"by number", test_numbers},
                {"by ID", test_ids},
                {"the error lists the profiles", test_list},
                {"a UKI without profiles has profile 0", test_without_profiles},
                {"stubs that are too old, or none", test_stubs},
                {"files that aren't UKIs", test_other_files},
                {"which profile a command line takes", test_command_lines},
};
TAP_MAIN(tests)
