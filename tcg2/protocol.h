/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI_TCG2_PROTOCOL over bytes (TCG EFI Protocol Specification 1.00, chapter 6): parameter checks,
 * order of checks and status codes as in edk2's Tcg2Dxe, measurements into a record instead of into
 * a TPM. Called by shim/firmware/tcg2-edge, which moves bytes from and to the guest; knows nothing
 * of guest memory.
 *
 * The payload sees one consistent view, that of a boot by firmware in which nothing was measured
 * before it: logs with its own events under its own PCRs, PCRs that start at zero (17-22: ones) and
 * hold these events. The TPM is only read. EFI_STATUS is used here because the status codes are the
 * protocol's semantics.
 *
 * Where we differ from edk2, fail closed: a measurement that can't be recorded, and an event that
 * imitates mkexec's own tags, ends the run (tcg2_failure); EV_NO_ACTION with PE_COFF_IMAGE or with
 * a PCR above 23 (edk2: an NV index) is EFI_INVALID_PARAMETER. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/efi-types.h"
#include "tcg2/record.h"
#include "tcg2/tpm.h"

enum {
        EFI_TCG2_EXTEND_ONLY = 0x1,
        PE_COFF_IMAGE = 0x10,
        EFI_TCG2_EVENT_LOG_FORMAT_TCG_1_2 = 1,
        EFI_TCG2_EVENT_LOG_FORMAT_TCG_2 = 2,
        EFI_TCG2_EVENT_HEADER_BYTES = 18, /* Size .. EventType, before Event */
        EFI_TCG2_CAPABILITY_BYTES = 36,
};

struct tcg2;

struct tcg2_config {
        struct tpm *tpm;          /* stays the caller's; NULL: predict, nothing is sent to a TPM */
        struct banks banks;       /* the active ones, at least one */
        uint32_t supported_banks; /* HashAlgorithmBitmap; the active ones are added */
        uint32_t manufacturer;    /* TPM2_PT_MANUFACTURER */
        uint16_t max_command_bytes, max_response_bytes; /* 0: 4096 */
        uint32_t log_bytes, final_bytes; /* areas in guest memory; 0: edk2's 64 and 32 KiB */
        struct record_limits limits;
};

/* Fills in what a TPM says of itself: banks, supported banks, manufacturer, sizes; and tpm itself.
 * Errors of tpm_active_banks and tpm_properties. */
int tcg2_config_from_tpm(struct tpm *tpm, struct tcg2_config *config, struct error *error);

/* -EINVAL (no bank), -ENOMEM, -EOPNOTSUPP (OpenSSL lacks a bank's algorithm). */
int tcg2_new(const struct tcg2_config *config, struct tcg2 **ret, struct error *error);
/* Ends (see below) and frees. */
void tcg2_free(struct tcg2 *tcg2);
/* Flushes sessions and objects that the payload left open in the TPM; later commands are
 * DEVICE_ERROR. */
void tcg2_end(struct tcg2 *tcg2);

/* What was measured, in order. */
const struct record *tcg2_record(const struct tcg2 *tcg2);
/* Why the run has to end, or NULL. Once set it stays, and every measurement is EFI_DEVICE_ERROR. */
const char *tcg2_failure(const struct tcg2 *tcg2);
/* PCR 0-23 as the payload would read them now. */
const struct replay *tcg2_view(const struct tcg2 *tcg2);

/* A measurement by the firmware itself: hashed is what is hashed (with PE_COFF_IMAGE: a PE file),
 * event the event data. VOLUME_FULL counts as success, as in edk2's callers. */
EFI_STATUS tcg2_measure(struct tcg2 *tcg2, uint64_t flags, uint32_t pcr, uint32_t type,
                struct span hashed, struct span event);

/* ---- the seven functions; `This` and pointers are the edge's ---- */

/* capability: what to write to the caller's structure, *ret_bytes of it, from its start (1 for
 * BUFFER_TOO_SMALL: only Size). size: the Size that the caller gave. */
EFI_STATUS tcg2_get_capability(const struct tcg2 *tcg2, uint8_t size,
                uint8_t capability[EFI_TCG2_CAPABILITY_BYTES], size_t *ret_bytes);

struct tcg2_log {
        bool supported;      /* else nothing below counts */
        struct span bytes;   /* whole log so far; must stand at Location in an area of log_bytes */
        bool has_events;     /* else LastEntry is 0 */
        uint64_t last_entry; /* offset in bytes */
        bool truncated;
};

/* From the first success on, events also go to the final-events table. */
EFI_STATUS tcg2_get_event_log(struct tcg2 *tcg2, uint32_t format, struct tcg2_log *ret);

/* What has to stand in guest memory now: the log of a format, without the
 * effect of GetEventLog, and EFI_TCG2_FINAL_EVENTS_TABLE with its 16-byte head. Both only grow (the
 * head's NumberOfEvents changes). */
struct tcg2_log tcg2_peek_log(const struct tcg2 *tcg2, uint32_t format);
struct span tcg2_final_events(const struct tcg2 *tcg2);
uint32_t tcg2_log_area_bytes(const struct tcg2 *tcg2);
uint32_t tcg2_final_area_bytes(const struct tcg2 *tcg2);

/* One HashLogExtendEvent, with the fields of EFI_TCG2_EVENT as they stood in memory. */
struct tcg2_hash_log_extend {
        uint64_t flags;
        bool data_is_null; /* DataToHash == 0 */
        struct span data;
        uint32_t size, header_size;
        uint16_t header_version; /* not looked at, as in edk2 */
        uint32_t pcr, type;
        struct span event; /* from offset 18, tcg2_event_data_bytes() long */
};

/* Size - 4 - HeaderSize: what is logged as event data; false if that is negative
 * (INVALID_PARAMETER). */
static inline bool tcg2_event_data_bytes(uint32_t size, uint32_t header_size, uint32_t *ret)
{
        if (size < (uint64_t)header_size + 4)
                return false;
        *ret = size - 4 - header_size;
        return true;
}

EFI_STATUS tcg2_hash_log_extend_event(
                struct tcg2 *tcg2, const struct tcg2_hash_log_extend *request);

/* response_bytes: size of the caller's buffer; *response gets what to write there (appended). */
EFI_STATUS tcg2_submit_command(struct tcg2 *tcg2, struct span command, uint32_t response_bytes,
                struct buf *response);
/* What the payload may send at most (MaxCommandSize): the edge copies no more. */
uint32_t tcg2_max_command_bytes(const struct tcg2 *tcg2);

uint32_t tcg2_active_pcr_banks(const struct tcg2 *tcg2);
/* A request for the next boot by firmware, which a kexec isn't: EFI_SUCCESS only for what is
 * active. */
EFI_STATUS tcg2_set_active_pcr_banks(struct tcg2 *tcg2, uint32_t banks);
EFI_STATUS tcg2_get_result_of_set_active_pcr_banks(
                const struct tcg2 *tcg2, uint32_t *present, uint32_t *response);
