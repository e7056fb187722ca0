/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tcg2/tpm: which of a TPM's banks every event must be extended in. */
#include <errno.h>

#include "base/cleanup.h"
#include "tcg2/protocol.h"
#include "tests/unit/tap.h"

static struct tpm_bank bank_rows[TPM_BANKS_MAX];
static size_t n_bank_rows;

static int fake_bank_list(
                struct tpm *tpm, struct tpm_bank ret[TPM_BANKS_MAX], size_t *n, struct error *error)
{
        memcpy(ret, bank_rows, sizeof(bank_rows));
        *n = n_bank_rows;
        return 0;
}

static int fake_properties(struct tpm *tpm, struct tpm_properties *ret, struct error *error)
{
        *ret = (struct tpm_properties){.manufacturer = 0x49465800,
                        .max_command_bytes = 1280,
                        .max_response_bytes = 100000};
        return 0;
}

static void test_active_banks(void)
{
        static const struct tpm_ops ops = {
                        .bank_list = fake_bank_list, .properties = fake_properties};
        struct tpm tpm = {&ops};
        struct tcg2_config config = {.log_bytes = 7};
        struct banks banks = {};
        struct error error = {}, left_out = {};

        bank_rows[0] = (struct tpm_bank){TPM_ALG_SHA256, 0xffffff};
        bank_rows[1] = (struct tpm_bank){TPM_ALG_SHA1, 0};
        bank_rows[2] = (struct tpm_bank){TPM_ALG_SHA384, 0xffff};
        bank_rows[3] = (struct tpm_bank){0x002a, 0}; /* an algorithm to come */
        bank_rows[4] = (struct tpm_bank){
                        TPM_ALG_SHA512, 0x7e0000}; /* DRTM only: no concern of ours */
        n_bank_rows = 5;
        REQUIRE(tpm_active_banks(&tpm, &banks, &error) == 0);
        REQUIRE(banks.n == 2);
        CHECK(banks.alg[0]->id == TPM_ALG_SHA256 && banks.alg[1]->id == TPM_ALG_SHA384);
        REQUIRE(tcg2_config_from_tpm(&tpm, &config, &error) == 0);
        CHECK_EQ(config.supported_banks, 0xf);
        CHECK_EQ(config.max_command_bytes, 1280);
        CHECK_EQ(config.max_response_bytes, 4096);
        CHECK_EQ(config.log_bytes, 7);

        bank_rows[3].pcrs = 0xffffff;
        banks.n = 77;
        CHECK_EQ(tpm_active_banks(&tpm, &banks, &error), -EOPNOTSUPP);
        CHECK(strstr(error.text, "0x002a") && strstr(error.text, "can't compute"));
        CHECK_EQ(banks.n, 77);
        bank_rows[2].pcrs = 0x80; /* PCR 7 only */
        CHECK_EQ(tpm_active_banks(&tpm, &banks, &error), -EOPNOTSUPP);
        CHECK(strstr(error.text, "sha384") && strstr(error.text, "0x002a"));
        REQUIRE(tpm_usable_banks(&tpm, &banks, &left_out, &error) == 0);
        CHECK_EQ(banks.n, 1);
        CHECK(strstr(left_out.text, "sha384") && strstr(left_out.text, "0x002a"));
        bank_rows[0].pcrs = 0;
        CHECK_EQ(tpm_usable_banks(&tpm, &banks, &left_out, &error), -ENODEV);
}

/* SHA-3 has no bit in EFI's bitmaps: an active bank of it is measured into all the same. */
static void test_sha3_bank(void)
{
        static const struct tpm_ops ops = {
                        .bank_list = fake_bank_list, .properties = fake_properties};
        struct tpm tpm = {&ops};
        struct tcg2_config config = {0};
        struct tcg2 *tcg2 = NULL;
        struct banks banks;
        struct error error = {}, left_out = {};

        bank_rows[0] = (struct tpm_bank){TPM_ALG_SHA3_384, 0xffffff};
        bank_rows[1] = (struct tpm_bank){TPM_ALG_SHA256, 0xffffff};
        n_bank_rows = 2;
        REQUIRE(tcg2_config_from_tpm(&tpm, &config, &error) == 0);
        CHECK_EQ(config.banks.n, 2);
        CHECK_EQ(config.supported_banks, 0x2);
        REQUIRE(tcg2_new(&config, &tcg2, &error) == 0);
        CHECK_EQ(tcg2_active_pcr_banks(tcg2), 0x2);
        tcg2_free(tcg2);

        bank_rows[0].unsendable = true;
        CHECK_EQ(tpm_active_banks(&tpm, &banks, &error), -EOPNOTSUPP);
        CHECK(strstr(error.text, "sha3_384") && strstr(error.text, "tpm2-tss"));
        REQUIRE(tpm_usable_banks(&tpm, &banks, &left_out, &error) == 0);
        CHECK(banks.n == 1 && banks.alg[0]->id == TPM_ALG_SHA256);
}

static const struct tap_test tests[] = {
                {"active banks of a TPM", test_active_banks},
                {"a bank of SHA-3", test_sha3_bank},
};
TAP_MAIN(tests)
