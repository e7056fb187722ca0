/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm-ak.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include "base/cleanup.h"
#include "tcg2/tpm-ak-parts.h"
#include "tcg2/tpm-rc.h"
#include "tcg2/tpm-session.h"

int tpm_ak_error(struct error *error, TSS2_RC rc, const char *command)
{
        static const struct tpm_rc_row rows[] = {
                        {TPM2_RC_HANDLE, ENOENT},
                        {TPM2_RC_NV_DEFINED, EEXIST}, /* a persistent handle, too */
                        {TPM2_RC_NV_SPACE, ENOSPC},
                        {TPM2_RC_BAD_AUTH, EACCES},
                        {TPM2_RC_AUTH_FAIL, EACCES},
                        {TPM2_RC_AUTH_UNAVAILABLE, EACCES},
                        {TPM2_RC_LOCKOUT, EBUSY},
                        {TPM2_RC_INTEGRITY, EBADMSG},
                        {TPM2_RC_BINDING, EBADMSG},
                        {TPM2_RC_SCHEME, EINVAL},
                        {TPM2_RC_KEY, EINVAL},
                        {TPM2_RC_SIZE, EINVAL},
                        {TPM2_RC_VALUE, EINVAL},
        };

        return tpm_rc_error_by(error, rc, command, rows, ARRAY_SIZE(rows));
}

int tpm_ak_session(struct tpm_ak *ak, ESYS_TR *ret, struct error *error)
{
        int r = tpm_session_need(ak->key.esys, TPM_SESSION_PLAIN, &ak->session, error);

        if (r < 0)
                return r;
        *ret = ak->session;
        return 0;
}

static int ak_new(struct tpm *tpm, const struct tpm_ak_auth *auth, struct tpm_ak **ret,
                struct error *error)
{
        _cleanup_(tpm_ak_closep) struct tpm_ak *ak = NULL;
        int r;

        if (!tpm_esys_context(tpm))
                return error_set(error, EOPNOTSUPP, "this TPM has no keys");
        ak = calloc(1, sizeof(*ak));
        if (!ak)
                return error_set(error, ENOMEM, "out of memory");
        *ak = (struct tpm_ak){.tpm = tpm, .key = {.tr = ESYS_TR_NONE}, .session = ESYS_TR_NONE};
        ak->key.esys = tpm_esys_context(tpm);
        r = tpm_password_set(ak->key.esys, ESYS_TR_RH_OWNER, auth->owner, "the owner's", error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ak);
        return 0;
}

void tpm_ak_close(struct tpm_ak *ak)
{
        ESYS_CONTEXT *esys = ak->key.esys;

        tpm_object_close(&ak->key);
        tpm_session_end(esys, &ak->session);
        (void)tpm_password_set(esys, ESYS_TR_RH_OWNER, SPAN(NULL, 0), "the owner's", NULL);
        free(ak);
}

struct span tpm_ak_public(const struct tpm_ak *ak)
{
        return SPAN(ak->public, ak->public_size);
}

/* What the TPM has, as bytes. */
static int read_public(struct tpm_ak *ak, struct error *error)
{
        _cleanup_esys_ TPM2B_PUBLIC *public = NULL;
        size_t size = 0;
        TSS2_RC rc = Esys_ReadPublic(ak->key.esys, ak->key.tr, ESYS_TR_NONE, ESYS_TR_NONE,
                        ESYS_TR_NONE, &public, NULL, NULL);

        if (rc != TSS2_RC_SUCCESS)
                return tpm_ak_error(error, rc, "TPM2_ReadPublic");
        rc = Tss2_MU_TPMT_PUBLIC_Marshal(
                        &public->publicArea, ak->public, sizeof(ak->public), &size);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_rc_error(error, rc, "the key's public area");
        ak->public_size = size;
        return 0;
}

int tpm_ak_open(struct tpm *tpm, uint32_t handle, const struct tpm_ak_auth *auth,
                struct tpm_ak **ret, struct error *error)
{
        _cleanup_(tpm_ak_closep) struct tpm_ak *ak = NULL;
        TSS2_RC rc;
        int r = ak_new(tpm, auth, &ak, error);

        if (r < 0)
                return r;
        rc = tpm_object_open(ak->key.esys, handle, &ak->key);
        r = rc == TSS2_RC_SUCCESS ? 0 : tpm_ak_error(error, rc, "TPM2_ReadPublic");
        if (r == 0)
                r = read_public(ak, error);
        if (r == 0)
                r = tpm_password_set(ak->key.esys, ak->key.tr, auth->key, "the key's", error);
        if (r < 0)
                return error_prefix(error, r, "key 0x%08x", handle);
        *ret = TAKE_PTR(ak);
        return 0;
}

/* ---- under the owner's storage key ---- */

static int make_parent(struct tpm_ak *ak, bool rsa, struct tpm_object *ret, struct error *error)
{
        ESYS_TR session;
        TSS2_RC rc;
        int r = tpm_ak_session(ak, &session, error);

        if (r < 0)
                return r;
        rc = tpm_object_make_storage_key(ak->key.esys, ESYS_TR_RH_OWNER, session, rsa, ret);
        return rc == TSS2_RC_SUCCESS
                               ? 0
                               : error_prefix(error, tpm_ak_error(error, rc, "TPM2_CreatePrimary"),
                                                 "the owner's storage key");
}

static int open_parent(struct tpm_ak *ak, const struct ak_file *file, struct tpm_object *ret,
                struct error *error)
{
        TSS2_RC rc;

        if (file->parent == AK_FILE_PARENT_OWNER)
                return make_parent(ak, file->rsa_parent, ret, error);
        if (file->parent >> 24 != TPM2_HT_PERSISTENT)
                return error_set(error, EBADMSG,
                                "its parent 0x%08x is neither the owner's hierarchy nor a "
                                "persistent key",
                                file->parent);
        rc = tpm_object_open(ak->key.esys, file->parent, ret);
        return rc == TSS2_RC_SUCCESS
                               ? 0
                               : error_prefix(error, tpm_ak_error(error, rc, "TPM2_ReadPublic"),
                                                 "its parent 0x%08x", file->parent);
}

/* *parent is open. */
static int load(struct tpm_ak *ak, const struct tpm_object *parent, const TPM2B_PRIVATE *private,
                const TPM2B_PUBLIC *public, struct error *error)
{
        ESYS_TR session;
        TSS2_RC rc;
        int r = tpm_ak_session(ak, &session, error);

        if (r < 0)
                return r;
        rc = Esys_Load(ak->key.esys, parent->tr, session, ESYS_TR_NONE, ESYS_TR_NONE, private,
                        public, &ak->key.tr);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_ak_error(error, rc, "TPM2_Load");
        ak->key.loaded = true;
        return read_public(ak, error);
}

int tpm_ak_load(struct tpm *tpm, const struct ak_file *file, const struct tpm_ak_auth *auth,
                struct tpm_ak **ret, struct error *error)
{
        _cleanup_(tpm_ak_closep) struct tpm_ak *ak = NULL;
        _cleanup_tpm_object_ struct tpm_object parent = TPM_OBJECT_NONE;
        TPM2B_PUBLIC public;
        TPM2B_PRIVATE private;
        size_t end = 0, end2 = 0;
        int r;

        if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(file->public.data, file->public.size, &end, &public) !=
                                        TSS2_RC_SUCCESS ||
                        Tss2_MU_TPM2B_PRIVATE_Unmarshal(file->private.data, file->private.size,
                                        &end2, &private) != TSS2_RC_SUCCESS ||
                        end != file->public.size || end2 != file->private.size)
                return error_set(error, EBADMSG, "its public or private part is malformed");
        r = ak_new(tpm, auth, &ak, error);
        if (r == 0)
                r = open_parent(ak, file, &parent, error);
        if (r == 0)
                r = load(ak, &parent, &private, &public, error);
        if (r == 0)
                r = tpm_password_set(ak->key.esys, ak->key.tr, auth->key, "the key's", error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ak);
        return 0;
}

/* ---- new ---- */

/* As tpm2_createak's; and the lockout, which its use can't cause, doesn't keep it from attesting.
 */
static void ak_template(enum tpm_ak_type type, TPM2B_PUBLIC *ret)
{
        TPMT_PUBLIC *area = &ret->publicArea;

        *ret = (TPM2B_PUBLIC){0};
        area->nameAlg = TPM2_ALG_SHA256;
        area->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                 TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                 TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
                                 TPMA_OBJECT_SIGN_ENCRYPT;
        if (type == TPM_AK_RSA_2048) {
                TPMS_RSA_PARMS *rsa = &area->parameters.rsaDetail;

                area->type = TPM2_ALG_RSA;
                rsa->symmetric.algorithm = TPM2_ALG_NULL;
                rsa->scheme.scheme = TPM2_ALG_RSASSA;
                rsa->scheme.details.rsassa.hashAlg = TPM2_ALG_SHA256;
                rsa->keyBits = 2048;
        } else {
                TPMS_ECC_PARMS *ecc = &area->parameters.eccDetail;

                area->type = TPM2_ALG_ECC;
                ecc->symmetric.algorithm = TPM2_ALG_NULL;
                ecc->scheme.scheme = TPM2_ALG_ECDSA;
                ecc->scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
                ecc->curveID = TPM2_ECC_NIST_P256;
                ecc->kdf.scheme = TPM2_ALG_NULL;
        }
}

/* The two parts, one behind the other, in one piece. */
static int put_parts(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private, struct buf *bytes,
                struct ak_file *file, struct error *error)
{
        uint8_t part[sizeof(*public) + sizeof(*private)];
        size_t middle = 0, end;
        TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, part, sizeof(part), &middle);
        uint8_t *to;

        end = middle;
        if (rc == TSS2_RC_SUCCESS)
                rc = Tss2_MU_TPM2B_PRIVATE_Marshal(private, part, sizeof(part), &end);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_rc_error(error, rc, "the new key's parts");
        to = buf_grow(bytes, end);
        if (!to)
                return error_set(error, ENOMEM, "out of memory");
        memcpy(to, part, end);
        *file = (struct ak_file){.parent = AK_FILE_PARENT_OWNER,
                        .public = SPAN(to, middle),
                        .private = SPAN(to + middle, end - middle)};
        return 0;
}

static int create(struct tpm_ak *ak, enum tpm_ak_type type, const struct tpm_ak_auth *auth,
                struct buf *bytes, struct ak_file *file, struct error *error)
{
        static const TPM2B_DATA outside;
        static const TPML_PCR_SELECTION creation;
        _cleanup_tpm_object_ struct tpm_object parent = TPM_OBJECT_NONE;
        _cleanup_esys_ TPM2B_PRIVATE *private = NULL;
        _cleanup_esys_ TPM2B_PUBLIC *public = NULL;
        TPM2B_SENSITIVE_CREATE sensitive = {0};
        TPM2B_PUBLIC template;
        ESYS_TR session;
        TSS2_RC rc;
        int r;

        if (auth->key.size > 0)
                return error_set(error, EINVAL, "a new key has no password");
        r = make_parent(ak, false, &parent, error);
        if (r == 0)
                r = tpm_ak_session(ak, &session, error);
        if (r < 0)
                return r;
        ak_template(type, &template);
        rc = Esys_Create(ak->key.esys, parent.tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                        &template, &outside, &creation, &private, &public, NULL, NULL, NULL);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_ak_error(error, rc, "TPM2_Create");
        r = load(ak, &parent, private, public, error);
        return r < 0 ? r : put_parts(public, private, bytes, file, error);
}

int tpm_ak_create(struct tpm *tpm, enum tpm_ak_type type, const struct tpm_ak_auth *auth,
                struct buf *bytes, struct ak_file *file, struct tpm_ak **ret, struct error *error)
{
        _cleanup_(tpm_ak_closep) struct tpm_ak *ak = NULL;
        int r = ak_new(tpm, auth, &ak, error);

        if (r == 0)
                r = create(ak, type, auth, bytes, file, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ak);
        return 0;
}

int tpm_ak_persist(struct tpm_ak *ak, uint32_t handle, struct error *error)
{
        ESYS_TR session, persistent = ESYS_TR_NONE;
        TSS2_RC rc;
        int r = tpm_ak_session(ak, &session, error);

        if (r < 0)
                return r;
        rc = Esys_EvictControl(ak->key.esys, ESYS_TR_RH_OWNER, ak->key.tr, session, ESYS_TR_NONE,
                        ESYS_TR_NONE, handle, &persistent);
        if (rc != TSS2_RC_SUCCESS)
                return error_prefix(error, tpm_ak_error(error, rc, "TPM2_EvictControl"),
                                "key 0x%08x", handle);
        Esys_TR_Close(ak->key.esys, &persistent);
        return 0;
}
