/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into mkexec: lets one allocation fail, or one step of the guest process before it is
 * locked in, where no tracer but mkexec itself may be. $MKEXEC_FAULT is "alloc N", "alloc N from"
 * (that one and all later ones), "child N" or "child N kill"; the file $MKEXEC_FAULT_COUNT gets the
 * numbers of both that there were. It makes no system call of its own later on. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct counts {
        uint64_t allocations, child_calls, hits;
        char asked[64]; /* whose allocation it was that failed first: a library's name */
} own, *counts = &own;
static uint64_t fail_allocation, fail_child;
static bool from, kill_child;
static long program;

static __attribute__((constructor)) void read_order(void)
{
        const char *order = getenv("MKEXEC_FAULT"), *path = getenv("MKEXEC_FAULT_COUNT");
        struct counts *shared;
        int fd;

        program = syscall(SYS_getpid);
        if (path) {
                fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0 || ftruncate(fd, 0) < 0 || ftruncate(fd, sizeof(*counts)) < 0)
                        _exit(99);
                shared = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                close(fd);
                if (shared == MAP_FAILED)
                        _exit(99);
                counts = shared;
        }
        counts->allocations = 0; /* from here on */
        if (!order)
                return;
        (void)(sscanf(order, "alloc %lu", &fail_allocation) == 1 ||
                        sscanf(order, "child %lu", &fail_child) == 1);
        from = strstr(order, " from");
        kill_child = strstr(order, " kill");
}

/* ---- allocations ---- */

static bool refuse(void *caller)
{
        uint64_t n = __atomic_add_fetch(&counts->allocations, 1, __ATOMIC_RELAXED);

        if (!fail_allocation || n < fail_allocation || (n > fail_allocation && !from))
                return false;
        if (counts->hits++ == 0) {
                const char *slash;
                Dl_info info;

                if (dladdr(caller, &info) && (slash = strrchr(info.dli_fname, '/')))
                        strncpy(counts->asked, slash + 1, sizeof(counts->asked) - 1);
        }
        errno = ENOMEM;
        return true;
}

void *malloc(size_t size)
{
        return refuse(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
        return refuse(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
        return refuse(__builtin_return_address(0)) ? NULL : __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
        return refuse(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
        void *p = refuse(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);

        if (p)
                *ret = p;
        return p ? 0 : ENOMEM;
}

/* ---- steps of the child ---- */

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
        register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
        long r;

        __asm__ volatile("syscall"
                         : "=a"(r)
                         : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
        return r;
}

static long answer(long r)
{
        if (r < 0 && r > -4096) {
                errno = (int)-r;
                return -1;
        }
        return r;
}

/* A call that the child makes before it is locked in. */
static long step(long nr, long a, long b, long c, long d, long e, long f)
{
        if (raw(SYS_getpid, 0, 0, 0, 0, 0, 0) != program) {
                uint64_t n = ++counts->child_calls;

                if (n == fail_child) {
                        counts->hits++;
                        if (kill_child)
                                raw(SYS_kill, raw(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0,
                                                0);
                        return answer(-EPERM);
                }
        }
        return answer(raw(nr, a, b, c, d, e, f));
}

long syscall(long nr, ...)
{
        long a[6];
        va_list list;

        va_start(list, nr);
        for (int i = 0; i < 6; i++)
                a[i] = va_arg(list, long);
        va_end(list);
        return step(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int prctl(int option, ...)
{
        unsigned long a[4];
        va_list list;

        va_start(list, option);
        for (int i = 0; i < 4; i++)
                a[i] = va_arg(list, unsigned long);
        va_end(list);
        return (int)step(SYS_prctl, option, (long)a[0], (long)a[1], (long)a[2], (long)a[3], 0);
}

pid_t setsid(void)
{
        return (pid_t)step(SYS_setsid, 0, 0, 0, 0, 0, 0);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
        return (int)step(SYS_prlimit64, 0, resource, (long)limit, 0, 0, 0);
}

int dup2(int from_fd, int to_fd)
{
        return (int)step(SYS_dup2, from_fd, to_fd, 0, 0, 0, 0);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
        return (int)step(SYS_rt_sigprocmask, how, (long)set, (long)old, 8, 0, 0);
}
