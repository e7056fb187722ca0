/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What load and predict share: options, and one run of a payload from its file to the plan of its
 * hop. */
#pragma once

#include <stdbool.h>

#include "eventlog/hop.h"
#include "policy/firmware-boot.h"
#include "policy/predict.h"
#include "policy/ticket.h"
#include "shim/boot-log.h"
#include "shim/esp.h"
#include "shim/facts.h"
#include "shim/handover/file-handover.h"
#include "shim/payload-about.h"
#include "shim/progress.h"
#include "shim/state.h"
#include "tcg2/protocol.h"
#include "tcg2/register-map.h"

enum handover_option { HANDOVER_OPTION_AUTO, HANDOVER_OPTION_LOAD, HANDOVER_OPTION_FILE };

#define HOP_TICKETS_MAX TICKET_SLOTS

struct hop_ticket {
        const char *name, *path;
};

struct hop_options {
        const char *verb; /* "load" or "predict" */
        const char *payload;
        const char *cmdline; /* LoadOptions, NULL: none */
        const char *profile; /* of a UKI, its number or ID; NULL: the stub's own choice */
        const char *initrds[HOP_INITRDS_MAX];
        size_t n_initrds;
        const char *esp, *map, *close_list, *machine, *base, *tcti, *db, *dbx;
        uint64_t timeout_s;          /* processor time of the payload */
        uint64_t memory_limit_bytes; /* 0: 3/8 of what is available: the image in /run takes as much
                                        again */
        bool trace, json, dry_run, accept_gaps;
        bool firmware;             /* predict: what a firmware boot gives */
        const char *firmware_list; /* --firmware-events */
        struct firmware_events firmware_events;
        enum handover_option handover;
        struct hop_ticket tickets[HOP_TICKETS_MAX]; /* load: to be made when all is staged */
        size_t n_tickets;
        uint32_t ticket_pcrs; /* mask, besides the registers */
        const char *owner_auth;
        bool keep_files; /* not an option: hop_run_files is to follow */
        int progress;    /* PROGRESS_* */
};

/* Reads argv. Returns 0, or an exit code + 1 if the verb has to end (--help, usage error). */
int hop_options_parse(int argc, char **argv, bool is_load, struct hop_options *ret);

struct hop_run {
        struct buf payload; /* let go when it is in the guest */
        struct buf load_options;
        struct buf initrd; /* let go when the plan is made */
        uint8_t payload_sha256[32], load_options_sha256[32];
        unsigned profile;           /* of a UKI */
        struct payload_about about; /* predict --json */
        uint8_t initrd_sha256[HOP_INITRDS_MAX][32];
        size_t n_initrds;
        struct facts facts;
        struct signature_keys keys;     /* points into facts */
        struct fw_contents contents[2]; /* SMBIOS, for the guest */
        struct fw_config_table smbios;
        struct fw_table_copy smbios_copy;
        struct esp esp;
        struct register_map map;
        uint32_t close_list;
        struct boot_log_parts log_parts;
        uint32_t systemd_logs_room; /* bytes, for what exec hands on of systemd's logs */
        struct banks log_banks;     /* of the event log's header; n 0: no log yet, so the TPM's */
        struct tpm *tpm;            /* NULL: predict without */
        struct tcg2 *tcg2;
        struct firmware *fw;
        struct firmware_end end;
        struct plan plan;
        struct progress progress;
};

#define HOP_RUN_NONE ((struct hop_run){.esp = ESP_NONE})
void hop_run_release(struct hop_run *run);

/* Reads everything, gives up what isn't needed any more (shim/sandbox.h), runs the payload to the
 * hand-over and makes the plan. for_load: TPM, log and the real memory map must be there. state:
 * for aborted hops of this boot, may be NULL unless for_load; what load stages goes there. -EINVAL,
 * -ENOENT ...: input that can't be read (exit code 2); -EPERM, -EIO, -ECANCELED ...: refused.
 * Release *run in any case; it must not be moved, the firmware points into it. */
int hop_run(const struct hop_options *options, bool for_load, const struct state_dir *state,
                struct hop_run *run, struct error *error);

/* What kexec_file_load would get of this run (options.keep_files); valid as long as run is. */
int hop_run_files(struct hop_run *run, struct file_handover *ret, struct error *error);
