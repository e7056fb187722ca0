/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher with a guest that is a script: arguments, trace, nesting, leaving by Exit, and
 * every way in which a run ends. With the real processor the same is done by tests/conformance. */
#include "base/cleanup.h"
#include "shim/firmware/boot-services.h"
#include "shim/firmware/events.h"
#include "shim/firmware/image.h"
#include "tests/unit/script-vcpu.h"
#include "tests/unit/tap.h"
#include "tests/unit/tiny-pe.h"

static struct script_vcpu script;
static const struct script_step *steps;
static size_t n_steps, at_step;
static char traced[16384];
static uint64_t results[64];

static bool next_step(struct script_vcpu *s, struct script_step *step)
{
        if (at_step < ARRAY_SIZE(results))
                results[at_step] = s->result;
        if (at_step >= n_steps)
                return false;
        *step = steps[at_step++];
        return true;
}

static void trace(void *arg, const char *line)
{
        strncat(traced, line, sizeof(traced) - strlen(traced) - 2);
        strcat(traced, "\n");
}

static uint8_t payload[TINY_BYTES];
static struct buf payload_file = {.data = payload, .size = sizeof(payload)};

static bool start(void)
{
        struct firmware_setup setup = {
                        .file_path = "\\x.efi",
                        .volume_fd = -1,
                        .trace = trace,
        };
        struct error error = {0};

        tiny_pe(payload);
        traced[0] = '\0';
        at_step = 0;
        memset(results, 0, sizeof(results));
        script = (struct script_vcpu){.next = next_step};
        if (script_firmware(&script, &setup, &error) < 0) {
                printf("# %s\n", error.text);
                return false;
        }
        traced[0] = '\0';
        return true;
}

static struct firmware_end run(const struct script_step *script_steps, size_t n)
{
        struct firmware_end end = {.kind = 99};
        struct error error = {0};

        steps = script_steps;
        n_steps = n;
        if (firmware_load(script.fw, &payload_file, &error) < 0 ||
                        firmware_run(script.fw, &end, &error) < 0)
                printf("# %s\n", error.text);
        return end;
}

#define RUN(...)                                                            \
        run((const struct script_step[]){__VA_ARGS__},                      \
                        sizeof((const struct script_step[]){__VA_ARGS__}) / \
                                        sizeof(struct script_step))

static void stop(void)
{
        firmware_free(script.fw);
        script.fw = NULL;
}

#define SCRATCH (script.fw->stack_top - 0x20000) /* the stack is long enough to lend some of it */

#define CALL(name, ...)                                                                 \
        {                                                                               \
                SCRIPT_CALL, script_row(name), {__VA_ARGS__},                           \
                                sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), 0 \
        }
#define RETURN(status)                                \
        {                                             \
                SCRIPT_RETURN, NULL, {0}, 0, (status) \
        }

static void test_return(void)
{
        struct firmware_end end;

        REQUIRE(start());
        end = RUN(CALL("Stall", 5), RETURN(EFI_NOT_FOUND));
        CHECK_EQ(end.kind, FIRMWARE_RETURNED);
        CHECK_EQ(end.status, EFI_NOT_FOUND);
        CHECK_EQ(firmware_n_calls(script.fw), 1);
        CHECK(strstr(traced, "\nStall(5) = EFI_SUCCESS\n"));
        stop();
}

static void test_repeated_lines(void)
{
        REQUIRE(start());
        RUN(CALL("Stall", 5), CALL("Stall", 5), CALL("Stall", 5), CALL("Stall", 6),
                        CALL("Stall", 7), CALL("Stall", 7));
        CHECK(strstr(traced, "\nStall(5) = EFI_SUCCESS\n  ... and 2 more of it\n"
                             "Stall(6) = EFI_SUCCESS\nStall(7) = EFI_SUCCESS\n  ... and 1 more of "
                             "it\n"));
        stop();
}

static void test_nothing_loaded(void)
{
        struct buf half = {.data = payload, .size = sizeof(payload) / 2};
        struct firmware_end end = {0};
        struct error error = {0};

        REQUIRE(start());
        CHECK_EQ(firmware_run(script.fw, &end, &error), -EINVAL);
        CHECK_EQ(firmware_load(script.fw, &half, &error), -ENOEXEC);
        CHECK_EQ(firmware_run(script.fw, &end, &error), -EINVAL);
        stop();
}

static void test_again(void)
{
        struct firmware_end end = {0};
        struct error error = {0};

        REQUIRE(start());
        RUN(RETURN(0));
        CHECK_EQ(firmware_run(script.fw, &end, &error), -EBUSY);
        CHECK_EQ(firmware_load(script.fw, &payload_file, &error), -EBUSY);
        stop();
}

/* Arguments 5 and 6 come from the stack; results go where the pointers say. */
static void test_arguments_and_trace(void)
{
        static const uint8_t text[] = {'H', 0, 'i', 0, '\n', 0, 0, 0};
        uint64_t scratch;

        REQUIRE(start());
        scratch = SCRATCH;
        CHECK(ram_write(script.fw->ram, scratch, &guid_loaded_image, 16));
        CHECK(ram_write(script.fw->ram, scratch + 0x40, text, sizeof(text)));
        /* The payload's handle is the next one after those of the firmware. */
        RUN(CALL("AllocatePages", AllocateAnyPages, EfiLoaderCode, 2, scratch + 0x20),
                        CALL("AllocatePool", EfiACPIReclaimMemory, 0x12345678, scratch + 0x28),
                        CALL("OpenProtocol", 17, scratch, scratch + 0x30, 18, 19, 2),
                        CALL("LocateHandle", 2, scratch, 0, scratch + 0x38, 0),
                        CALL("GetVariable", scratch + 0x40, scratch, 0, scratch + 0x38, 0),
                        CALL("FreePool", 0), CALL("Reserved", 0),
                        CALL("ConnectController", 0, 0, 0, 0x101));
        CHECK(strstr(traced, "\nAllocatePages(AnyPages, LoaderCode, 2, 0x"));
        CHECK(strstr(traced, ") = EFI_SUCCESS [0x"));
        CHECK(strstr(traced, "\nAllocatePool(ACPIReclaim, 0x12345678, 0x"));
        CHECK(strstr(traced, ") = EFI_OUT_OF_RESOURCES\n"));
        CHECK(strstr(traced, "\nOpenProtocol(0x11, LoadedImage, 0x"));
        CHECK(strstr(traced, ", 0x12, 0x13, 2) = EFI_INVALID_PARAMETER\n"));
        CHECK(strstr(traced, "\nLocateHandle(ByProtocol, LoadedImage, NULL, 0x"));
        CHECK(strstr(traced, ") = EFI_BUFFER_TOO_SMALL [8]\n"));
        CHECK(strstr(traced, "\nGetVariable(\"Hi\\x0a\", LoadedImage, NULL, 0x"));
        CHECK(strstr(traced, "\nFreePool(NULL) = EFI_INVALID_PARAMETER\n"));
        CHECK(strstr(traced, "\nReserved() = EFI_UNSUPPORTED\n"));
        CHECK(strstr(traced,
                        "\nConnectController(NULL, NULL, NULL, TRUE) = EFI_INVALID_PARAMETER\n"));
        CHECK_EQ(firmware_n_calls(script.fw), 8);
        stop();
}

static void test_every_slot(void)
{
        struct ram *ram;
        const struct fw_service *row;
        uint64_t thunk;

        REQUIRE(start());
        ram = script.fw->ram;
        CHECK_EQ(fw_n_boot_services, 44);
        CHECK_EQ(fw_n_runtime_services, 14);
        for (size_t i = 0; i < fw_n_boot_services; i++) {
                REQUIRE(ram_get_u64(ram, script.fw->boot_services + 24 + 8 * i, &thunk));
                CHECK(thunks_find(script.fw, thunk, &row) && row == fw_boot_services + i);
        }
        for (size_t i = 0; i < fw_n_runtime_services; i++) {
                REQUIRE(ram_get_u64(ram, script.fw->runtime_services + 24 + 8 * i, &thunk));
                CHECK(thunks_find(script.fw, thunk, &row) && row == fw_runtime_services + i);
        }
        CHECK(!thunks_find(script.fw, thunk + 1, &row));
        CHECK(!thunks_find(script.fw, thunk - 8, &row));
        CHECK(!thunks_find(script.fw, thunk + 4096, &row));
        CHECK(!thunks_find(script.fw, 0, &row));
        stop();
}

static void test_exit_from_within(void)
{
        uint64_t scratch, handle_at, self = 0;
        struct firmware_end end;

        REQUIRE(start());
        scratch = SCRATCH;
        handle_at = scratch + 0x100;
        CHECK(ram_write(script.fw->ram, scratch + 0x200, payload, sizeof(payload)));
        /* Handles are given in a row: what the next two will be is known. */
        CHECK_EQ(fw_install_protocol(script.fw, &self, &guid_mkexec, 0), EFI_SUCCESS);
        /* self + 16: payload, self + 32: child. The child is left by Exit from a notify function,
         * which the firmware called while it served SignalEvent for the child. */
        end = RUN(CALL("LoadImage", 0, self + 16, 0, scratch + 0x200, sizeof(payload), handle_at),
                        CALL("CreateEvent", EVT_NOTIFY_SIGNAL, TPL_CALLBACK, 0x200000, 7,
                                        scratch + 0x108),
                        CALL("StartImage", self + 32, 0, 0),
                        CALL("SignalEvent", EVENT_BASE + 2 * EVENT_STEP),
                        CALL("Exit", self + 16, 1, 0, 0),           /* not the image that runs */
                        CALL("Exit", self + 32, EFI_ABORTED, 0, 0), /* never returns */
                        CALL("Exit", self + 32, 0, 0, 0),           /* gone */
                        CALL("Exit", self + 16, EFI_NOT_READY, 0, 0));
        CHECK_EQ(end.kind, FIRMWARE_RETURNED);
        CHECK_EQ(end.status, EFI_NOT_READY);
        CHECK_EQ(script.fw->depth, 0);
        CHECK_EQ(script.fw->unwind_to, 0);
        CHECK_EQ(results[5], EFI_INVALID_PARAMETER);
        CHECK_EQ(results[6], EFI_ABORTED); /* of StartImage */
        CHECK_EQ(results[7], EFI_INVALID_PARAMETER);
        CHECK_EQ(events_tpl(script.fw), TPL_APPLICATION);
        CHECK(strstr(traced, "\n    Exit("));
        CHECK(strstr(traced, "StartImage = EFI_ABORTED\n"));
        if (tap_failures)
                printf("# %s\n", traced);
        stop();
}

/* A notify function that signals its own event again, without end. */
static void test_endless_notify(void)
{
        struct script_step forever[200];
        struct firmware_end end;
        uint64_t scratch;

        REQUIRE(start());
        scratch = SCRATCH;
        forever[0] = (struct script_step)CALL(
                        "CreateEvent", EVT_NOTIFY_SIGNAL, TPL_CALLBACK, 0x200000, 0, scratch);
        for (size_t i = 1; i < ARRAY_SIZE(forever); i++)
                forever[i] = i % 2 ? (struct script_step)CALL(
                                                     "SignalEvent", EVENT_BASE + 2 * EVENT_STEP)
                                   : (struct script_step)CALL("RestoreTPL", TPL_APPLICATION);
        end = run(forever, ARRAY_SIZE(forever));
        CHECK_EQ(end.kind, FIRMWARE_STOPPED);
        CHECK(strstr(end.text, "nested too deeply"));
        if (tap_failures)
                printf("# %s\n", end.text);
        stop();
}

static void test_stops(void)
{
        static const enum vcpu_exit_kind kinds[] = {VCPU_EXIT_SYSCALL, VCPU_EXIT_PAGE_FAULT,
                        VCPU_EXIT_FAULT, VCPU_EXIT_DEADLINE, VCPU_EXIT_DIED};

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                const struct script_step step = {SCRIPT_EXIT, NULL, {0}, 0, kinds[i]};
                struct firmware_end end;

                REQUIRE(start());
                end = RUN(CALL("Stall", 1), step, RETURN(0));
                CHECK_EQ(end.kind, FIRMWARE_STOPPED);
                CHECK(strstr(end.text, "exit of kind"));
                CHECK_EQ(at_step, 2); /* nothing runs after it */
                stop();
        }
}

static void test_broken_back_end(void)
{
        struct firmware_end end;

        REQUIRE(start());
        end = RUN({SCRIPT_BROKEN, NULL, {0}, 0, 0});
        CHECK_EQ(end.kind, FIRMWARE_STOPPED);
        CHECK(strstr(end.text, "broken"));
        stop();
}

static void test_privileged(void)
{
        static const uint8_t cli[] = {0xfa}, cr0[] = {0x0f, 0x20, 0xc0},
                             load[] = {0x48, 0x8b, 0x07};
        struct firmware_end end;
        uint64_t at;

        REQUIRE(start());
        at = SCRATCH;
        CHECK(ram_write(script.fw->ram, at, cli, sizeof(cli)));
        end = RUN({SCRIPT_PRIVILEGED, NULL, {0}, 0, at});
        CHECK_EQ(end.kind, FIRMWARE_STOPPED);
        CHECK(strstr(end.text, "cli") && strstr(end.text, "before ExitBootServices"));
        stop();
        REQUIRE(start());
        CHECK(ram_write(script.fw->ram, at, load, sizeof(load)));
        end = RUN({SCRIPT_PRIVILEGED, NULL, {0}, 0, at});
        CHECK_EQ(end.kind, FIRMWARE_STOPPED);
        CHECK(strstr(end.text, "general protection fault"));
        stop();
        REQUIRE(start()); /* nothing to read there */
        end = RUN({SCRIPT_PRIVILEGED, NULL, {0}, 0, 0xdead000});
        CHECK_EQ(end.kind, FIRMWARE_STOPPED);
        CHECK(strstr(end.text, "general protection fault at 0xdead000"));
        stop();
        REQUIRE(start());
        CHECK(ram_write(script.fw->ram, at, cr0, sizeof(cr0)));
        script.fw->exited_boot_services = true; /* after it, even what was emulated before */
        end = RUN({SCRIPT_PRIVILEGED, NULL, {0}, 0, at});
        CHECK_EQ(end.kind, FIRMWARE_HANDOVER);
        CHECK_EQ(end.regs.r[VCPU_RIP], at);
        stop();
}

static void test_after_exit_boot_services(void)
{
        struct firmware_end end;

        REQUIRE(start());
        script.fw->exited_boot_services = true;
        end = RUN(CALL("GetTime", 0, 0), CALL("FreePool", 0), CALL("Stall", 1));
        CHECK_EQ(end.kind, FIRMWARE_STOPPED);
        CHECK(strcmp(end.text, "FreePool was called after ExitBootServices") == 0);
        CHECK_EQ(at_step, 2);
        stop();
}

static const struct tap_test tests[] = {
                {"a payload that returns", test_return},
                {"trace of lines that come again", test_repeated_lines},
                {"nothing is run that isn't loaded", test_nothing_loaded},
                {"a payload is run once", test_again},
                {"arguments and the trace", test_arguments_and_trace},
                {"every slot of the tables has its row", test_every_slot},
                {"Exit from a notify function in a nested image", test_exit_from_within},
                {"notify functions without end", test_endless_notify},
                {"stops of the vCPU", test_stops},
                {"a back end that fails", test_broken_back_end},
                {"privileged instructions", test_privileged},
                {"calls after ExitBootServices", test_after_exit_boot_services},
};
TAP_MAIN(tests)
