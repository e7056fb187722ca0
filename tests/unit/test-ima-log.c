/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IMA lists made by Python's hashlib (tests/corpus/ima-log, which the fuzz target has, too): each
 * form and template, and what a record extends. Lists of real machines with the PCR values that
 * they showed are in the corpus (test-eventlog-corpus). */
#include "tests/unit/tap.h"

#include <errno.h>

#include "eventlog/ima-log.h"

#define RECORDS_MAX 16

struct list {
        struct buf bytes;
        struct ima_log log;
        size_t n;
        int end; /* what the reader said last */
        struct {
                enum ima_explained explained;
                bool violation, data_known;
                char name[32], file[32];
        } records[RECORDS_MAX];
};

static void list_release(struct list *list)
{
        buf_release(&list->bytes);
}
#define _cleanup_list_ __attribute__((cleanup(list_release)))

static void put_text(char *to, size_t size, struct span from)
{
        snprintf(to, size, "%.*s", (int)from.size, (const char *)from.data);
}

static bool read_list(const char *name, struct list *ret)
{
        _cleanup_buf_ struct buf scratch = {0};
        const char *file = strstr(__FILE__, "tests/unit/");
        struct ima_record record;
        struct error error;
        size_t offset = 0, index = 0;
        char path[4096];

        *ret = (struct list){0};
        snprintf(path, sizeof(path), "%.*stests/corpus/ima-log/%s", (int)(file - __FILE__),
                        __FILE__, name);
        if (buf_read_file(path, 1 << 16, &ret->bytes, &error) < 0 ||
                        ima_log_open(&ret->log, buf_span(&ret->bytes), &error) < 0) {
                printf("# %s: %s\n", name, error.text);
                return false;
        }
        while (ret->n < RECORDS_MAX && (ret->end = ima_log_next(&ret->log, &offset, &index,
                                                        &scratch, &record, &error)) > 0) {
                CHECK_EQ(ima_record_explain(&record, &ret->records[ret->n].explained), 0);
                ret->records[ret->n].violation = record.violation;
                ret->records[ret->n].data_known = record.data_known;
                put_text(ret->records[ret->n].name, sizeof(ret->records[ret->n].name), record.name);
                put_text(ret->records[ret->n].file, sizeof(ret->records[ret->n].file), record.file);
                ret->n++;
        }
        return true;
}

static void test_binary(void)
{
        static const struct {
                const char *list;
                size_t digest_size, n;
                const char *name, *file;
                enum ima_explained explained; /* of the last record */
                int end;
        } rows[] = {
                        {"ng", 20, 2, "ima-ng", "/bin/with blank", IMA_VERIFIED, 0},
                        {"sha256", 32, 1, "ima-ng", "boot_aggregate", IMA_VERIFIED, 0},
                        {"sha384", 48, 1, "ima-sig", "/x", IMA_VERIFIED, 0},
                        {"ima", 20, 1, "ima", "/init", IMA_VERIFIED, 0},
                        {"format", 20, 1, "d-ng|n-ng", "", IMA_VERIFIED, 0},
                        {"violation", 20, 2, "ima-ng", "/y", IMA_VERIFIED, 0},
                        {"mismatch", 20, 1, "ima-ng", "/x", IMA_MISMATCH, 0},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_list_ struct list list;

                printf("# %s\n", rows[i].list);
                REQUIRE(read_list(rows[i].list, &list));
                CHECK(!list.log.ascii);
                CHECK_EQ(list.log.digest_size, rows[i].digest_size);
                REQUIRE(list.n == rows[i].n);
                CHECK_EQ(list.end, rows[i].end);
                CHECK_EQ(list.records[list.n - 1].explained, rows[i].explained);
                CHECK(strcmp(list.records[list.n - 1].name, rows[i].name) == 0);
                CHECK(strcmp(list.records[list.n - 1].file, rows[i].file) == 0);
        }
}

static void test_ascii(void)
{
        static const struct {
                const char *name, *file;
                bool violation, data_known;
                enum ima_explained explained;
        } rows[] = {
                        {"ima-ng", "/with blank", false, true, IMA_VERIFIED},
                        {"ima-sig", "/no sig", false, true, IMA_VERIFIED},
                        /* The same line but for its digest: a name with a blank, or a signature. */
                        {"ima-sig", "/a 0302", false, true, IMA_VERIFIED},
                        {"ima-sig", "/a", false, true, IMA_VERIFIED},
                        {"ima", "/init", false, true, IMA_VERIFIED},
                        {"ima-ngv2", "/v", false, true, IMA_VERIFIED},
                        {"evm-sig", "", false, false, IMA_UNVERIFIABLE},
                        {"ima-ng", "/violated", true, true, IMA_UNVERIFIABLE},
        };
        _cleanup_list_ struct list list;

        REQUIRE(read_list("ascii", &list));
        CHECK(list.log.ascii);
        CHECK_EQ(list.end, 0);
        REQUIRE(list.n == sizeof(rows) / sizeof(rows[0]));
        for (size_t i = 0; i < list.n; i++) {
                CHECK(strcmp(list.records[i].name, rows[i].name) == 0);
                CHECK(strcmp(list.records[i].file, rows[i].file) == 0);
                CHECK_EQ(list.records[i].violation, rows[i].violation);
                CHECK_EQ(list.records[i].data_known, rows[i].data_known);
                CHECK_EQ(list.records[i].explained, rows[i].explained);
        }
}

static void test_refused(void)
{
        _cleanup_list_ struct list bad, pcr;
        struct ima_log log;
        struct error error;

        REQUIRE(read_list("ascii-bad", &bad) && read_list("ascii-pcr", &pcr));
        CHECK(bad.n == 0 && bad.end == -EBADMSG);
        CHECK(pcr.n == 0 && pcr.end == -EBADMSG);
        CHECK_EQ(ima_log_open(&log, SPAN(NULL, 0), &error), -EBADMSG);
        CHECK_EQ(ima_log_open(&log,
                                 SPAN("\x7f"
                                      "ELF and so on",
                                                 14),
                                 &error),
                        -EBADMSG);
}

/* A record that is cut off, behind whole ones: these are read all the same. */
static void test_cut(void)
{
        _cleanup_buf_ struct buf scratch = {0};
        _cleanup_list_ struct list list;
        struct ima_record record;
        struct error error;
        size_t offset, index;

        REQUIRE(read_list("ng", &list));
        for (size_t size = list.bytes.size - 1; size > list.bytes.size / 2; size--) {
                struct ima_log log;

                offset = index = 0;
                REQUIRE(ima_log_open(&log, SPAN(list.bytes.data, size), &error) == 0);
                CHECK_EQ(ima_log_next(&log, &offset, &index, &scratch, &record, &error), 1);
                if (offset == size)
                        break;
                CHECK_EQ(ima_log_next(&log, &offset, &index, &scratch, &record, &error), -EBADMSG);
                CHECK(strstr(error.text, "record 1 at offset"));
        }
}

/* A violation extends ones, everything else its data under each bank. */
static void test_digests(void)
{
        struct banks banks = {.n = 2, .alg = {alg_by_id(TPM_ALG_SHA1), alg_by_id(TPM_ALG_SHA256)}};
        _cleanup_buf_ struct buf scratch = {0};
        _cleanup_list_ struct list list;
        struct ima_record record;
        struct digests digests;
        size_t offset = 0, index = 0;

        REQUIRE(read_list("violation", &list));
        REQUIRE(ima_log_next(&list.log, &offset, &index, &scratch, &record, NULL) == 1);
        REQUIRE(ima_record_digests(&record, &banks, &digests) == 0);
        CHECK_EQ(digests.n, 2);
        for (size_t i = 0; i < digests.n; i++)
                for (size_t byte = 0; byte < DIGEST_MAX_BYTES; byte++)
                        CHECK_EQ(digests.d[i].bytes[byte],
                                        byte < digests.d[i].alg->size ? 0xff : 0);
        REQUIRE(ima_log_next(&list.log, &offset, &index, &scratch, &record, NULL) == 1);
        REQUIRE(ima_record_digests(&record, &banks, &digests) == 0);
        CHECK_EQ(digests.n, 2);
        CHECK(memcmp(digests.d[0].bytes, record.digest, 20) == 0);

        /* Where the data isn't known the list's own digest is all there is. */
        record.data_known = false;
        REQUIRE(ima_record_digests(&record, &banks, &digests) == 0);
        CHECK_EQ(digests.n, 1);
        CHECK_EQ(digests.d[0].alg->id, TPM_ALG_SHA1);
}

static const struct tap_test tests[] = {
                {"binary lists: digest sizes, templates, mismatch", test_binary},
                {"ASCII lists: names with blanks, signatures, what can't be known", test_ascii},
                {"what isn't a list is refused", test_refused},
                {"a list that is cut off", test_cut},
                {"what a record extends", test_digests},
};
TAP_MAIN(tests)
