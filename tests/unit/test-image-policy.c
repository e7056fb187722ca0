/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verdict on each file of tests/corpus/image-policy, which sbsign, osslsigncode and openssl
 * made (tests/corpus/make-secure-boot.py): five sizes, db, dbx, MokList, MokListX, SbatLevel,
 * image. */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "tcg2/authenticode-signature.h"
#include "tcg2/image-policy.h"
#include "tcg2/key-file.h"
#include "tcg2/signature-list.h"
#include "tests/unit/tap.h"

/* reason: part of it; accepted: the variable of the authority. */
static const struct {
        const char *name;
        const char *accepted, *reason;
} rows[] = {
                {"signed", "db", ""},
                {"signed-second", "db", ""},
                {"wrong-key", NULL, "signed by 'CN=stranger', which no certificate in db or"},
                {"unsigned", NULL, "not signed, and neither db nor MokList has its hash"},
                {"nothing-trusted", NULL, "signed by 'CN=vendor', which no certificate"},
                {"chain", "db", ""},
                {"chain-to-middle", "db", ""},
                {"leaf-itself", "db", ""},
                {"hash", "db", ""},
                {"hash-of-signed", "db", ""},
                {"hash-denied", NULL, "its sha256 hash is in dbx"},
                {"hash-allowed-and-denied", NULL, "its sha256 hash is in dbx"},
                {"denied-leaf", NULL, "the certificate of 'CN=leaf' is in dbx"},
                {"denied-middle", NULL, "the certificate of 'CN=middle' is in dbx"},
                {"denied-by-hash", NULL, "'CN=leaf', whose certificate dbx denies by its hash"},
                {"denied-middle-by-hash", NULL, "dbx denies a certificate on the way to the one"},
                {"denied-middle-by-sha384", NULL, "dbx denies a certificate on the way to the one"},
                {"denied-second", NULL, "the certificate of 'CN=stranger' is in dbx"},
                {"tampered", NULL, "the file was changed"},
                {"signature-tampered", NULL, "the file was changed, or the signature"},
                {"appended", NULL, "data was appended"},
                {"cut", NULL, "lie outside of the file"},
                {"garbage-with-dbx", NULL, "dbx can't be asked about it"},
                {"garbage-without-dbx", "db", ""},
                {"table-damaged", NULL, "certificate table is damaged at byte"},
                {"sha1", NULL, "isn't SHA-256, SHA-384 or SHA-512"},
                {"sha384", "db", ""},
                {"hash-of-sha384", "MokListRT", ""},
                {"mok", "MokListRT", ""},
                {"mok-hash", "MokListRT", ""},
                {"mok-denied", NULL, "the certificate of 'CN=vendor' is in MokListX"},
                {"mok-hash-denied", NULL, "its sha256 hash is in MokListX"},
                {"module-key-in-db", "db", ""},
                {"module-key-in-mok", NULL, "which no certificate in db or MokList"},
                {"sbat-good", "db", ""},
                {"sbat-old", NULL, "SBAT generation 2 of 'stub.test' is revoked"},
                {"sbat-absent", "db", ""},
                {"sbat-level-damaged", NULL, "row 1 of SbatLevel"},
                {"db-damaged", NULL, "db can't be read"},
                {"dbx-damaged", NULL, "dbx can't be read"},
                {"no-pe", NULL, "not a PE file"},
};

static const char *corpus(void)
{
        static char path[4096];
        const char *file = strstr(__FILE__, "tests/unit/");

        snprintf(path, sizeof(path), "%.*stests/corpus/image-policy", (int)(file - __FILE__),
                        __FILE__);
        return path;
}

/* bytes: what the spans point into. */
static bool read_case(
                const char *name, struct buf *bytes, struct image_policy *policy, struct span *file)
{
        struct span *parts[] = {&policy->db, &policy->dbx, &policy->mok_list, &policy->mok_list_x,
                        &policy->sbat_level};
        uint32_t sizes[ARRAY_SIZE(parts)];
        struct error error = {0};
        struct cursor c;
        char path[5000];
        bool good = true;

        snprintf(path, sizeof(path), "%s/%s.bin", corpus(), name);
        if (buf_read_file(path, 1 << 20, bytes, &error) < 0) {
                printf("# %s\n", error.text);
                return false;
        }
        c = CURSOR(buf_span(bytes));
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                good = good && cursor_u32(&c, &sizes[i]);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                good = good && cursor_take(&c, sizes[i], parts[i]);
        return good && cursor_take(&c, cursor_left(&c), file);
}

static void test_verdicts(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ struct buf bytes = {0};
                struct image_verdict v = {0};
                struct image_policy policy;
                struct error error = {0};
                struct span file;
                bool good;

                REQUIRE(read_case(rows[i].name, &bytes, &policy, &file));
                CHECK_EQ(image_policy_judge(&policy, file, false, &v, &error), 0);
                if (rows[i].accepted)
                        good = v.accepted && strcmp(v.variable, rows[i].accepted) == 0 &&
                               v.authority.size > 16;
                else
                        good = !v.accepted && strstr(v.reason, rows[i].reason);
                if (!good) {
                        printf("# %s: %s %s\n", rows[i].name, v.accepted ? v.variable : "refused",
                                        v.reason);
                        tap_failures++;
                }
        }
}

static void test_complete(void)
{
        DIR *dir = opendir(corpus());
        const struct dirent *entry;
        size_t n = 0;

        REQUIRE(dir);
        while ((entry = readdir(dir)))
                n += entry->d_name[0] != '.';
        closedir(dir);
        CHECK_EQ(n, ARRAY_SIZE(rows));
}

/* A part of an accepted image needs nobody's word, but what is revoked stays so. */
static void test_vouched(void)
{
        static const struct {
                const char *name;
                bool accepted;
        } cases[] = {
                        {"unsigned", true},
                        {"wrong-key", true},
                        {"hash-denied", false},
                        {"mok-hash-denied", false},
                        {"sbat-good", true},
                        {"sbat-old", false},
                        {"dbx-damaged", false},
                        {"no-pe", false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_buf_ struct buf bytes = {0};
                struct image_verdict v = {0};
                struct image_policy policy;
                struct error error = {0};
                struct span file;

                REQUIRE(read_case(cases[i].name, &bytes, &policy, &file));
                CHECK_EQ(image_policy_judge(&policy, file, true, &v, &error), 0);
                CHECK_EQ(v.accepted, cases[i].accepted);
                CHECK(!v.accepted || (v.authority.size == 0 && !*v.variable));
        }
}

/* Every single bit of a signed image counts, but those that Authenticode leaves out: CheckSum, the
 * security directory entry and the certificate table, whose own bits can at best do no harm. */
static void test_every_byte(void)
{
        _cleanup_buf_ struct buf bytes = {0};
        struct image_policy policy;
        struct error error = {0};
        struct span file;
        unsigned accepted = 0;
        struct pe pe;

        REQUIRE(read_case("signed", &bytes, &policy, &file));
        REQUIRE(pe_parse(file, &pe, NULL) == 0);
        for (size_t i = 0; i < pe.security.address; i++) {
                struct image_verdict v = {0};
                uint8_t *byte = &bytes.data[file.data - bytes.data + (ptrdiff_t)i];
                bool free = i - pe.checksum_offset < 4;

                *byte ^= 0x10;
                CHECK_EQ(image_policy_judge(&policy, file, false, &v, &error), 0);
                if (v.accepted != free) {
                        printf("# byte %zu: %s\n", i, v.accepted ? "accepted" : v.reason);
                        tap_failures++;
                }
                accepted += v.accepted;
                *byte ^= 0x10;
        }
        CHECK_EQ(accepted, 4);
}

static void test_key_files(void)
{
        static const struct {
                const char *name;
                int entries; /* 0: refused */
        } cases[] = {
                        {"list.esl", 1},
                        {"certificate.pem", 1},
                        {"two.pem", 2},
                        {"text-before.pem", 1},
                        {"cut.pem", 0},
                        {"other.pem", 0},
                        {"certificate.der", 1},
                        {"certificate-cut.der", 0},
                        {"hash", 1},
                        {"hashes", 2},
                        {"hash-short", 0},
                        {"hash-384", 1},
                        {"comment-only", 0},
                        {"empty", 0},
                        {"garbage", 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_buf_ struct buf bytes = {0}, lists = {0};
                struct signature_walk walk;
                struct error error = {0};
                struct signature s;
                char path[5000];
                int n = 0, r;

                snprintf(path, sizeof(path), "%s/../key-file/%s", corpus(), cases[i].name);
                REQUIRE(buf_read_file(path, 1 << 20, &bytes, NULL) >= 0);
                r = key_file_read(buf_span(&bytes), &lists, &error);
                walk = SIGNATURE_WALK(buf_span(&lists));
                while (signature_next(&walk, &s, NULL) > 0)
                        n++;
                if (n != cases[i].entries || (r < 0) != (n == 0)) {
                        printf("# %s: %d, %d entries, %s\n", cases[i].name, r, n, error.text);
                        tap_failures++;
                }
        }
}

static const struct tap_test tests[] = {
                {"every image of the corpus is judged as it must be", test_verdicts},
                {"every image of the corpus is in the table", test_complete},
                {"parts of accepted images", test_vouched},
                {"every byte of a signed image", test_every_byte},
                {"key files", test_key_files},
};
TAP_MAIN(tests)
