/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The instruction decoder against gas and objdump (instruction-vectors.def), and the few
 * emulations. */
#include "base/cleanup.h"
#include "shim/machine/instruction.h"
#include "tests/unit/tap.h"

enum expected { privileged, emulated, unprivileged, others };

static const struct vector {
        enum expected expected;
        const char *bytes;
        unsigned length;
        const char *text; /* objdump's */
} vectors[] = {
#define VECTOR(kind, bytes, length, text) {kind, bytes, length, text},
#include "tests/unit/instruction-vectors.def"
#undef VECTOR
};

static const enum instruction_result wanted[] = {
                [privileged] = INSTRUCTION_REFUSED,
                [emulated] = INSTRUCTION_EMULATED,
                [unprivileged] = INSTRUCTION_UNKNOWN,
                [others] = INSTRUCTION_UNKNOWN,
};

/* objdump's text without the prefixes that mean nothing, as far as our name goes: a name with
 * operands has all of them, one without is the mnemonic. */
static bool is_same_name(const char *name, const char *text)
{
        static const char *const idle[] = {"rex.W ", "data16 ", "ds "};
        size_t n = strlen(name);
        const char *port = strstr(name, " port ");

        for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
                if (strncmp(text, idle[i], strlen(idle[i])) == 0)
                        text += strlen(idle[i]);
        if (strncmp(name, "mov to %", 8) == 0)
                return strncmp(text, "mov ", 4) == 0 && strstr(text, name + 7);
        if (strncmp(name, "rdmsr 0x", 8) == 0 || strncmp(name, "wrmsr 0x", 8) == 0)
                return strncmp(text, name, 5) == 0;
        if (port)
                n = (size_t)(port - name);
        if (strchr(name, ' '))
                return strlen(text) == n && strncmp(text, name, n) == 0;
        return n > 0 && strncmp(text, name, n) == 0;
}

static bool same_regs(const struct vcpu_regs *a, const struct vcpu_regs *b)
{
        return memcmp(a, b, sizeof(*a)) == 0;
}

static struct vcpu_regs some_regs(void)
{
        struct vcpu_regs regs;

        for (int i = 0; i < VCPU_REGS; i++)
                regs.r[i] = 0x1111111111111111ull * (uint64_t)(i % 15 + 1);
        regs.r[VCPU_RIP] = 0x100000;
        return regs;
}

static void test_vectors(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                const struct vector *v = &vectors[i];
                struct vcpu_regs regs = some_regs(), before = regs;
                struct instruction found;
                int failures = tap_failures;
                enum instruction_result result = instruction_emulate(
                                SPAN(v->bytes, v->length), true, &regs, &found);

                CHECK_EQ(result, wanted[v->expected]);
                if (v->expected == others) {
                        CHECK_EQ(found.length, 0);
                        CHECK(found.name[0] == '\0');
                } else {
                        CHECK_EQ(found.length, v->length);
                        CHECK(is_same_name(found.name, v->text));
                }
                CHECK_EQ(regs.r[VCPU_RIP],
                                before.r[VCPU_RIP] + (v->expected == emulated ? v->length : 0));
                if (v->expected != emulated)
                        CHECK(same_regs(&regs, &before));
                if (tap_failures > failures)
                        printf("# ... %s: \"%s\"\n", v->text, found.name);
        }
}

/* Each vector with less than all of its bytes is nothing; with bytes behind it, it is the same. */
static void test_lengths(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                const struct vector *v = &vectors[i];
                uint8_t longer[15];
                struct vcpu_regs regs = some_regs();
                struct instruction found;

                for (unsigned n = 0; n < v->length; n++) {
                        uint8_t *exact = malloc(
                                        n ? n : 1); /* so that a sanitizer sees a read beyond */

                        REQUIRE(exact);
                        memcpy(exact, v->bytes, n);
                        CHECK_EQ(instruction_emulate(SPAN(exact, n), true, &regs, &found),
                                        INSTRUCTION_UNKNOWN);
                        CHECK_EQ(found.length, 0);
                        free(exact);
                }
                memset(longer, 0x90, sizeof(longer));
                memcpy(longer, v->bytes, v->length);
                CHECK_EQ(instruction_emulate(SPAN(longer, sizeof(longer)), true, &regs, &found),
                                wanted[v->expected]);
                CHECK_EQ(found.length, v->expected == others ? 0 : v->length);
        }
}

static enum instruction_result run(
                const char *bytes, size_t size, struct vcpu_regs *regs, struct instruction *found)
{
        return instruction_emulate(SPAN(bytes, size), true, regs, found);
}

static void test_control_registers(void)
{
        struct vcpu_regs regs = some_regs(), before = regs;
        struct instruction found;

        CHECK_EQ(run("\x41\x0f\x20\xc7", 4, &regs, &found),
                        INSTRUCTION_EMULATED); /* mov %cr0,%r15 */
        CHECK_EQ(regs.r[VCPU_R15], 0x80050033);
        CHECK_EQ(regs.r[VCPU_R15] & 0xc, 0); /* EM, TS: the kernel's has_fpu() */
        regs.r[VCPU_R15] = before.r[VCPU_R15];
        regs.r[VCPU_RIP] = before.r[VCPU_RIP];
        CHECK(same_regs(&regs, &before));
        CHECK_EQ(run("\x0f\x20\xe4", 3, &regs, &found), INSTRUCTION_EMULATED); /* mov %cr4,%rsp */
        CHECK_EQ(regs.r[VCPU_RSP], 0x668);
        CHECK_EQ(regs.r[VCPU_RIP], before.r[VCPU_RIP] + 3);
        /* mod is ignored (SDM, MOV to/from control registers) */
        CHECK_EQ(run("\x0f\x20\x00", 3, &regs, &found), INSTRUCTION_EMULATED);
        CHECK(strcmp(found.name, "mov %cr0,%rax") == 0);
}

static void test_msr(void)
{
        struct vcpu_regs regs = some_regs(), before;
        struct instruction found;

        regs.r[VCPU_RCX] = 0xffffffffc0010131; /* the upper half is ignored */
        CHECK_EQ(run("\x0f\x32", 2, &regs, &found), INSTRUCTION_EMULATED);
        CHECK(strcmp(found.name, "rdmsr 0xc0010131") == 0);
        CHECK_EQ(regs.r[VCPU_RAX] | regs.r[VCPU_RDX], 0);
        regs = before = some_regs();
        regs.r[VCPU_RCX] = before.r[VCPU_RCX] = 0xc0000080;
        CHECK_EQ(run("\x0f\x32", 2, &regs, &found), INSTRUCTION_REFUSED);
        CHECK(strcmp(found.name, "rdmsr 0xc0000080") == 0);
        CHECK(same_regs(&regs, &before));
        regs.r[VCPU_RCX] = 0xc0010131;
        CHECK_EQ(run("\x0f\x30", 2, &regs, &found), INSTRUCTION_REFUSED);
}

/* As the Linux stub does it (arch/x86/lib/kaslr.c, i8254()). */
static void test_8254(void)
{
        struct vcpu_regs regs = some_regs();
        struct instruction found;
        unsigned seen = 0;
        bool values[256] = {0};

        for (int i = 0; i < 1000; i++) {
                regs.r[VCPU_RAX] = 0xaabbccdd112233c2;
                CHECK_EQ(run("\xe6\x43", 2, &regs, &found), INSTRUCTION_EMULATED);
                CHECK_EQ(regs.r[VCPU_RAX], 0xaabbccdd112233c2);
                CHECK_EQ(run("\xe4\x40", 2, &regs, &found), INSTRUCTION_EMULATED);
                CHECK_EQ(regs.r[VCPU_RAX] >> 8, 0xaabbccdd112233);
                CHECK_EQ(regs.r[VCPU_RAX] & 0x40,
                                0); /* "null count" would make it ask again for ever */
                seen += !values[regs.r[VCPU_RAX] & 0xff];
                values[regs.r[VCPU_RAX] & 0xff] = true;
        }
        CHECK(seen > 32); /* it runs */
        regs.r[VCPU_RDX] = 0xffff0040;
        CHECK_EQ(run("\xec", 1, &regs, &found), INSTRUCTION_EMULATED);
        CHECK(strcmp(found.name, "in (%dx),%al port 0x40") == 0);
        regs.r[VCPU_RDX] = 0x43;
        regs.r[VCPU_RAX] = 0xc2;
        CHECK_EQ(run("\xee", 1, &regs, &found), INSTRUCTION_EMULATED);
        regs.r[VCPU_RAX] = 0x34; /* sets the counter's mode */
        CHECK_EQ(run("\xee", 1, &regs, &found), INSTRUCTION_REFUSED);
        regs.r[VCPU_RDX] = 0x110;
        CHECK_EQ(run("\xee", 1, &regs, &found), INSTRUCTION_REFUSED);
        CHECK(strcmp(found.name, "out %al,(%dx) port 0x110") == 0);
        CHECK_EQ(run("\xed", 1, &regs, &found), INSTRUCTION_REFUSED);
}

static uint64_t read_port(const char *in, size_t n, uint16_t port)
{
        struct vcpu_regs regs = some_regs();
        struct instruction found;

        regs.r[VCPU_RAX] = 0xaabbccdd11223344;
        regs.r[VCPU_RDX] = port;
        return run(in, n, &regs, &found) == INSTRUCTION_EMULATED ? regs.r[VCPU_RAX] : 0;
}

static bool may_write(const char *out, size_t n, uint16_t port, uint8_t value)
{
        struct vcpu_regs regs = some_regs(), before;
        struct instruction found;

        regs.r[VCPU_RAX] = value;
        regs.r[VCPU_RDX] = port;
        before = regs;
        if (run(out, n, &regs, &found) != INSTRUCTION_EMULATED)
                return false;
        before.r[VCPU_RIP] = regs.r[VCPU_RIP];
        CHECK(same_regs(&regs, &before));
        return true;
}

/* What GRUB asks: counter 2 of the 8254 (kern/i386/tsc_pit.c), serial lines, PCI functions. */
static void test_absent_ports(void)
{
        CHECK_EQ(read_port("\xe4\x61", 2, 0), 0xaabbccdd112233ff);
        CHECK(may_write("\xe6\x61", 2, 0, 0xfc) && may_write("\xe6\x42", 2, 0, 0xff));
        CHECK(may_write("\xe6\x43", 2, 0, 0xb0) && !may_write("\xe6\x43", 2, 0, 0x70));
        CHECK_EQ(read_port("\xec", 1, 0x3ff), 0xaabbccdd112233ff);
        CHECK(may_write("\xee", 1, 0x2f9, 0x5a) && !may_write("\xee", 1, 0x400, 0x5a));
        CHECK(may_write("\xef", 1, 0xcf8, 0));
        CHECK_EQ(read_port("\xed", 1, 0xcfc), 0xffffffff);
        CHECK_EQ(read_port("\x66\xed", 2, 0xcfe), 0xaabbccdd1122ffff);
        CHECK_EQ(read_port("\xec", 1, 0xcff), 0xaabbccdd112233ff);
        /* the reset register, and what only looks like the address */
        CHECK(!may_write("\xee", 1, 0xcf9, 6) && !may_write("\xee", 1, 0xcf8, 0));
        CHECK(!may_write("\x66\xef", 2, 0xcf8, 0) && !may_write("\xef", 1, 0x3f8, 0));
        CHECK_EQ(read_port("\xe5\x61", 2, 0), 0);
        CHECK_EQ(read_port("\xe5\x40", 2, 0), 0);
}

static void test_prefixes(void)
{
        struct vcpu_regs regs = some_regs();
        struct instruction found;

        /* A REX prefix that isn't the last one doesn't count: this is in, not with REX.W; and %rax,
         * not %r8. */
        CHECK_EQ(run("\x48\x66\xed", 3, &regs, &found), INSTRUCTION_REFUSED);
        CHECK(strncmp(found.name, "in (%dx),%ax", 12) == 0);
        CHECK_EQ(run("\x41\x66\x0f\x20\xc0", 5, &regs, &found), INSTRUCTION_EMULATED);
        CHECK(strcmp(found.name, "mov %cr0,%rax") == 0);
        /* 15 bytes are the limit. */
        CHECK_EQ(run("\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\xf4", 15, &regs,
                                 &found),
                        INSTRUCTION_REFUSED);
        CHECK_EQ(found.length, 15);
        CHECK_EQ(run("\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\xf4", 16, &regs,
                                 &found),
                        INSTRUCTION_UNKNOWN);
        /* The longest name fits. */
        CHECK_EQ(run("\xf2\x6f", 2, &regs, &found), INSTRUCTION_REFUSED);
        CHECK(strcmp(found.name, "repnz outsl %ds:(%rsi),(%dx)") == 0);
}

static void test_code32(void)
{
        struct vcpu_regs regs = some_regs(), before = regs;
        struct instruction found;

        CHECK_EQ(instruction_emulate(SPAN("\x0f\x20\xc0", 3), false, &regs, &found),
                        INSTRUCTION_UNKNOWN);
        CHECK(same_regs(&regs, &before));
}

static const struct tap_test tests[] = {
                {"names and lengths as objdump says", test_vectors},
                {"cut and followed", test_lengths},
                {"control registers", test_control_registers},
                {"MSRs", test_msr},
                {"8254 for KASLR", test_8254},
                {"ports where nothing answers", test_absent_ports},
                {"prefixes", test_prefixes},
                {"32-bit code isn't decoded", test_code32},
};

TAP_MAIN(tests)
