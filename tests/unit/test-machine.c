/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ptrace vCPU with real guest code: processor, exceptions, memory. What the guest process is
 * and how it ends is in test-guest-process.c; ways around the vCPU are tried in
 * test-guest-escape.c. */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "shim/machine/guest-stop.h"
#include "tests/unit/machine-fixture.h"

PROGRAM(code_hlt, "1: inc %rax\n hlt\n jmp 1b");
PROGRAM(code_write, "movq $0x1234, (%rdi)");
PROGRAM(code_read, "mov (%rdi), %rax");
PROGRAM(code_jump, "jmp *%rdi");
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
PROGRAM(code_selectors,
                "mov $0x28, %eax\n mov %eax, %ds\n mov $1, %eax\n mov %eax, %es\n mov %eax, %fs");
PROGRAM(code_gs_base, "mov $0xffff888000000000, %rax\n wrgsbase %rax\n hlt\n rdgsbase %rcx");
PROGRAM(code_nested_task, "pushfq\n orl $0x214000, (%rsp)\n popfq\n std");

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
                                                   (double)(to.tv_nsec - from.tv_nsec)) /
                                                   1e3 / 10000);
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

        __asm__ volatile("pcmpeqd %%xmm7, %%xmm7"
                         :
                         :
                         : "xmm7"); /* the broker's, not for the guest */
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
        static const uint8_t code32[] = {
                        0xb8, 0x78, 0x56, 0x34, 0x12, 0xfa}; /* mov $0x12345678,%eax; cli */
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

/* State that user code may have but ptrace doesn't take back: it must not break the broker's calls.
 */
static void test_hostile_state(void)
{
        static const struct {
                const uint8_t *code, *end;
        } rows[] = {
                        {code_selectors, code_selectors_end},
                        {code_gs_base, code_gs_base_end},
                        {code_nested_task, code_nested_task_end},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_machine_ struct machine m = {0};

                REQUIRE(machine_new(&m) == 0);
                REQUIRE(machine_load(&m, rows[i].code, rows[i].end, 0));
                REQUIRE(machine_run(&m) == 0);
                if (m.exit.kind == VCPU_EXIT_FAULT) /* a processor without FSGSBASE */
                        continue;
                CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
                CHECK(machine_open(&m, AWAY, AWAY + 0x1000));
                CHECK(set_reg(&m, VCPU_RIP,
                                get_reg(&m, VCPU_RIP) + (rows[i].code == code_gs_base)));
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
        }
}

/* Exceptions that this machine may not be able to raise, and signals that only look like
 * exceptions. */
static void test_stop_table(void)
{
        static const struct {
                int signal, code;
                bool is_exception;
                enum vcpu_exit_kind kind;
                const char *text;
        } rows[] = {
                        {SIGSEGV, SEGV_MAPERR, true, VCPU_EXIT_PAGE_FAULT, "page fault"},
                        {SIGSEGV, SEGV_ACCERR, true, VCPU_EXIT_PAGE_FAULT, "page fault"},
                        {SIGSEGV, SEGV_PKUERR, true, VCPU_EXIT_PAGE_FAULT, "page fault"},
                        {SIGSEGV, 10, true, VCPU_EXIT_FAULT, "#CP"},
                        {SIGSEGV, SI_KERNEL, true, VCPU_EXIT_PRIVILEGED, "#GP"},
                        {SIGBUS, BUS_ADRERR, true, VCPU_EXIT_FAULT, "no memory"},
                        {SIGBUS, BUS_MCEERR_AR, true, VCPU_EXIT_FAULT, "#MC"},
                        {SIGFPE, FPE_FLTINV, true, VCPU_EXIT_FAULT, "#XM"},
                        {SIGXCPU, SI_KERNEL, true, VCPU_EXIT_DEADLINE, "RLIMIT_CPU"},
                        {SIGSEGV, SI_USER, false, VCPU_EXIT_DIED, "SIGSEGV by process 4711"},
                        {SIGSEGV, SI_QUEUE, false, VCPU_EXIT_DIED, "SIGSEGV"},
                        {SIGTRAP, SI_TKILL, false, VCPU_EXIT_DIED, "SIGTRAP"},
                        {SIGILL, SI_USER, false, VCPU_EXIT_DIED, "SIGILL"},
                        {SIGXCPU, SI_USER, false, VCPU_EXIT_DIED, "SIGXCPU"},
                        {SIGINT, SI_KERNEL, false, VCPU_EXIT_DIED, "SIGINT"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                siginfo_t info = {.si_signo = rows[i].signal, .si_code = rows[i].code};
                struct user_regs_struct regs = {.cs = 0x33};
                struct vcpu_exit exit;

                info.si_pid = 4711;
                CHECK_EQ(guest_stop_from_signal(&info, &regs, &exit), rows[i].is_exception);
                CHECK_EQ(exit.kind, rows[i].kind);
                CHECK(strstr(exit.text, rows[i].text));
        }
}

/* ---- memory of the guest ---- */

static void test_page_faults(void)
{
        static const struct {
                const uint8_t *code, *end;
                uint64_t address;
        } rows[] = {
                        {code_write, code_write_end, AWAY}, /* RAM, not open */
                        {code_read, code_read_end, AWAY + 0x123}, {code_jump, code_jump_end, AWAY},
                        {code_write, code_write_end, 0},     /* not RAM */
                        {code_read, code_read_end, 0xa0000}, /* the hole below 1 MiB */
                        {code_write, code_write_end,
                                        0x7f0000000000}, /* where libraries used to be */
                        {code_write, code_write_end, 0xffff888000000000} /* the kernel's */,
                        {code_read, code_read_end, DATA + 0x1000}, /* one behind the open pages */
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

static const struct tap_test tests[] = {
                {"hlt round trip keeps and changes registers", test_hlt_round_trip},
                {"10,000 round trips", test_10000_round_trips},
                {"privileged instructions stop", test_privileged},
                {"faults have names", test_faults_have_names},
                {"FPU and segments at entry", test_entry_state},
                {"32-bit code is told apart", test_code32},
                {"wild registers", test_wild_registers},
                {"hostile processor state", test_hostile_state},
                {"meaning of stops", test_stop_table},
                {"page faults with their address", test_page_faults},
                {"open and close", test_open_and_close},
                {"open keeps registers", test_open_keeps_registers},
                {"terabytes of sparse ranges", test_large_map},
};

TAP_MAIN(tests)
