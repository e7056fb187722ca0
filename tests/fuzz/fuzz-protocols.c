/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions of the protocols but File's (fuzz-file.c) with arbitrary arguments: TCG2's edge with
 * events and commands in the payload's memory, random numbers, console, DevicePathToText,
 * LoadFile2. They write nowhere but into the payload's memory and their own objects, and what was
 * recorded gives the PCRs that the payload reads. Input: 16 bits of memory contents' length and so
 * many bytes for the payload's memory, then calls of 8 bytes: protocol, function, six arguments.
 * Corpus: tests/corpus/protocols/ (made by tests/corpus/make-protocols.py). */
#include <stdlib.h>

#include "base/cleanup.h"
#include "tcg2/protocol.h"
#include "tests/fuzz/tcg2-record.h"
#include "tests/unit/firmware-fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The order is the corpus's. */
static const struct target {
        const EFI_GUID *guid;
        size_t first_slot, n_slots;
} targets[] = {
                {&guid_tcg2, 0, 7},
                {&guid_rng, 0, 2},
                {&guid_simple_text_output, 0, 9},
                {&guid_simple_text_input, 0, 2},
                {&guid_simple_text_input_ex, 0, 2},
                {&guid_simple_text_input_ex, 3, 3},
                {&guid_device_path_to_text, 0, 2},
                {&guid_load_file2, 0, 1},
};

static uint64_t interfaces[ARRAY_SIZE(targets)];

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void ignore(void *arg, const char *line)
{
        require(!arg && strlen(line) < 4096);
}

#define NUMBERS_AT 0xe0u /* 16 of 16 bits, in the payload's memory */

/* Low nibble of 8 to 15: an address in the first 4 KiB of the payload's memory. */
static uint64_t argument(uint8_t choice, uint64_t interface)
{
        uint8_t number[2] = {0};

        switch (choice & 0xf) {
        case 0:
                return choice >> 4;
        case 1:
                return FIXTURE_BAD - (choice >> 4);
        case 2:
                return UINT64_MAX - (choice >> 4);
        case 3:
                return fixture_scratch + FIXTURE_SCRATCH_BYTES - (choice >> 4);
        case 4:
                return 1ull << (choice >> 4);
        case 5:
                return interface;
        case 6:
                (void)ram_read(fixture.ram, fixture_scratch + NUMBERS_AT + 2u * (choice >> 4),
                                number, 2);
                return number[0] | (uint64_t)number[1] << 8;
        case 7:
                return 1ull << (16 + (choice >> 4));
        default:
                return fixture_scratch + 16 * (uint64_t)(choice - 8);
        }
}

static void call(const uint8_t *p)
{
        const struct target *t = &targets[p[0] % ARRAY_SIZE(targets)];
        uint64_t interface = interfaces[t - targets], arg[FW_MAX_ARGS] = {0};

        for (size_t i = 0; i < 6; i++)
                arg[i] = argument(p[2 + i], interface);
        (void)fixture_call(interface, t->first_slot + p[1] % t->n_slots, arg);
}

static void start(struct tcg2 *tcg2)
{
        const struct firmware_setup setup = {.volume_fd = -1,
                        .console = ignore,
                        .initrd = SPAN("an initrd that the broker supplies", 34),
                        .tcg2 = tcg2};

        require(fixture_start(&setup));
        for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
                require(fw_locate_protocol(&fixture, targets[i].guid, &interfaces[i]) ==
                                EFI_SUCCESS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct tcg2_config config = {.limits = {.n_events = 64}};
        uint8_t before[EFI_PAGE_SIZE], after[EFI_PAGE_SIZE];
        uint64_t tables;
        struct tcg2 *tcg2;
        size_t n;

        if (size < 2)
                return 0;
        banks_add(&config.banks, alg_by_id(TPM_ALG_SHA256));
        banks_add(&config.banks, alg_by_id(TPM_ALG_SHA1));
        require(tcg2_new(&config, &tcg2, NULL) == 0);
        start(tcg2);
        tables = fixture.system_table & ~(uint64_t)(EFI_PAGE_SIZE - 1);
        require(ram_read(fixture.ram, tables, before, sizeof(before)));
        n = (size_t)(data[0] | data[1] << 8);
        data += 2, size -= 2;
        if (n > size)
                n = size;
        (void)ram_write(fixture.ram, fixture_scratch, data, n);
        for (data += n, size -= n; size >= 8; data += 8, size -= 8)
                call(data);
        require(ram_read(fixture.ram, tables, after, sizeof(after)));
        require(memcmp(before, after, sizeof(before)) == 0);
        require(ram_committed_bytes(fixture.ram) <= ram_budget_bytes(fixture.ram));
        require(record_gives_view(tcg2, &config.banks));
        fixture_stop();
        tcg2_free(tcg2);
        return 0;
}
