/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of File protocol calls with arbitrary arguments on a small volume: the disk stays as it is,
 * memory and handles stay within their limits, and all is given back. Input: as in
 * fuzz-variables.c, but each call starts with two bytes, function and handle. */
#include <assert.h>
#include <stdlib.h>

#include "shim/firmware/volume.h"
#include "tests/unit/firmware-fixture.h"
#include "tests/unit/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_HANDLES 8u
#define N_SLOTS   15u /* of EFI_FILE_PROTOCOL, revision included */

static int volume_fd = -1;
static uint64_t handles[N_HANDLES];

static void make_volume(void)
{
        if (!scratch_new())
                abort();
        scratch_mkdir("EFI");
        scratch_mkdir("a");
        scratch_write("EFI/b.efi", "0123456789abcdef");
        scratch_write("a/b", "b");
        scratch_write("a/B", "clash");
        if (symlink("/etc", scratch_path("a/l")) < 0)
                abort();
        scratch_remember();
        volume_fd = open(scratch_path("."), O_PATH | O_DIRECTORY | O_CLOEXEC);
        atexit(scratch_remove);
}

static uint64_t argument(uint8_t choice)
{
        switch (choice & 0xf) {
        case 0:
                return choice >> 4;
        case 1:
                return FIXTURE_BAD - (choice >> 4);
        case 2:
                return UINT64_MAX - (choice >> 4);
        case 3:
                return 1ull << 63 | choice >> 4;
        case 4:
                return (uint64_t)choice << 16;
        case 5:
                return handles[(choice >> 4) % N_HANDLES];
        case 6:
        case 7:
                return choice;
        default:
                return fixture_scratch + 16 * (uint64_t)(choice - 8);
        }
}

/* One call of 7 bytes; a handle that Open gave is put among handles[]. */
static void call(const uint8_t *p)
{
        uint64_t file = handles[p[1] % N_HANDLES], arg[FW_MAX_ARGS] = {0};
        size_t slot = 1 + p[0] % (N_SLOTS - 1);
        EFI_STATUS status;

        arg[0] = p[1] & 0x80 ? argument(p[1]) : file;
        for (size_t i = 0; i < 5; i++)
                arg[1 + i] = argument(p[2 + i]);
        if (!file)
                return;
        status = fixture_call(file, slot, arg);
        if (slot == 1 && status == EFI_SUCCESS)
                handles[1 + p[1] / N_HANDLES % (N_HANDLES - 1)] = fixture_get(arg[1]);
        for (size_t i = 0; i < N_HANDLES;
                        i++) /* the row of a handle that was closed can't be called */
                if (!fw_object_state(&fixture, FW_OBJECT_FILE, handles[i]))
                        handles[i] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint64_t file_system, handle_at;
        size_t n;

        if (size < 2)
                return 0;
        if (volume_fd < 0)
                make_volume();
        if (!fixture_start(&(struct firmware_setup){.volume_fd = volume_fd}))
                abort();
        handle_at = fixture_u64(0, 0);
        assert(!efi_error(fw_locate_protocol(&fixture, &guid_simple_file_system, &file_system)));
        assert(!efi_error(FIXTURE_CALL(file_system, 1, file_system, handle_at)));
        memset(handles, 0, sizeof(handles));
        handles[0] = fixture_get(handle_at);
        n = (size_t)(data[0] | data[1] << 8);
        data += 2, size -= 2;
        if (n > size)
                n = size;
        (void)ram_write(fixture.ram, fixture_scratch, data, n);
        for (data += n, size -= n; size >= 7; data += 7, size -= 7)
                call(data);
        fixture_stop();
        assert(scratch_unchanged());
        return 0;
}
