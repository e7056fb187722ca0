/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a payload may have of everything that the broker keeps for it: up to the number that
 * docs/threat-model.md names (tests/unit/docs.sh compares them with the code), and not one more.
 * Those that need a guest or a volume are tested with these. */
#include <errno.h>

#include "base/cleanup.h"
#include "shim/firmware/events.h"
#include "shim/firmware/handles.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/tap.h"

static EFI_GUID nth_guid(uint32_t n)
{
        EFI_GUID guid = {0};

        memcpy(&guid, "limits", 6);
        memcpy((uint8_t *)&guid + 12, &n, sizeof(n));
        return guid;
}

static uint64_t first_handle;

/* One more each time. */
static EFI_STATUS more_handles(uint32_t n)
{
        uint64_t handle = 0;
        EFI_GUID guid = nth_guid(0);
        EFI_STATUS status = fw_install_protocol(&fixture, &handle, &guid, 0);

        if (n == 0)
                first_handle = handle;
        return status;
}

static EFI_STATUS more_protocols(uint32_t n)
{
        EFI_GUID guid = nth_guid(n + 1); /* the handle has one */

        return fw_install_protocol(&fixture, &first_handle, &guid, 0);
}

static EFI_STATUS more_events(uint32_t n)
{
        uint64_t event;

        return fw_event_new(&fixture, 0, 0, 0, 0, NULL, &event);
}

static EFI_STATUS more_registrations(uint32_t n)
{
        static uint64_t event;
        uint64_t registration;
        EFI_GUID guid = nth_guid(n);

        if (n == 0 && efi_error(fw_event_new(&fixture, 0x200, 8, 1, 0, NULL, &event)))
                return EFI_DEVICE_ERROR;
        return handles_register_notify(&fixture, &guid, event, &registration);
}

/* By another agent each time: the same again is only counted. */
static EFI_STATUS more_opens(uint32_t n)
{
        static uint64_t agents[2048];
        static const EFI_GUID protocol = {0x6f70656e};
        uint64_t interface;

        if (n == 0)
                memset(agents, 0, sizeof(agents));
        if (!agents[n] && efi_error(fw_install_protocol(&fixture, &agents[n], &protocol, 0)))
                return EFI_DEVICE_ERROR;
        return handle_open_protocol(&fixture, agents[0], &protocol, agents[n], 0,
                        EFI_OPEN_PROTOCOL_GET_PROTOCOL, &interface);
}

static EFI_STATUS more_tables(uint32_t n)
{
        EFI_GUID guid = nth_guid(n);

        return fw_install_config_table(&fixture, &guid, 0x1000);
}

static const struct row {
        const char *name;
        EFI_STATUS (*more)(uint32_t n);
        uint32_t limit;
} rows[] = {
                {"handles", more_handles, 4096},
                {"protocols on a handle", more_protocols, 256},
                {"events", more_events, 1024},
                {"registrations for notifications", more_registrations, 256},
                {"openings of a protocol", more_opens, 256},
                {"configuration tables", more_tables, 128},
};

/* A few are the firmware's own. */
#define OWN_AT_MOST 64

static void test_counts(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                EFI_STATUS status = EFI_SUCCESS;
                uint32_t n = 0;

                REQUIRE(fixture_start(NULL));
                if (rows[i].more == more_protocols)
                        REQUIRE(more_handles(0) == EFI_SUCCESS);
                while (n <= rows[i].limit && status == EFI_SUCCESS) {
                        status = rows[i].more(n);
                        n += status == EFI_SUCCESS;
                }
                printf("# %s: %u and no more\n", rows[i].name, n);
                CHECK_EQ(status, EFI_OUT_OF_RESOURCES);
                CHECK(n <= rows[i].limit && n + OWN_AT_MOST >= rows[i].limit);
                CHECK_EQ(rows[i].more(n), EFI_OUT_OF_RESOURCES);
                fixture_stop();
        }
}

static void test_objects(void)
{
        uint64_t address;
        size_t n = 0;
        int r = 0;

        REQUIRE(fixture_start(NULL));
        while (n <= 4096 && r == 0) {
                r = fw_object_new(&fixture, FW_OBJECT_FILE, 8, NULL, NULL, &address);
                n += r == 0;
        }
        CHECK(r < 0);
        CHECK(n <= 4096 && n + OWN_AT_MOST >= 4096);
        fixture_stop();
}

static const struct tap_test tests[] = {
                {"handles, protocols, events, registrations, openings, tables", test_counts},
                {"objects of the broker's", test_objects},
};

TAP_MAIN(tests)
