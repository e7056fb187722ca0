/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcg2/tpm-nv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_esys.h>

#include "base/cleanup.h"
#include "tcg2/pcr-selection.h"
#include "tcg2/tpm-object.h"
#include "tcg2/tpm-rc.h"
#include "tcg2/tpm-session.h"

struct tpm_nv {
        ESYS_CONTEXT *esys;
        bool has_password; /* the owner, as far as we were told */
        ESYS_TR owner;     /* sessions, ESYS_TR_NONE until the first command that wants one */
        ESYS_TR policy;
        uint16_t chunk; /* bytes that one TPM2_NV_Read or TPM2_NV_Write can carry */
        uint32_t limit; /* bytes of an index */
};

/* ---- answers ---- */

/* What callers tell apart. */
static int rc_error(struct error *error, TSS2_RC rc, const char *command, uint32_t handle)
{
        static const struct tpm_rc_row rows[] = {
                        {TPM2_RC_HANDLE, ENOENT},
                        {TPM2_RC_NV_DEFINED, EEXIST},
                        {TPM2_RC_NV_SPACE, ENOSPC},
                        {TPM2_RC_BAD_AUTH, EACCES},
                        {TPM2_RC_AUTH_FAIL, EACCES},
                        {TPM2_RC_NV_UNINITIALIZED, ENODATA},
                        {TPM2_RC_NV_LOCKED, EBUSY},
                        {TPM2_RC_POLICY_FAIL, EKEYREJECTED},
                        {TPM2_RC_PCR_CHANGED, EAGAIN},
        };
        int r = tpm_rc_error_by(error, rc, command, rows, ARRAY_SIZE(rows));

        return error_prefix(error, r, "NV index 0x%08x", handle);
}

/* ---- opening ---- */

static int get_property(struct tpm_nv *nv, uint32_t property, uint32_t *ret, struct error *error)
{
        _cleanup_esys_ TPMS_CAPABILITY_DATA *data = NULL;
        TPMI_YES_NO more;
        TSS2_RC rc;

        rc = Esys_GetCapability(nv->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                        TPM2_CAP_TPM_PROPERTIES, property, 1, &more, &data);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_rc_error(error, rc, "TPM2_GetCapability");
        if (data->data.tpmProperties.count != 1 ||
                        data->data.tpmProperties.tpmProperty[0].property != property)
                return error_set(error, EIO, "TPM2_GetCapability: no property 0x%x", property);
        *ret = data->data.tpmProperties.tpmProperty[0].value;
        return 0;
}

int tpm_nv_open(struct tpm *tpm, struct span owner, struct tpm_nv **ret, struct error *error)
{
        _cleanup_(tpm_nv_closep) struct tpm_nv *nv = NULL;
        uint32_t chunk;
        int r;

        if (!tpm_esys_context(tpm))
                return error_set(error, EOPNOTSUPP, "this TPM has no NV indices");
        nv = calloc(1, sizeof(*nv));
        if (!nv)
                return error_set(error, ENOMEM, "out of memory");
        *nv = (struct tpm_nv){.esys = tpm_esys_context(tpm),
                        .has_password = owner.size > 0,
                        .owner = ESYS_TR_NONE,
                        .policy = ESYS_TR_NONE};
        r = tpm_password_set(nv->esys, ESYS_TR_RH_OWNER, owner, "the owner's", error);
        if (r == 0)
                r = get_property(nv, TPM2_PT_NV_BUFFER_MAX, &chunk, error);
        if (r == 0)
                r = get_property(nv, TPM2_PT_NV_INDEX_MAX, &nv->limit, error);
        if (r < 0)
                return r;
        if (chunk == 0)
                return error_set(error, EIO, "the TPM says that it can't read NV indices");
        nv->chunk = chunk < TPM2_MAX_NV_BUFFER_SIZE ? (uint16_t)chunk : TPM2_MAX_NV_BUFFER_SIZE;
        *ret = TAKE_PTR(nv);
        return 0;
}

void tpm_nv_close(struct tpm_nv *nv)
{
        tpm_session_end(nv->esys, &nv->owner);
        tpm_session_end(nv->esys, &nv->policy);
        (void)tpm_password_set(nv->esys, ESYS_TR_RH_OWNER, SPAN(NULL, 0), "the owner's", NULL);
        free(nv);
}

/* ---- sessions and handles ---- */

/* What authorizes the owner's command. Where neither it nor a password is secret, no session. */
static int owner_need(struct tpm_nv *nv, bool secret, ESYS_TR *ret, struct error *error)
{
        int r = 0;

        if (secret || nv->has_password)
                r = tpm_session_need(nv->esys, TPM_SESSION_SECRET, &nv->owner, error);
        *ret = secret || nv->has_password ? nv->owner : ESYS_TR_PASSWORD;
        return r;
}

static int object_open(
                struct tpm_nv *nv, uint32_t handle, struct tpm_object *ret, struct error *error)
{
        TSS2_RC rc = tpm_object_open(nv->esys, handle, ret);

        return rc == TSS2_RC_SUCCESS ? 0 : rc_error(error, rc, "TPM2_NV_ReadPublic", handle);
}

/* ---- anybody ---- */

int tpm_nv_list(struct tpm_nv *nv, uint32_t first, uint32_t last, uint32_t *ret, size_t *n,
                struct error *error)
{
        size_t room = *n;
        TPMI_YES_NO more = TPM2_YES;

        *n = 0;
        while (more && *n < room) {
                _cleanup_esys_ TPMS_CAPABILITY_DATA *data = NULL;
                TSS2_RC rc = Esys_GetCapability(nv->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, &more, &data);

                if (rc != TSS2_RC_SUCCESS)
                        return tpm_rc_error(error, rc, "TPM2_GetCapability");
                if (data->data.handles.count == 0)
                        return 0;
                for (uint32_t i = 0; i < data->data.handles.count; i++) {
                        uint32_t handle = data->data.handles.handle[i];

                        if (handle < first) /* ascending, from the one that was asked for */
                                return error_set(error, EIO,
                                                "TPM2_GetCapability: handles out of order");
                        if (handle > last || *n == room)
                                return 0;
                        ret[(*n)++] = handle;
                        first = handle + 1;
                }
        }
        return 0;
}

uint32_t tpm_nv_limit(const struct tpm_nv *nv)
{
        return nv->limit;
}

static int public_of(struct tpm_nv *nv, const struct tpm_object *object, uint32_t handle,
                struct nv_index *ret, struct error *error)
{
        _cleanup_esys_ TPM2B_NV_PUBLIC *public = NULL;
        _cleanup_esys_ TPM2B_NAME *name = NULL;
        const TPMS_NV_PUBLIC *p;
        TSS2_RC rc;

        rc = Esys_NV_ReadPublic(nv->esys, object->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                        &public, &name);
        if (rc != TSS2_RC_SUCCESS)
                return rc_error(error, rc, "TPM2_NV_ReadPublic", handle);
        p = &public->nvPublic;
        if (p->nvIndex != handle || p->nameAlg != TPM2_ALG_SHA256 ||
                        p->authPolicy.size != sizeof(ret->policy))
                return error_set(error, EPROTO,
                                "NV index 0x%08x: not one of ours, another program's", handle);
        *ret = (struct nv_index){
                        .handle = handle, .attributes = p->attributes, .size = p->dataSize};
        memcpy(ret->policy, p->authPolicy.buffer, sizeof(ret->policy));
        return 0;
}

int tpm_nv_public(struct tpm_nv *nv, uint32_t handle, struct nv_index *ret, struct error *error)
{
        _cleanup_tpm_object_ struct tpm_object object = TPM_OBJECT_NONE;
        int r = object_open(nv, handle, &object, error);

        return r < 0 ? r : public_of(nv, &object, handle, ret, error);
}

/* Opens the index, which must be the one that is meant: ESYS computes each command's authorization
 * over the Name of what it has read here. */
static int open_exactly(struct tpm_nv *nv, const struct nv_index *index, struct tpm_object *ret,
                struct error *error)
{
        _cleanup_esys_ TPM2B_NAME *found = NULL;
        uint8_t wanted[NV_NAME_BYTES];
        TSS2_RC rc;
        int r = nv_index_name(index, wanted);

        if (r < 0)
                return error_set(error, -r, "can't compute an NV index's name: %s", strerror(-r));
        r = object_open(nv, index->handle, ret, error);
        if (r < 0)
                return r;
        rc = Esys_TR_GetName(nv->esys, ret->tr, &found);
        if (rc != TSS2_RC_SUCCESS)
                return rc_error(error, rc, "its name", index->handle);
        if (found->size != sizeof(wanted) || memcmp(found->name, wanted, sizeof(wanted)) != 0)
                return error_set(error, EPROTO,
                                "NV index 0x%08x: became another one while it was looked at",
                                index->handle);
        return 0;
}

/* ---- the owner ---- */

int tpm_nv_define(struct tpm_nv *nv, const struct nv_index *index, struct error *error)
{
        _cleanup_tpm_object_ struct tpm_object object = TPM_OBJECT_NONE;
        TPM2B_NV_PUBLIC public = {0};
        TPMS_NV_PUBLIC *p = &public.nvPublic;
        static const TPM2B_AUTH auth;
        ESYS_TR session = ESYS_TR_NONE;
        TSS2_RC rc;
        int r;

        p->nvIndex = index->handle;
        p->nameAlg = TPM2_ALG_SHA256;
        p->attributes = index->attributes;
        p->authPolicy.size = sizeof(index->policy);
        memcpy(p->authPolicy.buffer, index->policy, sizeof(index->policy));
        p->dataSize = index->size;
        r = owner_need(nv, false, &session, error);
        if (r < 0)
                return r;
        object.esys = nv->esys;
        rc = Esys_NV_DefineSpace(nv->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE,
                        &auth, &public, &object.tr);
        return rc == TSS2_RC_SUCCESS ? 0
                                     : rc_error(error, rc, "TPM2_NV_DefineSpace", index->handle);
}

/* bytes NULL: zeros, which are no secret. */
static int write_all(struct tpm_nv *nv, const struct nv_index *index, const uint8_t *bytes,
                size_t size, struct error *error)
{
        _cleanup_tpm_object_ struct tpm_object object = TPM_OBJECT_NONE;
        TPM2B_MAX_NV_BUFFER chunk = {0};
        ESYS_TR session = ESYS_TR_NONE;
        int r = open_exactly(nv, index, &object, error);

        if (r == 0)
                r = owner_need(nv, bytes != NULL, &session, error);
        for (size_t at = 0; r == 0 && at < size; at += chunk.size) {
                TSS2_RC rc;

                chunk.size = (uint16_t)(size - at < nv->chunk ? size - at : nv->chunk);
                if (bytes)
                        memcpy(chunk.buffer, bytes + at, chunk.size);
                rc = Esys_NV_Write(nv->esys, ESYS_TR_RH_OWNER, object.tr, session, ESYS_TR_NONE,
                                ESYS_TR_NONE, &chunk, (uint16_t)at);
                if (rc != TSS2_RC_SUCCESS)
                        r = rc_error(error, rc, "TPM2_NV_Write", index->handle);
        }
        explicit_bzero(&chunk, sizeof(chunk));
        return r;
}

int tpm_nv_write(struct tpm_nv *nv, const struct nv_index *index, struct span bytes,
                struct error *error)
{
        return write_all(nv, index, bytes.data, bytes.size, error);
}

int tpm_nv_write_zeros(struct tpm_nv *nv, const struct nv_index *index, struct error *error)
{
        return write_all(nv, index, NULL, index->size, error);
}

/* A command of the owner's that has nothing but the index. */
typedef TSS2_RC (*owner_command)(ESYS_CONTEXT *, ESYS_TR, ESYS_TR, ESYS_TR, ESYS_TR, ESYS_TR);

static int run_owner(struct tpm_nv *nv, uint32_t handle, owner_command command, const char *name,
                struct error *error)
{
        _cleanup_tpm_object_ struct tpm_object object = TPM_OBJECT_NONE;
        ESYS_TR session = ESYS_TR_NONE;
        TSS2_RC rc;
        int r = object_open(nv, handle, &object, error);

        if (r == 0)
                r = owner_need(nv, false, &session, error);
        if (r < 0)
                return r;
        rc = command(nv->esys, ESYS_TR_RH_OWNER, object.tr, session, ESYS_TR_NONE, ESYS_TR_NONE);
        if (rc != TSS2_RC_SUCCESS)
                return rc_error(error, rc, name, handle);
        if (command == Esys_NV_UndefineSpace)
                object.tr = ESYS_TR_NONE; /* ESYS has closed it */
        return 0;
}

int tpm_nv_write_lock(struct tpm_nv *nv, uint32_t handle, struct error *error)
{
        return run_owner(nv, handle, Esys_NV_WriteLock, "TPM2_NV_WriteLock", error);
}

int tpm_nv_undefine(struct tpm_nv *nv, uint32_t handle, struct error *error)
{
        return run_owner(nv, handle, Esys_NV_UndefineSpace, "TPM2_NV_UndefineSpace", error);
}

/* ---- whoever meets the policy ---- */

/* An assertion holds for one command: afterwards the session is as new. Where that command fails it
 * isn't, and goes. */
static int assert_policy(struct tpm_nv *nv, uint32_t handle, const struct tpm_nv_policy *policy,
                struct error *error)
{
        static const TPM2B_DIGEST as_it_is;
        TPML_PCR_SELECTION selection;
        TSS2_RC rc;
        int r = tpm_session_need(nv->esys, TPM_SESSION_SECRET_POLICY, &nv->policy, error);

        if (r < 0)
                return r;
        pcr_selection(policy->banks, policy->mask, &selection);
        rc = Esys_PolicyPCR(nv->esys, nv->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                        &as_it_is, &selection);
        if (rc == TSS2_RC_SUCCESS)
                return 0;
        tpm_session_end(nv->esys, &nv->policy);
        return rc_error(error, rc, "TPM2_PolicyPCR", handle);
}

int tpm_nv_read(struct tpm_nv *nv, const struct nv_index *index, const struct tpm_nv_policy *policy,
                uint16_t offset, uint16_t size, struct secret *ret, struct error *error)
{
        _cleanup_tpm_object_ struct tpm_object object = TPM_OBJECT_NONE;
        int r = open_exactly(nv, index, &object, error);

        if (r == 0 && size > ret->capacity - ret->size)
                r = error_set(error, ENOBUFS, "no room for %u bytes of an NV index", size);
        while (r == 0 && size > 0) {
                TPM2B_MAX_NV_BUFFER *data = NULL;
                uint16_t part = size < nv->chunk ? size : nv->chunk;
                TSS2_RC rc;

                r = assert_policy(nv, index->handle, policy, error);
                if (r < 0)
                        break;
                rc = Esys_NV_Read(nv->esys, object.tr, object.tr, nv->policy, ESYS_TR_NONE,
                                ESYS_TR_NONE, part, offset, &data);
                if (rc != TSS2_RC_SUCCESS) {
                        tpm_session_end(nv->esys, &nv->policy);
                        return rc_error(error, rc, "TPM2_NV_Read", index->handle);
                }
                if (data->size == part)
                        memcpy(ret->data + ret->size, data->buffer, part);
                else
                        r = error_set(error, EIO, "NV index 0x%08x: the TPM gave %u bytes, not %u",
                                        index->handle, data->size, part);
                explicit_bzero(data, sizeof(*data));
                Esys_Free(data);
                ret->size += r == 0 ? part : 0;
                offset = (uint16_t)(offset + part);
                size = (uint16_t)(size - part);
        }
        return r;
}

int tpm_nv_read_lock(struct tpm_nv *nv, const struct nv_index *index,
                const struct tpm_nv_policy *policy, struct error *error)
{
        _cleanup_tpm_object_ struct tpm_object object = TPM_OBJECT_NONE;
        TSS2_RC rc;
        int r = open_exactly(nv, index, &object, error);

        if (r == 0)
                r = assert_policy(nv, index->handle, policy, error);
        if (r < 0)
                return r;
        rc = Esys_NV_ReadLock(
                        nv->esys, object.tr, object.tr, nv->policy, ESYS_TR_NONE, ESYS_TR_NONE);
        tpm_session_end(nv->esys, &nv->policy); /* nothing comes after a lock that needs it */
        return rc == TSS2_RC_SUCCESS ? 0 : rc_error(error, rc, "TPM2_NV_ReadLock", index->handle);
}
