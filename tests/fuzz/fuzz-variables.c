/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The variable services with arbitrary arguments: pointers into and out of the payload's memory,
 * any size, any attributes. The machine's snapshot stays as it is, what is protected stays
 * protected, the overlay stays within its limits. Input: 16 bits of memory contents' length and so
 * many bytes for the payload's memory, then calls of 6 bytes each: service, five arguments from
 * arguments[] or small numbers. */
#include <assert.h>
#include <stdlib.h>

#include "shim/firmware/variables.h"
#include "tests/unit/firmware-fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t one[] = {1}, text[] = {'1', 0, '1', 0, 0, 0};
static struct fw_variable machine[4];

static void make_machine(void)
{
        machine[0] = (struct fw_variable){guid_global_variable, (char *)"SecureBoot", 6, one, 1};
        machine[1] = (struct fw_variable){guid_loader, (char *)"StubPcrKernelImage", 6, text, 6};
        machine[2] = (struct fw_variable){guid_loader, (char *)"LoaderSystemToken", 7, text, 6};
        machine[3] = (struct fw_variable){
                        guid_image_security_database, (char *)"db", 0x27, text, 6};
}

static uint64_t argument(uint8_t choice)
{
        switch (choice & 0xf) {
        case 0:
                return 0;
        case 1:
                return FIXTURE_BAD;
        case 2:
                return UINT64_MAX - (choice >> 4);
        case 3:
                return fixture_scratch + FIXTURE_SCRATCH_BYTES - (choice >> 4);
        case 4:
                return FIXTURE_SCRATCH_BYTES;
        case 5:
        case 6:
        case 7:
                return (uint64_t)choice >> 3;
        default:
                return fixture_scratch + 16 * (uint64_t)(choice - 8);
        }
}

static void check_store(void)
{
        const struct fw_variable *v, *set;
        size_t n, bytes = 0;

        assert(one[0] == 1 && text[0] == '1' && text[2] == '1');
        assert(variables_get(fixture.variables, &guid_global_variable, "SecureBoot", false, &v) ==
                                        EFI_SUCCESS &&
                        v->data == one && v->size == 1);
        assert(variables_get(fixture.variables, &guid_image_security_database, "db", false, &v) ==
                                        EFI_SUCCESS &&
                        v->data == text);
        assert(firmware_variables(&fixture, &set, &n) == 0 && n <= VARIABLES_MAX_COUNT);
        for (size_t i = 0; i < n; i++) {
                bytes += set[i].size;
                assert(set[i].size > 0 && set[i].size < VARIABLE_MAX_BYTES && set[i].name[0]);
                assert((set[i].attributes & ~7u) == 0);
        }
        assert(bytes <= VARIABLES_MAX_BYTES);
}

static void call(const uint8_t *p)
{
        static const uint8_t slots[] = {6, 7, 8, 13};
        uint64_t arg[FW_MAX_ARGS] = {0};

        for (size_t i = 0; i < 5; i++)
                arg[i] = argument(p[1 + i]);
        fixture.exited_boot_services = fixture.exited_boot_services || p[0] == 0xff;
        (void)fw_runtime_services[slots[p[0] % sizeof(slots)]].run(&fixture, arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        size_t n;

        if (size < 2)
                return 0;
        if (!fixture_firmware) {
                const struct firmware_setup setup = {
                                .volume_fd = -1, .variables = machine, .n_variables = 4};

                make_machine();
                if (!fixture_start(&setup))
                        abort();
                atexit(fixture_stop);
        }
        fw_variables_free(&fixture);
        fixture.exited_boot_services = false;
        if (fw_variables_setup(&fixture, NULL) < 0)
                return 0;
        n = (size_t)(data[0] | data[1] << 8);
        data += 2, size -= 2;
        if (n > size)
                n = size;
        (void)ram_zero(fixture.ram, fixture_scratch, FIXTURE_SCRATCH_BYTES);
        (void)ram_write(fixture.ram, fixture_scratch, data, n);
        for (data += n, size -= n; size >= 6; data += 6, size -= 6)
                call(data);
        check_store();
        return 0;
}
