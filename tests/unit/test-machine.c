/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ptrace vCPU with real guest code: tiny programs, assembled here, run as the payload would. Each way
 * out of the guest is taken once, honestly and as a forger would. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/machine/ram.h"
#include "shim/machine/vcpu.h"
#include "tests/unit/tap.h"

#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define TIB  (1ull << 40)
#define CODE 0x200000ull
#define DATA 0x201000ull
#define AWAY 0x300000ull /* RAM that nobody opened */

/* Guest programs. They end in hlt so that a test which goes wrong stops, too. */
#define PROGRAM(name, text)                                                                        \
        extern const uint8_t name[], name##_end[];                                                 \
        __asm__(".pushsection .rodata\n" #name ":\n" text "\nhlt\n" #name "_end:\n.popsection\n")

PROGRAM(code_hlt, "1: inc %rax\n hlt\n jmp 1b");
PROGRAM(code_loop, "1: jmp 1b");
PROGRAM(code_write, "movq $0x1234, (%rdi)");
PROGRAM(code_read, "mov (%rdi), %rax");
PROGRAM(code_jump, "jmp *%rdi");
PROGRAM(code_syscall, "syscall");
PROGRAM(code_int80, "int $0x80");
PROGRAM(code_sysenter, "sysenter");
PROGRAM(code_call, "call *%rdi");
PROGRAM(code_ud2, "ud2");
PROGRAM(code_divide, "xor %edx, %edx\n xor %ecx, %ecx\n div %ecx");
PROGRAM(code_int3, "int3");
PROGRAM(code_icebp, ".byte 0xf1");
PROGRAM(code_trap_flag, "pushfq\n orl $0x100, (%rsp)\n popfq\n nop\n nop");
PROGRAM(code_alignment, "pushfq\n orl $0x40000, (%rsp)\n popfq\n mov 1(%rsp), %rax");
PROGRAM(code_stack, "mov $0x8000000000000000, %rsp\n mov %rsp, %rbp\n push %rax");
PROGRAM(code_floating, "movl $0, -4(%rsp)\n fldcw -4(%rsp)\n fld1\n fldz\n fdivrp\n fwait");
PROGRAM(code_noncanonical, "mov $0x8000000000000000, %rdi\n mov (%rdi), %rax");
PROGRAM(code_cli, "cli");
PROGRAM(code_out, "out %al, $0x80");
PROGRAM(code_far, "pushq $0x23\n pushq %rdi\n lretq");
PROGRAM(code_fpu, "fnstcw (%rdi)\n stmxcsr 8(%rdi)\n movups %xmm7, 16(%rdi)");
PROGRAM(code_segments, "mov %fs, %eax\n mov %ds, %ecx\n mov %gs, %edx\n mov %ss, %ebx");

/* A machine of three ranges with one page of code and one of stack and data. */
struct machine {
        struct ram *ram;
        struct vcpu *vcpu;
        struct error error;
        struct vcpu_exit exit;
};

static const struct ram_range plain_map[] = {
        {0x10000, 0x90000},
        {0x100000, 64 * MIB},
        {4 * GIB, 6 * GIB},
};

static void machine_release(struct machine *m)
{
        if (m->vcpu)
                vcpu_free(m->vcpu);
        ram_free(m->ram);
}

#define _cleanup_machine_ __attribute__((cleanup(machine_release)))

static int machine_map(struct machine *m, const struct ram_range *map, size_t n, uint64_t deadline_ms)
{
        int r = ram_new(map, n, 64 * MIB, &m->ram, &m->error);

        if (r == 0)
                r = vcpu_ptrace_new(m->ram, deadline_ms, &m->vcpu, &m->error);
        if (r < 0)
                printf("# %s\n", m->error.text);
        return r;
}

static int machine_new(struct machine *m)
{
        return machine_map(m, plain_map, ARRAY_SIZE(plain_map), 10000);
}

static bool machine_open(struct machine *m, uint64_t start, uint64_t end)
{
        return ram_commit(m->ram, start, end) == 0 && vcpu_open(m->vcpu, start, end) == 0;
}

static bool machine_load(struct machine *m, const uint8_t *code, const uint8_t *end, uint64_t rdi)
{
        struct vcpu_regs regs = {.r[VCPU_RIP] = CODE, .r[VCPU_RSP] = DATA + 0x1000, .r[VCPU_RDI] = rdi};

        return machine_open(m, CODE, DATA + 0x1000) && ram_write(m->ram, CODE, code, (size_t)(end - code)) &&
               vcpu_set_regs(m->vcpu, &regs) == 0;
}

static int machine_run(struct machine *m)
{
        int r = vcpu_run(m->vcpu, &m->exit, &m->error);

        if (r < 0)
                printf("# run: %s\n", m->error.text);
        return r;
}

static uint64_t get_reg(struct machine *m, int index)
{
        struct vcpu_regs regs = {0};

        CHECK(vcpu_get_regs(m->vcpu, &regs) == 0);
        return regs.r[index];
}

static bool set_reg(struct machine *m, int index, uint64_t value)
{
        struct vcpu_regs regs;

        if (vcpu_get_regs(m->vcpu, &regs) < 0)
                return false;
        regs.r[index] = value;
        return vcpu_set_regs(m->vcpu, &regs) == 0;
}

#define LOAD(m, program, rdi) machine_load((m), program, program##_end, (rdi))

/* Starts a new machine with the program and runs it to its first exit. */
#define START(m, program, rdi)                                                                     \
        REQUIRE(machine_new(m) == 0);                                                              \
        REQUIRE(LOAD(m, program, rdi));                                                            \
        REQUIRE(machine_run(m) == 0)

/* The one child of ours, found as an outsider would. */
static pid_t find_child(void)
{
        DIR *dir = opendir("/proc");
        pid_t found = 0;

        for (struct dirent *e; dir && (e = readdir(dir));) {
                char path[300], text[256] = "", *end;
                FILE *f;
                int parent = 0;

                snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
                f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
                if (!f)
                        continue;
                if (fgets(text, sizeof(text), f) && (end = strrchr(text, ')')) &&
                                sscanf(end, ") %*c %d", &parent) == 1 && parent == getpid())
                        found = atoi(e->d_name);
                fclose(f);
        }
        if (dir)
                closedir(dir);
        return found;
}

/* ---- processor ---- */

static void test_hlt_round_trip(void)
{
        _cleanup_machine_ struct machine m = {0};
        struct vcpu_regs regs = {0}, after;

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_hlt, 0));
        for (int i = 0; i < VCPU_RIP; i++)
                regs.r[i] = 0x0123456789abcd00 + (uint64_t)i * 0x1111;
        regs.r[VCPU_RIP] = CODE;
        regs.r[VCPU_RFLAGS] = 0xffffffffffffffff & ~0x40100ull; /* not TF and AC */
        REQUIRE(vcpu_set_regs(m.vcpu, &regs) == 0);
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
        CHECK(m.exit.code64);
        REQUIRE(vcpu_get_regs(m.vcpu, &after) == 0);
        CHECK_EQ(after.r[VCPU_RAX], regs.r[VCPU_RAX] + 1);
        for (int i = VCPU_RCX; i < VCPU_RIP; i++)
                CHECK_EQ(after.r[i], regs.r[i]);
        CHECK_EQ(after.r[VCPU_RIP], CODE + 3);
        CHECK_EQ(after.r[VCPU_RFLAGS] & 0x3000, 0); /* IOPL isn't for sale */
        CHECK(strstr(m.exit.text, "0x200003"));
}

static void test_10000_round_trips(void)
{
        _cleanup_machine_ struct machine m = {0};
        struct timespec from, to;

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_hlt, 0));
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (uint64_t i = 1; i <= 10000; i++) {
                REQUIRE(machine_run(&m) == 0);
                REQUIRE(m.exit.kind == VCPU_EXIT_PRIVILEGED);
                REQUIRE(get_reg(&m, VCPU_RAX) == i);
                REQUIRE(set_reg(&m, VCPU_RIP, CODE + 4));
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        printf("# %.1f us each\n", ((double)(to.tv_sec - from.tv_sec) * 1e9 +
                                                   (double)(to.tv_nsec - from.tv_nsec)) / 1e3 / 10000);
}

static void test_privileged(void)
{
        _cleanup_machine_ struct machine a = {0}, b = {0}, c = {0};

        START(&a, code_cli, 0);
        CHECK_EQ(a.exit.kind, VCPU_EXIT_PRIVILEGED);
        CHECK_EQ(get_reg(&a, VCPU_RIP), CODE);
        START(&b, code_out, 0);
        CHECK_EQ(b.exit.kind, VCPU_EXIT_PRIVILEGED);
        START(&c, code_noncanonical, 0); /* #GP as well: the decoder tells them apart */
        CHECK_EQ(c.exit.kind, VCPU_EXIT_PRIVILEGED);
}

static void test_faults_have_names(void)
{
        static const struct {
                const uint8_t *code, *end;
                const char *name;
        } rows[] = {
                {code_ud2, code_ud2_end, "#UD"},
                {code_divide, code_divide_end, "#DE"},
                {code_int3, code_int3_end, "#BP"},
                {code_icebp, code_icebp_end, "#DB"},
                {code_trap_flag, code_trap_flag_end, "#DB"},
                {code_alignment, code_alignment_end, "#AC"},
                {code_stack, code_stack_end, "#SS"},
                {code_floating, code_floating_end, "#MF"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_machine_ struct machine m = {0};

                REQUIRE(machine_new(&m) == 0);
                REQUIRE(machine_load(&m, rows[i].code, rows[i].end, 0));
                REQUIRE(machine_run(&m) == 0);
                printf("# %s\n", m.exit.text);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_FAULT);
                CHECK(strstr(m.exit.text, rows[i].name));
        }
}

static void test_entry_state(void)
{
        _cleanup_machine_ struct machine m = {0}, s = {0};
        uint16_t fcw = 0;
        uint32_t mxcsr = 0;
        uint64_t xmm[2] = {1, 1};

        __asm__ volatile("pcmpeqd %%xmm7, %%xmm7" : : : "xmm7"); /* the broker's, not for the guest */
        START(&m, code_fpu, DATA);
        CHECK(ram_get_u16(m.ram, DATA, &fcw) && ram_get_u32(m.ram, DATA + 8, &mxcsr));
        CHECK(ram_read(m.ram, DATA + 16, xmm, sizeof(xmm)));
        CHECK_EQ(fcw, 0x37f);
        CHECK_EQ(mxcsr, 0x1f80);
        CHECK_EQ(xmm[0] | xmm[1], 0);
        START(&s, code_segments, 0);
        CHECK_EQ(get_reg(&s, VCPU_RAX), 0);
        CHECK_EQ(get_reg(&s, VCPU_RDX), 0);
}

static void test_code32(void)
{
        static const uint8_t code32[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xfa}; /* mov $0x12345678,%eax; cli */
        _cleanup_machine_ struct machine m = {0};

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_far, DATA));
        REQUIRE(ram_write(m.ram, DATA, code32, sizeof(code32)));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
        CHECK(!m.exit.code64);
        CHECK_EQ(get_reg(&m, VCPU_RAX), 0x12345678);
        /* The broker's own calls work from there, too. */
        CHECK(machine_open(&m, AWAY, AWAY + 0x1000));
}

static void test_wild_registers(void)
{
        _cleanup_machine_ struct machine m = {0};

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_hlt, 0));
        CHECK(set_reg(&m, VCPU_RIP, 0x8000000000000000));
        REQUIRE(machine_run(&m) == 0);
        CHECK(m.exit.kind == VCPU_EXIT_PRIVILEGED || m.exit.kind == VCPU_EXIT_PAGE_FAULT);
        CHECK(set_reg(&m, VCPU_RIP, 0xffffffff81000000)); /* the kernel's */
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PAGE_FAULT);
        CHECK_EQ(m.exit.address, 0xffffffff81000000);
        CHECK(set_reg(&m, VCPU_RIP, CODE));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
}

/* ---- system calls ---- */

static void test_syscall_numbers(void)
{
        /* Those that a filter by number, by architecture or by the kernel's own exceptions would miss. */
        static const uint64_t numbers[] = {SYS_getpid, SYS_exit_group, SYS_kill, 335 /* uretprobe */,
                        336 /* uprobe */, 0x40000000 | SYS_getpid /* x32 */, 100000, (uint64_t)-1};
        _cleanup_machine_ struct machine m = {0};

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_syscall, 0));
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
                CHECK(set_reg(&m, VCPU_RIP, CODE));
                CHECK(set_reg(&m, VCPU_RAX, numbers[i]));
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_SYSCALL);
                CHECK_EQ(get_reg(&m, VCPU_RAX), numbers[i]);
                /* Going on anyway carries nothing out: the process is still there. */
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
                CHECK_EQ(get_reg(&m, VCPU_RIP), CODE + 2);
        }
}

static void test_other_syscall_entries(void)
{
        _cleanup_machine_ struct machine a = {0}, b = {0}, v = {0};

        REQUIRE(machine_new(&a) == 0);
        REQUIRE(LOAD(&a, code_int80, 0));
        CHECK(set_reg(&a, VCPU_RAX, 1)); /* exit, in the 32-bit numbering */
        REQUIRE(machine_run(&a) == 0);
        printf("# %s\n", a.exit.text);
        /* #GP where the kernel has no 32-bit emulation */
        CHECK(a.exit.kind == VCPU_EXIT_SYSCALL || a.exit.kind == VCPU_EXIT_PRIVILEGED);
        REQUIRE(machine_run(&a) == 0);
        CHECK_EQ(a.exit.kind, VCPU_EXIT_PRIVILEGED);

        START(&b, code_sysenter, 0);
        printf("# %s\n", b.exit.text);
        /* AMD has no sysenter in long mode (#UD) */
        CHECK(b.exit.kind == VCPU_EXIT_SYSCALL || b.exit.kind == VCPU_EXIT_FAULT ||
                        b.exit.kind == VCPU_EXIT_PRIVILEGED);

        START(&v, code_call, 0xffffffffff600000); /* vsyscall gettimeofday */
        printf("# %s\n", v.exit.text);
        CHECK(v.exit.kind == VCPU_EXIT_SYSCALL || v.exit.kind == VCPU_EXIT_PAGE_FAULT);
}

/* Where the gate is, as a payload might find out by trying. */
static uint64_t find_gate(void)
{
        char path[64], line[512];
        unsigned long start, end;
        uint64_t gate = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/maps", (int)find_child());
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "%lx-%lx r-xs", &start, &end) == 2 && strstr(line, "mkexec-gate"))
                        gate = start;
        if (f)
                fclose(f);
        return gate;
}

static void test_gate_is_useless_to_the_payload(void)
{
        _cleanup_machine_ struct machine m = {0};
        uint64_t gate;

        REQUIRE(machine_new(&m) == 0);
        gate = find_gate();
        if (gate == 0)
                SKIP("/proc/PID/maps of the child isn't readable");
        REQUIRE(LOAD(&m, code_jump, gate));
        CHECK(set_reg(&m, VCPU_RAX, SYS_exit_group));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_SYSCALL);
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED); /* the hlt behind it */
        CHECK_EQ(get_reg(&m, VCPU_RIP), gate + 2);
        REQUIRE(LOAD(&m, code_write, gate));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PAGE_FAULT);
        CHECK_EQ(m.exit.address, gate);
}

/* ---- memory of the guest ---- */

static void test_page_faults(void)
{
        static const struct {
                const uint8_t *code, *end;
                uint64_t address;
        } rows[] = {
                {code_write, code_write_end, AWAY},              /* RAM, not open */
                {code_read, code_read_end, AWAY + 0x123},
                {code_jump, code_jump_end, AWAY},
                {code_write, code_write_end, 0},                 /* not RAM */
                {code_read, code_read_end, 0xa0000},             /* the hole below 1 MiB */
                {code_write, code_write_end, 0x7f0000000000},    /* where libraries used to be */
                {code_write, code_write_end, 0xffff888000000000} /* the kernel's */,
                {code_read, code_read_end, DATA + 0x1000},       /* one behind the open pages */
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_machine_ struct machine m = {0};

                REQUIRE(machine_new(&m) == 0);
                REQUIRE(machine_load(&m, rows[i].code, rows[i].end, rows[i].address));
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_PAGE_FAULT);
                CHECK_EQ(m.exit.address, rows[i].address);
        }
}

static void test_open_and_close(void)
{
        _cleanup_machine_ struct machine m = {0};
        uint64_t value = 0;

        REQUIRE(machine_new(&m) == 0);
        CHECK_EQ(vcpu_open(m.vcpu, AWAY, AWAY + 0x1000), -EINVAL); /* not committed */
        CHECK_EQ(ram_commit(m.ram, AWAY, AWAY + 0x3000), 0);
        CHECK_EQ(vcpu_open(m.vcpu, AWAY, AWAY + 0x800), -EINVAL);
        CHECK_EQ(vcpu_open(m.vcpu, AWAY, AWAY), -EINVAL);
        CHECK_EQ(vcpu_open(m.vcpu, AWAY, AWAY + 0x4000), -EINVAL);
        CHECK_EQ(vcpu_open(m.vcpu, AWAY, AWAY + 0x3000), 0);
        REQUIRE(LOAD(&m, code_write, AWAY + 0x1ff8));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
        CHECK(ram_get_u64(m.ram, AWAY + 0x1ff8, &value));
        CHECK_EQ(value, 0x1234);
        /* The one in the middle goes; its neighbours stay. */
        CHECK_EQ(vcpu_close(m.vcpu, AWAY + 0x1000, AWAY + 0x2000), 0);
        CHECK_EQ(ram_release(m.ram, AWAY + 0x1000, AWAY + 0x2000), 0);
        REQUIRE(LOAD(&m, code_read, AWAY + 0x1ff8));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PAGE_FAULT);
        CHECK_EQ(m.exit.address, AWAY + 0x1ff8);
        REQUIRE(LOAD(&m, code_write, AWAY + 0x2000));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
        /* And opened again it is new. */
        CHECK(machine_open(&m, AWAY + 0x1000, AWAY + 0x2000));
        REQUIRE(LOAD(&m, code_read, AWAY + 0x1ff8));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
        CHECK_EQ(get_reg(&m, VCPU_RAX), 0);
}

/* Registers of the payload survive calls that are made in its name at any point. */
static void test_open_keeps_registers(void)
{
        _cleanup_machine_ struct machine m = {0};

        START(&m, code_hlt, 77);
        for (uint64_t i = 0; i < 100; i++) {
                REQUIRE(machine_open(&m, AWAY + i * 0x2000, AWAY + i * 0x2000 + 0x1000));
                REQUIRE(set_reg(&m, VCPU_RIP, CODE + 4));
                REQUIRE(machine_run(&m) == 0);
                REQUIRE(m.exit.kind == VCPU_EXIT_PRIVILEGED);
        }
        CHECK_EQ(get_reg(&m, VCPU_RAX), 101);
        CHECK_EQ(get_reg(&m, VCPU_RDI), 77);
}

static void test_large_map(void)
{
        static const struct ram_range map[] = {
                {0x10000, 0xa0000},
                {0x100000, 0x7fe00000},
                {4 * GIB, 600 * GIB},
                {1 * TIB + 4096, 8 * TIB},
                {64 * TIB, 64 * TIB + 4096},
        };
        _cleanup_machine_ struct machine m = {0};
        uint64_t value = 0;

        REQUIRE(machine_map(&m, map, ARRAY_SIZE(map), 10000) == 0);
        for (size_t i = 1; i < ARRAY_SIZE(map); i++) {
                uint64_t last = map[i].end - 4096;

                REQUIRE(machine_open(&m, last, map[i].end));
                REQUIRE(LOAD(&m, code_write, last));
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
                CHECK(ram_get_u64(m.ram, last, &value));
                CHECK_EQ(value, 0x1234);
        }
}

/* ---- the process ---- */

static bool proc_line(pid_t pid, const char *file, const char *key, char *value, size_t size)
{
        char path[64], line[256];
        bool found = false;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        f = fopen(path, "re");
        while (f && !found && fgets(line, sizeof(line), f)) {
                found = strncmp(line, key, strlen(key)) == 0;
                if (found)
                        snprintf(value, size, "%s", line + strlen(key));
        }
        if (f)
                fclose(f);
        return found;
}

static void test_process_has_no_rights(void)
{
        _cleanup_machine_ struct machine m = {0};
        char text[256];
        pid_t pid;

        REQUIRE(machine_new(&m) == 0);
        pid = find_child();
        REQUIRE(pid > 0);
        CHECK(proc_line(pid, "status", "CapEff:\t", text, sizeof(text)) && strtoull(text, NULL, 16) == 0);
        CHECK(proc_line(pid, "status", "CapPrm:\t", text, sizeof(text)) && strtoull(text, NULL, 16) == 0);
        CHECK(proc_line(pid, "status", "NoNewPrivs:\t", text, sizeof(text)) && text[0] == '1');
        CHECK(proc_line(pid, "status", "Seccomp:\t", text, sizeof(text)) && text[0] == '2');
        CHECK(proc_line(pid, "status", "Threads:\t", text, sizeof(text)) && atoi(text) == 1);
        CHECK(getsid(pid) == pid);
        if (geteuid() == 0)
                CHECK(proc_line(pid, "status", "Uid:\t", text, sizeof(text)) && atoi(text) == 65534);
}

static void test_address_space_is_ram(void)
{
        _cleanup_machine_ struct machine m = {0};
        char path[64], line[512];
        uint64_t bytes = 0, gates = 0;
        FILE *f;
        DIR *fds;
        int n = 0;

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_hlt, 0));
        snprintf(path, sizeof(path), "/proc/%d/maps", (int)find_child());
        f = fopen(path, "re");
        if (!f)
                SKIP("/proc/PID/maps of the child isn't readable");
        while (fgets(line, sizeof(line), f)) {
                unsigned long start, end;
                bool known = false;

                REQUIRE(sscanf(line, "%lx-%lx", &start, &end) == 2);
                for (size_t i = 0; i < ARRAY_SIZE(plain_map); i++)
                        known |= start >= plain_map[i].start && end <= plain_map[i].end;
                if (known && strstr(line, "mkexec-ram")) {
                        bytes += end - start;
                        CHECK_EQ(strstr(line, "rwxs") != NULL, start == CODE);
                } else if (strstr(line, "r-xs") && strstr(line, "mkexec-gate")) {
                        gates++;
                } else if (!strstr(line, "[vsyscall]")) {
                        printf("# still mapped: %s", line);
                        CHECK(false);
                }
        }
        fclose(f);
        CHECK_EQ(bytes, 0x80000 + 63 * MIB + 2 * GIB);
        CHECK_EQ(gates, 1);
        snprintf(path, sizeof(path), "/proc/%d/fd", (int)find_child());
        fds = opendir(path);
        REQUIRE(fds);
        for (struct dirent *e; (e = readdir(fds));)
                n += e->d_name[0] != '.';
        closedir(fds);
        CHECK_EQ(n, 0);
}

static void test_deadline(void)
{
        _cleanup_machine_ struct machine m = {0};

        REQUIRE(machine_map(&m, plain_map, ARRAY_SIZE(plain_map), 150) == 0);
        REQUIRE(LOAD(&m, code_loop, 0));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_DEADLINE);
        REQUIRE(machine_run(&m) == 0); /* once is for good */
        CHECK_EQ(m.exit.kind, VCPU_EXIT_DEADLINE);
}

/* Short runs don't each get a new deadline. */
static void test_deadline_adds_up(void)
{
        _cleanup_machine_ struct machine m = {0};
        size_t n = 0;

        REQUIRE(machine_map(&m, plain_map, ARRAY_SIZE(plain_map), 100) == 0);
        REQUIRE(LOAD(&m, code_hlt, 0));
        do {
                REQUIRE(machine_run(&m) == 0);
                if (m.exit.kind == VCPU_EXIT_PRIVILEGED)
                        REQUIRE(set_reg(&m, VCPU_RIP, CODE));
        } while (m.exit.kind == VCPU_EXIT_PRIVILEGED && ++n < 10000000);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_DEADLINE);
        printf("# %zu runs\n", n);
}

static void test_free_leaves_nothing(void)
{
        struct machine m = {0};
        pid_t pid, other = fork();
        int status;

        if (other == 0)
                _exit(7);
        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_loop, 0));
        for (pid = other; pid == other;)
                pid = find_child(); /* whichever comes last: the guest, while the other is a zombie */
        machine_release(&m);
        CHECK(kill(pid, 0) < 0 && errno == ESRCH);
        /* The program's other children are its own to wait for. */
        CHECK_EQ(waitpid(other, &status, 0), other);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        CHECK(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD);
}

/* Another process, that signals the guest after a while. */
static pid_t send_later(pid_t to, int first, int second)
{
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        usleep(30000);
        kill(to, first);
        usleep(30000);
        kill(to, second);
        _exit(0);
}

static void test_signals_from_outside(void)
{
        static const struct {
                int first, second;
                const char *name;
        } rows[] = {
                {SIGSTOP, SIGTERM, "SIGTERM"},
                {SIGCONT, SIGUSR1, "SIGUSR1"},
                {SIGWINCH, SIGSEGV, "SIGSEGV"}, /* a forged fault */
                {SIGTSTP, SIGTRAP, "SIGTRAP"},
                {SIGCONT, SIGKILL, "SIGKILL"},
                {SIGCONT, SIGXCPU, "SIGXCPU"},  /* a forged deadline */
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_machine_ struct machine m = {0};
                pid_t sender;

                REQUIRE(machine_new(&m) == 0);
                REQUIRE(LOAD(&m, code_loop, 0));
                sender = send_later(find_child(), rows[i].first, rows[i].second);
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_DIED);
                CHECK(strstr(m.exit.text, rows[i].name));
                CHECK_EQ(waitpid(sender, NULL, 0), sender);
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_DIED);
                CHECK_EQ(vcpu_open(m.vcpu, CODE, CODE + 0x1000), -ESRCH);
        }
}

static void on_alarm(int signal)
{
}

static void test_interrupted_run(void)
{
        struct sigaction action = {.sa_handler = on_alarm}, old;
        struct itimerval soon = {.it_value.tv_usec = 50000};
        _cleanup_machine_ struct machine m = {0};

        REQUIRE(machine_new(&m) == 0);
        REQUIRE(LOAD(&m, code_loop, 0));
        sigaction(SIGALRM, &action, &old);
        setitimer(ITIMER_REAL, &soon, NULL);
        CHECK_EQ(vcpu_run(m.vcpu, &m.exit, &m.error), -EINTR);
        sigaction(SIGALRM, &old, NULL);
        CHECK_EQ(vcpu_get_regs(m.vcpu, &(struct vcpu_regs){0}), -ESRCH); /* it runs */
}

/* Runs a test in a process of its own, whose limits and signals it may change. */
static int in_child(int (*run)(void))
{
        pid_t pid;
        int status;

        fflush(stdout);
        pid = fork();
        if (pid == 0)
                _exit(run());
        if (waitpid(pid, &status, 0) != pid)
                return -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int with_sigchld_ignored(void)
{
        struct machine m = {0};

        signal(SIGCHLD, SIG_IGN);
        if (machine_new(&m) < 0 || !LOAD(&m, code_hlt, 0) || machine_run(&m) < 0 ||
                        m.exit.kind != VCPU_EXIT_PRIVILEGED)
                return 1;
        machine_release(&m);
        return find_child() != 0;
}

static void test_sigchld_ignored(void)
{
        CHECK_EQ(in_child(with_sigchld_ignored), 0);
}

static int with_closed_stdio(void)
{
        struct machine m = {0};

        close(0);
        close(1);
        close(2);
        if (machine_new(&m) < 0 || !LOAD(&m, code_hlt, 0) || machine_run(&m) < 0)
                return 1;
        return m.exit.kind != VCPU_EXIT_PRIVILEGED;
}

static void test_closed_stdio(void)
{
        CHECK_EQ(in_child(with_closed_stdio), 0);
}

/* The broker is killed while the guest loops: the guest goes with it. */
static void test_broker_dies(void)
{
        int pipe_fds[2];
        pid_t broker, guest = 0;

        REQUIRE(pipe2(pipe_fds, O_CLOEXEC) == 0);
        broker = fork();
        if (broker == 0) {
                struct machine m = {0};

                if (machine_map(&m, plain_map, ARRAY_SIZE(plain_map), 0) < 0 || !LOAD(&m, code_loop, 0))
                        _exit(1);
                guest = find_child();
                if (write(pipe_fds[1], &guest, sizeof(guest)) < 0)
                        _exit(1);
                machine_run(&m);
                _exit(0);
        }
        CHECK(read(pipe_fds[0], &guest, sizeof(guest)) == sizeof(guest));
        REQUIRE(guest > 0);
        usleep(50000);
        CHECK_EQ(kill(guest, 0), 0);
        kill(broker, SIGKILL);
        CHECK_EQ(waitpid(broker, NULL, 0), broker);
        for (int i = 0; i < 100; i++) {
                char state[64] = "";

                usleep(10000);
                /* Nobody may be there to reap it. */
                if (!proc_line(guest, "status", "State:\t", state, sizeof(state)) || state[0] == 'Z') {
                        guest = 0;
                        break;
                }
        }
        CHECK_EQ(guest, 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

static const struct tap_test tests[] = {
        {"hlt round trip keeps and changes registers", test_hlt_round_trip},
        {"10,000 round trips", test_10000_round_trips},
        {"privileged instructions stop", test_privileged},
        {"faults have names", test_faults_have_names},
        {"FPU and segments at entry", test_entry_state},
        {"32-bit code is told apart", test_code32},
        {"wild registers", test_wild_registers},
        {"system calls of any number", test_syscall_numbers},
        {"system calls by other entries", test_other_syscall_entries},
        {"the gate is of no use to a payload", test_gate_is_useless_to_the_payload},
        {"page faults with their address", test_page_faults},
        {"open and close", test_open_and_close},
        {"open keeps registers", test_open_keeps_registers},
        {"terabytes of sparse ranges", test_large_map},
        {"process without rights", test_process_has_no_rights},
        {"address space is RAM and nothing else", test_address_space_is_ram},
        {"deadline ends a loop", test_deadline},
        {"deadline adds up over runs", test_deadline_adds_up},
        {"nothing is left after free", test_free_leaves_nothing},
        {"signals from outside", test_signals_from_outside},
        {"a signal handler interrupts run", test_interrupted_run},
        {"SIGCHLD ignored", test_sigchld_ignored},
        {"stdin, stdout and stderr closed", test_closed_stdio},
        {"the guest dies with the broker", test_broker_dies},
};

TAP_MAIN(tests)
