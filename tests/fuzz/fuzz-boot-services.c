/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Boot and runtime services with any arguments in any order, nested as the payload likes, through
 * the real dispatcher. After each run the books must balance: what is open is what is allocated,
 * the map is in order, nothing leaks (the sanitizer's part). Input: steps of an operation byte and
 * per argument a selector byte with what it needs. */
#include "base/cleanup.h"
#include "shim/firmware/events.h"
#include "shim/firmware/handles.h"
#include "tests/unit/script-vcpu.h"
#include "tests/unit/tiny-pe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_STEPS     400
#define SCRATCH_BYTES 0x20000u

static struct script_vcpu script;
static struct cursor input;
static unsigned n_steps;
static uint64_t scratch;

static const EFI_GUID *const guids[] = {&guid_loaded_image, &guid_device_path,
                &guid_simple_file_system, &guid_load_file2, &guid_mkexec, &guid_rng};

static uint8_t take_u8(void)
{
        uint8_t value = 0;

        (void)cursor_u8(&input, &value);
        return value;
}

static uint64_t take_argument(void)
{
        uint8_t selector = take_u8();
        uint64_t value = 0;

        switch (selector % 12) {
        case 0:
                return 0;
        case 1:
                return take_u8();
        case 2:
                return UINT64_MAX - take_u8();
        case 3: /* a place for results */
                return scratch + 8 * take_u8();
        case 4: /* what a call left there */
                (void)ram_get_u64(script.fw->ram, scratch + 8 * take_u8(), &value);
                return value;
        case 5:
                return HANDLE_BASE + HANDLE_STEP * (take_u8() % 24);
        case 6:
                return EVENT_BASE + EVENT_STEP * (take_u8() % 16);
        case 7:
                return scratch + 0x1000 + 16 * (take_u8() % ARRAY_SIZE(guids));
        case 8: /* device path, PE file, text, list of both */
                return scratch + 0x2000 + 0x1000 * (take_u8() % 4);
        case 9:
                return script.fw->system_table + 8 * (take_u8() % 15);
        case 10:
                (void)cursor_u64(&input, &value);
                return value;
        default: /* the number of pages or bytes of something */
                return (uint64_t)take_u8() << (take_u8() % 40);
        }
}

static bool next_step(struct script_vcpu *s, struct script_step *step)
{
        size_t n_rows = fw_n_boot_services + fw_n_runtime_services;
        uint8_t op = take_u8();

        if (cursor_left(&input) == 0 || n_steps++ >= MAX_STEPS)
                return false;
        if (op < n_rows) {
                step->kind = SCRIPT_CALL;
                step->row = op < fw_n_boot_services
                                            ? fw_boot_services + op
                                            : fw_runtime_services + (op - fw_n_boot_services);
                for (const char *letter = step->row->args; *letter; letter++)
                        step->args[step->n_args++] = take_argument();
                /* a variadic list ends; what stands before its NULL is the input's */
                if (strchr(step->row->args, '.'))
                        while (step->n_args < 8)
                                step->args[step->n_args++] = take_argument();
                return true;
        }
        step->kind = op == 0xff ? SCRIPT_PRIVILEGED : SCRIPT_RETURN;
        step->value = take_argument();
        return true;
}

static void sink(void *arg, const char *line)
{
        volatile size_t length = strlen(line);

        (void)length;
}

static void fill_scratch(const uint8_t *file)
{
        static const uint8_t path[] = {
                        4, 4, 12, 0, '\\', 0, 'x', 0, 'y', 0, 0, 0, 0x7f, 0xff, 4, 0};
        static const uint8_t text[] = {'B', 0, 'o', 0, 'o', 0, 't', 0, 0, 0};
        struct ram *ram = script.fw->ram;

        for (size_t i = 0; i < ARRAY_SIZE(guids); i++)
                (void)ram_write(ram, scratch + 0x1000 + 16 * i, guids[i], 16);
        (void)ram_write(ram, scratch + 0x2000, path, sizeof(path));
        (void)ram_write(ram, scratch + 0x3000, file, TINY_BYTES);
        (void)ram_write(ram, scratch + 0x4000, text, sizeof(text));
        (void)ram_put_u64(ram, scratch + 0x5000, scratch + 0x2000);
}

#define MUST(e)                                                                 \
        do {                                                                    \
                if (!(e)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #e); \
                        abort();                                                \
                }                                                               \
        } while (0)

static void check_books(struct firmware *fw)
{
        _cleanup_free_ struct fw_memory_range *map = NULL, *allocated = NULL;
        uint64_t total = 0, bytes = 0;
        size_t n, n_allocated;

        MUST(firmware_memory_map(fw, &map, &n) == 0);
        MUST(firmware_allocations(fw, &allocated, &n_allocated) == 0);
        for (size_t i = 0; i < n; i++) {
                MUST(map[i].start < map[i].end && (i == 0 || map[i - 1].end == map[i].start));
                total += map[i].end - map[i].start;
        }
        MUST(total == SCRIPT_MEMORY_END - SCRIPT_MEMORY_START);
        for (size_t i = 0; i < n_allocated; i++)
                bytes += allocated[i].end - allocated[i].start;
        MUST(bytes == ram_committed_bytes(fw->ram));
        MUST(bytes <= ram_budget_bytes(fw->ram));
        MUST(fw->depth == 0 && !fw->frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t file[TINY_BYTES];
        struct firmware_setup setup = {.file_path = "\\x.efi", .volume_fd = -1, .trace = sink};
        struct firmware_end end = {0};
        struct error error = {0};

        input = CURSOR(SPAN(data, size));
        n_steps = 0;
        tiny_pe(file);
        script = (struct script_vcpu){.next = next_step};
        MUST(script_firmware(&script, &setup, &error) == 0);
        scratch = UINT64_MAX;
        MUST(fw_allocate_pages(script.fw, AllocateAnyPages, EfiLoaderData,
                             SCRATCH_BYTES >> EFI_PAGE_SHIFT, &scratch) == EFI_SUCCESS);
        fill_scratch(file);
        MUST(firmware_load(script.fw, &(struct buf){.data = file, .size = sizeof(file)}, &error) ==
                        0);
        MUST(firmware_run(script.fw, &end, &error) == 0);
        MUST(script.fw->ended);
        check_books(script.fw);
        firmware_free(script.fw);
        return 0;
}
