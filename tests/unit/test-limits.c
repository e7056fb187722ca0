/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a payload may have of everything that the broker keeps for it: up to the number that
 * docs/threat-model.md names (tests/unit/docs.sh compares them with the code), and not one more.
 * Those that need a guest are tested with one. */
#include <errno.h>

#include "base/cleanup.h"
#include "shim/firmware/events.h"
#include "shim/firmware/handles.h"
#include "shim/firmware/volume.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/scratch.h"
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

#define WAIT_FOR_EVENT (3 + 9) /* behind the table's header of three words */

static void test_waiting(void)
{
        uint64_t events[65], list, index;

        REQUIRE(fixture_start(NULL));
        for (size_t i = 0; i < ARRAY_SIZE(events); i++)
                REQUIRE(fw_event_new(&fixture, 0, 0, 0, 0, NULL, &events[i]) == EFI_SUCCESS);
        REQUIRE(fw_event_signal(&fixture, events[63]) == EFI_SUCCESS);
        list = fixture_bytes(0, events, sizeof(events));
        index = fixture_u64(sizeof(events), 0);
        CHECK_EQ(FIXTURE_CALL(fixture.boot_services, WAIT_FOR_EVENT, 65, list, index),
                        EFI_INVALID_PARAMETER);
        CHECK_EQ(FIXTURE_CALL(fixture.boot_services, WAIT_FOR_EVENT, 64, list, index), EFI_SUCCESS);
        CHECK_EQ(fixture_get(index), 63);
        fixture_stop();
}

/* ---- the volume ---- */

static void fill(const char *folder, unsigned n)
{
        char name[64];

        scratch_mkdir(folder);
        for (unsigned i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "%s/%u", folder, i);
                if (mknod(scratch_path(name), S_IFREG | 0600, 0) < 0)
                        abort();
        }
}

/* Looks at a whole folder. */
static EFI_STATUS list(struct volume *volume, const char *folder, size_t *ret_n)
{
        _cleanup_buf_ struct buf name = {0};
        struct volume_node *root = volume_root(volume), *node;
        struct volume_info info;
        EFI_STATUS status;

        (void)utf8_to_utf16(folder, &name);
        status = volume_open(volume, root, buf_span(&name), false, 0, &node, NULL);
        volume_unref(volume, root);
        for (size_t index = 0; status == EFI_SUCCESS; index++, (*ret_n)++) {
                status = volume_entry(volume, node, &index, &info);
                if (status != EFI_SUCCESS)
                        break;
        }
        return status;
}

static void test_volume(void)
{
        static const char *const folders[] = {"a", "b", "c", "d", "e"};
        struct volume *volume;
        EFI_STATUS status = EFI_NOT_FOUND;
        size_t n = 0, none = 0;
        int fd;

        /* Tens of thousands of files: in memory, or not at all. */
        snprintf(scratch_root, sizeof(scratch_root), "/dev/shm/mkexec-test-XXXXXX");
        if (!mkdtemp(scratch_root))
                SKIP("nothing can be made in /dev/shm");
        fill("full", 16385);
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
                fill(folders[i], 14000);
        fd = open(scratch_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        REQUIRE(volume_new(fd, &volume) == 0);
        CHECK_EQ(list(volume, "full", &none), EFI_OUT_OF_RESOURCES);
        CHECK_EQ(none, 0);
        volume_free(volume);
        REQUIRE(volume_new(fd, &volume) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(folders) && status == EFI_NOT_FOUND; i++)
                status = list(volume, folders[i], &n);
        CHECK_EQ(status, EFI_OUT_OF_RESOURCES);
        CHECK_EQ(n, 4 * 14000); /* the fifth would be more than 65536 */
        volume_free(volume);
        close(fd);
        scratch_remove();
}

static const struct tap_test tests[] = {
                {"handles, protocols, events, registrations, openings, tables", test_counts},
                {"objects of the broker's", test_objects},
                {"events that are waited for", test_waiting},
                {"entries of directories", test_volume},
};

TAP_MAIN(tests)
