/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's address space, changed by system calls in its name and checked in /proc/PID/maps; see
 * address-space.h. */
#include "shim/machine/address-space.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/rseq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "shim/machine/remote-syscall.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f /* Linux 5.13 */
#endif

/* asm/prctl.h, Linux 6.6 */
#define ARCH_SHSTK_DISABLE 0x5002
#define ARCH_SHSTK_UNLOCK  0x5004
#define ARCH_SHSTK_SHSTK   1

#define MAPS_LIMIT (16u << 20)

/* ---- /proc/PID/maps: "start-end rwxp offset dev:dev inode      name" ---- */

struct mapping {
        uint64_t start, end, offset;
        struct span name; /* "[vdso]", a path, or empty */
};

static bool take_hex(struct cursor *c, uint64_t *ret)
{
        uint64_t value = 0;
        size_t digits = 0;

        for (; cursor_left(c) > 0; digits++) {
                uint8_t b = c->bytes.data[c->offset];
                unsigned digit = b >= '0' && b <= '9'   ? b - '0' + 0u
                                 : b >= 'a' && b <= 'f' ? b - 'a' + 10u
                                                        : 16;

                if (digit == 16 || value >> 60)
                        break;
                value = value << 4 | digit;
                c->offset++;
        }
        *ret = value;
        return digits > 0;
}

static bool take_byte(struct cursor *c, uint8_t wanted)
{
        if (cursor_left(c) == 0 || c->bytes.data[c->offset] != wanted)
                return false;
        c->offset++;
        return true;
}

static void skip_field(struct cursor *c)
{
        while (cursor_left(c) > 0 && c->bytes.data[c->offset] != ' ' &&
                        c->bytes.data[c->offset] != '\n')
                c->offset++;
        while (take_byte(c, ' '))
                ;
}

/* 1 and the next line, 0 at the end, -EBADMSG if it isn't one. */
static int next_mapping(struct cursor *c, struct mapping *ret)
{
        struct mapping m;
        size_t name;

        if (cursor_left(c) == 0)
                return 0;
        if (!take_hex(c, &m.start) || !take_byte(c, '-') || !take_hex(c, &m.end) ||
                        !take_byte(c, ' '))
                return -EBADMSG;
        skip_field(c); /* permissions */
        if (!take_hex(c, &m.offset) || !take_byte(c, ' '))
                return -EBADMSG;
        skip_field(c); /* device */
        skip_field(c); /* inode */
        name = c->offset;
        while (cursor_left(c) > 0 && c->bytes.data[c->offset] != '\n')
                c->offset++;
        m.name = SPAN(c->bytes.data + name, c->offset - name);
        if (!take_byte(c, '\n') || m.start >= m.end)
                return -EBADMSG;
        *ret = m;
        return 1;
}

static int read_maps(const struct guest_process *guest, struct buf *ret, struct error *error)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/maps", (int)guest->pid);
        return buf_read_file(path, MAPS_LIMIT, ret, error);
}

static bool is_named(const struct mapping *m, const char *name)
{
        return span_equal(m->name, SPAN(name, strlen(name)));
}

/* The kernel's own pages, which kernels with CONFIG_MSEAL_SYSTEM_MAPPINGS don't let go: read-only
 * code and the clock. */
static bool may_be_sealed(const struct mapping *m)
{
        return is_named(m, "[vdso]") || is_named(m, "[vvar]") || is_named(m, "[vvar_vclock]");
}

static bool is_kernel_address(const struct mapping *m)
{
        return m->start >> 63; /* [vsyscall], which isn't a mapping */
}

static bool is_gate(const struct guest_process *guest, const struct mapping *m)
{
        return m->start == guest->gate && m->end == guest->gate + GUEST_PAGE_BYTES;
}

/* ---- emptying ---- */

static int call(struct guest_process *guest, const char *what, long number, const uint64_t args[6],
                struct error *error)
{
        int64_t result;
        int r = remote_syscall(guest, number, args, &result);

        if (r == 0 && result < 0)
                r = (int)result;
        if (r < 0)
                return error_set(error, -r, "guest process: %s: %s", what, strerror(-r));
        return 0;
}

#define CALL(guest, error, what, number, ...) \
        call((guest), (what), (number), (const uint64_t[6]){__VA_ARGS__}, (error))

/* The kernel writes to a registered rseq area on each return to user mode and kills the process if
 * it is gone. glibc 2.35 and later register one. */
static int unregister_rseq(struct guest_process *guest, struct error *error)
{
        struct {
                uint64_t pointer;
                uint32_t size, signature, flags, pad;
        } rseq = {0};

        if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, guest->pid, sizeof(rseq), &rseq) < 0) {
#ifdef RSEQ_SIG
                /* Before Linux 5.13: the child is our copy, so its area is where ours is. */
                if (__rseq_size > 0) {
                        rseq.pointer = (uint64_t)((uintptr_t)__builtin_thread_pointer() +
                                                  (uintptr_t)__rseq_offset);
                        rseq.size = 32; /* what glibc registered on such kernels */
                        rseq.signature = RSEQ_SIG;
                }
#endif
        }
        if (rseq.pointer == 0)
                return 0;
        return CALL(guest, error, "giving up rseq", SYS_rseq, rseq.pointer, rseq.size,
                        RSEQ_FLAG_UNREGISTER, rseq.signature);
}

/* A program with a shadow stack has handed it down; returns of the payload would fault. Kernels and
 * programs without one answer with an error that means the same as success. */
static void disable_shadow_stack(struct guest_process *guest)
{
        int64_t ignored;

        (void)ptrace((enum __ptrace_request)PTRACE_ARCH_PRCTL, guest->pid, ARCH_SHSTK_SHSTK,
                        ARCH_SHSTK_UNLOCK);
        (void)REMOTE_SYSCALL(guest, &ignored, SYS_arch_prctl, ARCH_SHSTK_DISABLE, ARCH_SHSTK_SHSTK);
}

/* Sixty mappings are a hundred stops of the guest. A kernel that keeps one of them (sealed) refuses
 * the whole range; what is left is looked at one by one. */
static void unmap_around_gate(struct guest_process *guest)
{
        uint64_t behind = guest->gate + GUEST_PAGE_BYTES;
        int64_t ignored;

        (void)REMOTE_SYSCALL(guest, &ignored, SYS_munmap, 0, guest->gate);
        (void)REMOTE_SYSCALL(guest, &ignored, SYS_munmap, behind, END_OF_USER_SPACE - behind);
}

static int unmap_all(struct guest_process *guest, struct error *error)
{
        _cleanup_buf_ struct buf maps = {0};
        struct cursor c;
        struct mapping m;
        int r;

        unmap_around_gate(guest);
        r = read_maps(guest, &maps, error);
        if (r < 0)
                return r;
        c = CURSOR(buf_span(&maps));
        while ((r = next_mapping(&c, &m)) > 0) {
                int64_t result;

                if (is_gate(guest, &m) || is_kernel_address(&m))
                        continue;
                r = REMOTE_SYSCALL(guest, &result, SYS_munmap, m.start, m.end - m.start);
                if (r == 0 && result < 0 && !(result == -EPERM && may_be_sealed(&m)))
                        r = (int)result;
                if (r < 0)
                        return error_set(error, -r,
                                        "guest process: munmap 0x%" PRIx64 "-0x%" PRIx64
                                        " (%.*s): %s",
                                        m.start, m.end, (int)m.name.size, (const char *)m.name.data,
                                        strerror(-r));
        }
        if (r < 0)
                return error_set(error, -r, "guest process: /proc/%d/maps: bad line at byte %zu",
                                (int)guest->pid, c.offset);
        return 0;
}

/* ---- windows ---- */

static const char *mmap_reason(int errnum)
{
        switch (errnum) {
        case EEXIST:
                return " (something of the kernel's is mapped there)";
        case EPERM:
                return " (below vm.mmap_min_addr?)";
        case EACCES:
                return " (SELinux or another LSM?)";
        case ENOMEM:
                return " (ulimit -v, RLIMIT_AS, or vm.max_map_count?)";
        default:
                return "";
        }
}

static int map_window(struct guest_process *guest, struct ram_range range, struct error *error)
{
        int64_t at;
        int r = REMOTE_SYSCALL(guest, &at, SYS_mmap, range.start, range.end - range.start,
                        PROT_NONE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, GUEST_RAM_FD,
                        range.start);

        if (r == 0 && at < 0 && at >= -4095)
                r = (int)at;
        else if (r == 0 && (uint64_t)at != range.start)
                r = -EEXIST; /* before Linux 4.17 the flag is a mere wish */
        if (r < 0)
                return error_set(error, -r, "guest process: RAM 0x%" PRIx64 "-0x%" PRIx64 ": %s%s",
                                range.start, range.end, strerror(-r), mmap_reason(-r));
        return 0;
}

static int map_windows(struct guest_process *guest, const struct ram *ram, struct error *error)
{
        for (size_t i = 0; i < ram_n_ranges(ram); i++) {
                int r = map_window(guest, ram_get_range(ram, i), error);

                if (r < 0)
                        return r;
        }
        return 0;
}

int address_space_protect(struct guest_process *guest, uint64_t start, uint64_t end, bool is_open)
{
        int64_t result;
        int prot = is_open ? PROT_READ | PROT_WRITE | PROT_EXEC : PROT_NONE;
        int r = REMOTE_SYSCALL(guest, &result, SYS_mprotect, start, end - start, (uint64_t)prot);

        return r < 0 ? r : (int)result;
}

/* Whether code may be run and written at all is asked now, not at the firmware's first allocation.
 * Nothing runs yet, so no page is touched. */
static int try_access(struct guest_process *guest, const struct ram *ram, struct error *error)
{
        uint64_t start = ram_get_range(ram, 0).start;
        int r = address_space_protect(guest, start, start + GUEST_PAGE_BYTES, true);

        if (r < 0)
                return error_set(error, -r, "guest process: writable and executable memory: %s%s",
                                strerror(-r),
                                r == -EACCES || r == -EPERM
                                                ? " (SELinux, or MemoryDenyWriteExecute= of a "
                                                  "service?)"
                                                : "");
        r = address_space_protect(guest, start, start + GUEST_PAGE_BYTES, false);
        if (r < 0)
                return error_set(error, -r, "guest process: mprotect: %s", strerror(-r));
        return 0;
}

/* ---- the check ---- */

static bool is_in_ram(const struct ram *ram, const struct mapping *m)
{
        for (size_t i = 0; i < ram_n_ranges(ram); i++) {
                struct ram_range range = ram_get_range(ram, i);

                if (m->start >= range.start && m->end <= range.end)
                        return m->offset == m->start && m->name.size > 0 && m->name.data[0] == '/';
        }
        return false;
}

static int check_maps(const struct guest_process *guest, const struct ram *ram, struct error *error)
{
        _cleanup_buf_ struct buf maps = {0};
        uint64_t bytes = 0, wanted = 0;
        struct cursor c;
        struct mapping m;
        int r = read_maps(guest, &maps, error);

        if (r < 0)
                return r;
        for (size_t i = 0; i < ram_n_ranges(ram); i++)
                wanted += ram_get_range(ram, i).end - ram_get_range(ram, i).start;
        c = CURSOR(buf_span(&maps));
        while ((r = next_mapping(&c, &m)) > 0) {
                if (is_in_ram(ram, &m))
                        bytes += m.end - m.start;
                else if (!is_gate(guest, &m) && !is_kernel_address(&m) && !may_be_sealed(&m))
                        return error_set(error, EIO,
                                        "guest process: 0x%" PRIx64 "-0x%" PRIx64
                                        " (%.*s) is still mapped",
                                        m.start, m.end, (int)m.name.size,
                                        (const char *)m.name.data);
        }
        if (r < 0 || bytes != wanted)
                return error_set(error, EIO, "guest process: its address space isn't guest RAM");
        return 0;
}

static int check_descriptors(const struct guest_process *guest, struct error *error)
{
        char path[64];
        DIR *dir;
        size_t n = 0;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int)guest->pid);
        dir = opendir(path);
        if (!dir)
                return error_set(error, errno, "%s: %s", path, strerror(errno));
        for (struct dirent *entry; (entry = readdir(dir));)
                n += entry->d_name[0] != '.';
        closedir(dir);
        if (n > 0)
                return error_set(error, EIO, "guest process: %zu file descriptors are still open",
                                n);
        return 0;
}

int address_space_become_ram(
                struct guest_process *guest, const struct ram *ram, struct error *error)
{
        int r;

        disable_shadow_stack(guest);
        r = unregister_rseq(guest, error);
        if (r == 0)
                r = unmap_all(guest, error);
        if (r == 0)
                r = map_windows(guest, ram, error);
        if (r == 0)
                r = try_access(guest, ram, error);
        if (r == 0)
                r = CALL(guest, error, "close", SYS_close, GUEST_RAM_FD);
        if (r == 0)
                r = CALL(guest, error, "close", SYS_close, GUEST_REPORT_FD);
        if (r == 0)
                r = check_descriptors(guest, error);
        if (r == 0)
                r = check_maps(guest, ram, error);
        if (r == 0) /* the last look into its /proc: who isn't root has no more */
                r = CALL(guest, error, "PR_SET_DUMPABLE", SYS_prctl, PR_SET_DUMPABLE, 0);
        return r;
}
