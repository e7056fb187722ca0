/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The trampoline and the guard, run for real: the copy jobs as a function, the whole page on a bare
 * virtual processor (KVM) in the state in which kexec enters it. Skipped where there is no
 * /dev/kvm. */
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/handover/guard.h"
#include "shim/handover/trampoline.h"

#define VM_BYTES 0x1000000u
#define PML4     0x1000u
#define PDPT     0x2000u
#define PD       0x3000u
#define ENTRY    0x200000u /* the trampoline's page */
#define STACK    0x210000u /* what stands for kexec's control page */
#define TARGET   0x300000u
#define GUEST_SP 0x380ff8u

static void jobs_are_exact(void)
{
        static uint8_t from[10000], to[20000], wanted[20000];
        struct vcpu_regs regs = {0};
        struct trampoline_job jobs[TRAMPOLINE_MAX_JOBS + 1] = {
                        {(uintptr_t)to + 123, (uintptr_t)from + 1, 4099},
                        {(uintptr_t)to + 123 + 4099, 0, 777},
                        {(uintptr_t)to + 9000, (uintptr_t)from, 0},
                        {(uintptr_t)to + 19999, (uintptr_t)from + 9999, 1},
        };
        uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        REQUIRE(page != MAP_FAILED);
        for (size_t i = 0; i < sizeof(from); i++)
                from[i] = (uint8_t)(i * 7 + 1);
        memset(to, 0xaa, sizeof(to));
        memset(wanted, 0xaa, sizeof(wanted));
        memcpy(wanted + 123, from + 1, 4099);
        memset(wanted + 123 + 4099, 0, 777);
        wanted[19999] = from[9999];

        trampoline_build(&regs, page);
        ((void (*)(void))(void *)(page + trampoline_jobs_offset()))(); /* none yet */
        CHECK(to[123] == 0xaa);
        REQUIRE(trampoline_set_jobs(page, jobs, 4));
        ((void (*)(void))(void *)(page + trampoline_jobs_offset()))();
        CHECK(memcmp(to, wanted, sizeof(to)) == 0);
        /* fewer jobs than before: the old ones are gone */
        memset(to, 0x55, sizeof(to));
        REQUIRE(trampoline_set_jobs(page, jobs, 1));
        ((void (*)(void))(void *)(page + trampoline_jobs_offset()))();
        CHECK(to[122] == 0x55 && to[123] == from[1] && to[123 + 4098] == from[4099] &&
                        to[123 + 4099] == 0x55);
        CHECK(to[19999] == 0x55);

        CHECK(!trampoline_set_jobs(page, jobs, TRAMPOLINE_MAX_JOBS + 1));
        jobs[0].n_bytes = UINT64_MAX;
        CHECK(!trampoline_set_jobs(page, jobs, 1));
        munmap(page, 4096);
}

static void pages_are_recognized(void)
{
        struct vcpu_regs regs = {.r = {[VCPU_RIP] = 1, [VCPU_RSI] = 2}};
        uint8_t page[TRAMPOLINE_SIZE];

        trampoline_build(&regs, page);
        CHECK(trampoline_is(SPAN(page, sizeof(page))));
        CHECK(!trampoline_is(SPAN(page, sizeof(page) - 1)));
        page[0] ^= 1;
        CHECK(!trampoline_is(SPAN(page, sizeof(page))));
        memset(page, 0, sizeof(page));
        CHECK(!trampoline_is(SPAN(page, sizeof(page))));
}

/* ---- a virtual machine of one processor and 16 MB ---- */

struct vm {
        int kvm, fd, cpu;
        uint8_t *memory;
        struct kvm_run *run;
        size_t run_size;
};

static void vm_free(struct vm *vm)
{
        if (vm->run)
                munmap(vm->run, vm->run_size);
        if (vm->memory)
                munmap(vm->memory, VM_BYTES);
        closep(&vm->cpu);
        closep(&vm->fd);
        closep(&vm->kvm);
}

static void put64(struct vm *vm, uint64_t address, uint64_t value)
{
        memcpy(vm->memory + address, &value, 8);
}

static bool vm_registers(struct vm *vm, uint64_t entry)
{
        struct kvm_sregs s;
        struct kvm_regs r = {.rip = entry, .rsp = STACK, .rflags = 2};
        struct kvm_segment code = {.limit = 0xffffffff,
                        .selector = 0x08,
                        .type = 11,
                        .present = 1,
                        .s = 1,
                        .l = 1,
                        .g = 1};

        if (ioctl(vm->cpu, KVM_GET_SREGS, &s) < 0)
                return false;
        s.cs = code;
        s.cr0 = 0x80000015; /* PG, ET, PE; EM on purpose: the trampoline must clear it */
        s.cr3 = PML4;
        s.cr4 = 0x20; /* PAE */
        s.efer = 0x500;
        s.gdt.limit = s.idt.limit = 0;
        return ioctl(vm->cpu, KVM_SET_SREGS, &s) == 0 && ioctl(vm->cpu, KVM_SET_REGS, &r) == 0;
}

static bool vm_cpuid(struct vm *vm)
{
        struct {
                struct kvm_cpuid2 head;
                struct kvm_cpuid_entry2 entries[256];
        } *cpuid = calloc(1, sizeof(*cpuid));
        bool ok;

        cpuid->head.nent = 256;
        ok = ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0 &&
             ioctl(vm->cpu, KVM_SET_CPUID2, cpuid) == 0;
        free(cpuid);
        return ok;
}

/* Identity-mapped, in long mode, about to execute `entry`. */
static bool vm_new(struct vm *vm, uint64_t entry)
{
        struct kvm_userspace_memory_region region = {.memory_size = VM_BYTES};
        int size;

        *vm = (struct vm){.kvm = -1, .fd = -1, .cpu = -1};
        vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        if (vm->kvm < 0)
                return false;
        vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
        if (vm->fd < 0)
                return false;
        vm->memory = mmap(
                        NULL, VM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (vm->memory == MAP_FAILED) {
                vm->memory = NULL;
                return false;
        }
        region.userspace_addr = (uintptr_t)vm->memory;
        if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
                return false;
        vm->cpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
        size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
        if (vm->cpu < 0 || size <= 0)
                return false;
        vm->run_size = (size_t)size;
        vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->cpu, 0);
        if (vm->run == MAP_FAILED) {
                vm->run = NULL;
                return false;
        }
        put64(vm, PML4, PDPT | 3);
        put64(vm, PDPT, PD | 3);
        for (uint64_t i = 0; i < VM_BYTES >> 21; i++)
                put64(vm, PD + 8 * i, i << 21 | 0x83);
        return vm_cpuid(vm) && vm_registers(vm, entry);
}

static void registers_are_restored(void)
{
        static const uint8_t target[] = {
                        0x0f, 0x11, 0x04, 0x24, /* movups %xmm0,(%rsp): faults unless SSE is on */
                        0xf4,                   /* hlt */
        };
        struct vcpu_regs regs;
        struct trampoline_job jobs[] = {{0x400123, 0x500001, 5000}, {0x400123 + 5000, 0, 300}};
        struct vm vm;
        struct kvm_regs r;
        struct kvm_sregs s;

        for (unsigned i = 0; i < VCPU_REGS; i++)
                regs.r[i] = 0x1111111111111111ull * (i + 1) + i;
        regs.r[VCPU_RIP] = TARGET;
        regs.r[VCPU_RSP] = GUEST_SP & ~15ull;
        regs.r[VCPU_RFLAGS] = 0xffffffffffffffff; /* IF, TF, VM, AC ... must not come through */
        if (!vm_new(&vm, ENTRY)) {
                vm_free(&vm);
                SKIP("no KVM");
        }
        trampoline_build(&regs, vm.memory + ENTRY);
        CHECK(trampoline_set_jobs(vm.memory + ENTRY, jobs, 2));
        memcpy(vm.memory + TARGET, target, sizeof(target));
        memset(vm.memory + 0x400000, 0xaa, 0x2000);
        for (size_t i = 0; i < 6000; i++)
                vm.memory[0x500000 + i] = (uint8_t)(i * 13);

        CHECK_EQ(ioctl(vm.cpu, KVM_RUN, 0), 0);
        if (vm.run->exit_reason ==
                        KVM_EXIT_INTERNAL_ERROR) { /* a KVM that emulates, and not enough (pvm) */
                vm_free(&vm);
                SKIP("this KVM can't run code at privilege level 0");
        }
        CHECK_EQ(vm.run->exit_reason, KVM_EXIT_HLT);
        CHECK_EQ(ioctl(vm.cpu, KVM_GET_REGS, &r), 0);
        CHECK_EQ(ioctl(vm.cpu, KVM_GET_SREGS, &s), 0);
        CHECK_EQ(r.rip, TARGET + sizeof(target));
        CHECK(r.rax == regs.r[VCPU_RAX] && r.rcx == regs.r[VCPU_RCX] && r.rdx == regs.r[VCPU_RDX] &&
                        r.rbx == regs.r[VCPU_RBX]);
        CHECK(r.rsp == regs.r[VCPU_RSP] && r.rbp == regs.r[VCPU_RBP] && r.rsi == regs.r[VCPU_RSI] &&
                        r.rdi == regs.r[VCPU_RDI]);
        CHECK(r.r8 == regs.r[VCPU_R8] && r.r9 == regs.r[VCPU_R9] && r.r10 == regs.r[VCPU_R10] &&
                        r.r11 == regs.r[VCPU_R11]);
        CHECK(r.r12 == regs.r[VCPU_R12] && r.r13 == regs.r[VCPU_R13] && r.r14 == regs.r[VCPU_R14] &&
                        r.r15 == regs.r[VCPU_R15]);
        CHECK_EQ(r.rflags, 0xcd7);
        CHECK_EQ(s.cr4 & 0x600, 0x600);
        CHECK_EQ(s.cr0 & 0x4000e, 2);
        CHECK_EQ(s.cs.selector, 0x10);
        CHECK_EQ(s.cs.l, 1);
        CHECK_EQ(s.ss.selector, 0x18);
        CHECK_EQ(s.gdt.limit, 31);
        CHECK(s.gdt.base > ENTRY && s.gdt.base < ENTRY + 4096);
        CHECK_EQ(s.idt.limit, 0);
        /* the jobs, to the byte */
        CHECK(vm.memory[0x400122] == 0xaa && vm.memory[0x400123 + 5300] == 0xaa);
        CHECK(memcmp(vm.memory + 0x400123, vm.memory + 0x500001, 5000) == 0);
        for (size_t i = 0; i < 300; i++)
                CHECK(vm.memory[0x400123 + 5000 + i] == 0);
        vm_free(&vm);
}

/* ---- the same in a process, where each privileged instruction stops and is stepped over ---- */

#define P_ENTRY  0x20000000u
#define P_TARGET 0x20010000u
#define P_AREA   0x20020000u
#define P_SOURCE 0x20030000u

static const struct {
        uint8_t size;
        uint8_t bytes[4];
        uint8_t length; /* of the whole instruction, 0: lretq */
} privileged[] = {
                {1, {0xfa}, 1},             /* cli */
                {3, {0x0f, 0x01, 0x15}, 7}, /* lgdt */
                {3, {0x0f, 0x01, 0x1d}, 7}, /* lidt */
                {1, {0x8e}, 2},             /* mov %eax,%sreg */
                {2, {0x48, 0xcb}, 0},       /* lretq */
                {2, {0x0f, 0x20}, 3},       /* mov %cr,%rax */
                {2, {0x0f, 0x22}, 3},       /* mov %rax,%cr */
};

static bool step_over(pid_t pid, struct user_regs_struct *r)
{
        long word = ptrace(PTRACE_PEEKTEXT, pid, r->rip, 0);

        for (size_t i = 0; i < ARRAY_SIZE(privileged); i++) {
                if (memcmp(&word, privileged[i].bytes, privileged[i].size) != 0)
                        continue;
                r->rip += privileged[i].length;
                if (privileged[i].length == 0) {
                        if (ptrace(PTRACE_PEEKTEXT, pid, r->rsp + 8, 0) != 0x10)
                                return false; /* CS */
                        r->rip = (unsigned long long)ptrace(PTRACE_PEEKTEXT, pid, r->rsp, 0);
                        r->rsp += 16;
                }
                return ptrace(PTRACE_SETREGS, pid, 0, r) == 0;
        }
        return false;
}

/* The child: maps everything where the trampoline wants it and jumps. */
static void run_in_child(const struct vcpu_regs *regs, const struct trampoline_job *jobs, size_t n)
{
        uint8_t *m = mmap((void *)(uintptr_t)P_ENTRY, 0x40000, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

        if (m == MAP_FAILED || ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
                _exit(1);
        trampoline_build(regs, m);
        trampoline_set_jobs(m, jobs, n);
        m[P_TARGET - P_ENTRY] = 0xcc;
        memset(m + (P_AREA - P_ENTRY), 0xaa, 0x2000);
        for (size_t i = 0; i < 0x2000; i++)
                m[P_SOURCE - P_ENTRY + i] = (uint8_t)(i * 13);
        ((void (*)(void))(void *)m)();
        _exit(2);
}

static void registers_in_a_process(void)
{
        struct vcpu_regs regs;
        const struct trampoline_job jobs[] = {
                        {P_AREA + 0x123, P_SOURCE + 1, 64}, {P_AREA + 0x163, 0, 5}};
        struct user_regs_struct r = {0};
        unsigned stops = 0;
        int status = 0;
        pid_t pid;

        for (unsigned i = 0; i < VCPU_REGS; i++)
                regs.r[i] = 0x1111111111111111ull * (i + 1) + i;
        regs.r[VCPU_RIP] = P_TARGET;
        regs.r[VCPU_RFLAGS] = 0xffffffffffffffff;
        pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0)
                run_in_child(&regs, jobs, 2);
        while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
                        WSTOPSIG(status) == SIGSEGV && stops++ < 40 &&
                        ptrace(PTRACE_GETREGS, pid, 0, &r) == 0 && step_over(pid, &r) &&
                        ptrace(PTRACE_CONT, pid, 0, 0) == 0)
                ;
        if (WIFEXITED(status))
                SKIP("no ptrace");
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
        CHECK_EQ(stops, 13);
        CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &r), 0);
        CHECK_EQ(r.rip, P_TARGET + 1);
        CHECK(r.rax == regs.r[VCPU_RAX] && r.rcx == regs.r[VCPU_RCX] && r.rdx == regs.r[VCPU_RDX] &&
                        r.rbx == regs.r[VCPU_RBX]);
        CHECK(r.rsp == regs.r[VCPU_RSP] && r.rbp == regs.r[VCPU_RBP] && r.rsi == regs.r[VCPU_RSI] &&
                        r.rdi == regs.r[VCPU_RDI]);
        CHECK(r.r8 == regs.r[VCPU_R8] && r.r9 == regs.r[VCPU_R9] && r.r10 == regs.r[VCPU_R10] &&
                        r.r11 == regs.r[VCPU_R11]);
        CHECK(r.r12 == regs.r[VCPU_R12] && r.r13 == regs.r[VCPU_R13] && r.r14 == regs.r[VCPU_R14] &&
                        r.r15 == regs.r[VCPU_R15]);
        CHECK_EQ(r.eflags & ~0x10200ull,
                        0xcd7); /* IF can't be cleared here; the debugger sets RF */
        CHECK_EQ(ptrace(PTRACE_PEEKTEXT, pid, P_AREA + 0x11c, 0), (long)0x0daaaaaaaaaaaaaa);
        CHECK_EQ(ptrace(PTRACE_PEEKTEXT, pid, P_AREA + 0x162, 0) & 0xffffffffffff,
                        0x40 * 13 & 0xff);
        CHECK_EQ((uint8_t)ptrace(PTRACE_PEEKTEXT, pid, P_AREA + 0x168, 0), 0xaa);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
}

static void the_guard_resets(void)
{
        static const struct {
                uint16_t port;
                uint8_t value;
        } wanted[] = {{0xcf9, 0x02}, {0xcf9, 0x06}, {0x64, 0xfe}};
        struct vm vm;
        size_t n = 0;

        if (!vm_new(&vm, ENTRY)) {
                vm_free(&vm);
                SKIP("no KVM");
        }
        guard_build(vm.memory + ENTRY);
        for (;;) {
                REQUIRE(ioctl(vm.cpu, KVM_RUN, 0) == 0);
                if (vm.run->exit_reason != KVM_EXIT_IO)
                        break;
                REQUIRE(n < ARRAY_SIZE(wanted));
                CHECK_EQ(vm.run->io.direction, KVM_EXIT_IO_OUT);
                CHECK_EQ(vm.run->io.port, wanted[n].port);
                CHECK_EQ(((uint8_t *)vm.run)[vm.run->io.data_offset], wanted[n].value);
                n++;
        }
        if (vm.run->exit_reason ==
                        KVM_EXIT_INTERNAL_ERROR) { /* see above; the ports were checked */
                vm_free(&vm);
                SKIP("this KVM can't run code at privilege level 0");
        }
        /* nobody reset it by port: then the triple fault does */
        CHECK_EQ(n, ARRAY_SIZE(wanted));
        CHECK_EQ(vm.run->exit_reason, KVM_EXIT_SHUTDOWN);
        vm_free(&vm);
}

static const struct tap_test tests[] = {
                {"the jobs write what they should and not a byte more", jobs_are_exact},
                {"a trampoline's page is recognized", pages_are_recognized},
                {"in a process: 16 registers, flags, jobs, nothing unexpected on the way",
                                registers_in_a_process},
                {"on a bare processor: SSE, GDT, jobs, 16 registers, flags",
                                registers_are_restored},
                {"the guard resets by port 0xcf9, keyboard controller, triple fault",
                                the_guard_resets},
};
TAP_MAIN(tests)
