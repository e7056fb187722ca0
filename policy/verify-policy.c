/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of policy files, one row a member, and the judge. */
#include "policy/verify-policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"

#define NAME_BYTES_MAX 66 /* a Name of SHA-512 */

void verify_policy_default(struct verify_policy *ret)
{
        *ret = (struct verify_policy){.kexec = true,
                        .most_hops = UINT64_MAX,
                        .aborted_hops = true,
                        .first_boot_pcrs = REFERENCE_VIEW,
                        .plain_kexec = true,
                        .unexplained_pcrs = 1u << 10};
}

void verify_policy_release(struct verify_policy *policy)
{
        free(policy->kernels);
        free(policy->ak_names);
        free(policy->issuers);
        free(policy->pcrs);
        buf_release(&policy->bytes);
        *policy = (struct verify_policy){0};
}

/* ---- values of members ---- */

static int wrong(struct error *error, const char *what)
{
        return error_set(error, EBADMSG, "isn't %s", what);
}

static int take_bool(const struct json *value, bool *ret, struct error *error)
{
        if (value->kind != JSON_TRUE && value->kind != JSON_FALSE)
                return wrong(error, "true or false");
        *ret = value->kind == JSON_TRUE;
        return 0;
}

static int count(const struct json *list, size_t *ret, struct error *error)
{
        struct json item;
        size_t offset = 0, n = 0;

        if (list->kind != JSON_ARRAY)
                return wrong(error, "a list");
        while (json_next(list, &offset, NULL, &item))
                if (n++ == VERIFY_POLICY_MAX_ITEMS)
                        return error_set(error, EBADMSG, "has more than %d items",
                                        VERIFY_POLICY_MAX_ITEMS);
        *ret = n;
        return 0;
}

/* PCRs of allowed, each once. */
static int take_mask(const struct json *list, uint32_t allowed, uint32_t *ret, struct error *error)
{
        struct json item;
        size_t offset = 0;
        uint32_t mask = 0;

        if (list->kind != JSON_ARRAY)
                return wrong(error, "a list of PCRs");
        while (json_next(list, &offset, NULL, &item)) {
                uint64_t pcr;

                if (!json_u64(&item, &pcr) || pcr >= PCR_COUNT || !(allowed & 1u << pcr))
                        return error_set(error, EBADMSG, "has an item that can't stand there: %.*s",
                                        (int)(item.text.size < 40 ? item.text.size : 40),
                                        (const char *)item.text.data);
                if (mask & 1u << pcr)
                        return error_set(error, EBADMSG, "has %llu twice", (unsigned long long)pcr);
                mask |= 1u << pcr;
        }
        *ret = mask;
        return 0;
}

static int take_version(const struct json *value, struct verify_policy *policy, struct error *error)
{
        uint64_t version;

        (void)policy;
        return json_u64(value, &version) && version == 1 ? 0 : wrong(error, "1");
}

static int take_kind(const struct json *value, struct verify_policy *policy, struct error *error)
{
        (void)policy;
        return json_is(value, "mkexec-policy") ? 0 : wrong(error, "\"mkexec-policy\"");
}

static int take_kexec(const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_bool(value, &policy->kexec, error);
}

static int take_most_hops(
                const struct json *value, struct verify_policy *policy, struct error *error)
{
        return json_u64(value, &policy->most_hops) ? 0 : wrong(error, "a number");
}

static int take_aborted(const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_bool(value, &policy->aborted_hops, error);
}

static int take_unknown(const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_bool(value, &policy->unknown_kernels, error);
}

static int take_first_boot(
                const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_mask(value, REFERENCE_VIEW, &policy->first_boot_pcrs, error);
}

static int take_kernels(const struct json *list, struct verify_policy *policy, struct error *error)
{
        struct json item;
        size_t offset = 0, n;
        int r = count(list, &n, error);

        if (r < 0)
                return r;
        policy->kernels = calloc(n + 1, sizeof(*policy->kernels));
        if (!policy->kernels)
                return error_set(error, ENOMEM, "out of memory");
        while (json_next(list, &offset, NULL, &item)) {
                char text[65];

                if (!json_text(&item, text, sizeof(text)) ||
                                !hex_decode(text, policy->kernels[policy->n_kernels++], 32))
                        return error_set(error, EBADMSG, "has an item that isn't a SHA-256");
        }
        return n > 0 ? 0 : error_set(error, EBADMSG, "is empty, which no machine could meet");
}

/* A list of byte strings, which take turns texts into; they all go behind policy->bytes. */
static int take_strings(const struct json *list, bool (*take)(const struct json *, struct buf *),
                struct verify_policy *policy, struct span **ret, size_t *ret_n, struct error *error)
{
        struct json item;
        size_t offset = 0, n;
        int r = count(list, &n, error);

        if (r == 0 && n == 0)
                r = error_set(error, EBADMSG, "is empty, which no machine could meet");
        if (r < 0)
                return r;
        *ret = calloc(n, sizeof(**ret));
        if (!*ret)
                return error_set(error, ENOMEM, "out of memory");
        for (size_t i = 0; json_next(list, &offset, NULL, &item); i++) {
                size_t before = policy->bytes.size;

                if (!take(&item, &policy->bytes))
                        return error_set(error, EBADMSG, "has an item that can't stand there");
                /* The bytes may move: offsets until all is read. */
                (*ret)[i] = (struct span){
                                (const uint8_t *)(uintptr_t)before, policy->bytes.size - before};
        }
        if (buf_failed(&policy->bytes))
                return error_set(error, ENOMEM, "out of memory");
        *ret_n = n;
        return 0;
}

static bool take_name(const struct json *item, struct buf *to)
{
        char text[2 * NAME_BYTES_MAX + 1];
        size_t size, before = to->size;
        const struct alg *alg;

        if (!json_text(item, text, sizeof(text)))
                return false;
        size = strlen(text) / 2;
        buf_put_zeros(to, size);
        if (buf_failed(to))
                return true;
        if (size < 2 || !hex_decode(text, to->data + before, size))
                return false;
        alg = alg_by_id((uint16_t)(to->data[before] << 8 | to->data[before + 1]));
        return alg && size == 2u + alg->size;
}

static bool take_certificate(const struct json *item, struct buf *to)
{
        _cleanup_buf_ struct buf text = {0};
        size_t size, before = to->size;

        if (!json_string(item, &text) || text.size == 0)
                return false;
        buf_put_zeros(to, base64_room(text.size));
        if (buf_failed(to) || buf_failed(&text))
                return true;
        if (!base64_decode(buf_span(&text), to->data + before, &size))
                return false;
        to->size = before + size;
        return true;
}

static int take_ak_names(
                const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_strings(
                        value, take_name, policy, &policy->ak_names, &policy->n_ak_names, error);
}

static int take_issuers(const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_strings(value, take_certificate, policy, &policy->issuers, &policy->n_issuers,
                        error);
}

static int take_plain(const struct json *value, struct verify_policy *policy, struct error *error)
{
        policy->plain_kexec = json_is(value, "allowed");
        return policy->plain_kexec || json_is(value, "excluded")
                               ? 0
                               : wrong(error, "\"allowed\" or \"excluded\"");
}

static int take_weak(const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_bool(value, &policy->weak_banks, error);
}

static int take_unknown_banks(
                const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_bool(value, &policy->unknown_banks, error);
}

static int take_unexplained(
                const struct json *value, struct verify_policy *policy, struct error *error)
{
        return take_mask(value, 0xfeff, &policy->unexplained_pcrs, error);
}

/* ---- PCR values ---- */

static bool pcr_number(const struct json *key, uint32_t *ret)
{
        char text[4];
        uint32_t pcr = 0;

        if (!json_text(key, text, sizeof(text)) || !text[0] || strlen(text) > 2 ||
                        (text[0] == '0' && text[1]))
                return false;
        for (const char *c = text; *c; c++) {
                if (*c < '0' || *c > '9')
                        return false;
                pcr = pcr * 10 + (uint32_t)(*c - '0');
        }
        *ret = pcr;
        return pcr < PCR_COUNT;
}

static int add_values(struct verify_policy *policy, const struct alg *alg, uint32_t pcr,
                const struct json *list, struct error *error)
{
        struct policy_pcr *pcrs;
        struct json item;
        size_t offset = 0, n;
        int r = count(list, &n, error);

        if (r == 0 && (n == 0 || policy->n_pcrs + n > VERIFY_POLICY_MAX_ITEMS))
                r = error_set(error, EBADMSG, "PCR %u has no values, or too many", pcr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < policy->n_pcrs; i++)
                if (policy->pcrs[i].alg == alg && policy->pcrs[i].pcr == pcr)
                        return error_set(
                                        error, EBADMSG, "%s PCR %u is there twice", alg->name, pcr);
        pcrs = reallocarray(policy->pcrs, policy->n_pcrs + n, sizeof(*pcrs));
        if (!pcrs)
                return error_set(error, ENOMEM, "out of memory");
        policy->pcrs = pcrs;
        while (json_next(list, &offset, NULL, &item)) {
                struct policy_pcr *value = &pcrs[policy->n_pcrs];
                char text[2 * DIGEST_MAX_BYTES + 1];

                *value = (struct policy_pcr){.alg = alg, .pcr = pcr};
                if (!json_text(&item, text, sizeof(text)) ||
                                !hex_decode(text, value->value, alg->size))
                        return error_set(error, EBADMSG, "PCR %u: not a %s value", pcr, alg->name);
                policy->n_pcrs++;
        }
        return 0;
}

static int take_pcrs(const struct json *banks, struct verify_policy *policy, struct error *error)
{
        struct json name, rows, key, list;
        size_t offset = 0;

        if (banks->kind != JSON_OBJECT)
                return wrong(error, "an object of banks");
        while (json_next(banks, &offset, &name, &rows)) {
                char text[16];
                const struct alg *alg = json_text(&name, text, sizeof(text)) ? alg_by_name(text)
                                                                             : NULL;
                size_t at = 0;

                if (!alg || rows.kind != JSON_OBJECT)
                        return error_set(error, EBADMSG, "has a bank that isn't known");
                while (json_next(&rows, &at, &key, &list)) {
                        uint32_t pcr;
                        int r;

                        if (!pcr_number(&key, &pcr))
                                return error_set(error, EBADMSG, "has a PCR that isn't one");
                        r = add_values(policy, alg, pcr, &list, error);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* ---- the document ---- */

static const struct row {
        const char *name;
        bool needed;
        int (*take)(const struct json *value, struct verify_policy *policy, struct error *error);
} rows[] = {
                {"version", true, take_version},
                {"kind", true, take_kind},
                {"kexec", false, take_kexec},
                {"most_hops", false, take_most_hops},
                {"aborted_hops", false, take_aborted},
                {"unknown_kernels", false, take_unknown},
                {"first_boot_pcrs", false, take_first_boot},
                {"kernels", false, take_kernels},
                {"ak_names", false, take_ak_names},
                {"issuers", false, take_issuers},
                {"plain_kexec", false, take_plain},
                {"pcrs", false, take_pcrs},
                {"weak_banks", false, take_weak},
                {"unknown_banks", false, take_unknown_banks},
                {"unexplained_pcrs", false, take_unexplained},
};

static const struct row *row_of(const struct json *key, size_t *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (json_is(key, rows[i].name)) {
                        *ret = i;
                        return &rows[i];
                }
        return NULL;
}

static int read_document(
                const struct json *document, struct verify_policy *policy, struct error *error)
{
        bool seen[ARRAY_SIZE(rows)] = {false};
        struct json key, value;
        size_t offset = 0, i;

        if (document->kind != JSON_OBJECT)
                return error_set(error, EBADMSG, "a policy is a JSON object");
        while (json_next(document, &offset, &key, &value)) {
                const struct row *row = row_of(&key, &i);
                int r;

                if (!row)
                        return error_set(error, EBADMSG, "unknown member %.*s",
                                        (int)(key.text.size < 60 ? key.text.size : 60),
                                        (const char *)key.text.data);
                if (seen[i])
                        return error_set(error, EBADMSG, "\"%s\" is there twice", row->name);
                seen[i] = true;
                r = row->take(&value, policy, error);
                if (r < 0)
                        return error_prefix(error, r, "\"%s\"", row->name);
        }
        for (i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].needed && !seen[i])
                        return error_set(error, EBADMSG, "\"%s\" is missing", rows[i].name);
        return 0;
}

static void place(const struct verify_policy *policy, struct span *spans, size_t n)
{
        for (size_t i = 0; i < n; i++)
                spans[i].data = policy->bytes.data + (uintptr_t)spans[i].data;
}

int verify_policy_read(struct span text, struct verify_policy *ret, struct error *error)
{
        _cleanup_verify_policy_ struct verify_policy policy;
        struct json document;
        int r;

        verify_policy_default(&policy);
        if (text.size > VERIFY_POLICY_MAX_BYTES)
                return error_set(error, EBADMSG, "a policy of more than %u bytes",
                                VERIFY_POLICY_MAX_BYTES);
        r = json_parse(text, &document, error);
        if (r == 0)
                r = read_document(&document, &policy, error);
        if (r < 0)
                return r;
        place(&policy, policy.ak_names, policy.n_ak_names);
        place(&policy, policy.issuers, policy.n_issuers);
        *ret = policy;
        policy = (struct verify_policy){0};
        return 0;
}
