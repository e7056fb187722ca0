/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/image-policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "tcg2/authenticode-signature.h"
#include "tcg2/authenticode.h"
#include "tcg2/sbat.h"
#include "tcg2/signature-list.h"

DEFINE_CLEANUP(struct authenticode_signature *, authenticode_signature_free)

/* In the order in which they are asked: what denies before what allows, firmware's before shim's.
 */
enum { LIST_DBX, LIST_MOK_X, LIST_DB, LIST_MOK, N_LISTS };

static const struct list_row {
        const char *name;     /* for people */
        const char *variable; /* as firmware or shim names it in an event of PCR 7 */
        const EFI_GUID *vendor;
        bool denies;
        bool is_shims; /* which doesn't take certificates for kernel modules */
} list_rows[N_LISTS] = {
                [LIST_DBX] = {"dbx", "dbx", &guid_image_security_database, true, false},
                [LIST_MOK_X] = {"MokListX", "MokListX", &guid_shim_lock, true, true},
                [LIST_DB] = {"db", "db", &guid_image_security_database, false, false},
                [LIST_MOK] = {"MokList", "MokListRT", &guid_shim_lock, false, true},
};

/* One judgement. */
struct judge {
        struct span lists[N_LISTS];
        struct span sbat_level;
        struct pe pe;
        struct digests digests; /* of the image */
        struct image_verdict *verdict;
        char signer[220]; /* of the signature that was looked at last; "" for none yet */
        char why[160];    /* why it doesn't count */
};

static bool refuse(struct judge *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns false, for callers whose false means that all is said. */
static bool refuse(struct judge *j, const char *format, ...)
{
        va_list ap;

        *j->verdict = (struct image_verdict){0};
        va_start(ap, format);
        vsnprintf(j->verdict->reason, sizeof(j->verdict->reason), format, ap);
        va_end(ap);
        return false;
}

static void accept(struct judge *j, int list, const struct signature *s)
{
        if (j->verdict->accepted)
                return; /* the first authority is the one that firmware measures */
        *j->verdict = (struct image_verdict){.accepted = true,
                        .variable = list_rows[list].variable,
                        .vendor = list_rows[list].vendor,
                        .authority = s->entry};
}

/* ---- lists ---- */

/* The entry of the list that is this hash of the image; lists were checked before. */
static bool find_hash(struct span lists, const struct digest *digest, struct signature *ret)
{
        struct signature_walk walk = SIGNATURE_WALK(lists);

        while (signature_next(&walk, ret, NULL) > 0)
                if (ret->kind == SIGNATURE_IMAGE_HASH && ret->alg == digest->alg->id &&
                                span_equal(ret->payload, SPAN(digest->bytes, digest->alg->size)))
                        return true;
        return false;
}

/* The entry of the list that is a certificate to which the signature's chain leads. */
static bool find_anchor(const struct judge *j, int list, const struct authenticode_signature *s,
                struct signature *ret)
{
        struct signature_walk walk = SIGNATURE_WALK(j->lists[list]);

        while (signature_next(&walk, ret, NULL) > 0)
                if (ret->kind == SIGNATURE_X509 &&
                                (!list_rows[list].is_shims || list_rows[list].denies ||
                                                certificate_is_for_images(ret->payload)) &&
                                authenticode_signature_chains_to(s, ret->payload))
                        return true;
        return false;
}

/* Is a certificate of the chain to anchor (empty: the signer's alone) denied by its hash? The time
 * of revocation isn't looked at: without a list of trusted time stampers (dbt) firmware can't, too.
 */
static bool is_certificate_denied(const struct judge *j, int list,
                const struct authenticode_signature *s, struct span anchor)
{
        struct signature_walk walk = SIGNATURE_WALK(j->lists[list]);
        struct signature entry;

        while (signature_next(&walk, &entry, NULL) > 0) {
                struct digest hash = {0};

                if (entry.kind != SIGNATURE_CERTIFICATE_HASH)
                        continue;
                hash.alg = alg_by_id(entry.alg);
                memcpy(hash.bytes, entry.payload.data, entry.payload.size);
                if (authenticode_signature_has_certificate(s, anchor, &hash))
                        return true;
        }
        return false;
}

static bool check_lists(struct judge *j)
{
        for (int i = 0; i < N_LISTS; i++) {
                struct error error = {0};

                if (signature_lists_check(j->lists[i], &error) < 0)
                        return refuse(j, "%s can't be read: %s", list_rows[i].name, error.text);
        }
        return true;
}

/* ---- the image without its signatures ---- */

/* All digests that a list or a signature may ask for. SHA-1 only denies. */
static int hash_image(struct judge *j, struct span file, bool *good, struct error *error)
{
        static const uint16_t ids[] = {
                        TPM_ALG_SHA256, TPM_ALG_SHA1, TPM_ALG_SHA384, TPM_ALG_SHA512};
        struct banks banks = {0};
        struct error why = {0};
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
                banks_add(&banks, alg_by_id(ids[i]));
        r = authenticode_digest(file, &banks, &j->digests, &why);
        *good = r == 0;
        if (r == -EINVAL) {
                refuse(j, "%s", why.text);
                return 0;
        }
        return r < 0 ? error_set(error, -r, "%s", why.text) : 0;
}

static bool check_denied_hashes(struct judge *j)
{
        struct signature found;

        for (int list = 0; list < N_LISTS; list++)
                for (size_t d = 0; list_rows[list].denies && d < j->digests.n; d++)
                        if (find_hash(j->lists[list], &j->digests.d[d], &found))
                                return refuse(j, "its %s hash is in %s", j->digests.d[d].alg->name,
                                                list_rows[list].name);
        return true;
}

static void allow_by_hash(struct judge *j, int list, const struct digest *digest)
{
        struct signature found;

        if (find_hash(j->lists[list], digest, &found))
                accept(j, list, &found);
}

/* An image without the section is fine, as for shim when it isn't shim that loads it. */
static bool check_sbat(struct judge *j)
{
        struct error error = {0};
        struct pe_section s;
        bool seen = false;

        for (unsigned i = 0; pe_section(&j->pe, i, &s); i++) {
                struct span text = s.raw;

                if (strcmp(s.name, ".sbat") != 0)
                        continue;
                if (seen)
                        return refuse(j, "it has several .sbat sections");
                seen = true;
                if (s.virtual_size > 0 && s.virtual_size < text.size)
                        text.size = s.virtual_size;
                if (sbat_check(j->sbat_level, text, &error) < 0)
                        return refuse(j, "%s", error.text);
        }
        if (sbat_check(j->sbat_level, SPAN(NULL, 0), &error) < 0)
                return refuse(j, "%s", error.text);
        return true;
}

/* ---- signatures ---- */

static bool check_revoked(struct judge *j, const struct authenticode_signature *s, bool is_of_image)
{
        struct signature anchor;

        for (int list = 0; list < N_LISTS; list++) {
                char name[200];

                if (!list_rows[list].denies)
                        continue;
                if (is_of_image && find_anchor(j, list, s, &anchor)) {
                        certificate_name(anchor.payload, name, sizeof(name));
                        return refuse(j, "signed by '%s', and the certificate of '%s' is in %s",
                                        j->signer, name, list_rows[list].name);
                }
                if (is_certificate_denied(j, list, s, SPAN(NULL, 0)))
                        return refuse(j, "signed by '%s', whose certificate %s denies by its hash",
                                        j->signer, list_rows[list].name);
        }
        return true;
}

static bool allow_by_certificate(struct judge *j, const struct authenticode_signature *s)
{
        struct signature anchor;

        for (int list = 0; list < N_LISTS && !j->verdict->accepted; list++) {
                if (list_rows[list].denies || !find_anchor(j, list, s, &anchor))
                        continue;
                for (int x = 0; x < N_LISTS; x++)
                        if (list_rows[x].denies && is_certificate_denied(j, x, s, anchor.payload))
                                return refuse(j,
                                                "signed by '%s', and %s denies a certificate on "
                                                "the way to the one in %s by its hash",
                                                j->signer, list_rows[x].name, list_rows[list].name);
                accept(j, list, &anchor);
        }
        return true;
}

/* False: refused, whatever the other signatures say. */
static bool judge_signature(struct judge *j, struct span der)
{
        _cleanup_(authenticode_signature_freep) struct authenticode_signature *s = NULL;
        const struct digest *digest;
        struct error error = {0};
        bool is_of_image;
        int r = authenticode_signature_new(der, &s, &error);

        if (r == -EOPNOTSUPP) { /* edk2, too, goes on to the next one */
                snprintf(j->why, sizeof(j->why), "%.150s", error.text);
                return true;
        }
        if (r < 0) {
                /* What can't be read can't be looked up in dbx. */
                if (j->lists[LIST_DBX].size > 0)
                        return refuse(j, "%s, so that dbx can't be asked about it", error.text);
                snprintf(j->why, sizeof(j->why), "%.150s", error.text);
                return true;
        }
        snprintf(j->signer, sizeof(j->signer), "%s", authenticode_signature_signer(s));
        digest = digests_find(&j->digests, authenticode_signature_alg(s)->id);
        is_of_image = authenticode_signature_is_of(s, digest);
        if (!check_revoked(j, s, is_of_image))
                return false;
        if (is_of_image && !allow_by_certificate(j, s))
                return false;
        allow_by_hash(j, LIST_DB, digest);
        snprintf(j->why, sizeof(j->why), "%s",
                        is_of_image ? "which no certificate in db or MokList vouches for"
                                    : "but not as it is: the file was changed, or the signature");
        return true;
}

static void judge_signatures(struct judge *j)
{
        struct certificate_table table;
        struct error error = {0};
        struct span der;
        int r = certificate_table_open(&j->pe, &table, &error);

        if (r == 0)
                while ((r = certificate_table_next(&table, &der, &error)) > 0)
                        if (!judge_signature(j, der))
                                return;
        if (r < 0)
                refuse(j, "%s", error.text); /* whatever was accepted by then, as in edk2 */
        /* shim hashes with SHA-256 whatever the signatures say */
        if (r == 0)
                allow_by_hash(j, LIST_MOK, digests_find(&j->digests, TPM_ALG_SHA256));
        if (r == 0 && !j->verdict->accepted && j->signer[0])
                refuse(j, "signed by '%s', %s", j->signer, j->why);
        else if (r == 0 && !j->verdict->accepted)
                refuse(j, "%s", j->why[0] ? j->why : "its certificate table has no signature");
}

static void judge_unsigned(struct judge *j)
{
        allow_by_hash(j, LIST_DB, digests_find(&j->digests, TPM_ALG_SHA256));
        allow_by_hash(j, LIST_MOK, digests_find(&j->digests, TPM_ALG_SHA256));
        if (!j->verdict->accepted)
                refuse(j, "not signed, and neither db nor MokList has its hash");
}

int image_policy_judge(const struct image_policy *policy, struct span file, bool vouched,
                struct image_verdict *ret, struct error *error)
{
        struct image_verdict verdict = {0};
        struct judge j = {
                        .lists = {[LIST_DBX] = policy->dbx,
                                        [LIST_MOK_X] = policy->mok_list_x,
                                        [LIST_DB] = policy->db,
                                        [LIST_MOK] = policy->mok_list},
                        .sbat_level = policy->sbat_level,
                        .verdict = &verdict,
        };
        struct error why = {0};
        bool good = false;
        int r = 0;

        if (pe_parse(file, &j.pe, &why) < 0)
                refuse(&j, "%s", why.text);
        else
                r = hash_image(&j, file, &good, error);
        if (r < 0)
                return r;
        if (good && check_lists(&j) && check_denied_hashes(&j) && check_sbat(&j)) {
                if (vouched)
                        verdict = (struct image_verdict){.accepted = true, .variable = ""};
                else if (j.pe.security.size > 0)
                        judge_signatures(&j);
                else
                        judge_unsigned(&j);
        }
        *ret = verdict;
        return 0;
}
