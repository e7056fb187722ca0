/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the facts of a verdict meet a policy. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/ak-certificate.h"
#include "policy/verify-policy.h"

#define REFUSE(error, ...) error_set((error), EPERM, "policy: " __VA_ARGS__)

static int check_machine(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error)
{
        bool known = policy->n_ak_names == 0;
        int r;

        for (size_t i = 0; i < policy->n_ak_names && !known; i++)
                known = span_equal(policy->ak_names[i], facts->ak_name);
        if (!known)
                return REFUSE(error, "the attestation key is none of those that are named");
        if (policy->n_issuers == 0)
                return 0;
        r = ak_certificate_check_issuers(policy->issuers, policy->n_issuers, facts->ak_key,
                        facts->certificates, facts->n_certificates, facts->now, error);
        return r < 0 ? error_prefix(error, r == -ENOMEM ? r : -EPERM, "policy") : 0;
}

static bool only_sha1(const struct replay *quoted)
{
        for (size_t b = 0; b < quoted->banks.n; b++)
                if (quoted->measured[b] && quoted->banks.alg[b]->id != TPM_ALG_SHA1)
                        return false;
        return true;
}

static int check_banks(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error)
{
        if (!policy->weak_banks && ((facts->hops && facts->hops->weak) || only_sha1(facts->quoted)))
                return REFUSE(error, "SHA-1 is the only bank of quote or log");
        if (!policy->unknown_banks && facts->hops && facts->hops->unknown_bank)
                return REFUSE(error, "the log has a bank that can't be computed here");
        return 0;
}

static bool is_kernel(const struct verify_policy *policy, const uint8_t sha256[32])
{
        for (size_t i = 0; i < policy->n_kernels; i++)
                if (memcmp(policy->kernels[i], sha256, 32) == 0)
                        return true;
        return policy->n_kernels == 0;
}

static int check_hop(const struct verify_policy *policy, const struct policy_facts *facts, size_t i,
                struct error *error)
{
        const struct hop_info *hop = &facts->hops->hops[i];
        const struct reference_found *found = &facts->boots[i + 1];

        if (hop->aborted && !policy->aborted_hops)
                return REFUSE(error, "hop %u was aborted", hop->hop);
        if (!is_kernel(policy, hop->payload_sha256))
                return REFUSE(error, "hop %u is of a kernel that isn't named", hop->hop);
        if (facts->references && !policy->unknown_kernels && found->match != REFERENCE_WHOLE)
                return REFUSE(error, "boot %u: %s", hop->hop + 1, found->reason.text);
        return 0;
}

/* What firmware started. Its file's hash isn't measured, so a reference must tell which it was. */
static int check_first_boot(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error)
{
        const struct reference_found *found = facts->boots;

        if (policy->first_boot_pcrs == 0 || (!facts->references && policy->n_kernels == 0))
                return 0;
        if (!facts->references || !facts->hops || !found->reference)
                return REFUSE(error, "boot 1 (by firmware) isn't known%s%s",
                                facts->references && facts->hops ? ": " : "",
                                facts->references && facts->hops ? found->reason.text : "");
        if (policy->first_boot_pcrs & ~found->equal)
                return REFUSE(error, "boot 1 (by firmware): %s", found->reason.text);
        if (!is_kernel(policy, found->reference->payload_sha256))
                return REFUSE(error, "boot 1 (by firmware) is of a kernel that isn't named");
        return 0;
}

static int check_boots(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error)
{
        size_t n = facts->hops ? facts->hops->n_hops : 0;
        int r;

        if (n > 0 && !policy->kexec)
                return REFUSE(error, "no kexec is allowed, the log tells of %zu", n);
        if (n > policy->most_hops)
                return REFUSE(error, "%zu hops, at most %llu are allowed", n,
                                (unsigned long long)policy->most_hops);
        r = check_first_boot(policy, facts, error);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = check_hop(policy, facts, i, error);
        return r;
}

/* Values of one PCR stand together. */
static int check_pcrs(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error)
{
        for (size_t i = 0, next; i < policy->n_pcrs; i = next) {
                const struct policy_pcr *wanted = &policy->pcrs[i];
                int b = replay_bank(facts->quoted, wanted->alg->id);
                bool equal = false;

                if (b < 0 || !(facts->quoted->measured[b] & 1u << wanted->pcr))
                        return REFUSE(error, "%s PCR %u isn't quoted", wanted->alg->name,
                                        wanted->pcr);
                for (next = i; next < policy->n_pcrs && policy->pcrs[next].alg == wanted->alg &&
                                policy->pcrs[next].pcr == wanted->pcr;
                                next++)
                        equal = equal || memcmp(policy->pcrs[next].value,
                                                         facts->quoted->pcr[b][wanted->pcr].bytes,
                                                         wanted->alg->size) == 0;
                if (!equal)
                        return REFUSE(error, "%s PCR %u has none of the values that are allowed",
                                        wanted->alg->name, wanted->pcr);
        }
        return 0;
}

static int check_unexplained(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error)
{
        uint32_t never = 1u << HOP_PCR | (facts->hops ? facts->hops->registers : 0);
        uint32_t bad = facts->unexplained & (~policy->unexplained_pcrs | never);

        return bad ? REFUSE(error, "PCR %d isn't explained by any log", __builtin_ctz(bad)) : 0;
}

int verify_policy_check(const struct verify_policy *policy, const struct policy_facts *facts,
                struct error *error)
{
        static int (*const checks[])(const struct verify_policy *, const struct policy_facts *,
                        struct error *) = {
                        check_machine, check_banks, check_boots, check_pcrs, check_unexplained};

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                int r = checks[i](policy, facts, error);

                if (r < 0)
                        return r;
        }
        if (!policy->plain_kexec && facts->plain_kexec->kind != PLAIN_KEXEC_EXCLUDED)
                return REFUSE(error, "a plain kexec isn't excluded: %s",
                                facts->plain_kexec->text.text);
        return 0;
}
