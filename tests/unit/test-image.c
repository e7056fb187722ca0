/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading of PE files into guest memory: what an honest one looks like afterwards, and forged ones,
 * each of which must be refused and leave nothing behind. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/device-path.h"
#include "shim/firmware/handles.h"
#include "shim/firmware/image.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/tap.h"
#include "tests/unit/tiny-pe.h"

#define NOTHING SPAN(NULL, 0)

static EFI_STATUS load(const uint8_t file[TINY_BYTES], uint64_t *handle)
{
        return image_load(&fixture, 0, NOTHING, SPAN(file, TINY_BYTES), handle);
}

static uint64_t base_of(uint64_t handle)
{
        uint64_t protocol = 0;

        CHECK_EQ(fw_handle_protocol(&fixture, handle, &guid_loaded_image, &protocol), EFI_SUCCESS);
        return fixture_get(protocol + 64);
}

static void test_placed(void)
{
        uint8_t file[TINY_BYTES], seen[TINY_BYTES];
        uint64_t handle = 0, base, delta, protocol = 0;

        REQUIRE(fixture_start(NULL));
        tiny_pe(file);
        REQUIRE(load(file, &handle) == EFI_SUCCESS);
        base = base_of(handle);
        delta = base - TINY_BASE;
        CHECK_EQ(base % 4096, 0);
        CHECK(delta != 0);
        CHECK(ram_read(fixture.ram, base, seen, 0x400) && memcmp(seen, file, 0x400) == 0);
        CHECK(ram_read(fixture.ram, base + 0x1000, seen, 0x100) &&
                        memcmp(seen, file + TINY_TEXT_AT, 0x100) == 0);
        CHECK_EQ(fixture_get(base + 0x1100), 0); /* VirtualSize ends before the raw data does */
        CHECK_EQ(fixture_get(base + 0x2000), base + 0x1000);
        CHECK_EQ(fixture_get(base + 0x2008), base + 0x2345);
        CHECK_EQ(fixture_get(base + 0x2010), 0x1111111111111111);
        CHECK_EQ(fixture_get(base + 0x2ffc), delta); /* across two pages */
        CHECK_EQ(fixture_get(base + 0x3ff8), 0);
        REQUIRE(fw_handle_protocol(&fixture, handle, &guid_loaded_image, &protocol) == EFI_SUCCESS);
        CHECK_EQ(fixture_get(protocol + 72), TINY_IMAGE_BYTES);
        CHECK_EQ(fixture_get(protocol + 80), EfiLoaderCode | (uint64_t)EfiLoaderData << 32);
        CHECK_EQ(image_unload(&fixture, handle), EFI_SUCCESS);
        CHECK(!handle_exists(&fixture, handle));
        fixture_stop();
}

static void test_alignment(void)
{
        static const uint32_t alignments[] = {0x20, 0x200, 0x1000, 0x10000, 0x200000};
        uint8_t file[TINY_BYTES];

        REQUIRE(fixture_start(NULL));
        for (size_t i = 0; i < ARRAY_SIZE(alignments); i++) {
                uint64_t handle = 0;

                tiny_pe(file);
                tiny_put32(file + TINY_OPTIONAL + 32, alignments[i]);
                CHECK_EQ(load(file, &handle), EFI_SUCCESS);
                CHECK_EQ(base_of(handle) % (alignments[i] > 4096 ? alignments[i] : 4096), 0);
                CHECK_EQ(image_unload(&fixture, handle), EFI_SUCCESS);
        }
        fixture_stop();
}

/* Type HIGHLOW: Xen's images have addresses below 4 GiB in 32-bit code. */
static void test_low_halves(void)
{
        uint8_t file[TINY_BYTES], *reloc = file + TINY_RELOC_AT;
        uint64_t handle = 0, base;

        REQUIRE(fixture_start(NULL));
        tiny_pe(file);
        tiny_put16(reloc + 12, 3 << 12 | 0x10);
        REQUIRE(load(file, &handle) == EFI_SUCCESS);
        base = base_of(handle);
        CHECK_EQ(fixture_get(base + 0x2010),
                        0x1111111100000000 | (uint32_t)(0x11111111 + base - TINY_BASE));
        CHECK_EQ(image_unload(&fixture, handle), EFI_SUCCESS);
        /* the image's last four bytes, and its twin */
        tiny_put32(reloc, TINY_IMAGE_BYTES - 0x1000);
        tiny_put16(reloc + 12, 3 << 12 | 0xffc);
        CHECK_EQ(load(file, &handle), EFI_SUCCESS);
        tiny_put16(reloc + 12, 3 << 12 | 0xffd);
        CHECK_EQ(load(file, &handle), EFI_LOAD_ERROR);
        fixture_stop();
}

/* Without relocations an image goes where it was linked for, or nowhere. */
static void test_fixed(void)
{
        uint8_t file[TINY_BYTES];
        uint64_t handle = 0, second = 0;

        REQUIRE(fixture_start(NULL));
        tiny_pe(file);
        tiny_put16(file + TINY_PE + 22, 1); /* RELOCS_STRIPPED */
        CHECK_EQ(load(file, &handle), EFI_SUCCESS);
        CHECK_EQ(base_of(handle), TINY_BASE);
        CHECK_EQ(fixture_get(TINY_BASE + 0x2000), TINY_BASE + 0x1000);
        CHECK_EQ(load(file, &second), EFI_OUT_OF_RESOURCES);
        tiny_put64(file + TINY_OPTIONAL + 24, UINT64_MAX - 0xfff);
        CHECK_EQ(load(file, &second), EFI_OUT_OF_RESOURCES);
        CHECK_EQ(second, 0);
        fixture_stop();
}

static void test_paths(void)
{
        static const uint8_t elsewhere[] = {1, 1, 6, 0, 0, 3, 0x7f, 0xff, 4, 0};
        uint64_t handle = 0, device_path, interface = 0;
        _cleanup_buf_ struct buf path = {0}, copy = {0};
        uint8_t file[TINY_BYTES];
        struct span nodes;
        char where[64];

        REQUIRE(fixture_start(NULL));
        tiny_pe(file);
        REQUIRE(fw_handle_protocol(&fixture, fixture.device_handle, &guid_device_path,
                                &device_path) == EFI_SUCCESS);
        REQUIRE(fw_get_device_path(&fixture, device_path, &copy) &&
                        device_path_nodes(buf_span(&copy), &nodes));
        buf_put_span(&path, nodes);
        REQUIRE(device_path_put_file(&path, "\\EFI\\x.efi"));
        device_path_put_end(&path);
        REQUIRE(image_load(&fixture, 0, buf_span(&path), SPAN(file, sizeof(file)), &handle) ==
                        EFI_SUCCESS);
        REQUIRE(fw_handle_protocol(&fixture, handle, &guid_loaded_image, &interface) ==
                        EFI_SUCCESS);
        CHECK_EQ(fixture_get(interface + 24), fixture.device_handle);
        copy.size = 0;
        REQUIRE(fw_get_device_path(&fixture, fixture_get(interface + 32), &copy));
        CHECK_EQ(copy.size, path.size - nodes.size);
        CHECK(image_locate(&fixture, base_of(handle) + 0x1234, where, sizeof(where)));
        CHECK(strcmp(where, "x.efi+0x1234") == 0);
        CHECK(!image_locate(&fixture, base_of(handle) + TINY_IMAGE_BYTES, where, sizeof(where)));
        /* No such device: the whole path, and no handle. */
        REQUIRE(image_load(&fixture, 0, SPAN(elsewhere, sizeof(elsewhere)),
                                SPAN(file, sizeof(file)), &handle) == EFI_SUCCESS);
        REQUIRE(fw_handle_protocol(&fixture, handle, &guid_loaded_image, &interface) ==
                        EFI_SUCCESS);
        CHECK_EQ(fixture_get(interface + 24), 0);
        copy.size = 0;
        REQUIRE(fw_get_device_path(&fixture, fixture_get(interface + 32), &copy));
        CHECK_EQ(copy.size, sizeof(elsewhere));
        fixture_stop();
}

/* ---- forged files ---- */

#define S0 (TINY_SECTIONS + 0)
#define S1 (TINY_SECTIONS + 40)
#define R  TINY_RELOC_AT

static const struct {
        const char *name;
        unsigned offset, bytes;
        uint64_t value;
        EFI_STATUS status;
} twins[] = {
                {"no MZ", 0, 2, 0, EFI_LOAD_ERROR},
                {"no PE", TINY_PE, 4, 0, EFI_LOAD_ERROR},
                {"PE header behind the file", 0x3c, 4, 0xfffffff0, EFI_LOAD_ERROR},
                {"i386", TINY_PE + 4, 2, 0x14c, EFI_UNSUPPORTED},
                {"aarch64", TINY_PE + 4, 2, 0xaa64, EFI_UNSUPPORTED},
                {"no machine", TINY_PE + 4, 2, 0, EFI_UNSUPPORTED},
                {"no sections", TINY_PE + 6, 2, 0, EFI_LOAD_ERROR},
                {"65535 sections", TINY_PE + 6, 2, 0xffff, EFI_LOAD_ERROR},
                {"native program", TINY_OPTIONAL + 68, 2, 1, EFI_UNSUPPORTED},
                {"runtime driver", TINY_OPTIONAL + 68, 2, 12, EFI_UNSUPPORTED},
                {"entry behind the image", TINY_OPTIONAL + 16, 4, TINY_IMAGE_BYTES, EFI_LOAD_ERROR},
                {"entry at 4 GiB", TINY_OPTIONAL + 16, 4, 0xffffffff, EFI_LOAD_ERROR},
                {"image of nothing", TINY_OPTIONAL + 56, 4, 0, EFI_LOAD_ERROR},
                {"image of its headers", TINY_OPTIONAL + 56, 4, 0x400, EFI_LOAD_ERROR},
                {"image of 4 GiB", TINY_OPTIONAL + 56, 4, 0xffffffff, EFI_OUT_OF_RESOURCES},
                {"headers behind the file", TINY_OPTIONAL + 60, 4, 0x100000, EFI_LOAD_ERROR},
                {"long headers", TINY_OPTIONAL + 60, 4, TINY_BYTES, EFI_SUCCESS},
                {"alignment of 3", TINY_OPTIONAL + 32, 4, 3, EFI_LOAD_ERROR},
                {"alignment of 2 GiB", TINY_OPTIONAL + 32, 4, 0x80000000, EFI_LOAD_ERROR},
                {"section in the headers", S0 + 12, 4, 0, EFI_LOAD_ERROR},
                {"section behind the image", S0 + 12, 4, TINY_IMAGE_BYTES, EFI_LOAD_ERROR},
                {"section at 4 GiB", S0 + 12, 4, 0xfffff000, EFI_LOAD_ERROR},
                {"section over another", S0 + 12, 4, 0x2000, EFI_LOAD_ERROR},
                {"huge section", S0 + 8, 4, 0xffffffff, EFI_LOAD_ERROR},
                {"section that wraps", S1 + 8, 4, 0xffffe001, EFI_LOAD_ERROR},
                {"raw data behind the file", S0 + 20, 4, TINY_BYTES, EFI_LOAD_ERROR},
                {"raw data that wraps", S0 + 20, 4, 0xfffffff0, EFI_LOAD_ERROR},
                {"raw size of 4 GiB", S0 + 16, 4, 0xffffffff, EFI_LOAD_ERROR},
                {"relocations behind the image", TINY_RELOC_DIRECTORY, 4, TINY_IMAGE_BYTES,
                                EFI_LOAD_ERROR},
                {"relocations of 4 GiB", TINY_RELOC_DIRECTORY + 4, 4, 0xffffffff, EFI_LOAD_ERROR},
                {"relocations that wrap", TINY_RELOC_DIRECTORY, 4, 0xfffffff8, EFI_LOAD_ERROR},
                {"block of 0 bytes", R + 4, 4, 0, EFI_LOAD_ERROR},
                {"block of 7 bytes", R + 4, 4, 7, EFI_LOAD_ERROR},
                {"block of an odd size", R + 4, 4, 15, EFI_LOAD_ERROR},
                {"block behind the directory", R + 4, 4, 18, EFI_LOAD_ERROR},
                {"block of 4 GiB", R + 4, 4, 0xfffffffe, EFI_LOAD_ERROR},
                {"relocated page behind the image", R, 4, TINY_IMAGE_BYTES, EFI_LOAD_ERROR},
                {"relocated page at 4 GiB", R, 4, 0xfffff000, EFI_LOAD_ERROR},
                {"relocation over the image's end", R, 4, TINY_IMAGE_BYTES - 0x1000,
                                EFI_LOAD_ERROR},
                {"relocation of a high half", R + 8, 2, 1 << 12, EFI_LOAD_ERROR},
                {"ARM relocation", R + 8, 2, 5 << 12, EFI_LOAD_ERROR},
};

static void test_twins(void)
{
        uint8_t file[TINY_BYTES];

        REQUIRE(fixture_start(NULL));
        for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
                uint64_t used = ram_committed_bytes(fixture.ram), handle = 0;
                _cleanup_free_ uint64_t *before = NULL, *after = NULL;
                size_t n_before, n_after;
                EFI_STATUS status;

                REQUIRE(handles_with(&fixture, NULL, &before, &n_before));
                tiny_pe(file);
                for (unsigned k = 0; k < twins[i].bytes; k++)
                        file[twins[i].offset + k] = (uint8_t)(twins[i].value >> 8 * k);
                status = load(file, &handle);
                if (status == EFI_SUCCESS)
                        CHECK_EQ(image_unload(&fixture, handle), EFI_SUCCESS);
                else
                        CHECK_EQ(handle, 0);
                REQUIRE(handles_with(&fixture, NULL, &after, &n_after));
                if (status != twins[i].status || ram_committed_bytes(fixture.ram) != used ||
                                n_before != n_after) {
                        printf("# %s: status 0x%llx, %s\n", twins[i].name,
                                        (unsigned long long)status, image_refusal(&fixture));
                        tap_failures++;
                }
        }
        fixture_stop();
}

static void test_cut(void)
{
        uint8_t file[TINY_BYTES];

        REQUIRE(fixture_start(NULL));
        tiny_pe(file);
        for (size_t size = 0; size < sizeof(file); size++) {
                _cleanup_free_ uint8_t *exact = malloc(size + !size);
                uint64_t handle = 0;

                REQUIRE(exact);
                memcpy(exact, file, size);
                CHECK_EQ(image_load(&fixture, 0, NOTHING, SPAN(exact, size), &handle),
                                EFI_LOAD_ERROR);
        }
        fixture_stop();
}

/* What the hand-over can ask for: files of what is loaded, in order, and not of what is gone. */
static void test_files(void)
{
        _cleanup_free_ struct fw_image_file *files = NULL;
        uint8_t first[TINY_BYTES], second[TINY_BYTES];
        uint64_t handles[3] = {0};
        struct buf kept = {0}, kept_first = {0};
        size_t n = 0;

        REQUIRE(fixture_start(NULL));
        tiny_pe(first);
        tiny_pe(second);
        second[TINY_TEXT_AT] = 0x90;
        buf_put(&kept_first, first, sizeof(first));
        buf_put(&kept, second, sizeof(second));
        REQUIRE(load(first, &handles[0]) == EFI_SUCCESS && load(first, &handles[1]) == EFI_SUCCESS);
        REQUIRE(image_load(&fixture, 0, NOTHING, buf_span(&kept), &handles[2]) == EFI_SUCCESS);
        /* not without being asked: they take memory */
        CHECK(image_has_room(&fixture, UINT64_MAX));
        image_keep_file(&fixture, handles[2], &kept);
        CHECK_EQ(kept.size, sizeof(second));
        CHECK_EQ(firmware_image_files(&fixture, &files, &n), -ENODATA);
        fixture.setup.keep_files = true;
        image_keep_file(&fixture, handles[1], &kept_first);
        CHECK_EQ(image_unload(&fixture, handles[0]), EFI_SUCCESS);
        REQUIRE(firmware_image_files(&fixture, &files, &n) == 0 && n == 2);
        CHECK(span_equal(files[0].file, SPAN(first, sizeof(first))) && files[1].file.size == 0);
        free(TAKE_PTR(files));
        CHECK(!image_has_room(&fixture, 32u << 20));
        CHECK(image_has_room(&fixture, (32u << 20) - sizeof(first)));
        image_keep_file(&fixture, handles[2], &kept);
        CHECK(kept.size == 0 && !image_has_room(&fixture, (32u << 20) - sizeof(first)));
        fixture.image_handle = handles[1];
        REQUIRE(firmware_image_files(&fixture, &files, &n) == 0 && n == 2);
        CHECK(files[0].is_payload && !files[1].is_payload && !files[1].verified);
        CHECK(span_equal(files[0].file, SPAN(first, sizeof(first))));
        CHECK(span_equal(files[1].file, SPAN(second, sizeof(second))));
        CHECK_EQ(image_unload(&fixture, handles[2]), EFI_SUCCESS);
        CHECK(image_has_room(&fixture, (32u << 20) - sizeof(first)));
        fixture_stop();
}

static const struct tap_test tests[] = {
                {"an image in memory", test_placed},
                {"SectionAlignment is honoured", test_alignment},
                {"relocations of low halves", test_low_halves},
                {"images without relocations", test_fixed},
                {"device handle and file path", test_paths},
                {"forged files", test_twins},
                {"files cut off at every byte", test_cut},
                {"files of loaded images", test_files},
};
TAP_MAIN(tests)
