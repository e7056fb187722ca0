/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SubmitCommand: rows of commands as a payload sends them, to a TPM that answers with bytes of the
 * input. Nothing that changes a TPM may arrive there, every answer is a well-formed response, and
 * what was recorded gives the PCRs that the payload reads. Input: chunks (u16 length, bytes), in
 * turn a command and an answer of the TPM for when it is asked. Corpus:
 * tests/corpus/submit-command/ (made by tests/corpus/make-tcg2.py). */
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_tpm2_types.h>

#include "base/cleanup.h"
#include "tcg2/protocol.h"
#include "tests/fuzz/tcg2-record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

/* What changes a TPM or tells of its real PCRs; kept apart from the filter's own table on purpose.
 */
static const uint32_t never[] = {TPM2_CC_NV_UndefineSpaceSpecial, TPM2_CC_EvictControl,
                TPM2_CC_HierarchyControl, TPM2_CC_NV_UndefineSpace, TPM2_CC_ChangeEPS,
                TPM2_CC_ChangePPS, TPM2_CC_Clear, TPM2_CC_ClearControl, TPM2_CC_ClockSet,
                TPM2_CC_HierarchyChangeAuth, TPM2_CC_NV_DefineSpace, TPM2_CC_PCR_Allocate,
                TPM2_CC_PCR_SetAuthPolicy, TPM2_CC_PP_Commands, TPM2_CC_SetPrimaryPolicy,
                TPM2_CC_ClockRateAdjust, TPM2_CC_NV_GlobalWriteLock, TPM2_CC_NV_Increment,
                TPM2_CC_NV_SetBits, TPM2_CC_NV_Extend, TPM2_CC_NV_Write, TPM2_CC_NV_WriteLock,
                TPM2_CC_DictionaryAttackLockReset, TPM2_CC_DictionaryAttackParameters,
                TPM2_CC_NV_ChangeAuth, TPM2_CC_PCR_Event, TPM2_CC_PCR_Reset,
                TPM2_CC_SetAlgorithmSet, TPM2_CC_SetCommandCodeAuditStatus, TPM2_CC_SelfTest,
                TPM2_CC_Startup, TPM2_CC_Shutdown, TPM2_CC_NV_ReadLock, TPM2_CC_ObjectChangeAuth,
                TPM2_CC_Quote, TPM2_CC_StirRandom, TPM2_CC_PCR_SetAuthValue, TPM2_CC_PCR_Extend,
                TPM2_CC_PCR_Read, TPM2_CC_EventSequenceComplete};

struct fake {
        struct tpm tpm;
        struct span answer;
};

static int fake_transmit(
                struct tpm *tpm, struct span command, struct buf *response, struct error *error)
{
        struct fake *fake = (struct fake *)tpm;
        struct cursor c = CURSOR(command);
        uint32_t bytes = 0, code = 0;

        (void)error;
        require(cursor_skip(&c, 2) && cursor_be32(&c, &bytes) && cursor_be32(&c, &code));
        require(bytes == command.size);
        for (size_t i = 0; i < ARRAY_SIZE(never); i++)
                require(code != never[i]);
        buf_put_span(response, fake->answer);
        return buf_failed(response) ? -1 : 0;
}

static const struct tpm_ops fake_ops = {.transmit = fake_transmit};

static bool take_chunk(struct cursor *c, struct span *ret)
{
        uint16_t bytes;

        if (!cursor_u16(c, &bytes))
                return false;
        return cursor_take(c, bytes < cursor_left(c) ? bytes : cursor_left(c), ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fake fake = {.tpm = {&fake_ops}};
        struct tcg2_config config = {.tpm = &fake.tpm, .limits = {.n_events = 64}};
        struct cursor c = CURSOR(SPAN(data, size));
        struct span command;
        struct tcg2 *tcg2;

        banks_add(&config.banks, alg_by_id(TPM_ALG_SHA256));
        banks_add(&config.banks, alg_by_id(TPM_ALG_SHA1));
        require(tcg2_new(&config, &tcg2, NULL) == 0);
        while (take_chunk(&c, &command) && take_chunk(&c, &fake.answer)) {
                _cleanup_buf_ struct buf response = {0};
                EFI_STATUS status = tcg2_submit_command(tcg2, command, 4096, &response);
                struct cursor answer = CURSOR(buf_span(&response));
                uint32_t bytes = 0;

                if (status != EFI_SUCCESS)
                        require(response.size == 0);
                else
                        require(cursor_skip(&answer, 2) && cursor_be32(&answer, &bytes) &&
                                        bytes == response.size && bytes >= 10);
        }
        require(record_gives_view(tcg2, &config.banks));
        tcg2_free(tcg2);
        return 0;
}
