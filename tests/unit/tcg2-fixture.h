/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_TCG2_PROTOCOL over a made-up TPM that keeps a list of its commands. Expected digests were
 * computed with Python's hashlib. */
#pragma once

#include <errno.h>

#include "base/cleanup.h"
#include "eventlog/parse.h"
#include "tcg2/protocol.h"
#include "tcg2/tpm-command.h"
#include "tests/unit/tap.h"

/* A PCR of zeros extended with the hash of "abc", then with that of nothing; one of ones with that
 * of "abc". */
#define ABC_SHA256         "589f9ffed4c477966bfb8d41f37895b08c69047df8f911d6f3b57fbe08faee8d"
#define ABC_EMPTY_SHA256   "ef6a5fdbba9e14e07fa74d23b7ae639d146ce41635cf3fe44315988c4cbd0caf"
#define ONES_ABC_SHA256    "ded4cee9953bb84c83278424b1e8256ee3483023f4ae5730affa51aad0063efb"
#define ABC_SHA1           "ccd5bd41458de644ac34a2478b58ff819bef5acf"
#define SHA256_OF_32_ZEROS "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"

DEFINE_CLEANUP(struct tcg2 *, tcg2_free)
#define _cleanup_tcg2_ __attribute__((cleanup(tcg2_freep)))

/* ---- a TPM that answers a few commands and remembers all ---- */

struct fake {
        struct tpm tpm;
        struct buf commands; /* their codes, 4 bytes each, little-endian */
        uint32_t n_open;     /* handles given out and not flushed */
        uint32_t next;
        uint32_t rc; /* what all commands get */
        bool broken;
        struct buf last;
};

static inline uint32_t code_of(struct span command)
{
        struct cursor c = CURSOR(command);
        uint32_t code = 0;

        cursor_skip(&c, 6);
        cursor_be32(&c, &code);
        return code;
}

static inline int fake_transmit(
                struct tpm *tpm, struct span command, struct buf *response, struct error *error)
{
        struct fake *fake = (struct fake *)tpm;
        uint32_t code = code_of(command);
        bool opens = code == TPM2_CC_StartAuthSession || code == TPM2_CC_HashSequenceStart ||
                     code == TPM2_CC_LoadExternal;

        if (fake->broken)
                return error_set(error, EIO, "broken");
        buf_put_u32(&fake->commands, code);
        buf_release(&fake->last);
        buf_put_span(&fake->last, command);
        if (fake->rc) {
                tpm_response_error(response, fake->rc);
                return 0;
        }
        if (code == TPM2_CC_FlushContext || code == TPM2_CC_SequenceComplete)
                fake->n_open--;
        buf_put_be16(response, TPM2_ST_NO_SESSIONS);
        buf_put_be32(response, opens ? 14 : 10);
        buf_put_be32(response, TPM2_RC_SUCCESS);
        if (opens) {
                uint32_t type = code == TPM2_CC_StartAuthSession ? 0x03000000u : 0x80000000u;

                buf_put_be32(response, type | fake->next++);
                fake->n_open++;
        }
        return 0;
}

static inline void fake_free(struct tpm *tpm)
{
}

static const struct tpm_ops fake_ops = {.transmit = fake_transmit, .free = fake_free};

static inline void fake_release(struct fake *fake)
{
        buf_release(&fake->commands);
        buf_release(&fake->last);
}
#define FAKE(name) __attribute__((cleanup(fake_release))) struct fake name = {.tpm = {&fake_ops}}

/* ---- shorthands ---- */

static inline struct tcg2_config two_banks(void)
{
        struct tcg2_config config = {.manufacturer = 0x49424d00};

        banks_add(&config.banks, alg_by_name("sha1"));
        banks_add(&config.banks, alg_by_name("sha256"));
        return config;
}

static inline struct tcg2 *new_tcg2(struct tcg2_config config)
{
        struct tcg2 *tcg2 = NULL;
        struct error error = {};

        if (tcg2_new(&config, &tcg2, &error) < 0) {
                printf("# %s\n", error.text);
                exit(1);
        }
        return tcg2;
}

static inline struct tcg2_hash_log_extend event(
                uint32_t pcr, uint32_t type, const char *data, const char *text)
{
        return (struct tcg2_hash_log_extend){.data = SPAN(data, strlen(data)),
                        .size = (uint32_t)(18 + strlen(text)),
                        .header_size = 14,
                        .header_version = 1,
                        .pcr = pcr,
                        .type = type,
                        .event = SPAN(text, strlen(text))};
}

static inline bool pcr_is(const struct tcg2 *tcg2, const char *bank, unsigned pcr, const char *hex)
{
        const struct replay *view = tcg2_view(tcg2);
        const struct alg *alg = alg_by_name(bank);
        char text[2 * DIGEST_MAX_BYTES + 1];

        hex_encode(SPAN(view->pcr[replay_bank(view, alg->id)][pcr].bytes, alg->size), text);
        if (strcmp(text, hex) != 0)
                printf("# %s PCR %u is %s\n", bank, pcr, text);
        return strcmp(text, hex) == 0;
}

/* The payload's agile log must give the payload's PCRs. */
static inline bool log_replays(const struct tcg2 *tcg2, struct span bytes)
{
        struct replay replay;
        struct error error = {};

        if (replay_log(bytes, &replay, &error) < 0) {
                printf("# %s\n", error.text);
                return false;
        }
        for (size_t b = 0; b < replay.banks.n; b++)
                for (unsigned pcr = 0; pcr < PCR_COUNT; pcr++)
                        if (memcmp(replay.pcr[b][pcr].bytes, tcg2_view(tcg2)->pcr[b][pcr].bytes,
                                            replay.banks.alg[b]->size) != 0)
                                return false;
        return true;
}

static inline size_t n_events(struct span bytes)
{
        struct event_log log;
        struct tcg_event e;
        size_t n = 0;
        int r;

        if (event_log_open(&log, bytes, NULL) < 0)
                return SIZE_MAX;
        EVENT_LOG_FOREACH (&log, &e, r, NULL)
                n++;
        return r < 0 ? SIZE_MAX : n;
}
