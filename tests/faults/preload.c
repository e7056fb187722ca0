/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into mkexec: lets one allocation fail, or one step of the guest process before it is
 * locked in, where no tracer but mkexec itself may be. $MKEXEC_FAULT is "alloc N", "alloc N from"
 * (that one and all later ones), "stack KEY N" (the first of that call stack, from number N on),
 * "child N" or "child N kill"; the file $MKEXEC_FAULT_COUNT gets the numbers of both that there
 * were, and with $MKEXEC_FAULT_STACKS the call stacks of all allocations (struct stack). It makes
 * no system call of its own later on.
 *
 * A call stack's key is made of where its frames lie in their files. Of frames of libcrypto that
 * stand one behind the other only the innermost two (one is often CRYPTO_zalloc) and the outermost
 * are in it: its ways through its tables of providers would make many stacks out of one. */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
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
#include <unwind.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct counts {
        uint64_t allocations, child_calls, hits;
        char asked[64];    /* whose allocation it was that failed first: a library's name */
        char asserted[64]; /* whose assertion failed */
} own, *counts = &own;
static uint64_t fail_allocation, fail_child, fail_stack;
static bool from, kill_child;
static long program;

#define STACKS        (1u << 16)
#define CRYPTO_FRAMES 2

static struct stack {
        uint64_t key, first, times; /* first: the number of the allocation */
        uint64_t own;               /* the program itself asked for it */
} * stacks;                         /* an open hash table; its places without a key are free */

static void *map_file(const char *path, size_t size)
{
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        void *p = MAP_FAILED;

        if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
                p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                _exit(99);
        close(fd);
        return p;
}

static __attribute__((constructor)) void read_order(void)
{
        const char *order = getenv("MKEXEC_FAULT"), *path = getenv("MKEXEC_FAULT_COUNT");
        const char *stacks_path = getenv("MKEXEC_FAULT_STACKS");

        program = syscall(SYS_getpid);
        if (path)
                counts = map_file(path, sizeof(*counts));
        if (stacks_path)
                stacks = map_file(stacks_path, STACKS * sizeof(*stacks));
        counts->allocations = 0; /* from here on */
        if (!order)
                return;
        (void)(sscanf(order, "stack %lx %lu", &fail_stack, &fail_allocation) == 2 ||
                        sscanf(order, "alloc %lu", &fail_allocation) == 1 ||
                        sscanf(order, "child %lu", &fail_child) == 1);
        from = strstr(order, " from");
        kill_child = strstr(order, " kill");
}

/* ---- allocations ---- */

struct walk {
        struct stack stack;
        unsigned n_crypto;  /* frames of libcrypto's just before this one ... */
        uint64_t crypto;    /* ... and the last of them */
        const void *caller; /* of malloc(): frames before that are ours */
};

static void mix(struct stack *s, uint64_t word)
{
        s->key = (s->key ^ word) * 0x9e3779b97f4a7c15u;
        s->key ^= s->key >> 29;
}

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *arg)
{
        uint64_t at = _Unwind_GetIP(context);
        struct walk *walk = arg;
        struct dl_find_object object;
        const char *name, *slash;
        uint64_t offset;

        if (walk->caller && (void *)at != walk->caller)
                return _URC_NO_REASON;
        if (!at || _dl_find_object((void *)(at - 1), &object) < 0)
                return _URC_END_OF_STACK;
        name = object.dlfo_link_map->l_name;
        offset = at - (uint64_t)object.dlfo_map_start;
        slash = strrchr(name, '/');
        slash = slash ? slash + 1 : name; /* the program's own name is empty */
        if (walk->caller)
                walk->stack.own = *slash == '\0';
        walk->caller = NULL;
        if (strncmp(slash, "libcrypto.", 10) == 0) {
                if (walk->n_crypto++ < CRYPTO_FRAMES)
                        mix(&walk->stack, offset);
                walk->crypto = offset;
                return _URC_NO_REASON;
        }
        if (walk->n_crypto > CRYPTO_FRAMES)
                mix(&walk->stack, walk->crypto);
        walk->n_crypto = 0;
        for (; *slash; slash++)
                mix(&walk->stack, (uint8_t)*slash);
        mix(&walk->stack, offset);
        return _URC_NO_REASON;
}

/* Of whoever called malloc() or its like. */
static struct stack walk_stack(const void *caller)
{
        struct walk walk = {.caller = caller};

        _Unwind_Backtrace(frame, &walk);
        walk.stack.key |= 1;
        return walk.stack;
}

static void note_stack(const struct stack *s, uint64_t n)
{
        for (uint64_t at = s->key >> 40;; at++) {
                struct stack *place = &stacks[at % STACKS];

                if (place->key && place->key != s->key)
                        continue;
                if (!place->key) {
                        *place = *s;
                        place->first = n;
                }
                place->times++;
                return;
        }
}

/* Whether the allocation with number n is one that shall fail. */
static bool is_due(uint64_t n, const void *caller)
{
        struct stack stack;

        if (stacks) {
                stack = walk_stack(caller);
                note_stack(&stack, n);
        }
        if (!fail_allocation || n < fail_allocation)
                return false;
        if (!fail_stack)
                return n == fail_allocation || from;
        if (counts->hits)
                return from;
        stack = walk_stack(caller);
        return stack.key == fail_stack;
}

static void name_owner(const void *code, char to[64])
{
        const char *slash;
        Dl_info info;

        if (dladdr(code, &info) && (slash = strrchr(info.dli_fname, '/')))
                strncpy(to, slash + 1, 63);
}

static bool refuse(void *caller)
{
        uint64_t n = __atomic_add_fetch(&counts->allocations, 1, __ATOMIC_RELAXED);

        if (!is_due(n, caller))
                return false;
        if (counts->hits++ == 0)
                name_owner(caller, counts->asked);
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

/* glibc's looks for memory for its message, and the stack then tells nothing. */
void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
        (void)assertion, (void)file, (void)line, (void)function;
        name_owner(__builtin_return_address(0), counts->asserted);
        abort();
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
