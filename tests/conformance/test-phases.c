/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every service and protocol function in three phases: before ExitBootServices, in a notification
 * of it, and after it, each in a guest of its own (guest-phases.c), called with zeros only. The
 * table is compared with the service tables and with docs/spec-map.md, so that none is without a
 * case. Arguments: folder with guest.efi, specification map. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "shim/firmware/internal.h"
#include "tcg2/protocol.h"
#include "tests/conformance/machine.h"

/* after: what a call after ExitBootServices does. */
enum after { STOPS, ANSWERS, RESETS };

#define ANY EFIERR(0x7777) /* a void function: what is in RAX means nothing */

/* One function: the table (a letter of guest-phases.c) and the slot in it, the answer to zeros, and
 * at another priority, where it differs. */
static const struct row {
        const char *name;
        char table;
        unsigned slot;
        EFI_STATUS answer;
        enum after after;
        EFI_STATUS in_notify; /* 0: the same */
} rows[] = {
                {"RaiseTPL", 'b', 0, 4, STOPS, 8}, /* the old level */
                {"RestoreTPL", 'b', 1, ANY},
                {"AllocatePages", 'b', 2, EFI_INVALID_PARAMETER},
                {"FreePages", 'b', 3, EFI_INVALID_PARAMETER},
                {"GetMemoryMap", 'b', 4, EFI_INVALID_PARAMETER},
                {"AllocatePool", 'b', 5, EFI_INVALID_PARAMETER},
                {"FreePool", 'b', 6, EFI_INVALID_PARAMETER},
                {"CreateEvent", 'b', 7, EFI_INVALID_PARAMETER},
                {"SetTimer", 'b', 8, EFI_INVALID_PARAMETER},
                {"WaitForEvent", 'b', 9, EFI_INVALID_PARAMETER, STOPS, EFI_UNSUPPORTED},
                {"SignalEvent", 'b', 10, EFI_INVALID_PARAMETER},
                {"CloseEvent", 'b', 11, EFI_INVALID_PARAMETER},
                {"CheckEvent", 'b', 12, EFI_INVALID_PARAMETER},
                {"InstallProtocolInterface", 'b', 13, EFI_INVALID_PARAMETER},
                {"ReinstallProtocolInterface", 'b', 14, EFI_INVALID_PARAMETER},
                {"UninstallProtocolInterface", 'b', 15, EFI_INVALID_PARAMETER},
                {"HandleProtocol", 'b', 16, EFI_INVALID_PARAMETER},
                {"Reserved", 'b', 17, EFI_UNSUPPORTED},
                {"RegisterProtocolNotify", 'b', 18, EFI_INVALID_PARAMETER},
                {"LocateHandle", 'b', 19, EFI_INVALID_PARAMETER},
                {"LocateDevicePath", 'b', 20, EFI_INVALID_PARAMETER},
                {"InstallConfigurationTable", 'b', 21, EFI_INVALID_PARAMETER},
                {"LoadImage", 'b', 22, EFI_INVALID_PARAMETER},
                {"StartImage", 'b', 23, EFI_INVALID_PARAMETER},
                {"Exit", 'b', 24, EFI_INVALID_PARAMETER},
                {"UnloadImage", 'b', 25, EFI_INVALID_PARAMETER},
                {"ExitBootServices", 'b', 26, EFI_INVALID_PARAMETER},
                {"GetNextMonotonicCount", 'b', 27, EFI_INVALID_PARAMETER},
                {"Stall", 'b', 28, EFI_SUCCESS},
                {"SetWatchdogTimer", 'b', 29, EFI_SUCCESS},
                {"ConnectController", 'b', 30, EFI_INVALID_PARAMETER},
                {"DisconnectController", 'b', 31, EFI_INVALID_PARAMETER},
                {"OpenProtocol", 'b', 32, EFI_INVALID_PARAMETER},
                {"CloseProtocol", 'b', 33, EFI_INVALID_PARAMETER},
                {"OpenProtocolInformation", 'b', 34, EFI_INVALID_PARAMETER},
                {"ProtocolsPerHandle", 'b', 35, EFI_INVALID_PARAMETER},
                {"LocateHandleBuffer", 'b', 36, EFI_INVALID_PARAMETER},
                {"LocateProtocol", 'b', 37, EFI_INVALID_PARAMETER},
                {"InstallMultipleProtocolInterfaces", 'b', 38, EFI_INVALID_PARAMETER},
                {"UninstallMultipleProtocolInterfaces", 'b', 39, EFI_INVALID_PARAMETER},
                {"CalculateCrc32", 'b', 40, EFI_INVALID_PARAMETER},
                {"CopyMem", 'b', 41, ANY},
                {"SetMem", 'b', 42, ANY},
                {"CreateEventEx", 'b', 43, EFI_INVALID_PARAMETER},

                {"GetTime", 'r', 0, EFI_INVALID_PARAMETER, ANSWERS},
                {"SetTime", 'r', 1, EFI_INVALID_PARAMETER, ANSWERS},
                {"GetWakeupTime", 'r', 2, EFI_UNSUPPORTED, ANSWERS},
                {"SetWakeupTime", 'r', 3, EFI_UNSUPPORTED, ANSWERS},
                {"SetVirtualAddressMap", 'r', 4, EFI_UNSUPPORTED, ANSWERS},
                {"ConvertPointer", 'r', 5, EFI_UNSUPPORTED, ANSWERS},
                {"GetVariable", 'r', 6, EFI_INVALID_PARAMETER, ANSWERS},
                {"GetNextVariableName", 'r', 7, EFI_INVALID_PARAMETER, ANSWERS},
                {"SetVariable", 'r', 8, EFI_INVALID_PARAMETER, ANSWERS},
                {"GetNextHighMonotonicCount", 'r', 9, EFI_UNSUPPORTED, ANSWERS},
                {"ResetSystem", 'r', 10, EFI_SUCCESS, RESETS},
                {"UpdateCapsule", 'r', 11, EFI_UNSUPPORTED, ANSWERS},
                {"QueryCapsuleCapabilities", 'r', 12, EFI_UNSUPPORTED, ANSWERS},
                {"QueryVariableInfo", 'r', 13, EFI_INVALID_PARAMETER, ANSWERS},

                {"TCG2.GetCapability", 't', 0, EFI_INVALID_PARAMETER},
                {"TCG2.GetEventLog", 't', 1, EFI_INVALID_PARAMETER},
                {"TCG2.HashLogExtendEvent", 't', 2, EFI_INVALID_PARAMETER},
                {"TCG2.SubmitCommand", 't', 3, EFI_INVALID_PARAMETER},
                {"TCG2.GetActivePcrBanks", 't', 4, EFI_INVALID_PARAMETER},
                {"TCG2.SetActivePcrBanks", 't', 5, EFI_INVALID_PARAMETER},
                {"TCG2.GetResultOfSetActivePcrBanks", 't', 6, EFI_INVALID_PARAMETER},
                {"DevicePathToText.ConvertDeviceNodeToText", 'd', 0, 0}, /* NULL */
                {"DevicePathToText.ConvertDevicePathToText", 'd', 1, 0},
                {"SimpleFileSystem.OpenVolume", 'v', 0, EFI_INVALID_PARAMETER},
                {"File.Open", 'f', 0, EFI_INVALID_PARAMETER},
                {"File.Close", 'f', 1, EFI_INVALID_PARAMETER},
                {"File.Delete", 'f', 2, EFI_INVALID_PARAMETER},
                {"File.Read", 'f', 3, EFI_INVALID_PARAMETER},
                {"File.Write", 'f', 4, EFI_INVALID_PARAMETER},
                {"File.GetPosition", 'f', 5, EFI_INVALID_PARAMETER},
                {"File.SetPosition", 'f', 6, EFI_INVALID_PARAMETER},
                {"File.GetInfo", 'f', 7, EFI_INVALID_PARAMETER},
                {"File.SetInfo", 'f', 8, EFI_INVALID_PARAMETER},
                {"File.Flush", 'f', 9, EFI_INVALID_PARAMETER},
                {"File.OpenEx", 'f', 10, EFI_UNSUPPORTED},
                {"File.ReadEx", 'f', 11, EFI_UNSUPPORTED},
                {"File.WriteEx", 'f', 12, EFI_UNSUPPORTED},
                {"File.FlushEx", 'f', 13, EFI_UNSUPPORTED},
                {"LoadFile2.LoadFile", 'l', 0, EFI_INVALID_PARAMETER},
                {"RNG.GetInfo", 'g', 0, EFI_INVALID_PARAMETER},
                {"RNG.GetRNG", 'g', 1, EFI_INVALID_PARAMETER},
                {"TextOut.Reset", 'o', 0, EFI_INVALID_PARAMETER},
                {"TextOut.OutputString", 'o', 1, EFI_INVALID_PARAMETER},
                {"TextOut.TestString", 'o', 2, EFI_INVALID_PARAMETER},
                {"TextOut.QueryMode", 'o', 3, EFI_INVALID_PARAMETER},
                {"TextOut.SetMode", 'o', 4, EFI_INVALID_PARAMETER},
                {"TextOut.SetAttribute", 'o', 5, EFI_INVALID_PARAMETER},
                {"TextOut.ClearScreen", 'o', 6, EFI_INVALID_PARAMETER},
                {"TextOut.SetCursorPosition", 'o', 7, EFI_INVALID_PARAMETER},
                {"TextOut.EnableCursor", 'o', 8, EFI_INVALID_PARAMETER},
                {"TextIn.Reset", 'i', 0, EFI_INVALID_PARAMETER},
                {"TextIn.ReadKeyStroke", 'i', 1, EFI_INVALID_PARAMETER},
                {"TextInEx.Reset", 'x', 0, EFI_INVALID_PARAMETER},
                {"TextInEx.ReadKeyStrokeEx", 'x', 1, EFI_INVALID_PARAMETER},
                {"TextInEx.SetState", 'x', 3, EFI_INVALID_PARAMETER},
                {"TextInEx.RegisterKeyNotify", 'x', 4, EFI_INVALID_PARAMETER},
                {"TextInEx.UnregisterKeyNotify", 'x', 5, EFI_INVALID_PARAMETER},
};

/* There only where Secure Boot is on: tests/integration/test_secure_boot.py. */
static const char *const elsewhere[] = {
                "Security.FileAuthenticationState", "Security2.FileAuthentication"};

static struct buf guest;
static int volume_fd = -1;
static unsigned n_tests, n_failed;

static void verdict(bool good, const char *what, const char *name)
{
        n_tests++;
        n_failed += !good;
        printf("%sok %u - %s%s\n", good ? "" : "not ", n_tests, what, name);
}

static int run(const char *mode, struct firmware_end *end, struct error *error)
{
        static const uint8_t initrd[16];
        _cleanup_buf_ struct buf options = {0}, file = {0};
        struct firmware_setup setup = {
                        .memory = memory,
                        .n_memory = ARRAY_SIZE(memory),
                        .budget_bytes = 64u << 20,
                        .deadline_ms = 10000,
                        .file_path = "\\EFI\\guest.efi",
                        .volume_fd = volume_fd,
                        .initrd = SPAN(initrd, sizeof(initrd)),
                        .firmware_vendor = "conformance",
        };
        struct tcg2_config tpm = {0};
        struct firmware *fw;
        int r;

        (void)utf8_to_utf16(mode, &options);
        buf_put_u16(&options, 0);
        setup.load_options = buf_span(&options);
        banks_add(&tpm.banks, alg_by_name("sha256"));
        buf_put_span(&file, buf_span(&guest));
        r = tcg2_new(&tpm, &setup.tcg2, error);
        if (r < 0)
                return r;
        r = firmware_new(&setup, &fw, error);
        if (r == 0) {
                r = firmware_load(fw, &file, error);
                if (r == 0)
                        r = firmware_run(fw, end, error);
                firmware_free(fw);
        }
        tcg2_free(setup.tcg2);
        return r;
}

/* phase: '<' before, '=' in a notification, '>' after. */
static bool is_right(const struct row *row, char phase, const struct firmware_end *end)
{
        EFI_STATUS answer = phase == '=' && row->in_notify ? row->in_notify : row->answer;
        char text[128];

        snprintf(text, sizeof(text), "%s was called after ExitBootServices", row->name);
        if (row->after == RESETS)
                return end->kind == FIRMWARE_RESET;
        if (phase == '>' && row->after == STOPS)
                return end->kind == FIRMWARE_STOPPED && strcmp(end->text, text) == 0;
        return end->kind == FIRMWARE_HANDOVER && (answer == ANY || end->regs.r[VCPU_RSI] == answer);
}

/* false: there is no guest process to be had here. */
static bool run_phase(const struct row *row, char phase)
{
        const char *what = phase == '<'   ? "before ExitBootServices: "
                           : phase == '=' ? "in a notification of it: "
                                          : "after ExitBootServices: ";
        struct firmware_end end = {0};
        struct error error = {0};
        char mode[8];
        bool good;
        int r;

        snprintf(mode, sizeof(mode), "%c%c%02u", phase, row->table, row->slot);
        r = run(mode, &end, &error);
        if (r == -EPERM || r == -EACCES) {
                printf("1..0 # SKIP %s\n", error.text);
                return false;
        }
        good = r >= 0 && is_right(row, phase, &end);
        if (!good)
                printf("# end %d, \"%s\"%s, answer 0x%llx\n", (int)end.kind, end.text, error.text,
                                (unsigned long long)end.regs.r[VCPU_RSI]);
        verdict(good, what, row->name);
        return true;
}

/* ---- is there a row for everything? ---- */

static bool has_row(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (strcmp(rows[i].name, name) == 0)
                        return true;
        for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++)
                if (strcmp(elsewhere[i], name) == 0)
                        return true;
        return false;
}

static bool in_table(char table, const struct fw_service *services, size_t n)
{
        size_t found = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].table == table)
                        found += rows[i].slot < n &&
                                 strcmp(rows[i].name, services[rows[i].slot].name) == 0;
        return found == n;
}

/* The functions that the specification map has: rows that begin with a name in backticks, up to
 * those of TPM commands. */
static bool covers_map(struct span map)
{
        _cleanup_free_ char *text = strndup((const char *)map.data, map.size);
        size_t n = 0, missing = 0;
        char *rest = text, *line;

        while (rest && (line = strsep(&rest, "\n")) && !strstr(line, "## TPM commands")) {
                char name[64];

                if (sscanf(line, "| `%63[A-Za-z0-9.]`", name) != 1)
                        continue;
                n++;
                if (!has_row(name)) {
                        printf("# %s has no case\n", name);
                        missing++;
                }
        }
        return missing == 0 && n == ARRAY_SIZE(rows) + ARRAY_SIZE(elsewhere);
}

int main(int argc, char **argv)
{
        _cleanup_buf_ struct buf map = {0};
        struct error error = {0};
        char path[4096];

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc != 3)
                return 99;
        snprintf(path, sizeof(path), "%s/guest.efi", argv[1]);
        volume_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (volume_fd < 0 || buf_read_file(path, 1 << 24, &guest, &error) < 0 ||
                        buf_read_file(argv[2], 1 << 20, &map, &error) < 0) {
                printf("Bail out! %s: %s\n", argv[1], error.text);
                return 99;
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (const char *phase = "<=>"; *phase; phase++)
                        if (!run_phase(&rows[i], *phase))
                                return 0;
        verdict(in_table('b', fw_boot_services, fw_n_boot_services), "every boot service has its",
                        " row");
        verdict(in_table('r', fw_runtime_services, fw_n_runtime_services),
                        "every runtime service has its", " row");
        verdict(covers_map(buf_span(&map)), "every function of the specification map has its",
                        " row");
        map.size /= 2;
        verdict(!covers_map(buf_span(&map)), "half a map isn't enough", "");
        printf("1..%u\n", n_tests);
        buf_release(&guest);
        close(volume_fd);
        return n_failed > 0;
}
