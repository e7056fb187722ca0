/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/pe and tcg2/authenticode: forged headers, and digests compared with those that sbsign puts
 * into a signature of systemd's own stub. */
#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "tcg2/authenticode.h"
#include "tcg2/pe.h"
#include "tests/unit/tap.h"

#define STUB "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"

enum {
        PE_AT = 0x40,
        OPTIONAL_AT = PE_AT + 24,
        SECTIONS_AT = OPTIONAL_AT + 240,
        FILE_BYTES = 0x200 + 0x400,
};

static void put16(uint8_t *at, unsigned value)
{
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
        put16(at, value & 0xffff);
        put16(at + 2, value >> 16);
}

static void put_section(uint8_t *file, unsigned i, const char *name, uint32_t address,
                uint32_t size, uint32_t offset, uint32_t raw_size)
{
        uint8_t *at = file + SECTIONS_AT + 40 * i;

        memcpy(at, name, strlen(name));
        put32(at + 8, size);
        put32(at + 12, address);
        put32(at + 16, raw_size);
        put32(at + 20, offset);
        put32(at + 36, 0x60000020);
}

/* A small PE32+ application: .text at 0x1000 and .data at 0x2000, 0x200 bytes in the file each. */
static void make(uint8_t file[FILE_BYTES])
{
        memset(file, 0, FILE_BYTES);
        for (unsigned i = 0x200; i < FILE_BYTES; i++)
                file[i] = (uint8_t)(i * 7 + i / 256);
        memcpy(file, "MZ", 2);
        put32(file + 0x3c, PE_AT);
        memcpy(file + PE_AT, "PE\0\0", 4);
        put16(file + PE_AT + 4, IMAGE_FILE_MACHINE_X64);
        put16(file + PE_AT + 6, 2);    /* NumberOfSections */
        put16(file + PE_AT + 20, 240); /* SizeOfOptionalHeader */
        put16(file + OPTIONAL_AT, 0x20b);
        put32(file + OPTIONAL_AT + 16, 0x1000); /* entry */
        put32(file + OPTIONAL_AT + 24, 0x400000);
        put32(file + OPTIONAL_AT + 32, 0x1000);
        put32(file + OPTIONAL_AT + 36, 0x200);
        put16(file + OPTIONAL_AT + 44, 3); /* MajorImageVersion */
        put32(file + OPTIONAL_AT + 56, 0x3000);
        put32(file + OPTIONAL_AT + 60, 0x200);
        put16(file + OPTIONAL_AT + 68, IMAGE_SUBSYSTEM_EFI_APPLICATION);
        put16(file + OPTIONAL_AT + 70, IMAGE_DLLCHARACTERISTICS_NX_COMPAT);
        put32(file + OPTIONAL_AT + 108, 16); /* NumberOfRvaAndSizes */
        put_section(file, 0, ".text", 0x1000, 0x180, 0x200, 0x200);
        put_section(file, 1, ".data", 0x2000, 0x800, 0x400, 0x200);
}

static void test_fields(void)
{
        uint8_t file[FILE_BYTES];
        struct pe_section s;
        struct error error = {};
        struct pe pe;

        make(file);
        REQUIRE(pe_parse(SPAN(file, FILE_BYTES), &pe, &error) == 0);
        CHECK(pe.pe32_plus);
        CHECK_EQ(pe.machine, IMAGE_FILE_MACHINE_X64);
        CHECK_EQ(pe.subsystem, IMAGE_SUBSYSTEM_EFI_APPLICATION);
        CHECK_EQ(pe.dll_characteristics, IMAGE_DLLCHARACTERISTICS_NX_COMPAT);
        CHECK_EQ(pe.major_image_version, 3);
        CHECK_EQ(pe.entry, 0x1000);
        CHECK_EQ(pe.image_base, 0x400000);
        CHECK_EQ(pe.size_of_image, 0x3000);
        CHECK_EQ(pe.size_of_headers, 0x200);
        CHECK_EQ(pe.section_alignment, 0x1000);
        CHECK_EQ(pe.checksum_offset, OPTIONAL_AT + 64);
        CHECK_EQ(pe.security_entry_offset, OPTIONAL_AT + 112 + 4 * 8);
        CHECK_EQ(pe.n_sections, 2);
        CHECK_EQ(pe_check_layout(&pe, &error), 0);
        REQUIRE(pe_find_section(&pe, ".data", &s));
        CHECK_EQ(s.virtual_address, 0x2000);
        CHECK_EQ(s.virtual_size, 0x800);
        CHECK(s.raw.data == file + 0x400);
        CHECK_EQ(s.raw.size, 0x200);
        CHECK(!pe_find_section(&pe, ".dat", &s));
        CHECK(!pe_find_section(&pe, ".data2", &s));
        CHECK(!pe_section(&pe, 2, &s));
}

/* One change to the good file and what must come of it. */
struct forgery {
        const char *what;
        unsigned offset, bytes;
        uint32_t value;
        size_t file_bytes; /* 0: all */
};

static void test_parse_refuses(void)
{
        static const struct forgery forgeries[] = {
                        {"no MZ", 0, 2, 0x4d5b},
                        {"TE image", 0, 2, 0x5a56},
                        {"lfanew at the end", 0x3c, 4, FILE_BYTES},
                        {"lfanew beyond", 0x3c, 4, FILE_BYTES + 1},
                        {"lfanew negative", 0x3c, 4, 0xffffffff},
                        {"no PE signature", PE_AT, 4, 0x4550 + 0x10000},
                        {"no sections", PE_AT + 6, 2, 0},
                        {"more sections than headers", PE_AT + 6, 2, 20},
                        {"65535 sections", PE_AT + 6, 2, 0xffff},
                        {"optional header too long", PE_AT + 20, 2, 0xffff},
                        {"optional header too short", PE_AT + 20, 2, 100},
                        {"no optional header", PE_AT + 20, 2, 0},
                        {"magic", OPTIONAL_AT, 2, 0x107},
                        {"17 directories in room for 16", OPTIONAL_AT + 108, 4, 17},
                        {"directories: all bits", OPTIONAL_AT + 108, 4, 0xffffffff},
                        {"headers beyond the file", OPTIONAL_AT + 60, 4, FILE_BYTES + 1},
                        {"headers: all bits", OPTIONAL_AT + 60, 4, 0xffffffff},
                        {"headers before sections", OPTIONAL_AT + 60, 4, SECTIONS_AT + 79},
                        {"headers 0", OPTIONAL_AT + 60, 4, 0},
                        {"raw data beyond the file", SECTIONS_AT + 16, 4, 0x401},
                        {"raw size: all bits", SECTIONS_AT + 16, 4, 0xffffffff},
                        {"raw offset: all bits", SECTIONS_AT + 20, 4, 0xffffffff},
                        {"raw offset + size wraps", SECTIONS_AT + 20, 4, 0xfffffe00},
                        {"second section's raw data", SECTIONS_AT + 60, 4, FILE_BYTES - 0x1ff},
                        {"certificates beyond the file", OPTIONAL_AT + 148, 4, FILE_BYTES + 1},
                        {"cut in the section table", 0, 0, 0, SECTIONS_AT + 79},
                        {"cut in the optional header", 0, 0, 0, OPTIONAL_AT + 100},
                        {"cut in the file header", 0, 0, 0, PE_AT + 10},
                        {"cut in the DOS header", 0, 0, 0, 0x3f},
                        {"two bytes", 0, 0, 0, 2},
        };

        for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
                const struct forgery *f = &forgeries[i];
                struct pe pe = {.n_sections = 77};
                uint8_t file[FILE_BYTES];
                struct error error = {};
                int r;

                make(file);
                if (f->bytes == 2)
                        put16(file + f->offset, f->value);
                else if (f->bytes == 4)
                        put32(file + f->offset, f->value);
                r = pe_parse(SPAN(file, f->file_bytes ? f->file_bytes : FILE_BYTES), &pe, &error);
                if (r != -EINVAL || !error.text[0] || pe.n_sections != 77) {
                        printf("# %s: %d '%s'\n", f->what, r, error.text);
                        tap_failures++;
                }
        }
        CHECK_EQ(pe_parse(SPAN(NULL, 0), &(struct pe){}, NULL), -EINVAL);
}

static void test_layout_refuses(void)
{
        static const struct forgery forgeries[] = {
                        {"entry behind the image", OPTIONAL_AT + 16, 4, 0x3000},
                        {"alignment 0", OPTIONAL_AT + 32, 4, 0},
                        {"alignment no power of two", OPTIONAL_AT + 32, 4, 0x1800},
                        {"image smaller than headers", OPTIONAL_AT + 56, 4, 0x1ff},
                        {"image 0", OPTIONAL_AT + 56, 4, 0},
                        {"section behind the image", OPTIONAL_AT + 56, 4, 0x27ff},
                        {"section over the headers", SECTIONS_AT + 12, 4, 0x1ff},
                        {"sections overlap", SECTIONS_AT + 8, 4, 0x1001},
                        {"sections at one place", SECTIONS_AT + 12, 4, 0x2000},
                        {"section size: all bits", SECTIONS_AT + 8, 4, 0xffffffff},
                        {"section address: all bits", SECTIONS_AT + 12, 4, 0xffffffff},
                        {"relocations behind the image", OPTIONAL_AT + 156, 4, 0x3001},
                        {"relocations: all bits", OPTIONAL_AT + 156, 4, 0xffffffff},
        };

        for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
                const struct forgery *f = &forgeries[i];
                uint8_t file[FILE_BYTES];
                struct error error = {};
                struct pe pe;

                make(file);
                put32(file + f->offset, f->value);
                REQUIRE(pe_parse(SPAN(file, FILE_BYTES), &pe, NULL) == 0);
                if (pe_check_layout(&pe, &error) != -EINVAL || !error.text[0]) {
                        printf("# %s\n", f->what);
                        tap_failures++;
                }
        }
}

/* ---- Authenticode ---- */

static struct banks sha256_bank(void)
{
        struct banks banks = {};

        banks_add(&banks, alg_by_name("sha256"));
        return banks;
}

static void test_digest_ignores(void)
{
        static const struct {
                unsigned offset;
                bool ignored;
        } places[] = {
                        {OPTIONAL_AT + 59, false},
                        {OPTIONAL_AT + 64, true}, /* CheckSum */
                        {OPTIONAL_AT + 67, true},
                        {OPTIONAL_AT + 68 + 4, false},
                        {OPTIONAL_AT + 112 + 32 - 1, false},
                        {OPTIONAL_AT + 112 + 32, true}, /* security directory: address */
                        {OPTIONAL_AT + 112 + 32 + 3, true},
                        {OPTIONAL_AT + 112 + 40 + 15, false},
                        {SECTIONS_AT + 80, false}, /* behind the section table */
                        {0x200, false},
                        {FILE_BYTES - 1, false},
        };
        struct banks banks = sha256_bank();
        struct digests good, other;
        uint8_t file[FILE_BYTES];

        make(file);
        REQUIRE(authenticode_digest(SPAN(file, FILE_BYTES), &banks, &good, NULL) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                make(file);
                file[places[i].offset] ^= 1;
                REQUIRE(authenticode_digest(SPAN(file, FILE_BYTES), &banks, &other, NULL) == 0);
                CHECK_EQ(digests_equal(&good, &other), places[i].ignored);
        }
        /* "certificates" that are a section's bytes: nothing follows the sections, so nothing is
         * left out */
        make(file);
        put32(file + OPTIONAL_AT + 148, 0x10);
        put32(file + OPTIONAL_AT + 144, FILE_BYTES - 0x10);
        REQUIRE(authenticode_digest(SPAN(file, FILE_BYTES), &banks, &other, NULL) == 0);
        CHECK(digests_equal(&good, &other));
        /* less behind the sections than the certificates' size: edk2's EFI_UNSUPPORTED */
        put32(file + SECTIONS_AT + 56, 0x1f8);
        CHECK_EQ(authenticode_digest(SPAN(file, FILE_BYTES), &banks, &other, NULL), -EINVAL);
}

static void test_section_order(void)
{
        struct banks banks = sha256_bank();
        struct digests digest, flat;
        _cleanup_buf_ struct buf hashed = {};
        uint8_t file[FILE_BYTES];

        /* the table's order isn't the file's: the file's counts */
        make(file);
        put32(file + SECTIONS_AT + 20, 0x400);
        put32(file + SECTIONS_AT + 60, 0x200);
        REQUIRE(authenticode_digest(SPAN(file, FILE_BYTES), &banks, &digest, NULL) == 0);
        buf_put(&hashed, file, OPTIONAL_AT + 64);
        buf_put(&hashed, file + OPTIONAL_AT + 68, 112 + 32 - 68);
        buf_put(&hashed, file + OPTIONAL_AT + 112 + 40, FILE_BYTES - (OPTIONAL_AT + 112 + 40));
        REQUIRE(hash_span(&banks, buf_span(&hashed), &flat) == 0);
        CHECK(digests_equal(&digest, &flat));
}

/* Bytes that two sections name would be hashed twice; with 96 sections of all the file's bytes that
 * is work without bounds. */
static void test_sections_that_overlap(void)
{
        struct banks banks = sha256_bank();
        struct digests digest;
        struct error error = {};
        uint8_t file[FILE_BYTES];

        make(file);
        REQUIRE(authenticode_digest(SPAN(file, FILE_BYTES), &banks, &digest, NULL) == 0);
        for (unsigned i = 0; i < 2; i++) {
                put32(file + SECTIONS_AT + 40 * i + 16, FILE_BYTES - 0x200);
                put32(file + SECTIONS_AT + 40 * i + 20, 0x200);
        }
        CHECK_EQ(authenticode_digest(SPAN(file, FILE_BYTES), &banks, &digest, &error), -EINVAL);
        CHECK(strstr(error.text, "overlap") != NULL);
}

/* The digest in a signature's SpcIndirectDataContent: DigestInfo of sha256 (RFC 5652 names, OID
 * 2.16.840.1.101.3.4.2.1), its first occurrence in the certificates. */
static bool signed_digest(const struct pe *pe, uint8_t ret[32])
{
        static const uint8_t info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                        0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
        const uint8_t *at;
        struct span area;

        if (!span_sub(pe->file, pe->security.address, pe->security.size, &area))
                return false;
        at = memmem(area.data, area.size, info, sizeof(info));
        if (!at || (size_t)(area.data + area.size - at) < sizeof(info) + 32)
                return false;
        memcpy(ret, at + sizeof(info), 32);
        return true;
}

static bool run(const char *command)
{
        return system(command) == 0;
}

static void check_signed(const char *path)
{
        _cleanup_buf_ struct buf file = {};
        struct banks banks = sha256_bank();
        struct digests digest;
        struct error error = {};
        uint8_t wanted[32];
        struct pe pe;

        REQUIRE(buf_read_file(path, 64 << 20, &file, &error) == 0);
        REQUIRE(pe_parse(buf_span(&file), &pe, &error) == 0);
        REQUIRE(signed_digest(&pe, wanted));
        REQUIRE(authenticode_digest(buf_span(&file), &banks, &digest, &error) == 0);
        CHECK(memcmp(digest.d[0].bytes, wanted, 32) == 0);
        file.data[file.size / 3] ^= 1; /* the forged twin */
        REQUIRE(authenticode_digest(buf_span(&file), &banks, &digest, &error) == 0);
        CHECK(memcmp(digest.d[0].bytes, wanted, 32) != 0);
}

static void test_signatures(void)
{
        static const char keys[] = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test "
                                   "-keyout key -out crt -days 2 2>/dev/null";
        char directory[] = "/tmp/test-pe.XXXXXX";
        _cleanup_free_ char *home = getcwd(NULL, 0);
        char remove[64];

        if (access(STUB, R_OK) != 0 || !run("command -v sbsign openssl objcopy >/dev/null"))
                SKIP("needs systemd-boot-efi, sbsigntool, openssl, binutils");
        REQUIRE(mkdtemp(directory) && chdir(directory) == 0);
        REQUIRE(run(keys));
        /* the stub itself; with sections of odd sizes behind it; and signed by another tool */
        REQUIRE(run("sbsign --key key --cert crt --output a " STUB " 2>/dev/null"));
        check_signed("a");
        REQUIRE(run("head -c 1237 /dev/urandom >s && objcopy --add-section .osrel=s "
                    "--set-section-flags .osrel=data,readonly --change-section-vma "
                    ".osrel=0x30000 " STUB " u 2>/dev/null"));
        REQUIRE(run("sbsign --key key --cert crt --output b u 2>/dev/null"));
        check_signed("b");
        if (run("command -v osslsigncode >/dev/null")) {
                REQUIRE(run("osslsigncode sign -h sha256 -key key -certs crt -in u -out c "
                            ">/dev/null 2>&1"));
                check_signed("c");
        }
        CHECK_EQ(chdir(home), 0);
        snprintf(remove, sizeof(remove), "rm -r %s", directory);
        CHECK(run(remove));
}

static void test_real_files(void)
{
        static const char *const paths[] = {STUB, "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"};

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                _cleanup_buf_ struct buf file = {};
                struct error error = {};
                struct pe_section s;
                struct pe pe;

                if (access(paths[i], R_OK) != 0)
                        SKIP("needs systemd-boot-efi");
                REQUIRE(buf_read_file(paths[i], 64 << 20, &file, &error) == 0);
                CHECK_EQ(pe_parse(buf_span(&file), &pe, &error), 0);
                CHECK_EQ(pe_check_layout(&pe, &error), 0);
                CHECK_EQ(pe.machine, IMAGE_FILE_MACHINE_X64);
                CHECK(pe.reloc.size > 0);
                CHECK(pe_find_section(&pe, ".text", &s));
                CHECK(pe_find_section(&pe, ".sdmagic", &s));
        }
}

static const struct tap_test tests[] = {
                {"fields and sections", test_fields},
                {"forged headers", test_parse_refuses},
                {"forged layouts", test_layout_refuses},
                {"what the digest covers", test_digest_ignores},
                {"sections in the file's order", test_section_order},
                {"sections that overlap in the file", test_sections_that_overlap},
                {"digests as in real signatures", test_signatures},
                {"systemd's stub and boot loader", test_real_files},
};
TAP_MAIN(tests)
