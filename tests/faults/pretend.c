/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kernel that can be kexec'ed, made up: kexec_load, kexec_file_load and reboot are answered here
 * and never reach the real one. What is loaded lies in files: "image" (a line "entry ADDRESS", then
 * "segment ADDRESS SIZE BYTES" each) and "segments" (their bytes one behind the other), or
 * "kernel", "initrd" and "command-line"; none of them: nothing is loaded. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE      4096u
#define IMAGE_MAX (1ull << 30)

static const char *const files[] = {"image", "segments", "kernel", "initrd", "command-line"};

static void die(const char *what)
{
        perror(what);
        exit(99);
}

static int open_file(const struct pretend *p, const char *name)
{
        char path[512];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", p->folder, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                die(path);
        return fd;
}

static void put(int fd, const void *bytes, size_t size)
{
        if (write(fd, bytes, size) != (ssize_t)size)
                die("write");
}

static void set_loaded(struct pretend *p, bool loaded)
{
        int fd = open(p->loaded, O_WRONLY | O_TRUNC | O_CLOEXEC);

        if (fd < 0)
                die(p->loaded);
        put(fd, loaded ? "1\n" : "0\n", 2);
        close(fd);
        p->is_loaded = loaded;
}

static void forget(struct pretend *p)
{
        char path[512];

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                snprintf(path, sizeof(path), "%s/%s", p->folder, files[i]);
                if (unlink(path) < 0 && errno != ENOENT)
                        die(path);
        }
        set_loaded(p, false);
}

static bool peek(pid_t pid, uint64_t address, void *to, size_t size)
{
        struct iovec local = {to, size}, remote = {(void *)(uintptr_t)address, size};

        return size == 0 || process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* kernel/kexec_core.c, sanity_check_segment_list, as far as it is about the list itself. */
static long check_segments(const struct kexec_segment *s, size_t n)
{
        uint64_t total = 0;

        for (size_t i = 0; i < n; i++) {
                uint64_t start = (uint64_t)(uintptr_t)s[i].mem;

                if (start % PAGE || s[i].memsz % PAGE || s[i].memsz == 0 || s[i].bufsz > s[i].memsz)
                        return start % PAGE || s[i].memsz % PAGE ? -EADDRNOTAVAIL : -EINVAL;
                for (size_t j = 0; j < i; j++) {
                        uint64_t other = (uint64_t)(uintptr_t)s[j].mem;

                        if (start < other + s[j].memsz && other < start + s[i].memsz)
                                return -EINVAL;
                }
                total += s[i].memsz;
        }
        return total > IMAGE_MAX ? -ENOMEM : 0;
}

static long load(struct pretend *p, pid_t pid, const struct user_regs_struct *regs)
{
        struct kexec_segment segments[KEXEC_SEGMENT_MAX];
        size_t n = regs->rsi;
        int image, bytes;
        long r;

        if (regs->r10 != KEXEC_ARCH_X86_64 || n > KEXEC_SEGMENT_MAX)
                return -EINVAL;
        if (!peek(pid, regs->rdx, segments, n * sizeof(segments[0])))
                return -EFAULT;
        r = check_segments(segments, n);
        if (r < 0)
                return r;
        forget(p);
        if (n == 0)
                return 0;
        image = open_file(p, "image");
        bytes = open_file(p, "segments");
        dprintf(image, "entry %llu\n", (unsigned long long)regs->rdi);
        for (size_t i = 0; i < n; i++) {
                uint8_t *copy = malloc(segments[i].bufsz + 1);

                if (!copy)
                        die("malloc");
                if (!peek(pid, (uint64_t)(uintptr_t)segments[i].buf, copy, segments[i].bufsz)) {
                        forget(p);
                        return -EFAULT;
                }
                dprintf(image, "segment %llu %llu %llu\n",
                                (unsigned long long)(uintptr_t)segments[i].mem,
                                (unsigned long long)segments[i].memsz,
                                (unsigned long long)segments[i].bufsz);
                put(bytes, copy, segments[i].bufsz);
                free(copy);
        }
        close(image);
        close(bytes);
        set_loaded(p, true);
        return 0;
}

/* The program's descriptor, opened anew. -EBADF: it isn't one. */
static int open_theirs(pid_t pid, int fd)
{
        char path[64];
        int mine;

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
        mine = open(path, O_RDONLY | O_CLOEXEC);
        return mine < 0 ? -EBADF : mine;
}

static long copy_file(struct pretend *p, pid_t pid, int fd, const char *name)
{
        int from = open_theirs(pid, fd), to;
        struct stat st;

        if (from < 0)
                return from;
        if (fstat(from, &st) < 0)
                die("fstat");
        to = open_file(p, name);
        for (off_t left = st.st_size; left > 0;) {
                ssize_t n = sendfile(to, from, NULL, (size_t)left);

                if (n <= 0)
                        die("sendfile");
                left -= n;
        }
        close(from);
        close(to);
        return 0;
}

static long file_load(struct pretend *p, pid_t pid, const struct user_regs_struct *regs)
{
        static char command_line[65536];
        size_t length = regs->rdx;
        unsigned long flags = regs->r8;
        long r;
        int fd;

        if (flags & ~(unsigned long)(KEXEC_FILE_UNLOAD | KEXEC_FILE_NO_INITRAMFS))
                return -EINVAL;
        if (flags & KEXEC_FILE_UNLOAD) {
                forget(p);
                return 0;
        }
        if (length == 0 || length > sizeof(command_line))
                return -EINVAL;
        if (!peek(pid, regs->r10, command_line, length))
                return -EFAULT;
        if (command_line[length - 1])
                return -EINVAL;
        forget(p);
        r = copy_file(p, pid, (int)regs->rdi, "kernel");
        if (r == 0 && !(flags & KEXEC_FILE_NO_INITRAMFS))
                r = copy_file(p, pid, (int)regs->rsi, "initrd");
        if (r < 0) {
                forget(p);
                return r;
        }
        fd = open_file(p, "command-line");
        put(fd, command_line, length - 1);
        close(fd);
        set_loaded(p, true);
        return 0;
}

static long reboot(struct pretend *p, const struct user_regs_struct *regs)
{
        if ((uint32_t)regs->rdi != LINUX_REBOOT_MAGIC1 ||
                        (uint32_t)regs->rsi != LINUX_REBOOT_MAGIC2 ||
                        (uint32_t)regs->rdx != LINUX_REBOOT_CMD_KEXEC || !p->is_loaded)
                return -EINVAL;
        p->rebooted = true;
        return 0;
}

bool pretend_takes(long nr)
{
        return nr == SYS_kexec_load || nr == SYS_kexec_file_load || nr == SYS_reboot ||
               nr == SYS_sync;
}

long pretend_call(struct pretend *p, pid_t pid, const struct user_regs_struct *regs)
{
        switch (regs->orig_rax) {
        case SYS_kexec_load:
                return load(p, pid, regs);
        case SYS_kexec_file_load:
                return file_load(p, pid, regs);
        case SYS_reboot:
                return reboot(p, regs);
        default: /* sync: it would write out all of this machine's disks, each time */
                return 0;
        }
}
