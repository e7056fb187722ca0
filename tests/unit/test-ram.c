/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guest RAM: ranges, commit state against a plain bitmap, budget, memory really given back, and the
 * accessors' bounds. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/machine/page-set.h"
#include "shim/machine/ram.h"
#include "tests/unit/tap.h"

#define PAGE 4096ull
#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define TIB  (1ull << 40)

DEFINE_CLEANUP(struct ram *, ram_free)
#define _cleanup_ram_ _cleanup_(ram_freep)

static const struct ram_range two_ranges[] = {{0x10000, 0xa0000}, {0x100000, 0x200000}};

static struct ram *new_ram(uint64_t budget_bytes)
{
        struct ram *ram = NULL;
        struct error error;

        if (ram_new(two_ranges, ARRAY_SIZE(two_ranges), budget_bytes, &ram, &error) < 0)
                printf("# %s\n", error.text);
        return ram;
}

static uint64_t file_bytes(const struct ram *ram)
{
        struct stat st;

        return fstat(ram_fd(ram), &st) < 0 ? UINT64_MAX : (uint64_t)st.st_blocks * 512;
}

static void test_bad_ranges(void)
{
        static const struct {
                size_t n;
                struct ram_range ranges[2];
        } rows[] = {
                        {0, {{0}}},
                        {1, {{0x10000, 0x10000}}},
                        {1, {{0x20000, 0x10000}}},
                        {1, {{0xf000, 0x20000}}}, /* below vm.mmap_min_addr */
                        {1, {{0, 0x20000}}},
                        {1, {{0x10800, 0x20000}}},
                        {1, {{0x10000, 0x20001}}},
                        {2, {{0x10000, 0x20000}, {0x1f000, 0x30000}}},
                        {2, {{0x40000, 0x50000}, {0x10000, 0x20000}}},
                        {1, {{0x10000, 1ull << 47}}}, /* beyond user space */
                        {1, {{0x10000, UINT64_MAX & ~0xfffull}}},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct ram *ram = NULL;
                struct error error = {0};

                CHECK_EQ(ram_new(rows[i].ranges, rows[i].n, MIB, &ram, &error), -EINVAL);
                CHECK(!ram && error.text[0]);
        }
}

static void test_adjacent_ranges(void)
{
        static const struct ram_range map[] = {
                        {0x10000, 0x20000}, {0x20000, 0x30000}, {0x31000, 0x40000}};
        _cleanup_ram_ struct ram *ram = NULL;

        REQUIRE(ram_new(map, ARRAY_SIZE(map), MIB, &ram, NULL) == 0);
        CHECK_EQ(ram_n_ranges(ram), 2);
        CHECK_EQ(ram_get_range(ram, 0).end, 0x30000);
        CHECK_EQ(ram_get_range(ram, 1).start, 0x31000);
        CHECK_EQ(ram_get_range(ram, 2).end, 0);
        CHECK_EQ(ram_commit(ram, 0x1f000, 0x21000), 0);
        CHECK_EQ(ram_commit(ram, 0x2f000, 0x32000), -EINVAL);
}

static void test_budget(void)
{
        _cleanup_ram_ struct ram *ram = new_ram(4 * PAGE);

        REQUIRE(ram);
        CHECK_EQ(ram_commit(ram, 0x100000, 0x103000), 0);
        CHECK_EQ(ram_commit(ram, 0x110000, 0x112000), -ENOSPC);
        CHECK_EQ(ram_committed_bytes(ram), 3 * PAGE);
        CHECK_EQ(file_bytes(ram), 3 * PAGE);
        CHECK_EQ(ram_commit(ram, 0x101000, 0x104000), 0); /* two of them are there already */
        CHECK_EQ(ram_committed_bytes(ram), 4 * PAGE);
        CHECK_EQ(ram_commit(ram, 0x100000, 0x104000), 0); /* all of them are */
        CHECK_EQ(ram_commit(ram, 0x110000, 0x111000), -ENOSPC);
        CHECK_EQ(ram_release(ram, 0x101000, 0x102000), 0);
        CHECK_EQ(ram_commit(ram, 0x110000, 0x111000), 0);
        CHECK_EQ(ram_peak_bytes(ram), 4 * PAGE);
        CHECK_EQ(ram_budget_bytes(ram), 4 * PAGE);
        CHECK_EQ(ram_commit(ram, 0x100000, 0x200000), -ENOSPC);
        CHECK_EQ(file_bytes(ram), 4 * PAGE);
}

static void test_bad_commits(void)
{
        static const struct ram_range rows[] = {
                        {0x100000, 0x100000},
                        {0x101000, 0x100000},
                        {0x100800, 0x102000},
                        {0x100000, 0x100fff},
                        {0x0, 0x1000},
                        {0xf000, 0x11000},
                        {0x9f000, 0xa1000},
                        {0x9f000, 0x101000},
                        {0xa0000, 0xa1000},
                        {0x1ff000, 0x201000},
                        {0x200000, 0x201000},
                        {0x100000, UINT64_MAX & ~0xfffull},
        };
        _cleanup_ram_ struct ram *ram = new_ram(TIB);

        REQUIRE(ram);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                CHECK_EQ(ram_commit(ram, rows[i].start, rows[i].end), -EINVAL);
                CHECK_EQ(ram_release(ram, rows[i].start, rows[i].end), -EINVAL);
        }
        CHECK_EQ(ram_committed_bytes(ram), 0);
        CHECK_EQ(file_bytes(ram), 0);
}

static void test_release_gives_back(void)
{
        _cleanup_ram_ struct ram *ram = new_ram(MIB);
        uint64_t value = 1;

        REQUIRE(ram);
        CHECK_EQ(ram_commit(ram, 0x100000, 0x180000), 0);
        CHECK_EQ(file_bytes(ram), 0x80000); /* there, before anybody touched it */
        CHECK(ram_put_u64(ram, 0x140000, 0x1122334455667788));
        CHECK_EQ(ram_release(ram, 0x120000, 0x160000), 0);
        CHECK_EQ(file_bytes(ram), 0x40000);
        CHECK(!ram_get_u64(ram, 0x140000, &value));
        CHECK_EQ(ram_commit(ram, 0x140000, 0x141000), 0);
        CHECK(ram_get_u64(ram, 0x140000, &value));
        CHECK_EQ(value, 0);
        CHECK_EQ(ram_release(ram, 0x100000, 0x200000), 0);
        CHECK_EQ(file_bytes(ram), 0);
        CHECK_EQ(ram_committed_bytes(ram), 0);
        CHECK_EQ(ram_release(ram, 0x100000, 0x200000), 0); /* nothing there: nothing to do */
}

static bool is_zero(const struct ram *ram, uint64_t start, uint64_t end)
{
        struct span s;

        if (!ram_view(ram, start, end - start, &s))
                return false;
        for (size_t i = 0; i < s.size; i++)
                if (s.data[i])
                        return false;
        return true;
}

/* Large ranges come in huge pages where the kernel likes; nobody may see more of that than time. */
static void test_huge_pages(void)
{
        static const struct ram_range map[] = {{0x10000, 0x200000}, {0x300000, 64 * MIB}};
        const uint64_t start = 3 * MIB + PAGE, end = 15 * MIB + 2 * PAGE;
        _cleanup_ram_ struct ram *ram = NULL;
        struct span kept;
        uint8_t *bytes;

        REQUIRE(ram_new(map, ARRAY_SIZE(map), 16 * MIB, &ram, NULL) == 0);
        CHECK_EQ(ram_commit(ram, start, 20 * MIB), -ENOSPC);
        CHECK_EQ(file_bytes(ram), 0);
        CHECK_EQ(ram_commit(ram, 5 * MIB, 5 * MIB + PAGE), 0); /* in the middle of a block */
        CHECK(ram_put_u64(ram, 5 * MIB, 0x1122334455667788));
        CHECK_EQ(ram_commit(ram, start, end), 0);
        CHECK_EQ(file_bytes(ram), end - start); /* not a page more than was asked for */
        CHECK(is_zero(ram, start, 5 * MIB) && is_zero(ram, 5 * MIB + 8, end));
        REQUIRE(ram_view_writable(ram, start, end - start, &bytes));
        memset(bytes, 0xaa, end - start);
        /* A piece of a block goes and comes again: as zeros, and what is around it stays. */
        CHECK_EQ(ram_release(ram, 9 * MIB, 9 * MIB + 16 * PAGE), 0);
        CHECK(!ram_view(ram, 9 * MIB, 8, &kept));
        CHECK_EQ(ram_commit(ram, 9 * MIB, 9 * MIB + 16 * PAGE), 0);
        CHECK(is_zero(ram, 9 * MIB, 9 * MIB + 16 * PAGE));
        REQUIRE(ram_view(ram, start, end - start, &kept));
        for (uint64_t at = start; at < end; at += PAGE / 2)
                CHECK(kept.data[at - start] == 0xaa || (at >= 9 * MIB && at < 9 * MIB + 16 * PAGE));
        CHECK_EQ(ram_release(ram, start, end), 0);
        CHECK_EQ(file_bytes(ram), 0);
        CHECK_EQ(ram_commit(ram, start, end), 0);
        CHECK(is_zero(ram, start, end));
}

/* Random commits and releases, compared page by page with an array of flags. */
static void test_commit_state_against_bitmap(void)
{
        enum { N = 256 };
        _cleanup_ram_ struct ram *ram = new_ram(TIB);
        bool committed[N] = {0};
        unsigned seed = 12345;

        REQUIRE(ram);
        for (int round = 0; round < 3000; round++) {
                unsigned a = (unsigned)rand_r(&seed) % N, n = 1 + (unsigned)rand_r(&seed) % 12;
                bool commit = rand_r(&seed) % 2;
                uint64_t start, end, count = 0;

                if (a + n > N)
                        n = N - a;
                start = 0x100000 + a * PAGE;
                end = start + n * PAGE;
                REQUIRE((commit ? ram_commit(ram, start, end) : ram_release(ram, start, end)) == 0);
                for (unsigned i = a; i < a + n; i++)
                        committed[i] = commit;
                for (unsigned i = 0; i < N; i++) {
                        uint8_t byte;

                        count += committed[i];
                        REQUIRE(ram_get_u8(ram, 0x100000 + i * PAGE + 4095, &byte) == committed[i]);
                }
                REQUIRE(ram_committed_bytes(ram) == count * PAGE);
                if (round % 100 == 0)
                        REQUIRE(file_bytes(ram) == count * PAGE);
        }
}

static void test_page_set(void)
{
        struct page_set set = {0};
        struct page_run run;

        for (uint64_t i = 0; i < 5000; i++) { /* each second page: nothing merges */
                REQUIRE(page_set_reserve(&set) == 0);
                page_set_add(&set, i * 0x2000, i * 0x2000 + 0x1000);
        }
        CHECK_EQ(set.n, 5000);
        CHECK_EQ(page_set_overlap(&set, 0x800, 0x2800), 0x800 + 0x800);
        CHECK(page_set_next(&set, false, 0, 0x10000, &run));
        CHECK(run.start == 0x1000 && run.end == 0x2000);
        CHECK(page_set_next(&set, true, 0x1000, 0x10000, &run));
        CHECK(run.start == 0x2000 && run.end == 0x3000);
        CHECK(!page_set_next(&set, true, 0x1000, 0x2000, &run));
        CHECK(!page_set_next(&set, false, 0x2000, 0x3000, &run));
        CHECK(page_set_next(&set, false, 5000 * 0x2000, UINT64_MAX, &run));
        page_set_add(&set, 0x1000, 0x2000); /* joins two */
        CHECK_EQ(set.n, 4999);
        CHECK(page_set_covers(&set, 0, 0x3000));
        CHECK(!page_set_covers(&set, 0, 0x3001));
        REQUIRE(page_set_reserve(&set) == 0);
        page_set_add(&set, 0, 5000 * 0x2000);
        CHECK_EQ(set.n, 1);
        REQUIRE(page_set_reserve(&set) == 0);
        page_set_remove(&set, 0x5000, 0x6000);
        CHECK_EQ(set.n, 2);
        CHECK_EQ(page_set_run_end(&set, 0x4fff), 0x5000);
        CHECK_EQ(page_set_run_end(&set, 0x5000), 0);
        CHECK_EQ(page_set_run_end(&set, UINT64_MAX), 0);
        page_set_remove(&set, 0, UINT64_MAX);
        CHECK_EQ(set.n, 0);
        page_set_release(&set);
}

static void test_accessor_bounds(void)
{
        static const struct {
                uint64_t address, size;
        } outside[] = {
                        {0x100fff, 2},
                        {0xfffff, 1},
                        {0x101000, 1},
                        {0x100000, 0x1001},
                        {0, 1},
                        {0x100000, UINT64_MAX},
                        {0x100001, UINT64_MAX},
                        {UINT64_MAX, 1},
                        {UINT64_MAX, 2},
                        {UINT64_MAX - 7, 8},
                        {0x8000000000100000, 1},
                        {0x9f000, 0x62000},
        };
        _cleanup_ram_ struct ram *ram = new_ram(MIB);
        static uint8_t bytes[0x70000];
        struct span view;
        uint8_t *writable;

        REQUIRE(ram);
        REQUIRE(ram_commit(ram, 0x100000, 0x101000) == 0 && ram_commit(ram, 0x9f000, 0xa0000) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
                CHECK(!ram_read(ram, outside[i].address, bytes, outside[i].size));
                CHECK(!ram_write(ram, outside[i].address, bytes, outside[i].size));
                CHECK(!ram_zero(ram, outside[i].address, outside[i].size));
                CHECK(!ram_view(ram, outside[i].address, outside[i].size, &view));
                CHECK(!ram_view_writable(ram, outside[i].address, outside[i].size, &writable));
                CHECK(ram_read(ram, outside[i].address, bytes, 0));
                CHECK(ram_view(ram, outside[i].address, 0, &view) && view.size == 0);
        }
        CHECK(ram_view_writable(ram, 0x100000, 0x1000, &writable));
        memset(writable, 0xa5, 0x1000);
        CHECK(ram_zero(ram, 0x100001, 0xffe));
        CHECK(ram_view(ram, 0x100000, 0x1000, &view));
        CHECK_EQ(view.size, 0x1000);
        CHECK(view.data[0] == 0xa5 && view.data[1] == 0 && view.data[0xffe] == 0 &&
                        view.data[0xfff] == 0xa5);
}

static void test_integers(void)
{
        _cleanup_ram_ struct ram *ram = new_ram(MIB);
        uint8_t u8, bytes[8];
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;

        REQUIRE(ram);
        REQUIRE(ram_commit(ram, 0x100000, 0x101000) == 0);
        CHECK(ram_put_u64(ram, 0x100ff8, 0x8877665544332211));
        CHECK(ram_read(ram, 0x100ff8, bytes, 8) && bytes[0] == 0x11 && bytes[7] == 0x88);
        CHECK(ram_get_u8(ram, 0x100fff, &u8) && u8 == 0x88);
        CHECK(ram_get_u16(ram, 0x100ffe, &u16) && u16 == 0x8877);
        CHECK(ram_get_u32(ram, 0x100ffc, &u32) && u32 == 0x88776655);
        CHECK(ram_get_u64(ram, 0x100ff8, &u64) && u64 == 0x8877665544332211);
        CHECK(!ram_get_u16(ram, 0x100fff, &u16) && !ram_get_u32(ram, 0x100ffd, &u32) &&
                        !ram_get_u64(ram, 0x100ff9, &u64) && !ram_get_u8(ram, 0x101000, &u8));
        CHECK(!ram_put_u16(ram, 0x100fff, 1) && !ram_put_u32(ram, 0x100ffd, 1) &&
                        !ram_put_u64(ram, 0x100ff9, 1) && !ram_put_u8(ram, 0x101000, 1));
        CHECK(ram_get_u64(ram, 0x100ff8, &u64) && u64 == 0x8877665544332211);
        CHECK(ram_put_u8(ram, 0x100000, 1) && ram_put_u16(ram, 0x100001, 0x302) &&
                        ram_put_u32(ram, 0x100003, 0x7060504));
        CHECK(ram_get_u64(ram, 0x100000, &u64) && u64 == 0x7060504030201);
}

static void test_utf16(void)
{
        _cleanup_ram_ struct ram *ram = new_ram(MIB);
        _cleanup_buf_ struct buf b = {0};

        REQUIRE(ram);
        REQUIRE(ram_commit(ram, 0x100000, 0x101000) == 0);
        CHECK(ram_write(ram, 0x100ff8, u"abc", 8));
        CHECK(ram_read_utf16(ram, 0x100ff8, 4, &b)); /* ends with the page */
        CHECK(b.size == 6 && memcmp(b.data, u"abc", 6) == 0);
        CHECK(!ram_read_utf16(ram, 0x100ff8, 3, &b)); /* no NUL among the first three */
        CHECK(ram_write(ram, 0x100ffe, u"d", 2));
        CHECK(!ram_read_utf16(ram, 0x100ff8, 100, &b)); /* none in committed memory */
        CHECK(!ram_read_utf16(ram, 0x100fff, 100, &b));
        CHECK(!ram_read_utf16(ram, 0x101000, 100, &b));
        CHECK(!ram_read_utf16(ram, UINT64_MAX, SIZE_MAX, &b));
        CHECK_EQ(b.size, 6);
        CHECK(ram_write(ram, 0x100001, u"\u0100\u2000", 6)); /* odd address; halves that are zero */
        CHECK(ram_read_utf16(ram, 0x100001, SIZE_MAX, &b));
        CHECK_EQ(b.size, 10);
}

static uint64_t committed_as(void)
{
        FILE *f = fopen("/proc/meminfo", "re");
        char line[256];
        unsigned long long kib = 0;

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "Committed_AS: %llu", &kib) == 1)
                        break;
        if (f)
                fclose(f);
        return kib * 1024;
}

/* Under vm.overcommit_memory=2 what counts is Committed_AS, which is kept in every mode: a huge map
 * must not be in it, committed pages are. (The test doesn't switch the mode: it is the whole
 * machine's.) */
static void test_lent(void)
{
        _cleanup_ram_ struct ram *ram = new_ram(MIB);
        _cleanup_buf_ struct buf text = {0};
        uint64_t value = 0;
        struct span view;
        uint8_t *at;

        REQUIRE(ram && ram_commit(ram, 0x10000, 0x12000) == 0);
        REQUIRE(ram_put_u64(ram, 0x10000, 0x41));
        ram_lend(ram);
        CHECK(!ram_read(ram, 0x10000, &value, 8));
        CHECK(!ram_write(ram, 0x10000, &value, 8));
        CHECK(!ram_zero(ram, 0x10000, 8));
        CHECK(!ram_get_u64(ram, 0x10000, &value));
        CHECK(!ram_put_u64(ram, 0x10000, 0x42));
        CHECK(!ram_view(ram, 0x10000, 8, &view));
        CHECK(!ram_view_writable(ram, 0x10000, 8, &at));
        CHECK(!ram_read_utf16(ram, 0x10000, 8, &text));
        CHECK_EQ(ram_commit(ram, 0x12000, 0x13000), -EBUSY);
        CHECK_EQ(ram_release(ram, 0x10000, 0x11000), -EBUSY);
        ram_take_back(ram);
        CHECK(ram_get_u64(ram, 0x10000, &value));
        CHECK_EQ(value, 0x41);
        CHECK_EQ(ram_commit(ram, 0x12000, 0x13000), 0);
        CHECK_EQ(ram_release(ram, 0x10000, 0x11000), 0);
}

/* The kernel says whether there is anything: EFAULT. */
static void test_view_after_a_run(void)
{
#ifdef __SANITIZE_ADDRESS__
        _cleanup_ram_ struct ram *ram = new_ram(MIB);
        struct span view;
        int pipe_fds[2];

        REQUIRE(ram && ram_commit(ram, 0x10000, 0x12000) == 0);
        REQUIRE(pipe(pipe_fds) == 0);
        REQUIRE(ram_view(ram, 0x10000, 8, &view));
        CHECK_EQ(write(pipe_fds[1], view.data, 8), 8);
        for (int run = 0; run < 8; run++) {
                ram_lend(ram);
                ram_take_back(ram);
                CHECK(write(pipe_fds[1], view.data, 8) < 0 && errno == EFAULT);
        }
        REQUIRE(ram_view(ram, 0x10000, 8, &view));
        CHECK_EQ(write(pipe_fds[1], view.data, 8), 8);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
#else
        SKIP("guest RAM stays where it is in builds without AddressSanitizer");
#endif
}

static void test_overcommit_accounting(void)
{
        static const struct ram_range map[] = {{0x10000, 0x80000000}, {4 * GIB, 40 * TIB}};
        uint64_t before = committed_as(), after;
        _cleanup_ram_ struct ram *ram = NULL;

        REQUIRE(ram_new(map, ARRAY_SIZE(map), GIB, &ram, NULL) == 0);
        REQUIRE(ram_commit(ram, 39 * TIB, 39 * TIB + 16 * MIB) == 0);
        after = committed_as();
        CHECK(after < before + 8 * GIB); /* others run beside us, but not with terabytes */
        CHECK_EQ(file_bytes(ram), 16 * MIB);
        CHECK(ram_put_u8(ram, 39 * TIB + 16 * MIB - 1, 1));
        CHECK_EQ(file_bytes(ram), 16 * MIB);
}

/* With a limit in force, in a process of its own: ram_new()'s errno, or the signal that it died of.
 */
static int new_ram_under(int resource, uint64_t limit, char text[512])
{
        struct rlimit rlimit = {limit, limit};
        int pipe_fds[2], status = -1;
        struct error error = {0};
        struct ram *ram;
        pid_t pid;

        if (pipe(pipe_fds) < 0)
                return INT_MIN;
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                int r = setrlimit((__rlimit_resource_t)resource, &rlimit) < 0
                                        ? -255
                                        : ram_new(two_ranges, ARRAY_SIZE(two_ranges), MIB, &ram,
                                                          &error);

                (void)!write(pipe_fds[1], error.text, sizeof(error.text));
                _exit(-r);
        }
        close(pipe_fds[1]);
        waitpid(pid, &status, 0);
        if (read(pipe_fds[0], text, 512) != 512)
                text[0] = '\0';
        close(pipe_fds[0]);
        return WIFEXITED(status) ? -WEXITSTATUS(status) : WTERMSIG(status);
}

static void test_limits(void)
{
        char text[512];

        CHECK_EQ(new_ram_under(RLIMIT_FSIZE, 0x1ff000, text), -EFBIG); /* and no SIGXFSZ */
        CHECK(strstr(text, "ulimit -f"));
        CHECK_EQ(new_ram_under(RLIMIT_FSIZE, 0x200000, text), 0);
        CHECK_EQ(new_ram_under(RLIMIT_NOFILE, 0, text), -EMFILE);
        CHECK(strstr(text, "memfd_create"));
        /* A program with a sanitizer's shadow is beyond any such limit. */
#ifndef __SANITIZE_ADDRESS__
        CHECK_EQ(new_ram_under(RLIMIT_AS, MIB, text), -ENOMEM);
        CHECK(strstr(text, "ulimit -v"));
#endif
}

static const struct tap_test tests[] = {
                {"bad ranges", test_bad_ranges},
                {"adjacent ranges are one", test_adjacent_ranges},
                {"budget", test_budget},
                {"bad commits and releases", test_bad_commits},
                {"release gives memory back", test_release_gives_back},
                {"huge pages", test_huge_pages},
                {"commit state against a bitmap", test_commit_state_against_bitmap},
                {"page set", test_page_set},
                {"accessors stay inside", test_accessor_bounds},
                {"integers", test_integers},
                {"UTF-16 strings", test_utf16},
                {"nobody looks while the guest runs", test_lent},
                {"a view doesn't outlive a run", test_view_after_a_run},
                {"a huge map is not accounted", test_overcommit_accounting},
                {"resource limits", test_limits},
};

TAP_MAIN(tests)
