/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the logs give against the values of a TPM, PCR by PCR and bank by bank. */
#include <errno.h>
#include <string.h>

#include "eventlog/check-parts.h"

#define STATIC_PCRS     0xffffu   /* 0-15: nothing but a reset of the machine resets them */
#define RESETTABLE_PCRS 0x810000u /* 16, 23: anybody resets them */
#define BOOT_PCRS                                                                       \
        0x1ffu /* 0-8: nobody extends them but firmware, boot loaders and mkexec, which \
                  write logs. (systemd 261 extends more: then its log is there.) */
#define SYSTEM_PCRS 0xfa00u /* 9, 11-15: systemd's as well */
#define IMA_PCR     10

/* An earlier kernel's list is lost: PCR 10 then starts somewhere. */
static bool ima_is_told(const struct check_result *result, const struct check_input *input)
{
        return input->chain.ima.size > 0 && result->chain.n_boots == 1;
}

static enum check_pcr judge(const struct check_result *result, const struct check_input *input,
                size_t b, unsigned pcr)
{
        const struct replay *replay = &result->chain.replay, *pcrs = input->pcrs;
        int k = pcrs ? replay_bank(pcrs, replay->banks.alg[b]->id) : -1;
        uint32_t bit = 1u << pcr;

        if (k < 0 || !(pcrs->measured[k] & bit))
                return CHECK_PCR_NOT_COMPARED;
        if (replay->lacking[b] & bit)
                return CHECK_PCR_LACKING;
        if (memcmp(replay->pcr[b][pcr].bytes, pcrs->pcr[k][pcr].bytes,
                            replay->banks.alg[b]->size) == 0)
                return CHECK_PCR_PROVED;
        if ((RESETTABLE_PCRS & bit) ||
                        (pcr == IMA_PCR && !result->cc && !ima_is_told(result, input)))
                return CHECK_PCR_OPAQUE;
        if (replay->measured[b] & bit)
                return CHECK_PCR_DIFFERS;
        return result->firmware && !result->cc && (BOOT_PCRS & bit) ? CHECK_PCR_DIFFERS
                                                                    : CHECK_PCR_OPAQUE;
}

/* ---- what is wrong ---- */

/* systemd extends these as well. */
static const char *hint(
                const struct check_result *result, const struct check_input *input, unsigned pcr)
{
        if (!(SYSTEM_PCRS & 1u << pcr) || !result->firmware || result->cc)
                return "";
        if (input->systemd_lacks)
                return "; systemd's logs, which may tell of more, lack records";
        return input->chain.n_systemd < result->chain.n_boots
                               ? "; systemd's log, which may tell of more, isn't there"
                               : "";
}

static int differs(const struct check_result *result, const struct check_input *input, size_t b,
                unsigned pcr, struct error *reason)
{
        const char *bank = result->chain.replay.banks.alg[b]->name;
        bool measured = result->chain.replay.measured[b] & 1u << pcr;

        if (pcr == HOP_PCR && result->firmware && !result->cc)
                return error_set(reason, EBADMSG,
                                "PCR %u, bank %s: isn't what the log's %zu hops and the events "
                                "before them give",
                                pcr, bank, result->hops.n_hops);
        if (!measured && result->hops.n_hops > 0 && !result->hops.first_boot)
                return error_set(reason, EBADMSG,
                                "PCR %u, bank %s: was extended, but the log has no event of the "
                                "first boot",
                                pcr, bank);
        if (!measured)
                return error_set(reason, EBADMSG,
                                "PCR %u, bank %s: was extended, but no log has an event of it", pcr,
                                bank);
        if (pcr == IMA_PCR && input->chain.ima.size > 0)
                return error_set(reason, EBADMSG,
                                "PCR %u, bank %s: isn't what IMA's list gives at any of its %zu "
                                "records",
                                pcr, bank, result->chain.n_ima);
        return error_set(reason, EBADMSG, "PCR %u, bank %s: isn't what the log's events give%s",
                        pcr, bank, hint(result, input, pcr));
}

static uint32_t pcrs_with(const struct check_result *result, size_t b, enum check_pcr status)
{
        uint32_t mask = 0;

        for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                if (result->pcr[b][pcr] == status)
                        mask |= 1u << pcr;
        return mask;
}

/* A hop is bound by PCR 8 and the registers that it went to. */
static int check_registers(const struct check_result *result, size_t b, struct error *reason)
{
        uint32_t compared = ~pcrs_with(result, b, CHECK_PCR_NOT_COMPARED);
        uint32_t missing = result->hops.registers & ~compared;

        return (compared & STATIC_PCRS) && missing
                               ? error_set(reason, EBADMSG,
                                                 "PCR %d, bank %s: a hop went there, but no value "
                                                 "of it was given",
                                                 __builtin_ctz(missing),
                                                 result->chain.replay.banks.alg[b]->name)
                               : 0;
}

static int check_bank(const struct check_result *result, const struct check_input *input, size_t b,
                struct error *reason)
{
        uint32_t wrong = pcrs_with(result, b, CHECK_PCR_DIFFERS);
        int r = check_registers(result, b, reason);

        if (r < 0 || !wrong)
                return r;
        return differs(result, input, b,
                        wrong & 1u << HOP_PCR ? HOP_PCR : (unsigned)__builtin_ctz(wrong), reason);
}

/* An event that a bank lacks may be anybody's invention there: a bank that has all must agree. */
static int check_lacking(const struct check_result *result, struct error *reason)
{
        uint32_t proved = 0;

        for (size_t b = 0; b < result->chain.replay.banks.n; b++)
                proved |= pcrs_with(result, b, CHECK_PCR_PROVED);
        for (size_t b = 0; b < result->chain.replay.banks.n; b++) {
                uint32_t open = pcrs_with(result, b, CHECK_PCR_LACKING) & ~proved;

                if (open)
                        return error_set(reason, EBADMSG,
                                        "PCR %d, bank %s: an event has no digest for it, and no "
                                        "other bank proves the PCR",
                                        __builtin_ctz(open),
                                        result->chain.replay.banks.alg[b]->name);
        }
        return 0;
}

int check_pcrs(struct check_result *result, const struct check_input *input, struct error *reason)
{
        uint32_t compared = 0;
        int r = 0;

        for (size_t b = 0; b < result->chain.replay.banks.n; b++) {
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        result->pcr[b][pcr] = judge(result, input, b, pcr);
                compared |= ~pcrs_with(result, b, CHECK_PCR_NOT_COMPARED) & ((1u << PCR_COUNT) - 1);
        }
        if (!input->pcrs)
                return 0;
        if (!compared)
                return error_set(reason, EBADMSG, "no value was given for any bank of the logs");
        if (result->firmware && !result->cc && !(compared & 1u << HOP_PCR) &&
                        result->hops.n_hops > 0)
                return error_set(reason, EBADMSG,
                                "no value of PCR %d was given for any bank of the log", HOP_PCR);
        if (result->firmware && !result->cc && !(compared & 1u << HOP_PCR))
                result->notes[NOTE_PCR8_UNKNOWN].n = 1;
        for (size_t b = 0; r == 0 && b < result->chain.replay.banks.n; b++)
                r = check_bank(result, input, b, reason);
        return r == 0 ? check_lacking(result, reason) : r;
}
