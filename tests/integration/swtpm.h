/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The swtpm of a test's own that test-tpm.sh has started, at $TPM2TOOLS_TCTI, and its NV indices. A
 * program of tests ends with SWTPM_MAIN. */
#pragma once

#include "tcg2/tpm-nv.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static struct tpm *tpm;
static struct tpm_nv *nv;

static inline struct banks swtpm_banks(void)
{
        struct banks banks = {0};

        CHECK(tpm_active_banks(tpm, &banks, NULL) == 0);
        return banks;
}

static inline struct replay swtpm_pcrs(void)
{
        struct banks banks = swtpm_banks();
        struct replay now;

        CHECK(tpm_pcr_read(tpm, &banks, 0xffff, &now, NULL) == 0);
        return now;
}

/* PCR 8 as it will read when text is extended. */
static inline struct replay swtpm_pcrs_after(const char *text)
{
        struct replay values = swtpm_pcrs();
        struct tcg_event event = {.pcr = 8};

        CHECK(hash_span(&values.banks, SPAN(text, strlen(text)), &event.digests) == 0);
        CHECK(replay_extend(&values, &event) == 0);
        return values;
}

static inline void swtpm_extend(unsigned pcr, const char *text)
{
        struct banks banks = swtpm_banks();
        struct digests digests;

        CHECK(hash_span(&banks, SPAN(text, strlen(text)), &digests) == 0);
        CHECK(tpm_pcr_extend(tpm, pcr, &digests, NULL) == 0);
}

static inline size_t swtpm_n_indices(void)
{
        uint32_t handles[256];
        size_t n = 256;

        CHECK(tpm_nv_list(nv, 0x01000000, 0x01ffffff, handles, &n, NULL) == 0);
        return n;
}

/* Settings and state of mkexec's are in the scratch directory. */
static inline int swtpm_main(const struct tap_test *tests, size_t n)
{
        struct error error = {0};
        int r;

        if (!scratch_new())
                return 2;
        setenv("MKEXEC_CONFIG_DIR", scratch_root, 1);
        setenv("MKEXEC_RUN_DIR", scratch_path("run"), 1);
        if (tpm_esys_open(NULL, &tpm, &error) < 0 ||
                        tpm_nv_open(tpm, SPAN(NULL, 0), &nv, &error) < 0) {
                printf("Bail out! %s\n", error.text);
                return 1;
        }
        r = tap_main(tests, n);
        tpm_nv_close(nv);
        tpm_free(tpm);
        scratch_remove();
        return r;
}

#define SWTPM_MAIN(tests)                                    \
        int main(void)                                       \
        {                                                    \
                return swtpm_main(tests, ARRAY_SIZE(tests)); \
        }
