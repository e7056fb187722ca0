/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm-object.h"

#include <errno.h>
#include <string.h>

#include "tcg2/tpm-rc.h"

void tpm_object_close(struct tpm_object *object)
{
        if (object->tr != ESYS_TR_NONE && object->loaded)
                Esys_FlushContext(object->esys, object->tr);
        else if (object->tr != ESYS_TR_NONE)
                Esys_TR_Close(object->esys, &object->tr);
        *object = TPM_OBJECT_NONE;
}

TSS2_RC tpm_object_open(ESYS_CONTEXT *esys, TPM2_HANDLE handle, struct tpm_object *ret)
{
        *ret = TPM_OBJECT_NONE;
        ret->esys = esys;
        return Esys_TR_FromTPMPublic(
                        esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &ret->tr);
}

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

TSS2_RC tpm_object_make_storage_key(ESYS_CONTEXT *esys, ESYS_TR hierarchy, ESYS_TR session,
                bool rsa, struct tpm_object *ret)
{
        static const TPM2B_SENSITIVE_CREATE sensitive;
        static const TPM2B_DATA outside;
        static const TPML_PCR_SELECTION creation;
        TPM2B_PUBLIC template;

        storage_template(rsa, &template);
        *ret = TPM_OBJECT_NONE;
        ret->esys = esys;
        ret->loaded = true;
        return Esys_CreatePrimary(esys, hierarchy, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                        &template, &outside, &creation, &ret->tr, NULL, NULL, NULL, NULL);
}

int tpm_password_set(ESYS_CONTEXT *esys, ESYS_TR tr, struct span password, const char *whose,
                struct error *error)
{
        TPM2B_AUTH auth = {.size = (uint16_t)password.size};
        TSS2_RC rc;

        if (password.size > sizeof(auth.buffer))
                return error_set(error, EINVAL, "%s password is longer than %zu bytes", whose,
                                sizeof(auth.buffer));
        if (password.size > 0)
                memcpy(auth.buffer, password.data, password.size);
        rc = Esys_TR_SetAuth(esys, tr, &auth);
        explicit_bzero(&auth, sizeof(auth));
        if (rc == TSS2_RC_SUCCESS)
                return 0;
        return error_prefix(
                        error, tpm_rc_error(error, rc, "Esys_TR_SetAuth"), "%s password", whose);
}
