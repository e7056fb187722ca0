/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI variables as the payload sees them: the plain store, then the runtime services over guest
 * memory. */
#include "shim/firmware/variables.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/tap.h"

enum { BS_RT = 6, NV_BS_RT = 7 };

static const EFI_GUID other_vendor = {0x11223344, 0x5566, 0x7788, {1, 2, 3, 4, 5, 6, 7, 8}};

#define ROW(vendor, name, attributes, data)                                             \
        {                                                                               \
                vendor, (char *)(name), attributes, (uint8_t *)(data), sizeof(data) - 1 \
        }

/* A machine that systemd-boot and a stub started. */
static struct fw_variable machine[20];
static size_t n_machine;

static void make_machine(void)
{
        const struct fw_variable rows[] = {
                        ROW(guid_global_variable, "SecureBoot", BS_RT, "\1"),
                        ROW(guid_global_variable, "SetupMode", BS_RT, "\0"),
                        ROW(guid_global_variable, "PK", 0x27, "key"),
                        ROW(guid_global_variable, "Boot0001", NV_BS_RT, "option"),
                        ROW(guid_image_security_database, "db", 0x27, "list"),
                        ROW(guid_shim_lock, "MokListRT", BS_RT, "mok"),
                        ROW(guid_loader, "LoaderInfo", BS_RT, "systemd-boot"),
                        ROW(guid_loader, "LoaderFeatures", BS_RT, "\x40"),
                        ROW(guid_loader, "StubInfo", BS_RT, "systemd-stub 252"),
                        ROW(guid_loader, "StubPcrKernelImage", BS_RT,
                                        "1\0"
                                        "1\0\0\0"),
                        ROW(guid_loader, "LoaderSystemToken", NV_BS_RT, "token"),
                        ROW(guid_loader, "LoaderBootSecret", 3, "secret"),
                        ROW(other_vendor, "LoaderInfo", BS_RT, "not systemd's"),
                        ROW(guid_memory_overwrite_request, "MemoryOverwriteRequestControl",
                                        NV_BS_RT, "\1"),
                        ROW(other_vendor, "Setup", NV_BS_RT, "firmware's own"),
                        ROW(guid_mkexec, "MkexecOverlay", BS_RT, "record"),
        };

        n_machine = sizeof(rows) / sizeof(rows[0]);
        memcpy(machine, rows, sizeof(rows));
}

static struct fw_variables *store;

static void set_up(void)
{
        make_machine();
        if (variables_new(machine, n_machine, &store) < 0)
                abort();
}

static EFI_STATUS get(const EFI_GUID *vendor, const char *name, const struct fw_variable **ret)
{
        const struct fw_variable *v = NULL;
        EFI_STATUS status = variables_get(store, vendor, name, false, &v);

        if (ret)
                *ret = v;
        return status;
}

static EFI_STATUS set(
                const EFI_GUID *vendor, const char *name, uint32_t attributes, const char *data)
{
        return variables_set(store, vendor, name, attributes, SPAN(data, strlen(data)), false);
}

static bool has(const EFI_GUID *vendor, const char *name, uint32_t attributes, const char *data)
{
        const struct fw_variable *v;

        return get(vendor, name, &v) == EFI_SUCCESS && v->attributes == attributes &&
               v->size == strlen(data) && memcmp(v->data, data, v->size) == 0;
}

static size_t count(bool at_runtime)
{
        const struct fw_variable *v = NULL;
        size_t n = 0;

        for (EFI_STATUS s = variables_next(store, &other_vendor, "", at_runtime, &v);
                        s == EFI_SUCCESS;
                        s = variables_next(store, &v->vendor, v->name, at_runtime, &v))
                n++;
        return n;
}

static void test_what_is_hidden(void)
{
        const struct fw_variable *v;

        set_up();
        CHECK(has(&guid_global_variable, "SecureBoot", BS_RT, "\1"));
        CHECK(has(&guid_loader, "LoaderSystemToken", NV_BS_RT, "token"));
        CHECK(has(&other_vendor, "LoaderInfo", BS_RT, "not systemd's"));
        CHECK(get(&guid_loader, "LoaderInfo", NULL) == EFI_NOT_FOUND);
        CHECK(get(&guid_loader, "LoaderFeatures", NULL) == EFI_NOT_FOUND);
        CHECK(get(&guid_loader, "StubInfo", NULL) == EFI_NOT_FOUND);
        CHECK(get(&guid_loader, "StubPcrKernelImage", NULL) == EFI_NOT_FOUND);
        CHECK(get(&guid_mkexec, "MkexecOverlay", NULL) == EFI_NOT_FOUND);
        CHECK(get(&guid_loader, "LoaderBootSecret", NULL) == EFI_SECURITY_VIOLATION);
        CHECK(get(&guid_memory_overwrite_request, "MemoryOverwriteRequestControl", NULL) ==
                        EFI_NOT_FOUND);
        CHECK(get(&guid_loader, "", NULL) == EFI_NOT_FOUND);
        CHECK(get(&guid_global_variable, "secureboot", NULL) == EFI_NOT_FOUND);
        /* the first boot didn't measure SMBIOS and the payload shall not, either */
        REQUIRE(get(&guid_loader, "LoaderPcrSMBIOS", &v) == EFI_SUCCESS);
        CHECK_EQ(v->attributes, BS_RT);
        CHECK(v->size == 4 && memcmp(v->data, "1\0\0", 4) == 0);
        CHECK_EQ(count(false), n_machine - 7 + 1);
        variables_free(store);
        /* no boot secret on any machine: still not "not found" */
        REQUIRE(variables_new(NULL, 0, &store) == 0);
        CHECK(get(&guid_loader, "LoaderBootSecret", NULL) == EFI_SECURITY_VIOLATION);
        CHECK_EQ(count(false), 1);
        variables_free(store);
        /* the machine's own LoaderPcrSMBIOS stays as it is */
        machine[0] = (struct fw_variable)ROW(guid_loader, "LoaderPcrSMBIOS", BS_RT, "7\0\0");
        REQUIRE(variables_new(machine, 1, &store) == 0);
        CHECK_EQ(count(false), 1);
        REQUIRE(get(&guid_loader, "LoaderPcrSMBIOS", &v) == EFI_SUCCESS);
        CHECK_EQ(v->data[0], '7');
        variables_free(store);
}

/* What a shim that is the payload mirrors is its own; what would outlive the boot isn't. */
static void test_shim_mirrors(void)
{
        static const char *const names[] = {"MokListRT", "MokListRT1", "MokListXRT", "SbatLevelRT",
                        "MokListTrustedRT", "MokSBStateRT", "MokIgnoreDB", "MokPolicyRT"};

        set_up();
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                CHECK(set(&guid_shim_lock, names[i], NV_BS_RT, "x") == EFI_WRITE_PROTECTED);
                CHECK(set(&guid_shim_lock, names[i], BS_RT, "x") == EFI_SUCCESS);
                CHECK(has(&guid_shim_lock, names[i], BS_RT, "x"));
                CHECK(set(&guid_shim_lock, names[i], 0, "") == EFI_SUCCESS);
                CHECK(get(&guid_shim_lock, names[i], NULL) == EFI_NOT_FOUND);
        }
        machine[n_machine - 1] = (struct fw_variable)ROW(
                        guid_shim_lock, "SbatLevelRT", NV_BS_RT, "sbat");
        variables_free(store);
        REQUIRE(variables_new(machine, n_machine, &store) == 0);
        CHECK(set(&guid_shim_lock, "SbatLevelRT", BS_RT, "x") == EFI_WRITE_PROTECTED);
        CHECK(set(&guid_shim_lock, "SbatLevelRT", 0, "") == EFI_WRITE_PROTECTED);
        CHECK(has(&guid_shim_lock, "SbatLevelRT", NV_BS_RT, "sbat"));
        variables_free(store);
}

static void test_refused(void)
{
        static const struct {
                const EFI_GUID *vendor;
                const char *name;
                EFI_STATUS status;
        } rows[] = {
                        {&guid_global_variable, "SecureBoot", EFI_WRITE_PROTECTED},
                        {&guid_global_variable, "SetupMode", EFI_WRITE_PROTECTED},
                        {&guid_global_variable, "AuditMode", EFI_WRITE_PROTECTED},
                        {&guid_global_variable, "DeployedMode", EFI_WRITE_PROTECTED},
                        {&guid_global_variable, "PKDefault", EFI_WRITE_PROTECTED},
                        {&guid_global_variable, "PK", EFI_SECURITY_VIOLATION},
                        {&guid_global_variable, "KEK", EFI_SECURITY_VIOLATION},
                        {&guid_image_security_database, "db", EFI_SECURITY_VIOLATION},
                        {&guid_image_security_database, "dbx", EFI_SECURITY_VIOLATION},
                        {&guid_image_security_database, "dbt", EFI_SECURITY_VIOLATION},
                        {&guid_image_security_database, "dbr", EFI_SECURITY_VIOLATION},
                        {&guid_shim_lock, "MokList", EFI_WRITE_PROTECTED},
                        {&guid_shim_lock, "MokSBState", EFI_WRITE_PROTECTED},
                        {&guid_shim_lock, "SbatLevel", EFI_WRITE_PROTECTED},
                        {&guid_loader, "LoaderBootSecret", EFI_WRITE_PROTECTED},
                        {&guid_mkexec, "MkexecOverlay", EFI_WRITE_PROTECTED},
                        {&guid_mkexec, "Other", EFI_WRITE_PROTECTED},
        };
        static const uint32_t attributes[] = {0, BS_RT, NV_BS_RT, 0x27, 0x67, 0x46};

        set_up();
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                for (size_t a = 0; a < sizeof(attributes) / sizeof(attributes[0]); a++) {
                        CHECK(set(rows[i].vendor, rows[i].name, attributes[a], "\0") ==
                                        rows[i].status);
                        CHECK(set(rows[i].vendor, rows[i].name, attributes[a], "x") ==
                                        rows[i].status);
                }
        CHECK(has(&guid_global_variable, "SecureBoot", BS_RT, "\1"));
        CHECK(has(&guid_global_variable, "PK", 0x27, "key"));
        /* done, it seems, but nothing is kept */
        CHECK(set(&guid_memory_overwrite_request, "MemoryOverwriteRequestControl", NV_BS_RT,
                              "\1") == EFI_SUCCESS);
        CHECK(get(&guid_memory_overwrite_request, "MemoryOverwriteRequestControl", NULL) ==
                        EFI_NOT_FOUND);
        variables_free(store);
}

/* UEFI 2.10, 8.2.3, and edk2 where it leaves a choice. */
static void test_set_rules(void)
{
        set_up();
        CHECK(set(&other_vendor, "", BS_RT, "x") == EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "A", 0x100 | BS_RT, "x") == EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_RUNTIME_ACCESS, "x") == EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "A", 0xa0 | BS_RT, "x") == EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "A", 0x10 | BS_RT, "x") == EFI_UNSUPPORTED);
        CHECK(set(&other_vendor, "A", 0x20 | BS_RT, "x") == EFI_UNSUPPORTED);
        CHECK(set(&other_vendor, "A", 0x80 | BS_RT, "x") == EFI_UNSUPPORTED);
        CHECK(set(&other_vendor, "A", 0x08 | NV_BS_RT, "x") == EFI_UNSUPPORTED);
        CHECK(set(&other_vendor, "A", BS_RT, "") == EFI_NOT_FOUND);
        CHECK(set(&other_vendor, "A", 0, "x") == EFI_NOT_FOUND);
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_NON_VOLATILE, "x") == EFI_NOT_FOUND);
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_APPEND_WRITE | BS_RT, "") == EFI_SUCCESS);
        CHECK(get(&other_vendor, "A", NULL) == EFI_NOT_FOUND);
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_APPEND_WRITE | BS_RT, "one") == EFI_SUCCESS);
        CHECK(has(&other_vendor, "A", BS_RT, "one"));
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_APPEND_WRITE | BS_RT, "two") == EFI_SUCCESS);
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_APPEND_WRITE | BS_RT, "") == EFI_SUCCESS);
        CHECK(has(&other_vendor, "A", BS_RT, "onetwo"));
        CHECK(set(&other_vendor, "A", NV_BS_RT, "x") == EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_APPEND_WRITE | NV_BS_RT, "x") ==
                        EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "A", EFI_VARIABLE_BOOTSERVICE_ACCESS, "x") ==
                        EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "A", NV_BS_RT, "") == EFI_INVALID_PARAMETER);
        CHECK(has(&other_vendor, "A", BS_RT, "onetwo"));
        CHECK(set(&other_vendor, "A", BS_RT, "") == EFI_SUCCESS);
        CHECK(get(&other_vendor, "A", NULL) == EFI_NOT_FOUND);
        CHECK(set(&other_vendor, "A", BS_RT, "x") == EFI_SUCCESS);
        CHECK(set(&other_vendor, "A", 0, "") == EFI_SUCCESS);
        CHECK(get(&other_vendor, "A", NULL) == EFI_NOT_FOUND);
        /* the machine's: replaced, appended to, deleted, authenticated */
        CHECK(set(&other_vendor, "Setup", BS_RT, "x") == EFI_INVALID_PARAMETER);
        CHECK(set(&other_vendor, "Setup", EFI_VARIABLE_APPEND_WRITE | NV_BS_RT, "!") ==
                        EFI_SUCCESS);
        CHECK(has(&other_vendor, "Setup", NV_BS_RT, "firmware's own!"));
        CHECK(set(&guid_global_variable, "Boot0001", NV_BS_RT, "new") == EFI_SUCCESS);
        CHECK(has(&guid_global_variable, "Boot0001", NV_BS_RT, "new"));
        CHECK(set(&guid_global_variable, "Boot0001", NV_BS_RT, "") == EFI_SUCCESS);
        CHECK(get(&guid_global_variable, "Boot0001", NULL) == EFI_NOT_FOUND);
        CHECK(set(&guid_global_variable, "Boot0001", BS_RT, "volatile now") == EFI_SUCCESS);
        machine[3].attributes = 0x27;
        variables_free(store);
        REQUIRE(variables_new(machine, n_machine, &store) == 0);
        CHECK(set(&guid_global_variable, "Boot0001", 0, "") == EFI_SECURITY_VIOLATION);
        CHECK(has(&guid_global_variable, "Boot0001", 0x27, "option"));
        CHECK(strcmp((char *)machine[14].data, "firmware's own") ==
                        0); /* the snapshot is as it was */
        variables_free(store);
}

static void test_at_runtime(void)
{
        const struct fw_variable *v;
        size_t before;

        set_up();
        CHECK(set(&other_vendor, "Boot", EFI_VARIABLE_BOOTSERVICE_ACCESS, "x") == EFI_SUCCESS);
        CHECK(set(&other_vendor, "Volatile", BS_RT, "x") == EFI_SUCCESS);
        before = count(false);
        CHECK_EQ(count(true), before - 1);
        CHECK(variables_get(store, &other_vendor, "Boot", true, &v) == EFI_NOT_FOUND);
        CHECK(variables_get(store, &other_vendor, "Volatile", true, &v) == EFI_SUCCESS);
        CHECK(variables_set(store, &other_vendor, "Boot", NV_BS_RT, SPAN("y", 1), true) ==
                        EFI_WRITE_PROTECTED);
        CHECK(variables_set(store, &other_vendor, "Volatile", BS_RT, SPAN("y", 1), true) ==
                        EFI_WRITE_PROTECTED);
        CHECK(variables_set(store, &other_vendor, "New", BS_RT, SPAN("y", 1), true) ==
                        EFI_INVALID_PARAMETER);
        CHECK(variables_set(store, &other_vendor, "New", 3, SPAN("y", 1), true) ==
                        EFI_INVALID_PARAMETER);
        CHECK(variables_set(store, &other_vendor, "New", NV_BS_RT, SPAN("y", 1), true) ==
                        EFI_SUCCESS);
        CHECK(variables_set(store, &guid_global_variable, "SecureBoot", BS_RT, SPAN("y", 1),
                              true) == EFI_WRITE_PROTECTED);
        variables_free(store);
}

static void test_limits(void)
{
        static uint8_t big[VARIABLE_MAX_BYTES];
        char name[VARIABLE_NAME_MAX_CHARS + 2];
        uint64_t maximum, remaining, largest;
        EFI_STATUS status = EFI_SUCCESS;
        unsigned n;

        set_up();
        CHECK(variables_query(store, 0, false, &maximum, &remaining, &largest) ==
                        EFI_INVALID_PARAMETER);
        CHECK(variables_query(store, 1, false, &maximum, &remaining, &largest) ==
                        EFI_INVALID_PARAMETER);
        CHECK(variables_query(store, 4, false, &maximum, &remaining, &largest) ==
                        EFI_INVALID_PARAMETER);
        CHECK(variables_query(store, NV_BS_RT, false, &maximum, &remaining, &largest) ==
                        EFI_SUCCESS);
        CHECK_EQ(maximum, VARIABLES_MAX_BYTES);
        CHECK_EQ(remaining, maximum);
        CHECK_EQ(largest, VARIABLE_MAX_BYTES);
        CHECK(variables_set(store, &other_vendor, "A", BS_RT, SPAN(big, sizeof(big)), false) ==
                        EFI_INVALID_PARAMETER);
        CHECK(variables_set(store, &other_vendor, "A", BS_RT, SPAN(big, sizeof(big) - 4), false) ==
                        EFI_SUCCESS);
        CHECK(set(&other_vendor, "A", BS_RT | EFI_VARIABLE_APPEND_WRITE, "x") ==
                        EFI_INVALID_PARAMETER);
        memset(name, 'n', sizeof(name));
        name[VARIABLE_NAME_MAX_CHARS + 1] = '\0';
        CHECK(set(&other_vendor, name, BS_RT, "x") == EFI_INVALID_PARAMETER);
        name[VARIABLE_NAME_MAX_CHARS] = '\0';
        CHECK(set(&other_vendor, name, BS_RT, "x") == EFI_SUCCESS);
        for (n = 0; status == EFI_SUCCESS; n++) {
                snprintf(name, sizeof(name), "big%u", n);
                status = variables_set(store, &other_vendor, name, BS_RT, SPAN(big, 60000), false);
        }
        CHECK(status == EFI_OUT_OF_RESOURCES);
        CHECK(variables_query(store, NV_BS_RT, false, &maximum, &remaining, &largest) ==
                        EFI_SUCCESS);
        CHECK(remaining < 60010);
        while (n-- > 0) {
                snprintf(name, sizeof(name), "big%u", n);
                (void)variables_set(store, &other_vendor, name, BS_RT, SPAN(NULL, 0), false);
        }
        for (n = 0, status = EFI_SUCCESS; status == EFI_SUCCESS; n++) {
                snprintf(name, sizeof(name), "small%u", n);
                status = variables_set(store, &other_vendor, name, BS_RT, SPAN("", 1), false);
        }
        CHECK(status == EFI_OUT_OF_RESOURCES);
        CHECK_EQ(n + 1, VARIABLES_MAX_COUNT);
        variables_free(store);
}

/* ---- the services ---- */

enum { GET = 6, NEXT = 7, SET = 8, RESET = 10, QUERY = 13 }; /* slots after the header's three */

#define CALL(slot, ...) FIXTURE_CALL(fixture.runtime_services + 24, slot, __VA_ARGS__)

static uint64_t name_at, vendor_at, size_at, attributes_at, data_at;

static bool start(void)
{
        struct firmware_setup setup = {.volume_fd = -1, .variables = machine};

        make_machine();
        setup.n_variables = n_machine;
        if (!fixture_start(&setup))
                return false;
        name_at = fixture_text(0, "SecureBoot");
        vendor_at = fixture_bytes(4096, &guid_global_variable, 16);
        size_at = fixture_u64(5000, 0);
        attributes_at = fixture_u64(5016, 0x5555555555555555);
        data_at = fixture_scratch + 8192;
        return true;
}

static void test_get_variable(void)
{
        uint8_t byte = 9;

        REQUIRE(start());
        CHECK(CALL(GET, name_at, vendor_at, attributes_at, size_at, 0) == EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(fixture_get(size_at), 1);
        CHECK_EQ(fixture_get(attributes_at), 0x5555555500000006); /* 32 bits, no more */
        CHECK(CALL(GET, name_at, vendor_at, 0, size_at, 0) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, vendor_at, 0, size_at, data_at) == EFI_SUCCESS);
        CHECK(ram_get_u8(fixture.ram, data_at, &byte) && byte == 1);
        CHECK(CALL(GET, 0, vendor_at, 0, size_at, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, 0, 0, size_at, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, vendor_at, 0, 0, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, FIXTURE_BAD, vendor_at, 0, size_at, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, FIXTURE_BAD, 0, size_at, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, vendor_at, FIXTURE_BAD, size_at, data_at) ==
                        EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, vendor_at, 0, FIXTURE_BAD, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, vendor_at, 0, size_at, FIXTURE_BAD) == EFI_INVALID_PARAMETER);
        CHECK(CALL(GET, name_at, vendor_at, 0, size_at, UINT64_MAX) == EFI_INVALID_PARAMETER);
        (void)fixture_text(0, "StubInfo");
        (void)fixture_bytes(4096, &guid_loader, 16);
        CHECK(CALL(GET, name_at, vendor_at, 0, size_at, 0) == EFI_NOT_FOUND);
        (void)fixture_text(0, "");
        CHECK(CALL(GET, name_at, vendor_at, 0, size_at, 0) == EFI_NOT_FOUND); /* as edk2 */
        (void)fixture_bytes(0, "\0\xd8x\0\0", 6); /* half a surrogate pair */
        CHECK(CALL(GET, name_at, vendor_at, 0, size_at, 0) == EFI_INVALID_PARAMETER);
        fixture_stop();
}

static void test_set_variable(void)
{
        const struct fw_variable *set_by_payload;
        size_t n;

        REQUIRE(start());
        CHECK(CALL(SET, name_at, vendor_at, BS_RT, 1, data_at) == EFI_WRITE_PROTECTED);
        (void)fixture_text(0, "StubInfo");
        (void)fixture_bytes(4096, &guid_loader, 16);
        (void)fixture_bytes(8192, "v\0\0", 4);
        CHECK(CALL(SET, name_at, vendor_at, BS_RT, 4, 0) == EFI_INVALID_PARAMETER);
        CHECK(CALL(SET, name_at, vendor_at, BS_RT, 4, FIXTURE_BAD) == EFI_INVALID_PARAMETER);
        CHECK(CALL(SET, name_at, vendor_at, BS_RT, UINT64_MAX, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(SET, 0, vendor_at, BS_RT, 4, data_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(SET, name_at, 0, BS_RT, 4, data_at) == EFI_INVALID_PARAMETER);
        /* upper half of a UINT32 argument is whatever the caller's register held */
        CHECK(CALL(SET, name_at, vendor_at, 0xdead00000000ull | BS_RT, 4, data_at) == EFI_SUCCESS);
        fixture_u64(5000, 100);
        CHECK(CALL(GET, name_at, vendor_at, attributes_at, size_at, data_at) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(size_at), 4);
        REQUIRE(firmware_variables(&fixture, &set_by_payload, &n) == 0);
        REQUIRE(n == 1);
        CHECK(strcmp(set_by_payload->name, "StubInfo") == 0);
        CHECK(guid_equal(&set_by_payload->vendor, &guid_loader));
        CHECK_EQ(set_by_payload->attributes, BS_RT);
        CHECK(set_by_payload->size == 4 && memcmp(set_by_payload->data, "v\0\0", 4) == 0);
        fixture.exited_boot_services = true;
        CHECK(CALL(SET, name_at, vendor_at, BS_RT, 4, data_at) == EFI_WRITE_PROTECTED);
        fixture_stop();
}

static void test_get_next(void)
{
        unsigned n = 0, secure_boot = 0;
        EFI_STATUS status;

        REQUIRE(start());
        (void)fixture_text(0, "");
        for (;;) {
                (void)fixture_u64(5000, 2048);
                status = CALL(NEXT, size_at, name_at, vendor_at);
                if (status != EFI_SUCCESS)
                        break;
                fixture_u64(5000, 0);
                CHECK(CALL(GET, name_at, vendor_at, 0, size_at, 0) == EFI_BUFFER_TOO_SMALL);
                n++;
                secure_boot += ram_get_u8(fixture.ram, name_at, &(uint8_t){0}) &&
                               fixture_get(name_at) ==
                                               fixture_get(fixture_text(6000, "SecureBoot"));
        }
        CHECK(status == EFI_NOT_FOUND);
        CHECK_EQ(n, n_machine - 7 + 1);
        CHECK_EQ(secure_boot, 1);
        (void)fixture_text(0, "");
        (void)fixture_u64(5000, 10);
        CHECK(CALL(NEXT, size_at, name_at, vendor_at) == EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(fixture_get(size_at), 22);
        CHECK(CALL(NEXT, size_at, name_at, vendor_at) == EFI_SUCCESS);
        (void)fixture_u64(5000, 20); /* "SecureBoot" doesn't end within 20 bytes */
        CHECK(CALL(NEXT, size_at, name_at, vendor_at) == EFI_INVALID_PARAMETER);
        (void)fixture_text(0, "Nonsense");
        (void)fixture_u64(5000, 2048);
        CHECK(CALL(NEXT, size_at, name_at, vendor_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(NEXT, 0, name_at, vendor_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(NEXT, size_at, 0, vendor_at) == EFI_INVALID_PARAMETER);
        CHECK(CALL(NEXT, size_at, name_at, 0) == EFI_INVALID_PARAMETER);
        fixture_stop();
}

static void test_other_services(void)
{
        uint64_t a, b;
        uint16_t year = 0;
        uint8_t month = 0;

        REQUIRE(start());
        a = fixture_u64(9000, 0), b = fixture_u64(9100, 0);
        CHECK(CALL(QUERY, BS_RT, a, b, size_at) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(a), VARIABLES_MAX_BYTES);
        CHECK(CALL(QUERY, BS_RT, a, b, 0) == EFI_INVALID_PARAMETER);
        CHECK(CALL(0, a, b) == EFI_SUCCESS); /* GetTime */
        CHECK(ram_get_u16(fixture.ram, a, &year) && year >= 2024 && year < 2200);
        CHECK(ram_get_u8(fixture.ram, a + 2, &month) && month >= 1 && month <= 12);
        CHECK(CALL(0, 0, b) == EFI_INVALID_PARAMETER);
        CHECK(CALL(0, FIXTURE_BAD, 0) == EFI_INVALID_PARAMETER);
        CHECK_EQ(fw_n_runtime_services, 14);
        for (size_t slot = 0; slot < fw_n_runtime_services; slot++) {
                bool offered = slot == 0 || (slot >= GET && slot <= SET) || slot == RESET ||
                               slot == QUERY;

                CHECK(fw_runtime_services[slot].at_runtime);
                if (!offered)
                        CHECK(CALL(slot, a, b, a, b) == EFI_UNSUPPORTED);
        }
        (void)fixture_text(9200, "out of\x1b[2J beer");
        CHECK(CALL(RESET, 1, EFI_ABORTED, 100, fixture_scratch + 9200) == EFI_SUCCESS);
        CHECK(fixture.ended);
        CHECK_EQ(fixture.end.kind, FIRMWARE_RESET);
        CHECK(fixture.end.status == EFI_ABORTED);
        CHECK(strstr(fixture.end.text, "(warm): out of?[2J beer") != NULL);
        fixture_stop();
}

static const struct tap_test tests[] = {
                {"the first boot's variables are hidden", test_what_is_hidden},
                {"Secure Boot, keys and Mok can't be set", test_refused},
                {"shim's mirrors", test_shim_mirrors},
                {"SetVariable's rules", test_set_rules},
                {"after ExitBootServices", test_at_runtime},
                {"limits and QueryVariableInfo", test_limits},
                {"GetVariable with good and bad pointers", test_get_variable},
                {"SetVariable with good and bad pointers", test_set_variable},
                {"GetNextVariableName", test_get_next},
                {"time, reset, and what isn't offered", test_other_services},
};

TAP_MAIN(tests)
