/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lies to the variable services: odd names and sizes, and variables that aren't the payload's. */
#include "tests/conformance/liar.h"

static const struct guid global = GUID_GLOBAL_VARIABLE, test = GUID_TEST(20),
                         security = {0xd719b2cb, 0x3d3a, 0x4596,
                                         {0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}},
                         shim = {0x605dab50, 0xe046, 0x4300,
                                         {0xab, 0xb6, 0x3d, 0xd8, 0x10, 0xdd, 0x8b, 0x23}},
                         loader = {0x4a67b082, 0x0a4c, 0x41cf,
                                         {0xb6, 0xc7, 0x44, 0x0b, 0x29, 0xbb, 0x8c, 0x4f}};

enum {
        NV = 1,
        BS = 2,
        RT = 4,
        HW_ERROR = 8,
        AUTH = 16,
        TIME_AUTH = 32,
        APPEND = 64,
        ENHANCED = 128
};

static status set(const char16 *name, const struct guid *g, uint32_t attributes, uint64_t size)
{
        static uint8_t data[1 << 17] = {1};

        return st->rt->set_variable(name, g, attributes, size, data);
}

static void secure_boot_variables(void)
{
        static const struct {
                const struct guid *g;
                const char16 *name;
                status answer;
        } rows[] = {
                        {&global, u"SecureBoot", WRITE_PROTECTED},
                        {&global, u"SetupMode", WRITE_PROTECTED},
                        {&global, u"AuditMode", WRITE_PROTECTED},
                        {&global, u"DeployedMode", WRITE_PROTECTED},
                        {&global, u"VendorKeys", WRITE_PROTECTED},
                        {&global, u"SignatureSupport", WRITE_PROTECTED},
                        {&global, u"PKDefault", WRITE_PROTECTED},
                        {&global, u"dbxDefault", WRITE_PROTECTED},
                        {&global, u"PK", SECURITY_VIOLATION},
                        {&global, u"KEK", SECURITY_VIOLATION},
                        {&security, u"db", SECURITY_VIOLATION},
                        {&security, u"dbx", SECURITY_VIOLATION},
                        {&security, u"dbt", SECURITY_VIOLATION},
                        {&security, u"dbr", SECURITY_VIOLATION},
                        {&shim, u"MokList", WRITE_PROTECTED},
                        {&shim, u"MokSBState", WRITE_PROTECTED},
                        {&shim, u"SbatLevel", WRITE_PROTECTED},
                        {&loader, u"LoaderBootSecret", WRITE_PROTECTED},
        };
        static const uint32_t attributes[] = {0, BS, BS | RT, NV | BS | RT, BS | RT | APPEND,
                        NV | BS | RT | TIME_AUTH, NV | BS | RT | TIME_AUTH | APPEND};

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                for (size_t k = 0; k < sizeof(attributes) / sizeof(attributes[0]); k++)
                        for (uint64_t size = 0; size <= 1; size++)
                                CHECK_EQ(set(rows[i].name, rows[i].g, attributes[k], size),
                                                rows[i].answer);
        /* Of shim's mirrors a payload has its own, but none that outlives the boot. */
        CHECK_EQ(set(u"MokSBStateRT", &shim, NV | BS | RT, 1), WRITE_PROTECTED);
        /* Others of the same letters aren't those. */
        CHECK_EQ(set(u"secureboot", &global, BS | RT, 1), SUCCESS);
        CHECK_EQ(set(u"SecureBoot", &test, BS | RT, 1), SUCCESS);
}

static void odd_names(void)
{
        static char16 longest[1030];
        uint8_t *page = last_page();
        char16 *at_end = (char16 *)(page + 4090);

        for (int i = 0; i < 1030; i++)
                longest[i] = u'n';
        longest[1024] = 0;
        CHECK_EQ(set(longest, &test, BS, 1), SUCCESS);
        longest[1024] = u'n', longest[1025] = 0;
        CHECK_EQ(set(longest, &test, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set(u"", &test, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set(NULL, &test, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set((char16 *)0x10, &test, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set(u"a", NULL, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set(u"a", (void *)0x10, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set((const char16[]){0xd800, 0}, &test, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set((const char16[]){0xdc00, 0xd800, 0}, &test, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set((const char16[]){0xd83d, 0xde00, 0}, &test, BS, 1), SUCCESS); /* a pair */
        CHECK_EQ(set(u"../../etc/passwd", &test, BS, 1), SUCCESS); /* a name like any other */
        CHECK_EQ(set(u"%s%n%x\x1b[2J\n", &test, BS | RT, 1), SUCCESS);
        at_end[0] = at_end[1] = at_end[2] = u'x'; /* nothing behind the page */
        CHECK_EQ(set(at_end, &test, BS, 1), INVALID_PARAMETER);
        at_end[2] = 0;
        CHECK_EQ(set(at_end, &test, BS, 1), SUCCESS);
        CHECK_EQ(set((char16 *)(page + 4091), &test, BS, 1), SUCCESS); /* not aligned: U+7800 */
}

static void odd_sizes(void)
{
        uint8_t *page = last_page(), data[16];
        uint64_t size;

        CHECK_EQ(set(u"size", &test, BS, 0), NOT_FOUND);
        CHECK_EQ(set(u"size", &test, BS, 65536), INVALID_PARAMETER); /* with its name too large */
        CHECK_EQ(set(u"size", &test, BS, ~0ull), INVALID_PARAMETER);
        CHECK_EQ(set(u"size", &test, BS, 1ull << 32), INVALID_PARAMETER);
        CHECK_EQ(st->rt->set_variable(u"size", &test, BS, 8, NULL), INVALID_PARAMETER);
        CHECK_EQ(st->rt->set_variable(u"size", &test, BS, 8, page + 4089), INVALID_PARAMETER);
        CHECK_EQ(set(u"size", &test, BS, 60000), SUCCESS);
        CHECK_EQ(set(u"size", &test, BS | APPEND, 60000), INVALID_PARAMETER);
        size = 16;
        CHECK_EQ(st->rt->get_variable(u"size", &test, NULL, &size, data), BUFFER_TOO_SMALL);
        CHECK_EQ(size, 60000);
        size = ~0ull;
        CHECK_EQ(st->rt->get_variable(u"size", &test, NULL, &size, NULL), INVALID_PARAMETER);
        CHECK_EQ(st->rt->get_variable(u"size", &test, NULL, &size, page), INVALID_PARAMETER);
        CHECK_EQ(st->rt->get_variable(u"size", &test, NULL, NULL, page), INVALID_PARAMETER);
        CHECK_EQ(st->rt->get_variable(u"size", &test, (void *)0x10, &size, page),
                        INVALID_PARAMETER);
}

static void odd_attributes(void)
{
        static const struct {
                uint32_t attributes;
                status answer;
        } rows[] = {{RT, INVALID_PARAMETER}, {NV | RT, INVALID_PARAMETER},
                        {0x100 | BS, INVALID_PARAMETER}, {0x80000000 | BS, INVALID_PARAMETER},
                        {~0u, INVALID_PARAMETER}, {BS | AUTH, UNSUPPORTED},
                        {BS | TIME_AUTH, UNSUPPORTED}, {BS | ENHANCED, UNSUPPORTED},
                        {BS | TIME_AUTH | ENHANCED, INVALID_PARAMETER},
                        {NV | BS | RT | HW_ERROR, UNSUPPORTED}, {0, NOT_FOUND}, {NV, NOT_FOUND}};
        uint64_t a, b, c;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                CHECK_EQ(set(u"attributes", &test, rows[i].attributes, 1), rows[i].answer);
        CHECK_EQ(set(u"attributes", &test, BS | RT, 1), SUCCESS);
        CHECK_EQ(set(u"attributes", &test, BS, 1), INVALID_PARAMETER);
        CHECK_EQ(set(u"attributes", &test, NV | BS | RT, 1), INVALID_PARAMETER);
        CHECK_EQ(st->rt->query_variable_info(0, &a, &b, &c), INVALID_PARAMETER);
        CHECK_EQ(st->rt->query_variable_info(RT, &a, &b, &c), INVALID_PARAMETER);
        CHECK_EQ(st->rt->query_variable_info(BS, NULL, &b, &c), INVALID_PARAMETER);
        CHECK_EQ(st->rt->query_variable_info(BS, &a, &b, (void *)0x10), INVALID_PARAMETER);
}

/* The store has an end, and what is deleted gives its room back. */
static void full_store(void)
{
        char16 name[8] = u"v0000";
        int n;

        for (int round = 0; round < 2; round++) {
                for (n = 0; n < 5000; n++) {
                        name[1] = (char16)(u'a' + n / 676), name[2] = (char16)(u'a' + n / 26 % 26);
                        name[3] = (char16)(u'a' + n % 26);
                        if (set(name, &test, BS, 30000) != SUCCESS)
                                break;
                }
                CHECK_EQ(set(name, &test, BS, 30000), OUT_OF_RESOURCES);
                CHECK(n > 20 && n < 100);
                while (n-- > 0) {
                        name[1] = (char16)(u'a' + n / 676), name[2] = (char16)(u'a' + n / 26 % 26);
                        name[3] = (char16)(u'a' + n % 26);
                        CHECK_EQ(set(name, &test, BS, 0), SUCCESS);
                }
        }
        for (n = 0; n < 100000; n++) {
                name[1] = (char16)(u'a' + n / 17576), name[2] = (char16)(u'a' + n / 676 % 26);
                name[3] = (char16)(u'a' + n / 26 % 26), name[4] = (char16)(u'a' + n % 26);
                if (set(name, &test, BS, 1) != SUCCESS)
                        break;
        }
        CHECK(n > 100 && n < 10000);
}

/* A list that changes while it is walked. */
static void changing_list(void)
{
        char16 name[64] = {0};
        struct guid g = {0};
        uint64_t size;
        int n = 0;

        CHECK_EQ(set(u"first", &test, BS, 1), SUCCESS);
        CHECK_EQ(set(u"second", &test, BS, 1), SUCCESS);
        while (size = sizeof(name), st->rt->get_next_variable_name(&size, name, &g) == SUCCESS) {
                CHECK(++n < 1000);
                if (!same_guid(&g, &test))
                        continue;
                CHECK_EQ(set(u"second", &test, BS, 0), SUCCESS);
                break;
        }
        CHECK_EQ(set(u"first", &test, BS, 0), SUCCESS);
        size = sizeof(name); /* from one that is gone */
        CHECK_EQ(st->rt->get_next_variable_name(&size, name, &g), INVALID_PARAMETER);
        size = 4;
        CHECK_EQ(st->rt->get_next_variable_name(&size, name, &g), INVALID_PARAMETER); /* no NUL */
        size = 0;
        CHECK_EQ(st->rt->get_next_variable_name(&size, name, &g), INVALID_PARAMETER);
        size = ~0ull;
        name[0] = 0;
        CHECK_EQ(st->rt->get_next_variable_name(&size, name, &g), SUCCESS);
        CHECK_EQ(st->rt->get_next_variable_name(&size, NULL, &g), INVALID_PARAMETER);
        CHECK_EQ(st->rt->get_next_variable_name(NULL, name, &g), INVALID_PARAMETER);
}

/* mkexec's own notes, and what a systemd in the second kernel would believe. */
static void own_variables(void)
{
        static const struct guid mkexec = {0x06e3bda6, 0xd6f8, 0x4745,
                        {0xb7, 0xe1, 0xbc, 0x4b, 0x29, 0x49, 0x48, 0x59}};
        uint64_t size = 0;

        CHECK_EQ(set(u"MkexecOverlay", &mkexec, BS | RT, 1), WRITE_PROTECTED);
        CHECK_EQ(set(u"anything", &mkexec, NV | BS | RT, 1), WRITE_PROTECTED);
        CHECK_EQ(st->rt->get_variable(u"MkexecOverlay", &mkexec, NULL, &size, NULL), NOT_FOUND);
        CHECK_EQ(set(u"StubPcrKernelImage", &loader, BS | RT, 1), SUCCESS);
        CHECK_EQ(set(u"LoaderPcrSMBIOS", &loader, BS | RT, 1), SUCCESS);
        CHECK_EQ(st->rt->get_variable(u"LoaderBootSecret", &loader, NULL, &size, NULL),
                        SECURITY_VIOLATION);
}

static void runtime_after_exit(void)
{
        struct runtime_services *rt = st->rt;
        uint8_t data[4] = {1};
        uint64_t size = 4;

        CHECK_EQ(set(u"boot-only", &test, BS, 1), SUCCESS);
        CHECK_EQ(set(u"both", &test, BS | RT, 1), SUCCESS);
        CHECK_EQ(set(u"lasting", &test, NV | BS | RT, 1), SUCCESS);
        CHECK_EQ(leave_boot_services(), SUCCESS);
        CHECK_EQ(rt->get_variable(u"boot-only", &test, NULL, &size, data), NOT_FOUND);
        CHECK_EQ(rt->set_variable(u"boot-only", &test, NV | BS | RT, 1, data), WRITE_PROTECTED);
        CHECK_EQ(rt->get_variable(u"both", &test, NULL, &size, data), SUCCESS);
        CHECK_EQ(rt->set_variable(u"both", &test, BS | RT, 1, data), WRITE_PROTECTED);
        CHECK_EQ(rt->set_variable(u"both", &test, 0, 0, NULL), WRITE_PROTECTED);
        CHECK_EQ(rt->set_variable(u"new", &test, BS | RT, 1, data), INVALID_PARAMETER);
        CHECK_EQ(rt->set_variable(u"lasting", &test, NV | BS | RT, 2, data), SUCCESS);
        CHECK_EQ(rt->set_variable(u"SecureBoot", &global, NV | BS | RT, 1, data), WRITE_PROTECTED);
}

static void reset(void)
{
        st->rt->reset_system(1, DEVICE_ERROR, 64, u"because \x1b[31mI can");
}

const struct lie variable_lies[] = {
                {"secure-boot-variables", secure_boot_variables},
                {"odd-names", odd_names},
                {"odd-sizes", odd_sizes},
                {"odd-attributes", odd_attributes},
                {"full-store", full_store},
                {"changing-list", changing_list},
                {"own-variables", own_variables},
                {"runtime-after-exit", runtime_after_exit},
                {"reset", reset},
                {0},
};
