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

int tpm_ak_error(struct error *error, TSS2_RC rc, const char *command)
{
        static const struct {
                TSS2_RC rc;
                int errnum;
        } rows[] = {
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
        /* Codes of format 1 have the number of what they are about (Part 2, section 6.6.2). */
        TSS2_RC plain = rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
        int r = tpm_rc_error(error, rc, command);

        if (r == -EREMOTEIO)
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                        if ((plain & ~TSS2_RC_LAYER_MASK) == rows[i].rc)
                                r = -rows[i].errnum;
        return r;
}

/* ---- passwords and sessions ---- */

static int set_auth(ESYS_CONTEXT *esys, ESYS_TR tr, struct span password, struct error *error)
{
        TPM2B_AUTH auth = {.size = (uint16_t)password.size};
        TSS2_RC rc;

        if (password.size > sizeof(auth.buffer))
                return error_set(error, EINVAL, "a password is longer than %zu bytes",
                                sizeof(auth.buffer));
        if (password.size > 0)
                memcpy(auth.buffer, password.data, password.size);
        rc = Esys_TR_SetAuth(esys, tr, &auth);
        explicit_bzero(&auth, sizeof(auth));
        return rc == TSS2_RC_SUCCESS ? 0 : tpm_rc_error(error, rc, "setting a password");
}

int tpm_ak_session(struct tpm_ak *ak, ESYS_TR *ret, struct error *error)
{
        static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
        TSS2_RC rc;

        if (ak->session == ESYS_TR_NONE) {
                rc = Esys_StartAuthSession(ak->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_HMAC, &none,
                                TPM2_ALG_SHA256, &ak->session);
                if (rc == TSS2_RC_SUCCESS)
                        rc = Esys_TRSess_SetAttributes(
                                        ak->esys, ak->session, TPMA_SESSION_CONTINUESESSION, 0xff);
                if (rc != TSS2_RC_SUCCESS)
                        return tpm_ak_error(error, rc, "TPM2_StartAuthSession");
        }
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
        *ak = (struct tpm_ak){.tpm = tpm,
                        .esys = tpm_esys_context(tpm),
                        .tr = ESYS_TR_NONE,
                        .session = ESYS_TR_NONE};
        r = set_auth(ak->esys, ESYS_TR_RH_OWNER, auth->owner, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ak);
        return 0;
}

void tpm_ak_close(struct tpm_ak *ak)
{
        static const TPM2B_AUTH none;

        if (ak->tr != ESYS_TR_NONE && ak->loaded)
                Esys_FlushContext(ak->esys, ak->tr);
        else if (ak->tr != ESYS_TR_NONE)
                Esys_TR_Close(ak->esys, &ak->tr);
        if (ak->session != ESYS_TR_NONE)
                Esys_FlushContext(ak->esys, ak->session);
        Esys_TR_SetAuth(ak->esys, ESYS_TR_RH_OWNER, &none);
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
        TSS2_RC rc = Esys_ReadPublic(ak->esys, ak->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                        &public, NULL, NULL);

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
        rc = Esys_TR_FromTPMPublic(
                        ak->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &ak->tr);
        r = rc == TSS2_RC_SUCCESS ? 0 : tpm_ak_error(error, rc, "TPM2_ReadPublic");
        if (r == 0)
                r = read_public(ak, error);
        if (r == 0)
                r = set_auth(ak->esys, ak->tr, auth->key, error);
        if (r < 0)
                return error_prefix(error, r, "key 0x%08x", handle);
        *ret = TAKE_PTR(ak);
        return 0;
}

/* ---- under the owner's storage key ---- */

struct parent {
        ESYS_CONTEXT *esys;
        ESYS_TR tr;
        bool made; /* it isn't the TPM's own, and is flushed */
};

static void parent_close(struct parent *parent)
{
        if (parent->tr != ESYS_TR_NONE && parent->made)
                Esys_FlushContext(parent->esys, parent->tr);
        else if (parent->tr != ESYS_TR_NONE)
                Esys_TR_Close(parent->esys, &parent->tr);
}

#define _cleanup_parent_ __attribute__((cleanup(parent_close)))
#define PARENT_NONE      ((struct parent){.tr = ESYS_TR_NONE})

/* TCG EK Credential Profile 2.5, templates H-1 and H-2, which key files mean by a hierarchy. */
static void storage_template(bool rsa, TPM2B_PUBLIC *ret)
{
        static const TPMT_SYM_DEF_OBJECT aes = {
                        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
        TPMT_PUBLIC *area = &ret->publicArea;

        *ret = (TPM2B_PUBLIC){0};
        area->type = rsa ? TPM2_ALG_RSA : TPM2_ALG_ECC;
        area->nameAlg = TPM2_ALG_SHA256;
        area->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                 TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                 TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
        if (rsa) {
                area->parameters.rsaDetail.symmetric = aes;
                area->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
                area->parameters.rsaDetail.keyBits = 2048;
        } else {
                area->parameters.eccDetail.symmetric = aes;
                area->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
                area->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
                area->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
        }
}

static int make_parent(struct tpm_ak *ak, bool rsa, struct parent *ret, struct error *error)
{
        static const TPM2B_SENSITIVE_CREATE sensitive;
        static const TPM2B_DATA outside;
        static const TPML_PCR_SELECTION creation;
        TPM2B_PUBLIC template;
        ESYS_TR session;
        TSS2_RC rc;
        int r = tpm_ak_session(ak, &session, error);

        if (r < 0)
                return r;
        storage_template(rsa, &template);
        rc = Esys_CreatePrimary(ak->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE,
                        &sensitive, &template, &outside, &creation, &ret->tr, NULL, NULL, NULL,
                        NULL);
        ret->made = rc == TSS2_RC_SUCCESS;
        return rc == TSS2_RC_SUCCESS
                               ? 0
                               : error_prefix(error, tpm_ak_error(error, rc, "TPM2_CreatePrimary"),
                                                 "the owner's storage key");
}

static int open_parent(struct tpm_ak *ak, const struct ak_file *file, struct parent *ret,
                struct error *error)
{
        TSS2_RC rc;

        ret->esys = ak->esys;
        if (file->parent == AK_FILE_PARENT_OWNER)
                return make_parent(ak, file->rsa_parent, ret, error);
        if (file->parent >> 24 != TPM2_HT_PERSISTENT)
                return error_set(error, EBADMSG,
                                "its parent 0x%08x is neither the owner's hierarchy nor a "
                                "persistent key",
                                file->parent);
        rc = Esys_TR_FromTPMPublic(
                        ak->esys, file->parent, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &ret->tr);
        return rc == TSS2_RC_SUCCESS
                               ? 0
                               : error_prefix(error, tpm_ak_error(error, rc, "TPM2_ReadPublic"),
                                                 "its parent 0x%08x", file->parent);
}

/* *parent is open. */
static int load(struct tpm_ak *ak, const struct parent *parent, const TPM2B_PRIVATE *private,
                const TPM2B_PUBLIC *public, struct error *error)
{
        ESYS_TR session;
        TSS2_RC rc;
        int r = tpm_ak_session(ak, &session, error);

        if (r < 0)
                return r;
        rc = Esys_Load(ak->esys, parent->tr, session, ESYS_TR_NONE, ESYS_TR_NONE, private, public,
                        &ak->tr);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_ak_error(error, rc, "TPM2_Load");
        ak->loaded = true;
        return read_public(ak, error);
}

int tpm_ak_load(struct tpm *tpm, const struct ak_file *file, const struct tpm_ak_auth *auth,
                struct tpm_ak **ret, struct error *error)
{
        _cleanup_(tpm_ak_closep) struct tpm_ak *ak = NULL;
        _cleanup_parent_ struct parent parent = PARENT_NONE;
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
                r = set_auth(ak->esys, ak->tr, auth->key, error);
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
        _cleanup_parent_ struct parent parent = PARENT_NONE;
        _cleanup_esys_ TPM2B_PRIVATE *private = NULL;
        _cleanup_esys_ TPM2B_PUBLIC *public = NULL;
        TPM2B_SENSITIVE_CREATE sensitive = {0};
        TPM2B_PUBLIC template;
        ESYS_TR session;
        TSS2_RC rc;
        int r;

        if (auth->key.size > 0)
                return error_set(error, EINVAL, "a new key has no password");
        parent.esys = ak->esys;
        r = make_parent(ak, false, &parent, error);
        if (r == 0)
                r = tpm_ak_session(ak, &session, error);
        if (r < 0)
                return r;
        ak_template(type, &template);
        rc = Esys_Create(ak->esys, parent.tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
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
        rc = Esys_EvictControl(ak->esys, ESYS_TR_RH_OWNER, ak->tr, session, ESYS_TR_NONE,
                        ESYS_TR_NONE, handle, &persistent);
        if (rc != TSS2_RC_SUCCESS)
                return error_prefix(error, tpm_ak_error(error, rc, "TPM2_EvictControl"),
                                "key 0x%08x", handle);
        Esys_TR_Close(ak->esys, &persistent);
        return 0;
}
