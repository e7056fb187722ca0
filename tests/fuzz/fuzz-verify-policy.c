/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files: whatever the text, it is refused with a reason or read whole, and what was read
 * holds what a policy may hold. Corpus: tests/corpus/verify-policy/. */
#include <errno.h>
#include <stdlib.h>

#include "policy/verify-policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void check_spans(const struct verify_policy *policy, const struct span *spans, size_t n)
{
        for (size_t i = 0; i < n; i++)
                require(spans[i].size > 0 && spans[i].data >= policy->bytes.data &&
                                spans[i].data + spans[i].size <=
                                                policy->bytes.data + policy->bytes.size);
}

/* A machine without log and references: what is then asked for must be refused. */
static void judge(const struct verify_policy *policy)
{
        struct banks banks = {.n = 1, .alg = {alg_by_id(TPM_ALG_SHA256)}};
        struct plain_kexec_verdict plain = {.kind = PLAIN_KEXEC_POSSIBLE};
        struct reference_found boot = {.match = REFERENCE_UNKNOWN};
        struct error error = {{0}};
        struct replay quoted;
        struct policy_facts facts = {.boots = &boot,
                        .quoted = &quoted,
                        .plain_kexec = &plain,
                        .ak_name = SPAN("\0\v", 2)};
        int r;

        replay_start(&quoted, &banks);
        quoted.measured[0] = 1;
        r = verify_policy_check(policy, &facts, &error);
        require(r == 0 || (r == -EPERM && error.text[0]));
        if (policy->n_ak_names || policy->n_issuers || !policy->plain_kexec ||
                        (policy->n_kernels && policy->first_boot_pcrs))
                require(r == -EPERM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_verify_policy_ struct verify_policy policy = {0};
        struct error error = {{0}};
        int r = verify_policy_read(SPAN(data, size), &policy, &error);

        require(r == 0 || (r == -EBADMSG && error.text[0]));
        if (r < 0)
                return 0;
        check_spans(&policy, policy.ak_names, policy.n_ak_names);
        check_spans(&policy, policy.issuers, policy.n_issuers);
        require(!(policy.first_boot_pcrs & ~REFERENCE_VIEW));
        require(!(policy.unexplained_pcrs & (1u << HOP_PCR | ~0xffffu)));
        for (size_t i = 0; i < policy.n_pcrs; i++)
                require(policy.pcrs[i].alg && policy.pcrs[i].pcr < PCR_COUNT);
        judge(&policy);
        return 0;
}
