/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the conformance program (guest.c) on the real vCPU: once for the services, whose verdicts it
 * prints by itself, and once for each way of ending, which is judged here. Arguments: folder with
 * guest.efi and child.efi. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf16.h"
#include "tcg2/protocol.h"
#include "tests/conformance/machine.h"

static const struct {
        const char *mode;
        enum firmware_end_kind kind;
        EFI_STATUS status;
        const char *text; /* that is in the end's text */
} rows[] = {
                {"exit", FIRMWARE_RETURNED, EFI_NOT_READY, "EFI_NOT_READY"},
                {"hlt", FIRMWARE_STOPPED, EFI_ABORTED, "privileged instruction hlt"},
                {"cr0", FIRMWARE_RETURNED, EFI_SUCCESS, "EFI_SUCCESS"},
                {"handover", FIRMWARE_HANDOVER, EFI_SUCCESS, "cli at"},
                {"stale-key", FIRMWARE_RETURNED, EFI_INVALID_PARAMETER, "EFI_INVALID_PARAMETER"},
                {"after", FIRMWARE_STOPPED, EFI_ABORTED, "AllocatePool was called after"},
                {"runtime", FIRMWARE_HANDOVER, EFI_SUCCESS, "cli at"},
                {"null", FIRMWARE_STOPPED, EFI_ABORTED, "at 0x8 "},
                {"noncanonical", FIRMWARE_STOPPED, EFI_ABORTED, "general protection fault"},
                {"handle", FIRMWARE_STOPPED, EFI_ABORTED, "general protection fault"},
                {"unallocated", FIRMWARE_STOPPED, EFI_ABORTED, "at 0x2000000 "},
                {"syscall", FIRMWARE_STOPPED, EFI_ABORTED, "system call"},
                {"loop", FIRMWARE_STOPPED, EFI_ABORTED, "deadline"},
                {"busy-firmware", FIRMWARE_STOPPED, EFI_ABORTED, "deadline"},
                {"wait", FIRMWARE_STOPPED, EFI_ABORTED, "can't come"},
                {"bad-stack", FIRMWARE_STOPPED, EFI_ABORTED, "0x1000"},
                {"bad-copy", FIRMWARE_STOPPED, EFI_ABORTED, "CopyMem"},
                {"unbalanced", FIRMWARE_STOPPED, EFI_ABORTED, "returned with rsp"},
                {"reset", FIRMWARE_RESET, EFI_SUCCESS, "reset"},
                {"budget", FIRMWARE_RETURNED, EFI_SUCCESS, "EFI_SUCCESS"},
};

static struct buf guest;
static int volume_fd = -1;
static unsigned n_tests, n_failed;

static void verdict(bool good, const char *name)
{
        n_tests++;
        n_failed += !good;
        printf("%sok %u - %s\n", good ? "" : "not ", n_tests, name);
}

/* The guest's lines: "ok NAME", "not ok NAME", "# ...". */
static void console(void *arg, const char *line)
{
        (void)arg;
        if (strncmp(line, "ok ", 3) == 0)
                verdict(true, line + 3);
        else if (strncmp(line, "not ok ", 7) == 0)
                verdict(false, line + 7);
        else
                printf("# %s\n", line);
}

static char last_trace[1024];

static void trace(void *arg, const char *line)
{
        (void)arg;
        snprintf(last_trace, sizeof(last_trace), "%s", line);
}

static int run(const char *mode, struct firmware_end *end, bool *clean, struct error *error)
{
        _cleanup_buf_ struct buf options = {0};
        struct firmware_setup setup = {
                        .memory = memory,
                        .n_memory = ARRAY_SIZE(memory),
                        .budget_bytes = 96u << 20,
                        .deadline_ms = 500,
                        .file_path = "\\EFI\\guest.efi",
                        .volume_fd = volume_fd,
                        .firmware_vendor = "conformance",
                        .trace = trace,
                        .console = console,
        };
        struct tcg2_config tpm = {0};
        struct firmware *fw;
        int r;

        /* The services take longer, on slow machines above all. */
        if (strcmp(mode, "services") == 0)
                setup.deadline_ms = 60000;
        (void)utf8_to_utf16(mode, &options);
        buf_put_u16(&options, 0);
        setup.load_options = buf_span(&options);
        banks_add(&tpm.banks, alg_by_name("sha1"));
        banks_add(&tpm.banks, alg_by_name("sha256"));
        r = tcg2_new(&tpm, &setup.tcg2, error);
        if (r == 0)
                r = firmware_new(&setup, &fw, error);
        if (r < 0)
                return r;
        r = firmware_load(fw, &guest, error);
        if (r == 0)
                r = firmware_run(fw, end, error);
        /* Whatever happened, no more memory is open than is allocated. */
        if (r >= 0) {
                _cleanup_free_ struct fw_memory_range *open = NULL;
                uint64_t bytes = 0;
                size_t n;

                *clean = firmware_allocations(fw, &open, &n) >= 0;
                for (size_t i = 0; *clean && i < n; i++)
                        bytes += open[i].end - open[i].start;
                *clean = *clean && bytes == ram_committed_bytes(firmware_ram(fw)) &&
                         ram_peak_bytes(firmware_ram(fw)) <= setup.budget_bytes;
        }
        firmware_free(fw);
        tcg2_free(setup.tcg2);
        return r;
}

static void run_row(size_t i)
{
        struct firmware_end end = {0};
        struct error error = {0};
        bool clean = false, good;
        char name[64];

        snprintf(name, sizeof(name), "end of the run: %s", rows[i].mode);
        if (run(rows[i].mode, &end, &clean, &error) < 0) {
                printf("# %s\n", error.text);
                verdict(false, name);
                return;
        }
        good = end.kind == rows[i].kind && end.status == rows[i].status &&
               strstr(end.text, rows[i].text) && clean;
        if (end.kind == FIRMWARE_HANDOVER && strcmp(rows[i].mode, "handover") == 0)
                good = good && end.regs.r[VCPU_RSI] == 0x1122334455667788;
        if (!good)
                printf("# end %d, status 0x%llx, \"%s\"%s, last line: %s\n", (int)end.kind,
                                (unsigned long long)end.status, end.text,
                                clean ? "" : ", memory left open", last_trace);
        verdict(good, name);
}

int main(int argc, char **argv)
{
        struct firmware_end end = {0};
        struct error error = {0};
        bool clean = false;
        char path[4096];
        int r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc != 2)
                return 99;
        snprintf(path, sizeof(path), "%s/guest.efi", argv[1]);
        volume_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (volume_fd < 0 || buf_read_file(path, 1 << 24, &guest, &error) < 0) {
                printf("Bail out! %s: %s\n", argv[1], error.text);
                return 99;
        }
        r = run("services", &end, &clean, &error);
        if (r == -EPERM || r == -EACCES) {
                printf("1..0 # SKIP %s\n", error.text);
                return 0;
        }
        if (r < 0 || end.status != EFI_SUCCESS)
                printf("# %s%s, last line: %s\n", error.text, end.text, last_trace);
        verdict(r >= 0 && end.kind == FIRMWARE_RETURNED && end.status == EFI_SUCCESS && clean,
                        "the conformance program ran to its end");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                run_row(i);
        printf("1..%u\n", n_tests);
        buf_release(&guest);
        close(volume_fd);
        return n_failed > 0;
}
