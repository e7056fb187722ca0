/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guest RAM over one sparse memfd; see ram.h. The broker maps the file once, at offset == physical
 * address, and touches committed pages only. Committing allocates the pages there and then
 * (fallocate): a machine that has no memory left, or whose vm.overcommit_memory=2 limit is reached,
 * then gives an error to the firmware's allocator instead of a SIGBUS to the broker. The mapping
 * itself is shared and NORESERVE and memfds account page by page, so a map of terabytes costs
 * nothing. */
#include "shim/machine/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/machine/page-set.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define PAGE_BYTES      4096ull
#define HUGE_PAGE_BYTES (2ull << 20)
#define LOWEST_ADDRESS  0x10000ull        /* vm.mmap_min_addr: the guest can't map below */
#define HIGHEST_ADDRESS 0x7ffffffff000ull /* end of user space with 4-level paging */

struct ram {
        int fd;
        uint8_t *base; /* of the mapping: base + physical address */
        uint64_t size; /* of file and mapping: the highest end */
        struct ram_range *ranges;
        size_t n_ranges;
        struct page_set committed;
        uint64_t committed_bytes, peak_bytes, budget_bytes;
        bool is_lent;
};

/* Adjacent ranges become one: nothing depends on where the memory map had its seams. */
static int take_ranges(
                struct ram *ram, const struct ram_range *ranges, size_t n, struct error *error)
{
        uint64_t last_end = LOWEST_ADDRESS;

        if (n == 0)
                return error_set(error, EINVAL, "guest RAM: no memory ranges");
        ram->ranges = calloc(n, sizeof(*ranges));
        if (!ram->ranges)
                return error_set(error, ENOMEM, "guest RAM: out of memory");
        for (size_t i = 0; i < n; i++) {
                struct ram_range r = ranges[i];

                if (r.start % PAGE_BYTES || r.end % PAGE_BYTES || r.start >= r.end ||
                                r.start < last_end || r.end > HIGHEST_ADDRESS)
                        return error_set(error, EINVAL,
                                        "guest RAM: range %zu, 0x%" PRIx64 "-0x%" PRIx64
                                        ", is unaligned, empty, out of order or not within 64 "
                                        "KiB..128 TiB",
                                        i, r.start, r.end);
                if (ram->n_ranges > 0 && ram->ranges[ram->n_ranges - 1].end == r.start)
                        ram->ranges[ram->n_ranges - 1].end = r.end;
                else
                        ram->ranges[ram->n_ranges++] = r;
                last_end = r.end;
        }
        ram->size = last_end;
        return 0;
}

/* vm.memfd_noexec wants to hear whether the file may be executed. Ours is mapped executable, never
 * executed as a file, so where MFD_EXEC is forbidden (=2) the sealed kind does as well; kernels
 * before 6.3 know neither flag. */
static int open_memfd(struct error *error)
{
        static const unsigned flags[] = {MFD_EXEC, MFD_NOEXEC_SEAL, 0};
        int fd = -1;

        for (size_t i = 0; i < ARRAY_SIZE(flags) && fd < 0; i++)
                fd = (int)syscall(SYS_memfd_create, "mkexec-ram", MFD_CLOEXEC | flags[i]);
        if (fd < 0)
                return error_set(error, errno, "guest RAM: memfd_create: %s%s", strerror(errno),
                                errno == EACCES ? " (see vm.memfd_noexec)" : "");
        return fd;
}

/* Past RLIMIT_FSIZE the kernel not only refuses but sends SIGXFSZ. */
static int check_file_limit(uint64_t size, struct error *error)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
                        limit.rlim_cur < size)
                return error_set(error, EFBIG,
                                "guest RAM: the file size limit (ulimit -f, RLIMIT_FSIZE) of "
                                "%" PRIu64 " bytes is below the highest RAM address 0x%" PRIx64
                                "; raise it",
                                (uint64_t)limit.rlim_cur, size);
        return 0;
}

/* Huge pages can be mapped only where address and offset agree in their low bits. */
static void *map_aligned(int fd, uint64_t size)
{
        uint64_t whole = size + HUGE_PAGE_BYTES, before, after;
        uint8_t *room = mmap(
                        NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (room == MAP_FAILED)
                return MAP_FAILED;
        before = -(uintptr_t)room % HUGE_PAGE_BYTES;
        after = whole - before - size;
        if (before > 0)
                munmap(room, before);
        if (after > 0)
                munmap(room + before + size, after);
        return mmap(room + before, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
}

static int map_memfd(struct ram *ram, struct error *error)
{
        void *base;
        int r = check_file_limit(ram->size, error);

        if (r < 0)
                return r;
        ram->fd = open_memfd(error);
        if (ram->fd < 0)
                return ram->fd;
        if (ftruncate(ram->fd, (off_t)ram->size) < 0)
                return error_set(error, errno, "guest RAM: memfd of %" PRIu64 " bytes: %s",
                                ram->size, strerror(errno));
        base = map_aligned(ram->fd, ram->size);
        if (base == MAP_FAILED)
                return error_set(error, errno,
                                "guest RAM: %" PRIu64
                                " bytes of address space: %s (ulimit -v, RLIMIT_AS?)",
                                ram->size, strerror(errno));
        ram->base = base;
        /* The guest maps the file itself, and nobody wants it in the broker's core dump. */
        (void)madvise(base, ram->size, MADV_DONTFORK);
        (void)madvise(base, ram->size, MADV_DONTDUMP);
        return 0;
}

DEFINE_CLEANUP(struct ram *, ram_free)

int ram_new(const struct ram_range *ranges, size_t n_ranges, uint64_t budget_bytes,
                struct ram **ret, struct error *error)
{
        _cleanup_(ram_freep) struct ram *ram = calloc(1, sizeof(*ram));
        int r;

        if (!ram)
                return error_set(error, ENOMEM, "guest RAM: out of memory");
        ram->fd = -1;
        ram->budget_bytes = budget_bytes;
        r = take_ranges(ram, ranges, n_ranges, error);
        if (r < 0)
                return r;
        r = map_memfd(ram, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ram);
        return 0;
}

void ram_free(struct ram *ram)
{
        if (!ram)
                return;
        if (ram->base)
                munmap(ram->base, ram->size);
        if (ram->fd >= 0)
                close(ram->fd);
        page_set_release(&ram->committed);
        free(ram->ranges);
        free(ram);
}

int ram_fd(const struct ram *ram)
{
        return ram->fd;
}

size_t ram_n_ranges(const struct ram *ram)
{
        return ram->n_ranges;
}

struct ram_range ram_get_range(const struct ram *ram, size_t index)
{
        return index < ram->n_ranges ? ram->ranges[index] : (struct ram_range){0};
}

uint64_t ram_committed_bytes(const struct ram *ram)
{
        return ram->committed_bytes;
}

uint64_t ram_peak_bytes(const struct ram *ram)
{
        return ram->peak_bytes;
}

uint64_t ram_budget_bytes(const struct ram *ram)
{
        return ram->budget_bytes;
}

/* ---- the guest runs ---- */

#if defined(__SANITIZE_ADDRESS__)
#define RAM_MOVES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RAM_MOVES 1
#endif
#endif

#ifdef RAM_MOVES
#define PLACES_LEFT        16
#define LARGEST_THAT_MOVES (64ull << 30)

/* To another address; the last places stay taken, so that no view fits again by chance. */
static void move(struct ram *ram)
{
        static struct {
                void *base;
                uint64_t size;
        } left[PLACES_LEFT];
        static size_t next;
        void *base;

        if (ram->size > LARGEST_THAT_MOVES)
                return;
        base = map_aligned(ram->fd, ram->size);
        if (base == MAP_FAILED)
                return;
        (void)madvise(base, ram->size, MADV_DONTFORK);
        (void)madvise(base, ram->size, MADV_DONTDUMP);
        if (left[next].base)
                munmap(left[next].base, left[next].size);
        left[next].base = NULL;
        if (mmap(ram->base, ram->size, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                            0) == ram->base) {
                left[next].base = ram->base;
                left[next].size = ram->size;
                next = (next + 1) % PLACES_LEFT;
        }
        ram->base = base;
}
#else
static void move(struct ram *ram)
{
}
#endif

void ram_lend(struct ram *ram)
{
        ram->is_lent = true;
}

void ram_take_back(struct ram *ram)
{
        if (ram->is_lent)
                move(ram);
        ram->is_lent = false;
}

static bool is_inside_one_range(const struct ram *ram, uint64_t start, uint64_t end)
{
        if (start % PAGE_BYTES || end % PAGE_BYTES || start >= end)
                return false;
        for (size_t i = 0; i < ram->n_ranges; i++)
                if (start >= ram->ranges[i].start && end <= ram->ranges[i].end)
                        return true;
        return false;
}

static int allocate(const struct ram *ram, int mode, uint64_t start, uint64_t end)
{
        while (fallocate(ram->fd, mode, (off_t)start, (off_t)(end - start)) < 0) {
                if (errno == EINTR)
                        continue;
                /* The budget's ENOSPC is the firmware's business; this one is the machine's. */
                return errno == ENOSPC ? -ENOMEM : -errno;
        }
        return 0;
}

static int punch(const struct ram *ram, uint64_t start, uint64_t end)
{
        return allocate(ram, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end);
}

/* Makes huge pages of the whole blocks of a gap, as far as the kernel likes: one fault then does
 * for 512, in the broker and in the guest. memfds get none by themselves where shmem_enabled is
 * "never", which is the default; MADV_COLLAPSE asks for them here and now. It leaves a block alone
 * that is empty, and Linux 6.1 stops behind one that isn't mapped: so each gets its first page, and
 * that is touched. Whoever has no such call, no memory in one piece or "deny" goes on with small
 * pages. */
static void try_huge_pages(const struct ram *ram, uint64_t start, uint64_t end)
{
        uint64_t first = (start + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
        uint64_t last = end & ~(HUGE_PAGE_BYTES - 1);

        if (first >= last)
                return;
        for (uint64_t at = first; at < last; at += HUGE_PAGE_BYTES) {
                if (fallocate(ram->fd, FALLOC_FL_KEEP_SIZE, (off_t)at, PAGE_BYTES) < 0)
                        return; /* the caller allocates all of it, and says what is wrong */
                *(volatile uint8_t *)(ram->base + at) = 0;
        }
        (void)madvise(ram->base + first, last - first, MADV_COLLAPSE);
}

/* Gives pages to whatever of [start, end) has none; on failure to none of it. */
static int allocate_gaps(const struct ram *ram, uint64_t start, uint64_t end)
{
        struct page_run gap;

        for (uint64_t at = start; page_set_next(&ram->committed, false, at, end, &gap);
                        at = gap.end) {
                int r;

                try_huge_pages(ram, gap.start, gap.end);
                r = allocate(ram, FALLOC_FL_KEEP_SIZE, gap.start, gap.end);
                if (r == 0)
                        continue;
                for (at = start; page_set_next(&ram->committed, false, at, end, &gap); at = gap.end)
                        (void)punch(ram, gap.start, gap.end);
                return r;
        }
        return 0;
}

int ram_commit(struct ram *ram, uint64_t start, uint64_t end)
{
        uint64_t more;
        int r;

        if (ram->is_lent)
                return -EBUSY;
        if (!is_inside_one_range(ram, start, end))
                return -EINVAL;
        more = end - start - page_set_overlap(&ram->committed, start, end);
        if (more == 0)
                return 0;
        if (ram->committed_bytes > ram->budget_bytes ||
                        more > ram->budget_bytes - ram->committed_bytes)
                return -ENOSPC;
        r = page_set_reserve(&ram->committed);
        if (r < 0)
                return r;
        r = allocate_gaps(ram, start, end);
        if (r < 0)
                return r;
        page_set_add(&ram->committed, start, end);
        ram->committed_bytes += more;
        if (ram->committed_bytes > ram->peak_bytes)
                ram->peak_bytes = ram->committed_bytes;
        return 0;
}

int ram_release(struct ram *ram, uint64_t start, uint64_t end)
{
        uint64_t less;
        int r;

        if (ram->is_lent)
                return -EBUSY;
        if (!is_inside_one_range(ram, start, end))
                return -EINVAL;
        less = page_set_overlap(&ram->committed, start, end);
        if (less == 0)
                return 0;
        r = page_set_reserve(&ram->committed);
        if (r < 0)
                return r;
        r = punch(ram, start, end);
        if (r < 0)
                return r;
        page_set_remove(&ram->committed, start, end);
        ram->committed_bytes -= less;
        return 0;
}

/* Where [address, address + size) is in the broker, NULL unless all of it is committed and the
 * guest is stopped. */
static uint8_t *reach(const struct ram *ram, uint64_t address, uint64_t size)
{
        uint64_t end = page_set_run_end(&ram->committed, address);

        if (end == 0 || ram->is_lent || size > end - address)
                return NULL;
        return ram->base + address;
}

bool ram_read(const struct ram *ram, uint64_t address, void *to, uint64_t size)
{
        const uint8_t *from = reach(ram, address, size);

        if (size == 0)
                return true;
        if (!from)
                return false;
        memmove(to, from, size); /* to may be a view of the same RAM, here and in ram_write() */
        return true;
}

bool ram_write(struct ram *ram, uint64_t address, const void *from, uint64_t size)
{
        uint8_t *to = reach(ram, address, size);

        if (size == 0)
                return true;
        if (!to)
                return false;
        memmove(to, from, size);
        return true;
}

bool ram_zero(struct ram *ram, uint64_t address, uint64_t size)
{
        uint8_t *to = reach(ram, address, size);

        if (size == 0)
                return true;
        if (!to)
                return false;
        memset(to, 0, size);
        return true;
}

/* The host is little-endian as the guest is: the guest's code runs on it. */
#define ACCESSORS(bits)                                                                    \
        bool ram_get_u##bits(const struct ram *ram, uint64_t address, uint##bits##_t *ret) \
        {                                                                                  \
                return ram_read(ram, address, ret, sizeof(*ret));                          \
        }                                                                                  \
        bool ram_put_u##bits(struct ram *ram, uint64_t address, uint##bits##_t value)      \
        {                                                                                  \
                return ram_write(ram, address, &value, sizeof(value));                     \
        }

ACCESSORS(8)
ACCESSORS(16)
ACCESSORS(32)
ACCESSORS(64)

bool ram_view_writable(struct ram *ram, uint64_t address, uint64_t size, uint8_t **ret)
{
        uint8_t *at = reach(ram, address, size);

        if (!at)
                return false;
        *ret = at;
        return true;
}

bool ram_view(const struct ram *ram, uint64_t address, uint64_t size, struct span *ret)
{
        const uint8_t *at = reach(ram, address, size);

        if (size == 0) {
                *ret = SPAN(NULL, 0);
                return true;
        }
        if (!at)
                return false;
        *ret = SPAN(at, size);
        return true;
}

bool ram_read_utf16(const struct ram *ram, uint64_t address, size_t max_chars, struct buf *ret)
{
        uint64_t end = page_set_run_end(&ram->committed, address);
        const uint8_t *at;
        uint64_t n_chars;

        if (end == 0 || ram->is_lent)
                return false;
        at = ram->base + address;
        n_chars = (end - address) / 2;
        if (n_chars > max_chars)
                n_chars = max_chars;
        for (uint64_t i = 0; i < n_chars; i++) {
                if (at[2 * i] || at[2 * i + 1])
                        continue;
                buf_put(ret, at, 2 * i);
                return !buf_failed(ret);
        }
        return false;
}
