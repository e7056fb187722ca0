/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SimpleFileSystem and File over guest memory: structures, modes, positions, bad pointers, and
 * LoadImage's way of reading a file. What the volume under them does is test-volume.c. */
#include <fcntl.h>
#include <unistd.h>

#include "base/device-path.h"
#include "shim/firmware/efi-time.h"
#include "shim/firmware/file.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum {
        OPEN = 1,
        CLOSE,
        DELETE,
        READ,
        WRITE,
        GET_POSITION,
        SET_POSITION,
        GET_INFO,
        SET_INFO,
        FLUSH,
        OPEN_EX
};

#define READ_MODE   1ull
#define WRITE_MODE  3ull
#define CREATE_MODE (3ull | 1ull << 63)

static int volume_fd = -1;
static uint64_t file_system, root_file, handle_at, name_at, size_at, info_at, data_at;
static const char contents[] = "0123456789abcdef";

static bool set_up(void)
{
        struct firmware_setup setup = {0};

        if (!scratch_new())
                return false;
        scratch_mkdir("EFI");
        scratch_mkdir("EFI/Linux");
        scratch_mkdir("EFI/Linux/b.efi.extra.d");
        scratch_write("EFI/Linux/b.efi", contents);
        scratch_write("EFI/Linux/b.efi.extra.d/A.cred", "a");
        scratch_write("EFI/Linux/b.efi.extra.d/B.cred", "b");
        scratch_remember();
        volume_fd = open(scratch_path("."), O_PATH | O_DIRECTORY | O_CLOEXEC);
        setup.volume_fd = volume_fd;
        if (!fixture_start(&setup) || efi_error(fw_handle_protocol(&fixture, fixture.device_handle,
                                                      &guid_simple_file_system, &file_system)))
                return false;
        handle_at = fixture_u64(0, 0);
        size_at = fixture_u64(8, 0);
        info_at = fixture_bytes(16, &guid_file_info, 16);
        name_at = fixture_scratch + 4096;
        data_at = fixture_scratch + 20480;
        if (FIXTURE_CALL(file_system, 1, file_system, handle_at) != EFI_SUCCESS)
                return false;
        root_file = fixture_get(handle_at);
        return true;
}

static void tear_down(void)
{
        CHECK(scratch_unchanged());
        fixture_stop();
        close(volume_fd);
        scratch_remove();
}

#define SET_UP()                  \
        if (!set_up()) {          \
                CHECK(!"set up"); \
                return;           \
        }

/* Open relative to a file object; the new one or 0, and the status. */
static EFI_STATUS open_file(
                uint64_t from, const char *path, uint64_t mode, uint64_t attributes, uint64_t *ret)
{
        EFI_STATUS status;

        (void)fixture_text(4096, path);
        status = FIXTURE_CALL(from, OPEN, from, handle_at, name_at, mode, attributes);
        *ret = status == EFI_SUCCESS ? fixture_get(handle_at) : 0;
        return status;
}

static EFI_STATUS read_file(uint64_t file, uint64_t size)
{
        (void)fixture_u64(8, size);
        return FIXTURE_CALL(file, READ, file, size_at, data_at);
}

static EFI_STATUS write_file(uint64_t file, const char *text)
{
        (void)fixture_u64(8, strlen(text));
        (void)fixture_bytes(20480, text, strlen(text));
        return FIXTURE_CALL(file, WRITE, file, size_at, data_at);
}

static bool data_is(const char *text)
{
        struct span view;

        return fixture_get(size_at) == strlen(text) &&
               ram_view(fixture.ram, data_at, strlen(text), &view) &&
               span_equal(view, SPAN(text, strlen(text)));
}

static void test_layout(void)
{
        SET_UP();
        CHECK_EQ(fixture_get(file_system), 0x10000);
        CHECK_EQ(fixture_get(root_file), 0x10000);
        for (size_t slot = OPEN; slot < 15; slot++)
                CHECK(thunks_find(&fixture, fixture_get(root_file + 8 * slot),
                                &(const struct fw_service *){0}));
        for (size_t slot = OPEN_EX; slot < 15; slot++)
                CHECK(FIXTURE_CALL(root_file, slot, root_file, 0, 0) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(file_system, 1, file_system, 0) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file_system, 1, root_file, handle_at) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file_system, 1, file_system, FIXTURE_BAD) == EFI_INVALID_PARAMETER);
        tear_down();
}

static void test_read(void)
{
        uint64_t file;

        SET_UP();
        REQUIRE(open_file(root_file, "\\EFI\\LINUX\\B.EFI", READ_MODE, 0, &file) == EFI_SUCCESS);
        CHECK(read_file(file, 10) == EFI_SUCCESS && data_is("0123456789"));
        CHECK(read_file(file, 10) == EFI_SUCCESS && data_is("abcdef"));
        CHECK(read_file(file, 10) == EFI_SUCCESS && data_is(""));
        CHECK(FIXTURE_CALL(file, GET_POSITION, file, size_at) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(size_at), 16);
        CHECK(FIXTURE_CALL(file, SET_POSITION, file, 14) == EFI_SUCCESS);
        /* only what there is must have room */
        CHECK(read_file(file, UINT64_MAX) == EFI_SUCCESS && data_is("ef"));
        CHECK(FIXTURE_CALL(file, SET_POSITION, file, 17) == EFI_SUCCESS);
        CHECK(read_file(file, 1) == EFI_DEVICE_ERROR);
        CHECK(FIXTURE_CALL(file, SET_POSITION, file, UINT64_MAX) == EFI_SUCCESS);
        CHECK(FIXTURE_CALL(file, GET_POSITION, file, size_at) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(size_at), 16);
        CHECK(FIXTURE_CALL(file, SET_POSITION, file, 0) == EFI_SUCCESS);
        (void)fixture_u64(8, 4);
        CHECK(FIXTURE_CALL(file, READ, file, size_at, 0) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, READ, file, size_at, FIXTURE_BAD) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, READ, file, size_at, FIXTURE_BAD - 2) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, READ, file, 0, data_at) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, READ, file, FIXTURE_BAD, data_at) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, READ, file + 8, size_at, data_at) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, READ, file_system, size_at, data_at) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, CLOSE, file) == EFI_SUCCESS);
        CHECK(FIXTURE_CALL(root_file, CLOSE, file) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(root_file, READ, file, size_at, data_at) == EFI_INVALID_PARAMETER);
        tear_down();
}

static void test_open_arguments(void)
{
        static const uint64_t bad_modes[] = {0, 2, 4, 5, 1ull << 63, 1 | 1ull << 63, UINT64_MAX};
        uint64_t file;

        SET_UP();
        for (size_t i = 0; i < sizeof(bad_modes) / sizeof(bad_modes[0]); i++)
                CHECK(open_file(root_file, "EFI", bad_modes[i], 0, &file) == EFI_INVALID_PARAMETER);
        CHECK(open_file(root_file, "new", CREATE_MODE, 0x40, &file) == EFI_INVALID_PARAMETER);
        CHECK(open_file(root_file, "new", CREATE_MODE, 0x08, &file) == EFI_INVALID_PARAMETER);
        CHECK(open_file(root_file, "..\\..\\etc\\passwd", READ_MODE, 0, &file) ==
                        EFI_INVALID_PARAMETER);
        CHECK(open_file(root_file, "nothing", READ_MODE, 0, &file) == EFI_NOT_FOUND);
        CHECK(open_file(root_file, "nothing", WRITE_MODE, 0, &file) == EFI_NOT_FOUND);
        CHECK(FIXTURE_CALL(root_file, OPEN, root_file, 0, name_at, READ_MODE, 0) ==
                        EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(root_file, OPEN, root_file, handle_at, 0, READ_MODE, 0) ==
                        EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(root_file, OPEN, root_file, handle_at, FIXTURE_BAD, READ_MODE, 0) ==
                        EFI_INVALID_PARAMETER);
        (void)fixture_text(4096, "EFI");
        CHECK(FIXTURE_CALL(root_file, OPEN, root_file, FIXTURE_BAD, name_at, READ_MODE, 0) ==
                        EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(root_file, OPEN, 0, handle_at, name_at, READ_MODE, 0) ==
                        EFI_INVALID_PARAMETER);
        for (unsigned i = 0; i < FILES_MAX_OPEN - 1; i++)
                REQUIRE(open_file(root_file, "EFI\\Linux\\b.efi", READ_MODE, 0, &file) ==
                                EFI_SUCCESS);
        CHECK(open_file(root_file, "EFI", READ_MODE, 0, &(uint64_t){0}) == EFI_OUT_OF_RESOURCES);
        CHECK(FIXTURE_CALL(file, CLOSE, file) == EFI_SUCCESS);
        CHECK(open_file(root_file, "EFI", READ_MODE, 0, &file) == EFI_SUCCESS);
        tear_down(); /* the others are freed with the run */
}

/* One EFI_FILE_INFO of the directory at data_at: name as ASCII. */
static EFI_STATUS read_entry(uint64_t directory, uint64_t room, char *name, size_t name_size,
                uint64_t *attribute)
{
        EFI_STATUS status = read_file(directory, room);
        uint64_t size = fixture_get(size_at);

        name[0] = '\0';
        if (status != EFI_SUCCESS || size == 0)
                return status;
        CHECK_EQ(fixture_get(data_at), size);
        *attribute = fixture_get(data_at + 72);
        for (size_t i = 0; i < name_size; i++) {
                uint16_t unit = 0;

                (void)ram_get_u16(fixture.ram, data_at + 80 + 2 * i, &unit);
                name[i] = (char)unit;
        }
        return status;
}

static void test_directory(void)
{
        uint64_t directory, attribute = 0;
        char name[32];

        SET_UP();
        REQUIRE(open_file(root_file, "EFI\\Linux", READ_MODE, 0, &directory) == EFI_SUCCESS);
        for (int round = 0; round < 2; round++) { /* FAT's own entries come first */
                for (int i = 0; i < 2; i++) {
                        CHECK(read_entry(directory, 1024, name, sizeof(name), &attribute) ==
                                        EFI_SUCCESS);
                        CHECK(strcmp(name, i ? ".." : ".") == 0);
                        CHECK_EQ(attribute, EFI_FILE_DIRECTORY);
                }
                if (round == 0)
                        CHECK(FIXTURE_CALL(directory, SET_POSITION, directory, 0) == EFI_SUCCESS);
        }
        CHECK(read_entry(directory, 40, name, sizeof(name), &attribute) == EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(fixture_get(size_at), 80 + 12);
        CHECK(read_entry(directory, 92, name, sizeof(name), &attribute) == EFI_SUCCESS);
        CHECK(strcmp(name, "b.efi") == 0);
        CHECK_EQ(attribute, EFI_FILE_ARCHIVE);
        CHECK_EQ(fixture_get(data_at + 8), 16);   /* FileSize */
        CHECK_EQ(fixture_get(data_at + 16), 512); /* PhysicalSize */
        CHECK(read_entry(directory, 1024, name, sizeof(name), &attribute) == EFI_SUCCESS);
        CHECK(strcmp(name, "b.efi.extra.d") == 0);
        CHECK_EQ(attribute, EFI_FILE_DIRECTORY);
        CHECK(read_file(directory, 1024) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(size_at), 0);
        CHECK(read_file(directory, 0) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(size_at), 0);
        CHECK(FIXTURE_CALL(directory, SET_POSITION, directory, 1) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(directory, GET_POSITION, directory, size_at) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(directory, SET_POSITION, directory, 0) == EFI_SUCCESS);
        CHECK(read_entry(directory, 1024, name, sizeof(name), &attribute) == EFI_SUCCESS);
        CHECK(strcmp(name, ".") == 0);
        CHECK(read_entry(root_file, 1024, name, sizeof(name), &attribute) == EFI_SUCCESS);
        CHECK(strcmp(name, "EFI") == 0); /* the root has none */
        (void)fixture_u64(8, 1024);
        CHECK(FIXTURE_CALL(directory, READ, directory, size_at, 0) == EFI_INVALID_PARAMETER);
        CHECK(write_file(directory, "x") == EFI_UNSUPPORTED);
        tear_down();
}

static void test_overlay(void)
{
        uint64_t file, again, directory;

        SET_UP();
        REQUIRE(open_file(root_file, "EFI\\Linux\\b.efi", READ_MODE, 0, &file) == EFI_SUCCESS);
        CHECK(write_file(file, "x") == EFI_ACCESS_DENIED);
        CHECK(FIXTURE_CALL(file, FLUSH, file) == EFI_ACCESS_DENIED);
        CHECK(FIXTURE_CALL(file, DELETE, file) == EFI_WARN_DELETE_FAILURE);
        CHECK(FIXTURE_CALL(root_file, CLOSE, file) == EFI_INVALID_PARAMETER);
        REQUIRE(open_file(root_file, "EFI\\Linux\\b.efi", WRITE_MODE, 0, &file) == EFI_SUCCESS);
        REQUIRE(open_file(root_file, "EFI\\Linux\\b.efi", READ_MODE, 0, &again) == EFI_SUCCESS);
        CHECK(FIXTURE_CALL(file, SET_POSITION, file, 14) == EFI_SUCCESS);
        CHECK(write_file(file, "XYZ") == EFI_SUCCESS);
        CHECK(FIXTURE_CALL(file, FLUSH, file) == EFI_SUCCESS);
        CHECK(read_file(again, 100) == EFI_SUCCESS && data_is("0123456789abcdXYZ"));
        (void)fixture_u64(8, 5);
        CHECK(FIXTURE_CALL(file, WRITE, file, size_at, FIXTURE_BAD) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, WRITE, file, size_at, 0) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, WRITE, file, 0, data_at) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, SET_POSITION, file, 1ull << 40) == EFI_SUCCESS);
        CHECK(write_file(file, "far") == EFI_VOLUME_FULL);
        CHECK_EQ(fixture_get(size_at), 0);
        CHECK(FIXTURE_CALL(file, DELETE, file) == EFI_SUCCESS);
        CHECK(read_file(again, 1) == EFI_DEVICE_ERROR);
        CHECK(FIXTURE_CALL(again, GET_INFO, again, info_at, size_at, data_at) == EFI_DEVICE_ERROR);
        CHECK(FIXTURE_CALL(again, CLOSE, again) == EFI_SUCCESS);
        CHECK(open_file(root_file, "EFI\\Linux\\b.efi", READ_MODE, 0, &file) == EFI_NOT_FOUND);
        REQUIRE(open_file(root_file, "new", CREATE_MODE, EFI_FILE_DIRECTORY, &directory) ==
                        EFI_SUCCESS);
        REQUIRE(open_file(directory, "file", CREATE_MODE, EFI_FILE_READ_ONLY, &file) ==
                        EFI_SUCCESS);
        CHECK(write_file(file, "made") == EFI_SUCCESS);
        CHECK(FIXTURE_CALL(file, CLOSE, file) == EFI_SUCCESS);
        CHECK(open_file(root_file, "NEW\\FILE", WRITE_MODE, 0, &file) == EFI_ACCESS_DENIED);
        CHECK(open_file(root_file, "NEW\\FILE", CREATE_MODE, 0, &file) == EFI_ACCESS_DENIED);
        REQUIRE(open_file(root_file, "NEW\\FILE", READ_MODE, 0, &file) == EFI_SUCCESS);
        CHECK(read_file(file, 100) == EFI_SUCCESS && data_is("made"));
        CHECK(FIXTURE_CALL(directory, DELETE, directory) == EFI_WARN_DELETE_FAILURE);
        CHECK(FIXTURE_CALL(root_file, DELETE, root_file) == EFI_WARN_DELETE_FAILURE);
        tear_down();
}

static EFI_STATUS get_info(uint64_t file, const EFI_GUID *type, uint64_t room)
{
        (void)fixture_bytes(16, type, 16);
        (void)fixture_u64(8, room);
        return FIXTURE_CALL(file, GET_INFO, file, info_at, size_at, data_at);
}

static void test_get_info(void)
{
        uint64_t file;
        uint16_t year = 0;

        SET_UP();
        REQUIRE(open_file(root_file, "EFI\\Linux\\B.EFI", READ_MODE, 0, &file) == EFI_SUCCESS);
        CHECK(get_info(file, &guid_file_info, 0) == EFI_BUFFER_TOO_SMALL);
        CHECK_EQ(fixture_get(size_at), 92);
        CHECK(get_info(file, &guid_file_info, 592) == EFI_SUCCESS); /* what stubs pass */
        CHECK_EQ(fixture_get(size_at), 92);
        CHECK_EQ(fixture_get(data_at), 92);
        CHECK_EQ(fixture_get(data_at + 8), 16);
        CHECK(ram_get_u16(fixture.ram, data_at + 56, &year) && year >= 2024);
        CHECK_EQ(fixture_get(data_at + 80), 0x00660065002e0062);
        CHECK(get_info(root_file, &guid_file_info, 592) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(data_at), 82);
        CHECK_EQ(fixture_get(data_at + 72), EFI_FILE_DIRECTORY);
        CHECK(get_info(root_file, &guid_file_system_info, 592) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(data_at), 38);
        CHECK_EQ(fixture_get(data_at + 24), VOLUME_OVERLAY_BYTES);
        CHECK(get_info(root_file, &guid_file_system_volume_label, 592) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(size_at), 2);
        CHECK(get_info(file, &guid_tcg2, 592) == EFI_UNSUPPORTED);
        CHECK(FIXTURE_CALL(file, GET_INFO, file, 0, size_at, data_at) == EFI_INVALID_PARAMETER);
        CHECK(FIXTURE_CALL(file, GET_INFO, file, info_at, 0, data_at) == EFI_INVALID_PARAMETER);
        (void)fixture_bytes(16, &guid_file_info, 16);
        (void)fixture_u64(8, 91);
        CHECK(FIXTURE_CALL(file, GET_INFO, file, info_at, size_at, FIXTURE_BAD) ==
                        EFI_BUFFER_TOO_SMALL);
        (void)fixture_u64(8, 592);
        CHECK(FIXTURE_CALL(file, GET_INFO, file, info_at, size_at, FIXTURE_BAD) ==
                        EFI_INVALID_PARAMETER);
        tear_down();
}

/* An EFI_FILE_INFO at data_at that asks for size, attribute and name; times zero. */
static void put_info(uint64_t size, uint64_t attribute, const char *name)
{
        (void)ram_zero(fixture.ram, data_at, 1024);
        (void)fixture_u64(20480, 80 + 2 * (strlen(name) + 1));
        (void)fixture_u64(20480 + 8, size);
        (void)fixture_u64(20480 + 72, attribute);
        (void)fixture_text(20480 + 80, name);
}

static EFI_STATUS set_info(uint64_t file, uint64_t size)
{
        (void)fixture_bytes(16, &guid_file_info, 16);
        return FIXTURE_CALL(file, SET_INFO, file, info_at, size, data_at);
}

static void test_set_info(void)
{
        uint64_t file, reader;

        SET_UP();
        REQUIRE(open_file(root_file, "EFI\\Linux\\b.efi", WRITE_MODE, 0, &file) == EFI_SUCCESS);
        REQUIRE(open_file(root_file, "EFI\\Linux\\b.efi", READ_MODE, 0, &reader) == EFI_SUCCESS);
        put_info(3, EFI_FILE_ARCHIVE, "b.efi");
        CHECK(set_info(reader, 1024) == EFI_ACCESS_DENIED);
        CHECK(set_info(file, 81) == EFI_BAD_BUFFER_SIZE);
        CHECK(set_info(file, 90) == EFI_INVALID_PARAMETER); /* Size says 92 */
        CHECK(set_info(file, UINT64_MAX) == EFI_INVALID_PARAMETER);
        CHECK(set_info(file, 1024) == EFI_SUCCESS);
        CHECK(read_file(reader, 100) == EFI_SUCCESS && data_is("012"));
        put_info(3, EFI_FILE_ARCHIVE, "..\\moved.efi");
        (void)fixture_bytes(20480 + 56, "\xea\x07\x01\x02\x03\x04\x05\0\0\0\0\0\0\0\0",
                        16); /* 2026-01-02 */
        CHECK(set_info(file, 1024) == EFI_SUCCESS);
        CHECK(get_info(file, &guid_file_info, 592) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(data_at + 56), 0x00050403020107ea);
        CHECK(open_file(root_file, "EFI\\moved.efi", READ_MODE, 0, &reader) == EFI_SUCCESS);
        put_info(3, EFI_FILE_DIRECTORY, "moved.efi");
        CHECK(set_info(file, 1024) == EFI_ACCESS_DENIED);
        put_info(3, 0x08, "moved.efi");
        CHECK(set_info(file, 1024) == EFI_INVALID_PARAMETER);
        put_info(3, EFI_FILE_READ_ONLY, "moved.efi");
        CHECK(set_info(reader, 1024) ==
                        EFI_SUCCESS); /* attributes also through a read-only handle */
        put_info(4, EFI_FILE_READ_ONLY, "moved.efi");
        CHECK(set_info(file, 1024) == EFI_ACCESS_DENIED);
        put_info(3, 0, "x");
        (void)fixture_bytes(20480 + 40, "\xea\x07\x0d", 3); /* month 13 */
        CHECK(set_info(file, 1024) == EFI_INVALID_PARAMETER);
        put_info(0, EFI_FILE_DIRECTORY, "new");
        CHECK(set_info(root_file, 1024) == EFI_ACCESS_DENIED);
        (void)fixture_bytes(16, &guid_file_system_info, 16);
        CHECK(FIXTURE_CALL(file, SET_INFO, file, info_at, 100, data_at) == EFI_WRITE_PROTECTED);
        (void)fixture_bytes(16, &guid_tcg2, 16);
        CHECK(FIXTURE_CALL(file, SET_INFO, file, info_at, 100, data_at) == EFI_UNSUPPORTED);
        tear_down();
}

static EFI_STATUS load(struct span nodes, struct buf *ret)
{
        return fw_read_file(&fixture, nodes, ret);
}

static void test_read_by_device_path(void)
{
        struct buf path = {0}, bytes = {0};

        SET_UP();
        REQUIRE(device_path_put_file(&path, "\\EFI\\Linux"));
        REQUIRE(device_path_put_file(&path, "b.efi"));
        device_path_put_end(&path);
        REQUIRE(load(buf_span(&path), &bytes) == EFI_SUCCESS);
        CHECK(span_equal(buf_span(&bytes), SPAN(contents, strlen(contents))));
        buf_release(&bytes);
        path.size = 0;
        REQUIRE(device_path_put_file(&path, "\\EFI\\Linux"));
        CHECK(load(buf_span(&path), &bytes) == EFI_NOT_FOUND); /* a directory */
        path.size = 0;
        REQUIRE(device_path_put_file(&path, "\\EFI\\..\\..\\etc\\passwd"));
        CHECK(load(buf_span(&path), &bytes) == EFI_INVALID_PARAMETER);
        CHECK(load(SPAN("\x01\x01\x06\x00\x01\x02", 6), &bytes) == EFI_NOT_FOUND);
        CHECK(load(SPAN("\x7f\xff\x04\x00", 4), &bytes) == EFI_NOT_FOUND);
        CHECK(load(SPAN(NULL, 0), &bytes) == EFI_NOT_FOUND);
        buf_release(&path);
        tear_down();
}

static void test_no_volume(void)
{
        uint64_t interface;
        struct buf bytes = {0};

        REQUIRE(fixture_start(NULL));
        CHECK(fw_locate_protocol(&fixture, &guid_simple_file_system, &interface) == EFI_NOT_FOUND);
        CHECK(load(SPAN("\x04\x04\x08\x00x\0\0\0", 8), &bytes) == EFI_NOT_FOUND);
        fixture_stop();
}

static void test_time(void)
{
        static const struct timespec times[] = {{0, 0}, {1792411200, 999999999}, {951782399, 1}};
        struct buf b = {0};
        struct timespec back;
        struct cursor c;
        uint8_t bytes[16];

        for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
                b.size = 0;
                efi_time_put(&b, times[i]);
                c = CURSOR(buf_span(&b));
                CHECK(b.size == 16 && efi_time_take(&c, &back) && back.tv_sec == times[i].tv_sec &&
                                back.tv_nsec == times[i].tv_nsec);
        }
        memcpy(bytes, b.data, 16);
        bytes[12] = 60; /* an hour behind UTC: Localtime = UTC - TimeZone */
        c = CURSOR(SPAN(bytes, 16));
        CHECK(efi_time_take(&c, &back) && back.tv_sec == times[2].tv_sec + 3600);
        bytes[2] = 2, bytes[3] = 30;
        c = CURSOR(SPAN(bytes, 16));
        CHECK(!efi_time_take(&c, &back) && c.offset == 0);
        c = CURSOR(SPAN(bytes, 15));
        CHECK(!efi_time_take(&c, &back));
        buf_release(&b);
}

static const struct tap_test tests[] = {
                {"protocol structures and OpenVolume", test_layout},
                {"Read, positions, bad pointers", test_read},
                {"Open's arguments and the number of open files", test_open_arguments},
                {"reading a directory", test_directory},
                {"Write, Delete, create: in memory only", test_overlay},
                {"GetInfo", test_get_info},
                {"SetInfo", test_set_info},
                {"a file by its device path", test_read_by_device_path},
                {"no volume, no protocol", test_no_volume},
                {"EFI_TIME", test_time},
};

TAP_MAIN(tests)
