/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shim/handover/kexec.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* Reads a small text file below root; its first line without the line end, "" if it can't be read.
 */
static int first_line(const char *root, const char *path, char *to, size_t size)
{
        _cleanup_buf_ struct buf text = {0};
        char full[512];
        size_t n;
        int r;

        to[0] = '\0';
        snprintf(full, sizeof(full), "%s%s", root, path);
        r = buf_read_file(full, 4096, &text, NULL);
        if (r < 0)
                return r;
        n = text.size < size - 1 ? text.size : size - 1;
        if (n > 0)
                memcpy(to, text.data, n);
        to[n] = '\0';
        to[strcspn(to, "\n")] = '\0';
        return 0;
}

int kexec_loaded(const char *root)
{
        char line[16];
        int r = first_line(root, "/sys/kernel/kexec_loaded", line, sizeof(line));

        if (r == -ENOENT) /* newer kernels have a folder for it */
                r = first_line(root, "/sys/kernel/kexec/loaded", line, sizeof(line));
        if (r < 0)
                return r;
        return line[0] == '1';
}

static bool has_cap_sys_boot(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2] = {0};

        if (syscall(SYS_capget, &header, data) < 0)
                return geteuid() == 0;
        return data[0].effective >> CAP_SYS_BOOT & 1;
}

/* The switches that answer EPERM, each with its own sentence; 0 if none is set. */
static int check_switches(const char *root, unsigned loads_needed, struct error *error)
{
        char line[128];

        if (first_line(root, "/proc/sys/kernel/kexec_load_disabled", line, sizeof(line)) == 0 &&
                        line[0] == '1')
                return error_set(error, EPERM,
                                "kexec is switched off until the next boot "
                                "(kernel.kexec_load_disabled=1)");
        if (first_line(root, "/proc/sys/kernel/kexec_load_limit_reboot", line, sizeof(line)) == 0 &&
                        line[0] >= '0' && line[0] <= '9' && strtoul(line, NULL, 10) < loads_needed)
                return error_set(error, EPERM,
                                "%s more kexec loads are allowed "
                                "(kernel.kexec_load_limit_reboot), %u are needed",
                                line, loads_needed);
        return 0;
}

bool kexec_locked_down(const char *root)
{
        char line[128];

        return first_line(root, "/sys/kernel/security/lockdown", line, sizeof(line)) == 0 &&
               (strstr(line, "[integrity]") || strstr(line, "[confidentiality]"));
}

int kexec_explain_eperm(const char *call, struct error *error)
{
        int r;

        if (!has_cap_sys_boot())
                return error_set(error, EPERM, "%s: needs root (CAP_SYS_BOOT)", call);
        r = check_switches("", 1, error);
        return r < 0 ? error_prefix(error, r, "%s", call) : 0;
}

int kexec_check_possible(const char *root, unsigned loads_needed, struct error *error)
{
        int r;

        if (!has_cap_sys_boot())
                return error_set(error, EPERM, "kexec needs root (CAP_SYS_BOOT)");
        r = check_switches(root, loads_needed, error);
        if (r < 0)
                return r;
        r = kexec_loaded(root);
        if (r == -ENOENT)
                return error_set(error, ENOSYS, "this kernel has no kexec (CONFIG_KEXEC)");
        return r < 0 ? error_set(error, -r, "/sys/kernel/kexec_loaded: %s", strerror(-r)) : 0;
}

static int explain(int errnum, struct error *error)
{
        static const struct {
                int errnum;
                const char *text;
        } reasons[] = {
                        {EACCES, "refused by an IMA or security module policy, which wants to "
                                 "appraise the kernel as a file (KEXEC_KERNEL_CHECK)"},
                        {EBUSY, "another kexec_load is under way; try again"},
                        {ENOMEM, "not enough free memory for the image's copy"},
                        {EADDRNOTAVAIL, "the kernel can't put a segment where it belongs"},
                        {EINVAL, "the kernel doesn't accept the segments"},
                        {ENOSYS, "this kernel has no kexec (CONFIG_KEXEC)"},
        };

        if (errnum == EPERM) {
                int r = kexec_explain_eperm("kexec_load", error);

                if (r != 0)
                        return r;
                if (kexec_locked_down(""))
                        return error_set(error, EPERM,
                                        "kexec_load: refused, the kernel is locked down (Secure "
                                        "Boot)");
                return error_set(error, EPERM,
                                "kexec_load: not permitted (container, seccomp or policy)");
        }
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
                if (reasons[i].errnum ==
                                errnum) /* no input of the user's is malformed: not EINVAL */
                        return error_set(error, errnum == EINVAL ? EIO : errnum, "kexec_load: %s",
                                        reasons[i].text);
        return error_set(error, errnum, "kexec_load: %s", strerror(errnum));
}

int kexec_load(uint64_t entry, const struct kexec_part *parts, size_t n, struct error *error)
{
        struct kexec_segment segments[KEXEC_SEGMENT_MAX];

        if (n == 0 || n > KEXEC_SEGMENT_MAX)
                return error_set(error, EINVAL, "kexec_load: %zu segments (1 to %d can be)", n,
                                KEXEC_SEGMENT_MAX);
        for (size_t i = 0; i < n; i++)
                segments[i] = (struct kexec_segment){
                                .buf = parts[i].bytes,
                                .bufsz = parts[i].bytes_size,
                                .mem = (const void *)(uintptr_t)parts[i].address,
                                .memsz = parts[i].size,
                };
        if (syscall(SYS_kexec_load, entry, n, segments, (unsigned long)KEXEC_ARCH_X86_64) < 0)
                return explain(errno, error);
        return 0;
}

/* More segments than there can be: the kernel looks at that after everything that may forbid the
 * call (kernel/kexec.c, kexec_load_check), and EINVAL then means that nothing does. */
int kexec_load_probe(struct error *error)
{
        if (syscall(SYS_kexec_load, 0ul, (unsigned long)KEXEC_SEGMENT_MAX + 1, NULL,
                            (unsigned long)KEXEC_ARCH_X86_64) < 0 &&
                        errno != EINVAL)
                return explain(errno, error);
        return 0;
}

/* Both calls fill the same place, but where kexec_load is refused it can't empty it either. */
int kexec_unload(struct error *error)
{
        int r;

        if (syscall(SYS_kexec_load, 0ul, 0ul, NULL, (unsigned long)KEXEC_ARCH_X86_64) == 0)
                return 0;
        r = explain(errno, error);
        return syscall(SYS_kexec_file_load, -1, -1, 0ul, NULL, (unsigned long)KEXEC_FILE_UNLOAD) < 0
                               ? r
                               : 0;
}

int kexec_reboot(struct error *error)
{
        sync();
        (void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC,
                        NULL);
        if (errno == EINVAL)
                return error_set(error, EIO,
                                "reboot into the loaded image: nothing is loaded, or this is a PID "
                                "namespace (container)");
        return error_set(error, errno, "reboot into the loaded image: %s", strerror(errno));
}
