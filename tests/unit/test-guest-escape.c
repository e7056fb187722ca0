/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ways out of the guest, tried with real guest code: every entry to the kernel, flags, segments,
 * debug registers, counters, and instructions that talk to something else than this process. Each
 * stops where the broker sees it, and leaves nothing behind that the broker would trip over. */
#include <sys/syscall.h>

#include "tests/unit/machine-fixture.h"

#define K(kind) (1u << VCPU_EXIT_##kind)

PROGRAM(code_hlt, "1: inc %rax\n hlt\n jmp 1b");
PROGRAM(code_write, "movq $0x1234, (%rdi)");
PROGRAM(code_read, "mov (%rdi), %rax");
PROGRAM(code_jump, "jmp *%rdi");
PROGRAM(code_call, "call *%rdi");
PROGRAM(code_syscall, "syscall");
PROGRAM(code_int80, "int $0x80");
PROGRAM(code_sysenter, "sysenter");
PROGRAM(code_far, "pushq $0x23\n pushq %rdi\n lretq");
PROGRAM(code_far_jump, "movl $0x23, -4(%rsp)\n mov %edi, -8(%rsp)\n ljmpl *-8(%rsp)");

/* ---- system calls ---- */

static void test_syscall_numbers(void)
{
        /* Those that a filter by number, by architecture or by the kernel's own exceptions would
         * miss. */
        static const uint64_t numbers[] = {SYS_getpid, SYS_exit_group, SYS_kill, SYS_rt_sigreturn,
                        SYS_restart_syscall, 0x40000000 | 513 /* rt_sigreturn of x32 */,
                        335 /* uretprobe */, 336 /* uprobe */, 0x40000000 | SYS_getpid /* x32 */,
                        100000, (uint64_t)-1};
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
        _cleanup_machine_ struct machine a = {0}, b = {0};

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
}

/* 32-bit code behind a far return or a far jump. Its numbers are others, and its entries, too: on
 * AMD syscall works there, on Intel sysenter, which reads the stack before it is a system call. */
static void test_syscalls_of_32_bit_code(void)
{
        static const struct {
                const char *name;
                uint8_t code[12];
                unsigned kinds;
        } rows[] = {
                        {"exit", {0xb8, 1, 0, 0, 0, 0xcd, 0x80, 0xf4}, K(SYSCALL) | K(PRIVILEGED)},
                        {"kill", {0xb8, 37, 0, 0, 0, 0xcd, 0x80, 0xf4}, K(SYSCALL) | K(PRIVILEGED)},
                        {"sigreturn", {0xb8, 119, 0, 0, 0, 0xcd, 0x80, 0xf4},
                                        K(SYSCALL) | K(PRIVILEGED)},
                        {"syscall", {0x83, 0xec, 16, 0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0xf4},
                                        K(SYSCALL) | K(FAULT)},
                        {"syscall without a stack", {0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0xf4},
                                        K(PRIVILEGED) | K(PAGE_FAULT) | K(FAULT)},
                        {"sysenter", {0x83, 0xec, 16, 0x89, 0xe5, 0x0f, 0x34, 0xf4},
                                        K(SYSCALL) | K(FAULT) | K(PRIVILEGED)},
                        {"sysenter without a stack", {0x31, 0xed, 0x0f, 0x34, 0xf4},
                                        K(FAULT) | K(PRIVILEGED) | K(PAGE_FAULT)},
                        {"into", {0xb0, 0x7f, 0x04, 1, 0xce, 0xf4}, K(PRIVILEGED)},
                        {"bound", {0x6a, 0, 0x6a, 0, 0xb0, 1, 0x62, 0x04, 0x24, 0xf4},
                                        K(FAULT) | K(PRIVILEGED)},
                        {"call gate", {0x9a, 0, 0, 0, 0, 7, 0, 0xf4}, K(PRIVILEGED)},
                        {"LDT", {0xb8, 7, 0, 0, 0, 0x8e, 0xe0, 0xf4}, K(PRIVILEGED)},
        };
        static const struct {
                const uint8_t *code, *end;
        } ways[] = {{code_far, code_far_end}, {code_far_jump, code_far_jump_end}};

        for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(ways); i++) {
                size_t row = i / ARRAY_SIZE(ways), way = i % ARRAY_SIZE(ways);
                _cleanup_machine_ struct machine m = {0};

                REQUIRE(machine_new(&m) == 0);
                REQUIRE(machine_load(&m, ways[way].code, ways[way].end, DATA));
                REQUIRE(ram_write(m.ram, DATA, rows[row].code, sizeof(rows[row].code)));
                REQUIRE(machine_run(&m) == 0);
                printf("# %s: %s\n", rows[row].name, m.exit.text);
                CHECK(!m.exit.code64);
                CHECK(1u << m.exit.kind & rows[row].kinds);
                CHECK(machine_open(&m, AWAY, AWAY + 0x1000));
                REQUIRE(machine_run(&m) == 0); /* it is still there */
                CHECK(m.exit.kind != VCPU_EXIT_DIED);
        }
}

/* Its three entries, and as data: where it can be read, it is code that everybody knows. */
static void test_vsyscall_page(void)
{
        for (uint64_t at = 0xffffffffff600000; at < 0xffffffffff600c00; at += 0x400) {
                _cleanup_machine_ struct machine m = {0};

                START(&m, code_call, at);
                printf("# %s\n", m.exit.text);
                CHECK(m.exit.kind == VCPU_EXIT_SYSCALL || m.exit.kind == VCPU_EXIT_PAGE_FAULT);
                REQUIRE(LOAD(&m, code_read, at));
                REQUIRE(machine_run(&m) == 0);
                CHECK(m.exit.kind == VCPU_EXIT_PAGE_FAULT || m.exit.kind == VCPU_EXIT_PRIVILEGED);
                REQUIRE(LOAD(&m, code_write, at));
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_PAGE_FAULT);
        }
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

/* ---- other instructions ---- */

#define K(kind)          (1u << VCPU_EXIT_##kind)
#define PUSH_FLAGS(bits) "pushfq\n orl $" bits ", (%rsp)\n popfq\n "

PROGRAM(try_rdpmc, "xor %ecx, %ecx\n rdpmc");
PROGRAM(try_xsetbv, "xor %ecx, %ecx\n mov $7, %eax\n xor %edx, %edx\n xsetbv");
PROGRAM(try_write_db7, "mov $0xd0001, %eax\n mov %rax, %db7");
PROGRAM(try_write_db0, "mov %rdi, %db0");
PROGRAM(try_read_db6, "mov %db6, %rax");
PROGRAM(try_int3_long, ".byte 0xcd, 3");
PROGRAM(try_int1_long, "int $1");
PROGRAM(try_int4, "int $4");
PROGRAM(try_int2e, "int $0x2e");
PROGRAM(try_into_long, ".byte 0xce");
PROGRAM(try_interrupts_off, PUSH_FLAGS("0x200") "cli");
PROGRAM(try_iopl, PUSH_FLAGS("0x3000") "in $0x60, %al");
PROGRAM(try_vm86, PUSH_FLAGS("0x1a0000") "sti");
PROGRAM(try_step_syscall, PUSH_FLAGS("0x100") "syscall");
PROGRAM(try_step_int80, PUSH_FLAGS("0x100") "int $0x80");
PROGRAM(try_step_hlt, PUSH_FLAGS("0x100") "hlt");
PROGRAM(try_sigreturn, "mov $15, %eax\n syscall");
PROGRAM(try_call_gate, "push $0x7\n push $0\n mov %rsp, %rdi\n lcall *(%rdi)");
PROGRAM(try_kernel_cs, "sub $64, %rsp\n push $0x10\n push $0\n lretq");
PROGRAM(try_iret_kernel, "push $0x18\n push $0\n push $0x3202\n push $0x10\n push $0\n iretq");
PROGRAM(try_sysret, "sysretq");
PROGRAM(try_sysexit, "sysexitq");
PROGRAM(try_swapgs, "swapgs");
PROGRAM(try_ldt, "mov $0x28, %eax\n lldt %ax");
PROGRAM(try_ldt_selector, "mov $7, %eax\n mov %eax, %fs");
PROGRAM(try_monitor, "mov %rdi, %rax\n xor %ecx, %ecx\n xor %edx, %edx\n monitor");
PROGRAM(try_mwait, "xor %eax, %eax\n xor %ecx, %ecx\n mwait");
PROGRAM(try_umonitor, "mov %rdi, %rax\n .byte 0xf3, 0x0f, 0xae, 0xf0");
PROGRAM(try_senduipi, ".byte 0xf3, 0x0f, 0xc7, 0xf0");
PROGRAM(try_pkru, "xor %ecx, %ecx\n xor %edx, %edx\n mov $-1, %eax\n wrpkru\n mov (%rdi), %rax");
PROGRAM(try_enclave, "mov $2, %eax\n .byte 0x0f, 0x01, 0xd7");
PROGRAM(try_vmcall, "mov $0xffff, %eax\n vmcall");
PROGRAM(try_vmmcall, "mov $0xffff, %eax\n vmmcall");
PROGRAM(try_vmfunc, "xor %eax, %eax\n xor %ecx, %ecx\n vmfunc");
PROGRAM(try_hypervisor_port,
                "mov $0x564d5868, %eax\n mov $10, %ecx\n mov $0x5658, %edx\n in (%dx), %eax");
PROGRAM(try_transaction, "xbegin 1f\n syscall\n xend\n 1: hlt");
PROGRAM(try_shadow_stack, "mov %rdi, %rax\n .byte 0x48, 0x0f, 0x38, 0xf6, 0x07");
PROGRAM(try_fs_base, "mov $0x7ffffffff000, %rax\n wrfsbase %rax");
PROGRAM(try_all_components, "mov $-1, %eax\n mov $-1, %edx\n xsave64 (%rdi)");
PROGRAM(try_tiles, "ldtilecfg (%rdi)");

/* kinds: how it may end, which depends on processor and kernel. A #DB or #GP of the program's own
 * is no way around. */
static void test_no_way_around(void)
{
#define ROW(name, kinds)                         \
        {                                        \
#name, name, name##_end, (kinds) \
        }
        static const struct {
                const char *name;
                const uint8_t *code, *end;
                unsigned kinds;
        } rows[] = {
                        ROW(try_rdpmc, K(PRIVILEGED)),
                        ROW(try_xsetbv, K(PRIVILEGED)),
                        ROW(try_write_db7, K(PRIVILEGED)),
                        ROW(try_write_db0, K(PRIVILEGED)),
                        ROW(try_read_db6, K(PRIVILEGED)),
                        ROW(try_int3_long, K(FAULT)),
                        ROW(try_int1_long, K(PRIVILEGED)),
                        ROW(try_int4, K(PRIVILEGED)),
                        ROW(try_int2e, K(PRIVILEGED)),
                        ROW(try_into_long, K(FAULT)),
                        ROW(try_interrupts_off, K(PRIVILEGED)),
                        ROW(try_iopl, K(PRIVILEGED)),
                        ROW(try_vm86, K(PRIVILEGED)),
                        ROW(try_step_syscall, K(SYSCALL)),
                        ROW(try_step_int80, K(SYSCALL) | K(PRIVILEGED) | K(FAULT)),
                        ROW(try_step_hlt, K(PRIVILEGED)),
                        ROW(try_sigreturn, K(SYSCALL)),
                        ROW(try_call_gate, K(PRIVILEGED)),
                        ROW(try_kernel_cs, K(PRIVILEGED)),
                        ROW(try_iret_kernel, K(PRIVILEGED)),
                        ROW(try_sysret, K(PRIVILEGED) | K(FAULT)),
                        ROW(try_sysexit, K(PRIVILEGED) | K(FAULT)),
                        ROW(try_swapgs, K(PRIVILEGED)),
                        ROW(try_ldt, K(PRIVILEGED)),
                        ROW(try_ldt_selector, K(PRIVILEGED)),
                        ROW(try_monitor, K(FAULT)),
                        ROW(try_mwait, K(FAULT)),
                        ROW(try_umonitor, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_senduipi, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_pkru, K(FAULT) | K(PAGE_FAULT)),
                        ROW(try_enclave, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_vmcall, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_vmmcall, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_vmfunc, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_hypervisor_port, K(PRIVILEGED)),
                        ROW(try_transaction, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_shadow_stack, K(FAULT) | K(PRIVILEGED) | K(PAGE_FAULT)),
                        ROW(try_fs_base, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_all_components, K(FAULT) | K(PRIVILEGED)),
                        ROW(try_tiles, K(FAULT) | K(PRIVILEGED)),
        };
#undef ROW

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_machine_ struct machine m = {0};

                REQUIRE(machine_new(&m) == 0);
                REQUIRE(machine_load(&m, rows[i].code, rows[i].end, DATA));
                REQUIRE(machine_run(&m) == 0);
                if (!(1u << m.exit.kind & rows[i].kinds))
                        printf("# %s: %s\n", rows[i].name, m.exit.text);
                CHECK(1u << m.exit.kind & rows[i].kinds);
                /* Whatever state it is in now, the broker's own calls are made, and none of its
                 * bits is the next run's. */
                CHECK(machine_open(&m, AWAY, AWAY + 0x1000));
                REQUIRE(LOAD(&m, code_hlt, 0));
                REQUIRE(machine_run(&m) == 0);
                CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
                CHECK_EQ(get_reg(&m, VCPU_RIP), CODE + 3);
        }
}

/* Single steps over the gate's calls: the payload's trap flag is its own business. */
static void test_trap_flag_stays_the_payloads(void)
{
        _cleanup_machine_ struct machine m = {0};

        START(&m, try_step_hlt, 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_PRIVILEGED);
        CHECK(get_reg(&m, VCPU_RFLAGS) & 0x100);
        CHECK(machine_open(&m, AWAY, AWAY + 0x1000));
        CHECK(get_reg(&m, VCPU_RFLAGS) & 0x100);
        CHECK(set_reg(&m, VCPU_RIP, get_reg(&m, VCPU_RIP) + 1));
        REQUIRE(ram_put_u8(m.ram, get_reg(&m, VCPU_RIP), 0x90));
        REQUIRE(machine_run(&m) == 0);
        CHECK_EQ(m.exit.kind, VCPU_EXIT_FAULT);
        CHECK(strstr(m.exit.text, "#DB"));
}

static const struct tap_test tests[] = {
                {"system calls of any number", test_syscall_numbers},
                {"system calls by other entries", test_other_syscall_entries},
                {"system calls of 32-bit code", test_syscalls_of_32_bit_code},
                {"the vsyscall page", test_vsyscall_page},
                {"the gate is of no use to a payload", test_gate_is_useless_to_the_payload},
                {"no way around by other instructions", test_no_way_around},
                {"the trap flag stays the payload's", test_trap_flag_stays_the_payloads},
};

TAP_MAIN(tests)
