/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event logs of TPMs: read, replayed, judged, shown, converted. Logs of firmware (TCG PC Client
 * Platform Firmware Profile, SHA-1 and crypto-agile) and of confidential virtual machines (CCEL),
 * with what mkexec adds to them for each kexec; for showing also systemd's, IMA's and Canonical
 * Event Logs.
 *
 * Any bytes may be given: a log proves nothing until its replay agrees with PCRs that a TPM gave.
 * No function does I/O, keeps anything behind what the caller opened, or allocates per event of a
 * TCG log. A log is for one thread at a time, different logs for as many as one likes. Needs
 * libcrypto: pkg-config --libs mkexec-eventlog.
 *
 * Functions return 0 (mkexec_log_next also 1) or a negative errno: -EBADMSG for what isn't a log or
 * breaks off, -ENOMEM, -EOPNOTSUPP for a hash that libcrypto lacks. The reason is a line of UTF-8
 * for people and may be NULL.
 */
#ifndef MKEXEC_EVENTLOG_H
#define MKEXEC_EVENTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MKEXEC_BANKS_MAX 8 /* SHA-1, SHA-256, -384, -512, SM3-256, SHA3-256, -384, -512 */
#define MKEXEC_PCRS      24

struct mkexec_reason {
        char text[512];
};

/* ---- records ---- */

struct mkexec_log;

/* bytes must stay, and stay what they are, until the log is closed. */
int mkexec_log_open(const void *bytes, size_t size, struct mkexec_log **ret,
                struct mkexec_reason *reason);
void mkexec_log_close(struct mkexec_log *log); /* NULL: does nothing */

struct mkexec_digest {
        uint16_t alg;     /* TPM_ALG_ID */
        uint16_t size;    /* bytes */
        const char *bank; /* "sha256": as tpm2-tools call it */
        const uint8_t *bytes;
};

struct mkexec_event {
        size_t index, offset, size; /* of the record in the log; index 0 is the header if there is
                                       one */
        uint32_t pcr;               /* 0-23, anything where type is EV_NO_ACTION (3) */
        uint32_t type;              /* no digest tells it: it isn't proved by a replay */
        const char *type_name;      /* "EV_IPL"; NULL: the specification has no such type */
        const uint8_t *data;        /* into the log's bytes */
        size_t data_size;
        size_t n_digests; /* of known algorithms, in the event's order; none on the header */
        struct mkexec_digest digests[MKEXEC_BANKS_MAX];
};

/* The next event, from the first one: 1, or 0 at the end. Valid until the next call. Behind an
 * event that can't be read there is nothing more. */
int mkexec_log_next(struct mkexec_log *log, struct mkexec_event *ret, struct mkexec_reason *reason);
void mkexec_log_rewind(struct mkexec_log *log);

/* ---- PCRs ---- */

struct mkexec_bank {
        uint16_t alg, size;
        const char *name;
        uint32_t known; /* bit n: value[n] is one that was measured into, or that a TPM gave */
        uint8_t value[MKEXEC_PCRS][64]; /* size bytes of each count */
};

struct mkexec_pcrs {
        size_t n_banks;
        struct mkexec_bank bank[MKEXEC_BANKS_MAX];
};

/* What the PCRs read if the log tells everything, all its banks in one pass. On -EBADMSG *ret has
 * what could be read. */
int mkexec_log_replay(
                struct mkexec_log *log, struct mkexec_pcrs *ret, struct mkexec_reason *reason);

/* Adds a value that a TPM gave, for mkexec_log_check: false if alg or pcr don't exist or size isn't
 * alg's. *pcrs starts as zeros. */
bool mkexec_pcrs_add(struct mkexec_pcrs *pcrs, uint16_t alg, unsigned pcr, const void *value,
                size_t size);

/* ---- judgement ---- */

enum mkexec_result { MKEXEC_OK, MKEXEC_MISMATCH, MKEXEC_MALFORMED };

struct mkexec_verdict {
        enum mkexec_result result;
        struct mkexec_reason
                        reason; /* unless ok: the first one, with event, offset, PCR and bank */
        bool compared;          /* with values of a TPM; without, the log speaks for itself */
        bool first_boot;        /* it tells of the boot that firmware did */
        size_t n_hops;          /* kexecs by mkexec that it tells of */
        bool weak;              /* SHA-1 is its only bank */
        bool unknown_bank;      /* it has a bank that can't be computed and isn't checked */
};

/* As `mkexec log check`: structure, digests against data where that must explain them, order,
 * mkexec's hops, and with pcrs (or NULL) whether the log explains those that are known there. 0
 * with a verdict, also if that is no. */
int mkexec_log_check(struct mkexec_log *log, const struct mkexec_pcrs *pcrs,
                struct mkexec_verdict *ret, struct mkexec_reason *reason);

/* ---- text ---- */

enum mkexec_form {
        MKEXEC_TABLE, /* for people, a line for each record */
        MKEXEC_JSON,  /* architecture.md, "JSON that other programs rely on", `log show --json` */
        MKEXEC_YAML,  /* tpm2_eventlog's; for TCG logs */
};

/* Takes the next part of the text; what isn't 0 ends the call, which returns it. */
typedef int mkexec_write_function(void *context, const char *text, size_t size);

/* Writes any log that is known by its first bytes, as UTF-8 in which no byte of the log can pose as
 * anything but text. name is for people. -EBADMSG: it couldn't be read to its end; what could be is
 * written, and why it ends there. */
int mkexec_log_show(const void *bytes, size_t size, const char *name, enum mkexec_form form,
                mkexec_write_function *write, void *context, struct mkexec_reason *reason);

/* ---- other forms ---- */

enum mkexec_target { MKEXEC_CEL_JSON, MKEXEC_CEL_TLV }; /* TCG Canonical Event Log */

/* Writes the log as `mkexec log convert` does: all of it is read before anything is written. */
int mkexec_log_convert(struct mkexec_log *log, enum mkexec_target target,
                mkexec_write_function *write, void *context, struct mkexec_reason *reason);

#ifdef __cplusplus
}
#endif
#endif
