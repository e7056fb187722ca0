/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TPM seam over tpm2-tss (ESYS, and its TCTI for raw commands). Like all of tpm-*.c it knows
 * TSS2_RC, which nothing else does. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include "tcg2/pcr-selection.h"
#include "tcg2/tpm-rc.h"
#include "tcg2/tpm-tcti.h"
#include "tcg2/tpm.h"

struct tpm_esys {
        struct tpm tpm;
        TSS2_TCTI_CONTEXT *tcti;
        ESYS_CONTEXT *esys;
        TSS2_TCTI_CONTEXT *spare;       /* tpm_keep_spare; NULL: none, or used */
        TSS2_TCTI_CONTEXT *broken_tcti; /* what it took the place of */
        ESYS_CONTEXT *broken_esys;
};

static struct tpm_esys *esys_of(struct tpm *tpm)
{
        return (struct tpm_esys *)tpm; /* its first member */
}

/* ---- which TPM ---- */

/* Says in plain words why a device can't be used, which tpm2-tss' codes don't. */
static int check_device(const char *path, struct error *error)
{
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

        if (fd >= 0) {
                close(fd);
                return 0;
        }
        switch (errno) {
        case EACCES:
        case EPERM:
                return error_set(
                                error, EPERM, "%s: not allowed: be root or in the group tss", path);
        case EBUSY:
                return error_set(error, EBUSY, "%s: in use by another program (use /dev/tpmrm0)",
                                path);
        case ENOENT:
        case ENODEV:
        case ENXIO:
                return error_set(error, ENODEV, "%s: no TPM there", path);
        default:
                return error_set(error, errno, "%s: %s", path, strerror(errno));
        }
}

/* The resource manager's device if there is one: others may use the TPM at the same time. */
static int default_tcti(const char **ret, struct error *error)
{
        static const char *const candidates[] = {"device:/dev/tpmrm0", "device:/dev/tpm0"};

        for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
                int r = check_device(candidates[i] + strlen("device:"), error);

                if (r == 0)
                        *ret = candidates[i];
                if (r != -ENODEV)
                        return r;
        }
        return error_set(error, ENODEV, "no TPM: neither /dev/tpmrm0 nor /dev/tpm0 is there");
}

static int choose_tcti(const char **tcti, struct error *error)
{
        const char *environment = getenv("TPM2TOOLS_TCTI");

        if (!*tcti && environment && environment[0])
                *tcti = environment;
        if (!*tcti)
                return default_tcti(tcti, error);
        if (strncmp(*tcti, "device:/", 8) == 0)
                return check_device(*tcti + 7, error);
        return 0;
}

/* ---- a connection that broke ---- */

/* tpm2-tss goes on with none that broke in the middle of a command: its contexts then refuse every
 * call. They stay until tpm_free, since sessions and objects that are open (tpm-nv.c, tpm-ak.c)
 * refer to them. */
static void take_spare(struct tpm_esys *t)
{
        ESYS_CONTEXT *esys;

        if (!t->spare || Esys_Initialize(&esys, t->spare, NULL) != TSS2_RC_SUCCESS)
                return;
        t->broken_esys = t->esys;
        t->broken_tcti = t->tcti;
        t->esys = esys;
        t->tcti = t->spare;
        t->spare = NULL;
}

static int failed(struct tpm_esys *t, TSS2_RC rc, const char *what, struct error *error)
{
        int r = tpm_rc_error(error, rc, what);

        if (r == -EIO)
                take_spare(t);
        return r;
}

int tpm_keep_spare(struct tpm *tpm, const char *tcti, struct error *error)
{
        struct tpm_esys *t = esys_of(tpm);
        int r = choose_tcti(&tcti, error);

        return r < 0 || t->spare || t->broken_esys ? r : tcti_open(tcti, &t->spare, error);
}

/* ---- operations ---- */

static int get_capability(struct tpm_esys *t, TPM2_CAP capability, uint32_t property,
                uint32_t count, TPMS_CAPABILITY_DATA **ret, struct error *error)
{
        TPMI_YES_NO more;
        TSS2_RC rc;

        rc = Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, capability,
                        property, count, &more, ret);
        if (rc != TSS2_RC_SUCCESS)
                return failed(t, rc, "TPM2_GetCapability", error);
        return 0;
}

/* tpm2-tss 3.2 can't write a TPMT_HA of SHA-3. */
static bool can_send(uint16_t alg_id)
{
        TPMT_HA digest = {.hashAlg = alg_id};
        uint8_t bytes[sizeof(digest)];
        size_t offset = 0;

        return Tss2_MU_TPMT_HA_Marshal(&digest, bytes, sizeof(bytes), &offset) == TSS2_RC_SUCCESS;
}

static int esys_bank_list(struct tpm *tpm, struct tpm_bank ret[TPM_BANKS_MAX], size_t *ret_n,
                struct error *error)
{
        _cleanup_esys_ TPMS_CAPABILITY_DATA *data = NULL;
        const TPML_PCR_SELECTION *list;
        int r;

        r = get_capability(esys_of(tpm), TPM2_CAP_PCRS, 0, TPM2_MAX_CAP_BUFFER, &data, error);
        if (r < 0)
                return r;
        list = &data->data.assignedPCR;
        if (list->count > TPM_BANKS_MAX)
                return error_set(error, EIO, "the TPM tells of %u PCR banks", list->count);
        for (uint32_t i = 0; i < list->count; i++)
                ret[i] = (struct tpm_bank){list->pcrSelections[i].hash,
                                pcr_selection_mask(&list->pcrSelections[i]),
                                !can_send(list->pcrSelections[i].hash)};
        *ret_n = list->count;
        return 0;
}

/* What is still to be read, per bank, as a selection. */
static bool select_left(const struct banks *banks, const uint32_t left[], TPML_PCR_SELECTION *ret)
{
        *ret = (TPML_PCR_SELECTION){};
        for (size_t b = 0; b < banks->n; b++)
                if (left[b])
                        pcr_selection_add(ret, banks->alg[b], left[b]);
        return ret->count > 0;
}

/* Takes the values of one response over and out of left. */
static int take_values(const TPML_PCR_SELECTION *selected, const TPML_DIGEST *values,
                struct replay *pcrs, uint32_t left[], struct error *error)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < selected->count; i++) {
                uint32_t mask = pcr_selection_mask(&selected->pcrSelections[i]);
                int b = replay_bank(pcrs, selected->pcrSelections[i].hash);

                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++) {
                        const TPM2B_DIGEST *value = &values->digests[n];

                        if (!(mask & 1u << pcr))
                                continue;
                        if (b < 0 || n >= values->count ||
                                        value->size != pcrs->banks.alg[b]->size ||
                                        !(left[b] & 1u << pcr))
                                return error_set(error, EIO,
                                                "TPM2_PCR_Read: the TPM gave other PCRs than "
                                                "asked");
                        memcpy(pcrs->pcr[b][pcr].bytes, value->buffer, value->size);
                        pcrs->measured[b] |= 1u << pcr;
                        left[b] &= ~(1u << pcr);
                        n++;
                }
        }
        if (n == 0)
                return error_set(error, ENXIO,
                                "TPM2_PCR_Read: the TPM doesn't have all PCRs asked for");
        return 0;
}

/* One pass. Returns 1 if a PCR was extended meanwhile. */
static int read_once(struct tpm_esys *t, const struct banks *banks, uint32_t mask,
                struct replay *pcrs, struct error *error)
{
        uint32_t left[ALG_MAX] = {}, first_counter = 0, counter = 0;
        TPML_PCR_SELECTION selection;
        bool first = true;
        int r;

        for (size_t b = 0; b < banks->n; b++)
                left[b] = mask;
        while (select_left(banks, left, &selection)) {
                _cleanup_esys_ TPML_PCR_SELECTION *selected = NULL;
                _cleanup_esys_ TPML_DIGEST *values = NULL;
                TSS2_RC rc;

                rc = Esys_PCR_Read(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection,
                                &counter, &selected, &values);
                if (rc != TSS2_RC_SUCCESS)
                        return failed(t, rc, "TPM2_PCR_Read", error);
                r = take_values(selected, values, pcrs, left, error);
                if (r < 0)
                        return r;
                if (first)
                        first_counter = counter;
                first = false;
                if (counter != first_counter)
                        return 1;
        }
        return 0;
}

static int esys_pcr_read(struct tpm *tpm, const struct banks *banks, uint32_t mask,
                struct replay *ret, struct error *error)
{
        enum { TRIES = 16 }; /* IMA may extend PCR 10 at any time */
        struct replay pcrs;
        int r;

        for (unsigned i = 0; i < TRIES; i++) {
                replay_start_zero(&pcrs, banks);
                r = read_once(esys_of(tpm), banks, mask & TPM_ALL_PCRS, &pcrs, error);
                if (r < 0)
                        return r;
                if (r == 0) {
                        *ret = pcrs;
                        return 0;
                }
        }
        return error_set(error, EAGAIN, "TPM2_PCR_Read: PCRs change all the time, try again");
}

static int esys_pcr_extend(
                struct tpm *tpm, unsigned pcr, const struct digests *digests, struct error *error)
{
        TPML_DIGEST_VALUES values = {.count = (uint32_t)digests->n};
        struct tpm_esys *t = esys_of(tpm);
        TSS2_RC rc;

        if (pcr >= PCR_COUNT || digests->n == 0)
                return error_set(error, EINVAL, "PCR %u can't be extended", pcr);
        for (size_t i = 0; i < digests->n; i++) {
                values.digests[i].hashAlg = digests->d[i].alg->id;
                memcpy(&values.digests[i].digest, digests->d[i].bytes, digests->d[i].alg->size);
        }
        rc = Esys_PCR_Extend(t->esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                        ESYS_TR_NONE, &values);
        if (rc != TSS2_RC_SUCCESS)
                return error_prefix(error, failed(t, rc, "TPM2_PCR_Extend", error), "PCR %u", pcr);
        return 0;
}

static int esys_properties(struct tpm *tpm, struct tpm_properties *ret, struct error *error)
{
        _cleanup_esys_ TPMS_CAPABILITY_DATA *data = NULL;
        const TPML_TAGGED_TPM_PROPERTY *list;
        struct tpm_properties p = {};
        int r;

        r = get_capability(esys_of(tpm), TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FIXED,
                        TPM2_MAX_TPM_PROPERTIES, &data, error);
        if (r < 0)
                return r;
        list = &data->data.tpmProperties;
        for (uint32_t i = 0; i < list->count; i++) {
                uint32_t value = list->tpmProperty[i].value;

                switch (list->tpmProperty[i].property) {
                case TPM2_PT_MANUFACTURER:
                        p.manufacturer = value;
                        break;
                case TPM2_PT_MAX_COMMAND_SIZE:
                        p.max_command_bytes = value;
                        break;
                case TPM2_PT_MAX_RESPONSE_SIZE:
                        p.max_response_bytes = value;
                        break;
                case TPM2_PT_PCR_COUNT:
                        p.n_pcrs = value;
                        break;
                case TPM2_PT_FIRMWARE_VERSION_1:
                        p.firmware_version |= (uint64_t)value << 32;
                        break;
                case TPM2_PT_FIRMWARE_VERSION_2:
                        p.firmware_version |= value;
                        break;
                }
        }
        if (p.manufacturer == 0 || p.max_command_bytes == 0 || p.max_response_bytes == 0)
                return error_set(error, EIO, "TPM2_GetCapability: the TPM doesn't tell its sizes");
        *ret = p;
        return 0;
}

static int esys_transmit(
                struct tpm *tpm, struct span command, struct buf *response, struct error *error)
{
        struct tpm_esys *t = esys_of(tpm);
        uint8_t bytes[TPM_MAX_BUFFER];
        size_t size = sizeof(bytes);
        TSS2_RC rc;

        rc = Tss2_Tcti_Transmit(t->tcti, command.size, command.data);
        if (rc != TSS2_RC_SUCCESS)
                return failed(t, rc, "sending a command to the TPM", error);
        rc = Tss2_Tcti_Receive(t->tcti, &size, bytes, TSS2_TCTI_TIMEOUT_BLOCK);
        if (rc != TSS2_RC_SUCCESS)
                return failed(t, rc, "receiving the TPM's answer", error);
        buf_put(response, bytes, size);
        return buf_failed(response) ? -ENOMEM : 0;
}

static void esys_free(struct tpm *tpm)
{
        struct tpm_esys *t = esys_of(tpm);

        if (t->esys)
                Esys_Finalize(&t->esys);
        if (t->broken_esys)
                Esys_Finalize(&t->broken_esys);
        tcti_close(&t->tcti);
        if (t->spare)
                tcti_close(&t->spare);
        if (t->broken_tcti)
                tcti_close(&t->broken_tcti);
        free(t);
}

static struct ESYS_CONTEXT *esys_context(struct tpm *tpm)
{
        return esys_of(tpm)->esys;
}

static const struct tpm_ops esys_ops = {
                .bank_list = esys_bank_list,
                .pcr_read = esys_pcr_read,
                .pcr_extend = esys_pcr_extend,
                .properties = esys_properties,
                .transmit = esys_transmit,
                .esys_context = esys_context,
                .free = esys_free,
};

/* ---- opening ---- */

int tpm_esys_open(const char *tcti, struct tpm **ret, struct error *error)
{
        struct tpm_esys *t;
        TSS2_RC rc;
        int r;

        /* It would print its own lines about every failure that we report. */
        setenv("TSS2_LOG", "all+NONE", 0);
        r = choose_tcti(&tcti, error);
        if (r < 0)
                return r;
        t = calloc(1, sizeof(*t));
        if (!t)
                return error_set(error, ENOMEM, "no memory for the TPM's context");
        t->tpm.ops = &esys_ops;
        r = tcti_open(tcti, &t->tcti, error);
        if (r < 0) {
                free(t);
                return r;
        }
        rc = Esys_Initialize(&t->esys, t->tcti, NULL);
        if (rc != TSS2_RC_SUCCESS) {
                r = tpm_rc_error(error, rc, "Esys_Initialize");
                esys_free(&t->tpm);
                return r;
        }
        *ret = &t->tpm;
        return 0;
}
