/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/register-map: --map and --close. */
#include <errno.h>

#include "base/cleanup.h"
#include "tcg2/register-map.h"
#include "tests/unit/tap.h"

static int parse_map(const char *text, struct register_map *ret, struct error *error)
{
        return register_map_parse(SPAN(text, strlen(text)), "m", ret, error);
}

static void test_map(void)
{
        struct register_map map;
        struct error error;

        register_map_dedicated(&map);
        CHECK_EQ(register_map_mask(&map), 1u << 8);
        CHECK_EQ(map.reg[0], 8);
        CHECK_EQ(map.reg[23], 8);
        REQUIRE(parse_map("# first\n\n 11 12 # UKI\n12\t13\r\n4 8", &map, &error) == 0);
        CHECK_EQ(map.reg[11], 12);
        CHECK_EQ(map.reg[12], 13);
        CHECK_EQ(map.reg[9], 8);
        CHECK_EQ(register_map_mask(&map), 1u << 8 | 1u << 12 | 1u << 13);
        CHECK_EQ(register_map_only_closed(&map, 1u << 11 | 1u << 12), 1u << 11);
        CHECK_EQ(register_map_opened(&map, 1u << 11), 1u << 8 | 1u << 11 | 1u << 12 | 1u << 13);
        REQUIRE(parse_map("", &map, &error) == 0);
        CHECK_EQ(register_map_mask(&map), 1u << 8);
}

static void test_map_twins(void)
{
        static const struct {
                const char *text, *where;
        } bad[] = {
                        {"4 10", "m:1:"}, /* IMA's */
                        {"4 16", "m:1:"}, /* resettable */
                        {"4 23", "m:1:"},
                        {"4 7", "m:1:"},
                        {"4 24", "m:1:"},
                        {"\n24 8", "m:2:"},
                        {"-1 8", "m:1:"},
                        {"4 08", "m:1:"},
                        {"0x4 8", "m:1:"},
                        {"4", "m:1:"},
                        {"4 8 9", "m:1:"},
                        {"4 8\n5 9\n4 9\n", "m:3:"}, /* twice */
                        {"four 8", "m:1:"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct register_map map = {.reg = {77}};
                struct error error = {};

                CHECK_EQ(parse_map(bad[i].text, &map, &error), -EINVAL);
                CHECK(strncmp(error.text, bad[i].where, 4) == 0);
                CHECK_EQ(map.reg[0], 77);
        }
}

static void test_close_list(void)
{
        static const char *const bad[] = {"", "10", "16", "23", "24", "11,", ",11", "11,,12", "x",
                        "11 12", "011", "-1", "none,11", "4294967307"};
        struct error error = {};
        uint32_t mask;

        REQUIRE(close_list_parse(NULL, &mask, &error) == 0);
        CHECK_EQ(mask, 1u << 11);
        REQUIRE(close_list_parse("none", &mask, &error) == 0);
        CHECK_EQ(mask, 0);
        REQUIRE(close_list_parse("11, 12,0,7", &mask, &error) == 0);
        CHECK_EQ(mask, 1u << 11 | 1u << 12 | 1u << 7 | 1u);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                mask = 99;
                CHECK_EQ(close_list_parse(bad[i], &mask, &error), -EINVAL);
                CHECK_EQ(mask, 99);
        }
}

static const struct tap_test tests[] = {
                {"register map", test_map},
                {"register map: what is refused, and where", test_map_twins},
                {"close list", test_close_list},
};
TAP_MAIN(tests)
