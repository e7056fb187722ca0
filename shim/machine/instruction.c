/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The privileged instructions of x86-64, one row each, and the few that are carried out before
 * ExitBootServices. Called by the firmware for each #GP that isn't one of its thunks. It decides
 * nothing about when: after ExitBootServices the firmware hands over instead of asking for an
 * emulation. */
#include "shim/machine/instruction.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"

#define LONGEST_INSTRUCTION 15

enum opcode_map { ONE_BYTE, MAP_0F, MAP_0F38 };

/* What of the ModRM byte a row wants. */
enum modrm_kind {
        NO_MODRM,
        EXACT,    /* the whole byte */
        MEMORY,   /* /n with a memory operand */
        ANY,      /* /n with either */
        REGISTERS /* any byte; mod is ignored and means a register (mov to and from CRn, DRn) */
};

enum {
        PREFIX_66 = 1 << 0,
        PREFIX_F2 = 1 << 1,
        PREFIX_F3 = 1 << 2,
        PREFIX_LOCK = 1 << 3,
};

enum { REX_B = 1, REX_R = 4, REX_W = 8 };

struct decoded {
        unsigned prefixes;
        uint8_t rex;
        enum opcode_map map;
        uint8_t opcode;
        uint8_t modrm;
        uint8_t imm; /* first immediate byte */
        unsigned length;
        uint64_t rcx, rdx; /* for MSR and port in the name */
};

struct row {
        enum opcode_map map;
        uint8_t opcode;
        enum modrm_kind modrm_kind;
        uint8_t modrm;   /* EXACT: the byte; MEMORY, ANY: the /n */
        unsigned prefix; /* must be there, if any */
        unsigned imm_bytes;
        bool unprivileged; /* may fault, but for other reasons: only named */
        /* As objdump prints it. In braces: c control or debug register, q general register, a
         * accumulator, s its size letter, i immediate, m MSR number, p port in DX, R repeat prefix,
         * g segment register, w letter of a far return's size */
        const char *name;
        bool (*emulate)(const struct decoded *d, struct vcpu_regs *regs);
};

/* ---- what is carried out ---- */

static uint64_t *general_register(const struct decoded *d, struct vcpu_regs *regs)
{
        return &regs->r[(d->modrm & 7) | (d->rex & REX_B ? 8 : 0)];
}

static unsigned special_register(const struct decoded *d)
{
        return ((d->modrm >> 3) & 7) | (d->rex & REX_R ? 8 : 0);
}

/* Values that a 64-bit UEFI leaves (UEFI 2.10, 2.3.4): long mode with paging, the FPU usable. The
 * kernel's has_fpu() wants EM and TS clear in CR0. LA57 is clear in CR4: the guest's own view is
 * four levels, and the real bit is read on the bare machine after the hand-over. CR2, CR3 and CR8
 * have no true value here: who reads them wants page tables or an interrupt controller, so they are
 * refused by name. */
static bool emulate_read_control(const struct decoded *d, struct vcpu_regs *regs)
{
        switch (special_register(d)) {
        case 0:
                *general_register(d, regs) = 0x80050033; /* PG AM WP NE ET MP PE */
                return true;
        case 4:
                *general_register(d,
                                regs) = 0x668; /* OSXMMEXCPT OSFXSR MCE PAE DE, as OVMF sets it */
                return true;
        default:
                return false;
        }
}

/* SEV_STATUS: the Linux stub reads it where CPUID 0x8000001f offers SEV. A guest under SEV can't be
 * imitated from user space, so the answer is "not active". */
#define MSR_AMD64_SEV 0xc0010131u

static bool emulate_rdmsr(const struct decoded *d, struct vcpu_regs *regs)
{
        if ((uint32_t)d->rcx != MSR_AMD64_SEV)
                return false;
        regs->r[VCPU_RAX] = 0;
        regs->r[VCPU_RDX] = 0;
        return true;
}

/* The 8254's counter 0, as far as the Linux stub's KASLR asks where there is neither RDRAND nor
 * TSC: it sends the read-back command, reads a status byte (again if bit 6, "null count", is set),
 * then the count's two bytes. Every byte read here is from a running counter with bit 6 clear, so
 * no state is needed to tell status and count apart. */
#define I8254_COUNTER0          0x40
#define I8254_CONTROL           0x43
#define I8254_READ_BACK_0       0xc2
#define I8254_SELECT_MASK       0xc0
#define I8254_SELECT_2          0x80
#define I8254_STATUS_NULL_COUNT 0x40

/* Devices that payloads do without: where nothing answers all bits are set and writes go nowhere.
 * GRUB then measures its clock with Stall, and finds neither serial lines nor PCI functions. Port
 * 0xcf9 isn't among them: who writes there wants a reset. */
static const struct {
        uint16_t first, last;
        unsigned widths; /* 1 | 2 | 4 bytes */
} absent_ports[] = {
                {0x42, 0x42, 1},   /* the 8254's counter 2 */
                {0x61, 0x61, 1},   /* its gate and output */
                {0x2e8, 0x2ef, 1}, /* serial lines: COM4, COM2, COM3, COM1 */
                {0x2f8, 0x2ff, 1},
                {0x3e8, 0x3ef, 1},
                {0x3f8, 0x3ff, 1},
                {0xcf8, 0xcf8, 4}, /* PCI configuration mechanism 1: address, data */
                {0xcfc, 0xcff, 1 | 2 | 4},
};

static bool port_is_absent(uint16_t port, unsigned width)
{
        for (size_t i = 0; i < ARRAY_SIZE(absent_ports); i++)
                if (port >= absent_ports[i].first && port <= absent_ports[i].last)
                        return absent_ports[i].widths & width;
        return false;
}

/* An instruction's port and the bytes that it moves. */
static uint16_t port_of(const struct decoded *d, unsigned *width)
{
        *width = !(d->opcode & 1) ? 1 : d->prefixes & PREFIX_66 ? 2 : 4;
        return d->opcode & 8 ? (uint16_t)d->rdx : d->imm;
}

static uint8_t running_counter(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC_RAW, &now);
        return (uint8_t)(((uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15ull) >> 56) &
               ~I8254_STATUS_NULL_COUNT;
}

static bool emulate_in(const struct decoded *d, struct vcpu_regs *regs)
{
        uint64_t *rax = &regs->r[VCPU_RAX];
        unsigned width;
        uint16_t port = port_of(d, &width);

        if (port == I8254_COUNTER0 && width == 1)
                *rax = (*rax & ~0xffull) | running_counter();
        else if (!port_is_absent(port, width))
                return false;
        else if (width == 4)
                *rax = UINT32_MAX; /* a 32-bit result clears the upper half */
        else
                *rax |= width == 2 ? 0xffff : 0xff;
        return true;
}

static bool emulate_out(const struct decoded *d, struct vcpu_regs *regs)
{
        uint8_t value = (uint8_t)regs->r[VCPU_RAX];
        unsigned width;
        uint16_t port = port_of(d, &width);

        if (port == I8254_CONTROL && width == 1)
                return value == I8254_READ_BACK_0 || (value & I8254_SELECT_MASK) == I8254_SELECT_2;
        return port_is_absent(port, width);
}

/* ---- the table ---- */

static const struct row rows[] = {
                /* map, opcode, ModRM */
                {ONE_BYTE, 0x6c, .name = "{R}insb (%dx),%es:(%rdi)"},
                {ONE_BYTE, 0x6d, .name = "{R}ins{s} (%dx),%es:(%rdi)"},
                {ONE_BYTE, 0x6e, .name = "{R}outsb %ds:(%rsi),(%dx)"},
                {ONE_BYTE, 0x6f, .name = "{R}outs{s} %ds:(%rsi),(%dx)"},
                {ONE_BYTE, 0xe4, .imm_bytes = 1, .name = "in ${i},%{a}", .emulate = emulate_in},
                {ONE_BYTE, 0xe5, .imm_bytes = 1, .name = "in ${i},%{a}", .emulate = emulate_in},
                {ONE_BYTE, 0xe6, .imm_bytes = 1, .name = "out %{a},${i}", .emulate = emulate_out},
                {ONE_BYTE, 0xe7, .imm_bytes = 1, .name = "out %{a},${i}", .emulate = emulate_out},
                {ONE_BYTE, 0xec, .name = "in (%dx),%{a}{p}", .emulate = emulate_in},
                {ONE_BYTE, 0xed, .name = "in (%dx),%{a}{p}", .emulate = emulate_in},
                {ONE_BYTE, 0xee, .name = "out %{a},(%dx){p}", .emulate = emulate_out},
                {ONE_BYTE, 0xef, .name = "out %{a},(%dx){p}", .emulate = emulate_out},
                {ONE_BYTE, 0xf4, .name = "hlt"},
                {ONE_BYTE, 0xfa, .name = "cli"},
                {ONE_BYTE, 0xfb, .name = "sti"},

                {MAP_0F, 0x00, ANY, 0,
                                .name = "sldt"}, /* these and sgdt, sidt, smsw: with CR4.UMIP */
                {MAP_0F, 0x00, ANY, 1, .name = "str"},
                {MAP_0F, 0x00, ANY, 2, .name = "lldt"},
                {MAP_0F, 0x00, ANY, 3, .name = "ltr"},
                {MAP_0F, 0x01, EXACT, 0xd1, .name = "xsetbv"},
                {MAP_0F, 0x01, EXACT, 0xf8, .name = "swapgs"},
                {MAP_0F, 0x01, MEMORY, 0, .name = "sgdt"},
                {MAP_0F, 0x01, MEMORY, 1, .name = "sidt"},
                {MAP_0F, 0x01, MEMORY, 2, .name = "lgdt"},
                {MAP_0F, 0x01, MEMORY, 3, .name = "lidt"},
                {MAP_0F, 0x01, ANY, 4, .name = "smsw"},
                {MAP_0F, 0x01, ANY, 6, .name = "lmsw"},
                {MAP_0F, 0x01, MEMORY, 7, .name = "invlpg"},
                {MAP_0F, 0x06, .name = "clts"},
                {MAP_0F, 0x07, .name = "sysret{w}"},
                {MAP_0F, 0x08, .name = "invd"},
                {MAP_0F, 0x09, .prefix = PREFIX_F3, .name = "wbnoinvd"},
                {MAP_0F, 0x09, .name = "wbinvd"},
                {MAP_0F, 0x20, REGISTERS, .name = "mov %cr{c},%{q}",
                                .emulate = emulate_read_control},
                {MAP_0F, 0x21, REGISTERS, .name = "mov %db{c},%{q}"},
                {MAP_0F, 0x22, REGISTERS, .name = "mov %{q},%cr{c}"},
                {MAP_0F, 0x23, REGISTERS, .name = "mov %{q},%db{c}"},
                {MAP_0F, 0x30, .name = "wrmsr {m}"},
                {MAP_0F, 0x32, .name = "rdmsr {m}", .emulate = emulate_rdmsr},
                {MAP_0F, 0x33, .name = "rdpmc"},
                {MAP_0F, 0x35, .name = "sysexit{w}"},
                {MAP_0F, 0xc7, MEMORY, 3, .name = "xrstors"},
                {MAP_0F, 0xc7, MEMORY, 5, .name = "xsaves"},
                {MAP_0F38, 0x82, MEMORY, 0xff, .prefix = PREFIX_66, .name = "invpcid"},

                {ONE_BYTE, 0x8e, ANY, 0xff, .unprivileged = true, .name = "mov to %{g}"},
                {ONE_BYTE, 0xca, .imm_bytes = 2, .unprivileged = true, .name = "lret{w}"},
                {ONE_BYTE, 0xcb, .unprivileged = true, .name = "lret{w}"},
                {ONE_BYTE, 0xcd, .imm_bytes = 1, .unprivileged = true, .name = "int ${i}"},
                {ONE_BYTE, 0xcf, .unprivileged = true, .name = "iret{w}"},
                {ONE_BYTE, 0xff, MEMORY, 3, .unprivileged = true, .name = "lcall"},
                {ONE_BYTE, 0xff, MEMORY, 5, .unprivileged = true, .name = "ljmp"},
                {MAP_0F, 0x01, EXACT, 0xd0, .unprivileged = true, .name = "xgetbv"},
                {MAP_0F, 0x34, .unprivileged = true, .name = "sysenter"},
};

/* ---- decoding ---- */

static bool take_prefixes(struct cursor *c, struct decoded *d)
{
        uint8_t byte;

        while (cursor_u8(c, &byte)) {
                /* A REX prefix counts only directly before the opcode. */
                if (byte != 0x66 && byte != 0xf2 && byte != 0xf3 && byte != 0xf0 && byte != 0x67 &&
                                byte != 0x2e && byte != 0x36 && byte != 0x3e && byte != 0x26 &&
                                byte != 0x64 && byte != 0x65 && (byte & 0xf0) != 0x40) {
                        d->opcode = byte;
                        return true;
                }
                d->rex = (byte & 0xf0) == 0x40 ? byte & 0xf : 0;
                d->prefixes |= (byte == 0x66 ? PREFIX_66 : 0) | (byte == 0xf2 ? PREFIX_F2 : 0) |
                               (byte == 0xf3 ? PREFIX_F3 : 0) | (byte == 0xf0 ? PREFIX_LOCK : 0);
        }
        return false;
}

static bool take_opcode(struct cursor *c, struct decoded *d)
{
        if (!take_prefixes(c, d))
                return false;
        if (d->opcode != 0x0f)
                return true;
        d->map = MAP_0F;
        if (!cursor_u8(c, &d->opcode))
                return false;
        if (d->opcode != 0x38)
                return true;
        d->map = MAP_0F38;
        return cursor_u8(c, &d->opcode);
}

/* SIB and displacement of a memory operand (SDM volume 2, 2.1.5; the same with a 67 prefix). */
static bool skip_memory_operand(struct cursor *c, uint8_t modrm)
{
        unsigned mod = modrm >> 6, base = modrm & 7;
        uint8_t sib;

        if (mod == 3)
                return true;
        if (base == 4) {
                if (!cursor_u8(c, &sib))
                        return false;
                base = sib & 7;
        }
        if (mod == 1)
                return cursor_skip(c, 1);
        return cursor_skip(c, mod == 2 || base == 5 ? 4 : 0);
}

static bool modrm_fits(const struct row *row, uint8_t modrm)
{
        bool slash = row->modrm == 0xff || ((modrm >> 3) & 7) == row->modrm;

        switch (row->modrm_kind) {
        case EXACT:
                return modrm == row->modrm;
        case MEMORY:
                return slash && modrm >> 6 != 3;
        case ANY:
                return slash;
        default:
                return true;
        }
}

/* The row whose opcode, prefix and ModRM fit, with the whole instruction inside the bytes. */
static const struct row *find_row(struct cursor *c, struct decoded *d)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct row *row = &rows[i];
                struct cursor rest = *c;

                if (row->map != d->map || row->opcode != d->opcode ||
                                (d->prefixes & row->prefix) != row->prefix)
                        continue;
                if (row->modrm_kind != NO_MODRM) {
                        if (!cursor_u8(&rest, &d->modrm) || !modrm_fits(row, d->modrm))
                                continue;
                        if (row->modrm_kind != REGISTERS && !skip_memory_operand(&rest, d->modrm))
                                continue;
                }
                if (row->imm_bytes > 0) {
                        if (!cursor_u8(&rest, &d->imm) || !cursor_skip(&rest, row->imm_bytes - 1))
                                continue;
                }
                d->length = (unsigned)rest.offset;
                return row;
        }
        return NULL;
}

/* ---- names ---- */

static const char *general_register_name(unsigned n)
{
        static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                        "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};

        return names[n & 15];
}

static const char *segment_register_name(unsigned n)
{
        static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "?", "?"};

        return names[n & 7];
}

/* Writes what a letter in braces stands for. */
static int put_operand(const struct decoded *d, char letter, char *to, size_t size)
{
        bool word = d->prefixes & PREFIX_66, byte = !(d->opcode & 1), wide = d->rex & REX_W;

        switch (letter) {
        case 'c':
                return snprintf(to, size, "%u", special_register(d));
        case 'q':
                return snprintf(to, size, "%s",
                                general_register_name((d->modrm & 7) | (d->rex & REX_B ? 8 : 0)));
        case 'a':
                return snprintf(to, size, "%s", byte ? "al" : word && !wide ? "ax" : "eax");
        case 's':
                return snprintf(to, size, "%s", word && !wide ? "w" : "l");
        case 'w': /* sysret and sysexit are 32-bit unless REX.W; far returns too */
                return snprintf(to, size, "%s",
                                wide               ? "q"
                                : d->map == MAP_0F ? "l"
                                : word             ? "w"
                                                   : "");
        case 'i':
                return snprintf(to, size, "0x%x", d->imm);
        case 'm':
                return snprintf(to, size, "0x%" PRIx32, (uint32_t)d->rcx);
        case 'p':
                return snprintf(to, size, " port 0x%x", (unsigned)(uint16_t)d->rdx);
        case 'R':
                return snprintf(to, size, "%s",
                                d->prefixes & PREFIX_F3   ? "rep "
                                : d->prefixes & PREFIX_F2 ? "repnz "
                                                          : "");
        case 'g':
                return snprintf(to, size, "%s", segment_register_name((d->modrm >> 3) & 7));
        default:
                return 0;
        }
}

static void put_name(const struct decoded *d, const char *pattern, char *to, size_t size)
{
        size_t n = 0;

        for (const char *s = pattern; *s && n + 1 < size; s++) {
                if (s[0] == '{' && s[1] && s[2] == '}') {
                        n += (size_t)put_operand(d, s[1], to + n, size - n);
                        s += 2;
                } else {
                        to[n++] = *s;
                }
        }
        to[n < size ? n : size - 1] = '\0';
}

enum instruction_result instruction_emulate(
                struct span bytes, bool code64, struct vcpu_regs *regs, struct instruction *ret)
{
        struct decoded d = {.rcx = regs->r[VCPU_RCX], .rdx = regs->r[VCPU_RDX]};
        struct cursor c = CURSOR(bytes);
        const struct row *row;

        *ret = (struct instruction){0};
        if (c.bytes.size > LONGEST_INSTRUCTION)
                c.bytes.size = LONGEST_INSTRUCTION;
        /* 32-bit code decodes differently, and none of it is a payload's that we could hand over.
         */
        if (!code64 || !take_opcode(&c, &d) || d.prefixes & PREFIX_LOCK)
                return INSTRUCTION_UNKNOWN;
        row = find_row(&c, &d);
        if (!row)
                return INSTRUCTION_UNKNOWN;
        put_name(&d, row->name, ret->name, sizeof(ret->name));
        ret->length = d.length;
        if (row->unprivileged)
                return INSTRUCTION_UNKNOWN;
        if (!row->emulate || !row->emulate(&d, regs))
                return INSTRUCTION_REFUSED;
        regs->r[VCPU_RIP] += d.length;
        return INSTRUCTION_EMULATED;
}
