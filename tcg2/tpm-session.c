/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm-session.h"

#include "tcg2/tpm-object.h"
#include "tcg2/tpm-rc.h"

/* A storage key of the null hierarchy: its seed is new after each reset of the TPM, and it needs
 * nobody's password. */
static int make_salt_key(ESYS_CONTEXT *esys, struct tpm_object *ret, struct error *error)
{
        TSS2_RC rc = tpm_object_make_storage_key(
                        esys, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, false, ret);

        if (rc == TSS2_RC_SUCCESS)
                return 0;
        return error_prefix(error, tpm_rc_error(error, rc, "TPM2_CreatePrimary"),
                        "key for encrypted sessions");
}

int tpm_session_need(ESYS_CONTEXT *esys, enum tpm_session_kind kind, ESYS_TR *session,
                struct error *error)
{
        static const TPMT_SYM_DEF aes = {
                        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
        static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
        const TPMA_SESSION encrypts = TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
        static const struct {
                TPM2_SE type;
                bool secret;
        } rows[] = {
                        [TPM_SESSION_PLAIN] = {TPM2_SE_HMAC, false},
                        [TPM_SESSION_SECRET] = {TPM2_SE_HMAC, true},
                        [TPM_SESSION_SECRET_POLICY] = {TPM2_SE_POLICY, true},
        };
        _cleanup_tpm_object_ struct tpm_object salt = TPM_OBJECT_NONE;
        bool secret = rows[kind].secret;
        TSS2_RC rc;
        int r;

        if (*session != ESYS_TR_NONE)
                return 0;
        r = secret ? make_salt_key(esys, &salt, error) : 0;
        if (r < 0)
                return r;
        rc = Esys_StartAuthSession(esys, salt.tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                        ESYS_TR_NONE, NULL, rows[kind].type, secret ? &aes : &none, TPM2_ALG_SHA256,
                        session);
        if (rc == TSS2_RC_SUCCESS)
                rc = Esys_TRSess_SetAttributes(esys, *session,
                                TPMA_SESSION_CONTINUESESSION | (secret ? encrypts : 0), 0xff);
        /* The key goes with the scope, at once: for each object that is there a resource manager
         * sends three commands more with every command. */
        return rc == TSS2_RC_SUCCESS ? 0 : tpm_rc_error(error, rc, "TPM2_StartAuthSession");
}

void tpm_session_end(ESYS_CONTEXT *esys, ESYS_TR *session)
{
        if (*session != ESYS_TR_NONE)
                Esys_FlushContext(esys, *session);
        *session = ESYS_TR_NONE;
}
