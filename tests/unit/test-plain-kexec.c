/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What PCR 10 says of kernels that no log tells of. The machine has two hops, systemd's separators,
 * and IMA in every kernel, as tests/unit/ima-list.h writes it. */
#include <errno.h>

#include "base/cleanup.h"
#include "policy/plain-kexec.h"
#include "tests/unit/hop-log.h"
#include "tests/unit/ima-list.h"

struct scene {
        struct list list;
        struct buf firmware, ima, systemd;
        struct chain chain;
        struct replay at[4]; /* when boot 1, 2, 3 began; [3]: behind the separator of boot 3 */
        struct replay pcrs;  /* now; PCR 10 is built up by the tests */
};

static void scene_release(struct scene *s)
{
        release(&s->list);
        buf_release(&s->firmware);
        buf_release(&s->ima);
        buf_release(&s->systemd);
}
#define _cleanup_scene_ __attribute__((cleanup(scene_release)))

/* systemd's os-separator, in one PCR: kernels that start from now on see another PCR 7. */
static void add_separator(struct scene *s)
{
        struct tcg_event event = {.pcr = 7};

        CHECK_EQ(hash_span(&s->list.banks, TEXT("separator"), &event.digests), 0);
        buf_format(&s->systemd, "\x1e{\"pcr\":7,\"digests\":[");
        for (size_t b = 0; b < event.digests.n; b++) {
                const struct digest *d = &event.digests.d[b];
                char hex[2 * DIGEST_MAX_BYTES + 1];

                hex_encode(SPAN(d->bytes, d->alg->size), hex);
                buf_format(&s->systemd, "%s{\"hashAlg\":\"%s\",\"digest\":\"%s\"}", b ? "," : "",
                                d->alg->name, hex);
        }
        buf_format(&s->systemd, "]}\n");
        CHECK_EQ(replay_extend(&s->pcrs, &event), 0);
        s->at[3] = s->pcrs;
        s->chain.systemd[2] = buf_span(&s->systemd);
        s->chain.n_systemd = 3;
}

static void scene_make(struct scene *s)
{
        static const size_t ends[] = {HOP1, HOP2, END};

        *s = (struct scene){0};
        honest(&s->list);
        write_log(&s->list, &s->firmware);
        s->chain.firmware = buf_span(&s->firmware);
        for (size_t i = 0; i < 3; i++) {
                size_t all = s->list.n;

                s->list.n = ends[i] - 1;
                tpm_after(&s->list, &s->at[i]);
                s->list.n = all;
        }
        s->pcrs = s->at[2];
}

static void expect_kind(struct scene *s, enum plain_kexec kind, const char *text,
                struct plain_kexec_verdict *ret)
{
        struct error error = {{0}};

        s->chain.ima = buf_span(&s->ima);
        CHECK_EQ(plain_kexec_check(&s->chain, &s->pcrs, ret, &error), 0);
        CHECK_EQ(ret->kind, kind);
        CHECK(strstr(ret->text.text, text));
        if (ret->kind != kind || !strstr(ret->text.text, text))
                printf("# %s\n", ret->text.text);
}

/* Boots 1 and 2, whose lists are lost, then the list of boot 3 with some files. */
static void boots(
                struct scene *s, unsigned more_1, unsigned more_2, unsigned more_3, unsigned files)
{
        for (unsigned i = 0; i < 1 + more_1; i++)
                ima_boot(NULL, &s->pcrs, &s->at[0]);
        for (unsigned i = 0; i < 1 + more_2; i++)
                ima_boot(NULL, &s->pcrs, &s->at[1]);
        for (unsigned i = 0; i < more_3; i++)
                ima_boot(NULL, &s->pcrs, &s->at[2]);
        ima_boot(&s->ima, &s->pcrs, &s->at[2]);
        for (unsigned i = 0; i < files; i++) {
                uint8_t digest[32] = {(uint8_t)i};

                ima_add_file(&s->ima, &s->pcrs, "ima-ng", "sha256:", SPAN(digest, 32), "/bin/x", 0);
        }
}

static void one_for_each_boot(void)
{
        for (unsigned files = 0; files < 300; files += 99) {
                _cleanup_scene_ struct scene s;
                struct plain_kexec_verdict v;

                scene_make(&s);
                boots(&s, 0, 0, 0, files);
                expect_kind(&s, PLAIN_KEXEC_EXCLUDED, "one boot_aggregate for each boot", &v);
                CHECK(v.pcr10 && v.n_ima == 1 + files);
        }
}

static void more_are_seen(void)
{
        static const unsigned rows[][3] = {
                        {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {3, 0, 0}, {0, 0, 8}, {0, 5, 0}};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_scene_ struct scene s;
                struct plain_kexec_verdict v;
                const unsigned *row = rows[i];

                scene_make(&s);
                boots(&s, row[0], row[1], row[2], 3);
                expect_kind(&s, PLAIN_KEXEC_SEEN, "more kernel", &v);
                CHECK_EQ(v.n_more, row[0] + row[1] + row[2]);
                CHECK_EQ(v.after_boot, row[0] ? 1 : row[1] ? 2 : 3);
                CHECK(v.pcr10);
        }
}

/* A plain kexec behind systemd's separator: its PCR 7 is that of no boot's start. */
static void a_kernel_in_the_middle_of_a_boot(void)
{
        _cleanup_scene_ struct scene s;
        struct plain_kexec_verdict v;

        scene_make(&s);
        boots(&s, 0, 0, 0, 2); /* their list is lost, too, unless nothing was measured */
        add_separator(&s);
        expect_kind(&s, PLAIN_KEXEC_EXCLUDED, "one boot_aggregate", &v);
        scene_release(&s);

        scene_make(&s);
        ima_boot(NULL, &s.pcrs, &s.at[0]);
        ima_boot(NULL, &s.pcrs, &s.at[1]);
        ima_boot(NULL, &s.pcrs, &s.at[2]);
        add_separator(&s);
        ima_boot(&s.ima, &s.pcrs, &s.at[3]);
        expect_kind(&s, PLAIN_KEXEC_SEEN, "of 1 more kernel than the log tells of (in boot 3)", &v);
}

/* Kernels that aren't alike: another template, another hash. */
static void other_templates_and_hashes(void)
{
        static const struct {
                const char *template, *prefix, *bank;
                unsigned empty;
        } rows[] = {
                        {"ima-sig", "sha256:", "sha256", 1},
                        {"ima-ngv2", "ima:sha256:", "sha256", 0},
                        {"ima-sigv2", "ima:sha256:", "sha256", 1},
                        {"ima-modsig", "sha256:", "sha256", 3},
                        {"ima-ng", "sha1:", "sha1", 0},
                        {"ima", NULL, "sha1", 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (unsigned where = 0; where < 2; where++) {
                        _cleanup_scene_ struct scene s;
                        struct plain_kexec_verdict v;
                        uint8_t digest[64];

                        scene_make(&s);
                        ima_aggregate(&s.at[where], rows[i].bank, digest);
                        if (where == 1)
                                ima_boot(NULL, &s.pcrs, &s.at[0]);
                        if (rows[i].prefix) {
                                ima_add_file(NULL, &s.pcrs, rows[i].template, rows[i].prefix,
                                                SPAN(digest, alg_by_name(rows[i].bank)->size),
                                                "boot_aggregate", rows[i].empty);
                        } else {
                                uint8_t data[20 + 256] = {0};

                                memcpy(data, digest, 20);
                                memcpy(data + 20, "boot_aggregate", 14);
                                ima_add(NULL, &s.pcrs, "ima", SPAN(data, sizeof(data)));
                        }
                        if (where == 0)
                                ima_boot(NULL, &s.pcrs, &s.at[1]);
                        ima_boot(&s.ima, &s.pcrs, &s.at[2]);
                        expect_kind(&s, PLAIN_KEXEC_EXCLUDED, "one boot_aggregate", &v);
                }
}

/* Kernels with CONFIG_IMA_KEXEC hand their list on: it has all boot_aggregates. */
static void a_list_that_was_carried_over(void)
{
        for (unsigned more = 0; more < 3; more++) {
                _cleanup_scene_ struct scene s;
                struct plain_kexec_verdict v;
                uint8_t digest[32] = {1};

                scene_make(&s);
                for (unsigned i = 0; i < 3; i++) {
                        for (unsigned k = 0; k < (i == 1 ? 1 + more : 1); k++)
                                ima_boot(&s.ima, &s.pcrs, &s.at[i]);
                        ima_add_file(&s.ima, &s.pcrs, "ima-ng", "sha256:", SPAN(digest, 32), "/x",
                                        0);
                }
                if (more == 0)
                        expect_kind(&s, PLAIN_KEXEC_EXCLUDED, "one boot_aggregate", &v);
                else
                        expect_kind(&s, PLAIN_KEXEC_SEEN, "(in boot 2)", &v);
                CHECK_EQ(v.n_more, more);
        }
}

static void what_excludes_nothing(void)
{
        static const char *const reasons[] = {"earlier kernels measured more", "no list of IMA's",
                        "PCR 10 isn't quoted", "PCR 10 is zero", "malformed",
                        "doesn't begin with a boot_aggregate", "earlier kernels measured more",
                        "earlier kernels measured more", "is of no boot of the log",
                        "earlier kernels measured more", "earlier kernels measured more"};

        for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
                _cleanup_scene_ struct scene s;
                struct plain_kexec_verdict v;
                struct replay other;
                uint8_t digest[32] = {3};

                scene_make(&s);
                if (i == 0) { /* boot 1 had an IMA policy */
                        ima_boot(NULL, &s.pcrs, &s.at[0]);
                        ima_add_file(NULL, &s.pcrs, "ima-ng", "sha256:", SPAN(digest, 32), "/x", 0);
                        ima_boot(NULL, &s.pcrs, &s.at[1]);
                        ima_boot(&s.ima, &s.pcrs, &s.at[2]);
                } else if (i == 3) {
                        other = s.pcrs;
                        ima_boot(&s.ima, &other, &s.at[2]);
                } else if (i == 5) {
                        ima_add_file(&s.ima, &s.pcrs, "ima-ng", "sha256:", SPAN(digest, 32), "/x",
                                        0);
                        ima_boot(&s.ima, &s.pcrs, &s.at[2]);
                } else if (i == 8) { /* the list says something of PCRs that never were */
                        other = s.at[2];
                        other.pcr[0][3].bytes[0] ^= 1;
                        ima_boot(NULL, &s.pcrs, &s.at[0]);
                        ima_boot(NULL, &s.pcrs, &s.at[1]);
                        ima_boot(&s.ima, &s.pcrs, &other);
                } else {
                        boots(&s, 0, 0, 0, 5);
                }
                if (i == 1)
                        s.ima.size = 0;
                if (i == 2)
                        s.pcrs.measured[0] = s.pcrs.measured[1] = 0x3ff;
                if (i == 4)
                        s.ima.size = 50;
                if (i == 6) /* shortened below what was quoted */
                        s.ima.size -= 4 + 20 + 4 + 6 + 4 + 55;
                if (i == 7)
                        s.ima.data[s.ima.size - 20] ^= 1;
                if (i == 9)
                        s.pcrs.pcr[0][10].bytes[5] ^= 1;
                if (i == 10) /* true in one bank alone */
                        s.pcrs.pcr[1][10].bytes[5] ^= 1;
                expect_kind(&s, PLAIN_KEXEC_POSSIBLE, reasons[i], &v);
                CHECK(!v.pcr10 || i == 3 || i == 8);
        }
}

/* The list goes on while the quote is made: what comes behind the quoted value isn't believed. */
static void until_the_quoted_value(void)
{
        _cleanup_scene_ struct scene s;
        struct plain_kexec_verdict v;
        struct replay later;
        uint8_t digest[32] = {5};

        scene_make(&s);
        boots(&s, 0, 0, 0, 4);
        later = s.pcrs;
        ima_add_file(&s.ima, &later, "ima-ng", "sha256:", SPAN(digest, 32), "/bin/late", 0);
        expect_kind(&s, PLAIN_KEXEC_EXCLUDED, "one boot_aggregate", &v);
        CHECK_EQ(v.n_ima, 5);
}

/* An aborted hop starts no kernel. */
static void aborted_hops(void)
{
        for (unsigned more = 0; more < 2; more++) {
                _cleanup_scene_ struct scene s = {0};
                struct hop_ledger_entry entries[N_EVENTS];
                struct plain_kexec_verdict v;
                struct hop_open open;

                firmware(&s.list, "sha1");
                tpm_after(&s.list, &s.at[0]);
                fill_open(&open, entries, 1);
                add_hop(&s.list, &open, 4);
                add_end(&s.list, true, HOP_PCR, 1, 4);
                tpm_after(&s.list, &s.at[1]);
                write_log(&s.list, &s.firmware);
                s.chain.firmware = buf_span(&s.firmware);
                s.pcrs = s.at[1];
                ima_boot(more ? NULL : &s.ima, &s.pcrs, &s.at[0]);
                if (more) /* a plain kexec behind it */
                        ima_boot(&s.ima, &s.pcrs, &s.at[1]);
                expect_kind(&s, more ? PLAIN_KEXEC_SEEN : PLAIN_KEXEC_EXCLUDED, "", &v);
        }
}

/* ---- real kernels ---- */

static bool read_recorded(const char *name, struct buf *ret)
{
        char path[4096];

        snprintf(path, sizeof(path), "%.*splain-kexec/%s",
                        (int)(strstr(__FILE__, "test-plain") - __FILE__), __FILE__, name);
        return buf_read_file(path, 1 << 20, ret, NULL) == 0;
}

static bool read_pcrs(const char *name, struct replay *ret)
{
        struct banks banks = {.n = 1, .alg = {alg_by_id(TPM_ALG_SHA256)}};
        _cleanup_buf_ struct buf text = {0};
        char *line;

        if (!read_recorded(name, &text))
                return false;
        buf_put_u8(&text, 0);
        replay_start(ret, &banks);
        ret->measured[0] = 0xffff;
        for (line = strtok((char *)text.data, "\n"); line; line = strtok(NULL, "\n")) {
                char hex[65];
                unsigned pcr;

                if (sscanf(line, "sha256 %u %64s", &pcr, hex) != 2 || pcr > 15 ||
                                !hex_decode(hex, ret->pcr[0][pcr].bytes, 32))
                        return false;
        }
        return true;
}

/* Debian's 6.1 in QEMU with OVMF and swtpm (tests/system/test_attest.py): firmware, two hops; then
 * kexec-tools started the third kernel once more. */
static void what_real_kernels_leave(void)
{
        static const struct {
                const char *ima, *pcrs, *text;
                enum plain_kexec kind;
        } rows[] = {
                        {"three-boots.ima", "three-boots.pcrs", "one boot_aggregate",
                                        PLAIN_KEXEC_EXCLUDED},
                        {"plain-kexec.ima", "plain-kexec.pcrs", "of 1 more kernel",
                                        PLAIN_KEXEC_SEEN},
                        {"three-boots.ima", "plain-kexec.pcrs", "of 1 more kernel",
                                        PLAIN_KEXEC_SEEN},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_scene_ struct scene s = {0};
                struct plain_kexec_verdict v;

                REQUIRE(read_recorded("log.bin", &s.firmware));
                REQUIRE(read_recorded(rows[i].ima, &s.ima));
                REQUIRE(read_pcrs(rows[i].pcrs, &s.pcrs));
                s.chain.firmware = buf_span(&s.firmware);
                expect_kind(&s, rows[i].kind, rows[i].text, &v);
                CHECK_EQ(v.after_boot, rows[i].kind == PLAIN_KEXEC_SEEN ? 3 : 0);
                s.ima.size = 0;
                expect_kind(&s, PLAIN_KEXEC_POSSIBLE, "no list of IMA's", &v);
        }
}

static const struct tap_test tests[] = {
                {"what real kernels leave", what_real_kernels_leave},
                {"one boot_aggregate for each boot: excluded", one_for_each_boot},
                {"more of them: seen", more_are_seen},
                {"one of the middle of a boot: seen", a_kernel_in_the_middle_of_a_boot},
                {"other templates and hashes", other_templates_and_hashes},
                {"a list that was carried over", a_list_that_was_carried_over},
                {"what excludes nothing", what_excludes_nothing},
                {"until the quoted value", until_the_quoted_value},
                {"aborted hops", aborted_hops},
};
TAP_MAIN(tests)
