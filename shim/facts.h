/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machine facts: all that a prediction depends on beyond payload and options, read from this
 * machine or from a file that `status --machine` wrote on another one. What can't be read without
 * root is left out, and `missing` says so: a prediction that lacks it may differ. */
#pragma once

#include <json-c/json.h>

#include "base/alg.h"
#include "base/buf.h"
#include "base/error.h"
#include "eventlog/replay.h"
#include "shim/firmware/firmware.h"
#include "shim/handover/handover.h"
#include "shim/signature-rules.h"
#include "tcg2/tpm.h"

struct facts {
        bool elsewhere;          /* from a file: of another machine */
        bool have_tpm;           /* banks and registers are a TPM's */
        struct banks banks;      /* without a TPM: all that we can compute but SM3 */
        struct replay registers; /* PCR values; zeros without a TPM */
        uint32_t hop;            /* number that the next hop gets */
        struct buf log;          /* firmware log with earlier hops, trimmed; may be empty */
        bool log_missing;        /* there may be one that couldn't be read */
        struct fw_variable *variables;
        size_t n_variables;
        struct signature_rules rules; /* what must be signed besides what Secure Boot demands */
        uint64_t smbios_address; /* of the entry point; 0: unknown, as after a boot by a BIOS */
        struct buf smbios_entry, smbios_tables; /* as in /sys/firmware/dmi/tables; empty: none */
        struct handover_facts
                        host; /* memory map, tables, framebuffer ...; made up where elsewhere */
        struct buf esp_device_path; /* from a file only; else esp_find tells */
        char missing[256];          /* "TPM, event log": comma-separated, "" if all is there */
};

/* Names what a prediction has to do without. */
void facts_miss(struct facts *facts, const char *what);
void facts_release(struct facts *facts);

/* Address of SMBIOS's structure table and the GUID of the configuration table, from the entry point
 * (SMBIOS 3.6, 5.2). False: not an entry point. */
bool facts_smbios(const struct facts *facts, EFI_GUID *ret_guid, uint64_t *ret_tables_address);

/* Whether the next kernel, which looks for the entry point in a configuration table only, needs a
 * copy of it: nobody tells where a BIOS has it, or it is the copy of an earlier hop, whose memory
 * is free again. */
bool facts_smbios_moves(const struct facts *facts);

/* tpm may be NULL. log: the log with all hops so far (shim/boot-log.h), empty if the kernel has
 * none, NULL if it couldn't be read. for_load: what the hand-over needs must be there (else: made
 * up, and named in missing). */
int facts_read(struct tpm *tpm, const struct span *log, bool for_load, struct facts *ret,
                struct error *error);
int facts_read_file(const char *path, struct facts *ret, struct error *error);
struct json_object *facts_to_json(const struct facts *facts, struct span esp_device_path);
