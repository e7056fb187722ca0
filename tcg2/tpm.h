/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TPM as the rest of mkexec sees it: a seam of a few operations, so that a recorded or made-up
 * TPM can stand in for the real one (tests). tpm-esys.c is the real one, over tpm2-tss; only
 * tpm-*.c know TSS2_RC. Errors: -EREMOTEIO if the TPM answered with an error code (the text has it
 * in the TSS's words), -EIO if it couldn't be reached or its answer made no sense, others where
 * said. */
#pragma once

#include <stdint.h>

#include "base/alg.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "eventlog/replay.h"

#define TPM_ALL_PCRS 0x00ffffffu /* PC Client Platform TPM Profile 4.6: PCR 0-23 */
#define TPM_MAX_BUFFER \
        4096 /* no PC TPM takes or gives more; TPM2_PT_MAX_COMMAND_SIZE says how much */

/* TPM2_GetCapability(TPM2_CAP_TPM_PROPERTIES), the fixed group. */
struct tpm_properties {
        uint32_t manufacturer; /* TPM2_PT_MANUFACTURER: four characters, the first in the top byte
                                */
        uint32_t max_command_bytes, max_response_bytes;
        uint32_t n_pcrs;
        uint64_t firmware_version; /* FIRMWARE_VERSION_1 << 32 | FIRMWARE_VERSION_2 */
};

struct tpm;
struct ESYS_CONTEXT;

/* A row of TPM2_GetCapability(TPM2_CAP_PCRS). */
struct tpm_bank {
        uint16_t alg_id;
        uint32_t pcrs;   /* mask of PCRs that are allocated; 0: the bank is inactive */
        bool unsendable; /* the TPM's library can't extend it */
};
#define TPM_BANKS_MAX 16

struct tpm_ops {
        int (*bank_list)(struct tpm *tpm, struct tpm_bank ret[TPM_BANKS_MAX], size_t *ret_n,
                        struct error *error);
        int (*pcr_read)(struct tpm *tpm, const struct banks *banks, uint32_t mask,
                        struct replay *ret, struct error *error);
        int (*pcr_extend)(struct tpm *tpm, unsigned pcr, const struct digests *digests,
                        struct error *error);
        int (*properties)(struct tpm *tpm, struct tpm_properties *ret, struct error *error);
        int (*transmit)(struct tpm *tpm, struct span command, struct buf *response,
                        struct error *error);
        struct ESYS_CONTEXT *(*esys_context)(struct tpm *tpm); /* NULL: not over tpm2-tss */
        void (*free)(struct tpm *tpm);
};

struct tpm {
        const struct tpm_ops *ops;
};

/* The banks that every event must be extended in, in the TPM's order. A bank is active if it has
 * any of PCR 0-15. -EOPNOTSUPP and its name: one that has only some of them, or whose algorithm
 * base/alg can't compute; its PCRs would not tell of the hop. -ENODEV: no bank is active. */
int tpm_active_banks(struct tpm *tpm, struct banks *ret, struct error *error);
/* The same where the user said to go on: without those banks, which left_out names (empty text:
 * none). */
int tpm_usable_banks(
                struct tpm *tpm, struct banks *ret, struct error *left_out, struct error *error);

/* All PCRs of mask in all banks, with as few TPM2_PCR_Read as the TPM allows (8 digests each). All
 * values are of one moment: when the update counter moves in between it starts over, -EAGAIN after
 * some tries. measured then tells which were read. -ENXIO: a bank doesn't have a PCR. */
static inline int tpm_pcr_read(struct tpm *tpm, const struct banks *banks, uint32_t mask,
                struct replay *ret, struct error *error)
{
        return tpm->ops->pcr_read(tpm, banks, mask, ret, error);
}

/* One TPM2_PCR_Extend with all digests. -EREMOTEIO: the TPM answered with an error, the PCR is as
 * it was; on -EIO nobody knows whether the TPM did it: read the PCR. */
static inline int tpm_pcr_extend(
                struct tpm *tpm, unsigned pcr, const struct digests *digests, struct error *error)
{
        return tpm->ops->pcr_extend(tpm, pcr, digests, error);
}

static inline int tpm_properties(struct tpm *tpm, struct tpm_properties *ret, struct error *error)
{
        return tpm->ops->properties(tpm, ret, error);
}

/* One command as it is; the answer (whatever its response code) is appended to *response. What may
 * be sent is the caller's business: tcg2/submit for payloads. */
static inline int tpm_transmit(
                struct tpm *tpm, struct span command, struct buf *response, struct error *error)
{
        return tpm->ops->transmit(tpm, command, response, error);
}

/* For tpm-nv.c and tpm-ak.c; NULL for a TPM that isn't one of tpm_esys_open. */
static inline struct ESYS_CONTEXT *tpm_esys_context(struct tpm *tpm)
{
        return tpm->ops->esys_context ? tpm->ops->esys_context(tpm) : NULL;
}

static inline void tpm_free(struct tpm *tpm)
{
        tpm->ops->free(tpm);
}

DEFINE_CLEANUP(struct tpm *, tpm_free)

/* tcti: as tpm2-tools takes it ("swtpm:port=2321", "device:/dev/tpm0"); NULL: $TPM2TOOLS_TCTI, else
 * /dev/tpmrm0, else /dev/tpm0. -ENODEV: no TPM there, -EACCES: not allowed, -EBUSY: in use. */
int tpm_esys_open(const char *tcti, struct tpm **ret, struct error *error);
/* A second connection, once, to the same TPM, which is one of tpm_esys_open's: for those who can't
 * open it later any more (a sandbox). The first operation of this seam that breaks in the middle
 * (-EIO) gives up the one that it was on, and whatever begins after it goes over the other; NV and
 * keys that are open don't. tcti and errors: as tpm_esys_open. */
int tpm_keep_spare(struct tpm *tpm, const char *tcti, struct error *error);
/* Whether the TPM behind it may be connected to anew for each command, as tpm2-tss does with swtpm:
 * all but devices. */
bool tpm_reconnects(const char *tcti);
